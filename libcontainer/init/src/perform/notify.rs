//! The socket on which the container tells that it is ready, sd_notify(3).
//!
//! It is made in a mount that init has just made itself, so no image can have put anything in its
//! place, and from there on it is a descriptor: init keeps it until the container is started, and
//! hands it to whoever starts it.

use super::{Done, Init};
use crate::message::Message;
use crate::sys::{path, socket};
use crate::wire::{Slot, Str};

impl Init {
    /// An address holds 107 bytes and no descriptor, so the name counts from the working directory.
    /// After that it is the container's root: into the caller's the container's user may have no
    /// right to return.
    pub(super) fn bind_notify_socket(&mut self, dir: Slot, name: Str, into: Slot) -> Done {
        let (dir, name) = (self.look(dir)?, self.str(name)?);
        path::enter_dir(dir)?;
        let bound = socket::bind_datagram(name);
        path::enter_dir(self.root()?)?;
        self.keep(into, bound?)
    }

    pub(super) fn send_notify_socket(&mut self, socket: Slot) -> Done {
        let socket = self.take(socket)?;
        self.tell(&Message::NotifySocket, &[socket.raw()])
    }
}
