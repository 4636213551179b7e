//! Copying between the caller's input and output and the master of a container's terminal.
//!
//! [`Relay`] moves bytes both ways whenever [`Relay::step`] is called and never waits by itself, so
//! that a slow reader on one side holds up neither signals nor the other side. `foreground` does
//! the waiting, for what [`Relay::interests`] says. The master is watched edge by edge: with all
//! its other ends closed it hangs up, which poll(2) would report for ever, yet the container may
//! open its terminal again. Nothing here may change the caller's descriptors: their open files are
//! shared with other programs, so `O_NONBLOCK` is set on the master alone.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use libcontainer::Error;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::PollFlags;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::termios::{SpecialCharacterIndices, tcgetattr};

/// How much is read at once.
const CHUNK: usize = 16 * 1024;
/// How much a blocking descriptor surely takes when poll(2) calls it writable.
const PIPE_BUF: usize = 4096;
/// How many reads and writes of output a step makes at most.
const ROUNDS: usize = 64;
/// More than the kernel holds for a terminal whose users have all ended.
const LEFT_AT_END: usize = 1024 * 1024;

/// Bytes read and not yet written; filled only when empty.
struct Pending {
    bytes: Box<[u8]>,
    from: usize,
    to: usize,
}

impl Pending {
    fn new() -> Self {
        Self { bytes: vec![0; CHUNK].into_boxed_slice(), from: 0, to: 0 }
    }

    fn is_empty(&self) -> bool {
        self.from == self.to
    }

    fn clear(&mut self) {
        self.from = self.to;
    }

    /// Read once. The result is the number of bytes, 0 at the end of the source.
    fn fill(&mut self, mut source: impl Read) -> io::Result<usize> {
        let count = again_if_interrupted(|| source.read(&mut self.bytes))?;
        (self.from, self.to) = (0, count);
        Ok(count)
    }

    /// Write once, at most `limit` bytes.
    fn empty_into(&mut self, mut target: impl Write, limit: usize) -> io::Result<()> {
        let end = self.to.min(self.from.saturating_add(limit));
        match again_if_interrupted(|| target.write(&self.bytes[self.from..end]))? {
            0 => Err(ErrorKind::WouldBlock.into()),
            count => {
                self.from += count;
                Ok(())
            }
        }
    }
}

/// The caller's output.
struct Output {
    file: File,
    /// Whether writing can be tried without asking poll(2) first.
    ready: bool,
    /// Whether it never blocks, so that one may write until it is full.
    nonblocking: bool,
}

/// What came of poll(2) for the descriptors of [`Relay::interests`].
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Ready {
    /// Something changed at the master.
    pub(crate) master: bool,
    /// The input can be read, or has ended.
    pub(crate) input: bool,
    /// The output can be written, or has no reader.
    pub(crate) output: bool,
}

/// The three descriptors worth waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The container's terminal.
    Master,
    /// The caller's input.
    Input,
    /// The caller's output.
    Output,
}

/// A terminal's master joined to an input and an output.
pub(crate) struct Relay {
    master: File,
    edges: Epoll,
    readable: bool,
    writable: bool,
    input: Option<File>,
    output: Option<Output>,
    to_container: Pending,
    to_caller: Pending,
    /// The end of the input is still to be told to the container.
    end_due: bool,
    /// Bytes that may still come, once the container has ended.
    left: Option<usize>,
}

