//! The processes of a cgroup: listed and killed.
//!
//! A pid that was read may belong to somebody else a moment later, so signals go by pidfd, and only
//! to processes that were in the cgroup both before and after their pidfd was opened. This process
//! is never killed by its own hand.

use std::collections::BTreeSet;

use libcontainer_init::sys::pidfd;
use nix::errno::Errno;

use super::dir::Dir;
use super::{Cgroup, failed, unified};
use crate::error::Result;
use crate::task::cgroup::Place;

/// The processes in a cgroup and below. Those of another pid namespace, which have no name here,
/// are one 0 together.
pub(super) fn below(dir: &Dir) -> nix::Result<BTreeSet<i32>> {
    let mut pids = BTreeSet::new();
    dir.walk(|dir| {
        match dir.read("cgroup.procs") {
            Ok(list) => pids.extend(list.lines().filter_map(|pid| pid.parse::<i32>().ok())),
            // Gone meanwhile; or threads, whose process the cgroup at the tree's top lists.
            Err(Errno::ENOENT | Errno::ENODEV | Errno::EOPNOTSUPP) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    })?;
    Ok(pids)
}

/// Sends SIGKILL to every process in a v1 cgroup and below.
pub(super) fn kill_below(dir: &Dir) -> nix::Result<()> {
    const SIGKILL: i32 = nix::sys::signal::Signal::SIGKILL as i32;
    let own = std::process::id();
    let before = below(dir)?;
    let named = before.iter().filter(|pid| **pid > 0 && pid.unsigned_abs() != own);
    let open: Vec<_> = named.filter_map(|pid| Some((*pid, pidfd::open(*pid).ok()?))).collect();
    let after = below(dir)?;
    for (_, fd) in open.iter().filter(|(pid, _)| after.contains(pid)) {
        // It may have ended, or may not be ours to kill: what stays is seen at the removal.
        let _ = pidfd::send_signal(fd.raw(), SIGKILL);
    }
    Ok(())
}

impl Cgroup {
    /// The processes of the container, by their pids in this pid namespace.
    ///
    /// # Errors
    /// The cgroup cannot be read; one that is gone has no processes.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let Some((place, dir)) = self.census()? else { return Ok(Vec::new()) };
        let pids = below(&dir).map_err(|errno| failed("read the processes of", place, errno))?;
        Ok(pids.into_iter().filter(|pid| *pid > 0).collect())
    }

    /// Sends SIGKILL to every process of the container, frozen or not. It returns before they have
    /// ended.
    ///
    /// # Errors
    /// The processes cannot be found out.
    pub fn kill(&self) -> Result<()> {
        let Some((place, dir)) = self.census()? else { return Ok(()) };
        let by_kernel = if place.is_legacy() { Err(Errno::ENOENT) } else { unified::kill(&dir) };
        if by_kernel.is_err() {
            self.stopped(|| kill_below(&dir))
                .map_err(|errno| failed("kill the processes of", place, errno))?;
        }
        // On v1 a frozen process takes no signal, not even that of the kernel's own kill.
        self.thaw()
    }

    /// The hierarchy that tells who is in the container: v2, which can also kill, or else the
    /// freezer's. `None` when the cgroup is gone.
    fn census(&self) -> Result<Option<(&Place, Dir)>> {
        let v2 = self.directories.iter().map(|d| &d.place).find(|place| !place.is_legacy());
        let Some(place) = v2.or_else(|| self.holding("freezer")).or_else(|| self.dirs().next())
        else {
            return Ok(None);
        };
        match Dir::open(&place.dir()) {
            Ok(dir) => Ok(Some((place, dir))),
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(None),
            Err(errno) => Err(failed("open", place, errno)),
        }
    }
}
