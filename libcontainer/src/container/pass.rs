//! Passing a descriptor to whoever listens on a socket: the master of a terminal to the console
//! socket, the pidfd of a process to the pidfd socket.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use crate::error::{Error, Result};

/// Sends a descriptor with a name as the message, as runc's protocol has it.
pub(super) fn pass(socket: &OwnedFd, name: &str, descriptor: &OwnedFd) -> Result<()> {
    let descriptors = [descriptor.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_NOSIGNAL);
    sendmsg::<()>(fd, &[IoSlice::new(name.as_bytes())], &rights, flags, None)
        .map(drop)
        .map_err(|errno| Error::system(format!("cannot pass on {name}"), errno))
}
