//! The configurations to start from that `keel spec` writes.
//!
//! They are those of runc's `spec` command, which people and test suites take for granted, but for
//! the version and the host name. Made without a look at the machine: the caller says whether it
//! has cgroup v2 alone, and who the user is.

use super::{
    Capabilities, DeviceRule, IdMapping, Linux, Mount, Namespace, Process, Resources, Rlimit, Root,
    Spec,
};

/// Version of the runtime-spec that the examples comply with.
const VERSION: &str = "1.3.0";

const CAPABILITIES: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

const NAMESPACES: [&str; 5] = ["pid", "network", "ipc", "uts", "mount"];

/// Destination, type, source and options of each mount.
const MOUNTS: [(&str, &str, &str, &[&str]); 7] = [
    ("/proc", "proc", "proc", &[]),
    ("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    ),
    ("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
];

/// Options of the mount that shows the host's `/sys` where a sysfs cannot be mounted.
const BOUND_SYS: [&str; 5] = ["rbind", "nosuid", "noexec", "nodev", "ro"];

const MASKED_PATHS: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
];

const READONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

impl Spec {
    /// A shell as root on a terminal, on a machine with cgroup v1.
    pub fn example() -> Self {
        Self::example_for(false)
    }

    /// A shell as root on a terminal. On a machine with cgroup v2 alone (`unified`) the container
    /// also gets a cgroup namespace.
    pub fn example_for(unified: bool) -> Self {
        Self {
            oci_version: VERSION.into(),
            process: Some(shell()),
            root: Some(Root { path: "rootfs".into(), readonly: true }),
            hostname: Some("keel".into()),
            mounts: MOUNTS.iter().map(mount).collect(),
            linux: Some(Linux {
                resources: Some(no_devices()),
                namespaces: NAMESPACES
                    .into_iter()
                    .chain(unified.then_some("cgroup"))
                    .map(namespace)
                    .collect(),
                masked_paths: texts(&MASKED_PATHS),
                readonly_paths: texts(&READONLY_PATHS),
                ..Linux::default()
            }),
            ..Self::default()
        }
    }

    /// [`Spec::example`] for a user without privileges, whose ids become root's inside.
    pub fn example_rootless(uid: u32, gid: u32) -> Self {
        Self::example().into_rootless(uid, gid)
    }

    /// The configuration changed so that the user `uid` with the group `gid` can run it: with a
    /// user namespace of these ids alone, the host's network, its `/sys` bound in place of a
    /// sysfs, no options that name other ids, and no limits.
    #[must_use]
    pub fn into_rootless(mut self, uid: u32, gid: u32) -> Self {
        let linux = self.linux.get_or_insert_default();
        linux.namespaces.retain(|namespace| !["network", "user"].contains(&&*namespace.kind));
        linux.namespaces.push(namespace("user"));
        linux.uid_mappings = vec![IdMapping { container_id: 0, host_id: uid, size: 1 }];
        linux.gid_mappings = vec![IdMapping { container_id: 0, host_id: gid, size: 1 }];
        linux.resources = None;
        for entry in &mut self.mounts {
            if entry.destination == "/sys" {
                *entry = mount(&("/sys", "none", "/sys", &BOUND_SYS));
            }
            entry
                .options
                .retain(|option| !option.starts_with("uid=") && !option.starts_with("gid="));
        }
        self
    }
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

fn shell() -> Process {
    Process {
        terminal: true,
        args: vec!["sh".into()],
        env: vec![
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
            "TERM=xterm".into(),
        ],
        cwd: "/".into(),
        capabilities: Some(Capabilities {
            bounding: texts(&CAPABILITIES),
            effective: texts(&CAPABILITIES),
            permitted: texts(&CAPABILITIES),
            ..Capabilities::default()
        }),
        rlimits: vec![Rlimit { kind: "RLIMIT_NOFILE".into(), hard: 1024, soft: 1024 }],
        no_new_privileges: true,
        ..Process::default()
    }
}

fn mount(&(destination, kind, source, options): &(&str, &str, &str, &[&str])) -> Mount {
    Mount {
        destination: destination.into(),
        kind: Some(kind.into()),
        source: Some(source.into()),
        options: texts(options),
        ..Mount::default()
    }
}

fn namespace(kind: &str) -> Namespace {
    Namespace { kind: kind.into(), path: None }
}

fn no_devices() -> Resources {
    let rule = DeviceRule { access: Some("rwm".into()), ..DeviceRule::default() };
    Resources { devices: vec![rule], ..Resources::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_with_cgroup_v2_alone_adds_a_cgroup_namespace_and_nothing_else() {
        let mut unified = Spec::example_for(true);
        let last = unified.linux.as_mut().unwrap().namespaces.pop();
        assert_eq!((unified, last), (Spec::example(), Some(namespace("cgroup"))));
    }

    #[test]
    fn a_rootless_configuration_has_one_user_namespace_and_keeps_the_cgroup_s() {
        let twice = Spec::example_for(true).into_rootless(7, 8).into_rootless(1000, 100);
        let linux = twice.linux.unwrap();
        let kinds: Vec<_> = linux.namespaces.iter().map(|namespace| &*namespace.kind).collect();
        assert_eq!(kinds, ["pid", "ipc", "uts", "mount", "cgroup", "user"]);
        assert_eq!((linux.uid_mappings[0].host_id, linux.gid_mappings[0].host_id), (1000, 100));
    }
}
