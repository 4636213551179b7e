//! The filter of system calls of a container.
//!
//! The model of `linux.seccomp` in `config.json` (config-linux.md, "Seccomp"). Names of actions,
//! architectures, operators and system calls stay strings, for the compiler of filters to judge.

use super::record::record;

record! {
    /// `linux.seccomp`: what happens at which system call (config-linux.md, "Seccomp").
    Seccomp {
        /// Action for what no rule matches, such as `SCMP_ACT_ERRNO`. Required.
        default_action: String = always "defaultAction",
        /// Errno of that action. Default: `EPERM`.
        default_errno_ret: Option<u32> = optional "defaultErrnoRet",
        /// Names such as `SCMP_ARCH_X86_64`. Default: the machine's own.
        architectures: Vec<String> = optional "architectures",
        /// Names of flags of seccomp(2), such as `SECCOMP_FILTER_FLAG_LOG`. Default: none.
        flags: Vec<String> = optional "flags",
        /// Socket to which the filter's descriptor is sent, for `SCMP_ACT_NOTIFY`. Default: none.
        listener_path: Option<String> = optional "listenerPath",
        /// Text that is sent along. Default: none.
        listener_metadata: Option<String> = optional "listenerMetadata",
        /// The rules.
        syscalls: Vec<Syscall> = optional "syscalls",
    }

    /// One of `linux.seccomp.syscalls`: a rule for some system calls.
    Syscall {
        /// Names of the system calls; at least one.
        names: Vec<String> = always "names",
        /// Action if the arguments match, such as `SCMP_ACT_ALLOW`. Required.
        action: String = always "action",
        /// Errno, or the tracer's message, of the action. Default: `EPERM`.
        errno_ret: Option<u32> = optional "errnoRet",
        /// Conditions on the arguments. Default: none, the rule matches every call.
        args: Vec<SyscallArg> = optional "args",
    }

    /// One of `linux.seccomp.syscalls[].args`: a condition on one argument.
    SyscallArg {
        /// Which argument, from 0 to 5.
        index: u32 = always "index",
        /// What to compare with, or the mask of `SCMP_CMP_MASKED_EQ`.
        value: u64 = always "value",
        /// What the masked argument must equal. Default: 0.
        value_two: Option<u64> = optional "valueTwo",
        /// Name of the comparison, such as `SCMP_CMP_EQ`. Required.
        op: String = always "op",
    }
}
