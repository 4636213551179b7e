//! Filters of system calls, with effects that a container sees.

use std::fs;

use integration::bundle::write;
use integration::{Bundle, Need, Scene};
use serde_json::{Value, json};

/// A profile that allows all but these rules.
fn all_but(rules: Value) -> Value {
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules })
}

fn with(bundle: Bundle, profile: Value) -> Bundle {
    bundle.set("/linux/seccomp", profile)
}

fn rule(names: &[&str], action: &str) -> Value {
    json!({ "names": names, "action": action })
}

/// The line of a status file.
fn line<'a>(status: &'a str, key: &str) -> &'a str {
    let found = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("no {key} in {status}")).trim()
}

#[test]
fn a_call_that_is_forbidden_fails_with_the_errno_of_the_rule() {
    let Some(scene) = Scene::begin() else { return };
    let errno = json!([{
        "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28,
    }]);
    let script = "mkdir /tmp/x 2>&1; chmod 700 /tmp && echo others work";
    let bundle = scene.bundle().writable().sh(script);
    let said = scene.output(&with(bundle, all_but(errno)));
    assert!(said.contains("No space left") && said.ends_with("others work\n"), "{said}");
}

#[test]
fn a_call_may_end_the_program() {
    let Some(scene) = Scene::begin() else { return };
    for action in
        ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"]
    {
        let profile = all_but(json!([rule(&["sethostname"], action)]));
        let bundle = with(scene.bundle().args(["hostname", "other"]), profile);
        // SIGSYS
        scene.run(&bundle).exits(128 + 31);
    }
}

#[test]
fn only_what_is_listed_is_allowed() {
    let Some(scene) = Scene::begin() else { return };
    // What busybox needs to start, to read a file and to write it.
    let allowed = [
        "access",
        "arch_prctl",
        "brk",
        "close",
        "dup2",
        "execve",
        "exit",
        "exit_group",
        "fcntl",
        "fstat",
        "getcwd",
        "getegid",
        "geteuid",
        "getgid",
        "getpid",
        "getppid",
        "getrandom",
        "getuid",
        "ioctl",
        "lseek",
        "mmap",
        "mprotect",
        "munmap",
        "newfstatat",
        "open",
        "openat",
        "poll",
        "prctl",
        "prlimit64",
        "read",
        "readlink",
        "readlinkat",
        "readv",
        "rseq",
        "rt_sigaction",
        "rt_sigprocmask",
        "rt_sigreturn",
        "sendfile",
        "set_robust_list",
        "set_tid_address",
        "setgid",
        "setuid",
        "sigaltstack",
        "stat",
        "statx",
        "uname",
        "write",
        "writev",
        "fstatat64",
        "faccessat",
        "faccessat2",
        "copy_file_range",
        "futex",
    ];
    let profile = json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [rule(&allowed, "SCMP_ACT_ALLOW")],
    });
    let bundle = scene.bundle();
    bundle.file("greeting", "hello\n");
    let run = |args: &[&str]| scene.run(&with(bundle.clone().args(args), profile.clone()));
    assert_eq!(run(&["cat", "/greeting"]).ok().stdout, "hello\n");
    let outcome = run(&["hostname", "other"]);
    assert!(outcome.stderr.contains("not permitted") && outcome.code() != Some(0), "{outcome:?}");
}

#[test]
fn arguments_are_looked_at() {
    let Some(scene) = Scene::begin() else { return };
    // SIGUSR1 may not be sent, other signals may.
    let profile = all_but(json!([{
        "names": ["kill"],
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": 13,
        "args": [{ "index": 1, "value": 10, "op": "SCMP_CMP_EQ" }],
    }]));
    let script = "kill -USR1 $$ 2>&1; kill -0 $$ && echo others work";
    let said = scene.output(&with(scene.bundle().sh(script), profile));
    assert!(said.contains("ermission denied") && said.ends_with("others work\n"), "{said}");
}

