//! The runtime's steps, one function each: what a [`Task`] of the plan does on the host.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use libcontainer_init::sys::path::{self, O_DIRECTORY, O_NOFOLLOW, O_PATH, Resolve};
use libcontainer_init::sys::{Failure, limit, mount, namespace};
use libcontainer_init::wire::Slot;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};

use super::creation::Creation;
use super::record::Identity;
use super::{console, hooks, link, mappings, spawn};
use crate::cgroup::Cgroup;
use crate::config::Joined;
use crate::error::{Error, ErrorKind, Result, call};
use crate::features::{limits, namespaces};
use crate::options;
use crate::spec::Hook;
use crate::task::Task;

/// Performs one step.
pub(super) fn task(creation: &mut Creation<'_>, task: &Task) -> Result<()> {
    let c = creation;
    match task {
        Task::Record => c.claim(),
        Task::OpenRootfs { path, tree, into } => c.fill(*into, open_rootfs(path, *tree)?),
        Task::OpenTree { path, recursive, into } => c.fill(*into, open_tree(path, *recursive)?),
        Task::OpenProcfs { into } => c.fill(*into, open_procfs()?),
        Task::OpenNamespace { namespace, into } => c.fill(*into, open_namespace(namespace)?),
        Task::ConnectConsole => c.connect_console(),
        Task::HandOver { first, .. } => c.hand_over(*first),
        Task::Listen { into } => c.listen_for_start(*into),
        Task::MakeCgroups => c.make_cgroups(),
        Task::LimitCgroups => c.limit_cgroups(),
        Task::OpenCgroups { first, .. } => c.open_cgroups(*first),
        Task::Spawn { namespaces, join, into_cgroup, keep_capabilities } => {
            c.spawn(*namespaces, join, *into_cgroup, *keep_capabilities)
        }
        Task::WriteMappings { mappings } => mappings::write(c.pid()?, mappings),
        // Init's message about it was awaited as the meeting point before this phase.
        Task::AdoptInit => Ok(()),
        Task::OomScore { value } => write_oom_score(c.pid()?, *value),
        Task::RaiseLimit { resource, hard } => raise_limit(c.pid()?, *resource, *hard),
        Task::StateDocument { status, inside, into } => c.state_document(status, *inside, *into),
        Task::RunHook { moment, hook } => c.run_hook(moment, hook),
        Task::SendConsole => c.send_console(),
        Task::Publish => c.publish(),
        Task::OpenContainer { .. } => {
            Err(Error::new(ErrorKind::Input, "there is no container yet"))
        }
    }
}

