//! An agent for filters that ask: it does for containers with a user namespace what only the host's
//! root may do, and what is harmless.
//!
//! ```text
//! cargo run --example seccomp_agent -- SOCKET
//! ```
//!
//! SOCKET is what `listenerPath` of the profile names. Of the calls that the profile asks about
//! (`SCMP_ACT_NOTIFY`), mknod(2) and mknodat(2) of devices such as /dev/null, and mount(2) of a tmpfs,
//! are made here in the container's place, in directories that belong to whoever asks. Any other
//! call goes on as if nobody had been asked, so it does what the container may do by itself. Needs
//! root.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use libcontainer::seccomp::Arch;
use libcontainer::{SeccompAgent, SeccompAnswer, SeccompQuestion};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::{Mode, SFlag, major, minor, mknod, stat};
use nix::unistd::{Gid, Uid, chown, chroot, fchdir};

/// Devices that anybody may have: null, zero, full, random, urandom and tty.
const HARMLESS: [(u64, u64); 6] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0)];

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: seccomp_agent SOCKET");
        return ExitCode::from(2);
    };
    match UnixListener::bind(&path).and_then(|socket| listen(&socket)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("seccomp_agent: {}: {error}", Path::new(&path).display());
            ExitCode::FAILURE
        }
    }
}

/// Serves each process that a runtime tells about in a thread of its own.
fn listen(socket: &UnixListener) -> io::Result<()> {
    loop {
        let (stream, _) = socket.accept()?;
        thread::spawn(move || {
            if let Err(error) = serve(&stream) {
                eprintln!("seccomp_agent: {error}");
            }
        });
    }
}

/// Answers until the last process with this filter has ended.
pub(crate) fn serve(stream: &UnixStream) -> libcontainer::Result<()> {
    let (agent, _state) = SeccompAgent::receive(stream)?;
    while let Some(question) = agent.next_question()? {
        let answer = match emulate(&agent, &question) {
            Some(Ok(())) => SeccompAnswer::Return(0),
            Some(Err(errno)) => SeccompAnswer::Fail(errno),
            None => SeccompAnswer::Continue,
        };
        agent.answer(&question, answer)?;
    }
    Ok(())
}

/// What is done in place of the kernel; nothing, if that is not for this agent.
fn emulate(agent: &SeccompAgent, question: &SeccompQuestion) -> Option<nix::Result<()>> {
    let arch = Arch::native().filter(|arch| arch.audit() == question.call.arch)?;
    let [first, second, third, fourth, ..] = question.call.args;
    let name = *arch.names().get(&question.call.number)?;
    match name {
        "mknod" => node(agent, question, first, second, third),
        // AT_FDCWD: relative to a descriptor is left to the kernel.
        "mknodat" if first as i32 == -100 => node(agent, question, second, third, fourth),
        "mount" => tmpfs(agent, question),
        _ => None,
    }
}

/// A device node.
fn node(
    agent: &SeccompAgent,
    question: &SeccompQuestion,
    path: u64,
    mode: u64,
    device: u64,
) -> Option<nix::Result<()>> {
    let kind = SFlag::from_bits_truncate(mode as u32) & SFlag::S_IFMT;
    if kind != SFlag::S_IFCHR || !HARMLESS.contains(&(major(device), minor(device))) {
        return None;
    }
    let made = Asker::new(agent, question).and_then(|asker| {
        let path = asker.text(path)?;
        let name = path.file_name().ok_or(Errno::EEXIST)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        asker.within(parent.unwrap_or(Path::new(".")), |owner| {
            mknod(name, kind, Mode::from_bits_truncate(mode as u32), device)?;
            chown(name, Some(owner.0), Some(owner.1))
        })
    });
    Some(made)
}

/// A new tmpfs.
fn tmpfs(agent: &SeccompAgent, question: &SeccompQuestion) -> Option<nix::Result<()>> {
    let [_, target, kind, flags, ..] = question.call.args;
    let asker = Asker::new(agent, question).ok()?;
    let is_new = MsFlags::from_bits_truncate(flags)
        .intersection(MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_MOVE)
        .is_empty();
    if kind == 0 || asker.text(kind).ok()? != Path::new("tmpfs") || !is_new {
        return None;
    }
    let mounted = asker.text(target).and_then(|target| {
        asker.within(&target, |(uid, gid)| {
            let data = format!("size=1m,mode=755,uid={uid},gid={gid}");
            let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
            mount(Some("tmpfs"), ".", Some("tmpfs"), flags, Some(data.as_str()))
        })
    });
    Some(mounted)
}

/// Whoever asks. All of it was opened while it waited for the answer, so it is not another process
/// that got its pid.
struct Asker {
    memory: File,
    mounts: File,
    root: File,
    directory: File,
    owner: (Uid, Gid),
}

impl Asker {
    fn new(agent: &SeccompAgent, question: &SeccompQuestion) -> nix::Result<Self> {
        let open = |name: &str| {
            let path = format!("/proc/{}/{name}", question.pid);
            File::open(path).map_err(|error| errno(&error))
        };
        let owner = open("status")?.metadata().map_err(|error| errno(&error))?;
        let asker = Self {
            memory: open("mem")?,
            mounts: open("ns/mnt")?,
            root: open("root")?,
            directory: open("cwd")?,
            owner: (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid())),
        };
        match agent.is_waiting(question) {
            Ok(true) => Ok(asker),
            _ => Err(Errno::ESRCH),
        }
    }

    /// The text at an address. It is read once: what is there may change.
    fn text(&self, address: u64) -> nix::Result<PathBuf> {
        let mut bytes = [0; 4096];
        let length = self.memory.read_at(&mut bytes, address).map_err(|_| Errno::EFAULT)?;
        let end = bytes[..length].iter().position(|byte| *byte == 0).ok_or(Errno::ENAMETOOLONG)?;
        Ok(OsStr::from_bytes(&bytes[..end]).into())
    }

    /// Does something in a directory of the container, if that belongs to whoever asks. A thread of
    /// its own goes there: it gets the container's mounts and root, and no other thread does.
    fn within(
        &self,
        directory: &Path,
        work: impl FnOnce((Uid, Gid)) -> nix::Result<()> + Send,
    ) -> nix::Result<()> {
        let go = || {
            unshare(CloneFlags::CLONE_FS)?;
            setns(self.mounts.as_fd(), CloneFlags::CLONE_NEWNS)?;
            fchdir(&self.root)?;
            chroot(".")?;
            fchdir(&self.directory)?;
            let directory = File::options()
                .read(true)
                .custom_flags(nix::libc::O_DIRECTORY)
                .open(directory)
                .map_err(|error| errno(&error))?;
            fchdir(&directory)?;
            let here = stat(".")?;
            if here.st_uid != self.owner.0.as_raw() {
                return Err(Errno::EACCES);
            }
            work(self.owner)
        };
        thread::scope(|scope| scope.spawn(go).join()).unwrap_or(Err(Errno::EIO))
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(nix::libc::EIO))
}
