//! A container that stands still for a while.

use super::status::Verb;
use super::{Container, record};
use crate::cgroup::Cgroup;
use crate::error::{Error, ErrorKind, Result};

impl Container {
    /// Stops all processes of the container where they are, and returns when they stand still.
    /// They can be killed all the same.
    ///
    /// # Errors
    /// The container neither runs nor waits to be started, has no cgroup, or a process does not stop
    /// within 5 seconds; then all of them go on.
    pub fn pause(&mut self) -> Result<()> {
        let (_lock, cgroup) = self.lock_freezer(Verb::Pause)?;
        cgroup.freeze()
    }

    /// Lets a paused container go on.
    ///
    /// # Errors
    /// The container is not paused, or what stops it is a cgroup above its own.
    pub fn resume(&mut self) -> Result<()> {
        let (_lock, cgroup) = self.lock_freezer(Verb::Resume)?;
        cgroup.thaw()?;
        if cgroup.frozen() {
            let message = "the container stands still all the same: a cgroup above it is frozen";
            return Err(Error::new(ErrorKind::State, message));
        }
        Ok(())
    }

    fn lock_freezer(&mut self, verb: Verb) -> Result<(record::Lock, &Cgroup)> {
        let lock = self.lock()?;
        verb.check(&self.id, self.status()?)?;
        Ok((lock, self.own_cgroup()?))
    }
}
