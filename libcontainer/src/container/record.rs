//! What is known of a container between two commands: `state.json` in its directory below the root.
//!
//! The record tells what must be undone and how the process is recognised (pid and start time); the
//! status is never in it, it is derived. It is written to a new file and renamed, so that a reader
//! sees the old or the new one, whenever the writer is killed. It is not synced: a machine that
//! crashes takes its containers along, and syncing a disk costs more than all else a creation does.
//! `config.json` beside it is the configuration as created.
//! Whoever changes a container holds the lock of its directory; a creation holds it from claiming
//! the id until the container is published or gone.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use libcontainer_init::sys::{file, path, pidfd};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde_json::{Value, json};

use crate::cgroup::Cgroup;
use crate::error::{Error, ErrorKind, Result, call};
use crate::id::ContainerId;
use crate::options::{CgroupManager, Options};
use crate::resctrl::Group;
use crate::spec::Spec;

/// The version of the record's form.
const VERSION: u64 = 1;
/// How long a verb waits for another that holds the lock.
const PATIENCE: Duration = Duration::from_secs(10);

/// The record of one container.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The root file system.
    pub rootfs: PathBuf,
    /// When it was created, RFC 3339.
    pub created: String,
    /// The user who created it.
    pub owner: u32,
    /// Its first process, once it is created.
    pub init: Option<Identity>,
    /// Whether that process has a PID namespace of the container's own.
    pub own_pids: bool,
    /// Whether it has a process to start.
    pub has_process: bool,
    /// Whether it has hooks, which stand in the configuration.
    pub has_hooks: bool,
    /// The choices it was created with, for plans made later.
    pub options: Options,
    /// Its cgroups.
    pub cgroup: Option<Cgroup>,
    /// Its place in resctrl.
    pub resctrl: Option<Group>,
}

/// A process, told apart from a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    /// Its pid in the runtime's PID namespace.
    pub pid: i32,
    /// When it was started, in clock ticks since boot, proc(5).
    pub start_time: u64,
}

impl Identity {
    /// The process that now has a pid, unless it has ended.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may hold anything: fields are counted behind the last one.
        let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
        let ended = match fields.next()? {
            "X" => true,
            // Only its first thread may have: the pidfd tells.
            "Z" => pidfd::open(pid)
                .and_then(|fd| file::wait_readable(fd.raw(), Some(0)))
                .unwrap_or(true),
            _ => false,
        };
        let start_time = fields.nth(18)?.parse().ok()?;
        (!ended).then_some(Self { pid, start_time })
    }
}

/// The pid of the process behind a pidfd, proc(5) fdinfo.
pub(super) fn pid_of(pidfd: &OwnedFd) -> Option<i32> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()
}

/// A container's directory below the state root.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    path: PathBuf,
}

impl Directory {
    pub(super) fn new(root: &Path, id: &ContainerId) -> Self {
        Self { path: root.join(id.as_str()) }
    }

    /// Where init listens until it is started.
    pub(super) fn socket(&self) -> PathBuf {
        self.path.join("start.sock")
    }

    /// Whether a record is there, readable or not.
    pub(super) fn has_record(&self) -> bool {
        std::fs::symlink_metadata(self.path.join("state.json")).is_ok()
    }

