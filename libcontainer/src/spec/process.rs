//! The process of a container: who it is, what it runs and what it may do.
//!
//! The model of `process` in `config.json` (config.md, "Process"), which is also the document that
//! `exec --process` reads. Plain data for the features' checks; it must never decide what a name
//! of a capability, limit or policy means.

use super::lenient;
use super::record::record;
use crate::error::Error;

record! {
    /// `process`: the program and its attributes (config.md, "Process").
    Process {
        /// Whether the process gets a pseudoterminal as its standard streams. Default: no.
        terminal: bool = optional "terminal",
        /// Size of that terminal. Default: left to the kernel. Ignored without a terminal.
        console_size: Option<ConsoleSize> = optional "consoleSize",
        /// User and groups inside the container. Default: root, no further groups.
        user: User = always "user",
        /// Argument vector; the first entry names the program. At least one is required.
        args: Vec<String> = optional "args",
        /// Environment as `NAME=value`. Default: empty.
        env: Vec<String> = optional "env",
        /// Working directory, an absolute path inside the container. Required.
        cwd: String = always "cwd",
        /// Capability sets. Default: none is kept.
        capabilities: Option<Capabilities> = optional "capabilities",
        /// Resource limits of the process, each type at most once. Default: inherited.
        rlimits: Vec<Rlimit> = optional "rlimits",
        /// Whether `execve` may grant no privileges (`PR_SET_NO_NEW_PRIVS`). Default: it may.
        no_new_privileges: bool = optional "noNewPrivileges",
        /// Name of the AppArmor profile. Default: no change.
        apparmor_profile: Option<String> = optional "apparmorProfile",
        /// Value for `oom_score_adj`, -1000 to 1000. Default: no change.
        oom_score_adj: Option<i64> = optional "oomScoreAdj",
        /// CPU scheduling (config.md, "Linux Process"). Default: inherited.
        scheduler: Option<Scheduler> = optional "scheduler",
        /// SELinux label of the process. Default: no change.
        selinux_label: Option<String> = optional "selinuxLabel",
        /// I/O scheduling class and level. Default: inherited.
        io_priority: Option<IoPriority> = optional "ioPriority",
        /// CPUs for processes that join the container later. Default: the container's.
        exec_cpu_affinity: Option<CpuAffinity> = optional "execCPUAffinity",
    }

    /// `process.consoleSize`: the size of a terminal, in characters.
    ConsoleSize {
        /// Rows.
        height: u64 = always "height",
        /// Columns.
        width: u64 = always "width",
    }

    /// `process.user`: ids inside the container (config.md, "POSIX-platform User").
    User {
        /// User id. Default: 0.
        uid: u32 = always "uid",
        /// Group id. Default: 0.
        gid: u32 = always "gid",
        /// File mode creation mask. Default: the caller's.
        umask: Option<u32> = optional "umask",
        /// Supplementary groups. Default: none.
        additional_gids: Vec<u32> = optional "additionalGids",
    }

    /// `process.capabilities`: five sets of names such as `CAP_CHOWN`, see capabilities(7).
    /// A set that is absent is empty.
    Capabilities {
        /// The most that any program of the container can get.
        bounding: Vec<String> = optional "bounding",
        /// What the kernel checks.
        effective: Vec<String> = optional "effective",
        /// What a program with inheritable file capabilities keeps.
        inheritable: Vec<String> = optional "inheritable",
        /// What the process may make effective.
        permitted: Vec<String> = optional "permitted",
        /// What an ordinary program keeps over `execve`.
        ambient: Vec<String> = optional "ambient",
    }

    /// One of `process.rlimits`: a limit as of setrlimit(2) (config.md, "POSIX process").
    Rlimit {
        /// Name of the resource, such as `RLIMIT_NOFILE`.
        kind: String = always "type",
        /// The ceiling of the soft limit, in the resource's unit.
        hard: u64 = always "hard",
        /// The limit that is enforced, in the resource's unit.
        soft: u64 = always "soft",
    }

    /// `process.scheduler`: arguments of sched_setattr(2).
    Scheduler {
        /// Name of the policy, such as `SCHED_FIFO`. Required.
        policy: String = always "policy",
        /// Nice value, -20 to 19. Default: 0.
        nice: Option<i32> = optional "nice",
        /// Static priority of real-time policies, 1 to 99. Default: 0.
        priority: Option<i32> = optional "priority",
        /// Names such as `SCHED_FLAG_RESET_ON_FORK`. Default: none.
        flags: Vec<String> = optional "flags",
        /// Time of work in a period, in nanoseconds, for `SCHED_DEADLINE`. Default: 0.
        runtime: Option<u64> = optional "runtime",
        /// Time until the work must be done, in nanoseconds. Default: 0.
        deadline: Option<u64> = optional "deadline",
        /// Length of a period, in nanoseconds. Default: 0.
        period: Option<u64> = optional "period",
    }

    /// `process.ioPriority`: arguments of ioprio_set(2).
    IoPriority {
        /// Name of the class, such as `IOPRIO_CLASS_BE`. Required.
        class: String = always "class",
        /// Level inside the class, 0 (first) to 7 (last).
        priority: i32 = always "priority",
    }

    /// `process.execCPUAffinity`: lists of CPUs such as `0-3,7`, for `exec` only.
    CpuAffinity {
        /// CPUs before the process enters the container's cgroup. Default: no change.
        initial: Option<String> = optional "initial",
        /// CPUs afterwards. Default: left to the kernel.
        last: Option<String> = optional "final",
    }
}

impl Process {
    /// Reads the document of `exec --process`, as tolerant as [`Spec::parse`]. Faults point below
    /// `/process`, where the same object stands in `config.json`.
    ///
    /// [`Spec::parse`]: super::Spec::parse
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        lenient::parse(text, "the process document", "/process")
    }
}
