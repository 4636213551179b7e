//! The agent's side of a filter that asks (`SCMP_ACT_NOTIFY`): gets the listener from a runtime, any
//! runtime, and answers what it is asked. For programs that do this for containers;
//! `examples/seccomp_agent.rs` is one.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use libcontainer_init::sys::{Errno as Number, Fd, file, seccomp_notify, socket};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Error, ErrorKind, Result, call};
use crate::seccomp::Call;
use crate::spec::ProcessState;

/// The largest state of a container that is read, in bytes.
const LARGEST: usize = 1 << 20;

/// Whoever answers for the system calls of one filter. Once this is dropped, calls that it would be
/// asked about fail with ENOSYS.
#[derive(Debug)]
pub struct SeccompAgent {
    listener: OwnedFd,
}

/// A system call that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeccompQuestion {
    id: u64,
    /// The thread that made the call, as this process sees it; 0 if it does not. It means that
    /// thread only as long as [`SeccompAgent::is_waiting`].
    pub pid: u32,
    /// The call. Its arguments are those that the kernel goes on with if it is to go on; memory that
    /// they point to may change at any time.
    pub call: Call,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeccompAnswer {
    /// The kernel goes on with it. That decides nothing by what is in memory, which the container
    /// may have changed since: seccomp_unotify(2).
    Continue,
    /// It is not made, and returns this.
    Return(i64),
    /// It is not made, and fails.
    Fail(Errno),
}

impl SeccompAgent {
    /// Takes what a runtime sends to the socket `listenerPath` for one process: the listener, and the
    /// state (config-linux.md, "The Container Process State"). Waits for it.
    ///
    /// # Errors
    /// [`ErrorKind::System`]: reading fails. [`ErrorKind::Input`]: what came is no state of a process
    /// with one listener.
    pub fn receive(stream: &UnixStream) -> Result<(Self, ProcessState)> {
        let (mut text, mut listener) = (Vec::new(), None);
        let wrong = |message: String| Error::new(ErrorKind::Input, message);
        loop {
            let mut bytes = [0; 4096];
            let mut slots: [Option<Fd>; 1] = [None];
            let received = socket::receive(stream.as_raw_fd(), &mut bytes, &mut slots)
                .map_err(|failure| call("cannot read from the runtime", failure))?;
            listener = listener.or(slots[0].take());
            text.extend_from_slice(&bytes[..received.len]);
            if text.len() > LARGEST {
                return Err(wrong(format!("the state is larger than {LARGEST} bytes")));
            }
            if received.len == 0 {
                break;
            }
        }
        let state: ProcessState = serde_json::from_slice(&text)
            .map_err(|error| wrong(format!("no state of a process came: {error}")))?;
        match listener {
            Some(listener) if state.fds == ["seccompFd"] => {
                Ok((Self { listener: listener.into() }, state))
            }
            _ => Err(wrong("no listener came with the state".to_owned())),
        }
    }

    /// The next question; waits for it. Nothing, when nobody can ask any more.
    ///
    /// # Errors
    /// The descriptor is not a listener.
    pub fn next_question(&self) -> Result<Option<SeccompQuestion>> {
        loop {
            let mut polled = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
            match poll(&mut polled, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(Error::system("cannot wait for a question", errno)),
                Ok(_) => {}
            }
            let events = polled[0].revents().unwrap_or(PollFlags::POLLHUP);
            if !events.contains(PollFlags::POLLIN) {
                return Ok(None);
            }
            match seccomp_notify::receive(self.listener.as_raw_fd()) {
                Ok(seccomp_notify::Question { id, pid, number, arch, args, .. }) => {
                    return Ok(Some(SeccompQuestion {
                        id,
                        pid,
                        call: Call { arch, number, args },
                    }));
                }
                // Whoever asked is gone, or this thread got a signal.
                Err(failure) if failure.is(Number::ENOENT) || failure.is(Number::EINTR) => {}
                Err(failure) => return Err(call("cannot receive a question", failure)),
            }
        }
    }

    /// Answers; whether somebody still waited for that.
    ///
    /// # Errors
    /// The kernel does not take the answer.
    pub fn answer(&self, question: &SeccompQuestion, answer: SeccompAnswer) -> Result<bool> {
        let (value, errno, flags) = match answer {
            SeccompAnswer::Continue => (0, 0, seccomp_notify::CONTINUE),
            SeccompAnswer::Return(value) => (value, 0, 0),
            SeccompAnswer::Fail(errno) => (0, errno as i32, 0),
        };
        let listener = self.listener.as_raw_fd();
        match seccomp_notify::answer(listener, question.id, value, errno, flags) {
            Ok(()) => Ok(true),
            Err(failure) if failure.is(Number::ENOENT) => Ok(false),
            Err(failure) => Err(call("cannot answer a question", failure)),
        }
    }

    /// Whether whoever asked still waits. To be called after anything of it was opened by its pid,
    /// and before that is relied on: another process may have got the pid.
    ///
    /// # Errors
    /// The descriptor is not a listener.
    pub fn is_waiting(&self, question: &SeccompQuestion) -> Result<bool> {
        seccomp_notify::is_waiting(self.listener.as_raw_fd(), question.id)
            .map_err(|failure| call("cannot ask about a question", failure))
    }

    /// Gives whoever asked a copy of a descriptor, close-on-exec; returns its number there, which is
    /// then the answer to a call such as open(2).
    ///
    /// # Errors
    /// Nobody waits any more, or the process may have no more descriptors.
    pub fn place(&self, question: &SeccompQuestion, descriptor: BorrowedFd<'_>) -> Result<i32> {
        let (listener, flags) = (self.listener.as_raw_fd(), file::O_CLOEXEC);
        seccomp_notify::place(listener, question.id, descriptor.as_raw_fd(), flags)
            .map_err(|failure| call("cannot place a descriptor", failure))
    }
}

/// The listener, for event loops: it is readable when there is a question, and hung up when there
/// will be none any more.
impl AsFd for SeccompAgent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl From<OwnedFd> for SeccompAgent {
    /// For a program that got the listener in another way.
    fn from(listener: OwnedFd) -> Self {
        Self { listener }
    }
}
