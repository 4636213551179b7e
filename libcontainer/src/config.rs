//! A configuration that was checked: every name is a number, every path and rule is known to hold.
//!
//! [`crate::features`] make it from the [`Spec`](crate::spec::Spec), reporting all faults at once,
//! and compile it into steps. Types only; what may stand in a field is said here, why it may, there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use libcontainer_init::sys::limit::Limit;
use libcontainer_init::sys::scheduler::Attributes as Scheduling;

use crate::spec;
use crate::spec::annotations::{CONTEXT_TYPE, KEEP_GROUPS};
use crate::task::cgroup::CgroupPlan;
use crate::task::resctrl::SchemaLine;

/// Everything that `create` or `exec` needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The container's id.
    pub id: String,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// Its root file system.
    pub rootfs: Rootfs,
    /// Namespaces made and joined.
    pub namespaces: Namespaces,
    /// Mappings of a new user namespace.
    pub mappings: Option<Mappings>,
    /// Mappings that a joined user namespace must have.
    pub joined_mappings: Option<JoinedMappings>,
    /// The name of the machine inside.
    pub hostname: Option<String>,
    /// The NIS domain inside.
    pub domainname: Option<String>,
    /// Mounts in order.
    pub mounts: Vec<Mount>,
    /// The label of SELinux that new file systems get.
    pub mount_label: Option<String>,
    /// Device nodes and links.
    pub devices: Devices,
    /// Hidden paths, with their index in the configuration.
    pub masked_paths: Vec<String>,
    /// Read-only paths.
    pub readonly_paths: Vec<String>,
    /// Kernel parameters: path below /proc/sys, value, name as configured.
    pub sysctl: Vec<(String, String, String)>,
    /// Network devices that move in.
    pub net_devices: Vec<NetDevice>,
    /// The execution domain, personality(2).
    pub personality: Option<u32>,
    /// The memory policy.
    pub memory_policy: Option<MemoryPolicy>,
    /// Lines for timens_offsets, time_namespaces(7): clock, seconds, nanoseconds.
    pub time_offsets: Vec<String>,
    /// The process.
    pub process: Process,
    /// Whether there is one: without, the container can be created but not started.
    pub has_process: bool,
    /// The terminal, when the process has one.
    pub console: Option<Console>,
    /// Whether it has a socket for sd_notify(3).
    pub notify_socket: bool,
    /// The filter of system calls.
    pub seccomp: Option<SeccompFilter>,
    /// Which files it may use, and for what.
    pub landlock: Option<Landlock>,
    /// Hooks.
    pub hooks: spec::Hooks,
    /// Cgroups and what is written into them.
    pub cgroup: Option<CgroupPlan>,
    /// Its place in resctrl.
    pub intel_rdt: Option<IntelRdt>,
    /// Annotations, passed on to hooks.
    pub annotations: BTreeMap<String, String>,
    /// The version the configuration names.
    pub version: String,
}

impl Config {
    /// Whether the caller's supplementary groups stay, by annotation.
    pub fn keeps_groups(&self) -> bool {
        self.annotations.get(KEEP_GROUPS).is_some_and(|value| value != "0")
    }

    /// The label of mounts as a parameter of a new file system.
    pub fn mount_context(&self) -> Option<String> {
        let kind = self.annotations.get(CONTEXT_TYPE).map_or("context", String::as_str);
        self.mount_label.as_ref().map(|label| format!("{kind}={label}"))
    }
}

/// Labels of security modules, each if it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// The profile of AppArmor.
    pub apparmor: Option<String>,
    /// The label of SELinux.
    pub selinux: Option<String>,
    /// Whether the profile is added to the one that the runtime is under.
    pub stacked: bool,
}

/// A compiled filter of system calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeccompFilter {
    /// Its instructions, two words each.
    pub program: Vec<u32>,
    /// Flags of seccomp(2).
    pub flags: u32,
    /// Who is asked about some calls.
    pub listener: Option<Listener>,
}

/// Rights over files, bits of LANDLOCK_ACCESS_FS_* (landlock(7)) that the kernel knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landlock {
    /// Those that nobody has unless a rule allows them.
    pub handled: u32,
    /// Absolute paths inside, and what is allowed for each and all that lies below it.
    pub allowed: Vec<(String, u32)>,
}

/// Who is asked about system calls (config-linux.md, "The Container Process State").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The socket on which it is told of the container.
    pub path: PathBuf,
    /// What it is told besides.
    pub metadata: Option<String>,
}

