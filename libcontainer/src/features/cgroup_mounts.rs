//! A mount of type `cgroup`: the hierarchies as the container may see them.
//!
//! With cgroup v2 it is one file system, whose root is that of the container's cgroup namespace;
//! without one it is a copy of the host's mount. A new mount out of the host's cgroup namespace sets
//! the options of all: the host's `nsdelegate` and `memory_recursiveprot` would be gone.
//!
//! With v1 it is a tmpfs with one directory for each hierarchy: a new mount of it when the container
//! has a cgroup namespace, otherwise a copy of the host's, cut to the container's own cgroup. All of
//! it read-only if the mount is, release_agent included (CVE-2022-0492).

use libcontainer_init::step::Step;
use libcontainer_init::sys::mount::ATTR_RDONLY;
use libcontainer_init::sys::namespace::NEWCGROUP;
use libcontainer_init::wire::{List, Slot, Str};

use super::mounts;
use crate::config::{Config, Mount, MountKind};
use crate::steps::Steps;
use crate::task::Task;
use crate::task::cgroup::{CgroupPlan, Place};

/// Whether the configuration mounts cgroups: then init needs them to be there before.
pub fn wanted(config: &Config) -> bool {
    config.mounts.iter().any(|mount| mount.kind == MountKind::Cgroup)
}

/// Where the hierarchies are on the host.
const HOST: &str = "/sys/fs/cgroup";

/// The host's mount is copied, for [`attach`]. A container without cgroups of its own sees it
/// read-only (CVE-2023-25809).
pub fn open_hosts(config: &Config, steps: &mut Steps) {
    if wanted(config) && sees_hosts(config) {
        let into = steps.slot(HOST);
        steps.open_tree("/mounts", HOST.into(), true, into);
    }
}

/// The runtime copies the container's own directories of v1, once they are made.
pub fn open_own(config: &Config, steps: &mut Steps) {
    if !wanted(config) || config.namespaces.has(NEWCGROUP) {
        return;
    }
    for place in legacy_places(config) {
        let path = place.dir();
        let into = steps.slot(path.display().to_string());
        steps.runtime("/mounts", Task::OpenTree { path, recursive: false, follow: true, into });
    }
}

/// Whether it is a copy of the host's mount: for a container without cgroups of its own, and with
/// cgroup v2 alone for one whose cgroup namespace is the host's.
fn sees_hosts(config: &Config) -> bool {
    let own = config.namespaces.has(NEWCGROUP);
    config.cgroup.as_ref().is_none_or(|plan| plan.legacy().next().is_none() && !own)
}

/// What the options set: all hierarchies are one tree.
fn all(mount: &Mount) -> u32 {
    mount.attributes.set | mount.attributes.set_all
}

fn legacy_places(config: &Config) -> Vec<Place> {
    config.cgroup.iter().flat_map(CgroupPlan::legacy).cloned().collect()
}

/// Init mounts them.
pub fn attach(config: &Config, steps: &mut Steps, mount: &Mount) {
    if sees_hosts(config) {
        let readonly = if config.cgroup.is_none() { ATTR_RDONLY } else { 0 };
        attach_hosts(steps, mount, readonly);
        return;
    }
    let places = legacy_places(config);
    if places.is_empty() {
        attach_unified(steps, mount);
        return;
    }
    let pointer = &mount.pointer;
    let readonly = all(mount) & ATTR_RDONLY != 0;
    let keep = if readonly { steps.slot("the tmpfs of the cgroup mounts") } else { Slot::NONE };
    let tmpfs = Step::Mount {
        fstype: steps.text(pointer, "tmpfs"),
        source: steps.text(pointer, "tmpfs"),
        target: steps.text(pointer, &mount.target),
        data: steps
            .list(pointer, ["mode=755".to_owned()].into_iter().chain(config.mount_context())),
        label: Str::default(),
        attributes: all(mount) & !ATTR_RDONLY,
        propagation: mounts::propagation(steps, &mount.propagation),
        flags: mount.flags,
        server: Slot::NONE,
        otherwise: Slot::NONE,
        keep,
    };
    steps.init(pointer.clone(), tmpfs);
    for place in &places {
        attach_legacy(config, steps, mount, place);
    }
    if readonly {
        steps.init(pointer.clone(), Step::MakeReadonly { mount: keep });
    }
}

