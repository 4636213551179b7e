//! Waiting for a container's process to end.

use std::os::fd::{AsRawFd, OwnedFd};

use libcontainer_init::sys::{file, pidfd};

use super::Container;
use crate::error::{Result, call};

/// How a container's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exit {
    /// Its exit status, when it exited.
    pub code: Option<i32>,
    /// The signal that killed it, when one did. Neither is known to a process that is not its
    /// parent.
    pub signal: Option<i32>,
}

impl Exit {
    /// The status as a shell has it: 128 + n for signal n, and 255 when it is not known.
    pub fn status(&self) -> u8 {
        match (self.code, self.signal) {
            (Some(code), _) => code as u8,
            (None, Some(signal)) => (128 + signal) as u8,
            (None, None) => 255,
        }
    }
}

/// Sets SIGCHLD to its default action, for a program that is nobody's library: one that was started
/// with it ignored could not learn how hooks and containers end.
pub fn receive_child_exits() {
    // The default action of a signal that is one cannot be refused.
    let _ = libcontainer_init::sys::signal::default_action(libc::SIGCHLD as usize);
}

impl Container {
    /// Waits until the container's first process has ended, and collects it if it is this
    /// process's child.
    ///
    /// # Errors
    /// The kernel does not let this process wait.
    pub fn wait(&self) -> Result<Exit> {
        self.pidfd.as_ref().map_or(Ok(Exit::default()), end_of)
    }
}

/// Waits for the end of a process and collects it if it is this process's child.
pub(super) fn end_of(pidfd: &OwnedFd) -> Result<Exit> {
    let fail = |failure| call("cannot wait for the process", failure);
    match pidfd::wait(pidfd.as_raw_fd()) {
        Ok(pidfd::Ended::Exited(code)) => Ok(Exit { code: Some(code), signal: None }),
        Ok(pidfd::Ended::Killed(signal)) => Ok(Exit { code: None, signal: Some(signal) }),
        // Somebody else's child: its end can be seen, its status not.
        Err(failure) if failure.errno.0 == libc::ECHILD => {
            file::wait_readable(pidfd.as_raw_fd(), None).map_err(fail)?;
            Ok(Exit::default())
        }
        Err(failure) => Err(fail(failure)),
    }
}
