//! Filters of system calls (`config-linux.md`, seccomp).
//!
//! A filter is told by what it does to a program: whether mkdir(2) or kill(2) works, with which
//! errno it fails, or by which signal it ends the program. What goes to a listener is tested in
//! `seccomp_listener`.

use serde_json::{Value, json};

use crate::case::Case;
use crate::clause::{Clause, Level, Outcome, about, ensure, equal, fail, skip};
use crate::clauses::seccomp_listener;

macro_rules! listed {
    ($($test:ident $what:literal: $($name:literal)+;)+) => {
        /// What the text lists by name.
        pub(crate) const LISTED: &[Clause] = &[$($(
            Clause::must(
                concat!("config-linux.md#seccomp/", $name),
                concat!($what, " `", $name, "`"),
                $test,
            ),
        )+)+];
    };
}

listed! {
    listed_action "the action": "SCMP_ACT_KILL" "SCMP_ACT_KILL_PROCESS" "SCMP_ACT_KILL_THREAD"
        "SCMP_ACT_TRAP" "SCMP_ACT_ERRNO" "SCMP_ACT_TRACE" "SCMP_ACT_ALLOW" "SCMP_ACT_LOG"
        "SCMP_ACT_NOTIFY";
    listed_operator "the comparison": "SCMP_CMP_NE" "SCMP_CMP_LT" "SCMP_CMP_LE" "SCMP_CMP_EQ"
        "SCMP_CMP_GE" "SCMP_CMP_GT" "SCMP_CMP_MASKED_EQ";
    listed_flag "the flag": "SECCOMP_FILTER_FLAG_TSYNC" "SECCOMP_FILTER_FLAG_LOG"
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW" "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV";
}

/// The rows that are no list.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must(
        "config-linux.md#seccomp/defaultAction",
        "what no rule names gets the default action",
        default_action,
    ),
    Clause::must(
        "config-linux.md#seccomp/defaultErrnoRet",
        "`defaultErrnoRet` is the errno of the default action",
        default_errno,
    ),
    Clause::must(
        "config-linux.md#seccomp/defaultErrnoRet-unsupported",
        "an errno with a default action that has none is an error",
        default_errno_unsupported,
    ),
    Clause::must(
        "config-linux.md#seccomp/architectures",
        "a filter may name every listed architecture of this machine's order of bytes",
        architectures,
    ),
    Clause::must("config-linux.md#seccomp/syscalls", "a filter may have no rules", |case| {
        equal("the output", filtered(case, json!({}), "echo hello")?.as_str(), "hello\n")
    }),
    Clause::must(
        "config-linux.md#seccomp/names",
        "a rule holds for each call it names",
        every_name,
    ),
    Clause::untestable(
        "config-linux.md#seccomp/names-empty",
        Level::Must,
        "a rule names at least one call",
        "binds who writes the configuration; what a runtime makes of an empty list is left open",
    ),
    Clause::must(
        "config-linux.md#seccomp/action-unknown",
        "an unknown action is an error",
        unknown_action,
    ),
    Clause::must(
        "config-linux.md#seccomp/errnoRet",
        "`errnoRet` is the errno of a rule",
        rule_errno,
    ),
    Clause::must(
        "config-linux.md#seccomp/errnoRet-unset",
        "the errno of a rule that gives none is EPERM",
        |case| refusal(case, &json!({"action": "SCMP_ACT_ERRNO"}), "Operation not permitted"),
    ),
    Clause::must(
        "config-linux.md#seccomp/errnoRet-unsupported",
        "an errno with an action that has none is an error",
        rule_errno_unsupported,
    ),
    Clause::must(
        "config-linux.md#seccomp/args-index",
        "`index` says which argument is compared",
        index,
    ),
    Clause::must(
        "config-linux.md#seccomp/args-all",
        "a rule holds where all its comparisons do",
        all_arguments,
    ),
];

/// Runs a script under a filter, which allows what it does not name; what the script has written.
fn filtered(case: &Case<'_>, seccomp: Value, script: &str) -> Outcome<String> {
    needs_seccomp()?;
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["seccomp"] = with_default(seccomp);
    case.probe(&mut bundle, script)
}

