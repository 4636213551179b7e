//! Mounts, made in the order of the configuration.
//!
//! Sources on the host are opened by the runtime before anything is mounted, and travel to init as
//! copies of mounts, a limited number at a time; targets are resolved by init below the rootfs.

use std::ops::Range;

use libcontainer_init::step::{Step, flag};
use libcontainer_init::sys::mount::{ATTR_RDONLY, SHARED};
use libcontainer_init::wire::{Numbers, Slot, Str};

use super::{cgroup_mounts, descriptors, mount_labels};
use crate::config::{Attributes, Config, Mount, MountKind, Propagation};
use crate::error::Fault;
use crate::steps::Steps;
use crate::task::Task;

/// How many copied mounts are handed over at once: a message carries 253 descriptors.
pub const PORTION: usize = 200;

/// Mounts by position, cut so that no more than [`PORTION`] copied trees are on their way at once.
pub fn portions(config: &Config) -> Vec<Range<usize>> {
    let mut portions = Vec::new();
    let (mut start, mut binds) = (0, 0);
    for (i, mount) in config.mounts.iter().enumerate() {
        if handed_over(mount).is_some() {
            if binds == PORTION {
                portions.push(start..i);
                (start, binds) = (i, 0);
            }
            binds += 1;
        }
    }
    portions.push(start..config.mounts.len());
    portions
}

/// Copies the sources of the first portion; a slot for each mount, [`Slot::NONE`] for no bind.
pub fn open_first(config: &Config, steps: &mut Steps) -> Vec<Slot> {
    let portions = portions(config);
    let window = if portions.len() > 1 { PORTION } else { 0 };
    let reserved: Vec<Slot> = (0..window).map(|_| steps.slot("")).collect();
    open(config, steps, portions[0].clone(), &reserved)
}

/// Copies the sources of a later portion, into the slots of the first.
pub fn open_more(config: &Config, steps: &mut Steps, portion: Range<usize>) -> Vec<Slot> {
    let first = steps.slots.iter().find(|(_, what)| what.is_empty()).map(|(slot, _)| slot.0);
    let window = first.map_or(0..0, |first| first..first + PORTION as u16);
    open(config, steps, portion, &window.map(Slot).collect::<Vec<_>>())
}

/// What init gets from the host for a mount, if anything.
fn handed_over(mount: &Mount) -> Option<String> {
    match &mount.kind {
        MountKind::Bind { source: tree, .. } | MountKind::New { otherwise: Some(tree), .. } => {
            Some(tree.display().to_string())
        }
        MountKind::New { fstype, .. } => mount.ids.as_ref().map(|_| format!("the new {fstype}")),
        MountKind::Cgroup | MountKind::Remount => None,
    }
}

fn open(config: &Config, steps: &mut Steps, portion: Range<usize>, reserved: &[Slot]) -> Vec<Slot> {
    let mut reserved = reserved.iter();
    let mut open = |mount: &Mount| {
        let Some(what) = handed_over(mount) else { return Slot::NONE };
        let into = reserved.next().copied().unwrap_or_else(|| steps.slot(what));
        match &mount.kind {
            MountKind::Bind { source, recursive, follow } => {
                let pointer = format!("{}/source", mount.pointer);
                steps.open_source(&pointer, source.clone(), [*recursive, *follow], into);
            }
            MountKind::New { otherwise: Some(tree), .. } => {
                steps.open_tree(&mount.pointer, tree.clone(), true, into);
            }
            MountKind::New { fstype, source, .. } => {
                let (data, mut attributes) = parameters(config, mount);
                attributes &= if is_filled(config, mount) { !ATTR_RDONLY } else { !0 };
                let (fstype, source) = (fstype.clone(), source.clone());
                let task = Task::NewMount { fstype, source, data, attributes, into };
                steps.runtime(mount.pointer.clone(), task);
            }
            MountKind::Cgroup | MountKind::Remount => {}
        }
        if let Some(ids) = &mount.ids {
            steps.runtime(mount.pointer.clone(), Task::MapIds { ids: ids.clone(), mount: into });
        }
        into
    };
    config.mounts[portion].iter().map(&mut open).collect()
}

