//! What a container is doing now, derived from its record, its process and its freezer.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

use libcontainer_init::sys::pidfd;

use super::record::Identity;
use super::{Container, Status};
use crate::cgroup::Cgroup;
use crate::error::{Error, ErrorKind, Result};
use crate::spec::State;

impl Container {
    /// Where the container is in its life.
    ///
    /// # Errors
    /// It does not exist any more, or its directory cannot be read.
    pub fn status(&self) -> Result<Status> {
        let Some(init) = self.record.init else {
            // Not published: whoever creates it holds the lock, or was interrupted.
            let creating = self.directory.try_lock(&self.id)?.is_none();
            return Ok(if creating { Status::Creating } else { Status::Stopped });
        };
        if !is_alive(init) {
            return Ok(Status::Stopped);
        }
        if self.record.cgroup.as_ref().is_some_and(Cgroup::frozen) {
            return Ok(Status::Paused);
        }
        Ok(if self.waits_for_start(init.pid) { Status::Created } else { Status::Running })
    }

    /// Whether the process has not executed the container's program yet: it is still init, and the
    /// socket that starts it is still there (a program of the container could look like init).
    fn waits_for_start(&self, pid: i32) -> bool {
        let init = match std::fs::read_link(format!("/proc/{pid}/exe")) {
            Ok(program) => {
                let name = program.to_string_lossy();
                let in_memory = name.starts_with("/memfd:keel-init");
                // The file without a name that stands in for the memfd.
                let unlinked = name.rsplit('/').next().is_some_and(|last| last.starts_with('#'));
                in_memory || unlinked
            }
            // An init of this very user that went into a user namespace can be looked into by nobody
            // but root. Its name is for all to see.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
                name.is_ok_and(|name| name == "keel-init\n")
            }
            Err(_) => false,
        };
        init && std::fs::symlink_metadata(self.directory.socket()).is_ok()
    }

    /// The state document (runtime.md, "State"), with what runc adds to it.
    ///
    /// # Errors
    /// As [`Container::status`].
    pub fn state(&self) -> Result<State> {
        let status = self.status()?;
        let pid = if status == Status::Stopped { Some(0) } else { self.pid().or(Some(0)) };
        let annotations = self.directory.read_config().map(|spec| spec.annotations);
        Ok(State {
            oci_version: super::OCI_VERSION.to_owned(),
            id: self.id.to_string(),
            status: status.to_string(),
            pid,
            bundle: self.record.bundle.to_string_lossy().into_owned(),
            rootfs: Some(self.record.rootfs.to_string_lossy().into_owned()),
            created: Some(self.record.created.clone()),
            annotations: annotations.unwrap_or_default(),
            owner: Some(String::new()),
        })
    }

    /// A descriptor of the first process, to join its namespaces.
    pub(super) fn first_process(&self) -> Result<OwnedFd> {
        let gone = || Error::new(ErrorKind::State, "container not running");
        let pidfd = self.pidfd.as_ref().ok_or_else(gone)?;
        pidfd.try_clone().map_err(|error| Error::io("cannot copy a descriptor", &error))
    }

    /// Its cgroup, if it was made with one.
    pub(super) fn cgroup(&self) -> Option<&Cgroup> {
        self.record.cgroup.as_ref().filter(|cgroup| !cgroup.directories.is_empty())
    }

    /// Its cgroup, for what cannot be done without one.
    pub(super) fn own_cgroup(&self) -> Result<&Cgroup> {
        self.cgroup().ok_or_else(|| {
            let message = format!("container \"{}\" has no cgroup of its own", self.id);
            Error::new(ErrorKind::State, message)
        })
    }

    /// The user id of whoever created the container.
    pub fn owner(&self) -> u32 {
        self.record.owner
    }

    /// When it was created, RFC 3339.
    pub fn created(&self) -> &str {
        &self.record.created
    }

    /// The bundle it was created from.
    pub fn bundle(&self) -> &Path {
        &self.record.bundle
    }
}

/// Whether the very process of the record is there and no zombie.
pub(super) fn is_alive(init: Identity) -> bool {
    Identity::of(init.pid) == Some(init)
}

/// A descriptor of the process of a record; nothing when it is gone or another has its pid.
pub(super) fn open_process(init: Identity) -> Option<OwnedFd> {
    let fd: OwnedFd = pidfd::open(init.pid).ok()?.into();
    // Looked at after the descriptor is open: then it cannot be about another process.
    is_alive(init).then_some(fd)
}

/// A descriptor that poll(2) always calls readable.
pub(super) fn always_readable() -> BorrowedFd<'static> {
    static ROOT: OnceLock<Option<std::fs::File>> = OnceLock::new();
    static STDIN: OnceLock<std::io::Stdin> = OnceLock::new();
    match ROOT.get_or_init(|| std::fs::File::open("/").ok()) {
        Some(file) => file.as_fd(),
        None => STDIN.get_or_init(std::io::stdin).as_fd(),
    }
}
