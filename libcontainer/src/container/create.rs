//! Creating a container: the runtime's column of the plan, walked phase by phase.
//!
//! What an interrupted creation would leave is recorded before it exists, and what a failed one
//! made is undone here: init is killed, cgroups and the directory are removed.

use std::os::fd::AsRawFd;
use std::time::SystemTime;

use libcontainer_init::message::Message;
use libcontainer_init::sys::pidfd;
use libcontainer_init::wire::Slot;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use super::creation::Creation;
use super::link::{self, Link, Said};
use super::perform;
use super::record::{Directory, Record};
use super::time::{Timeline, rfc3339};
use super::{Container, Store, hooks};
use crate::bundle::Bundle;
use crate::cgroup::Cgroup;
use crate::error::{Error, ErrorKind, Result};
use crate::host::Host;
use crate::id::ContainerId;
use crate::options::{Attachments, Options};
use crate::plan::Plan;
use crate::steps::Action;

impl Store {
    /// Creates a container: everything is set up, and its program waits to be started.
    ///
    /// # Errors
    /// The configuration has faults, the id is taken, or a step failed; then nothing is left.
    pub fn create(
        &self,
        id: &ContainerId,
        bundle: &Bundle,
        options: &Options,
        attach: Attachments,
    ) -> Result<Container> {
        let mut timeline = Timeline::start();
        let host = Host::probe()?;
        timeline.mark("compile", 0, "look at the machine");
        let plan = Plan::create(bundle, id, options, &host)?;
        timeline.mark("compile", 0, "compile the plan");
        check_attachments(&plan, &attach)?;
        let mut creation = Creation::new(self, id, bundle, &plan, options, attach, timeline)?;
        match creation.walk() {
            Ok(()) => creation.finish(),
            Err(error) => {
                creation.undo(error.kind() == ErrorKind::Hook);
                Err(error)
            }
        }
    }
}

/// The plan and what the caller attached must agree on the terminal.
fn check_attachments(plan: &Plan, attach: &Attachments) -> Result<()> {
    let wanted = plan.config.console.is_some();
    let given = attach.console != crate::options::Console::None;
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

impl<'a> Creation<'a> {
    fn new(
        store: &Store,
        id: &'a ContainerId,
        bundle: &'a Bundle,
        plan: &'a Plan,
        options: &Options,
        attach: Attachments,
        timeline: Timeline,
    ) -> Result<Self> {
        let kind = SockType::SeqPacket;
        let (ours, theirs) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)
            .map_err(|errno| Error::system("cannot make a socket to init", errno))?;
        let record = Record {
            bundle: bundle.path().to_owned(),
            rootfs: plan.config.rootfs.path.clone(),
            created: rfc3339(SystemTime::now()),
            owner: nix::unistd::geteuid().as_raw(),
            init: None,
            own_pids: plan.config.namespaces.creates(libcontainer_init::sys::namespace::NEWPID),
            has_process: plan.config.has_process,
            has_hooks: bundle.spec().hooks.is_some(),
            options: options.clone(),
            cgroup: None,
        };
        Ok(Self {
            id,
            spec: bundle.spec(),
            plan,
            attach,
            directory: Directory::new(&store.root, id),
            record,
            lock: None,
            survey: None,
            cgroup: None,
            init: None,
            link: Link::new(ours),
            init_socket: Some(theirs),
            slots: Vec::new(),
            console_socket: None,
            console: None,
            timeline,
            warnings: plan.warnings().to_vec(),
        })
    }

    /// The plan's phases: wait for init where it says so, do the runtime's steps, say *go*.
    fn walk(&mut self) -> Result<()> {
        let plan = self.plan;
        for meeting in &plan.phases {
            let phase = meeting.phase.name;
            if meeting.runtime_waits {
                self.await_init(phase == "adopt")?;
                self.timeline.mark(phase, 0, "init arrived");
            }
            for (i, entry) in meeting.phase.entries.iter().enumerate() {
                let Action::Runtime(task) = &entry.action else { continue };
                let number = meeting.first + i;
                perform::task(self, task).map_err(|e| e.at(phase, number, &entry.pointer))?;
                self.timeline.mark(phase, number, task.name());
            }
            if let Some(slots) = &meeting.release {
                self.go(slots)?;
            }
        }
        Ok(())
    }

    /// Hands over what the phase opened. Init's socket holds the message until it is there.
    fn go(&mut self, slots: &[Slot]) -> Result<()> {
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
                    return Err(link::fault(self.plan, &fault));
                }
                Said::Message(..) => {
                    let message = "the container's init said what is not its turn";
                    return Err(Error::new(ErrorKind::Init, message));
                }
                Said::End => return Err(self.silent_end()),
            }
        }
    }

    /// When init cannot be talked to, what it said before it ended is the better error.
    fn blame_init(&mut self, error: Error) -> Result<()> {
        while let Ok(Said::Message(message, _)) = self.link.listen() {
            if let Message::Fault(fault) = message {
                return Err(link::fault(self.plan, &fault));
            }
        }
        Err(error)
    }

    fn silent_end(&self) -> Error {
        link::silent_end(self.init.as_ref().map(|(_, pidfd)| pidfd), self.id.as_str())
    }

    fn finish(self) -> Result<Container> {
        let Self { id, directory, record, init, console, timeline, warnings, lock, .. } = self;
        drop(lock);
        for warning in &warnings {
            log::warn!("{warning}");
        }
        let pidfd = init.map(|(_, pidfd)| pidfd);
        Ok(Container { id: id.clone(), directory, record, pidfd, console, timeline, warnings })
    }

    /// Takes back what was made, in reverse. What cannot be taken back is for `delete --force`.
    fn undo(&mut self, hook_failed: bool) {
        if let Some((_, pidfd)) = self.init.take() {
            let _ = pidfd::send_signal(pidfd.as_raw_fd(), libc::SIGKILL);
            let _ = pidfd::wait(pidfd.as_raw_fd());
        }
        self.slots.clear();
        // Only what was made: a cgroup that was found in use is somebody else's.
        let cgroup = self.cgroup.take().map(|open| open.cgroup().clone());
        if let Some(cgroup) = cgroup
            && let Err(error) = remove_cgroup(&cgroup)
        {
            log::warn!("{error}");
        }
        if self.lock.is_some()
            && let Err(error) = self.directory.remove(self.id)
        {
            log::warn!("{error}");
        }
        self.run_poststop(hook_failed);
    }

    /// A container that was created in part is destroyed like any other (runtime.md, "Lifecycle").
    fn run_poststop(&self, hook_failed: bool) {
        let hooks_ran = self.timeline.marks().iter().any(|mark| mark.what == "RunHook");
        let created = self.record.init.is_some() || hooks_ran || hook_failed;
        if !created {
            return;
        }
        for hook in &self.plan.config.hooks.poststop {
            if let Err(error) = hooks::run("poststop", hook, &self.state("stopped", None), None) {
                log::warn!("{error}");
            }
        }
    }
}

fn remove_cgroup(cgroup: &Cgroup) -> Result<()> {
    cgroup.kill()?;
    cgroup.remove()
}
