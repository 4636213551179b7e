//! The terminal of a container in the foreground, joined to the one this command was called from.
//!
//! `foreground` opens it when the configuration asks for a terminal. The caller's terminal is put
//! into raw mode, so that every key reaches the container, and put back when the value is dropped:
//! whoever holds it must let it drop on every path. Input and output that are no terminals work
//! too; then there is nothing to put back, and perhaps no size.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};

use libcontainer::Error;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use rustix::termios::{tcgetwinsize, tcsetwinsize};

use crate::relay::Relay;

/// A container's terminal in the foreground.
pub(crate) struct Terminal {
    /// The copying.
    pub(crate) relay: Relay,
    /// The caller's terminal, whose size counts.
    caller: Option<File>,
    _raw: Option<RawMode>,
}

impl Terminal {
    /// Join the container's terminal, by its master, to this command's standard input and output.
    pub(crate) fn join(master: OwnedFd) -> Result<Self, Error> {
        // The caller's terminal makes CR LF of a line's end, and a file shall get none.
        change(&master, |modes| modes.output_flags.remove(OutputFlags::ONLCR))
            .map_err(|errno| Error::system("cannot set up the container's terminal", errno))?;
        let input = duplicate(io::stdin())?;
        let output = duplicate(io::stdout())?;
        let caller = [input.try_clone(), output.try_clone(), duplicate_io(io::stderr())]
            .into_iter()
            .filter_map(|stream| stream.ok().map(File::from))
            .find(File::is_terminal);
        let raw = RawMode::enter(&input);
        let terminal = Self { relay: Relay::new(master, input, output)?, caller, _raw: raw };
        terminal.resize();
        Ok(terminal)
    }

    /// Give the container's terminal the size of the caller's, where that has one.
    pub(crate) fn resize(&self) {
        let Some(caller) = &self.caller else { return };
        if let Ok(size) = tcgetwinsize(caller)
            && (size.ws_row, size.ws_col) != (0, 0)
        {
            // It fails only when the terminal is going away.
            let _ = tcsetwinsize(self.relay.master(), size);
        }
    }
}

/// A terminal in raw mode, and how it was before.
struct RawMode {
    terminal: OwnedFd,
    before: Termios,
}

impl RawMode {
    /// Put it into raw mode; none if it is no terminal or cannot be set.
    fn enter(terminal: &OwnedFd) -> Option<Self> {
        let before = tcgetattr(terminal).ok()?;
        let terminal = terminal.try_clone().ok()?;
        let raw = Self { terminal, before };
        let changed = change(&raw.terminal, |modes| {
            let processed = modes.output_flags & OutputFlags::OPOST;
            cfmakeraw(modes);
            modes.output_flags |= processed;
        });
        if let Err(errno) = changed {
            log::warn!(
                "cannot put the terminal into raw mode: {}",
                libcontainer::errno_text(errno)
            );
        }
        Some(raw)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // From the background this would stop the process instead, with the container gone.
        let _ = SigSet::from(Signal::SIGTTOU).thread_block();
        let _ = tcsetattr(&self.terminal, SetArg::TCSANOW, &self.before);
    }
}

/// Change the modes of a terminal.
fn change(terminal: &OwnedFd, edit: impl FnOnce(&mut Termios)) -> nix::Result<()> {
    let mut modes = tcgetattr(terminal)?;
    edit(&mut modes);
    tcsetattr(terminal, SetArg::TCSANOW, &modes)
}

fn duplicate(stream: impl AsFd) -> Result<OwnedFd, Error> {
    duplicate_io(stream).map_err(|error| Error::io("cannot duplicate a standard stream", &error))
}

fn duplicate_io(stream: impl AsFd) -> io::Result<OwnedFd> {
    stream.as_fd().try_clone_to_owned()
}

#[cfg(test)]
mod tests {
    use nix::pty::{Winsize, openpty};
    use nix::sys::termios::LocalFlags;

    use super::*;

    #[test]
    fn a_terminal_is_raw_for_a_while_and_then_as_before() {
        let pty = openpty(None, None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let raw = RawMode::enter(&pty.slave).unwrap();
        let during = tcgetattr(&pty.slave).unwrap();
        assert!(
            !during
                .local_flags
                .intersects(LocalFlags::ICANON | LocalFlags::ISIG | LocalFlags::ECHO)
        );
        assert!(during.output_flags.contains(OutputFlags::OPOST), "lines must still return");
        drop(raw);
        assert!(tcgetattr(&pty.slave).unwrap() == before);
    }

    #[test]
    fn what_is_no_terminal_is_left_alone() {
        let null = OwnedFd::from(File::open("/dev/null").unwrap());
        assert!(RawMode::enter(&null).is_none());
    }

    #[test]
    fn the_container_s_terminal_gets_the_size_of_the_caller_s() {
        let size = Winsize { ws_row: 33, ws_col: 101, ws_xpixel: 0, ws_ypixel: 0 };
        let (caller, inner) = (openpty(Some(&size), None).unwrap(), openpty(None, None).unwrap());
        let null =
            || OwnedFd::from(File::options().read(true).write(true).open("/dev/null").unwrap());
        let terminal = Terminal {
            relay: Relay::new(inner.master, null(), null()).unwrap(),
            caller: Some(File::from(caller.slave)),
            _raw: None,
        };
        terminal.resize();
        let now = tcgetwinsize(&inner.slave).unwrap();
        assert_eq!((now.ws_row, now.ws_col), (33, 101));
    }
}