#[test]
fn the_filter_is_there_in_every_combination_of_user_privileges_and_capabilities() {
    let Some(scene) = Scene::begin() else { return };
    for (no_new_privileges, uid, capabilities) in [
        (false, 0, &["CAP_KILL"][..]),
        (false, 0, &[]),
        (false, 1000, &["CAP_KILL"]),
        (false, 1000, &[]),
        (true, 0, &["CAP_KILL"]),
        (true, 0, &[]),
        (true, 1000, &["CAP_KILL"]),
        (true, 1000, &[]),
    ] {
        let bundle = scene
            .bundle()
            .set("/process/noNewPrivileges", no_new_privileges)
            .set("/process/user/uid", uid)
            .capabilities(capabilities)
            .sleeping();
        let profile = all_but(json!([rule(&["chroot"], "SCMP_ACT_ERRNO")]));
        let container = scene.start(&with(bundle, profile));
        let case = format!("{no_new_privileges} {uid} {capabilities:?}");
        let exec = scene.keel(["exec", container.id(), "cat", "/proc/self/status"]).run().ok();
        let first = fs::read_to_string(format!("/proc/{}/status", container.pid()));
        for status in [exec.stdout, first.expect("the status")] {
            assert_eq!(line(&status, "Seccomp"), "2", "{case}");
            let expected = if no_new_privileges { "1" } else { "0" };
            assert_eq!(line(&status, "NoNewPrivs"), expected, "{case}");
            // CAP_SYS_ADMIN, which loading needs, is in none of the sets.
            let kill = if capabilities.is_empty() { 0 } else { 1 << 5 };
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                let held = u64::from_str_radix(line(&status, set), 16).expect("a set");
                assert_eq!(held & !kill, 0, "{case} {set}");
            }
        }
        container.end();
    }
}

#[test]
fn a_profile_may_forbid_what_setting_up_a_container_needs() {
    let Some(scene) = Scene::begin() else { return };
    let needed = [
        "mount",
        "umount2",
        "pivot_root",
        "setns",
        "unshare",
        "clone3",
        "openat2",
        "fsopen",
        "fsmount",
        "fsconfig",
        "move_mount",
        "open_tree",
        "mount_setattr",
        "capset",
        "capget",
        "setresuid",
        "setresgid",
        "setgroups",
        "prctl",
        "seccomp",
        "sendmsg",
        "recvmsg",
        "socket",
        "accept4",
        "close_range",
        "keyctl",
        "sethostname",
        "mknodat",
        "setrlimit",
        "setsid",
        "memfd_create",
        "waitid",
        "execveat",
    ];
    for no_new_privileges in [true, false] {
        let profile = all_but(json!([rule(&needed, "SCMP_ACT_ERRNO")]));
        let bundle = scene
            .bundle()
            .set("/process/noNewPrivileges", no_new_privileges)
            .set("/process/user/uid", 1000)
            .hook("startContainer", "true");
        let container = scene.start(&with(bundle.sleeping(), profile));
        let said = scene.keel(["exec", container.id(), "echo", "hello"]).run().ok().stdout;
        assert_eq!(said, "hello\n");
        container.end();
    }
}

#[test]
fn the_profiles_of_engines_let_usual_programs_run() {
    let Some(scene) = Scene::begin() else { return };
    for engine in ["docker", "podman", "cri", "docker-buildkit"] {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../libcontainer/tests/spec/engines/");
        let Ok(text) = fs::read_to_string(format!("{path}{engine}.json")) else {
            return integration::skip("the recorded configurations are not here");
        };
        let config: Value = serde_json::from_str(&text).expect("JSON");
        let profile = config.pointer("/linux/seccomp").expect("a profile").clone();
        let script = "ls / >/dev/null; (echo a; echo b) | sort -r; sleep 0; id -u; \
                      unshare -m true 2>&1 | grep -c ermitted; mount -t tmpfs x /tmp 2>&1 | wc -l";
        let said = scene.output(&with(scene.bundle().sh(script), profile));
        assert_eq!(said, "b\na\n0\n1\n1\n", "{engine}");
    }
}