impl Creation<'_> {
    fn fill(&mut self, slot: Slot, fd: OwnedFd) -> Result<()> {
        self.slots.push((slot, fd));
        Ok(())
    }

    fn pid(&self) -> Result<i32> {
        self.init
            .as_ref()
            .map(|(pid, _)| *pid)
            .ok_or_else(|| Error::new(ErrorKind::Init, "the container's init does not exist"))
    }

    /// Claims the id. The record names the cgroups before they are made.
    fn claim(&mut self) -> Result<()> {
        self.lock = Some(self.directory.claim(self.id)?);
        let survey = self.plan.config.cgroup.as_ref().map(Cgroup::survey).transpose()?;
        self.record.cgroup = survey.as_ref().map(|survey| survey.cgroup().clone());
        self.survey = survey;
        self.directory.write_config(self.spec)?;
        self.directory.write(&self.record)
    }

    fn connect_console(&mut self) -> Result<()> {
        if let options::Console::Socket(path) = &self.attach.console {
            self.console_socket = Some(link::connect(path, SockType::Stream)?);
        }
        Ok(())
    }

    fn hand_over(&mut self, first: Slot) -> Result<()> {
        let preserved = std::mem::take(&mut self.attach.preserved);
        self.slots.extend((first.0..).map(Slot).zip(preserved));
        Ok(())
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
        self.fill(into, fd)
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
        if let (Some(open), Some(plan)) = (&self.cgroup, &self.plan.config.cgroup) {
            self.warnings.extend(open.apply(plan)?);
        }
        Ok(())
    }

    fn open_cgroups(&mut self, first: Slot) -> Result<()> {
        if let Some(open) = &self.cgroup {
            let files = open.entry_files()?;
            self.slots.extend((first.0..).map(Slot).zip(files));
        }
        Ok(())
    }

    fn spawn(
        &mut self,
        namespaces: u32,
        join: &[Joined],
        into_cgroup: bool,
        keep_capabilities: bool,
    ) -> Result<()> {
        let plan = self.plan_file()?;
        let cgroup = match &self.cgroup {
            Some(open) if into_cgroup => open.unified_dir()?,
            _ => None,
        };
        let opened = join.iter().map(|joined| Ok((joined, open_namespace(joined)?)));
        let socket = self.init_socket.take().ok_or_else(|| {
            Error::new(ErrorKind::Init, "the container's init was started already")
        })?;
        let spawned = spawn::start(&spawn::Start {
            plan: &plan,
            socket: &socket,
            stdio: &self.attach.stdio,
            cgroup: cgroup.as_ref(),
            namespaces,
            keep_capabilities,
            join: opened.collect::<Result<_>>()?,
        })?;
        self.init = Some((spawned.pid, spawned.pidfd.into()));
        Ok(())
    }

    /// The document for hooks inside, with the pid as they see it.
    fn state_document(&mut self, status: &str, inside: bool, into: Slot) -> Result<()> {
        let pid = self.pid()?;
        let seen = if inside { innermost_pid(pid)? } else { pid };
        let document = hooks::document(&self.state(status, Some(seen)))?;
        self.fill(into, document)
    }

    fn run_hook(&mut self, moment: &str, hook: &Hook) -> Result<()> {
        let pidfd = self.init.as_ref().map(|(_, pidfd)| pidfd);
        hooks::run(moment, hook, &self.state("creating", Some(self.pid()?)), pidfd)
    }

    fn send_console(&mut self) -> Result<()> {
        let master = self.console.take().ok_or_else(|| {
            Error::new(ErrorKind::Init, "the container's init opened no terminal")
        })?;
        match &self.console_socket {
            Some(socket) => console::send(socket, &master),
            None => {
                self.console = Some(master);
                Ok(())
            }
        }
    }

    /// From here on the container is there for other commands.
    fn publish(&mut self) -> Result<()> {
        let pid = self.pid()?;
        self.record.init = Some(Identity::of(pid).ok_or_else(|| {
            Error::new(ErrorKind::Init, "the container's init ended before it was started")
        })?);
        self.directory.write(&self.record)?;
        match &self.attach.pid_file {
            Some(path) => super::write_pid_file(path, pid),
            None => Ok(()),
        }
    }
}

/// The root file system: a directory, itself no link, so that nobody can exchange it for another.
fn open_rootfs(path: &Path, tree: bool) -> Result<OwnedFd> {
    let fail = |failure: Failure| {
        let message = match failure.errno.0 {
            libc::ELOOP => {
                let message = format!("the rootfs {} is a symbolic link", path.display());
                return Error::new(ErrorKind::Input, message).path(path);
            }
            _ => format!("cannot open the rootfs {}", path.display()),
        };
        call(message, failure).path(path)
    };
    let name = c_string(path)?;
    let anywhere = Resolve::Anywhere;
    // Without O_DIRECTORY first: a link is then told apart from a file.
    let found =
        path::open(path::AT_FDCWD, &name, O_PATH | O_NOFOLLOW, 0, anywhere).map_err(fail)?;
    let status = libcontainer_init::sys::file::status(found.raw()).map_err(fail)?;
    if status.is_symlink() || !status.is_dir() {
        let what = if status.is_symlink() { "a symbolic link" } else { "not a directory" };
        let message = format!("the rootfs {} is {what}", path.display());
        return Err(Error::new(ErrorKind::Input, message).path(path));
    }
    let fd =
        if tree { mount::clone_tree(found.raw(), c"", true, true).map_err(fail)? } else { found };
    Ok(fd.into())
}