fn with_default(mut seccomp: Value) -> Value {
    if seccomp["defaultAction"].is_null() {
        seccomp["defaultAction"] = json!("SCMP_ACT_ALLOW");
    }
    seccomp
}

fn needs_seccomp() -> Outcome {
    match std::fs::metadata("/proc/sys/kernel/seccomp/actions_avail") {
        Ok(_) => Ok(()),
        Err(_) => skip("the kernel has no filters of system calls"),
    }
}

/// A rule for mkdir(2), under both of its names.
fn mkdir(rule: &Value) -> Value {
    let mut rule = rule.clone();
    rule["names"] = json!(["mkdir", "mkdirat"]);
    json!({"syscalls": [rule]})
}

/// What a program that makes a directory says, and its status, 128 and the signal if one ended it.
const MKDIR: &str = "/bin/mkdir /tmp/new 2>&1; echo status $?";

/// Fails unless mkdir(2) fails with this errno.
fn refusal(case: &Case<'_>, rule: &Value, errno: &str) -> Outcome {
    let seen = filtered(case, mkdir(rule), MKDIR)?;
    ensure!(seen.contains(errno) && seen.contains("status 1"), "mkdir says {seen:?}, not {errno}");
    Ok(())
}

/// Fails unless an action does to mkdir(2) what it is for.
pub(crate) fn action(case: &Case<'_>, name: &str) -> Outcome {
    // SIGSYS is 31.
    let wanted = match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_PROCESS" | "SCMP_ACT_KILL_THREAD" | "SCMP_ACT_TRAP" => {
            "status 159"
        }
        "SCMP_ACT_ALLOW" | "SCMP_ACT_LOG" => "status 0",
        "SCMP_ACT_ERRNO" => "Operation not permitted",
        // Nobody traces the program.
        "SCMP_ACT_TRACE" => "Function not implemented",
        "SCMP_ACT_NOTIFY" => return seccomp_listener::notified(case).map(drop),
        _ => return fail(format!("the test knows no effect of {name}")),
    };
    let seen = filtered(case, mkdir(&json!({"action": name})), MKDIR)?;
    ensure!(seen.contains(wanted), "mkdir says {seen:?}, not {wanted:?}");
    Ok(())
}

/// Fails unless a comparison of the signal of kill(2) holds for those it should.
pub(crate) fn operator(case: &Case<'_>, name: &str) -> Outcome {
    // Signals that are ignored, or mean nothing to a program that runs.
    const SIGNALS: [u64; 4] = [17, 18, 23, 28];
    let (value, two) = if name == "SCMP_CMP_MASKED_EQ" { (4, 4) } else { (18, 0) };
    let holds = |signal: u64| match name {
        "SCMP_CMP_NE" => Ok(signal != value),
        "SCMP_CMP_LT" => Ok(signal < value),
        "SCMP_CMP_LE" => Ok(signal <= value),
        "SCMP_CMP_EQ" => Ok(signal == value),
        "SCMP_CMP_GE" => Ok(signal >= value),
        "SCMP_CMP_GT" => Ok(signal > value),
        "SCMP_CMP_MASKED_EQ" => Ok(signal & value == two),
        _ => fail(format!("the test knows no meaning of {name}")),
    };
    let mut wanted = String::new();
    for signal in SIGNALS {
        wanted += &format!("{signal} {}\n", if holds(signal)? { "refused" } else { "sent" });
    }
    let args = json!([{"index": 1, "value": value, "valueTwo": two, "op": name}]);
    let seccomp = kill(&args);
    let script = "for s in 17 18 23 28; do kill -$s $$ 2>/dev/null && echo $s sent || \
        echo $s refused; done";
    equal("what became of the signals", filtered(case, seccomp, script)?, wanted)
}

/// A filter whose only rule is for kill(2) with these arguments.
fn kill(args: &Value) -> Value {
    json!({"syscalls": [{"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": args}]})
}

