//! Laws that every plan obeys, whatever the configuration. Run on each plan: it costs microseconds,
//! and a choreography that breaks one is a bug that must not reach a container.

use std::collections::BTreeSet;

use libcontainer_init::perform::SLOTS;
use libcontainer_init::step::Step;
use libcontainer_init::wire::Slot;

use super::Meeting;
use crate::steps::Action;
use crate::task::Task;

/// Checks all laws; the error says which step breaks which.
pub(super) fn all(phases: &[Meeting]) -> Result<(), String> {
    let mut walk = Walk::default();
    for meeting in phases {
        for (number, entry) in (meeting.first..).zip(&meeting.phase.entries) {
            let checked = match &entry.action {
                Action::Runtime(task) => walk.runtime(task),
                Action::Init(step) => walk.init(step),
            };
            checked.map_err(|law| format!("step {number}: {law}"))?;
        }
        if let Some(slots) = &meeting.release {
            contiguous(slots)?;
            walk.filled.extend(slots);
        }
    }
    if walk.executed || walk.awaits_start {
        Ok(())
    } else {
        Err("the last step is none of Exec, AwaitStart and Finish".to_owned())
    }
}

/// A message's descriptors go into slots side by side.
fn contiguous(slots: &[Slot]) -> Result<(), String> {
    let side_by_side = slots.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1);
    if side_by_side { Ok(()) } else { Err("descriptors handed over are not side by side".into()) }
}

#[derive(Default)]
struct Walk {
    spawned: bool,
    executed: bool,
    /// The last step so far waits for the start.
    awaits_start: bool,
    entered_root: bool,
    user_switched: bool,
    /// Slots that hold a descriptor at this point of init's column.
    filled: BTreeSet<Slot>,
}

impl Walk {
    fn runtime(&mut self, task: &Task) -> Result<(), String> {
        let record_first = matches!(task, Task::Record) && self.spawned;
        if record_first {
            return Err("the record must be written before anything exists".to_owned());
        }
        self.spawned |= matches!(task, Task::Spawn { .. });
        Ok(())
    }

    fn init(&mut self, step: &Step) -> Result<(), String> {
        if self.executed {
            return Err("nothing can follow Exec or Finish".to_owned());
        }
        if !self.spawned {
            return Err("init does not exist yet".to_owned());
        }
        for slot in taken(step) {
            if !self.filled.remove(&slot) {
                return Err(format!("slot {} is empty", slot.0));
            }
        }
        if let Some(slot) = looked_at(step).find(|slot| !self.filled.contains(slot)) {
            return Err(format!("slot {} is empty", slot.0));
        }
        if let Some(slot) = filled(step)
            && (!self.filled.insert(slot) || usize::from(slot.0) >= SLOTS)
        {
            return Err(format!("slot {} cannot be filled", slot.0));
        }
        let needs_host = matches!(step, Step::OpenTree { .. } | Step::WriteProc { .. });
        if self.entered_root && needs_host {
            return Err("the host is out of reach after the root is entered".to_owned());
        }
        if self.user_switched && needs_privilege(step) {
            return Err("privileges are gone after the user is switched".to_owned());
        }
        self.entered_root |=
            matches!(step, Step::PivotRoot {} | Step::MoveRoot {} | Step::ChangeRoot {});
        self.user_switched |= matches!(step, Step::User { .. });
        self.awaits_start = matches!(step, Step::AwaitStart { .. });
        self.executed = matches!(step, Step::Exec {} | Step::Finish {});
        Ok(())
    }
}

/// Steps that only the container's root can perform.
fn needs_privilege(step: &Step) -> bool {
    matches!(
        step,
        Step::Mount { .. }
            | Step::Bind { .. }
            | Step::NotifySocket { .. }
            | Step::Mask { .. }
            | Step::Unmount { .. }
            | Step::ReadonlyPath { .. }
            | Step::ReadonlyRoot {}
            | Step::PivotRoot {}
            | Step::Device { .. }
            | Step::EnterCgroups { .. }
            | Step::BoundingSet { .. }
            | Step::Unshare { .. }
    )
}

/// Slots that the step empties.
fn taken(step: &Step) -> Vec<Slot> {
    let slot = match *step {
        Step::JoinNamespace { namespace, .. } => namespace,
        Step::AttachRoot { tree, .. } | Step::Bind { tree, .. } => tree,
        Step::UseRoot { dir } => dir,
        Step::MakeReadonly { mount } => mount,
        Step::Mount { otherwise, .. } => otherwise,
        Step::Close { slot } => slot,
        Step::SendNotifySocket { socket } => socket,
        Step::AwaitStart { listener } => listener,
        Step::EnterCgroups { first, count } | Step::PlaceDescriptors { first, count } => {
            return (0..count).map(|i| Slot(first.0 + i as u16)).collect();
        }
        _ => Slot::NONE,
    };
    if slot == Slot::NONE { Vec::new() } else { vec![slot] }
}

/// The slots that the step needs and leaves as they are.
fn looked_at(step: &Step) -> impl Iterator<Item = Slot> {
    let slot = match *step {
        Step::Mask { base, .. } | Step::ReadonlyPath { base, .. } => base,
        Step::WriteProc { procfs, .. } => procfs,
        Step::Hook { state, .. } => state,
        Step::NotifySocket { dir, .. } => dir,
        Step::Mount { server, .. } => server,
        _ => Slot::NONE,
    };
    let streams = match *step {
        Step::Hook { stdout, stderr, .. } => [stdout, stderr],
        _ => [Slot::NONE; 2],
    };
    [slot].into_iter().chain(streams).filter(|slot| *slot != Slot::NONE)
}

/// The slot that the step fills.
fn filled(step: &Step) -> Option<Slot> {
    match *step {
        Step::OpenTree { into, .. } | Step::NotifySocket { into, .. } => Some(into),
        Step::Mount { keep, .. } | Step::Bind { keep, .. } if keep != Slot::NONE => Some(keep),
        _ => None,
    }
}
