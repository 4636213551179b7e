//! On which CPUs the process runs, and on which nodes its memory lies.

use super::{Done, Init};
use crate::sys::{memory_policy, process};
use crate::wire::Numbers;

/// CPUs or nodes that fit, in words of 32: more than any kernel has.
const MOST: usize = 512;

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
