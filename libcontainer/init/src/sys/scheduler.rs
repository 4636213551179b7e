//! sched_setattr(2): policy, nice value, priority, and the times of SCHED_DEADLINE.

use super::raw::{self, Nr, Result, address};

/// `SCHED_OTHER`, sched(7).
pub const OTHER: u32 = 0;
/// `SCHED_FIFO`.
pub const FIFO: u32 = 1;
/// `SCHED_RR`.
pub const RR: u32 = 2;
/// `SCHED_BATCH`.
pub const BATCH: u32 = 3;
/// `SCHED_IDLE`.
pub const IDLE: u32 = 5;
/// `SCHED_DEADLINE`.
pub const DEADLINE: u32 = 6;

/// Children begin with the usual policy again; without it a process under [`DEADLINE`] has none.
pub const RESET_ON_FORK: u64 = 0x01;
/// Unused time of others under [`DEADLINE`] is taken.
pub const RECLAIM: u64 = 0x02;
/// SIGXCPU tells of an overrun under [`DEADLINE`].
pub const DL_OVERRUN: u64 = 0x04;
/// The policy stays.
pub const KEEP_POLICY: u64 = 0x08;
/// The parameters of the policy stay.
pub const KEEP_PARAMS: u64 = 0x10;
/// The lower bound of the utilization is set, to 0.
pub const UTIL_CLAMP_MIN: u64 = 0x20;
/// The upper bound of the utilization is set, to 0.
pub const UTIL_CLAMP_MAX: u64 = 0x40;

/// How a process is scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    /// The policy.
    pub policy: u32,
    /// Flags.
    pub flags: u64,
    /// The nice value, of the policies that have one.
    pub nice: i32,
    /// The priority, of the real-time policies.
    pub priority: u32,
    /// Nanoseconds of work in a period, for [`DEADLINE`].
    pub runtime: u64,
    /// Nanoseconds until the work must be done.
    pub deadline: u64,
    /// Nanoseconds of a period; 0 is as long as the deadline.
    pub period: u64,
}

/// `struct sched_attr`, with the bounds of the utilization.
#[repr(C)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
    util_min: u32,
    util_max: u32,
}

/// Schedules a process so; pid 0 is this one.
pub fn set(pid: i32, attributes: &Attributes) -> Result<()> {
    let Attributes { policy, flags, nice, priority, runtime, deadline, period } = *attributes;
    let size = size_of::<SchedAttr>() as u32;
    let attr = SchedAttr {
        size,
        policy,
        flags,
        nice,
        priority,
        runtime,
        deadline,
        period,
        util_min: 0,
        util_max: 0,
    };
    // SAFETY: see the module `sys`; the object tells its own length.
    unsafe { raw::call(Nr::SchedSetattr, [pid as usize, address(&raw const attr), 0, 0, 0, 0]) }
        .map(drop)
}
