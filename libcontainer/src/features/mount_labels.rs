//! `/linux/mountLabel`: the label of SELinux that new file systems get.
//!
//! It is their parameter `context`, which is the label of every file in them. Those of which the
//! kernel has one only, and not for each mount, take none: procfs, sysfs and cgroups keep what the
//! policy says. That of mqueue belongs to the IPC namespace: its root directory is labelled if that
//! is the container's own. What is bound keeps the labels it has on the host.

use libcontainer_init::sys::namespace::NEWIPC;

use crate::config::{Config, Mount, MountKind};

/// How a new file system gets the label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Labelling {
    /// As a parameter.
    Parameter,
    /// Its root directory, once it is mounted.
    Root,
    /// Not at all: the policy labels it, or an option of the mount does.
    Nothing,
}

fn labelling(config: &Config, mount: &Mount) -> Labelling {
    let own = |data: &String| data.starts_with("context=") || data.starts_with("defcontext=");
    match &mount.kind {
        MountKind::New { fstype, .. } if config.mount_label.is_some() => match fstype.as_str() {
            "proc" | "sysfs" => Labelling::Nothing,
            _ if mount.data.iter().any(own) => Labelling::Nothing,
            "mqueue" if config.namespaces.creates(NEWIPC) => Labelling::Root,
            "mqueue" => Labelling::Nothing,
            _ => Labelling::Parameter,
        },
        _ => Labelling::Nothing,
    }
}

/// The label as a parameter, for what takes it so.
pub fn parameter(config: &Config, mount: &Mount) -> Option<String> {
    config.mount_context().filter(|_| labelling(config, mount) == Labelling::Parameter)
}

/// The label of the root directory, for what takes it there.
pub fn of_root<'a>(config: &'a Config, mount: &Mount) -> Option<&'a str> {
    config.mount_label.as_deref().filter(|_| labelling(config, mount) == Labelling::Root)
}
