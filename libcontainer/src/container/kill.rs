//! Signals to a container.

use std::os::fd::AsRawFd;

use libcontainer_init::sys::{Failure, pidfd};

use super::status::Verb;
use super::{Container, Signal, Status};
use crate::error::{Error, ErrorKind, Result, call};
use crate::spec::annotations::STOP_SIGNAL;

impl Container {
    /// Sends a signal to the container's first process, or to all its processes.
    ///
    /// SIGKILL reaches all of them in either case: with the PID namespace's first process the others
    /// end, and where there is no such namespace the cgroup is killed.
    ///
    /// # Errors
    /// The container is stopped: `container not running`.
    pub fn kill(&self, signal: Signal, all: bool) -> Result<()> {
        let status = self.status()?;
        if all && self.kill_others(signal, status)? {
            return Ok(());
        }
        Verb::Kill.check(&self.id, status)?;
        self.signal_init(signal)?;
        if signal == Signal::KILL {
            if !self.record.own_pids {
                self.kill_cgroup()?;
            }
            // A frozen process dies when it is thawed.
            if status == Status::Paused {
                self.thaw()?;
            }
        }
        Ok(())
    }

    /// The signal that asks the container's program to end: what the annotation
    /// `org.opencontainers.image.stopSignal` says, or SIGTERM.
    ///
    /// # Errors
    /// The annotation names no signal.
    pub fn stop_signal(&self) -> Result<Signal> {
        let annotations = self.directory.read_config().map(|spec| spec.annotations);
        match annotations.unwrap_or_default().get(STOP_SIGNAL).filter(|text| !text.is_empty()) {
            Some(text) => text.parse(),
            None => Ok(Signal::TERM),
        }
    }

    /// Signals every process of the cgroup; whether there was any.
    fn kill_others(&self, signal: Signal, status: Status) -> Result<bool> {
        let Some(cgroup) = &self.record.cgroup else { return Ok(false) };
        let pids = cgroup.pids()?;
        if signal == Signal::KILL && !pids.is_empty() {
            cgroup.kill()?;
            return Ok(true);
        }
        let opened: Vec<_> =
            pids.into_iter().filter_map(|pid| Some((pid, pidfd::open(pid).ok()?))).collect();
        // Still in the cgroup after it was opened: then the descriptor is not of a later process.
        let still = cgroup.pids()?;
        let mut reached = false;
        for (_, fd) in opened.iter().filter(|(pid, _)| still.contains(pid)) {
            reached |= pidfd::send_signal(fd.raw(), signal.as_raw()).is_ok();
        }
        if !reached && status != Status::Stopped {
            return Ok(false);
        }
        Ok(reached)
    }

    pub(super) fn signal_init(&self, signal: Signal) -> Result<()> {
        let gone = || Error::new(ErrorKind::State, "container not running");
        let pidfd = self.pidfd.as_ref().ok_or_else(gone)?;
        match pidfd::send_signal(pidfd.as_raw_fd(), signal.as_raw()) {
            Err(Failure { errno, .. }) if errno.0 == libc::ESRCH => Err(gone()),
            result => result.map_err(|failure| {
                call(format!("cannot send {signal} to container \"{}\"", self.id), failure)
            }),
        }
    }

    fn kill_cgroup(&self) -> Result<()> {
        self.record.cgroup.as_ref().map_or(Ok(()), crate::cgroup::Cgroup::kill)
    }

    fn thaw(&self) -> Result<()> {
        self.record.cgroup.as_ref().map_or(Ok(()), crate::cgroup::Cgroup::thaw)
    }

    /// Ends all processes of the container, in whatever status it is.
    pub(super) fn kill_all(&self) -> Result<()> {
        if self.pidfd.is_some() {
            match self.signal_init(Signal::KILL) {
                Err(error) if error.kind() != ErrorKind::State => return Err(error),
                _ => {}
            }
        }
        self.kill_cgroup()?;
        if self.record.cgroup.as_ref().is_some_and(crate::cgroup::Cgroup::frozen) {
            self.thaw()?;
        }
        Ok(())
    }
}
