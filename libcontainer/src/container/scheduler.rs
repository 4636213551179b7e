//! Scheduling init, sched_setattr(2), and what the kernel's refusal means.

use libcontainer_init::sys::scheduler::{self, Attributes, DEADLINE, FIFO, RR};

use crate::error::{Result, call};
use crate::features::scheduler::words;

/// Schedules a process that is in its cgroup and on its CPUs; with pid 0 this thread, which has not the
/// right to schedule others.
pub(super) fn set(pid: i32, attributes: &Attributes) -> Result<()> {
    scheduler::set(pid, attributes).map_err(|failure| {
        let why = match (failure.errno.0, attributes.policy) {
            (libc::EPERM, _) if pid == 0 => " (without CAP_SYS_NICE)",
            (libc::EPERM, FIFO | RR) => {
                " (on cgroup v1, without a realtimeRuntime in /linux/resources/cpu)"
            }
            (libc::EPERM, DEADLINE) => " (on fewer CPUs than there are)",
            (libc::EBUSY, DEADLINE) => " (others have the time)",
            (libc::EINVAL, DEADLINE) => {
                " (outside of the limits in /proc/sys/kernel/sched_deadline_period_*)"
            }
            (libc::EOPNOTSUPP, _) => " (without utilization clamping in the kernel)",
            _ => "",
        };
        call(format!("cannot run under {}{why}", words(attributes)), failure)
    })
}
