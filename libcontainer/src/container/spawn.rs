//! Starting init: the program in a sealed memfd, a socket, and a thread that joins namespaces.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::OnceLock;

use libcontainer_init::PROGRAM;
use libcontainer_init::sys::memfd::{self, Use};
use libcontainer_init::sys::spawn::{Program, Spawn, Spawned, spawn};
use libcontainer_init::sys::{Failure, io_priority, namespace, process};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::launch::Birth;
use super::scheduler as scheduling;
use crate::config::Joined;
use crate::error::{Error, ErrorKind, Result, call};
use crate::features::{self, affinity, namespaces};
use crate::task::Inherited;

/// Init's program, placed once per process: sealed, so no path leads from a container to a file of
/// the host (CVE-2019-5736).
static INIT: OnceLock<OwnedFd> = OnceLock::new();

/// The descriptor of the program.
pub(super) fn program() -> Result<&'static OwnedFd> {
    if let Some(fd) = INIT.get() {
        return Ok(fd);
    }
    let placed = match memfd::sealed(c"keel-init", PROGRAM, Use::Program) {
        Ok(fd) => {
            // Only its user may execute it, and nobody read it.
            libcontainer_init::sys::path::set_mode(fd.raw(), 0o500)
                .map_err(|failure| call("cannot protect the init program", failure))?;
            fd.into()
        }
        // memfds may not be executable here (vm.memfd_noexec): an unlinked file serves.
        Err(failure) => {
            unlinked_file().map_err(|_| call("cannot place the init program in memory", failure))?
        }
    };
    Ok(INIT.get_or_init(|| placed))
}

/// The program in a file without a name, on the first of the usual places that allows to execute.
fn unlinked_file() -> nix::Result<OwnedFd> {
    let mut last = nix::errno::Errno::EACCES;
    for dir in ["/run", "/dev/shm", "/var/tmp", "/tmp"] {
        match place_in(dir) {
            Ok(fd) => return Ok(fd),
            Err(errno) => last = errno,
        }
    }
    Err(last)
}

fn place_in(dir: &str) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let file = open(dir, flags, Mode::S_IRUSR | Mode::S_IXUSR)?;
    let mut rest = PROGRAM;
    while !rest.is_empty() {
        let written = nix::unistd::write(&file, rest)?;
        rest = &rest[written..];
    }
    // A file that is open for writing cannot be executed: only the second descriptor stays.
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mounted_noexec =
        nix::sys::statvfs::fstatvfs(&file)?.flags().contains(nix::sys::statvfs::FsFlags::ST_NOEXEC);
    if mounted_noexec {
        return Err(nix::errno::Errno::EACCES);
    }
    open(name.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
}

/// What init is started with.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) plan: &'a OwnedFd,
    pub(super) socket: &'a OwnedFd,
    pub(super) stdio: &'a [Option<OwnedFd>; 3],
    pub(super) birth: &'a Birth<'a>,
}

/// Starts init.
pub(super) fn start(start: &Start<'_>) -> Result<Spawned> {
    let birth = start.birth;
    let stream = |i: usize| start.stdio[i].as_ref().map_or(i as i32, AsRawFd::as_raw_fd);
    let request = Spawn {
        program: Program::Open(program()?.as_raw_fd()),
        arguments: &[c"keel-init"],
        blocked: u64::MAX,
        namespaces: birth.namespaces,
        cgroup: birth.cgroup.as_ref().map(AsRawFd::as_raw_fd),
        keep_capabilities: birth.keep_capabilities,
        descriptors: [
            stream(0),
            stream(1),
            stream(2),
            start.plan.as_raw_fd(),
            start.socket.as_raw_fd(),
        ],
    };
    if birth.join.is_empty() && *birth.inherited == Inherited::default() {
        spawn(&request).map_err(|failure| explain(&request, failure))
    } else {
        spawn_elsewhere(birth, &request)
    }
}

/// A thread of its own joins the namespaces, takes on what init inherits, and starts it: the caller's
/// thread, and with it the host program, stays where it is.
fn spawn_elsewhere(birth: &Birth<'_>, request: &Spawn<'_>) -> Result<Spawned> {
    let inherited = birth.inherited;
    let join: Vec<(&Joined, i32)> =
        birth.join.iter().map(|(joined, fd)| (*joined, fd.as_fd().as_raw_fd())).collect();
    let work = move || {
        // Without it, joining a mount namespace would move root and directory of every thread.
        namespace::unshare(namespace::FS)
            .map_err(|failure| call("cannot prepare to join namespaces", failure))?;
        for (joined, fd) in join {
            namespace::join(fd, joined.kind).map_err(|failure| {
                let kind = namespaces::name(joined.kind);
                let message = format!("cannot join the {kind} namespace {}", joined.path.display());
                call(message, failure).at("isolate", 0, &joined.pointer)
            })?;
        }
        take_on(inherited)?;
        spawn(request).map_err(|failure| explain(request, failure))
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .spawn_scoped(scope, work)
            .map_err(|error| Error::io("cannot start a thread to join namespaces", &error))?;
        thread.join().unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::System, "the thread that joins namespaces failed"))
        })
    })
}

/// Gives this thread what init inherits of it.
fn take_on(inherited: &Inherited) -> Result<()> {
    let Inherited { affinity, scheduler, io_priority, personality } = inherited;
    if !affinity.is_empty() {
        let cpus = affinity::list(affinity);
        process::set_affinity(affinity).map_err(|failure| {
            call(format!("cannot start on CPUs {cpus}"), failure)
                .pointer_is("/process/execCPUAffinity/initial")
        })?;
    }
    if let Some(priority) = io_priority {
        io_priority::set(priority.class, priority.level).map_err(|failure| {
            let words = features::io_priority::words(*priority);
            call(format!("cannot set the I/O priority {words}"), failure)
                .pointer_is("/process/ioPriority")
        })?;
    }
    if let Some(domain) = personality {
        process::set_personality(*domain).map_err(|failure| {
            let name = features::personality::name(*domain);
            call(format!("cannot take the execution domain {name}"), failure)
                .pointer_is("/linux/personality")
        })?;
    }
    let scheduled = scheduler.as_ref().map_or(Ok(()), |scheduler| scheduling::set(0, scheduler));
    scheduled.map_err(|error| error.pointer_is("/process/scheduler"))
}

/// What a failing start means, by the call that failed.
fn explain(request: &Spawn<'_>, failure: Failure) -> Error {
    use libcontainer_init::sys::Nr;
    let new_user = request.namespaces & namespace::NEWUSER != 0;
    let message = match failure.call {
        Nr::Clone3 if new_user && failure.errno.0 == libc::EPERM => {
            "cannot create namespaces (in a chroot, or where user namespaces are forbidden)"
        }
        Nr::Clone3 => "cannot create namespaces",
        Nr::Execveat if failure.errno.0 == libc::EACCES => {
            "cannot execute init from memory (vm.memfd_noexec, or a security module)"
        }
        _ => "cannot start init",
    };
    call(message, failure)
}
