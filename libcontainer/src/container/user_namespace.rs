//! A user namespace that nobody lives in, for the mappings of id-mapped mounts.
//!
//! A process must be in it while its mappings are written: an init that waits for its end. It ends
//! when its socket is closed, so a runtime that is killed at any instant leaves nothing.

use std::os::fd::OwnedFd;

use libcontainer_init::sys::memfd::{self, Use};
use libcontainer_init::sys::{namespace, path, pidfd, spawn::Spawned};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use super::launch::Birth;
use super::{mappings, perform, spawn};
use crate::config::Mappings;
use crate::error::{Error, Result, call};
use crate::options::IdMappers;
use crate::plan;
use crate::task::Inherited;

/// Makes one with these mappings.
pub(super) fn make(mappings: &Mappings) -> Result<OwnedFd> {
    let holder = Holder::start()?;
    let pid = holder.process.pid;
    // They are a mount's, and not the container's.
    mappings::write(pid, mappings, &IdMappers::default()).map_err(Error::without_pointer)?;
    let name = perform::c_string(format!("/proc/{pid}/ns/user").as_ref())?;
    path::open(path::AT_FDCWD, &name, path::O_RDONLY, 0, path::Resolve::Anywhere)
        .map(OwnedFd::from)
        .map_err(|failure| call("cannot open a new user namespace", failure))
}

/// The process in it, which ends with this.
struct Holder {
    process: Spawned,
    /// Init waits for a word that never comes.
    _socket: OwnedFd,
}

impl Holder {
    fn start() -> Result<Self> {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .map_err(|errno| Error::system("cannot make a socket to init", errno))?;
        let plan = memfd::sealed(c"keel-plan", &plan::waiting()?, Use::Data)
            .map(OwnedFd::from)
            .map_err(|failure| call("cannot write the plan", failure))?;
        let birth = Birth {
            namespaces: namespace::NEWUSER,
            join: Vec::new(),
            cgroup: None,
            keep_capabilities: false,
            inherited: &Inherited::default(),
        };
        let stdio = &[None, None, None];
        let start = spawn::Start { plan: &plan, socket: &theirs, stdio, birth: &birth };
        Ok(Self { process: spawn::start(&start)?, _socket: ours })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let pidfd = self.process.pidfd.raw();
        let _ = pidfd::send_signal(pidfd, libc::SIGKILL);
        let _ = pidfd::wait(pidfd);
    }
}
