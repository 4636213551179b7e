//! When and on what the process runs: policy, CPUs, and the nodes of its memory.

use super::{Done, Init};
use crate::message::{Cause, Refusal};
use crate::step::Step;
use crate::sys::scheduler::{self, Attributes};
use crate::sys::{memory_policy, process};
use crate::wire::Numbers;

/// CPUs or nodes that fit, in words of 32: more than any kernel has.
const MOST: usize = 512;

/// [`Step::Scheduler`], of this process.
pub(super) fn set_scheduler(step: &Step) -> Done {
    let Step::Scheduler { policy, flags, nice, priority, runtime, deadline, period } = *step else {
        return Err(Cause::Refused(Refusal::BadPlan));
    };
    let attributes = Attributes { policy, flags, nice, priority, runtime, deadline, period };
    Ok(scheduler::set(0, &attributes)?)
}

impl Init {
    pub(super) fn set_affinity(&self, mask: Numbers) -> Done {
        let mut words = [0; MOST];
        Ok(process::set_affinity(self.words(mask, &mut words)?)?)
    }

    pub(super) fn set_memory_policy(&self, mode: u32, nodes: Numbers) -> Done {
        let mut words = [0; MOST];
        Ok(memory_policy::set(mode, self.words(nodes, &mut words)?)?)
    }

    /// The words of a mask. The kernel takes what is there and adds zeros.
    fn words<'a>(&self, mask: Numbers, words: &'a mut [u32; MOST]) -> Done<&'a [u32]> {
        let count = (mask.count as usize).min(MOST);
        for (place, i) in words.iter_mut().zip(0..mask.count) {
            *place = self.number(mask, i)?;
        }
        Ok(words.get(..count).unwrap_or_default())
    }
}
