//! Passing the master of a container's terminal to whoever listens on the console socket.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use crate::error::{Error, Result};

/// Sends the master, with its name as the message, as runc's protocol has it.
pub(super) fn send(socket: &OwnedFd, master: &OwnedFd) -> Result<()> {
    const NAME: &[u8] = b"/dev/ptmx";
    let descriptors = [master.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_NOSIGNAL);
    sendmsg::<()>(fd, &[IoSlice::new(NAME)], &rights, flags, None)
        .map(drop)
        .map_err(|errno| Error::system("cannot send the terminal to the console socket", errno))
}
