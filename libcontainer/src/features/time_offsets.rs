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
use crate::spec::annotations::CLOCKS;
use crate::steps::Steps;
use crate::task::Task;

const POINTER: &str = "/linux/timeOffsets";
const ANNOTATION: &str = "/annotations/run.oci.timens_offset";
/// Clocks that can be moved.
const CLOCKS_THAT_MOVE: [&str; 2] = ["monotonic", "boottime"];

/// `/linux/timeOffsets`: known clocks, of a time namespace that is new.
pub fn check(cx: &mut Context<'_>, namespaces: &Namespaces) -> Vec<String> {
    let mut lines = Vec::new();
    for (clock, offset) in &cx.linux.time_offsets {
        let pointer = format!("/linux/timeOffsets/{}", clock.replace('~', "~0").replace('/', "~1"));
        let (secs, nanosecs) = (offset.secs.unwrap_or(0), offset.nanosecs.unwrap_or(0));
        if !CLOCKS_THAT_MOVE.contains(&clock.as_str()) {
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
    let mut pointer = POINTER;
    if let Some(text) = cx.spec.annotations.get(CLOCKS) {
        pointer = ANNOTATION;
        if !cx.linux.time_offsets.is_empty() {
            cx.fault(ANNOTATION, "there are offsets in /linux/timeOffsets as well");
        }
        match text.lines().map(line).collect::<Option<Vec<_>>>() {
            Some(given) => lines.extend(given),
            None => {
                cx.fault(ANNOTATION, "this is not CLOCK SECONDS NANOSECONDS");
                return lines;
            }
        }
    }
    if (pointer == ANNOTATION || !cx.linux.time_offsets.is_empty()) && !namespaces.creates(NEWTIME)
    {
        let message = match namespaces.joins(NEWTIME) {
            Some(_) => "a joined time namespace keeps its own offsets",
            None => "time offsets need a time namespace in /linux/namespaces",
        };
        cx.fault(pointer, message);
    }
    lines
}

/// A line of the annotation: a clock by name or number, seconds, nanoseconds.
fn line(text: &str) -> Option<String> {
    let [clock, secs, nanosecs] = text.split_whitespace().collect::<Vec<_>>()[..] else {
        return None;
    };
    let clock = match clock {
        "1" => CLOCKS_THAT_MOVE[0],
        "7" => CLOCKS_THAT_MOVE[1],
        name => CLOCKS_THAT_MOVE.into_iter().find(|known| *known == name)?,
    };
    let secs: i64 = secs.parse().ok()?;
    let nanosecs = nanosecs.parse().ok().filter(|nanosecs: &u32| *nanosecs <= 999_999_999)?;
    Some(format!("{clock} {secs} {nanosecs}"))
}

/// Goes on in the time namespace that init has made; whether there is one, and the two have met.
pub fn enter(config: &Config, steps: &mut Steps) -> bool {
    if !config.namespaces.creates(NEWTIME) {
        return false;
    }
    let pointer = match config.time_offsets.is_empty() {
        true => "/linux/namespaces",
        false if config.annotations.contains_key(CLOCKS) => ANNOTATION,
        false => POINTER,
    };
    steps.phase("clocks");
    let into = steps.slot("the time namespace");
    let task = Task::TimeOffsets { offsets: config.time_offsets.clone(), into };
    steps.runtime(pointer, task);
    steps.phase("time");
    let step = Step::JoinNamespace { namespace: into, kind: NEWTIME, keep_groups: false };
    steps.init("/linux/namespaces", step);
    true
}