/// Init makes file systems that name files of the host before it enters the root, and attaches them
/// in their turn; a slot for each mount.
pub fn make_early(config: &Config, steps: &mut Steps) -> Vec<Slot> {
    let mut make = |mount: &Mount| match &mount.kind {
        MountKind::New { fstype, source, otherwise: None }
            if mount.ids.is_none() && names_host(fstype, source) =>
        {
            let keep = steps.slot(format!("the new {fstype}"));
            new(config, steps, mount, [fstype, source], [Slot::NONE, keep], flag::DETACHED);
            keep
        }
        _ => Slot::NONE,
    };
    config.mounts.iter().map(&mut make).collect()
}

/// Whether a file system lies in files of the host: on a device, or in other directories.
fn names_host(fstype: &str, source: &str) -> bool {
    fstype == "overlay" || source.starts_with('/')
}

/// Init mounts one. A mount that later steps need is kept in the slot returned: procfs and sysfs,
/// for what is hidden in them, and a read-only /dev, which becomes so when its nodes are made.
pub fn attach(config: &Config, steps: &mut Steps, mount: &Mount, source: Slot) -> Option<Slot> {
    let later = is_late(mount);
    let needed = later || mount.target == "/proc" || mount.target == "/sys";
    let mountable = matches!(mount.kind, MountKind::New { .. } | MountKind::Bind { .. });
    let keep = (needed && mountable).then(|| steps.slot(format!("the mount {}", mount.target)));
    let slot = keep.unwrap_or(Slot::NONE);
    match &mount.kind {
        MountKind::New { fstype, source: name, otherwise }
            if source == Slot::NONE || otherwise.is_some() =>
        {
            new(config, steps, mount, [fstype, name], [source, slot], 0);
        }
        MountKind::New { .. } | MountKind::Bind { .. } => bind(config, steps, mount, source, slot),
        MountKind::Cgroup => cgroup_mounts::attach(config, steps, mount),
        MountKind::Remount => remount(config, steps, mount),
    }
    keep
}

/// Whether a mount becomes read-only only when files are made in it.
fn is_late(mount: &Mount) -> bool {
    let new = matches!(mount.kind, MountKind::New { .. });
    new && mount.target == "/dev" && mount.attributes.set & ATTR_RDONLY != 0
}

/// Whether init writes to a new file system before it attaches it: then it becomes read-only after
/// that.
fn is_filled(config: &Config, mount: &Mount) -> bool {
    mount.flags & flag::COPY_UP != 0
        || mount_labels::of_root(config, mount).is_some()
        || (mount.ids.is_some() && mount.flags & flag::INHERIT_MODE != 0)
}

/// Parameters and attributes of a new file system.
fn parameters(config: &Config, mount: &Mount) -> (Vec<String>, u32) {
    let mut data = mount.data.clone();
    data.extend(mount_labels::parameter(config, mount));
    let mut attributes = mount.attributes.set | mount.attributes.set_all;
    if is_late(mount) {
        attributes &= !ATTR_RDONLY;
    } else if mount.attributes.set & ATTR_RDONLY != 0 && !is_filled(config, mount) {
        // As mount(2) does: the file system itself is read-only too.
        data.insert(0, "ro".to_owned());
    }
    (data, attributes)
}

fn new(
    config: &Config,
    steps: &mut Steps,
    mount: &Mount,
    [fstype, source]: [&str; 2],
    [otherwise, keep]: [Slot; 2],
    detached: u32,
) {
    let pointer = &mount.pointer;
    let (data, attributes) = parameters(config, mount);
    let label = mount_labels::of_root(config, mount);
    let server = server(steps, mount);
    let step = Step::Mount {
        fstype: steps.text(pointer, fstype),
        source: steps.text(pointer, source),
        target: steps.text(pointer, &mount.target),
        data: steps.list(pointer, &data),
        label: label.map_or_else(Str::default, |label| steps.text(pointer, label)),
        attributes,
        propagation: types(config, steps, mount),
        flags: mount.flags | detached,
        server,
        otherwise,
        keep,
    };
    steps.init(pointer.clone(), step);
}

