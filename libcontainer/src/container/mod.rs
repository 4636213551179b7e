//! Containers on the runtime's side: a file for each verb, the record, and the talk with init.
//!
//! `create` walks the runtime's column of a plan; the other verbs are plain code. A status is
//! derived whenever it is asked for, from the record, the process and the freezer.

mod clocks;
mod create;
mod creation;
mod delete;
mod ending;
mod events;
mod exec;
mod hooks;
mod joined_mappings;
mod kill;
mod launch;
mod link;
mod listener;
mod mappings;
mod mount_sources;
mod mounts;
mod net_devices;
mod notify;
mod pass;
mod pause;
mod perform;
mod process;
mod processes;
mod record;
mod scheduler;
mod shares;
mod signal;
mod spawn;
mod start;
mod state;
mod statistics;
mod status;
mod time;
mod update;
mod user_namespace;
mod wait;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use ending::Ending;
pub use events::{Event, EventOptions, Events};
pub use exec::ExecOptions;
pub use notify::{NotifySocket, ServiceManager};
pub use process::Process;
pub use shares::Shares;
pub use signal::Signal;
pub use status::Status;
pub use time::{Mark, Timeline, rfc3339};
pub use wait::{Exit, receive_child_exits};

pub use crate::cgroup::{
    BlockIoEntry, BlockIoStatistics, CpuStatistics, CpusetStatistics, HugetlbStatistics,
    MemoryCounter, MemoryStatistics, PidsStatistics, Pressure, PressureTrigger, PressureWatch,
    RdmaStatistics, Resource, Stall, Statistics,
};
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::features::annotations;
use crate::id::ContainerId;
use crate::options::{CgroupManager, Options};
pub use crate::resctrl::{BandwidthInfo, CacheDomain, CacheInfo, IntelRdtStatistics};
use crate::spec::Spec;
use record::{Directory, Record};

/// The version of the runtime-spec that states and features comply with.
pub const OCI_VERSION: &str = "1.3.0";

/// The containers below one state root.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// A container: its record, and a descriptor of its first process.
#[derive(Debug)]
pub struct Container {
    id: ContainerId,
    directory: Directory,
    record: Record,
    pidfd: Option<OwnedFd>,
    /// How its first process ended, once that was collected.
    exit: OnceLock<Exit>,
    console: Option<OwnedFd>,
    notify_socket: Option<OwnedFd>,
    timeline: Timeline,
    warnings: Vec<Fault>,
}

impl Store {
    /// The containers below a directory. Nothing is touched yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A container by its id.
    ///
    /// # Errors
    /// There is none, or its record cannot be read.
    pub fn open(&self, id: &ContainerId) -> Result<Container> {
        let directory = Directory::new(&self.root, id);
        let record = directory.read(id)?.ok_or_else(|| {
            let message = format!("container \"{id}\" was not created completely: delete it");
            Error::new(ErrorKind::Record, message)
        })?;
        let pidfd = record.init.and_then(state::open_process);
        Ok(Container {
            id: id.clone(),
            directory,
            record,
            pidfd,
            exit: OnceLock::new(),
            console: None,
            notify_socket: None,
            timeline: Timeline::default(),
            warnings: Vec::new(),
        })
    }

    /// All containers, by id. One that is deleted meanwhile is left out, and so is one whose record
    /// cannot be read, with a warning.
    ///
    /// # Errors
    /// The state root cannot be read. A missing one has no containers.
    pub fn list(&self) -> Result<Vec<Container>> {
        let mut containers = Vec::new();
        for id in self.directories()? {
            match self.open(&id) {
                Ok(container) => containers.push(container),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => log::warn!("{error}"),
            }
        }
        Ok(containers)
    }

    /// The ids of all containers that have a record, readable or not, in order.
    ///
    /// # Errors
    /// As [`Store::list`].
    pub fn ids(&self) -> Result<Vec<ContainerId>> {
        let mut ids = self.directories()?;
        ids.retain(|id| Directory::new(&self.root, id).has_record());
        Ok(ids)
    }

    /// The directories below the root whose names are ids, in order.
    fn directories(&self) -> Result<Vec<ContainerId>> {
        let fail = |error: &std::io::Error| {
            Error::io(format!("cannot read {}", self.root.display()), error).path(&self.root)
        };
        let entries = match std::fs::read_dir(&self.root) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.map_err(|error| fail(&error))?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(|error| fail(&error))?.file_name();
            ids.extend(name.to_str().and_then(|name| name.parse().ok()));
        }
        ids.sort();
        Ok(ids)
    }
}

impl Container {
    /// The container's id.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// The pid of its first process in this process's PID namespace, while that is there.
    pub fn pid(&self) -> Option<i32> {
        self.record.init.filter(|init| state::is_alive(*init)).map(|init| init.pid)
    }

    /// What its configuration asked for in vain, and was tolerated; after `create` only.
    pub fn warnings(&self) -> &[Fault] {
        &self.warnings
    }

    /// The master of its terminal, after `create` with [`crate::Console::Keep`]; once.
    pub fn take_console(&mut self) -> Option<OwnedFd> {
        self.console.take()
    }

    /// Where it says that it is ready, after `start` with [`crate::Options::notify_socket`]; once.
    pub fn take_notify_socket(&mut self) -> Option<NotifySocket> {
        self.notify_socket.take().map(NotifySocket::new)
    }

    /// When the steps of its creation were done; after `create` only.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }
}

impl Container {
    /// Takes the lock and looks again: what was read before may be the past by now.
    fn lock(&mut self) -> Result<record::Lock> {
        let lock = self.directory.lock(&self.id)?;
        let same = |now: &Record| now.created == self.record.created;
        let now = self.directory.read(&self.id)?.filter(same);
        self.record = now.ok_or_else(|| record::not_found(&self.id))?;
        if self.pidfd.is_none() || self.pid().is_none() {
            self.pidfd = self.record.init.and_then(state::open_process);
        }
        Ok(lock)
    }

    /// What the container was created with, for a further plan. Its cgroups are left out: it has
    /// them, and who asks now may be one who could not make them.
    fn recorded_choices(&self) -> Result<(Spec, Options)> {
        let mut spec = self.directory.read_config()?;
        if let Some(linux) = &mut spec.linux {
            (linux.resources, linux.cgroups_path) = (None, None);
        }
        spec.annotations.retain(|name, _| annotations::lasts(name));
        let cgroup_manager = CgroupManager::Disabled;
        Ok((spec, Options { cgroup_manager, ..self.record.options.clone() }))
    }
}

impl AsFd for Container {
    /// The pidfd of the container's first process: readable when that has ended.
    ///
    /// A container whose process was gone when it was opened has none; then this is a descriptor of
    /// the root directory, which is always readable.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.pidfd {
            Some(fd) => fd.as_fd(),
            None => state::always_readable(),
        }
    }
}

/// Writes a pid file: decimal digits, no newline; a new file in place of what is there, so that no
/// link is followed.
fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    use std::io::Write;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.new"));
    let write = || -> std::io::Result<()> {
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&new)?;
        file.write_all(pid.to_string().as_bytes())?;
        std::fs::rename(&new, path)
    };
    write().map_err(|error| {
        Error::io(format!("cannot write the pid file {}", path.display()), &error).path(path)
    })
}
