//! Parts of the runtime-spec that keel knows but cannot apply yet. Each is refused with its
//! pointer: a control that is configured and silently missing would be worse than no container.

use super::Context;
use crate::spec::{Linux, Process};

/// A part: its pointer, its name, and whether a configuration has it.
type Part = (&'static str, &'static str, fn(&Linux, &Process) -> bool);

const PARTS: [Part; 1] =
    [("/linux/mountLabel", "SELinux labels of mounts", |linux, _| linux.mount_label.is_some())];

/// Reports every part that cannot be applied.
pub fn check(cx: &mut Context<'_>) {
    for (pointer, what, present) in PARTS {
        if present(cx.linux, cx.process) {
            cx.fault(pointer, format!("{what} are not supported yet"));
        }
    }
}

/// Whether the part with this pointer can be applied: then it is not refused here.
pub fn can_apply(pointer: &str) -> bool {
    PARTS.iter().all(|(refused, ..)| *refused != pointer)
}