#[test]
fn what_is_wrong_with_a_profile_is_told_with_pointers_and_nothing_is_made() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    for (profile, pointer) in [
        (json!({ "defaultAction": "SCMP_ACT_MOON" }), "/linux/seccomp/defaultAction"),
        (json!({ "defaultAction": "SCMP_ACT_NOTIFY" }), "/linux/seccomp/listenerPath"),
        (
            all_but(json!([{ "names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5000 }])),
            "/linux/seccomp/syscalls/0/errnoRet",
        ),
        (json!({ "defaultAction": "SCMP_ACT_ALLOW", "flags": ["MOON"] }), "/linux/seccomp/flags/0"),
    ] {
        scene.refused(&with(scene.bundle(), profile)).says(&[pointer]);
    }
}

#[test]
fn a_profile_under_which_nothing_can_be_executed_ends_the_container() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    // Neither the program nor a report of the failure, and with an errno not even the end: then
    // SIGILL ends it, and otherwise SIGSYS.
    for (action, signal) in [("SCMP_ACT_ERRNO", 4), ("SCMP_ACT_KILL_PROCESS", 31)] {
        let profile = json!({
            "defaultAction": action,
            "syscalls": [rule(&["futex_waitv"], "SCMP_ACT_ALLOW")],
        });
        scene.run(&with(scene.bundle(), profile)).exits(128 + signal);
    }
}

/// sethostname(2) fails with ENOSPC, everything else is allowed, on any x86: four instructions.
const COMPILED: &str = "IAAAAAAAAAAVAAABqgAAAAYAAAAcAAUABgAAAAAA/38=";
/// The same, but a listener is asked.
const ASKS: &str = "IAAAAAAAAAAVAAABqgAAAAYAAAAAAMB/BgAAAAAA/38=";
const RAW: &str = "/annotations/run.oci.seccomp_bpf_data";

#[test]
#[cfg(target_arch = "x86_64")]
fn a_compiled_filter_may_come_as_an_annotation_in_place_of_a_profile() {
    let Some(scene) = Scene::begin() else { return };
    let forbidden = all_but(json!([rule(&["mkdir", "mkdirat"], "SCMP_ACT_ERRNO")]));
    let script =
        "hostname other 2>&1; mkdir /dev/shm/$$ && echo made; grep Seccomp: /proc/self/status";
    let bundle = with(scene.bundle().writable().sh(script), forbidden).set(RAW, COMPILED);
    let container = scene.start(&bundle.clone().sleeping());
    let executed = scene.keel(["exec", container.id(), "sh", "-c", script]).run().ok().stdout;
    container.delete_force();
    for said in [scene.output(&bundle), executed] {
        assert!(said.contains("No space left"), "{said}");
        assert!(said.ends_with("made\nSeccomp:\t2\n"), "{said}");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn annotations_about_filters_that_cannot_be_applied_are_refused() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let notes = |name: &str, value: &str| (format!("/annotations/{name}"), value.to_owned());
    let strict = notes("run.oci.seccomp_fail_unknown_syscall", "1");
    for (profile, (name, value), said) in [
        (json!(null), notes("run.oci.seccomp_bpf_data", "moon!"), "it is not base 64"),
        (json!(null), notes("run.oci.seccomp_bpf_data", ""), "0 bytes are no instructions"),
        (json!(null), notes("run.oci.seccomp_bpf_data", "AAAA"), "3 bytes are no instructions"),
        (json!(null), notes("run.oci.seccomp_bpf_data", "BwAAAAAAAAA="), "invalid argument"),
        (json!(null), notes("run.oci.seccomp_bpf_data", ASKS), "must say where it is"),
        (json!(null), notes("run.oci.seccomp.plugins", "a.so"), "loads no programs into itself"),
        (all_but(json!([rule(&["moon"], "SCMP_ACT_ERRNO")])), strict, "\"moon\" is no system call"),
    ] {
        let bundle = with(scene.bundle().args(["true"]), profile).set(&name, value);
        scene.refused(&bundle).says(&[said]);
    }
}

/// What `keel seccomp test` tells is what happens.
#[test]
fn the_command_tells_what_happens_to_a_call() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            { "names": ["sethostname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 },
            { "names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13, "args": [
                { "index": 1, "value": 10, "op": "SCMP_CMP_EQ" },
            ] },
        ],
    });
    let script = "hostname x 2>&1; kill -USR1 $$ 2>&1; kill -0 $$ && echo others work";
    let bundle = with(scene.bundle().sh(script), profile);
    let said = scene.output(&bundle).to_lowercase();
    for word in ["no space left", "permission denied", "others work"] {
        assert!(said.contains(word), "{word} in {said}");
    }
    let told = |call: &[&str]| {
        let test = scene.keel(["seccomp", "test"]).arg(bundle.dir()).args(call);
        test.run().ok().stdout.lines().take(2).collect::<Vec<_>>().join(" ")
    };
    let at = "by /linux/seccomp/syscalls";
    assert_eq!(
        told(&["sethostname"]),
        format!("sethostname(0x0, 0x0, 0x0, 0x0, 0x0, 0x0): fail with ENOSPC {at}/0")
    );
    let denied = told(&["kill", "-1", "10"]);
    let end = format!("0x0): fail with EACCES {at}/1 where arg1 == 0xa");
    assert!(
        denied.starts_with("kill(0xffffffffffffffff, 0xa,") && denied.ends_with(&end),
        "{denied}"
    );
    let allowed = told(&["kill", "1", "0"]);
    assert!(allowed.ends_with("allow by /linux/seccomp/defaultAction"), "{allowed}");
}