fn open_tree(path: &Path, recursive: bool) -> Result<OwnedFd> {
    let name = c_string(path)?;
    let tree = mount::clone_tree(path::AT_FDCWD, &name, recursive, true);
    tree.map(OwnedFd::from).map_err(|failure| {
        call(format!("cannot open the mount source {}", path.display()), failure).path(path)
    })
}

fn open_procfs() -> Result<OwnedFd> {
    let flags = O_PATH | O_DIRECTORY;
    let fail = |failure| call("cannot open /proc", failure);
    let fd = path::open(path::AT_FDCWD, c"/proc", flags, 0, Resolve::Anywhere).map_err(fail)?;
    if path::file_system(fd.raw()).map_err(fail)? != path::FileSystem::PROC {
        return Err(Error::new(ErrorKind::System, "/proc of the runtime is not procfs"));
    }
    Ok(fd.into())
}

/// Opens a namespace; the file must be one, of the kind that the configuration says.
fn open_namespace(joined: &Joined) -> Result<OwnedFd> {
    let (path, wanted) = (&joined.path, namespaces::name(joined.kind));
    let fail = |failure| {
        let message = format!("cannot open the {wanted} namespace {}", path.display());
        call(message, failure).path(path).at("prepare", 0, &joined.pointer)
    };
    let name = c_string(path)?;
    let fd =
        path::open(path::AT_FDCWD, &name, path::O_RDONLY, 0, Resolve::Anywhere).map_err(fail)?;
    match namespace::kind(fd.raw()) {
        Ok(kind) if kind == joined.kind => {
            if joined.written && is_own(&fd, joined.kind).map_err(fail)? {
                let message = format!("names or parameters of the host's {wanted} namespace");
                let message = format!("cannot set {message}: {} is it", path.display());
                return Err(Error::new(ErrorKind::Config, message).pointer_is(&joined.pointer));
            }
            Ok(fd.into())
        }
        other => {
            let is = other.map_or("no namespace", |kind| namespaces::name(kind));
            let message = format!("{} is not a {wanted} namespace but {is}", path.display());
            Err(Error::new(ErrorKind::Input, message).path(path).at("prepare", 0, &joined.pointer))
        }
    }
}

/// Whether a namespace is the one this process is in.
fn is_own(fd: &libcontainer_init::sys::Fd, kind: u32) -> Result<bool, Failure> {
    let name = match kind {
        namespace::NEWNET => c"/proc/self/ns/net",
        namespace::NEWUTS => c"/proc/self/ns/uts",
        _ => c"/proc/self/ns/ipc",
    };
    let own = libcontainer_init::sys::file::status_at(path::AT_FDCWD, name, 0)?;
    let other = libcontainer_init::sys::file::status(fd.raw())?;
    Ok((own.device, own.inode) == (other.device, other.inode))
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

fn write_oom_score(pid: i32, value: i32) -> Result<()> {
    let path = format!("/proc/{pid}/oom_score_adj");
    let write = || -> std::io::Result<()> {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new().write(true).open(&path)?;
        file.write_all(value.to_string().as_bytes())
    };
    write().map_err(|error| Error::io(format!("cannot set oom_score_adj to {value}"), &error))
}

fn raise_limit(pid: i32, resource: u32, hard: u64) -> Result<()> {
    let name = limits::NAMES.get(resource as usize).copied().unwrap_or("a limit");
    // Init has what this process has; by now it may be another user's, and not to be asked.
    let now = limit::get(0, resource).map_err(|f| call(format!("cannot read {name}"), f))?;
    if hard <= now.hard {
        return Ok(());
    }
    limit::set(pid, resource, limit::Limit { soft: now.soft, hard })
        .map_err(|failure| call(format!("cannot raise {name} to {hard}"), failure))
}

fn c_string(path: &Path) -> Result<std::ffi::CString> {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(|_| {
        Error::new(ErrorKind::Input, "a path must not hold a NUL character").path(path)
    })
}
