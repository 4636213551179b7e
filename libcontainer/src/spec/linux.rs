//! What a container has of Linux alone: namespaces, devices, kernel parameters and the like.
//!
//! The model of `linux` in `config.json` (config-linux.md). Plain data for the features' checks;
//! names of namespaces, modes and domains stay strings until these have judged them.

use std::collections::BTreeMap;

use super::record::record;
use super::{IdMapping, Resources, Seccomp};

record! {
    /// `linux`: the platform's part of a configuration (config-linux.md).
    Linux {
        /// User ids of the container's user namespace. Default: none.
        uid_mappings: Vec<IdMapping> = optional "uidMappings",
        /// Group ids of the container's user namespace. Default: none.
        gid_mappings: Vec<IdMapping> = optional "gidMappings",
        /// Kernel parameters by name, as of sysctl(8). Default: none.
        sysctl: BTreeMap<String, String> = optional "sysctl",
        /// Limits of the container's cgroup. Default: none.
        resources: Option<Resources> = optional "resources",
        /// The container's cgroup; absolute from the cgroup mount, else from a place of the
        /// runtime's choice. Default: the runtime's choice.
        cgroups_path: Option<String> = optional "cgroupsPath",
        /// Namespaces to make or join; others are shared with the runtime.
        namespaces: Vec<Namespace> = optional "namespaces",
        /// Device nodes beyond the usual ones. Default: none.
        devices: Vec<Device> = optional "devices",
        /// Network devices that move into the container, by their name on the host.
        net_devices: BTreeMap<String, NetDevice> = optional "netDevices",
        /// Filter of system calls. Default: none.
        seccomp: Option<Seccomp> = optional "seccomp",
        /// Propagation of the root mount: `shared`, `slave`, `private` or `unbindable`, or one
        /// of these after an `r`. Default: the runtime's choice.
        rootfs_propagation: Option<String> = optional "rootfsPropagation",
        /// Absolute paths inside the container that are hidden. Default: none.
        masked_paths: Vec<String> = optional "maskedPaths",
        /// Absolute paths inside the container that are made read-only. Default: none.
        readonly_paths: Vec<String> = optional "readonlyPaths",
        /// SELinux label of the mounts. Default: none.
        mount_label: Option<String> = optional "mountLabel",
        /// Shares of caches and memory bandwidth. Default: resctrl is left alone.
        intel_rdt: Option<IntelRdt> = optional "intelRdt",
        /// NUMA memory policy. Default: inherited.
        memory_policy: Option<MemoryPolicy> = optional "memoryPolicy",
        /// Execution domain. Default: inherited.
        personality: Option<Personality> = optional "personality",
        /// Offsets of the time namespace by clock: `monotonic` or `boottime`. Default: none.
        time_offsets: BTreeMap<String, TimeOffset> = optional "timeOffsets",
    }

    /// One of `linux.namespaces`, each type at most once (config-linux.md, "Namespaces").
    Namespace {
        /// `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup` or `time`. Required.
        kind: String = always "type",
        /// Absolute path of the namespace to join. Default: a new one is made.
        path: Option<String> = optional "path",
    }

    /// A value of `linux.timeOffsets` (config-linux.md, "Offset for Time Namespace").
    TimeOffset {
        /// Whole seconds. Default: 0.
        secs: Option<i64> = optional "secs",
        /// Nanoseconds on top of them. Default: 0.
        nanosecs: Option<u32> = optional "nanosecs",
    }

    /// One of `linux.devices` (config-linux.md, "Devices").
    Device {
        /// Path of the node inside the container. Required.
        path: String = always "path",
        /// `c` or `u` (character), `b` (block) or `p` (FIFO). Required.
        kind: String = always "type",
        /// Major number; of no meaning for a FIFO. Default: 0.
        major: i64 = always "major",
        /// Minor number; of no meaning for a FIFO. Default: 0.
        minor: i64 = always "minor",
        /// Permission bits. Default: the runtime's choice.
        file_mode: Option<u32> = optional "fileMode",
        /// Owner inside the container. Default: the runtime's choice.
        uid: Option<u32> = optional "uid",
        /// Group inside the container. Default: the runtime's choice.
        gid: Option<u32> = optional "gid",
    }

    /// A value of `linux.netDevices` (config-linux.md, "Network Devices").
    NetDevice {
        /// Name inside the container. Default: as on the host.
        name: Option<String> = optional "name",
    }

    /// `linux.intelRdt`: a group of the resctrl file system (config-linux.md, "IntelRdt").
    IntelRdt {
        /// Name of the class of service, `/` for the default one. Default: the container's id.
        clos_id: Option<String> = optional "closID",
        /// Lines for the file `schemata`, written last. Default: none.
        schemata: Vec<String> = optional "schemata",
        /// Line for the level 3 cache, written first. Default: none.
        l3_cache_schema: Option<String> = optional "l3CacheSchema",
        /// Line for memory bandwidth, written second. Default: none.
        mem_bw_schema: Option<String> = optional "memBwSchema",
        /// Whether the container gets a monitoring group. Default: no.
        enable_monitoring: bool = optional "enableMonitoring",
    }

    /// `linux.memoryPolicy`: arguments of set_mempolicy(2) (config-linux.md, "Memory policy").
    MemoryPolicy {
        /// Name of the mode, such as `MPOL_BIND`. Required.
        mode: String = always "mode",
        /// List of memory nodes such as `0-3,7`. Default: none.
        nodes: Option<String> = optional "nodes",
        /// Names such as `MPOL_F_STATIC_NODES`. Default: none.
        flags: Vec<String> = optional "flags",
    }

    /// `linux.personality`: arguments of personality(2) (config-linux.md, "Personality").
    Personality {
        /// `LINUX` or `LINUX32`. Required.
        domain: String = always "domain",
        /// Names of flags; the specification has none yet. Default: none.
        flags: Vec<String> = optional "flags",
    }
}
