//! A creation under way: what it has made so far, and the tasks that only a creation has: they
//! concern the record, the cgroups, and hooks.

use std::os::fd::AsRawFd;

use libcontainer_init::wire::Slot;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};

use super::launch::{Actor, Birth, Launch};
use super::net_devices::NetDevices;
use super::record::{Directory, Identity, Lock, Record};
use super::{hooks, link, perform};
use crate::cgroup::Cgroup;
use crate::config::{Joined, NetDevice};
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::id::ContainerId;
use crate::resctrl::{Group, Made};
use crate::spec::{Hook, Spec, State};
use crate::task::{Inherited, Task};

/// A creation under way.
pub(super) struct Creation<'a> {
    pub(super) id: &'a ContainerId,
    pub(super) spec: &'a Spec,
    pub(super) directory: Directory,
    pub(super) record: Record,
    pub(super) lock: Option<Lock>,
    /// Cgroups that were looked for and not made yet.
    pub(super) survey: Option<crate::cgroup::Survey>,
    pub(super) cgroup: Option<crate::cgroup::Open>,
    /// Whether systemd was asked for a scope: then it goes with what is in it, made or not.
    pub(super) scope_started: bool,
    pub(super) warnings: Vec<Fault>,
    /// What was made in resctrl.
    pub(super) resctrl: Made,
    /// Network devices that were moved in.
    pub(super) net_devices: Option<NetDevices>,
    pub(super) launch: Launch,
}

impl Actor for Creation<'_> {
    fn launch(&mut self) -> &mut Launch {
        &mut self.launch
    }

    fn perform(&mut self, task: &Task) -> Result<()> {
        match task {
            Task::Record => self.claim(),
            Task::Listen { into } => self.listen_for_start(*into),
            Task::StartScope => self.start_scope(),
            Task::MakeCgroups => self.make_cgroups(),
            Task::LimitCgroups => self.limit_cgroups(),
            Task::MakeSubCgroup { path, into } => self.make_sub_cgroup(path, *into),
            Task::GiveCgroup { uid } => self.give_cgroup(*uid),
            Task::OpenCgroups { first, .. } => self.open_cgroups(*first),
            Task::MakeResctrl => self.make_resctrl(),
            Task::EnterResctrl => self.enter_resctrl(),
            Task::Spawn { namespaces, join, into_cgroup, keep_capabilities, inherited, .. } => {
                self.spawn(*namespaces, join, *into_cgroup, *keep_capabilities, inherited)
            }
            Task::MoveNetDevice { device } => self.move_net_device(device),
            Task::StateDocument { status, inside, into } => {
                self.state_document(status, *inside, *into)
            }
            Task::OpenHookStream { path, into } => {
                self.launch.fill(*into, hooks::stream(path)?.into())
            }
            Task::RunHook { moment, hook } => self.run_hook(moment, hook),
            Task::Publish => self.publish(),
            other => perform::task(&mut self.launch, other),
        }
    }
}

