//! Descriptors that the container inherits from the caller; every other one is closed.

use libcontainer_init::step::Step;
use libcontainer_init::wire::Slot;

use crate::config::Config;
use crate::steps::Steps;
use crate::task::Task;

/// The runtime hands them over.
pub fn hand_over(config: &Config, steps: &mut Steps) -> Slot {
    let count = config.process.preserved;
    let mut first = Slot::NONE;
    for i in 0..count {
        let slot = steps.slot(name(i));
        if i == 0 {
            first = slot;
        }
    }
    if count > 0 {
        steps.runtime("", Task::HandOver { first, count });
    }
    first
}

/// Where the one is that was handed over with this place among them.
pub fn slot(steps: &Steps, place: u32) -> Option<Slot> {
    let what = name(place);
    steps.slots.iter().find(|(_, known)| **known == what).map(|(slot, _)| *slot)
}

fn name(place: u32) -> String {
    format!("descriptor {} of the caller", place + 3)
}

/// Init gives them their numbers; what else it has open, exec closes.
pub fn place(config: &Config, steps: &mut Steps, first: Slot) {
    let count = config.process.preserved;
    let first = if count == 0 { Slot(0) } else { first };
    steps.init("", Step::PlaceDescriptors { first, count });
}
