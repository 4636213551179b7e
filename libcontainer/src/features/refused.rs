//! Parts of the runtime-spec that keel knows but cannot apply yet. Each is refused with its
//! pointer: a control that is configured and silently missing would be worse than no container.

use super::Context;

/// Reports every part that cannot be applied.
pub fn check(cx: &mut Context<'_>) {
    let (linux, process) = (cx.linux, cx.process);
    let parts = [
        (linux.seccomp.is_some(), "/linux/seccomp", "seccomp profiles"),
        (linux.intel_rdt.is_some(), "/linux/intelRdt", "Intel RDT"),
        (linux.memory_policy.is_some(), "/linux/memoryPolicy", "memory policies"),
        (linux.personality.is_some(), "/linux/personality", "execution domains"),
        (linux.mount_label.is_some(), "/linux/mountLabel", "SELinux labels"),
        (!linux.net_devices.is_empty(), "/linux/netDevices", "network devices"),
        (!linux.time_offsets.is_empty(), "/linux/timeOffsets", "time offsets"),
        (process.apparmor_profile.is_some(), "/process/apparmorProfile", "AppArmor profiles"),
        (process.selinux_label.is_some(), "/process/selinuxLabel", "SELinux labels"),
        (process.scheduler.is_some(), "/process/scheduler", "scheduling policies"),
        (process.io_priority.is_some(), "/process/ioPriority", "I/O priorities"),
    ];
    for (present, pointer, what) in parts {
        if present {
            cx.fault(pointer, format!("{what} are not supported yet"));
        }
    }
}
