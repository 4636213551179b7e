//! The CPUs of a process that joins a running container: before it enters the container's cgroup, and
//! after.
//!
//! Only `exec` uses them (config.md, "Linux Process", execCPUAffinity); `create` checks them too, as
//! they stand in its configuration.

use libcontainer_init::step::Step;

use super::Context;
use crate::config::{Affinity, Config};
use crate::steps::Steps;

/// More CPUs than any kernel has.
const MOST: u32 = 8192;

/// `/process/execCPUAffinity`.
pub fn check(cx: &mut Context<'_>) -> Affinity {
    let Some(affinity) = &cx.process.exec_cpu_affinity else { return Affinity::default() };
    let mut mask = |field: &str, list: &Option<String>| {
        let list = list.as_deref().filter(|list| !list.is_empty())?;
        let mask = mask_of(list, MOST);
        if mask.is_none() {
            let message = format!("\"{list}\" is not a list of CPUs such as 0-3,7");
            cx.fault(format!("/process/execCPUAffinity/{field}"), message);
        }
        mask
    };
    let initial = mask("initial", &affinity.initial).unwrap_or_default();
    let last = mask("final", &affinity.last).unwrap_or_default();
    Affinity { initial, last }
}

/// A list of numbers below `most` as a mask: bit n % 32 of word n / 32 for number n, an even number of
/// words; nothing for what is no list.
pub fn mask_of(list: &str, most: u32) -> Option<Vec<u32>> {
    let mut mask: Vec<u32> = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last >= most {
            return None;
        }
        for number in first..=last {
            let word = number as usize / 32;
            if mask.len() <= word {
                mask.resize((word + 1).next_multiple_of(2), 0);
            }
            mask[word] |= 1 << (number % 32);
        }
    }
    Some(mask)
}

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Once the process is in the container's cgroup.
pub fn settle(config: &Config, steps: &mut Steps) {
    let last = &config.process.affinity.last;
    if !last.is_empty() {
        let mask = steps.numbers(last);
        steps.init("/process/execCPUAffinity/final", Step::CpuAffinity { mask });
    }
}

/// The numbers of a mask, for people.
pub fn list(mask: &[u32]) -> String {
    let bit = |cpu: &usize| mask[cpu / 32] >> (cpu % 32) & 1 == 1;
    let cpus: Vec<String> = (0..mask.len() * 32).filter(bit).map(|cpu| cpu.to_string()).collect();
    cpus.join(",")
}

#[cfg(test)]
mod tests {
    use super::{MOST, list};

    fn mask_of(text: &str) -> Option<Vec<u32>> {
        super::mask_of(text, MOST)
    }

    #[test]
    fn a_list_of_cpus_becomes_a_mask() {
        assert_eq!(mask_of("0"), Some(vec![1, 0]));
        assert_eq!(mask_of("0-3,7"), Some(vec![0b1000_1111, 0]));
        assert_eq!(mask_of("31-32,64"), Some(vec![1 << 31, 1, 1, 0]));
        assert_eq!(mask_of("1,1").as_deref().map(list).as_deref(), Some("1"));
        for bad in ["", ",", "a", "-1", "3-1", "0-", "+1", "0 ", "8192", "0-99999999"] {
            assert_eq!(mask_of(bad), None, "{bad:?}");
        }
    }
}