#[test]
fn the_command_says_what_is_wrong_with_a_profile_or_a_question() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let file = |name: &str, text: &str| {
        let path = scene.directory("profiles").join(name);
        write(&path, text.as_bytes());
        path.into_os_string().into_string().expect("a path")
    };
    let good = file("good", r#"{ "defaultAction": "SCMP_ACT_ALLOW" }"#);
    let bad = file("bad", r#"{ "defaultAction": "SCMP_ACT_MOON" }"#);
    let none = file("none", r#"{ "ociVersion": "1.3.0" }"#);
    let engine = file("engine", r#"{ "defaultAction": "SCMP_ACT_ALLOW", "archMap": [] }"#);
    let text = file("text", "nothing");
    for (words, expected) in [
        (vec!["show", &bad], "\"SCMP_ACT_MOON\" is not an action"),
        (vec!["show", &none], "has no profile"),
        (vec!["show", &engine], "in the format of an engine's file (archMap)"),
        (vec!["show", &text], "cannot read the profile"),
        (vec!["show", "/nonexistent"], "cannot read /nonexistent"),
        (vec!["show", &good, "read"], "show takes no SYSCALL"),
        (vec!["show", "--arch", "SCMP_ARCH_X68", &good], "did you mean \"SCMP_ARCH_X86\"?"),
        (
            vec!["show", "--arch", "SCMP_ARCH_X86", "--format", "disassembly", &good],
            "leave out --arch",
        ),
        (vec!["test", &good], "test needs SYSCALL"),
        (vec!["test", &good, "clnoe"], "did you mean \"clone\"?"),
        (vec!["test", &good, "read", "moon"], "\"moon\" is not a number of 64 bits"),
        (vec!["test", &good, "read", "1", "2", "3", "4", "5", "6", "7"], "six arguments at most"),
        (vec!["test", "--format", "table", &good, "read"], "--format is for show alone"),
        (vec!["eat", &good], "seccomp can show and test, not \"eat\""),
    ] {
        scene.keel(["seccomp"]).args(&words).run().refused().says(&[expected]);
    }
}
