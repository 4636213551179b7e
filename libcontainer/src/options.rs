//! What the caller may choose besides `config.json`.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use libcontainer_init::sys::file;

use crate::error::{Error, ErrorKind, Result};

/// Choices that decide the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Move the rootfs over `/` in place of pivot_root(2), which a ramdisk as root refuses.
    pub no_pivot: bool,
    /// Leave the caller's session keyring to the container.
    pub no_new_keyring: bool,
    /// The name of the container's session keyring, keyrings(7); `_ses.ID` if none is given.
    /// [`crate::Store::create`] gives it one that nobody can guess: to join a keyring by its name is
    /// to share it with whoever has made one of that name before.
    pub keyring: Option<String>,
    /// How many descriptors from 3 up the container inherits, LISTEN_FDS included.
    pub preserved_fds: u32,
    /// How many of them are sockets for socket activation, sd_listen_fds(3).
    pub listen_fds: u32,
    /// Give the container a socket for sd_notify(3), and its path in NOTIFY_SOCKET. What arrives
    /// there is for whoever starts it: see [`crate::Container::take_notify_socket`].
    pub notify_socket: bool,
    /// Refuse what would be tolerated: every warning about the configuration is a fault, and so is a
    /// property that the runtime-spec does not have. Only for a container that is created.
    pub strict: bool,
    /// Who manages cgroups.
    pub cgroup_manager: CgroupManager,
    /// Whether the caller is taken as one without rights on cgroups: then a container that names no
    /// cgroup and sets no limit may stay in the caller's where none can be made, with a warning. By
    /// default that is so for everybody but the root of the first user namespace.
    pub rootless: Option<bool>,
    /// The addresses of the bus of the user whose systemd does so (D-Bus Specification, "Server
    /// Addresses"); the system's systemd if there are none.
    pub user_bus: Option<String>,
}

/// Who manages the container's cgroups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CgroupManager {
    /// This library, by the files of cgroupfs.
    #[default]
    Cgroupfs,
    /// systemd, which gives the container a scope, and this library within that.
    Systemd,
    /// Nobody: the container stays in the caller's cgroups, and limits are refused.
    Disabled,
}

/// Descriptors and paths that go with a container but do not decide its plan.
#[derive(Debug, Default)]
pub struct Attachments {
    /// Where the terminal's master goes.
    pub console: Console,
    /// Standard streams of the container; `None` inherits this process's.
    pub stdio: [Option<OwnedFd>; 3],
    /// What becomes 3, 4, … inside; as many as [`Options::preserved_fds`].
    pub preserved: Vec<OwnedFd>,
    /// A file to write the pid to, as decimal digits without a newline.
    pub pid_file: Option<PathBuf>,
    /// Unix stream sockets that each get the pidfd of the process.
    pub pidfd_sockets: Vec<PathBuf>,
    /// Programs that map ids for an ordinary user.
    pub id_mappers: IdMappers,
}

/// The set-user-id programs that write the id mappings of a new user namespace for an ordinary user,
/// who may map no ids but its own. Without them mappings of other ids are an error. Nobody else needs
/// them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdMappers {
    /// newuidmap(1), for user ids.
    pub newuidmap: Option<PathBuf>,
    /// newgidmap(1), for group ids.
    pub newgidmap: Option<PathBuf>,
}

/// Where the master of the container's terminal goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Console {
    /// There is no terminal.
    #[default]
    None,
    /// To whoever listens on this socket, with SCM_RIGHTS.
    Socket(PathBuf),
    /// The caller takes it from [`crate::Container::take_console`].
    Keep,
}

impl Attachments {
    /// Duplicates of this process's descriptors 3, 4, … 2+`count`.
    ///
    /// # Errors
    /// One of them is not open.
    pub fn inherited(count: u32) -> Result<Vec<OwnedFd>> {
        const FIRST: i32 = 3;
        let numbers = FIRST..FIRST.saturating_add_unsigned(count);
        numbers
            .map(|number| {
                file::duplicate(number, FIRST).map(OwnedFd::from).map_err(|failure| {
                    let message = format!("cannot preserve descriptor {number}");
                    crate::error::call(message, failure).kind_is(ErrorKind::Input)
                })
            })
            .collect::<Result<_, Error>>()
    }
}
