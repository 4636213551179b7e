//! Filters of system calls: what they decide, call by call, on a machine for their instructions.
//!
//! `seccomp/compared.rs` compares them with those that libseccomp makes of the same profiles.

#[path = "seccomp/compared.rs"]
mod compared;
#[path = "seccomp/oracle.rs"]
mod oracle;

use std::path::{Path, PathBuf};

use libcontainer::seccomp::{ARCHITECTURES, Call, Filter, compile, run};
use libcontainer::spec::{Seccomp, Spec};
use serde_json::{Value, json};

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
const KILL: u32 = 0;
const ENOSYS: u32 = ERRNO | 38;

fn profile(value: Value) -> Seccomp {
    serde_json::from_value(value).unwrap()
}

fn compiled(value: Value) -> Filter {
    let mut faults = Vec::new();
    let filter = compile(&profile(value), "/linux/seccomp", &mut faults);
    assert_eq!(faults, []);
    filter.unwrap()
}

fn faults(value: Value) -> Vec<String> {
    let mut faults = Vec::new();
    assert_eq!(compile(&profile(value), "/linux/seccomp", &mut faults), None);
    faults.iter().map(ToString::to_string).collect()
}

/// What a program decides, and with how many instructions.
fn decided(program: &[u32], call: &Call) -> (u32, usize) {
    let (verdict, steps) = run(program, call).expect("a program that the kernel would load");
    (verdict.0, steps)
}

/// The verdict on a call of x86-64.
fn verdict(filter: &Filter, number: u32, args: &[u64]) -> u32 {
    let mut call = Call { number, arch: X86_64, args: [0; 6] };
    call.args[..args.len()].copy_from_slice(args);
    decided(&filter.program, &call).0
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_list_of_what_is_allowed_allows_that() {
    let filter = compiled(json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            { "names": ["read", "write", "nothing_such", "listns"], "action": "SCMP_ACT_ALLOW" },
            { "names": ["mount"], "action": "SCMP_ACT_KILL_PROCESS" },
            { "names": ["chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13 },
            { "names": ["ptrace"], "action": "SCMP_ACT_TRACE", "errnoRet": 7 },
            { "names": ["getpid"], "action": "SCMP_ACT_LOG" },
            { "names": ["getppid"], "action": "SCMP_ACT_TRAP" },
        ],
    }));
    for (number, expected) in [
        (0, ALLOW),
        (1, ALLOW),
        (2, ERRNO | 1),
        (470, ALLOW),
        (471, ENOSYS),
        (100_000, ENOSYS),
        (165, 0x8000_0000),
        (161, ERRNO | 13),
        (101, 0x7ff0_0007),
        (39, 0x7ffc_0000),
        (110, 0x0003_0000),
    ] {
        assert_eq!(verdict(&filter, number, &[]), expected, "{number}");
    }
    assert_eq!(filter.flags, 4);
    // Another architecture, and the numbers of X32, are not listed.
    let call = Call { number: 3, arch: I386, args: [0; 6] };
    assert_eq!(decided(&filter.program, &call).0, KILL);
    assert_eq!(verdict(&filter, 0x4000_0000, &[]), KILL);
}

#[test]
fn what_is_newer_than_the_profile_is_unknown_unless_it_is_open() {
    let of = |action: &str, errno: Option<u32>| {
        let mut profile = json!({
            "defaultAction": action,
            "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_KILL_PROCESS" }],
        });
        if let Some(errno) = errno {
            profile["defaultErrnoRet"] = errno.into();
        }
        verdict(&compiled(profile), 5000, &[])
    };
    assert_eq!(of("SCMP_ACT_ERRNO", None), ENOSYS);
    assert_eq!(of("SCMP_ACT_KILL", None), ENOSYS);
    assert_eq!(of("SCMP_ACT_ERRNO", Some(38)), ENOSYS);
    assert_eq!(of("SCMP_ACT_ALLOW", None), ALLOW);
    assert_eq!(of("SCMP_ACT_LOG", None), 0x7ffc_0000);
    assert_eq!(of("SCMP_ACT_TRACE", None), 0x7ff0_0001);
}

