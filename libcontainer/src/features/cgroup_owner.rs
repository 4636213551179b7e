//! The owner of a container's cgroup (config-linux.md, "Cgroup ownership").
//!
//! A container that sees its cgroup as the root of a cgroup namespace, writable, is meant to divide
//! it among cgroups of its own, as systemd does. Then the directory, and those files in it that
//! cgroups(7) counts to delegation, belong to the container's user; limits stay the host's. That is
//! safe with cgroup v2 alone.

use libcontainer_init::sys::mount::ATTR_RDONLY;
use libcontainer_init::sys::namespace::{NEWCGROUP, NEWUSER};

use super::user_namespace::host_id;
use crate::config::{Config, MountKind};
use crate::steps::Steps;
use crate::task::Task;

/// The runtime gives the cgroup away. Only root can.
pub fn give(config: &Config, euid: u32, steps: &mut Steps) {
    if euid == 0
        && let Some((uid, pointer)) = owner(config)
    {
        steps.runtime(pointer, Task::GiveCgroup { uid });
    }
}

/// The host's id of who is to own it, and where the mount of it stands in the configuration.
fn owner(config: &Config) -> Option<(u32, String)> {
    let plan = config.cgroup.as_ref()?;
    let writable = config.mounts.iter().find(|mount| {
        mount.kind == MountKind::Cgroup
            && mount.target == "/sys/fs/cgroup"
            && mount.attributes.set & ATTR_RDONLY == 0
    })?;
    if plan.legacy().next().is_some() || !config.namespaces.creates(NEWCGROUP) {
        return None;
    }
    let uid = match &config.mappings {
        Some(mappings) => host_id(&mappings.uid, config.process.uid)?,
        // The mappings of a user namespace that is joined are its maker's business.
        None if config.namespaces.has(NEWUSER) => return None,
        None => config.process.uid,
    };
    (uid != 0).then(|| (uid, writable.pointer.clone()))
}