impl Relay {
    /// Join them. The master becomes non-blocking; the others stay as they are.
    pub(crate) fn new(master: OwnedFd, input: OwnedFd, output: OwnedFd) -> Result<Self, Error> {
        let watch = |master: &OwnedFd| -> nix::Result<Epoll> {
            let flags = OFlag::from_bits_retain(fcntl(master, FcntlArg::F_GETFL)?);
            fcntl(master, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
            let edges = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
            let wanted = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
            edges.add(master, EpollEvent::new(wanted, 0))?;
            Ok(edges)
        };
        let edges = watch(&master)
            .map_err(|errno| Error::system("cannot watch the container's terminal", errno))?;
        Ok(Self {
            master: File::from(master),
            edges,
            readable: true,
            writable: true,
            input: Some(File::from(input)),
            output: Some(Output::new(File::from(output))),
            to_container: Pending::new(),
            to_caller: Pending::new(),
            end_due: false,
            left: None,
        })
    }

    /// The terminal's master.
    pub(crate) fn master(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    /// What to wait for before the next step can do anything.
    pub(crate) fn interests(&self) -> impl Iterator<Item = (Side, BorrowedFd<'_>, PollFlags)> {
        let input = self.input.as_ref().filter(|_| self.to_container.is_empty());
        let output = self.output.as_ref().filter(|_| !self.to_caller.is_empty());
        let master = Some(&self.edges.0).filter(|_| self.left.is_none());
        [
            master.map(|edges| (Side::Master, edges.as_fd(), PollFlags::POLLIN)),
            input.map(|file| (Side::Input, file.as_fd(), PollFlags::POLLIN)),
            output.map(|output| (Side::Output, output.file.as_fd(), PollFlags::POLLOUT)),
        ]
        .into_iter()
        .flatten()
    }

    /// Copy what can be copied without waiting, up to some rounds, so that a container which writes
    /// without end does not keep signals waiting. The result is whether there is more to do now.
    pub(crate) fn step(&mut self, ready: Ready) -> bool {
        if ready.master {
            self.take_edge();
        }
        if ready.input && self.to_container.is_empty() {
            self.read_input();
        }
        self.write_master();
        if let Some(output) = self.output.as_mut().filter(|_| ready.output) {
            output.ready = true;
        }
        (0..ROUNDS).all(|_| self.write_output() || self.read_master())
    }

    /// The container has ended: read no more input, and only what is left of its output. Steps are
    /// made until [`Relay::is_done`].
    pub(crate) fn end(&mut self) {
        self.input = None;
        self.to_container.clear();
        self.readable = true;
        self.left = Some(LEFT_AT_END);
    }

    /// Whether everything has arrived. Meaningful after [`Relay::end`].
    pub(crate) fn is_done(&self) -> bool {
        self.to_caller.is_empty() && !self.readable
    }

    /// Note what the master reports. With its other ends closed, reading and writing tell.
    fn take_edge(&mut self) {
        let mut event = [EpollEvent::empty()];
        if let Ok(1) = self.edges.wait(&mut event, EpollTimeout::ZERO) {
            let ended = EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
            self.readable |= event[0].events().intersects(EpollFlags::EPOLLIN | ended);
            self.writable |= event[0].events().intersects(EpollFlags::EPOLLOUT | ended);
        }
    }

    fn read_input(&mut self) {
        let Some(input) = &self.input else { return };
        match self.to_container.fill(input) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(count) if count > 0 => {}
            // The end, or a terminal that has hung up.
            _ => {
                self.input = None;
                self.end_due = true;
            }
        }
    }

    /// Write to the container what is due, then the end of input.
    fn write_master(&mut self) {
        while self.writable {
            if self.to_container.is_empty()
                && !(std::mem::take(&mut self.end_due) && self.queue_end())
            {
                return;
            }
            match self.to_container.empty_into(&self.master, CHUNK) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                // Nobody has the terminal open: as on a real one, what is typed now is lost.
                Err(_) => self.to_container.clear(),
            }
        }
    }

    /// A terminal has no end of file, only a character that stands for it. As script(1) does,
    /// it is sent once; a program that reads lines sees the end.
    fn queue_end(&mut self) -> bool {
        let Ok(modes) = tcgetattr(&self.master) else { return false };
        let letter = modes.control_chars[SpecialCharacterIndices::VEOF as usize];
        self.to_container.bytes[0] = letter;
        (self.to_container.from, self.to_container.to) = (0, 1);
        letter != 0
    }

    /// Read from the container; whether there is something to write now.
    fn read_master(&mut self) -> bool {
        if !self.readable || !self.to_caller.is_empty() {
            return false;
        }
        match self.to_caller.fill(&self.master) {
            Ok(count) if count > 0 => {
                if let Some(left) = &mut self.left {
                    *left = left.saturating_sub(count);
                    self.readable = *left > 0;
                }
                true
            }
            // Nothing there, or (EIO) nobody has the terminal open.
            _ => {
                self.readable = false;
                false
            }
        }
    }

    /// Write to the caller; whether something was written.
    fn write_output(&mut self) -> bool {
        if self.to_caller.is_empty() {
            return false;
        }
        let Some(output) = &mut self.output else {
            // Nobody listens; the container must not stop for that.
            self.to_caller.clear();
            return true;
        };
        if !output.ready {
            return false;
        }
        let limit = if output.nonblocking { CHUNK } else { PIPE_BUF };
        output.ready = output.nonblocking;
        match self.to_caller.empty_into(&output.file, limit) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                output.ready = false;
                false
            }
            Err(_) => {
                self.output = None;
                true
            }
        }
    }
}

impl Output {
    /// The output in the best way to write to it: a pipe or terminal is opened anew, so that this
    /// open file alone is non-blocking. What cannot be opened is written in small pieces.
    fn new(file: File) -> Self {
        let kind = file.metadata().map(|metadata| metadata.file_type()).ok();
        let own = match kind.is_some_and(|kind| kind.is_fifo()) || file.is_terminal() {
            true => {
                let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
                let path = format!("/proc/self/fd/{}", file.as_raw_fd());
                OpenOptions::new().write(true).custom_flags(flags).open(path).ok()
            }
            false => None,
        };
        // A regular file does not block, as far as poll(2) knows.
        let nonblocking = own.is_some() || kind.is_some_and(|kind| kind.is_file());
        Self { file: own.unwrap_or(file), ready: nonblocking, nonblocking }
    }
}

fn again_if_interrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.raw_os_error() == Some(Errno::EINTR as i32) => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests;
