//! Facts of this machine that decide what a plan may contain, probed once.
//!
//! Plain data: a test or `explain` can bring a machine of its own, and the same configuration,
//! options and facts always give the same plan. Probing reads the kernel, never the configuration.

pub mod cgroups;
mod resctrl;
mod security;
pub mod subordinate_ids;

use libcontainer_init::sys::{caps, landlock};
use nix::errno::Errno;

pub use cgroups::Cgroups;
pub use resctrl::Resctrl;
pub use security::SecurityModules;
pub(crate) use security::is_context;

use crate::error::{Error, ErrorKind, Result};

/// What a plan needs to know of the machine and of this process's rights.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// The cgroup hierarchies.
    pub cgroups: Cgroups,
    /// Effective user id of this process.
    pub euid: u32,
    /// Effective group id of this process.
    pub egid: u32,
    /// Whether this process may administer its mount namespace (CAP_SYS_ADMIN).
    pub privileged: bool,
    /// Whether this process runs in a user namespace other than the first.
    pub user_namespace: bool,
    /// Whether it may map any ids of its user namespace into a new one (CAP_SETUID and CAP_SETGID).
    pub may_map_ids: bool,
    /// Whether its user namespace, and with it every one below, forbids setgroups(2).
    pub groups_denied: bool,
    /// Whether it has CAP_MKNOD, which counts in the first user namespace only.
    pub may_make_devices: bool,
    /// Whether this process may schedule any other as it likes (CAP_SYS_NICE in the first user
    /// namespace).
    pub may_schedule: bool,
    /// The bounding set of capabilities: none beyond it can be given.
    pub bounding: u64,
    /// The capabilities that the kernel knows.
    pub known_capabilities: u64,
    /// The version of Landlock's ABI; 0 if the kernel has none, or does not let this process use it.
    pub landlock: u32,
    /// Security modules, and what this process is under.
    pub security: SecurityModules,
    /// The resctrl file system, if it is mounted.
    pub resctrl: Option<Resctrl>,
}

/// CAP_SYS_ADMIN, capabilities(7).
const SYS_ADMIN: u64 = 1 << 21;
/// CAP_SYS_NICE.
const SYS_NICE: u64 = 1 << 23;
/// CAP_SETUID and CAP_SETGID.
const SET_IDS: u64 = 1 << 7 | 1 << 6;
/// CAP_MKNOD.
const MKNOD: u64 = 1 << 27;

impl Host {
    /// Looks at this machine.
    ///
    /// # Errors
    /// The kernel is older than Linux 5.14, or does not tell.
    pub fn probe() -> Result<Self> {
        Self::probe_as(None)
    }

    /// Looks at this machine for a caller that is to be taken as having no rights on cgroups, or all;
    /// see [`Options::rootless`](crate::Options::rootless).
    ///
    /// # Errors
    /// As [`Host::probe`].
    pub fn probe_as(rootless: Option<bool>) -> Result<Self> {
        check_kernel()?;
        let (bounding, known_capabilities) = bounding_set()?;
        let sets = caps::get()
            .map_err(|failure| crate::error::call("cannot read capabilities", failure))?;
        let (euid, user_namespace) = (nix::unistd::geteuid().as_raw(), in_user_namespace()?);
        Ok(Self {
            cgroups: Cgroups::probe_for(rootless.unwrap_or(euid != 0 || user_namespace))?,
            euid,
            egid: nix::unistd::getegid().as_raw(),
            privileged: sets.effective & SYS_ADMIN != 0,
            user_namespace,
            may_map_ids: sets.effective & SET_IDS == SET_IDS,
            groups_denied: user_namespace && setgroups_denied()?,
            may_make_devices: sets.effective & MKNOD != 0,
            may_schedule: sets.effective & SYS_NICE != 0 && !user_namespace,
            bounding,
            known_capabilities,
            landlock: landlock::version().unwrap_or(0),
            security: SecurityModules::probe(),
            resctrl: Resctrl::probe(),
        })
    }

    /// The same machine, as the host's root has it.
    ///
    /// # Errors
    /// The cgroup hierarchies cannot be found.
    pub fn for_root(self) -> Result<Self> {
        Ok(Self {
            cgroups: Cgroups::probe_for(false)?,
            euid: 0,
            egid: 0,
            privileged: true,
            user_namespace: false,
            may_schedule: true,
            ..self
        })
    }

    /// A machine that exists nowhere: root on cgroup v1, with each security module, for plans that
    /// are the same everywhere.
    pub fn example() -> Self {
        const ALL: u64 = (1 << 41) - 1;
        Self {
            cgroups: Cgroups::example_v1(),
            euid: 0,
            egid: 0,
            privileged: true,
            user_namespace: false,
            may_map_ids: true,
            groups_denied: false,
            may_make_devices: true,
            may_schedule: true,
            bounding: ALL,
            known_capabilities: ALL,
            landlock: 7,
            security: SecurityModules {
                apparmor: true,
                selinux: true,
                ..SecurityModules::default()
            },
            resctrl: Some(Resctrl::example()),
        }
    }
}

/// The mount API, pidfds and clone3 are relied on without a fallback from Linux 5.14 on.
fn check_kernel() -> Result<()> {
    const OLDEST: (u32, u32) = (5, 14);
    let name = nix::sys::utsname::uname()
        .map_err(|errno| Error::system("cannot read the kernel's version", errno))?;
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < OLDEST {
        let (major, minor) = OLDEST;
        let message = format!("the kernel {release} is too old: Linux {major}.{minor} is needed");
        return Err(Error::new(ErrorKind::System, message));
    }
    Ok(())
}

/// The bounding set, and all capabilities the kernel knows.
fn bounding_set() -> Result<(u64, u64)> {
    let (mut bounding, mut known) = (0, 0);
    for capability in 0..64 {
        match caps::bounded(capability) {
            Ok(bounded) => {
                known |= 1 << capability;
                bounding |= u64::from(bounded) << capability;
            }
            Err(failure) if failure.errno.0 == Errno::EINVAL as i32 => break,
            Err(failure) => {
                return Err(crate::error::call("cannot read the bounding set", failure));
            }
        }
    }
    Ok((bounding, known))
}

/// The first user namespace maps every id to itself, user_namespaces(7).
fn in_user_namespace() -> Result<bool> {
    let map = std::fs::read_to_string("/proc/self/uid_map")
        .map_err(|error| Error::io("cannot read /proc/self/uid_map", &error))?;
    let numbers: Vec<&str> = map.split_ascii_whitespace().collect();
    Ok(numbers != ["0", "0", "4294967295"])
}

/// Whether nobody in this process's user namespace can change groups, user_namespaces(7).
fn setgroups_denied() -> Result<bool> {
    std::fs::read_to_string("/proc/self/setgroups")
        .map(|word| word.trim_end() == "deny")
        .map_err(|error| Error::io("cannot read /proc/self/setgroups", &error))
}