impl Creation<'_> {
    /// Claims the id. The record names the cgroups and other groups before they are made.
    fn claim(&mut self) -> Result<()> {
        self.lock = Some(self.directory.claim(self.id)?);
        let survey = self.launch.plan.config.cgroup.as_ref().map(Cgroup::survey).transpose()?;
        self.record.cgroup = survey.as_ref().map(|survey| survey.cgroup().clone());
        self.survey = survey;
        let rdt = &self.launch.plan.config.intel_rdt;
        self.record.resctrl = rdt.as_ref().map(Group::survey).transpose()?;
        self.directory.write_config(self.spec)?;
        self.directory.write(&self.record)
    }

    /// The socket file that `start` connects to; only this user can reach its directory.
    fn listen_for_start(&mut self, into: Slot) -> Result<()> {
        let path = self.directory.socket();
        let fail = |errno| {
            Error::system(format!("cannot listen on {}", path.display()), errno).path(&path)
        };
        let kind = SockType::SeqPacket;
        let fd = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None).map_err(fail)?;
        let (short, _dir) = link::short_path(&path).map_err(fail)?;
        let address = UnixAddr::new(&short).map_err(fail)?;
        bind(fd.as_raw_fd(), &address).map_err(fail)?;
        let one = Backlog::new(1).map_err(fail)?;
        listen(&fd, one).map_err(fail)?;
        self.launch.fill(into, fd)
    }

    fn start_scope(&mut self) -> Result<()> {
        let pid = self.launch.pid()?;
        let survey = self.survey.as_ref();
        self.scope_started = true;
        survey.map_or(Ok(()), |survey| survey.start_scope(pid))
    }

    fn make_cgroups(&mut self) -> Result<()> {
        if let Some(survey) = self.survey.take() {
            let open = survey.prepare()?;
            self.record.cgroup = Some(open.cgroup().clone());
            self.cgroup = Some(open);
        }
        Ok(())
    }

    fn limit_cgroups(&mut self) -> Result<()> {
        if let (Some(open), Some(plan)) = (&self.cgroup, &self.launch.plan.config.cgroup) {
            self.warnings.extend(open.apply(plan)?);
        }
        Ok(())
    }

    fn make_sub_cgroup(&mut self, path: &str, into: Slot) -> Result<()> {
        let file = self.cgroup.as_mut().map(|open| open.make_below(path)).transpose()?.flatten();
        file.map_or(Ok(()), |file| self.launch.fill(into, file))
    }

    fn give_cgroup(&mut self, uid: u32) -> Result<()> {
        self.cgroup.as_ref().map_or(Ok(()), |open| open.give(uid))
    }

    fn open_cgroups(&mut self, first: Slot) -> Result<()> {
        if let Some(open) = &self.cgroup {
            let files = open.entry_files()?;
            self.launch.slots.extend((first.0..).map(Slot).zip(files));
        }
        Ok(())
    }

    fn make_resctrl(&mut self) -> Result<()> {
        match (&self.record.resctrl, &self.launch.plan.config.intel_rdt) {
            (Some(group), Some(plan)) => group.make(plan, &mut self.resctrl),
            _ => Ok(()),
        }
    }

    fn enter_resctrl(&self) -> Result<()> {
        let pid = self.launch.pid()?;
        self.record.resctrl.as_ref().map_or(Ok(()), |group| group.enter(pid))
    }

    fn spawn(
        &mut self,
        namespaces: u32,
        join: &[Joined],
        into_cgroup: bool,
        keep_capabilities: bool,
        inherited: &Inherited,
    ) -> Result<()> {
        let cgroup = match &self.cgroup {
            Some(open) if into_cgroup => open.unified_dir()?,
            _ => None,
        };
        let opened = join.iter().map(|joined| Ok((joined, perform::open_namespace(joined)?)));
        let join = opened.collect::<Result<_>>()?;
        self.launch.spawn(&Birth { namespaces, join, cgroup, keep_capabilities, inherited })
    }

    fn move_net_device(&mut self, device: &NetDevice) -> Result<()> {
        if self.net_devices.is_none() {
            self.net_devices = Some(NetDevices::of(self.launch.pid()?)?);
        }
        self.net_devices.as_mut().map_or(Ok(()), |devices| devices.move_in(device))
    }

    /// The document for hooks inside, with the pid as they see it.
    fn state_document(&mut self, status: &str, inside: bool, into: Slot) -> Result<()> {
        let pid = self.launch.pid()?;
        let seen = if inside { innermost_pid(pid)? } else { pid };
        let document = hooks::document(&self.state(status, Some(seen)))?;
        self.launch.fill(into, document)
    }

    fn run_hook(&mut self, moment: &str, hook: &Hook) -> Result<()> {
        let pidfd = self.launch.init.as_ref().map(|(_, pidfd)| pidfd);
        hooks::run(moment, hook, &self.state("creating", Some(self.launch.pid()?)), pidfd)
    }

    /// From here on the container is there for other commands.
    fn publish(&mut self) -> Result<()> {
        let pid = self.launch.pid()?;
        self.record.init = Some(Identity::of(pid).ok_or_else(|| {
            Error::new(ErrorKind::Init, "the container's init ended before it was started")
        })?);
        self.directory.write(&self.record)?;
        self.launch.announce("standard")
    }

    /// The state as hooks are told it.
    pub(super) fn state(&self, status: &str, pid: Option<i32>) -> State {
        State {
            oci_version: super::OCI_VERSION.to_owned(),
            id: self.id.to_string(),
            status: status.to_owned(),
            pid,
            bundle: self.record.bundle.to_string_lossy().into_owned(),
            annotations: self.launch.plan.config.annotations.clone(),
            ..State::default()
        }
    }
}

/// The last of a process's pids in nested PID namespaces, proc(5) NSpid.
fn innermost_pid(pid: i32) -> Result<i32> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Error::io(format!("cannot read {path}"), &error))?;
    let line = text.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let last = line.and_then(|line| line.split_ascii_whitespace().last()?.parse().ok());
    Ok(last.unwrap_or(pid))
}
