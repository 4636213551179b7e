//! The runtime's steps: what it does in the host's namespaces while init works inside.
//!
//! Data, as init's steps are, but of this process alone, so strings and paths stand in it as they
//! are. Features write them, `container` performs them, `plan::explain` prints them.

pub mod cgroup;
pub mod resctrl;
pub mod systemd;

use std::path::PathBuf;

use libcontainer_init::sys::scheduler::Attributes;
use libcontainer_init::wire::Slot;

use crate::config::{IoPriority, Joined, JoinedMappings, Mappings, MountIds, NetDevice};
use crate::spec::Hook;

/// What the thread that starts init takes on first: init and all that comes of it begin with it,
/// whatever their user may do. The caller's where nothing is said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inherited {
    /// CPUs, bit n % 32 of word n / 32; any when empty.
    pub affinity: Vec<u32>,
    /// The scheduling, where the runtime may not set it later.
    pub scheduler: Option<Attributes>,
    /// The priority of input and output.
    pub io_priority: Option<IoPriority>,
    /// The execution domain, personality(2).
    pub personality: Option<u32>,
}

/// One step of the runtime.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// Claims the id and writes down what an interrupted create would leave.
    Record,
    /// Opens the root file system: a copy of its tree of mounts, or the directory itself.
    OpenRootfs {
        /// Where it is.
        path: PathBuf,
        /// Whether the mounts are copied.
        tree: bool,
        /// For init.
        into: Slot,
    },
    /// Copies a mount, or a tree of mounts, of the host.
    OpenTree {
        /// Where it is.
        path: PathBuf,
        /// With all mounts below.
        recursive: bool,
        /// Whether a symbolic link at the end of the path is followed.
        follow: bool,
        /// For init.
        into: Slot,
    },
    /// Makes a new file system, attached nowhere.
    NewMount {
        /// Its type.
        fstype: String,
        /// What it calls its source.
        source: String,
        /// Parameters: `key=value` and flags.
        data: Vec<String>,
        /// Attributes of the mount.
        attributes: u32,
        /// For init.
        into: Slot,
    },
    /// Shows the files of a mount that an earlier task put into a slot with other ids.
    MapIds {
        /// Which ids.
        ids: MountIds,
        /// The mount.
        mount: Slot,
    },
    /// Opens the host's procfs.
    OpenProcfs {
        /// For init.
        into: Slot,
    },
    /// Opens a namespace and checks its kind.
    OpenNamespace {
        /// Which.
        namespace: Joined,
        /// For init.
        into: Slot,
    },
    /// Opens the pidfd of the container's first process, to join its namespaces.
    OpenContainer {
        /// For init.
        into: Slot,
    },
    /// Opens the root directory of the container's first process, where that is not the root of a
    /// mount namespace.
    OpenContainerRoot {
        /// For init.
        into: Slot,
    },
    /// Connects the console socket, so that a wrong one is an error early.
    ConnectConsole,
    /// Hands over descriptors of the caller, which become 3, 4, … inside.
    HandOver {
        /// The first slot.
        first: Slot,
        /// How many.
        count: u32,
    },
    /// Binds the socket on which init waits for the start.
    Listen {
        /// For init.
        into: Slot,
    },
    /// Asks systemd for a scope around init.
    StartScope,
    /// Makes the container's cgroups.
    MakeCgroups,
    /// Writes the limits.
    LimitCgroups,
    /// Makes a cgroup of v2 below the container's, and opens what init writes itself into.
    MakeSubCgroup {
        /// Where, below the container's.
        path: String,
        /// For init.
        into: Slot,
    },
    /// Makes a user the owner of the cgroup, and of those of its files by which it is divided.
    GiveCgroup {
        /// The host's id.
        uid: u32,
    },
    /// Opens what init writes itself into.
    OpenCgroups {
        /// The first slot.
        first: Slot,
        /// How many.
        count: u32,
    },
    /// Makes the container's class and monitoring group of resctrl.
    MakeResctrl,
    /// Moves init into them.
    EnterResctrl,
    /// Starts init.
    Spawn {
        /// `CLONE_NEW*` of namespaces to create with it.
        namespaces: u32,
        /// Namespaces of the host to join before.
        join: Vec<Joined>,
        /// Whether it is born in the cgroup v2 directory.
        into_cgroup: bool,
        /// Whether its capabilities must be made to survive the exec.
        keep_capabilities: bool,
        /// What it inherits.
        inherited: Inherited,
    },
    /// Moves a network device into init's network namespace.
    MoveNetDevice {
        /// Which, and its name there.
        device: NetDevice,
    },
    /// Writes the id mappings of init's user namespace.
    WriteMappings {
        /// Which.
        mappings: Mappings,
    },
    /// Compares the id mappings of the user namespace that init has joined.
    CompareMappings {
        /// What they must be.
        mappings: JoinedMappings,
    },
    /// Writes the offsets of the time namespace that init has made for its children, and opens it.
    TimeOffsets {
        /// Lines of clock, seconds and nanoseconds.
        offsets: Vec<String>,
        /// For init.
        into: Slot,
    },
    /// Takes over the process that init goes on in, inside the PID namespace.
    AdoptInit,
    /// Sets init's scheduling, which it may not be privileged to do.
    Schedule {
        /// Which.
        attributes: Attributes,
    },
    /// Writes init's oom_score_adj.
    OomScore {
        /// The value.
        value: i32,
    },
    /// Raises a hard limit, which init may not be privileged to do.
    RaiseLimit {
        /// The resource, setrlimit(2).
        resource: u32,
        /// The new hard limit.
        hard: u64,
    },
    /// Writes the state document for hooks that run inside.
    StateDocument {
        /// The status it tells.
        status: &'static str,
        /// Whether its pid is the one inside.
        inside: bool,
        /// For init.
        into: Slot,
    },
    /// Opens a file of the host to which hooks that run inside append; makes it if it is missing.
    OpenHookStream {
        /// The file.
        path: PathBuf,
        /// For init.
        into: Slot,
    },
    /// Runs a hook in the runtime's namespaces.
    RunHook {
        /// Which moment: the name in the configuration.
        moment: &'static str,
        /// The hook.
        hook: Hook,
    },
    /// Passes the terminal's master on.
    SendConsole,
    /// Collects an init that has ended.
    Collect,
    /// Records that the container is created, and writes the pid file.
    Publish,
}

