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
    /// The signal that killed it, when one did. On a kernel before Linux 6.15 a process that is not
    /// its parent may learn neither.
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
        if let Some(exit) = self.exit.get() {
            return Ok(*exit);
        }
        let exit = self.pidfd.as_ref().map_or(Ok(Exit::default()), end_of)?;
        Ok(*self.exit.get_or_init(|| exit))
    }
}

/// Waits for the end of a process and collects it if it is this process's child.
pub(super) fn end_of(pidfd: &OwnedFd) -> Result<Exit> {
    let fail = |failure| call("cannot wait for the process", failure);
    match pidfd::wait(pidfd.as_raw_fd()) {
        Ok(ended) => Ok(ended.into()),
        Err(failure) if failure.errno.0 == libc::ECHILD => {
            file::wait_readable(pidfd.as_raw_fd(), None).map_err(fail)?;
            Ok(end_of_stranger(pidfd))
        }
        Err(failure) => Err(fail(failure)),
    }
}

/// How somebody else's child ended. While its parent has not collected it, procfs tells; afterwards
/// the kernel does to whoever holds a pidfd since before, from Linux 6.15 on.
fn end_of_stranger(pidfd: &OwnedFd) -> Exit {
    // Between the two questions the parent may collect it; then the first has an answer.
    for _ in 0..2 {
        if let Ok(Some(ended)) = pidfd::ended(pidfd.as_raw_fd()) {
            return ended.into();
        }
        if let Some(status) = super::record::pid_of(pidfd).and_then(status_of_zombie) {
            return pidfd::Ended::from_status(status).into();
        }
    }
    Exit::default()
}

/// The status of a process that waits to be collected, proc(5) stat, `exit_code`. It is 0 for those
/// who may not look into the process, so that 0 is believed of a caller with privileges alone.
fn status_of_zombie(pid: i32) -> Option<i32> {
    /// Where it stands, counted from the state on.
    const EXIT_CODE: usize = 49;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let status = (fields.next()? == "Z").then(|| fields.nth(EXIT_CODE - 1))??.parse().ok()?;
    let trusted = status != 0 || nix::unistd::geteuid().is_root();
    trusted.then_some(status)
}

impl From<pidfd::Ended> for Exit {
    fn from(ended: pidfd::Ended) -> Self {
        match ended {
            pidfd::Ended::Exited(code) => Self { code: Some(code), signal: None },
            pidfd::Ended::Killed(signal) => Self { code: None, signal: Some(signal) },
        }
    }
}
