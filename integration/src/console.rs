//! Terminals, from the side of the engine: a socket that receives a console, a pty of the test's.
//!
//! An engine that wants a detached container with a terminal listens on a socket; the runtime
//! connects and sends the master of the container's pty over it. Nothing here interprets what is
//! written to a terminal.

use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use crate::runtime::patience;

/// A socket on which a runtime delivers a console.
pub struct ConsoleSocket(UnixListener);

impl ConsoleSocket {
    /// Listens at a path.
    pub fn at(path: &Path) -> Self {
        Self(UnixListener::bind(path).expect("bind the console socket"))
    }

    /// Waits for a console.
    #[track_caller]
    pub fn receive(&self) -> Terminal {
        Terminal { master: File::from(self.receive_descriptor()), seen: Vec::new() }
    }

    /// Waits for a descriptor of whatever kind.
    #[track_caller]
    pub fn receive_descriptor(&self) -> OwnedFd {
        wait_readable(&self.0, "a connection to the console socket");
        let (stream, _) = self.0.accept().expect("accept");
        wait_readable(&stream, "a console on the socket");
        let mut name = [0; 4096];
        let mut buffers = [IoSliceMut::new(&mut name)];
        let mut space = nix::cmsg_space!([i32; 4]);
        let received = recvmsg::<()>(
            stream.as_raw_fd(),
            &mut buffers,
            Some(&mut space),
            MsgFlags::MSG_CMSG_CLOEXEC,
        )
        .expect("recvmsg");
        let messages: Vec<_> = received.cmsgs().expect("control messages").collect();
        match messages.as_slice() {
            [ControlMessageOwned::ScmRights(fds)] if fds.len() == 1 => {
                // SAFETY: the kernel made this descriptor for us in recvmsg, and nothing else in
                // this process knows its number.
                #[allow(unsafe_code, reason = "nix hands received descriptors out as numbers")]
                let received = unsafe { OwnedFd::from_raw_fd(fds[0]) };
                received
            }
            other => panic!("the console socket got {other:?} instead of one descriptor"),
        }
    }
}

/// The master of a terminal.
pub struct Terminal {
    master: File,
    seen: Vec<u8>,
}

impl Terminal {
    /// A new pty of this size, and its slave for a program's stdio.
    pub fn open(rows: u16, columns: u16) -> (Self, OwnedFd) {
        let size = nix::pty::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = nix::pty::openpty(Some(&size), None).expect("openpty");
        (Self { master: File::from(pty.master), seen: Vec::new() }, pty.slave)
    }

    /// Types something.
    pub fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("write to the terminal");
    }

    /// Reads until a text has appeared; gives everything seen so far.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + patience();
        loop {
            let seen = String::from_utf8_lossy(&self.seen).into_owned();
            if seen.contains(text) {
                return seen;
            }
            assert!(Instant::now() < deadline, "{text:?} did not appear on the terminal: {seen:?}");
            assert!(self.read_some(), "the terminal closed without {text:?}: {seen:?}");
        }
    }

    /// Reads until the other side has closed; gives everything seen.
    #[track_caller]
    pub fn rest(&mut self) -> String {
        let deadline = Instant::now() + patience();
        while self.read_some() {
            assert!(Instant::now() < deadline, "the terminal does not close");
        }
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Reads what is there within a short time; false once the other side has closed.
    fn read_some(&mut self) -> bool {
        let mut fds = [PollFd::new(std::os::fd::AsFd::as_fd(&self.master), PollFlags::POLLIN)];
        let ready = poll(&mut fds, PollTimeout::from(100_u8)).expect("poll");
        if ready == 0 {
            return true;
        }
        let mut buffer = [0; 4096];
        match self.master.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.seen.extend_from_slice(&buffer[..count]);
                true
            }
            // A pty whose last slave is closed reads as EIO.
            Err(_) => false,
        }
    }
}

/// Waits until something can be read.
#[track_caller]
fn wait_readable(source: &impl std::os::fd::AsFd, what: &str) {
    let mut fds = [PollFd::new(source.as_fd(), PollFlags::POLLIN)];
    let patience = PollTimeout::try_from(patience()).expect("fits");
    assert!(poll(&mut fds, patience).expect("poll") > 0, "waited too long for {what}");
}