/// Every comparison, around values where halves of 64 bits matter.
#[test]
#[cfg(target_arch = "x86_64")]
fn arguments_are_compared_as_numbers_of_64_bits() {
    let values = [
        0,
        1,
        2,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_fffe,
        0xffff_ffff,
        0x1_0000_0000,
        0x1_0000_0001,
        0x7fff_ffff_ffff_ffff,
        0x8000_0000_0000_0000,
        u64::MAX - 1,
        u64::MAX,
    ];
    type Compare = fn(u64, u64) -> bool;
    let operators: [(&str, Compare); 6] = [
        ("SCMP_CMP_NE", |a, b| a != b),
        ("SCMP_CMP_LT", |a, b| a < b),
        ("SCMP_CMP_LE", |a, b| a <= b),
        ("SCMP_CMP_EQ", |a, b| a == b),
        ("SCMP_CMP_GE", |a, b| a >= b),
        ("SCMP_CMP_GT", |a, b| a > b),
    ];
    for argument in [0, 5] {
        for (op, compare) in operators {
            for value in values {
                let arg = json!({ "index": argument, "op": op, "value": value });
                let rule = json!({ "names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [arg] });
                let filter =
                    compiled(json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] }));
                for given in values {
                    let mut args = [77; 6];
                    args[argument] = given;
                    let expected = if compare(given, value) { ERRNO | 1 } else { ALLOW };
                    assert_eq!(verdict(&filter, 0, &args), expected, "{given:#x} {op} {value:#x}");
                }
            }
        }
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn masked_bits_are_compared() {
    for (mask, value) in [
        (0xff, 0x12),
        (0xff00_0000_0000, 0x1200_0000_0000),
        (0, 0),
        (0xf, 0x1_0000_0000),
        (u64::MAX, 5),
    ] {
        let arg =
            json!({ "index": 1, "op": "SCMP_CMP_MASKED_EQ", "value": mask, "valueTwo": value });
        let rule = json!({ "names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [arg] });
        let filter = compiled(json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] }));
        for given in [0, 5, 0x12, 0x112, 0x1200_0000_0000, 0x1212_0000_0012, u64::MAX] {
            let expected = if given & mask == value & mask { ERRNO | 1 } else { ALLOW };
            assert_eq!(verdict(&filter, 0, &[0, given]), expected, "{given:#x} & {mask:#x}");
        }
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn conditions_of_a_rule_hold_together_and_those_on_one_argument_are_alternatives() {
    let arg = |index, value| json!({ "index": index, "op": "SCMP_CMP_EQ", "value": value });
    let rule = |args: Value| {
        let rule = json!({ "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": args });
        compiled(json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule] }))
    };
    let both = rule(json!([arg(0, 1), arg(1, 2)]));
    assert_eq!(verdict(&both, 41, &[1, 2]), ALLOW);
    assert_eq!(verdict(&both, 41, &[1, 3]), ERRNO | 1);
    assert_eq!(verdict(&both, 41, &[2, 2]), ERRNO | 1);
    let either = rule(json!([arg(0, 1), arg(0, 2)]));
    assert_eq!(verdict(&either, 41, &[1]), ALLOW);
    assert_eq!(verdict(&either, 41, &[2]), ALLOW);
    assert_eq!(verdict(&either, 41, &[3]), ERRNO | 1);
}

#[test]
fn what_is_wrong_with_a_profile_is_pointed_at() {
    let all = faults(json!({
        "defaultAction": "SCMP_ACT_MOON",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_MOON"],
        "flags": ["SECCOMP_FILTER_FLAG_MOON"],
        "syscalls": [
            { "names": [], "action": "SCMP_ACT_ALLOW" },
            { "names": ["read"], "action": "", "args": [{ "index": 6, "value": 0, "op": "SCMP_CMP_EQ" }] },
            { "names": ["read"], "action": "SCMP_ACT_ALLOW", "errnoRet": 1 },
            { "names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096 },
            { "names": ["read"], "action": "SCMP_ACT_TRACE", "errnoRet": 65536 },
            { "names": ["read"], "action": "SCMP_ACT_KILL", "args": [{ "index": 0, "value": 0, "op": "=" }] },
        ],
    }));
    let pointers: Vec<&str> = all
        .iter()
        .map(|fault| {
            fault.rsplit_once("config.json /linux/seccomp/").unwrap().1.trim_end_matches(')')
        })
        .collect();
    assert_eq!(
        pointers,
        [
            "defaultAction",
            "flags/0",
            "architectures/1",
            "syscalls/0/names",
            "syscalls/1/action",
            "syscalls/1/args/0/index",
            "syscalls/2/errnoRet",
            "syscalls/3/errnoRet",
            "syscalls/4/errnoRet",
            "syscalls/5/args/0/op",
        ]
    );
}

#[test]
fn a_profile_that_is_too_long_is_refused() {
    let args: Vec<Value> = (0..6)
        .map(|i| json!({ "index": i, "op": "SCMP_CMP_GT", "value": u64::MAX / 3 + i }))
        .collect();
    let rules: Vec<Value> = (0..300)
        .map(|i| {
            let mut args = args.clone();
            args[0]["value"] = i.into();
            json!({ "names": ["read"], "action": "SCMP_ACT_ALLOW", "args": args })
        })
        .collect();
    let all = faults(json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules }));
    assert!(all[0].contains("instructions, and the kernel 4096 at most"), "{all:?}");
}

/// The profiles that real engines wrote.
pub(crate) fn engines() -> Vec<(String, Seccomp)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec/engines");
    let mut files: Vec<PathBuf> =
        dir.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let profiles = files.into_iter().filter_map(|file| {
        let spec = Spec::parse(&std::fs::read(&file).unwrap()).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        Some((name, spec.linux?.seccomp?))
    });
    let profiles: Vec<_> = profiles.collect();
    assert!(profiles.len() > 8);
    profiles
}

#[test]
fn the_profiles_of_engines_are_short_and_common_calls_are_found_at_once() {
    for (name, profile) in engines() {
        let mut faults = Vec::new();
        let filter = compile(&profile, "", &mut faults).unwrap_or_else(|| panic!("{faults:?}"));
        let program = &filter.program;
        assert!(program.len() < 2000, "{name}: {}", program.len() / 2);
        // read, write, close, mmap, futex, openat, epoll_wait, clock_gettime
        for number in [0, 1, 3, 9, 202, 257, 232, 228] {
            let (verdict, steps) = decided(program, &Call { number, arch: X86_64, args: [0; 6] });
            assert_eq!(verdict, ALLOW, "{name}: {number}");
            assert!(steps <= 16, "{name}: {number} takes {steps}");
        }
    }
}

#[test]
fn every_architecture_of_the_specification_is_known() {
    assert_eq!(ARCHITECTURES.len(), 23);
    let filter = compiled(json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ARCHITECTURES,
        "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_ALLOW" }],
    }));
    let program = filter.program;
    // s390x, MIPS n32 of the little-endian kind, RISC-V.
    for (arch, number) in [(0x8000_0016, 3), (0xe000_0008, 6000), (0xc000_00f3, 63)] {
        let call = |number| decided(&program, &Call { number, arch, args: [0; 6] }).0;
        assert_eq!(call(number), ALLOW, "{arch:#x}");
        assert_eq!(call(number + 1), ENOSYS, "{arch:#x}");
    }
}
