//! An init being started, and the walk through the runtime's column of its plan.
//!
//! `create` and `exec` share this: the socket to init, what was opened for it, and the order of
//! things, which is the plan's. What a task means is `perform`'s for those that both have, and the
//! actor's own for the rest. Nothing here knows which of the two it is.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use libcontainer_init::message::Message;
use libcontainer_init::sys::memfd::{self, Use};
use libcontainer_init::sys::pidfd;
use libcontainer_init::wire::Slot;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use super::link::{self, Link, Said};
use super::mappings;
use super::spawn;
use super::time::Timeline;
use crate::config::{IdSource, Joined};
use crate::error::{Error, ErrorKind, Result, call};
use crate::options::{Attachments, Console};
use crate::plan::{Meeting, Plan};
use crate::steps::Action;
use crate::task::{Inherited, Task};

/// An init being started.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) plan: Arc<Plan>,
    pub(super) attach: Attachments,
    /// Init's pid and pidfd.
    pub(super) init: Option<(i32, OwnedFd)>,
    pub(super) link: Link,
    /// Init's end of the socket, until init has it.
    init_socket: Option<OwnedFd>,
    /// What was opened for init, until the next *go*.
    pub(super) slots: Vec<(Slot, OwnedFd)>,
    /// User namespaces whose mappings id-mapped mounts show.
    pub(super) id_sources: Vec<(IdSource, OwnedFd)>,
    /// Where the terminal's master goes, and the master.
    pub(super) console_socket: Option<OwnedFd>,
    pub(super) console: Option<OwnedFd>,
    /// Where its pidfd goes.
    pub(super) pidfd_sockets: Vec<OwnedFd>,
    pub(super) timeline: Timeline,
}

/// Where and how init begins.
#[derive(Debug)]
pub(super) struct Birth<'a> {
    /// `CLONE_NEW*` of namespaces made with it.
    pub(super) namespaces: u32,
    /// Namespaces it is started in, opened.
    pub(super) join: Vec<(&'a Joined, OwnedFd)>,
    /// The cgroup v2 directory it is born in.
    pub(super) cgroup: Option<OwnedFd>,
    /// Whether its capabilities must be made to survive the exec.
    pub(super) keep_capabilities: bool,
    /// What it inherits.
    pub(super) inherited: &'a Inherited,
}

/// Who walks a plan: performs the runtime's tasks.
pub(super) trait Actor {
    /// The init it starts.
    fn launch(&mut self) -> &mut Launch;
    /// Performs one task.
    fn perform(&mut self, task: &Task) -> Result<()>;
}

/// Walks all phases.
///
/// # Errors
/// That of the first task or step that fails.
pub(super) fn walk(actor: &mut impl Actor, phases: &[Meeting]) -> Result<()> {
    let rest = walk_to_start(actor, phases)?;
    for meeting in rest {
        if let Some(slots) = &meeting.release {
            actor.launch().go(slots)?;
        } else {
            perform_phase(actor, meeting)?;
        }
    }
    Ok(())
}

/// Walks all phases up to the last *go*, which is left to say. Returns the rest: the phase that
/// ends with it, whose steps are done, and what follows.
///
/// # Errors
/// As [`walk`].
pub(super) fn walk_to_start<'a>(
    actor: &mut impl Actor,
    phases: &'a [Meeting],
) -> Result<&'a [Meeting]> {
    let last = phases.iter().rposition(|meeting| meeting.release.is_some());
    for (i, meeting) in phases.iter().enumerate() {
        perform_phase(actor, meeting)?;
        match &meeting.release {
            Some(_) if Some(i) == last => return Ok(&phases[i..]),
            Some(slots) => actor.launch().go(slots)?,
            None => {}
        }
    }
    Ok(&[])
}

/// Waits for init where the phase says so, and performs the runtime's steps.
fn perform_phase(actor: &mut impl Actor, meeting: &Meeting) -> Result<()> {
    let phase = meeting.phase.name;
    if meeting.runtime_waits {
        actor.launch().await_init(phase == "adopt")?;
        actor.launch().timeline.mark(phase, 0, "init arrived");
    }
    for (i, entry) in meeting.phase.entries.iter().enumerate() {
        let Action::Runtime(task) = &entry.action else { continue };
        let number = meeting.first + i;
        actor.perform(task).map_err(|e| e.at(phase, number, &entry.pointer))?;
        actor.launch().timeline.mark(phase, number, task.name());
    }
    Ok(())
}

