//! What keel can do, as the runtime-spec has engines ask for it (features.md).
//!
//! Every list is made from the table that the checks of a configuration use, and every `false`
//! from what they refuse, so that the document cannot promise what they do not hold.
//! `tests/features.rs` compiles a configuration for each of its statements.

use crate::container::OCI_VERSION;
use crate::features::{
    annotations, capabilities, hooks, landlock, memory_policy, mount_options, namespaces, seccomp,
    systemd,
};
use crate::seccomp::{ACTIONS, ARCHITECTURES, FLAGS, OPERATORS};
use crate::spec::annotations::HONOURED;
use crate::spec::{
    CgroupFeatures, Enabled, Features, Hooks, IntelRdtFeatures, LinuxFeatures,
    MemoryPolicyFeatures, MountExtensions, SeccompFeatures,
};

/// The oldest runtime-spec that is accepted: any 1.x is.
const OLDEST: &str = "1.0.0";

/// What this library can do, whatever the machine. Commands add annotations about themselves.
pub fn features_document() -> Features {
    let moments = hooks::moments(&Hooks::default()).map(|(name, _)| name);
    Features {
        oci_version_min: OLDEST.to_owned(),
        oci_version_max: OCI_VERSION.to_owned(),
        hooks: texts(moments),
        mount_options: sorted(mount_options::supported()),
        linux: linux(),
        potentially_unsafe_config_annotations: sorted(annotations()),
        ..Features::default()
    }
}

fn linux() -> LinuxFeatures {
    LinuxFeatures {
        namespaces: sorted(namespaces::names().map(str::to_owned)),
        capabilities: texts(capabilities::CAPABILITIES),
        cgroup: CgroupFeatures {
            v1: true,
            v2: true,
            systemd: true,
            systemd_user: true,
            rdma: true,
        },
        seccomp: SeccompFeatures {
            enabled: true,
            actions: sorted(ACTIONS.iter().map(|(name, _)| (*name).to_owned())),
            operators: sorted(OPERATORS.iter().map(|(name, _)| (*name).to_owned())),
            archs: sorted(ARCHITECTURES.iter().map(|name| (*name).to_owned())),
            known_flags: sorted(FLAGS.iter().map(|(name, _)| (*name).to_owned())),
            supported_flags: sorted(FLAGS.iter().map(|(name, _)| (*name).to_owned())),
        },
        apparmor: Enabled { enabled: true },
        selinux: Enabled { enabled: true },
        memory_policy: MemoryPolicyFeatures {
            modes: texts(memory_policy::MODES.map(|(name, _)| name)),
            flags: texts(memory_policy::FLAGS.map(|(name, _)| name)),
        },
        intel_rdt: IntelRdtFeatures { enabled: true, schemata: true, monitoring: true },
        mount_extensions: MountExtensions {
            idmap: Enabled { enabled: mount_options::supported().any(|name| name == "idmap") },
        },
        net_devices: Enabled { enabled: true },
    }
}

/// Annotations of a configuration that change what is done: a prefix ends with a dot.
fn annotations() -> impl Iterator<Item = String> {
    let others = [landlock::ANNOTATION, systemd::ANNOTATION];
    let refused = annotations::REFUSED.into_iter().map(|(name, _)| name);
    let names = seccomp::ANNOTATIONS.into_iter().chain(HONOURED).chain(refused).chain(others);
    names.map(str::to_owned)
}

fn texts(names: impl IntoIterator<Item = &'static str>) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}
