//! Resource limits and the score for the out-of-memory killer.

use libcontainer_init::step::Step;
use libcontainer_init::sys::limit::Limit;

use super::Context;
use crate::config::Config;
use crate::steps::Steps;
use crate::task::Task;

/// Names by number, getrlimit(2); the same on every architecture here.
pub const NAMES: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

/// `/process/rlimits`: known names, each once, soft not above hard.
pub fn check(cx: &mut Context<'_>) -> Vec<(u32, Limit)> {
    let mut limits: Vec<(u32, Limit)> = Vec::new();
    for (i, limit) in cx.process.rlimits.iter().enumerate() {
        let pointer = format!("/process/rlimits/{i}");
        let Some(resource) = NAMES.iter().position(|name| *name == limit.kind) else {
            cx.fault(format!("{pointer}/type"), format!("unknown limit \"{}\"", limit.kind));
            continue;
        };
        if limits.iter().any(|(known, _)| *known == resource as u32) {
            cx.fault(format!("{pointer}/type"), format!("{} is there twice", limit.kind));
        }
        if limit.soft > limit.hard {
            let (soft, hard) = (limit.soft, limit.hard);
            cx.fault(&pointer, format!("the soft limit {soft} is above the hard limit {hard}"));
        }
        limits.push((resource as u32, Limit { soft: limit.soft, hard: limit.hard }));
    }
    limits
}

/// `/process/oomScoreAdj`.
pub fn check_oom_score(cx: &mut Context<'_>) -> Option<i32> {
    let value = cx.process.oom_score_adj?;
    match i32::try_from(value) {
        Ok(value @ -1000..=1000) => Some(value),
        _ => {
            cx.fault("/process/oomScoreAdj", format!("{value} is not between -1000 and 1000"));
            None
        }
    }
}

/// What needs the runtime's privileges: raising hard limits, and the score.
pub fn raise(config: &Config, steps: &mut Steps) {
    if let Some(value) = config.process.oom_score_adj {
        steps.runtime("/process/oomScoreAdj", Task::OomScore { value });
    }
    for (i, (resource, limit)) in config.process.limits.iter().enumerate() {
        let task = Task::RaiseLimit { resource: *resource, hard: limit.hard };
        steps.runtime(format!("/process/rlimits/{i}"), task);
    }
}

/// The limits themselves, last: a low one would hinder init.
pub fn set(config: &Config, steps: &mut Steps) {
    for (i, (resource, limit)) in config.process.limits.iter().enumerate() {
        let Limit { soft, hard } = *limit;
        steps
            .init(format!("/process/rlimits/{i}"), Step::Limit { resource: *resource, soft, hard });
    }
}