/// Fails unless a filter with this flag is in force.
pub(crate) fn flag(case: &Case<'_>, name: &str) -> Outcome {
    let mut seccomp = mkdir(&json!({"action": "SCMP_ACT_ERRNO"}));
    seccomp["flags"] = json!([name]);
    if name == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" {
        // The kernel takes it for a filter with a listener alone.
        return seccomp_listener::with_flag(case, name);
    }
    let seen = filtered(case, seccomp, MKDIR)?;
    ensure!(seen.contains("Operation not permitted"), "mkdir says {seen:?}");
    Ok(())
}

/// Architectures that write numbers the other way round than this machine, if it is little-endian:
/// libseccomp does not put both in one filter.
const BIG_ENDIAN: [&str; 10] =
    ["MIPS", "MIPS64", "MIPS64N32", "PPC", "PPC64", "S390", "S390X", "PARISC", "PARISC64", "M68K"];

/// Fails unless a filter that names these architectures is in force, without those of the other
/// order of bytes.
pub(crate) fn with_architectures(case: &Case<'_>, names: &[&str]) -> Outcome {
    let big = |name: &str| BIG_ENDIAN.iter().any(|big| name == format!("SCMP_ARCH_{big}"));
    let same =
        |name: &&&str| cfg!(target_endian = "little") != (big(name) || name.ends_with("SHEB"));
    let names: Vec<_> = names.iter().filter(same).collect();
    let mut seccomp = mkdir(&json!({"action": "SCMP_ACT_ERRNO"}));
    seccomp["architectures"] = json!(names);
    let seen = filtered(case, seccomp, MKDIR)?;
    ensure!(seen.contains("Operation not permitted"), "mkdir says {seen:?}");
    Ok(())
}

fn listed_action(case: &Case<'_>) -> Outcome {
    action(case, case.topic)
}

fn listed_operator(case: &Case<'_>) -> Outcome {
    operator(case, case.topic)
}

fn listed_flag(case: &Case<'_>) -> Outcome {
    flag(case, case.topic)
}

/// What mkdir(2) says when the default action has it fail. Enough calls are named for the program
/// to run; it is not among them.
fn failing_by_default(case: &Case<'_>, mut seccomp: Value) -> Outcome<String> {
    let names: Vec<_> = SMALL_PROGRAM.split_whitespace().collect();
    seccomp["syscalls"] = json!([{"names": names, "action": "SCMP_ACT_ALLOW"}]);
    filtered(case, seccomp, MKDIR)
}

fn default_action(case: &Case<'_>) -> Outcome {
    let seen = failing_by_default(case, json!({"defaultAction": "SCMP_ACT_ERRNO"}))?;
    ensure!(seen.contains("Operation not permitted"), "mkdir says {seen:?}");
    Ok(())
}

fn default_errno(case: &Case<'_>) -> Outcome {
    let seccomp = json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 28});
    let seen = failing_by_default(case, seccomp)?;
    ensure!(seen.contains("No space left on device"), "mkdir says {seen:?}");
    Ok(())
}

/// What a shell and its children need, and what runtimes themselves call behind the filter.
const SMALL_PROGRAM: &str = "\
    access arch_prctl brk capget capset chdir clone clone3 close close_range dup dup2 dup3 \
    epoll_create1 epoll_ctl epoll_pwait execve exit exit_group faccessat faccessat2 fchdir fcntl \
    fork fstat fstatfs futex getcwd getdents64 getegid geteuid getgid getgroups getpgrp getpid \
    getppid getrandom getrlimit gettid getuid ioctl lseek lstat madvise mmap mprotect mremap \
    munmap nanosleep newfstatat open openat openat2 pipe pipe2 poll ppoll prctl pread64 \
    prlimit64 pselect6 read readlink readlinkat recvfrom recvmsg rseq rt_sigaction \
    rt_sigprocmask rt_sigreturn sched_yield select set_robust_list set_tid_address setgid \
    setgroups setpgid setresgid setresuid setuid sigaltstack stat statx tgkill umask uname vfork \
    wait4 write writev";

