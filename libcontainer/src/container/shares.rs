//! New shares of the level 3 cache and of memory bandwidth for a container that is there.
//!
//! Its class gets them, whoever else is in it. A container without one gets one of its own, and all
//! that runs in it goes there: resctrl knows threads, each of which is moved by itself, and what a
//! thread starts later is where the thread is. Called by `container::update` alone.

use std::collections::BTreeSet;
use std::fs;

use super::Container;
use crate::error::{Error, ErrorKind, Result};
use crate::features::intel_rdt;
use crate::host::Host;
use crate::resctrl::{Group, Made};
use crate::spec;

/// How often threads are looked for that were started meanwhile.
const ROUNDS: usize = 100;

/// Shares that `update` changes (config-linux.md, "IntelRdt"). What is absent or empty stays as it
/// is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shares {
    /// The line for the level 3 cache: `L3:0=7f0;1=1f`, bit masks by the number of the cache.
    pub l3_cache_schema: Option<String>,
    /// The line for memory bandwidth: `MB:0=20;1=70`, percents or, if the file system is mounted so,
    /// megabytes per second, by the number of the cache.
    pub mem_bw_schema: Option<String>,
}

/// How it was before.
#[derive(Debug)]
pub(super) enum Before {
    /// Its class had these values.
    Values(Group, String),
    /// There was no class of its own.
    NoClass(Group, Made),
}

impl Shares {
    pub(super) fn is_empty(&self) -> bool {
        let empty = |text: &Option<String>| text.as_ref().is_none_or(String::is_empty);
        empty(&self.l3_cache_schema) && empty(&self.mem_bw_schema)
    }

    /// The configuration that they change.
    pub(super) fn keep(&self, spec: &mut spec::IntelRdt) {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        spec.l3_cache_schema = given(&self.l3_cache_schema).or(spec.l3_cache_schema.take());
        spec.mem_bw_schema = given(&self.mem_bw_schema).or(spec.mem_bw_schema.take());
    }
}

impl Container {
    /// Gives its class these shares. Whoever holds the lock calls this.
    pub(super) fn give_shares(&mut self, shares: &Shares, host: &Host) -> Result<Before> {
        let mut wanted = spec::IntelRdt::default();
        shares.keep(&mut wanted);
        let mut faults = Vec::new();
        let plan = intel_rdt::own(&wanted, self.id.as_str(), host, &mut faults);
        let Some(plan) = plan.filter(|_| faults.is_empty()) else {
            return Err(Error::config(faults));
        };
        if let Some(group) = self.record.resctrl.clone() {
            let before = group.schemata()?;
            group.write_lines(&plan.limits)?;
            return Ok(Before::Values(group, before));
        }
        let group = Group::survey(&plan)?;
        self.record.resctrl = Some(group.clone());
        self.directory.write(&self.record)?;
        let mut made = Made::default();
        let done = group.make(&plan, &mut made).and_then(|()| self.enter_all(&group));
        let before = Before::NoClass(group, made);
        match done {
            Ok(()) => Ok(before),
            Err(error) => {
                self.take_shares_back(before);
                Err(error)
            }
        }
    }

    /// Moves every thread into a group. One that is not there yet by then was started by one that
    /// was not, and is found when they are looked for again.
    fn enter_all(&self, group: &Group) -> Result<()> {
        for _ in 0..ROUNDS {
            let inside = group.tasks()?;
            let all = self.processes()?.into_iter().flat_map(threads);
            let outside: BTreeSet<i32> = all.filter(|task| !inside.contains(task)).collect();
            if outside.is_empty() {
                return Ok(());
            }
            for task in outside {
                match group.enter(task) {
                    Err(error) if error.raw_errno() == Some(libc::ESRCH) => {}
                    result => result?,
                }
            }
        }
        let message = format!("the threads of container \"{}\" cannot all be found", self.id);
        Err(Error::new(ErrorKind::State, message))
    }

    /// Makes it as it was before. What cannot be taken back is told.
    pub(super) fn take_shares_back(&mut self, before: Before) {
        let done = match before {
            Before::Values(group, values) => group.write_schemata(&values),
            Before::NoClass(group, made) => group.take_back(&made).and_then(|()| {
                self.record.resctrl = None;
                self.directory.write(&self.record)
            }),
        };
        if let Err(error) = done {
            log::warn!("{error}");
        }
    }
}

/// The threads of a process; none of one that is gone.
fn threads(pid: i32) -> Vec<i32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
