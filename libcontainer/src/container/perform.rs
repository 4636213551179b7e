//! The runtime's tasks that every choreography has, one function each: what a [`Task`] of the plan
//! does on the host. What only one of them has is in `creation` and `exec`.

use std::os::fd::OwnedFd;
use std::path::Path;

use libcontainer_init::sys::path::{self, O_DIRECTORY, O_NOFOLLOW, O_PATH, Resolve};
use libcontainer_init::sys::{Failure, limit, mount, namespace};
use libcontainer_init::wire::Slot;
use nix::sys::socket::SockType;

use super::launch::Launch;
use super::{clocks, joined_mappings, link, mappings, mount_sources, pass, scheduler};
use crate::config::Joined;
use crate::error::{Error, ErrorKind, Result, call};
use crate::features::{limits, namespaces};
use crate::options;
use crate::task::Task;

/// Performs one task.
pub(super) fn task(launch: &mut Launch, task: &Task) -> Result<()> {
    let l = launch;
    match task {
        Task::OpenRootfs { path, tree, into } => l.fill(*into, open_rootfs(path, *tree)?),
        Task::OpenTree { path, recursive, follow, into } => {
            l.fill(*into, mount_sources::copy(path, *recursive, *follow)?)
        }
        Task::NewMount { fstype, source, data, attributes, into } => {
            l.fill(*into, mount_sources::make(fstype, source, data, *attributes)?)
        }
        Task::MapIds { ids, mount } => l.map_ids(ids, *mount),
        Task::OpenProcfs { into } => l.fill(*into, open_procfs()?),
        Task::OpenNamespace { namespace, into } => l.fill(*into, open_namespace(namespace)?),
        Task::ConnectConsole => l.connect_console(),
        Task::HandOver { first, .. } => l.hand_over(*first),
        Task::WriteMappings { mappings } => {
            mappings::write(l.pid()?, mappings, &l.attach.id_mappers)
        }
        Task::CompareMappings { mappings: expected } => {
            joined_mappings::compare(l.pid()?, expected)
        }
        Task::TimeOffsets { offsets, into } => l.fill(*into, clocks::set(l.pid()?, offsets)?),
        Task::Schedule { attributes } => scheduler::set(l.pid()?, attributes),
        // Init's message about it was awaited as the meeting point before this phase.
        Task::AdoptInit => Ok(()),
        Task::OomScore { value } => write_oom_score(l.pid()?, *value),
        Task::RaiseLimit { resource, hard } => raise_limit(l.pid()?, *resource, *hard),
        Task::SendConsole => l.send_console(),
        other => {
            let message = format!("this plan has no place for {}", other.name());
            Err(Error::new(ErrorKind::Config, message))
        }
    }
}

impl Launch {
    /// Tells who asked for it that the process is there: by the pid file and the pidfd socket.
    /// `role` is the word that runc has for how it came about.
    pub(super) fn announce(&self, role: &str) -> Result<()> {
        if let Some((_, pidfd)) = &self.init {
            self.pidfd_sockets.iter().try_for_each(|socket| pass::pass(socket, role, pidfd))?;
        }
        match &self.attach.pid_file {
            Some(path) => super::write_pid_file(path, self.pid()?),
            None => Ok(()),
        }
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

    fn send_console(&mut self) -> Result<()> {
        let master = self.console.take().ok_or_else(|| {
            Error::new(ErrorKind::Init, "the container's init opened no terminal")
        })?;
        match &self.console_socket {
            Some(socket) => pass::pass(socket, "/dev/ptmx", &master),
            None => {
                self.console = Some(master);
                Ok(())
            }
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
pub(super) fn open_namespace(joined: &Joined) -> Result<OwnedFd> {
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

/// A path as the kernel takes it.
pub(super) fn c_string(path: &Path) -> Result<std::ffi::CString> {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(|_| {
        Error::new(ErrorKind::Input, "a path must not hold a NUL character").path(path)
    })
}
