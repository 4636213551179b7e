//! A process in the foreground: `keel run` and `keel exec` stand for it until it ends.
//!
//! One poll(2) loop without threads: signals that arrive here go on to the container, orphans are
//! reaped, a terminal is copied, and the end of the process is seen by its pidfd. From before the
//! process starts until this program ends all signals wait in a descriptor, so none is lost and
//! none kills this program halfway. Before that, while the container is being made, a signal acts
//! as on any other program.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libcontainer::{Container, Error, Exit, NotifySocket, Process, ServiceManager};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};

use crate::console::Terminal;
use crate::notify::Notices;
use crate::relay::{Ready, Relay, Side};

/// What this program stands for: it waits to be started, and has a pidfd.
pub(crate) trait Subject: AsFd {
    /// The master of its terminal, once.
    fn take_console(&mut self) -> Option<OwnedFd>;
    /// Where it says that it is ready, once.
    fn take_notify_socket(&mut self) -> Option<NotifySocket>;
    /// Its pid.
    fn pid(&self) -> Option<i32>;
    /// Let it begin.
    fn start(&mut self) -> Result<(), Error>;
    /// Send it a signal.
    fn kill(&self, signal: libcontainer::Signal) -> Result<(), Error>;
    /// Collect it.
    fn wait(&self) -> Result<Exit, Error>;
}

impl Subject for Container {
    fn take_console(&mut self) -> Option<OwnedFd> {
        Self::take_console(self)
    }
    fn take_notify_socket(&mut self) -> Option<NotifySocket> {
        Self::take_notify_socket(self)
    }
    fn pid(&self) -> Option<i32> {
        Self::pid(self)
    }
    fn start(&mut self) -> Result<(), Error> {
        Self::start(self)
    }
    fn kill(&self, signal: libcontainer::Signal) -> Result<(), Error> {
        Self::kill(self, signal, false)
    }
    fn wait(&self) -> Result<Exit, Error> {
        Self::wait(self)
    }
}

impl Subject for Process {
    fn take_console(&mut self) -> Option<OwnedFd> {
        Self::take_console(self)
    }
    fn take_notify_socket(&mut self) -> Option<NotifySocket> {
        None
    }
    fn pid(&self) -> Option<i32> {
        Some(Self::pid(self))
    }
    fn start(&mut self) -> Result<(), Error> {
        Self::start(self)
    }
    fn kill(&self, signal: libcontainer::Signal) -> Result<(), Error> {
        Self::kill(self, signal)
    }
    fn wait(&self) -> Result<Exit, Error> {
        Self::wait(self)
    }
}

/// Start it and stand for it until it ends; the result is its exit status. A service manager is
/// told when it says that it is ready.
pub(crate) fn supervise(
    subject: &mut impl Subject,
    manager: Option<ServiceManager>,
) -> Result<u8, Error> {
    let master = subject.take_console();
    let signals = Signals::take_over(master.is_some())?;
    let mut terminal = master.map(Terminal::join).transpose()?;
    let own = subject.pid();
    subject.start()?;
    let socket = manager.zip(subject.take_notify_socket());
    let mut notices = socket.map(|(manager, socket)| Notices::between(manager, socket));
    let mut more = false;
    loop {
        let watched = Watched {
            ended: Some(subject.as_fd()),
            notices: notices.as_ref().map(|notices| notices.socket.as_fd()),
            relay: terminal.as_ref().map(|terminal| &terminal.relay),
        };
        let woken = wait(&signals, &watched, more)?;
        if woken.signals {
            while let Some(signal) = signals.next() {
                obey(signal, subject, own, terminal.as_ref());
            }
        }
        if let Some(terminal) = &mut terminal {
            more = terminal.relay.step(woken.ready);
        }
        // What it said before its end counts, too.
        if let Some(notices) = notices.as_mut().filter(|_| woken.notices || woken.ended) {
            notices.step();
        }
        if woken.ended {
            break;
        }
    }
    if let Some(terminal) = &mut terminal {
        finish(&mut terminal.relay, &signals)?;
    }
    Ok(subject.wait()?.status())
}