fn default_errno_unsupported(case: &Case<'_>) -> Outcome {
    needs_seccomp()?;
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["seccomp"] =
        json!({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 28});
    refused_by_start(case, bundle)
}

/// Fails if a container runs: its filter may be looked at by `create` or by `start`.
fn refused_by_start(case: &Case<'_>, mut bundle: crate::bundle::Bundle) -> Outcome {
    bundle.script("echo ran > /tmp/ran");
    let container = case.attempt(&bundle, &crate::case::Around::default())?;
    if container.answer.ok {
        container.operation("start")?.error()?;
    }
    ensure!(!bundle.rootfs().join("tmp/ran").is_file(), "the program ran");
    Ok(())
}

fn architectures(case: &Case<'_>) -> Outcome {
    let names = [
        "X86",
        "X86_64",
        "X32",
        "ARM",
        "AARCH64",
        "MIPS",
        "MIPS64",
        "MIPS64N32",
        "MIPSEL",
        "MIPSEL64",
        "MIPSEL64N32",
        "PPC",
        "PPC64",
        "PPC64LE",
        "S390",
        "S390X",
        "PARISC",
        "PARISC64",
        "RISCV64",
        "LOONGARCH64",
        "M68K",
        "SH",
        "SHEB",
    ]
    .map(|name| format!("SCMP_ARCH_{name}"));
    with_architectures(case, &names.each_ref().map(String::as_str))
}

fn every_name(case: &Case<'_>) -> Outcome {
    let names = ["mkdir", "mkdirat", "symlink", "symlinkat", "no_such_call_anywhere"];
    let rule = json!({"names": names, "action": "SCMP_ACT_ERRNO"});
    let script = "/bin/mkdir /tmp/new 2>/dev/null; echo $?; /bin/busybox ln -s a /tmp/link \
        2>/dev/null; echo $?; /bin/touch /tmp/file; echo $?";
    let seen = filtered(case, json!({"syscalls": [rule]}), script)?;
    equal("the statuses", seen.as_str(), "1\n1\n0\n")
}

fn unknown_action(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["seccomp"] = with_default(mkdir(&json!({"action": "SCMP_ACT_MOON"})));
    case.refused(&bundle)
}

fn rule_errno(case: &Case<'_>) -> Outcome {
    let rule = json!({"action": "SCMP_ACT_ERRNO", "errnoRet": 28});
    refusal(case, &rule, "No space left on device")
}

fn rule_errno_unsupported(case: &Case<'_>) -> Outcome {
    needs_seccomp()?;
    for name in ["SCMP_ACT_KILL", "SCMP_ACT_LOG"] {
        let mut bundle = case.bundle()?;
        let rule = json!({"action": name, "errnoRet": 28});
        bundle.config["linux"]["seccomp"] = with_default(mkdir(&rule));
        about(name, refused_by_start(case, bundle))?;
    }
    Ok(())
}

fn index(case: &Case<'_>) -> Outcome {
    // The shell is process 1 of its namespace and sends itself signal 18.
    let of = |index: u32, value: u64| {
        let args = json!([{"index": index, "value": value, "op": "SCMP_CMP_EQ"}]);
        filtered(case, kill(&args), "kill -18 $$ 2>/dev/null; echo $?")
    };
    for (index, value, wanted) in [(0, 1, "1\n"), (0, 18, "0\n"), (1, 18, "1\n"), (1, 1, "0\n")] {
        let what = format!("the status where argument {index} is compared with {value}");
        equal(&what, of(index, value)?.as_str(), wanted)?;
    }
    Ok(())
}

fn all_arguments(case: &Case<'_>) -> Outcome {
    let args = json!([
        {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
        {"index": 1, "value": 18, "op": "SCMP_CMP_EQ"},
    ]);
    let script = "for s in 18 23; do kill -$s $$ 2>/dev/null; echo $?; done";
    equal("the statuses", filtered(case, kill(&args), script)?.as_str(), "1\n0\n")
}
