//! Another process in a container: the runtime's column of the plan of `exec`.
//!
//! The process is described by the caller; what it leaves open is the recorded configuration's, and
//! never the bundle's, which may have changed. Nothing is written to the record. What comes out is a
//! [`Process`] that waits for its start.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use libcontainer_init::sys::path::{self, O_DIRECTORY, O_PATH, Resolve};

use super::launch::{Actor, Birth, Launch, walk_to_start};
use super::status::Verb;
use super::time::Timeline;
use super::{Container, Process, Status, perform};
use crate::bundle::Bundle;
use crate::cgroup::{self, SubCgroup};
use crate::error::{Error, ErrorKind, Result, call};
use crate::host::Host;
use crate::options::{Attachments, Options};
use crate::plan::Plan;
use crate::spec;
use crate::task::{Inherited, Task};

/// Choices for another process in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOptions {
    /// How many descriptors from 3 up the process inherits, LISTEN_FDS included.
    pub preserved_fds: u32,
    /// How many of them are sockets for socket activation, sd_listen_fds(3).
    pub listen_fds: u32,
    /// The sub-cgroups it is to be in; none for the container's own cgroup.
    pub cgroups: Vec<SubCgroup>,
    /// Whether it is started in a paused container too: it goes on when that does.
    pub ignore_paused: bool,
}

impl Container {
    /// The process of the configuration that the container was created with.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn configured_process(&self) -> Result<spec::Process> {
        Ok(self.directory.read_config()?.process.unwrap_or_default())
    }

    /// Makes another process in the container; it waits for [`Process::start`].
    ///
    /// What `process` does not say of capabilities, resource limits, scheduling, labels and
    /// `oom_score_adj` is as the container's own process has it.
    ///
    /// # Errors
    /// The container neither runs nor waits to be started, the process cannot be made as described,
    /// or a step failed; then nothing is left of it.
    pub fn exec(
        &self,
        process: spec::Process,
        options: &ExecOptions,
        attach: Attachments,
    ) -> Result<Process> {
        let mut timeline = Timeline::start();
        let status = self.status()?;
        if !(status == Status::Paused && options.ignore_paused) {
            Verb::Exec.check(&self.id, status)?;
        }
        let (mut spec, choices) = self.recorded_choices()?;
        let configured = spec.process.take().unwrap_or_default();
        spec.process = Some(completed(process, configured));
        let bundle = Bundle::recorded(&self.record.bundle, spec);
        let choices = Options {
            preserved_fds: options.preserved_fds,
            listen_fds: options.listen_fds,
            notify_socket: false,
            ..choices
        };
        let directories = self.record.cgroup.iter().flat_map(|cgroup| &cgroup.directories);
        let places = directories.map(|directory| directory.place.clone()).collect();
        let plan = Plan::exec_into(&bundle, &self.id, &choices, &Host::probe()?, places)?;
        let plan = Arc::new(plan);
        timeline.mark("compile", 0, "compile the plan");
        let launch = Launch::new(Arc::clone(&plan), attach, timeline)?;
        let mut execution = Execution { container: self, options, cgroup: None, launch };
        match walk_to_start(&mut execution, &plan.phases) {
            Ok(rest) => {
                let due = rest.first().and_then(|meeting| meeting.release.clone());
                let state = execution.listened_state()?;
                Ok(Process::new(execution.launch, due.unwrap_or_default(), state))
            }
            Err(error) => {
                execution.launch.kill_init();
                Err(error)
            }
        }
    }
}

/// What a process document leaves out is the container's.
fn completed(process: spec::Process, configured: spec::Process) -> spec::Process {
    let or = |own: Vec<_>, theirs| if own.is_empty() { theirs } else { own };
    spec::Process {
        capabilities: process.capabilities.or(configured.capabilities),
        rlimits: or(process.rlimits, configured.rlimits),
        apparmor_profile: process.apparmor_profile.or(configured.apparmor_profile),
        selinux_label: process.selinux_label.or(configured.selinux_label),
        oom_score_adj: process.oom_score_adj.or(configured.oom_score_adj),
        scheduler: process.scheduler.or(configured.scheduler),
        io_priority: process.io_priority.or(configured.io_priority),
        exec_cpu_affinity: process.exec_cpu_affinity.or(configured.exec_cpu_affinity),
        ..process
    }
}