fn attach_hosts(steps: &mut Steps, mount: &Mount, readonly: u32) {
    let Some(tree) = slot_of(steps, HOST) else { return };
    let step = Step::Bind {
        tree,
        target: steps.text(&mount.pointer, &mount.target),
        set: 0,
        clear: 0,
        set_all: all(mount) | readonly,
        clear_all: (mount.attributes.clear | mount.attributes.clear_all) & !readonly,
        slave: true,
        propagation: mounts::propagation(steps, &mount.propagation),
        flags: mount.flags,
        keep: Slot::NONE,
    };
    steps.init(mount.pointer.clone(), step);
}

fn attach_unified(steps: &mut Steps, mount: &Mount) {
    let pointer = &mount.pointer;
    let step = Step::Mount {
        fstype: steps.text(pointer, "cgroup2"),
        source: steps.text(pointer, "cgroup"),
        target: steps.text(pointer, &mount.target),
        data: List::default(),
        label: Str::default(),
        attributes: all(mount),
        propagation: mounts::propagation(steps, &mount.propagation),
        flags: mount.flags,
        server: Slot::NONE,
        otherwise: Slot::NONE,
        keep: Slot::NONE,
    };
    steps.init(pointer.clone(), step);
}

fn attach_legacy(config: &Config, steps: &mut Steps, mount: &Mount, place: &Place) {
    let pointer = &mount.pointer;
    let name = place.name();
    let target = steps.text(pointer, &format!("{}/{name}", mount.target));
    if config.namespaces.has(NEWCGROUP) {
        let data: Vec<String> = if place.controllers.iter().any(|c| c.starts_with("name=")) {
            ["none".to_owned()].into_iter().chain(place.controllers.iter().cloned()).collect()
        } else {
            place.controllers.clone()
        };
        let step = Step::Mount {
            fstype: steps.text(pointer, "cgroup"),
            source: steps.text(pointer, "cgroup"),
            target,
            data: steps.list(pointer, &data),
            label: Str::default(),
            attributes: all(mount),
            propagation: mounts::propagation(steps, &mount.propagation),
            flags: mount.flags,
            server: Slot::NONE,
            otherwise: Slot::NONE,
            keep: Slot::NONE,
        };
        steps.init(pointer.clone(), step);
    } else if let Some(tree) = slot_of(steps, &place.dir().display().to_string()) {
        let step = Step::Bind {
            tree,
            target,
            set: all(mount),
            clear: mount.attributes.clear,
            set_all: 0,
            clear_all: 0,
            slave: true,
            propagation: mounts::propagation(steps, &mount.propagation),
            flags: mount.flags,
            keep: Slot::NONE,
        };
        steps.init(pointer.clone(), step);
    }
    link_controllers(steps, mount, place, name);
}

/// Controllers mounted together (`cpu,cpuacct`) are found by their own names too.
fn link_controllers(steps: &mut Steps, mount: &Mount, place: &Place, name: &str) {
    for controller in place.controllers.iter().filter(|_| place.controllers.len() > 1) {
        if controller == name {
            continue;
        }
        let path = format!("{}/{controller}", mount.target);
        let step = Step::Link {
            content: steps.text(&mount.pointer, name),
            path: steps.text(&mount.pointer, &path),
            only_if: Str::default(),
            replace: false,
        };
        steps.init(mount.pointer.clone(), step);
    }
}

fn slot_of(steps: &Steps, path: &str) -> Option<Slot> {
    steps.slots.iter().find(|(_, what)| *what == path).map(|(slot, _)| *slot)
}