/// The root file system.
#[derive(Debug, Clone, PartialEq)]
pub struct Rootfs {
    /// Absolute path on the host.
    pub path: PathBuf,
    /// Whether it is read-only inside.
    pub readonly: bool,
    /// Propagation type and whether for all mounts below, when configured.
    pub propagation: Option<Propagation>,
    /// How it becomes `/`.
    pub entry: Entry,
}

/// A propagation type, mount_namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Propagation {
    /// One of `mount::{SHARED, SLAVE, PRIVATE, UNBINDABLE}`.
    pub kind: u32,
    /// For all mounts below too.
    pub recursive: bool,
}

/// How the rootfs becomes the root directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// pivot_root(2).
    Pivot,
    /// Moving it over `/` (`--no-pivot`).
    Move,
    /// chroot(2): the mount namespace is not the container's own.
    ChangeRoot,
}

/// Namespaces.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Namespaces {
    /// `CLONE_NEW*` of those to create.
    pub created: u32,
    /// Those to join.
    pub joined: Vec<Joined>,
}

/// A namespace to join.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// `CLONE_NEW*` of its kind.
    pub kind: u32,
    /// Where it is.
    pub path: PathBuf,
    /// Where the configuration says so.
    pub pointer: String,
    /// Whether names or parameters are set in it: then it must not be the runtime's own.
    pub written: bool,
}

impl Namespaces {
    /// Whether a namespace of this kind is created.
    pub fn creates(&self, kind: u32) -> bool {
        self.created & kind != 0
    }

    /// The namespace of this kind that is joined.
    pub fn joins(&self, kind: u32) -> Option<&Joined> {
        self.joined.iter().find(|joined| joined.kind == kind)
    }

    /// Whether the container has a namespace of this kind other than the runtime's.
    pub fn has(&self, kind: u32) -> bool {
        self.creates(kind) || self.joins(kind).is_some()
    }
}

/// The id mappings of a new user namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Mappings {
    /// User ids.
    pub uid: Vec<spec::IdMapping>,
    /// Group ids.
    pub gid: Vec<spec::IdMapping>,
    /// Whether setgroups(2) must be forbidden: an ordinary user may map its own group only so.
    pub deny_setgroups: bool,
    /// Whether newuidmap(1) has to write the user ids: they are not this process's to give.
    pub by_newuidmap: bool,
    /// Whether newgidmap(1) has to write the group ids.
    pub by_newgidmap: bool,
}

/// The id mappings that a joined user namespace is said to have.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinedMappings {
    /// User ids.
    pub uid: Vec<spec::IdMapping>,
    /// Group ids.
    pub gid: Vec<spec::IdMapping>,
}

/// A mount, its options understood.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Absolute path inside.
    pub target: String,
    /// Changes of mount attributes.
    pub attributes: Attributes,
    /// Parameters of the file system: `key=value` and flags.
    pub data: Vec<String>,
    /// Propagation types to take, in order.
    pub propagation: Vec<Propagation>,
    /// Flags of `libcontainer_init::step::flag`.
    pub flags: u32,
    /// With which ids its files are shown, when not with their own.
    pub ids: Option<MountIds>,
    /// Which of the caller's descriptors serves it, a FUSE file system: 0 for the first.
    pub server: Option<u32>,
    /// Where in the configuration.
    pub pointer: String,
}

/// The ids of an id-mapped mount.
#[derive(Debug, Clone, PartialEq)]
pub struct MountIds {
    /// Where they come from.
    pub source: IdSource,
    /// For all mounts below too.
    pub recursive: bool,
}

/// What maps the ids of a file system to those that a mount shows.
#[derive(Debug, Clone, PartialEq)]
pub enum IdSource {
    /// These mappings: "inside" is the file system, "outside" what the host sees.
    Mappings(Mappings),
    /// Those of a user namespace that is there already.
    Namespace(Joined),
}

/// What a mount mounts.
#[derive(Debug, Clone, PartialEq)]
pub enum MountKind {
    /// A new file system.
    New {
        /// Its type.
        fstype: String,
        /// What it calls its source.
        source: String,
        /// A tree of the host that serves, read-only, where the kernel refuses a new one.
        otherwise: Option<PathBuf>,
    },
    /// A file or directory of the host.
    Bind {
        /// Absolute path on the host.
        source: PathBuf,
        /// With all that is mounted below.
        recursive: bool,
        /// Whether a symbolic link at the end of the path is followed.
        follow: bool,
    },
    /// The cgroup hierarchies.
    Cgroup,
    /// Only the attributes change.
    Remount,
}