/// The slot of the caller's descriptor that serves a FUSE file system.
fn server(steps: &mut Steps, mount: &Mount) -> Slot {
    let Some(number) = mount.server else { return Slot::NONE };
    if let Some(slot) = descriptors::slot(steps, number) {
        return slot;
    }
    let message =
        "descriptors of the caller are there only while a container is created".to_owned();
    steps.faults.push(Fault { pointer: mount.pointer.clone(), message });
    Slot::NONE
}

/// Attaches a tree that is there. A new file system has its attributes already, but for those that
/// keep init from filling it.
fn bind(config: &Config, steps: &mut Steps, mount: &Mount, tree: Slot, keep: Slot) {
    let copied = matches!(mount.kind, MountKind::Bind { .. });
    let attributes = if copied {
        mount.attributes
    } else {
        let last =
            if is_filled(config, mount) { parameters(config, mount).1 & ATTR_RDONLY } else { 0 };
        Attributes { set: last, ..Attributes::default() }
    };
    let root_is_shared = config.rootfs.propagation.is_some_and(|p| p.kind == SHARED);
    let wants_shared = mount.propagation.iter().any(|p| p.kind == SHARED);
    let step = Step::Bind {
        tree,
        target: steps.text(&mount.pointer, &mount.target),
        set: attributes.set,
        clear: attributes.clear,
        set_all: attributes.set_all,
        clear_all: attributes.clear_all,
        // A peer of the host's mount stays one only if the configuration says so twice.
        slave: copied && !(root_is_shared && wants_shared),
        propagation: types(config, steps, mount),
        flags: mount.flags,
        keep,
    };
    steps.init(mount.pointer.clone(), step);
}

fn remount(config: &Config, steps: &mut Steps, mount: &Mount) {
    let step = Step::Remount {
        target: steps.text(&mount.pointer, &mount.target),
        data: steps.list(&mount.pointer, &mount.data),
        set: mount.attributes.set,
        clear: mount.attributes.clear,
        set_all: mount.attributes.set_all,
        clear_all: mount.attributes.clear_all,
        propagation: types(config, steps, mount),
        flags: mount.flags,
    };
    steps.init(mount.pointer.clone(), step);
}

/// A mount's propagation types. One that names none has what the root gives to all mounts below:
/// later on the root cannot give it, or it would change those that do name one.
fn types(config: &Config, steps: &mut Steps, mount: &Mount) -> Numbers {
    let root = config.rootfs.propagation.filter(|root| root.recursive && root.kind == SHARED);
    match root {
        Some(root) if mount.propagation.is_empty() => propagation(steps, &[root]),
        _ => propagation(steps, &mount.propagation),
    }
}

/// Propagation types as init reads them: the high bit says "the whole tree".
pub fn propagation(steps: &mut Steps, types: &[Propagation]) -> Numbers {
    let word = |p: &Propagation| p.kind | u32::from(p.recursive) << 31;
    steps.numbers(&types.iter().map(word).collect::<Vec<_>>())
}

/// The deferred read-only of /dev, and the end of what was kept.
pub fn finish(config: &Config, steps: &mut Steps, kept: &[(String, Slot)]) {
    for (target, slot) in kept {
        let late = config.mounts.iter().find(|mount| is_late(mount) && mount.target == *target);
        match late {
            Some(mount) => {
                steps.init(mount.pointer.clone(), Step::MakeReadonly { mount: *slot });
            }
            None => steps.init("", Step::Close { slot: *slot }),
        }
    }
}
