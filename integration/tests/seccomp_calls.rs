//! What a filter does to one system call: programs that make one, by its number, in 64 bits, in 32
//! bits, and as x32 has them. Only for x86-64, as these programs are.

#![cfg(target_arch = "x86_64")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use integration::machine_code::{Abi, calling};
use integration::{Bundle, Scene};
use serde_json::{Value, json};

const ENOSYS: i32 = 38;
/// Killed by SIGSYS.
const KILLED: i32 = 128 + 31;
const X32: u32 = 0x4000_0000;
const GETPID: (u32, u32) = (39, 20);
const SETHOSTNAME: (u32, u32) = (170, 74);

/// What such a program ends with, under a profile.
fn ends(scene: &Scene, profile: &Value, abi: Abi, number: u32) -> i32 {
    let bundle = scene.bundle().set("/linux/seccomp", profile.clone()).args(["/program"]);
    place(&bundle, abi, number);
    scene.run(&bundle).code().expect("an exit code")
}

fn place(bundle: &Bundle, abi: Abi, number: u32) {
    let path = bundle.rootfs().join("program");
    let _ = fs::remove_file(&path);
    integration::bundle::write(&path, &calling(abi, number, [0; 3]));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
}

/// Whether the kernel executes programs of 32 bits; says that the test is skipped if not.
fn runs_32_bits(scene: &Scene) -> bool {
    let bundle = scene.bundle();
    place(&bundle, Abi::X86, GETPID.1);
    let runs = Command::new(bundle.rootfs().join("program")).status().is_ok_and(|s| s.success());
    if !runs {
        integration::skip("the kernel executes no programs of 32 bits");
    }
    runs
}

/// A profile that allows what is listed, for these architectures.
fn only(architectures: &[&str], names: &[&str]) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": architectures,
        "syscalls": [{ "names": names, "action": "SCMP_ACT_ALLOW" }],
    })
}

const NEEDED: [&str; 4] = ["execve", "exit", "getpid", "futex_waitv"];

#[test]
fn what_the_profile_does_not_know_does_not_exist_and_what_it_leaves_out_is_forbidden() {
    let Some(scene) = Scene::begin() else { return };
    let profile = only(&["SCMP_ARCH_X86_64"], &NEEDED);
    let ends = |number| ends(&scene, &profile, Abi::X86_64, number);
    assert_eq!(ends(GETPID.0), 0);
    assert_eq!(ends(SETHOSTNAME.0), 1);
    // futex_waitv is 449.
    assert_eq!(ends(450), ENOSYS);
    assert_eq!(ends(100_000), ENOSYS);
}

#[test]
fn a_program_of_32_bits_is_under_the_rules_of_its_architecture() {
    let Some(scene) = Scene::begin() else { return };
    if !runs_32_bits(&scene) {
        return;
    }
    let both = only(&["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], &NEEDED);
    assert_eq!(ends(&scene, &both, Abi::X86, GETPID.1), 0);
    assert_eq!(ends(&scene, &both, Abi::X86, SETHOSTNAME.1), 1);
    assert_eq!(ends(&scene, &both, Abi::X86, 100_000), ENOSYS);
    // What a number means in 64 bits is not what it means in 32.
    assert_eq!(ends(&scene, &both, Abi::X86, GETPID.0), 1, "mkdir of x86");
}

/// Otherwise 32 bits, or x32, would be a way around the filter.
#[test]
fn what_the_profile_does_not_list_is_killed() {
    let Some(scene) = Scene::begin() else { return };
    let profile = only(&["SCMP_ARCH_X86_64"], &NEEDED);
    assert_eq!(ends(&scene, &profile, Abi::X86_64, X32 | GETPID.0), KILLED);
    if runs_32_bits(&scene) {
        assert_eq!(ends(&scene, &profile, Abi::X86, GETPID.1), KILLED);
    }
}

#[test]
fn x32_is_told_from_64_bits() {
    let Some(scene) = Scene::begin() else { return };
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"],
        "syscalls": [{ "names": ["getpid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 }],
    });
    for number in [GETPID.0, X32 | GETPID.0] {
        assert_eq!(ends(&scene, &profile, Abi::X86_64, number), 28, "{number:#x}");
    }
}

#[test]
fn a_call_for_a_tracer_that_is_not_there_does_not_exist() {
    let Some(scene) = Scene::begin() else { return };
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["getpid"], "action": "SCMP_ACT_TRACE", "errnoRet": 7 }],
    });
    assert_eq!(ends(&scene, &profile, Abi::X86_64, GETPID.0), ENOSYS);
}

#[test]
fn a_call_that_is_to_be_logged_is_made_and_the_kernel_logs_it() {
    let Some(scene) = Scene::begin() else { return };
    // A number that nothing else calls, so that the line is this test's.
    const VHANGUP: u32 = 153;
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["vhangup"], "action": "SCMP_ACT_LOG" }],
    });
    // Without CAP_SYS_TTY_CONFIG.
    assert_eq!(ends(&scene, &profile, Abi::X86_64, VHANGUP), 1);
    let log = Command::new("dmesg").output().expect("dmesg");
    let log = String::from_utf8_lossy(&log.stdout);
    if !log.contains("type=1326") {
        return integration::skip("the kernel's log has no records of the audit subsystem");
    }
    assert!(log.contains("exe=\"/program\" sig=0 arch=c000003e syscall=153"), "{log}");
}