impl Task {
    /// The name of its kind.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Record => "Record",
            Self::OpenRootfs { .. } => "OpenRootfs",
            Self::OpenTree { .. } => "OpenTree",
            Self::NewMount { .. } => "NewMount",
            Self::MapIds { .. } => "MapIds",
            Self::OpenProcfs { .. } => "OpenProcfs",
            Self::OpenNamespace { .. } => "OpenNamespace",
            Self::OpenContainer { .. } => "OpenContainer",
            Self::OpenContainerRoot { .. } => "OpenContainerRoot",
            Self::ConnectConsole => "ConnectConsole",
            Self::HandOver { .. } => "HandOver",
            Self::Listen { .. } => "Listen",
            Self::StartScope => "StartScope",
            Self::MakeCgroups => "MakeCgroups",
            Self::LimitCgroups => "LimitCgroups",
            Self::MakeSubCgroup { .. } => "MakeSubCgroup",
            Self::GiveCgroup { .. } => "GiveCgroup",
            Self::OpenCgroups { .. } => "OpenCgroups",
            Self::MakeResctrl => "MakeResctrl",
            Self::EnterResctrl => "EnterResctrl",
            Self::Spawn { .. } => "Spawn",
            Self::MoveNetDevice { .. } => "MoveNetDevice",
            Self::WriteMappings { .. } => "WriteMappings",
            Self::CompareMappings { .. } => "CompareMappings",
            Self::TimeOffsets { .. } => "TimeOffsets",
            Self::AdoptInit => "AdoptInit",
            Self::Schedule { .. } => "Schedule",
            Self::OomScore { .. } => "OomScore",
            Self::RaiseLimit { .. } => "RaiseLimit",
            Self::StateDocument { .. } => "StateDocument",
            Self::OpenHookStream { .. } => "OpenHookStream",
            Self::RunHook { .. } => "RunHook",
            Self::SendConsole => "SendConsole",
            Self::Collect => "Collect",
            Self::Publish => "Publish",
        }
    }

    /// The slots the task fills, as a first one and a count.
    pub fn fills(&self) -> Option<(Slot, u32)> {
        match self {
            Self::OpenRootfs { into, .. }
            | Self::OpenTree { into, .. }
            | Self::NewMount { into, .. }
            | Self::OpenProcfs { into }
            | Self::OpenNamespace { into, .. }
            | Self::TimeOffsets { into, .. }
            | Self::OpenContainer { into }
            | Self::OpenContainerRoot { into }
            | Self::Listen { into }
            | Self::MakeSubCgroup { into, .. }
            | Self::StateDocument { into, .. }
            | Self::OpenHookStream { into, .. } => Some((*into, 1)),
            Self::HandOver { first, count } | Self::OpenCgroups { first, count } => {
                Some((*first, *count))
            }
            _ => None,
        }
    }
}