    /// Makes the directory: the claim of an id, which fails when it is taken.
    ///
    /// It is made and locked under another name first: under its own it is never seen unlocked, so
    /// that nobody else can take it for theirs.
    pub(super) fn claim(&self, id: &ContainerId) -> Result<Lock> {
        let root = self.path.parent().unwrap_or(Path::new("/"));
        let fail = |error: &std::io::Error| {
            let message = format!("cannot make the state directory {}", self.path.display());
            Error::io(message, error).kind_is(ErrorKind::Record).path(&self.path)
        };
        let aside = self.aside(id);
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        match builder.create(&aside) {
            Err(error) if error.kind() == IoErrorKind::NotFound => {
                builder.recursive(true).create(root).map_err(|error| fail(&error))?;
                builder.recursive(false).create(&aside).map_err(|error| fail(&error))?;
            }
            result => result.map_err(|error| fail(&error))?,
        }
        let claimed = File::open(&aside).map_err(|error| fail(&error)).and_then(|dir| {
            let lock =
                Flock::lock(dir, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
                    Error::system(format!("cannot lock container \"{id}\""), errno)
                })?;
            let (old, new) = (c_string(&aside)?, c_string(&self.path)?);
            path::rename_new(&old, &new).map_err(|failure| match failure.errno.0 {
                libc::EEXIST | libc::ENOTEMPTY => {
                    let message = format!("container with id \"{id}\" exists already");
                    Error::new(ErrorKind::Exists, message)
                }
                _ => call(format!("cannot make {}", self.path.display()), failure),
            })?;
            Ok(Lock(lock))
        });
        if claimed.is_err() {
            let _ = std::fs::remove_dir(&aside);
        }
        claimed
    }

    /// A name beside the directory that is no id, and of this process and moment alone.
    fn aside(&self, id: &ContainerId) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        self.path.with_file_name(format!("~{id}.{}.{number}", std::process::id()))
    }

    /// Waits for the lock of the directory.
    pub(super) fn lock(&self, id: &ContainerId) -> Result<Lock> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(lock) = self.try_lock(id)? {
                return Ok(lock);
            }
            if Instant::now() > deadline {
                let message = format!("container \"{id}\" is in use by another command");
                return Err(Error::new(ErrorKind::State, message));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Takes the lock if nobody holds it.
    pub(super) fn try_lock(&self, id: &ContainerId) -> Result<Option<Lock>> {
        let dir = File::open(&self.path).map_err(|error| self.missing(id, &error))?;
        match Flock::lock(dir, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => {
                // Somebody may have deleted the container, and another been created, meanwhile.
                let here = std::fs::metadata(&self.path).map_err(|e| self.missing(id, &e))?;
                let locked = lock.metadata().map_err(|e| self.missing(id, &e))?;
                Ok((here.ino() == locked.ino()).then_some(Lock(lock)))
            }
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(Error::system(format!("cannot lock container \"{id}\""), errno)),
        }
    }

    fn missing(&self, id: &ContainerId, error: &std::io::Error) -> Error {
        if error.kind() == IoErrorKind::NotFound {
            return not_found(id);
        }
        let message = format!("cannot open the state directory {}", self.path.display());
        Error::io(message, error).kind_is(ErrorKind::Record).path(&self.path)
    }

    /// Reads the record; nothing when the directory holds none yet.
    pub(super) fn read(&self, id: &ContainerId) -> Result<Option<Record>> {
        let path = self.path.join("state.json");
        let mut text = Vec::new();
        let read = File::open(&path).and_then(|mut file| file.read_to_end(&mut text));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == IoErrorKind::NotFound => {
                std::fs::metadata(&self.path).map_err(|error| self.missing(id, &error))?;
                return Ok(None);
            }
            Err(error) => return Err(broken(&path, &error.to_string())),
        }
        let value = serde_json::from_slice(&text).map_err(|e| broken(&path, &e.to_string()))?;
        Record::from_json(&value).map(Some).ok_or_else(|| broken(&path, "it is not complete"))
    }

    /// Writes the record: a new file in place of the old one.
    pub(super) fn write(&self, record: &Record) -> Result<()> {
        self.replace("state.json", &record.to_json())
    }

    /// Keeps the configuration as it is now.
    pub(super) fn write_config(&self, spec: &Spec) -> Result<()> {
        let spec = serde_json::to_value(spec).unwrap_or_default();
        self.replace("config.json", &spec)
    }

    /// The configuration the container was created with.
    pub(super) fn read_config(&self) -> Result<Spec> {
        let path = self.path.join("config.json");
        let text = std::fs::read(&path).map_err(|e| broken(&path, &e.to_string()))?;
        Spec::parse(&text)
    }

    /// Writes a file of the directory.
    pub(super) fn write_value(&self, name: &str, value: &Value) -> Result<()> {
        self.replace(name, value)
    }

    /// Reads a file of the directory; nothing when it is not there, or is not JSON.
    pub(super) fn read_value(&self, name: &str) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(self.path.join(name)).ok()?).ok()
    }

    fn replace(&self, name: &str, value: &Value) -> Result<()> {
        let path = self.path.join(name);
        let new = self.path.join(format!("{name}.new"));
        let write = || -> std::io::Result<()> {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&new)?;
            file.write_all(value.to_string().as_bytes())?;
            std::fs::rename(&new, &path)
        };
        write().map_err(|error| {
            let message = format!("cannot write {}", path.display());
            Error::io(message, &error).kind_is(ErrorKind::Record).path(&path)
        })
    }

    /// Removes the directory with everything in it, and so the container's id: at once, by moving it
    /// aside first.
    pub(super) fn remove(&self, id: &ContainerId) -> Result<()> {
        let fail = |error: &std::io::Error| {
            let message = format!("cannot remove {}", self.path.display());
            Error::io(message, error).kind_is(ErrorKind::Record).path(&self.path)
        };
        let aside = self.aside(id);
        match std::fs::rename(&self.path, &aside) {
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(()),
            result => result.map_err(|error| fail(&error))?,
        }
        std::fs::remove_dir_all(&aside).map_err(|error| fail(&error))
    }

    /// That nothing is in the directory but what keel puts there: a directory of somebody else, below
    /// a state root that is none, must not be taken for that of a container.
    pub(super) fn check_own(&self) -> Result<()> {
        const OWN: [&str; 4] = ["state.json", "config.json", "start.sock", super::ending::FILE];
        let fail = |error: &std::io::Error| broken(&self.path, &error.to_string());
        for entry in std::fs::read_dir(&self.path).map_err(|error| fail(&error))? {
            let name = entry.map_err(|error| fail(&error))?.file_name();
            let name = name.to_string_lossy();
            if !OWN.contains(&name.strip_suffix(".new").unwrap_or(&name)) {
                let message = format!(
                    "{} is not the directory of a container: {} is in it",
                    self.path.display(),
                    name.escape_debug()
                );
                return Err(Error::new(ErrorKind::Input, message).path(&self.path));
            }
        }
        Ok(())
    }

    /// Removes what a killed claim or removal of this id left beside the directory.
    pub(super) fn remove_leftovers(&self, id: &ContainerId) {
        let prefix = format!("~{id}.");
        let entries = self.path.parent().and_then(|root| std::fs::read_dir(root).ok());
        for entry in entries.into_iter().flatten().flatten() {
            let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix));
            let Some(dir) = ours.then(|| File::open(entry.path()).ok()).flatten() else { continue };
            // Somebody who works on it holds its lock.
            if Flock::lock(dir, FlockArg::LockExclusiveNonblock).is_ok() {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// The lock of a container's directory, held while this lives.
#[derive(Debug)]
pub(super) struct Lock(#[allow(dead_code)] Flock<File>);

/// No container has this id; engines look for these words.
pub(super) fn not_found(id: &ContainerId) -> Error {
    Error::new(ErrorKind::NotFound, format!("container \"{id}\" does not exist"))
}

fn broken(path: &Path, why: &str) -> Error {
    let message = format!("cannot read the record {}: {why}", path.display());
    Error::new(ErrorKind::Record, message).path(path)
}

impl Record {
    fn to_json(&self) -> Value {
        json!({
            "version": VERSION,
            "bundle": self.bundle.to_string_lossy(),
            "rootfs": self.rootfs.to_string_lossy(),
            "created": self.created,
            "owner": self.owner,
            "pid": self.init.map(|init| init.pid),
            "startTime": self.init.map(|init| init.start_time),
            "ownPids": self.own_pids,
            "hasProcess": self.has_process,
            "hasHooks": self.has_hooks,
            "noPivot": self.options.no_pivot,
            "noNewKeyring": self.options.no_new_keyring,
            "keyring": self.options.keyring,
            "preservedFds": self.options.preserved_fds,
            "listenFds": self.options.listen_fds,
            "cgroupManager": match self.options.cgroup_manager {
                CgroupManager::Cgroupfs => "cgroupfs",
                CgroupManager::Systemd => "systemd",
                CgroupManager::Disabled => "disabled",
            },
            "rootless": self.options.rootless,
            "userBus": self.options.user_bus,
            "notifySocket": self.options.notify_socket,
            "cgroup": self.cgroup.as_ref().map(Cgroup::to_json),
            "resctrl": self.resctrl.as_ref().map(Group::to_json),
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
        let number = |name: &str| value.get(name)?.as_u64();
        let flag = |name: &str| value.get(name)?.as_bool();
        if number("version")? != VERSION {
            return None;
        }
        let init = match (value.get("pid")?.as_i64(), number("startTime")) {
            (Some(pid), Some(start_time)) => {
                Some(Identity { pid: pid.try_into().ok()?, start_time })
            }
            _ => None,
        };
        let cgroup = value.get("cgroup")?;
        let cgroup = if cgroup.is_null() { None } else { Some(Cgroup::from_json(cgroup)?) };
        let resctrl = value.get("resctrl")?;
        let resctrl = if resctrl.is_null() { None } else { Some(Group::from_json(resctrl)?) };
        Some(Self {
            bundle: text("bundle")?.into(),
            rootfs: text("rootfs")?.into(),
            created: text("created")?,
            owner: number("owner")?.try_into().ok()?,
            init,
            own_pids: flag("ownPids")?,
            has_process: flag("hasProcess")?,
            has_hooks: flag("hasHooks")?,
            options: Options {
                no_pivot: flag("noPivot")?,
                no_new_keyring: flag("noNewKeyring")?,
                keyring: text("keyring"),
                preserved_fds: number("preservedFds")?.try_into().ok()?,
                listen_fds: number("listenFds")?.try_into().ok()?,
                notify_socket: flag("notifySocket")?,
                // It was created so, and later plans are no new decision.
                strict: false,
                cgroup_manager: match text("cgroupManager")?.as_str() {
                    "cgroupfs" => CgroupManager::Cgroupfs,
                    "systemd" => CgroupManager::Systemd,
                    "disabled" => CgroupManager::Disabled,
                    _ => return None,
                },
                rootless: flag("rootless"),
                user_bus: text("userBus"),
            },
            cgroup,
            resctrl,
        })
    }
}

fn c_string(path: &Path) -> Result<std::ffi::CString> {
    std::ffi::CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::new(ErrorKind::Input, "a path must not hold a NUL character"))
}
