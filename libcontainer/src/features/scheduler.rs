//! `/process/scheduler`: policy, nice value, priority, and the times of SCHED_DEADLINE.
//!
//! Real-time policies and negative nice values want CAP_SYS_NICE in the host's user namespace, which
//! the runtime has and the container's root may not. So the runtime schedules init, once that is in
//! its cgroup (which must have time for real-time processes), on its last CPUs, and has forked for
//! the last time. Without the capability the runtime may do no more than any process to itself: then
//! init is born with it ([`Task::Spawn`]).

use libcontainer_init::sys::scheduler::{
    Attributes, BATCH, DEADLINE, DL_OVERRUN, FIFO, IDLE, KEEP_PARAMS, KEEP_POLICY, OTHER, RECLAIM,
    RESET_ON_FORK, RR, UTIL_CLAMP_MAX, UTIL_CLAMP_MIN,
};

use super::Context;
use crate::config::Config;
use crate::error::Fault;
use crate::spec::Scheduler;
use crate::steps::Steps;
use crate::task::Task;

const POINTER: &str = "/process/scheduler";

/// The policies of the specification that a kernel has, sched(7).
const POLICIES: [(&str, u32); 6] = [
    ("SCHED_OTHER", OTHER),
    ("SCHED_FIFO", FIFO),
    ("SCHED_RR", RR),
    ("SCHED_BATCH", BATCH),
    ("SCHED_IDLE", IDLE),
    ("SCHED_DEADLINE", DEADLINE),
];

/// Names of flags, sched_setattr(2).
const FLAGS: [(&str, u64); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", RESET_ON_FORK),
    ("SCHED_FLAG_RECLAIM", RECLAIM),
    ("SCHED_FLAG_DL_OVERRUN", DL_OVERRUN),
    ("SCHED_FLAG_KEEP_POLICY", KEEP_POLICY),
    ("SCHED_FLAG_KEEP_PARAMS", KEEP_PARAMS),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", UTIL_CLAMP_MIN),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", UTIL_CLAMP_MAX),
];

/// `/process/scheduler`: what the kernel would refuse is a fault, what it would ignore a warning.
pub fn check(cx: &mut Context<'_>) -> Option<Attributes> {
    let given = cx.process.scheduler.as_ref()?;
    let policy = policy(cx, &given.policy);
    let flags = flags(cx, &given.flags, policy);
    check_nice(cx, given, policy);
    let policy = policy?;
    let priority = priority(cx, given, policy);
    if policy == DEADLINE {
        check_times(cx, given);
    } else {
        refuse_times(cx, given);
    }
    Some(Attributes {
        policy,
        flags,
        nice: given.nice.unwrap_or(0),
        priority,
        runtime: given.runtime.unwrap_or(0),
        deadline: given.deadline.unwrap_or(0),
        period: given.period.unwrap_or(0),
    })
}

fn policy(cx: &mut Context<'_>, name: &str) -> Option<u32> {
    let known = POLICIES.iter().find(|(known, _)| *known == name).map(|(_, policy)| *policy);
    if known.is_none() {
        let message = match name {
            "" => "the policy is missing".to_owned(),
            "SCHED_ISO" => "no kernel has the policy SCHED_ISO".to_owned(),
            _ => format!("unknown scheduling policy \"{name}\""),
        };
        cx.fault(format!("{POINTER}/policy"), message);
    }
    known
}

fn flags(cx: &mut Context<'_>, names: &[String], policy: Option<u32>) -> u64 {
    const OF_DEADLINE: u64 = RECLAIM | DL_OVERRUN;
    let mut flags = 0;
    for (i, name) in names.iter().enumerate() {
        let pointer = format!("{POINTER}/flags/{i}");
        match FLAGS.iter().find(|(known, _)| known == name) {
            Some((_, flag)) => {
                flags |= flag;
                if *flag == RESET_ON_FORK && !cx.host.may_schedule {
                    // Init is born with the rest, and that is a fork.
                    cx.fault(pointer.as_str(), format!("{name} needs the capability CAP_SYS_NICE"));
                }
                if flag & OF_DEADLINE != 0 && policy.is_some_and(|policy| policy != DEADLINE) {
                    cx.warn(pointer, format!("{name} has no effect without SCHED_DEADLINE"));
                }
            }
            None => cx.fault(pointer, format!("unknown scheduling flag \"{name}\"")),
        }
    }
    flags
}

fn check_nice(cx: &mut Context<'_>, given: &Scheduler, policy: Option<u32>) {
    let nice = given.nice.unwrap_or(0);
    if !(-20..=19).contains(&nice) {
        cx.fault(format!("{POINTER}/nice"), format!("{nice} is not between -20 and 19"));
    } else if nice != 0 && policy.is_some_and(|policy| [FIFO, RR, DEADLINE].contains(&policy)) {
        let message = format!("a nice value has no effect under {}", given.policy);
        cx.warn(format!("{POINTER}/nice"), message);
    }
}

