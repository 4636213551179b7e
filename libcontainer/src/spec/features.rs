//! The features document, in which a runtime tells engines what it can do.
//!
//! The model of the runtime-spec's "Features structure" (features.md, features-linux.md). Filled by
//! `features_document`. An absent member means that nothing is said, which is not the same as
//! `false` or an empty list.

use std::collections::BTreeMap;

use super::record::record;

record! {
    /// What a runtime can do, whatever the machine (features.md).
    Features {
        /// The oldest version of the runtime-spec that is accepted. Required.
        oci_version_min: String = always "ociVersionMin",
        /// The newest version of the runtime-spec that is accepted. Required.
        oci_version_max: String = always "ociVersionMax",
        /// Names of the moments at which hooks run.
        hooks: Vec<String> = always "hooks",
        /// Mount options that are understood, without those of file systems.
        mount_options: Vec<String> = always "mountOptions",
        /// What is there of Linux alone.
        linux: LinuxFeatures = always "linux",
        /// Free text by name about the runtime.
        annotations: BTreeMap<String, String> = optional "annotations",
        /// Annotations of a configuration that change what the runtime does; one that ends with a
        /// dot stands for all that begin so.
        potentially_unsafe_config_annotations: Vec<String> =
            always "potentiallyUnsafeConfigAnnotations",
    }

    /// `linux`: what a runtime can do on Linux (features-linux.md).
    LinuxFeatures {
        /// Types of namespaces.
        namespaces: Vec<String> = always "namespaces",
        /// Names of capabilities.
        capabilities: Vec<String> = always "capabilities",
        /// Versions and makers of cgroups.
        cgroup: CgroupFeatures = always "cgroup",
        /// Filters of system calls.
        seccomp: SeccompFeatures = always "seccomp",
        /// AppArmor profiles.
        apparmor: Enabled = always "apparmor",
        /// SELinux labels.
        selinux: Enabled = always "selinux",
        /// NUMA memory policies.
        memory_policy: MemoryPolicyFeatures = always "memoryPolicy",
        /// Groups of the resctrl file system.
        intel_rdt: IntelRdtFeatures = always "intelRdt",
        /// What mounts can have besides options.
        mount_extensions: MountExtensions = always "mountExtensions",
        /// Network devices that are moved into the container.
        net_devices: Enabled = always "netDevices",
    }

    /// Whether something can be done.
    Enabled {
        /// Whether it can.
        enabled: bool = always "enabled",
    }

    /// `linux.cgroup`: which cgroups a runtime can make (features-linux.md, "Cgroup").
    CgroupFeatures {
        /// In hierarchies of cgroup v1.
        v1: bool = always "v1",
        /// In the hierarchy of cgroup v2.
        v2: bool = always "v2",
        /// By the system's systemd.
        systemd: bool = always "systemd",
        /// By the user's systemd.
        systemd_user: bool = always "systemdUser",
        /// With limits of RDMA.
        rdma: bool = always "rdma",
    }

    /// `linux.seccomp`: what filters can have (features-linux.md, "Seccomp").
    SeccompFeatures {
        /// Whether there are filters at all.
        enabled: bool = always "enabled",
        /// Names of actions. Default: left out.
        actions: Vec<String> = optional "actions",
        /// Names of comparisons. Default: left out.
        operators: Vec<String> = optional "operators",
        /// Names of architectures. Default: left out.
        archs: Vec<String> = optional "archs",
        /// Names of flags that are understood. Default: left out.
        known_flags: Vec<String> = optional "knownFlags",
        /// Names of flags that are applied. Default: left out.
        supported_flags: Vec<String> = optional "supportedFlags",
    }

    /// `linux.memoryPolicy`: which policies there are (features-linux.md, "MemoryPolicy").
    MemoryPolicyFeatures {
        /// Names of modes.
        modes: Vec<String> = always "modes",
        /// Names of flags.
        flags: Vec<String> = always "flags",
    }

    /// `linux.intelRdt`: which parts of it there are (features-linux.md, "Intel RDT").
    IntelRdtFeatures {
        /// Whether it can be used at all.
        enabled: bool = always "enabled",
        /// Whether `schemata` can be.
        schemata: bool = always "schemata",
        /// Whether `enableMonitoring` can be.
        monitoring: bool = always "monitoring",
    }

    /// `linux.mountExtensions` (features-linux.md, "MountExtensions").
    MountExtensions {
        /// Id-mapped mounts, by `uidMappings` and `gidMappings` of a mount.
        idmap: Enabled = always "idmap",
    }
}
