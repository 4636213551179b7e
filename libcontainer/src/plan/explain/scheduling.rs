//! Words about where and when init runs: its start, CPUs, memory, and clocks.

use libcontainer_init::step::Step;
use libcontainer_init::wire::Numbers;

use super::{Words, kinds};
use crate::features::{affinity, io_priority, memory_policy, namespaces, personality, scheduler};
use crate::task::{Inherited, Task};

/// The start of init.
pub(super) fn spawn(task: &Task) -> String {
    let Task::Spawn { namespaces, join, into_cgroup, inherited, .. } = task else {
        return String::new();
    };
    let Inherited { affinity, scheduler, io_priority, personality } = inherited;
    let mut text = format!("start init{}", kinds(" in new ", *namespaces));
    for joined in join {
        let kind = namespaces::name(joined.kind);
        text += &format!(", in the {kind} namespace {}", joined.path.display());
    }
    if *into_cgroup {
        text += ", in its cgroup";
    }
    if !affinity.is_empty() {
        text += &format!(", on CPUs {}", affinity::list(affinity));
    }
    if let Some(priority) = io_priority {
        text += &format!(", with the I/O priority {}", io_priority::words(*priority));
    }
    if let Some(domain) = personality {
        text += &format!(", in the execution domain {}", personality::name(*domain));
    }
    if let Some(scheduler) = scheduler {
        text += &format!(", under {}", scheduler::words(scheduler));
    }
    text
}

/// The clocks of a new time namespace.
pub(super) fn clocks(offsets: &[String]) -> String {
    match offsets {
        [] => "open the new time namespace".to_owned(),
        offsets => format!("set the time offsets \"{}\"", offsets.join(", ")),
    }
}

impl Words<'_> {
    /// Steps about CPUs and memory.
    pub(super) fn scheduling_step(&self, step: &Step) -> String {
        match *step {
            Step::CpuAffinity { mask } => {
                format!("run on CPUs {}", affinity::list(&self.mask(mask)))
            }
            Step::MemoryPolicy { mode, nodes } => {
                let words = memory_policy::words(mode, &self.mask(nodes));
                format!("set the memory policy {words}")
            }
            _ => step.name().to_owned(),
        }
    }

    fn mask(&self, mask: Numbers) -> Vec<u32> {
        let word = |i| self.bytes.as_ref().and_then(|bytes| bytes.number(mask, i));
        (0..mask.count).filter_map(word).collect()
    }
}