fn priority(cx: &mut Context<'_>, given: &Scheduler, policy: u32) -> u32 {
    let (priority, name) = (given.priority.unwrap_or(0), &given.policy);
    let message = match policy {
        FIFO | RR if !(1..=99).contains(&priority) => {
            format!("{priority} is not between 1 and 99, as {name} wants it")
        }
        FIFO | RR => return priority.unsigned_abs(),
        _ if priority != 0 => format!("{name} has no priority, only SCHED_FIFO and SCHED_RR have"),
        _ => return 0,
    };
    cx.fault(format!("{POINTER}/priority"), message);
    0
}

/// sched(7): runtime ≤ deadline ≤ period; a period of 0 is as long as the deadline. Further limits
/// are the host's, in /proc/sys/kernel/sched_deadline_period_{min,max}_us.
fn check_times(cx: &mut Context<'_>, given: &Scheduler) {
    /// The least that the kernel counts in, in nanoseconds.
    const LEAST: u64 = 1024;
    /// The highest bit has a meaning of its own.
    const MOST: u64 = u64::MAX >> 1;
    let times =
        [("runtime", given.runtime), ("deadline", given.deadline), ("period", given.period)];
    let [runtime, deadline, period] = times.map(|(_, time)| time.unwrap_or(0));
    for (name, time) in times {
        if time.is_some_and(|time| time > MOST) {
            cx.fault(format!("{POINTER}/{name}"), format!("more than {MOST} nanoseconds"));
        }
    }
    if runtime < LEAST {
        let message = format!("SCHED_DEADLINE needs a runtime of at least {LEAST} nanoseconds");
        cx.fault(format!("{POINTER}/runtime"), message);
    }
    if deadline < runtime || deadline == 0 {
        let message = format!("the deadline {deadline} is before the runtime {runtime} is over");
        cx.fault(format!("{POINTER}/deadline"), message);
    }
    if period != 0 && period < deadline {
        let message = format!("the period {period} ends before the deadline {deadline}");
        cx.fault(format!("{POINTER}/period"), message);
    }
}

fn refuse_times(cx: &mut Context<'_>, given: &Scheduler) {
    for (name, time) in
        [("runtime", given.runtime), ("deadline", given.deadline), ("period", given.period)]
    {
        if time.is_some_and(|time| time != 0) {
            let message = format!("{} has none, only SCHED_DEADLINE has", given.policy);
            cx.fault(format!("{POINTER}/{name}"), message);
        }
    }
}

/// By the runtime, where it has the right to schedule any process.
pub fn by_runtime(config: &Config, may_schedule: bool, steps: &mut Steps) {
    if let Some(attributes) = config.process.scheduler.filter(|_| may_schedule) {
        steps.runtime(POINTER, Task::Schedule { attributes });
    }
}

/// From its birth on, else: a thread may do to itself what its user may do to it.
pub fn at_birth(config: &Config, may_schedule: bool) -> Option<Attributes> {
    config.process.scheduler.filter(|_| !may_schedule)
}

/// A hook that init runs after that is a child, which a process under SCHED_DEADLINE cannot have.
pub fn check_hooks(config: &Config, steps: &mut Steps) {
    let childless = |scheduler: Attributes| {
        scheduler.policy == DEADLINE && scheduler.flags & RESET_ON_FORK == 0
    };
    if config.process.scheduler.is_some_and(childless) && !config.hooks.start_container.is_empty() {
        steps.faults.push(Fault {
            pointer: POINTER.to_owned(),
            message: "startContainer hooks cannot run under SCHED_DEADLINE without \
                      SCHED_FLAG_RESET_ON_FORK"
                .to_owned(),
        });
    }
}

/// The scheduling, for people.
pub fn words(attributes: &Attributes) -> String {
    let Attributes { policy, flags, nice, priority, runtime, deadline, period } = *attributes;
    let name = POLICIES.iter().find(|(_, known)| *known == policy).map_or("", |(name, _)| *name);
    let mut text = name.to_owned();
    match policy {
        FIFO | RR => text += &format!(" at priority {priority}"),
        DEADLINE => {
            let period = if period == 0 { deadline } else { period };
            text += &format!(", {runtime} ns of each {period} ns within {deadline} ns");
        }
        _ => text += &format!(" at nice {nice}"),
    }
    for (name, _) in FLAGS.iter().filter(|(_, flag)| flags & flag != 0) {
        text += &format!(", {name}");
    }
    text
}
