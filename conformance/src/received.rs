//! Descriptors that came over a socket of the Unix domain, and the bytes they came with.
//!
//! The console socket and the listener of a filter receive some. What came is closed when the test
//! is done with it.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use crate::clause::Outcome;

/// A descriptor, open until it is dropped.
pub(crate) struct Received(RawFd);

impl Received {
    /// What the descriptor leads to.
    pub(crate) fn target(&self) -> Outcome<String> {
        Ok(std::fs::read_link(format!("/proc/self/fd/{}", self.0))?.display().to_string())
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        let _ = nix::unistd::close(self.0);
    }
}

/// Reads some bytes, none at the end of the connection, and the descriptors that came with them.
pub(crate) fn receive(stream: &UnixStream) -> Outcome<(Vec<u8>, Vec<Received>)> {
    let mut data = [0_u8; 65536];
    let mut parts = [IoSliceMut::new(&mut data)];
    let mut space = cmsg_space!([RawFd; 8]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let mut descriptors = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            descriptors.extend(fds.into_iter().map(Received));
        }
    }
    let length = message.bytes;
    Ok((data[..length].to_vec(), descriptors))
}
