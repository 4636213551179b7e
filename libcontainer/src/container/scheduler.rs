//! Scheduling init, sched_setattr(2), and what the kernel's refusal means.

use libcontainer_init::sys::scheduler::{self, Attributes, DEADLINE, FIFO, RR};

use crate::error::{Result, call};
use crate::features::scheduler::words;

/// Schedules a process, which is in its cgroup and on its CPUs.
pub(super) fn set(pid: i32, attributes: &Attributes) -> Result<()> {
    scheduler::set(pid, attributes).map_err(|failure| {
        let why = match (failure.errno.0, attributes.policy) {
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
