//! `/linux/timeOffsets`: how far the clocks of a new time namespace are from the host's.
//!
//! A process that makes a time namespace, time_namespaces(7), is not in it: its children are. Until
//! somebody is, the offsets can be written. So init makes it, the runtime writes them and opens the
//! namespace, and init joins it; clone3(2) could not make it, as init shares its caller's memory
//! until it is executed.

use libcontainer_init::step::Step;
use libcontainer_init::sys::namespace::NEWTIME;

use super::Context;
use crate::config::{Config, Namespaces};
use crate::steps::Steps;
use crate::task::Task;

/// Clocks that can be moved.
const CLOCKS: [&str; 2] = ["monotonic", "boottime"];

/// `/linux/timeOffsets`: known clocks, of a time namespace that is new.
pub fn check(cx: &mut Context<'_>, namespaces: &Namespaces) -> Vec<String> {
    let mut lines = Vec::new();
    for (clock, offset) in &cx.linux.time_offsets {
        let pointer = format!("/linux/timeOffsets/{}", clock.replace('~', "~0").replace('/', "~1"));
        let (secs, nanosecs) = (offset.secs.unwrap_or(0), offset.nanosecs.unwrap_or(0));
        if !CLOCKS.contains(&clock.as_str()) {
            let message =
                format!("the clock \"{clock}\" cannot be moved, only monotonic and boottime");
            cx.fault(pointer, message);
        } else if nanosecs > 999_999_999 {
            let message = format!("{nanosecs} nanoseconds are more than a second");
            cx.fault(format!("{pointer}/nanosecs"), message);
        } else {
            lines.push(format!("{clock} {secs} {nanosecs}"));
        }
    }
    if !cx.linux.time_offsets.is_empty() && !namespaces.creates(NEWTIME) {
        let message = match namespaces.joins(NEWTIME) {
            Some(_) => "a joined time namespace keeps its own offsets",
            None => "time offsets need a time namespace in /linux/namespaces",
        };
        cx.fault("/linux/timeOffsets", message);
    }
    lines
}

/// Goes on in the time namespace that init has made; whether there is one, and the two have met.
pub fn enter(config: &Config, steps: &mut Steps) -> bool {
    if !config.namespaces.creates(NEWTIME) {
        return false;
    }
    let pointer =
        if config.time_offsets.is_empty() { "/linux/namespaces" } else { "/linux/timeOffsets" };
    steps.phase("clocks");
    let into = steps.slot("the time namespace");
    let task = Task::TimeOffsets { offsets: config.time_offsets.clone(), into };
    steps.runtime(pointer, task);
    steps.phase("time");
    steps.init("/linux/namespaces", Step::JoinNamespace { namespace: into, kind: NEWTIME });
    true
}
