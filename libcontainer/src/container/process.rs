//! A process that joined a container: started, signalled, waited for.
//!
//! [`Container::exec`](super::Container::exec) makes it. It is a child of this process and known by
//! its pidfd alone; nothing of it is recorded. One that is dropped before its start ends.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libcontainer_init::message::Message;
use libcontainer_init::sys::{Failure, pidfd};
use libcontainer_init::wire::Slot;

use super::launch::Launch;
use super::link::{self, Said};
use super::{Exit, Signal, Timeline, listener, wait};
use crate::error::{Error, ErrorKind, Fault, Result, call};
use crate::spec::State;

/// Another process in a container, beside its first.
#[derive(Debug)]
pub struct Process {
    launch: Launch,
    pid: i32,
    pidfd: Option<OwnedFd>,
    /// What the last *go* hands over, until it is said.
    due: Option<Vec<Slot>>,
    /// The container's state.
    state: State,
}

impl Process {
    pub(super) fn new(mut launch: Launch, due: Vec<Slot>, state: State) -> Self {
        let (pid, pidfd) = match launch.init.take() {
            Some((pid, pidfd)) => (pid, Some(pidfd)),
            None => (0, None),
        };
        Self { launch, pid, pidfd, due: Some(due), state }
    }

    /// Lets it run its program.
    ///
    /// # Errors
    /// It was started before, or its program cannot be executed; then it has ended.
    pub fn start(&mut self) -> Result<()> {
        let due = self.due.take().ok_or_else(|| {
            Error::new(ErrorKind::State, "cannot start a process that runs already")
        })?;
        let started = self.launch.go(&due).and_then(|()| self.await_program());
        if started.is_err() {
            self.end();
        }
        started
    }

    /// Init says that it executes the program; then the end of the stream means that it did.
    fn await_program(&self) -> Result<()> {
        let mut arrived = false;
        loop {
            match self.launch.link.listen()? {
                Said::Message(Message::Arrived, _) => arrived = true,
                Said::Message(Message::Filter(number), Some(gate)) => {
                    self.pass_listener(number, &gate)?;
                }
                Said::Message(Message::Fault(fault), _) => {
                    return Err(link::fault(&self.launch.plan, &fault));
                }
                Said::Message(..) => return Err(link::not_its_turn()),
                Said::End if arrived => return Ok(()),
                Said::End => {
                    let id = &self.launch.plan.config.id;
                    return Err(link::silent_end(self.pidfd.as_ref(), id));
                }
            }
        }
    }

    fn pass_listener(&self, number: i32, gate: &OwnedFd) -> Result<()> {
        let filter = self.launch.plan.config.seccomp.as_ref();
        let listener = filter.and_then(|filter| filter.listener.as_ref());
        let (Some(listener), Some(init)) = (listener, &self.pidfd) else {
            return Err(link::not_its_turn());
        };
        listener::pass(listener, init, self.pid, number, gate, self.state.clone())
    }

    /// Kills and collects it.
    fn end(&mut self) {
        if let Some(pidfd) = self.pidfd.take() {
            let _ = pidfd::send_signal(pidfd.as_raw_fd(), libc::SIGKILL);
            let _ = pidfd::wait(pidfd.as_raw_fd());
        }
    }

    /// Its pid in this process's PID namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It has ended.
    pub fn kill(&self, signal: Signal) -> Result<()> {
        let gone = || Error::new(ErrorKind::State, "process not running");
        let pidfd = self.pidfd.as_ref().ok_or_else(gone)?;
        match pidfd::send_signal(pidfd.as_raw_fd(), signal.as_raw()) {
            Err(Failure { errno, .. }) if errno.0 == libc::ESRCH => Err(gone()),
            result => result.map_err(|failure| call(format!("cannot send {signal}"), failure)),
        }
    }

    /// Waits until it has ended, and collects it.
    ///
    /// # Errors
    /// The kernel does not let this process wait.
    pub fn wait(&self) -> Result<Exit> {
        self.pidfd.as_ref().map_or(Ok(Exit::default()), wait::end_of)
    }

    /// The master of its terminal, with [`crate::Console::Keep`]; once.
    pub fn take_console(&mut self) -> Option<OwnedFd> {
        self.launch.console.take()
    }

    /// What its description asked for in vain, and was tolerated.
    pub fn warnings(&self) -> &[Fault] {
        self.launch.plan.warnings()
    }

    /// When the steps of its making were done.
    pub fn timeline(&self) -> &Timeline {
        &self.launch.timeline
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.due.is_some() {
            self.end();
        }
    }
}

impl AsFd for Process {
    /// The pidfd of the process: readable when that has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.pidfd {
            Some(fd) => fd.as_fd(),
            None => super::state::always_readable(),
        }
    }
}
