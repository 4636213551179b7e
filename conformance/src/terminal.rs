//! The caller's end of a container's terminal: the console socket and the pseudoterminal's master.
//!
//! The tests of `process.terminal` make one per container. It must never read from the master
//! what the container writes: the tests let the container write to files instead.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::clause::{Outcome, ensure, fail};
use crate::received::{Received, receive};

/// A socket at which a runtime hands over a terminal.
pub(crate) struct ConsoleSocket {
    listener: UnixListener,
    /// Its path, for `--console-socket`.
    pub(crate) path: PathBuf,
}

impl ConsoleSocket {
    /// Makes the socket in a directory.
    pub(crate) fn listen(dir: &Path) -> Outcome<Self> {
        let path = dir.join("console.sock");
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path })
    }

    /// Takes the one descriptor that was sent, the terminal's master; `create` must have ended before.
    pub(crate) fn receive(&self) -> Outcome<Received> {
        let Ok((stream, _)) = self.listener.accept() else {
            return fail("nothing was sent to the console socket");
        };
        stream.set_nonblocking(true)?;
        let (_, mut sent) = receive(&stream)?;
        ensure!(sent.len() == 1, "{} descriptors were sent to the console socket", sent.len());
        sent.pop().map_or_else(|| fail("no descriptor was sent"), Ok)
    }
}
