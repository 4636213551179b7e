//! `/process/ioPriority`: class and level of input and output.
//!
//! Init is born with it ([`Task::Spawn`](crate::task::Task::Spawn)), whatever its user may do.

use libcontainer_init::sys::io_priority::{BE, IDLE, RT};

use super::Context;
use crate::config::IoPriority;

/// The classes of the specification, ioprio_set(2).
const CLASSES: [(&str, u32); 3] =
    [("IOPRIO_CLASS_RT", RT), ("IOPRIO_CLASS_BE", BE), ("IOPRIO_CLASS_IDLE", IDLE)];

/// `/process/ioPriority`.
pub fn check(cx: &mut Context<'_>) -> Option<IoPriority> {
    let given = cx.process.io_priority.as_ref()?;
    let class = CLASSES.iter().find(|(name, _)| *name == given.class).map(|(_, class)| *class);
    if class.is_none() {
        let message = match given.class.as_str() {
            "" => "the class is missing".to_owned(),
            class => format!("unknown class of I/O priorities \"{class}\""),
        };
        cx.fault("/process/ioPriority/class", message);
    }
    let level = u32::try_from(given.priority).ok().filter(|level| *level <= 7);
    if level.is_none() {
        let message = format!("{} is not between 0 and 7", given.priority);
        cx.fault("/process/ioPriority/priority", message);
    }
    Some(IoPriority { class: class?, level: level? })
}

/// An I/O priority, for people.
pub fn words(priority: IoPriority) -> String {
    let class = CLASSES.iter().find(|(_, class)| *class == priority.class);
    format!("{} {}", class.map_or("", |(name, _)| *name), priority.level)
}
