//! A seccomp agent: gets the listener of a container's filter, and answers what it is asked.
//!
//! The protocol is that of the runtime-spec (config-linux.md, "The Container Process State") and of
//! seccomp_unotify(2). It answers from one thread of its own until nobody can ask any more.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread::JoinHandle;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use serde_json::Value;

/// struct seccomp_notif: id, pid and flags, number and architecture, where, six arguments.
type Question = [u64; 10];
/// struct seccomp_notif_resp: id, value, errno and flags.
type Reply = [u64; 3];

#[allow(missing_docs, unsafe_code, reason = "the macro makes functions that are unsafe to call")]
mod ioctl {
    nix::ioctl_readwrite!(receive, b'!', 0, super::Question);
    nix::ioctl_readwrite!(send, b'!', 1, super::Reply);
}

/// What is answered to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The kernel goes on with it (SECCOMP_USER_NOTIF_FLAG_CONTINUE).
    Continue,
    /// It returns this, and is not done.
    Return(i64),
    /// It fails with this errno.
    Fail(i32),
}

/// A socket on which runtimes tell of containers.
pub struct Agent(UnixListener);

/// An agent that answers; it ends with whoever asks.
pub struct Answering {
    /// What the runtime told.
    pub state: Value,
    thread: JoinHandle<usize>,
}

impl Agent {
    /// Listens at a path.
    pub fn at(path: &Path) -> Self {
        Self(UnixListener::bind(path).expect("bind the agent's socket"))
    }

    /// Waits for a container, and answers all its calls in the same way.
    #[track_caller]
    pub fn answer(&self, answer: Answer) -> Answering {
        let (stream, _) = self.0.accept().expect("accept");
        let mut text = vec![0; 1 << 16];
        let mut buffers = [IoSliceMut::new(&mut text)];
        let mut space = nix::cmsg_space!([i32; 4]);
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let received = recvmsg::<()>(stream.as_raw_fd(), &mut buffers, Some(&mut space), flags)
            .expect("recvmsg");
        let len = received.bytes;
        let rights =
            received.cmsgs().expect("control messages").find_map(|message| match message {
                ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
                _ => None,
            });
        let number = rights.expect("a descriptor");
        // SAFETY: the kernel made this descriptor for us in recvmsg, and nothing else in this
        // process knows its number.
        #[allow(unsafe_code, reason = "nix hands received descriptors out as numbers")]
        let listener = unsafe { OwnedFd::from_raw_fd(number) };
        let state = serde_json::from_slice(&text[..len]).expect("a state");
        let thread = std::thread::spawn(move || answer_all(&listener, answer));
        Answering { state, thread }
    }
}

impl Answering {
    /// Waits until nobody can ask any more; how often it was asked.
    pub fn questions(self) -> usize {
        self.thread.join().expect("the agent")
    }
}

fn answer_all(listener: &OwnedFd, answer: Answer) -> usize {
    let mut asked = 0;
    loop {
        let mut waited = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        if poll(&mut waited, PollTimeout::NONE).is_err() {
            continue;
        }
        let events = waited[0].revents().unwrap_or(PollFlags::empty());
        if !events.contains(PollFlags::POLLIN) {
            return asked;
        }
        let mut question: Question = [0; 10];
        // SAFETY: the kernel writes a struct of this size.
        #[allow(unsafe_code, reason = "an ioctl")]
        let received = unsafe { ioctl::receive(listener.as_raw_fd(), &raw mut question) };
        // Whoever asked may have been killed.
        if received.is_err() {
            continue;
        }
        asked += 1;
        let (value, errno, flags) = match answer {
            Answer::Continue => (0, 0, 1_u64),
            Answer::Return(value) => (value, 0, 0),
            Answer::Fail(errno) => (0, -errno, 0),
        };
        let last = u64::from(errno.cast_unsigned()) | flags << 32;
        let mut reply: Reply = [question[0], value.cast_unsigned(), last];
        // SAFETY: the kernel reads a struct of this size.
        #[allow(unsafe_code, reason = "an ioctl")]
        let _ = unsafe { ioctl::send(listener.as_raw_fd(), &raw mut reply) };
    }
}