impl Launch {
    /// Nothing is started yet. The plan and what the caller attached must agree.
    pub(super) fn new(plan: Arc<Plan>, attach: Attachments, timeline: Timeline) -> Result<Self> {
        check_attachments(&plan, &attach)?;
        let kind = SockType::SeqPacket;
        let (ours, theirs) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)
            .map_err(|errno| Error::system("cannot make a socket to init", errno))?;
        let pidfd_sockets = attach.pidfd_sockets.iter();
        let pidfd_sockets = pidfd_sockets
            .map(|path| link::connect(path, SockType::Stream))
            .collect::<Result<_>>()?;
        Ok(Self {
            pidfd_sockets,
            plan,
            attach,
            init: None,
            link: Link::new(ours),
            init_socket: Some(theirs),
            slots: Vec::new(),
            id_sources: Vec::new(),
            console_socket: None,
            console: None,
            timeline,
        })
    }

    /// Init's pid.
    pub(super) fn pid(&self) -> Result<i32> {
        self.init
            .as_ref()
            .map(|(pid, _)| *pid)
            .ok_or_else(|| Error::new(ErrorKind::Init, "the container's init does not exist"))
    }

    /// Keeps what was opened for init until the next *go*.
    pub(super) fn fill(&mut self, slot: Slot, fd: OwnedFd) -> Result<()> {
        self.slots.push((slot, fd));
        Ok(())
    }

    /// Starts init.
    pub(super) fn spawn(&mut self, birth: &Birth<'_>) -> Result<()> {
        let plan = memfd::sealed(c"keel-plan", &self.plan.bytes, Use::Data)
            .map(OwnedFd::from)
            .map_err(|failure| call("cannot write the plan", failure))?;
        let socket = self.init_socket.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Init, "the container's init was started already")
        })?;
        let spawned =
            spawn::start(&spawn::Start { plan: &plan, socket, stdio: &self.attach.stdio, birth })?;
        self.init_socket = None;
        self.init = Some((spawned.pid, spawned.pidfd.into()));
        Ok(())
    }

    /// Hands over what the phase opened. Init's socket holds the message until it is there.
    pub(super) fn go(&mut self, slots: &[Slot]) -> Result<()> {
        let opened = std::mem::take(&mut self.slots);
        let descriptor = |slot: &Slot| {
            opened.iter().find(|(known, _)| known == slot).map_or(-1, |(_, fd)| fd.as_raw_fd())
        };
        let descriptors: Vec<i32> = slots.iter().map(descriptor).collect();
        self.link.go(&descriptors).or_else(|error| self.blame_init(error))
    }

    /// Waits until init arrived at the meeting point; at the one for a new process, until it forked.
    fn await_init(&mut self, forks: bool) -> Result<()> {
        loop {
            match self.link.listen()? {
                Said::Message(Message::Arrived, _) if !forks => return Ok(()),
                Said::Message(Message::Console, Some(master)) => self.console = Some(master),
                Said::Message(Message::Forked(pid), Some(pidfd))
                    if forks && super::record::pid_of(&pidfd) == Some(pid) =>
                {
                    // The process that forked has ended and is this one's to collect.
                    if let Some((_, old)) = self.init.replace((pid, pidfd)) {
                        let _ = pidfd::wait(old.as_raw_fd());
                    }
                    return Ok(());
                }
                Said::Message(Message::Fault(fault), _) => {
                    return Err(link::fault(&self.plan, &fault));
                }
                Said::Message(..) => return Err(link::not_its_turn()),
                Said::End => return Err(self.silent_end()),
            }
        }
    }

    /// When init cannot be talked to, what it said before it ended is the better error.
    fn blame_init(&mut self, error: Error) -> Result<()> {
        while let Ok(Said::Message(message, _)) = self.link.listen() {
            if let Message::Fault(fault) = message {
                return Err(link::fault(&self.plan, &fault));
            }
        }
        Err(error)
    }

    /// The error of an init that ended without a word.
    pub(super) fn silent_end(&self) -> Error {
        link::silent_end(self.init.as_ref().map(|(_, pidfd)| pidfd), &self.plan.config.id)
    }

    /// Ends init, if there is one.
    pub(super) fn kill_init(&mut self) {
        if let Some((_, pidfd)) = self.init.take() {
            let _ = pidfd::send_signal(pidfd.as_raw_fd(), libc::SIGKILL);
            let _ = pidfd::wait(pidfd.as_raw_fd());
        }
        self.slots.clear();
    }
}

/// The plan and what the caller attached must agree on the terminal and on who maps ids.
fn check_attachments(plan: &Plan, attach: &Attachments) -> Result<()> {
    for (_, _, entry) in plan.numbered() {
        if let Action::Runtime(Task::WriteMappings { mappings }) = &entry.action {
            mappings::check(mappings, &attach.id_mappers)?;
        }
    }
    let wanted = plan.config.console.is_some();
    let given = attach.console != Console::None;
    let preserved = plan.config.process.preserved as usize;
    let message = if wanted && !given {
        "cannot allocate tty if the container is detached and no console socket is given"
    } else if given && !wanted {
        "cannot use a console socket: the process has no terminal"
    } else if preserved != attach.preserved.len() {
        "the number of preserved descriptors is not that of the options"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Input, message))
}
