//! A container's cgroup: made, limited, entered, asked, emptied and removed.
//!
//! ```text
//! Cgroup::survey(&plan)   looks; what it returns can be recorded before anything is made
//!   .prepare()            makes the directories, or none
//!   .apply(&plan)         writes the limits; when one cannot be set the directories go again
//!   .entry_files()        v1: `tasks` files for init, which writes 0 to each itself
//!   .unified_dir()        v2: the directory init is born in (CLONE_INTO_CGROUP)
//! ```
//!
//! [`Cgroup::create`] is the first three in one. A [`Cgroup`] is the record of all this: plain data
//! that goes into the container's state, and by which every later command finds the directories.
//! The runtime never moves a process: that takes a lock of all processes' and a grace period.
//! With systemd the first step is [`Survey::start_scope`]: systemd makes the directories that it
//! knows, and moves init. What is wanted comes from [`CgroupPlan`] alone; nothing here looks at a configuration.

mod apply;
mod below;
mod device_program;
mod dir;
mod enter;
mod freeze;
mod legacy;
mod oom;
mod owner;
mod prepare;
mod pressure;
mod processes;
mod record;
mod remove;
mod statistics;
mod systemd;
mod unified;
mod update;
mod usage;

use std::os::fd::OwnedFd;

use nix::errno::Errno;

use crate::error::{Error, Result};
use crate::task::cgroup::{CgroupPlan, Place};
use dir::Dir;

pub use enter::SubCgroup;
pub use oom::{OomWatch, Seen};
pub use prepare::Survey;
pub use pressure::{PressureTrigger, PressureWatch, Resource};
pub use statistics::{
    BlockIoEntry, BlockIoStatistics, CpuStatistics, CpusetStatistics, HugetlbStatistics,
    MemoryCounter, MemoryStatistics, PidsStatistics, Pressure, RdmaStatistics, Stall, Statistics,
};
pub use systemd::Unit;
pub use usage::Usage;

/// The cgroup of a container, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cgroup {
    /// Its directory in each hierarchy.
    pub directories: Vec<Directory>,
    /// The unit of systemd that it belongs to.
    pub unit: Option<Unit>,
    /// The cgroup of v2 below it in which processes are, if it is not it itself.
    pub subgroup: Option<String>,
}

/// A container's directory in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Where it is.
    pub place: Place,
    /// How many directories at the end of the path were made for the container: 0 if the cgroup
    /// was there already, 1 for the cgroup itself, more if directories above it were missing.
    pub made: usize,
}

/// A cgroup with its directories open.
#[derive(Debug)]
pub struct Open {
    cgroup: Cgroup,
    dirs: Vec<Dir>,
    /// Those of cgroup v2 that were made below for the first process.
    below: Vec<Dir>,
}

impl Cgroup {
    /// Makes the directories and writes the limits; also returns what had no effect.
    ///
    /// # Errors
    /// As of [`Cgroup::survey`], [`Survey::prepare`] and [`Open::apply`]; nothing is left behind.
    pub fn create(plan: &CgroupPlan) -> Result<(Open, Vec<crate::error::Fault>)> {
        let open = Self::survey(plan)?.prepare()?;
        let warnings = open.apply(plan)?;
        Ok((open, warnings))
    }

    /// Opens the directories, to let another process in.
    ///
    /// # Errors
    /// One of them is gone.
    pub fn open(&self) -> Result<Open> {
        let dirs = self.directories.iter().map(|directory| {
            let path = directory.place.dir();
            Dir::open(&path).map_err(|errno| {
                Error::system(format!("cannot open cgroup {}", path.display()), errno).path(path)
            })
        });
        Ok(Open { dirs: dirs.collect::<Result<_>>()?, cgroup: self.clone(), below: Vec::new() })
    }

    /// The directories of cgroup v1, which a container's `/sys/fs/cgroup` is made of.
    pub fn dirs(&self) -> impl Iterator<Item = &Place> {
        self.directories.iter().map(|directory| &directory.place).filter(|p| p.is_legacy())
    }

    /// The directory in the hierarchy of a v1 controller, or else the one of cgroup v2.
    fn holding(&self, controller: &str) -> Option<&Place> {
        let has = |place: &&Place| place.controllers.iter().any(|c| c == controller);
        let v2 = self.directories.iter().map(|d| &d.place).find(|place| !place.is_legacy());
        self.dirs().find(has).or(v2)
    }
}

impl Open {
    /// The record of it.
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    fn each(&self) -> impl Iterator<Item = (&Directory, &Dir)> {
        self.cgroup.directories.iter().zip(&self.dirs)
    }

    /// The `tasks` file of every v1 hierarchy, open for writing and close-on-exec.
    ///
    /// A process with one thread that writes 0 to each moves itself without the lock that moving
    /// another takes. `cpu` comes last: from then on the process competes with the weight of its
    /// new cgroup, and so the rest would be done while others run.
    ///
    /// # Errors
    /// One of them cannot be opened.
    pub fn entry_files(&self) -> Result<Vec<OwnedFd>> {
        let is_cpu = |directory: &Directory| directory.place.controllers.iter().any(|c| c == "cpu");
        let mut legacy: Vec<_> = self.each().filter(|(d, _)| d.place.is_legacy()).collect();
        legacy.sort_by_key(|(directory, _)| is_cpu(directory));
        let files = legacy.into_iter().map(|(directory, dir)| {
            dir.writable("tasks").map_err(|errno| failed("open tasks of", &directory.place, errno))
        });
        files.collect()
    }

    /// The directory of cgroup v2, for CLONE_INTO_CGROUP; close-on-exec.
    ///
    /// # Errors
    /// There are no free descriptors.
    pub fn unified_dir(&self) -> Result<Option<OwnedFd>> {
        let Some((directory, dir)) = self.each().find(|(d, _)| !d.place.is_legacy()) else {
            return Ok(None);
        };
        let again = dir.again().map_err(|errno| failed("open", &directory.place, errno))?;
        Ok(Some(again.into()))
    }
}

/// The last component of a cgroup's path.
fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// An operation on a cgroup that failed.
fn failed(verb: &str, place: &Place, errno: Errno) -> Error {
    let path = place.dir();
    Error::system(format!("cannot {verb} cgroup {}", path.display()), errno).path(path)
}
