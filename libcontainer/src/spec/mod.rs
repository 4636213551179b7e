//! keel's own model of `config.json`: the runtime-spec 1.3 for Linux, as plain data.
//!
//! What is REQUIRED in the specification is a plain field, empty or zero if missing; an optional
//! number, object or text is an `Option` (an empty text is read as none: Go cannot tell the two
//! apart); lists and maps are empty if absent. Names of namespaces, capabilities, actions and so on
//! stay text: `features` judges them and points at what is wrong. `Bundle` reads a configuration,
//! `Plan` compiles it; the other documents of an engine (of `exec --process` and `update
//! --resources`) are parts of it. Nothing here may look at the machine or at a path.

pub mod annotations;
mod example;
mod features;
mod hooks;
mod landlock;
pub(crate) mod lenient;
mod linux;
mod mount;
mod process;
mod record;
mod resources;
mod seccomp;
mod state;

use std::collections::BTreeMap;

pub use features::{
    CgroupFeatures, Enabled, Features, IntelRdtFeatures, LinuxFeatures, MemoryPolicyFeatures,
    MountExtensions, SeccompFeatures,
};
pub use hooks::{Hook, Hooks};
pub use landlock::{Landlock, LandlockRules, LandlockRuleset, PathBeneath};
pub use linux::{
    Device, IntelRdt, Linux, MemoryPolicy, Namespace, NetDevice, Personality, TimeOffset,
};
pub use mount::{IdMapping, Mount};
pub use process::{
    Capabilities, ConsoleSize, CpuAffinity, IoPriority, Process, Rlimit, Scheduler, User,
};
pub use resources::{
    BlockIo, Cpu, DeviceRule, HugepageLimit, InterfacePriority, Memory, Network, Pids, Rdma,
    Resources, ThrottleDevice, WeightDevice,
};
pub use seccomp::{Seccomp, Syscall, SyscallArg};
pub use state::{ProcessState, State};

use crate::error::Error;
use record::record;

record! {
    /// A configuration: what `config.json` of a bundle holds (config.md).
    Spec {
        /// Version of the runtime-spec that the bundle complies with, as of SemVer 2. Required.
        oci_version: String = always "ociVersion",
        /// The container's process. Required to start a container.
        process: Option<Process> = optional "process",
        /// The container's root file system. Required.
        root: Option<Root> = optional "root",
        /// Host name inside the container's UTS namespace. Default: no change.
        hostname: Option<String> = optional "hostname",
        /// NIS domain name inside the container's UTS namespace. Default: no change.
        domainname: Option<String> = optional "domainname",
        /// What is mounted beyond the root, in this order.
        mounts: Vec<Mount> = optional "mounts",
        /// Programs that run at moments of the container's life. Default: none.
        hooks: Option<Hooks> = optional "hooks",
        /// Free text by name, for engines and hooks. Default: none.
        annotations: BTreeMap<String, String> = optional "annotations",
        /// What a container has of Linux alone.
        linux: Option<Linux> = optional "linux",
    }

    /// `root`: the root file system (config.md, "Root").
    Root {
        /// Path of its directory, relative to the bundle. Required.
        path: String = always "path",
        /// Whether it is mounted read-only. Default: no.
        readonly: bool = optional "readonly",
    }
}

impl Spec {
    /// Reads the text of a `config.json`, as tolerant as Go: unknown members are skipped, `null`
    /// is absent, of a key given twice the last one wins, bytes after the object are left alone.
    ///
    /// # Errors
    /// Of the kind [`ErrorKind::Config`](crate::error::ErrorKind::Config): a value of the wrong
    /// type, as a fault with its pointer; or text that is not JSON, with line and column.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        lenient::parse(text, "config.json", "")
    }

    /// The same, with pointers to the properties that the specification does not have for Linux, and
    /// that are ignored (config.md, "Extensibility").
    ///
    /// # Errors
    /// As [`Spec::parse`].
    pub fn parse_noting_unknown(text: &[u8]) -> Result<(Self, Vec<String>), Error> {
        lenient::parse_noting(text, "config.json", "")
    }
}