/// What a signal that came here means.
fn obey(signal: i32, subject: &impl Subject, own: Option<i32>, terminal: Option<&Terminal>) {
    if signal == Signal::SIGCHLD as i32 {
        reap_orphans(own);
    } else if signal == Signal::SIGWINCH as i32 {
        if let Some(terminal) = terminal {
            terminal.resize();
        }
    } else if let Some(sent) = libcontainer::Signal::from_raw(signal) {
        // The process may have ended this moment; its pidfd will tell.
        match subject.kill(sent) {
            Ok(()) => log::debug!("passed on {sent}"),
            Err(error) => log::debug!("{sent} is not passed on: {error}"),
        }
    }
}

/// Reap the container's processes that this one has adopted, but not the container's own: the
/// library waits for that.
fn reap_orphans(own: Option<i32>) {
    let Some(own) = own else { return };
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(status) = waitid(Id::All, peek) {
        match status.pid() {
            Some(pid) if pid.as_raw() != own => {
                let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
            }
            _ => return,
        }
    }
}

/// Write the rest of the container's output. A signal that asks to end ends the waiting for a
/// reader that does not read.
fn finish(relay: &mut Relay, signals: &Signals) -> Result<(), Error> {
    const END: [Signal; 4] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];
    relay.end();
    let mut more = relay.step(Ready::default());
    while !relay.is_done() {
        let watched = Watched { relay: Some(relay), ..Watched::default() };
        let woken = wait(signals, &watched, more)?;
        while let Some(signal) = signals.next() {
            if END.iter().any(|end| *end as i32 == signal) {
                return Ok(());
            }
        }
        more = relay.step(woken.ready);
    }
    Ok(())
}

/// What [`wait`] looks at besides signals.
#[derive(Default)]
struct Watched<'a> {
    ended: Option<BorrowedFd<'a>>,
    notices: Option<BorrowedFd<'a>>,
    relay: Option<&'a Relay>,
}

/// Why [`wait`] returned.
#[derive(Default)]
struct Woken {
    signals: bool,
    ended: bool,
    notices: bool,
    ready: Ready,
}

/// Wait until there is something to do; with `more`, only look.
fn wait(signals: &Signals, watched: &Watched<'_>, more: bool) -> Result<Woken, Error> {
    let mut fds = vec![PollFd::new(signals.0.as_fd(), PollFlags::POLLIN)];
    let mut sides = Vec::new();
    for (side, fd, events) in watched.relay.into_iter().flat_map(Relay::interests) {
        sides.push(side);
        fds.push(PollFd::new(fd, events));
    }
    let ended = watched.ended.map(|fd| add(&mut fds, fd));
    let notices = watched.notices.map(|fd| add(&mut fds, fd));
    let timeout = if more { PollTimeout::ZERO } else { PollTimeout::NONE };
    match poll(&mut fds, timeout) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok(Woken::default()),
        Err(errno) => {
            return Err(Error::system("cannot wait for the container", errno).syscall("poll"));
        }
    }
    let any = |place: usize| fds.get(place).is_some_and(|fd| fd.any().unwrap_or(true));
    let at = |side: Side| sides.iter().position(|s| *s == side).is_some_and(|at| any(at + 1));
    Ok(Woken {
        signals: any(0),
        ended: ended.is_some_and(any),
        notices: notices.is_some_and(any),
        ready: Ready { master: at(Side::Master), input: at(Side::Input), output: at(Side::Output) },
    })
}

/// Add a descriptor to wait for; the result is its place.
fn add<'a>(fds: &mut Vec<PollFd<'a>>, fd: BorrowedFd<'a>) -> usize {
    fds.push(PollFd::new(fd, PollFlags::POLLIN));
    fds.len() - 1
}

/// The signals sent to this process.
struct Signals(SignalFd);

impl Signals {
    /// Take over all signals but those that come of this program's own doing.
    fn take_over(terminal: bool) -> Result<Self, Error> {
        let mut taken = SigSet::all();
        taken.remove(Signal::SIGPIPE);
        taken.remove(Signal::SIGURG);
        if terminal {
            // Reading the caller's terminal in the background stops this program, as any other.
            taken.remove(Signal::SIGTTIN);
            taken.remove(Signal::SIGTTOU);
        }
        taken
            .thread_block()
            .and_then(|()| {
                SignalFd::with_flags(&taken, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            })
            .map(Self)
            .map_err(|errno| Error::system("cannot take over signals", errno))
    }

    /// The next one that has arrived.
    fn next(&self) -> Option<i32> {
        self.0.read_signal().ok().flatten().map(|info| info.ssi_signo.cast_signed())
    }
}
