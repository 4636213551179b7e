//! Deleting containers: cgroups and record go, and the poststop hooks run.

use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, Instant};

use libcontainer_init::sys::file;

use super::record::{Directory, Lock};
use super::status::Verb;
use super::{Container, Status, Store, hooks};
use crate::bundle::Bundle;
use crate::cgroup::{self, Cgroup};
use crate::error::{Error, ErrorKind, Result};
use crate::host::Host;
use crate::id::ContainerId;
use crate::options::Options;
use crate::plan::Plan;
use crate::resctrl::Group;
use crate::spec::{Hook, State};
use crate::task::cgroup::Place;

/// How long a killed process may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

impl Container {
    /// Removes a stopped container.
    ///
    /// # Errors
    /// It is not stopped, or its cgroup cannot be removed.
    pub fn delete(mut self) -> Result<()> {
        let lock = self.lock()?;
        Verb::Delete.check(&self.id, self.status_locked()?)?;
        self.destroy(lock)
    }

    /// The status for somebody who holds the lock: a creation that is not published was interrupted.
    fn status_locked(&self) -> Result<Status> {
        if self.record.init.is_none() { Ok(Status::Stopped) } else { self.status() }
    }

    /// Undoes what `create` made. A container without its own PID namespace may have left processes.
    pub(super) fn destroy(&self, lock: Lock) -> Result<()> {
        self.kill_all()?;
        self.await_end()?;
        if let Some(cgroup) = &self.record.cgroup {
            cgroup.remove()?;
        }
        if let Some(group) = &self.record.resctrl {
            group.remove()?;
        }
        let poststop = self.poststop();
        self.directory.remove(&self.id)?;
        drop(lock);
        if let Some((hooks, state)) = poststop {
            run_poststop(&hooks, &state);
        }
        Ok(())
    }

    fn await_end(&self) -> Result<()> {
        let Some(fd) = &self.pidfd else { return Ok(()) };
        let milliseconds = PATIENCE.as_millis() as u64;
        match file::wait_readable(fd.as_raw_fd(), Some(milliseconds)) {
            Ok(true) => Ok(()),
            _ => {
                let message = format!("the process of container \"{}\" does not end", self.id);
                Err(Error::new(ErrorKind::State, message))
            }
        }
    }

    fn poststop(&self) -> Option<(Vec<Hook>, State)> {
        if !self.record.has_hooks {
            return None;
        }
        let spec = self.directory.read_config().ok()?;
        let state = State {
            oci_version: super::OCI_VERSION.to_owned(),
            id: self.id.to_string(),
            status: Status::Stopped.to_string(),
            pid: Some(0),
            bundle: self.record.bundle.to_string_lossy().into_owned(),
            annotations: spec.annotations,
            ..State::default()
        };
        Some((spec.hooks?.poststop, state))
    }
}

/// Without a record that can be read, the configuration beside it says where the cgroups are, and
/// they hold the processes. When it cannot be read either, nothing was made yet, or nobody knows.
fn remove_by_config(id: &ContainerId, directory: &Directory) -> Result<()> {
    let Ok(spec) = directory.read_config() else { return Ok(()) };
    let bundle = Bundle::recorded(Path::new("/"), spec);
    let host = Host::probe()?;
    let Ok(plan) = Plan::create(&bundle, id, &Options::default(), &host) else { return Ok(()) };
    let group = plan.config.intel_rdt.as_ref().map(Group::of);
    let places = plan.config.cgroup.map(|plan| plan.places).unwrap_or_default();
    let made = |place: Place| cgroup::Directory { place, made: 1 };
    let cgroup =
        Cgroup { directories: places.into_iter().map(made).collect(), ..Cgroup::default() };
    cgroup.kill()?;
    cgroup.remove()?;
    group.map_or(Ok(()), |group| group.remove())
}

/// A poststop hook that fails is a warning, and the others run (runtime.md, "Lifecycle").
fn run_poststop(hooks: &[Hook], state: &State) {
    for hook in hooks {
        if let Err(error) = hooks::run("poststop", hook, state, None) {
            log::warn!("{error}");
        }
    }
}

impl Store {
    /// Kills and removes a container in whatever status, also one whose creation was interrupted or
    /// whose record is broken. One that does not exist is removed already.
    ///
    /// # Errors
    /// Its processes do not end, or its cgroup or directory cannot be removed.
    pub fn delete_forced(&self, id: &ContainerId) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.try_delete(id) {
                // Somebody is creating it: it is killed until they give up and take back.
                Ok(false) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(false) => {
                    let message = format!("container \"{id}\" is in use by another command");
                    return Err(Error::new(ErrorKind::State, message));
                }
                Ok(true) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    Directory::new(&self.root, id).remove_leftovers(id);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn try_delete(&self, id: &ContainerId) -> Result<bool> {
        let directory = Directory::new(&self.root, id);
        let Some(lock) = directory.try_lock(id)? else {
            if let Ok(container) = self.open(id) {
                container.kill_all()?;
            }
            return Ok(false);
        };
        match self.open(id) {
            Ok(container) => container.destroy(lock)?,
            Err(error) if error.kind() == ErrorKind::Record => {
                directory.check_own()?;
                log::warn!("{error}");
                remove_by_config(id, &directory)?;
                directory.remove(id)?;
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}
