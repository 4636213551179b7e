//! The caller's end of a container's terminal: the console socket and the pseudoterminal's master.
//!
//! The tests of `process.terminal` make one per container. It must never read from the master
//! what the container writes: the tests let the container write to files instead.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use crate::clause::{Outcome, ensure, fail};

/// A socket at which a runtime hands over a terminal.
pub(crate) struct ConsoleSocket {
    listener: UnixListener,
    /// Its path, for `--console-socket`.
    pub(crate) path: PathBuf,
}

/// The master of a pseudoterminal, open until it is dropped.
pub(crate) struct Master(RawFd);

impl ConsoleSocket {
    /// Makes the socket in a directory.
    pub(crate) fn listen(dir: &Path) -> Outcome<Self> {
        let path = dir.join("console.sock");
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path })
    }

    /// Takes the one descriptor that was sent; `create` must have ended before.
    pub(crate) fn receive(&self) -> Outcome<Master> {
        let Ok((stream, _)) = self.listener.accept() else {
            return fail("nothing was sent to the console socket");
        };
        stream.set_nonblocking(true)?;
        let mut data = [0_u8; 4096];
        let mut parts = [IoSliceMut::new(&mut data)];
        let mut space = cmsg_space!([RawFd; 4]);
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
        let mut sent = Vec::new();
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(fds) = control {
                sent.extend(fds.into_iter().map(Master));
            }
        }
        ensure!(sent.len() == 1, "{} descriptors were sent to the console socket", sent.len());
        sent.pop().map_or_else(|| fail("no descriptor was sent"), Ok)
    }
}

impl Master {
    /// What the descriptor leads to.
    pub(crate) fn target(&self) -> Outcome<String> {
        Ok(std::fs::read_link(format!("/proc/self/fd/{}", self.0))?.display().to_string())
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = nix::unistd::close(self.0);
    }
}