/// A further process under way.
struct Execution<'a> {
    container: &'a Container,
    options: &'a ExecOptions,
    cgroup: Option<cgroup::Open>,
    launch: Launch,
}

impl Actor for Execution<'_> {
    fn launch(&mut self) -> &mut Launch {
        &mut self.launch
    }

    fn perform(&mut self, task: &Task) -> Result<()> {
        match task {
            Task::OpenContainer { into } => {
                let process = self.container.first_process()?;
                self.launch.fill(*into, process)
            }
            Task::OpenContainerRoot { into } => {
                let root = self.root()?;
                self.launch.fill(*into, root)
            }
            Task::OpenCgroups { first, .. } => {
                let files = self.cgroup()?.map(cgroup::Open::entry_files).transpose()?;
                let slots = (first.0..).map(libcontainer_init::wire::Slot);
                self.launch.slots.extend(slots.zip(files.unwrap_or_default()));
                Ok(())
            }
            Task::Spawn { into_cgroup, keep_capabilities, inherited, .. } => {
                self.spawn(*into_cgroup, *keep_capabilities, inherited)
            }
            Task::EnterResctrl => {
                let pid = self.launch.pid()?;
                let group = self.container.record.resctrl.as_ref();
                group.map_or(Ok(()), |group| group.enter(pid))
            }
            Task::Publish => self.launch.announce("setns"),
            other => perform::task(&mut self.launch, other),
        }
    }
}

impl Execution<'_> {
    /// The container's state, for a listener; nothing costs less where there is none.
    fn listened_state(&self) -> Result<spec::State> {
        let filter = self.launch.plan.config.seccomp.as_ref();
        match filter.and_then(|filter| filter.listener.as_ref()) {
            Some(_) => self.container.state(),
            None => Ok(spec::State::default()),
        }
    }

    /// The container's cgroups, or the sub-cgroups that were asked for, or that its processes are in.
    fn cgroup(&mut self) -> Result<Option<&cgroup::Open>> {
        let Some(cgroup) = &self.container.record.cgroup else {
            return match self.options.cgroups.as_slice() {
                [] => Ok(None),
                _ => Err(Error::new(ErrorKind::Input, "the container has no cgroup of its own")),
            };
        };
        if self.cgroup.is_none() {
            let subgroup = cgroup.subgroup.clone();
            let usual = subgroup.map(|path| SubCgroup { controllers: Vec::new(), path });
            let asked = self.options.cgroups.clone();
            let subs = if asked.is_empty() { Vec::from_iter(usual) } else { asked };
            self.cgroup = Some(cgroup.open_for(&subs)?);
        }
        Ok(self.cgroup.as_ref())
    }

    /// The container's root directory where it has no mount namespace: that of its first process.
    fn root(&self) -> Result<OwnedFd> {
        let pid = self.container.pid().unwrap_or_default();
        let name = std::ffi::CString::new(format!("/proc/{pid}/root")).unwrap_or_default();
        let root = path::open(path::AT_FDCWD, &name, O_PATH | O_DIRECTORY, 0, Resolve::Anywhere);
        let root = root.map_err(|failure| call("cannot open the container's root", failure))?;
        // The pid is still that process's: the descriptor is about it, and nobody else's.
        if self.container.pid() != Some(pid) {
            return Err(Error::new(ErrorKind::State, "cannot exec in a stopped container"));
        }
        Ok(root.into())
    }

    /// Where the container divided its cgroup v2, no process may join at the top; then the new one
    /// joins the first process where that is.
    fn spawn(
        &mut self,
        into_cgroup: bool,
        keep_capabilities: bool,
        inherited: &Inherited,
    ) -> Result<()> {
        let cgroup = match self.cgroup()? {
            Some(open) if into_cgroup => open.unified_dir()?,
            _ => None,
        };
        let may_move = cgroup.is_some() && self.options.cgroups.is_empty();
        let (namespaces, join) = (0, Vec::new()); // it joins the container's
        let birth = Birth { namespaces, join, cgroup, keep_capabilities, inherited };
        match self.launch.spawn(&birth) {
            Err(error) if may_move && error.raw_errno() == Some(libc::EBUSY) => {
                let pid = self.container.pid().unwrap_or_default();
                let record = self.container.record.cgroup.as_ref();
                let cgroup = record.map(|cgroup| cgroup.unified_dir_of(pid)).transpose()?.flatten();
                self.launch.spawn(&Birth { cgroup, ..birth })
            }
            done => done,
        }
    }
}