impl Default for MountKind {
    fn default() -> Self {
        Self::New { fstype: String::new(), source: String::new(), otherwise: None }
    }
}

/// Changes of mount attributes, mount_setattr(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    /// To set on the mount.
    pub set: u32,
    /// To clear on it.
    pub clear: u32,
    /// To set on it and all below.
    pub set_all: u32,
    /// To clear on it and all below.
    pub clear_all: u32,
}

/// A network device that moves into the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetDevice {
    /// Its name in the runtime's network namespace.
    pub host: String,
    /// Its name in the container's, in which `%d` is a number of the kernel's choice.
    pub name: String,
    /// Where in the configuration.
    pub pointer: String,
}

/// Device nodes and links.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Devices {
    /// Nodes: the default ones first.
    pub nodes: Vec<Device>,
    /// Whether the usual links are made.
    pub links: bool,
    /// Whether nodes are bound from the host, as mknod(2) is impossible in a user namespace.
    pub bind: bool,
}

/// A device node or FIFO.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Absolute path inside.
    pub path: String,
    /// Type and permissions, inode(7).
    pub mode: u32,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Owner inside.
    pub uid: u32,
    /// Group inside.
    pub gid: u32,
    /// Where in the configuration.
    pub pointer: String,
}

/// The container's process.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Process {
    /// Under which labels of security modules it runs.
    pub labels: Labels,
    /// argv.
    pub args: Vec<String>,
    /// Paths to look for the program at, in order.
    pub candidates: Vec<String>,
    /// The environment; the last of several settings of a name.
    pub env: Vec<String>,
    /// Whether HOME is to be looked up.
    pub find_home: bool,
    /// Working directory.
    pub cwd: String,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// umask(2), when configured.
    pub umask: Option<u32>,
    /// Resource limits, with their index in the configuration.
    pub limits: Vec<(u32, Limit)>,
    /// Capability sets.
    pub capabilities: Capabilities,
    /// PR_SET_NO_NEW_PRIVS.
    pub no_new_privileges: bool,
    /// CPUs, for a process that joins a running container.
    pub affinity: Affinity,
    /// How it is scheduled.
    pub scheduler: Option<Scheduling>,
    /// The priority of its input and output.
    pub io_priority: Option<IoPriority>,
    /// Value for oom_score_adj.
    pub oom_score_adj: Option<i32>,
    /// Name of the session keyring, when it gets one.
    pub keyring: Option<String>,
    /// Descriptors from 3 up that it inherits.
    pub preserved: u32,
    /// Whether some of them are LISTEN_FDS.
    pub listen: bool,
}

/// Capability sets, bit n for capability n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// The most any program can get.
    pub bounding: u64,
    /// What counts.
    pub effective: u64,
    /// What may become effective.
    pub permitted: u64,
    /// What file capabilities may add to.
    pub inheritable: u64,
    /// What every program keeps.
    pub ambient: u64,
}

/// CPUs of a process that joins a container: bit n % 32 of word n / 32 is CPU n; empty for any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Affinity {
    /// Before it enters the cgroup.
    pub initial: Vec<u32>,
    /// Afterwards.
    pub last: Vec<u32>,
}

/// An I/O priority, ioprio_set(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoPriority {
    /// The class.
    pub class: u32,
    /// The level in it: 0 first, 7 last.
    pub level: u32,
}

/// A memory policy, set_mempolicy(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// The mode with its flags.
    pub mode: u32,
    /// Bit n % 32 of word n / 32 is node n; empty for none.
    pub nodes: Vec<u32>,
}

/// A place in the resctrl file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntelRdt {
    /// Where that is mounted.
    pub root: PathBuf,
    /// The class, a directory of it; none for the default class.
    pub class: Option<String>,
    /// Whether the class is the container's own.
    pub own: bool,
    /// What the class is to have, and must have if it is there already.
    pub limits: Vec<SchemaLine>,
    /// What it is to have besides.
    pub schemata: Vec<SchemaLine>,
    /// The monitoring group, a directory of the class.
    pub monitor: Option<String>,
}

/// A terminal of the container's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Console {
    /// Rows, 0 for "leave".
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}
