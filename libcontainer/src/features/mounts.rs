//! Mounts: what is mounted where, in the order of the configuration.
//!
//! Sources on the host are opened by the runtime before anything is mounted, and travel to init as
//! copies of mounts, a limited number at a time; targets are resolved by init below the rootfs.

use std::ops::Range;
use std::path::PathBuf;

use libcontainer_init::step::{Step, flag};
use libcontainer_init::sys::mount::{ATTR_RDONLY, SHARED};
use libcontainer_init::sys::namespace::{NEWCGROUP, NEWIPC, NEWNET, NEWNS, NEWPID, NEWUSER};
use libcontainer_init::wire::{Numbers, Slot};

use super::{Context, cgroup_mounts, mount_options, rootfs};
use crate::config::{Config, Mount, MountKind, Namespaces, Propagation};
use crate::steps::Steps;

/// Files of procfs that may be covered: what lxcfs provides, and nothing an LSM or runtime reads.
const COVERABLE: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];
/// How many copied mounts are handed over at once: a message carries 253 descriptors.
pub const PORTION: usize = 200;

/// `/mounts`.
pub fn check(cx: &mut Context<'_>, namespaces: &Namespaces) -> Vec<Mount> {
    let mounts = &cx.spec.mounts;
    if !mounts.is_empty() && !namespaces.has(NEWNS) {
        // They would appear on the host, and stay there.
        cx.fault("/mounts", "mounts need a mount namespace in /linux/namespaces");
        return Vec::new();
    }
    (0..mounts.len()).filter_map(|i| check_one(cx, namespaces, i)).collect()
}

fn check_one(cx: &mut Context<'_>, namespaces: &Namespaces, index: usize) -> Option<Mount> {
    let mount = &cx.spec.mounts[index];
    let pointer = format!("/mounts/{index}");
    let options = mount_options::parse(&mount.options);
    for i in &options.refused {
        let message = format!("the mount option \"{}\" is not supported yet", mount.options[*i]);
        cx.fault(format!("{pointer}/options/{i}"), message);
    }
    if !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty() {
        cx.fault(format!("{pointer}/uidMappings"), "id-mapped mounts are not supported yet");
    }
    let target = check_target(cx, &pointer, &mount.destination)?;
    let kind = mount.kind.as_deref().unwrap_or_default();
    let source = mount.source.clone().unwrap_or_default();
    let mut flags = options.flags | proc_flags(cx, &pointer, &target, kind, options.bind.is_some());
    let kind = if options.remount {
        MountKind::Remount
    } else if let Some(recursive) = options.bind {
        if source.is_empty() {
            cx.fault(&pointer, "a bind mount needs a source");
        }
        MountKind::Bind { source: rootfs::absolute(cx.bundle, &source), recursive }
    } else if kind == "cgroup" || kind == "cgroup2" {
        MountKind::Cgroup
    } else if kind.is_empty() {
        cx.fault(&pointer, "a mount needs a type, or the option bind or rbind");
        return None;
    } else {
        if kind == "tmpfs" && !options.data.iter().any(|data| data.starts_with("mode=")) {
            flags |= flag::INHERIT_MODE;
        }
        if kind == "proc" || kind == "sysfs" {
            flags |= flag::PLAIN;
        }
        let source = if source.is_empty() { kind.to_owned() } else { source };
        let otherwise = (kind == "sysfs" && may_lack_sysfs(cx, namespaces)).then(|| "/sys".into());
        MountKind::New { fstype: kind.to_owned(), source, otherwise }
    };
    check_owner(cx, namespaces, &pointer, &kind);
    check_combination(cx, &pointer, &kind, &options);
    let data = if matches!(kind, MountKind::Bind { .. }) { Vec::new() } else { options.data };
    let (attributes, propagation) = (options.attributes, options.propagation);
    Some(Mount { kind, target, attributes, data, propagation, flags, pointer })
}

/// A destination as an absolute path without `..`: what init resolves is what was checked.
fn check_target(cx: &mut Context<'_>, pointer: &str, destination: &str) -> Option<String> {
    let pointer = format!("{pointer}/destination");
    if destination.is_empty() {
        cx.fault(pointer, "the destination is missing");
        return None;
    }
    if !destination.starts_with('/') {
        cx.warn(&pointer, "a relative destination is deprecated and taken from /");
    }
    let target = normal(destination);
    if target == "/" {
        cx.fault(pointer, "the root itself cannot be covered");
        return None;
    }
    Some(target)
}

/// The path with `.`, `..` and doubled slashes resolved as text, from `/`.
pub fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// What may happen at and below /proc (CVE-2019-16884, CVE-2023-27561).
fn proc_flags(cx: &mut Context<'_>, pointer: &str, target: &str, kind: &str, bind: bool) -> u32 {
    if target == "/proc" && bind {
        return flag::FROM_PROC | flag::PLAIN;
    }
    if target == "/proc" && kind != "proc" {
        cx.fault(pointer, "only procfs can be mounted on /proc");
    }
    if !target.starts_with("/proc/") {
        return 0;
    }
    if COVERABLE.contains(&target) && bind {
        return flag::ON_PROC;
    }
    cx.fault(pointer, format!("{target} is inside /proc and cannot be covered"));
    0
}

/// Whether a namespace may belong to another user namespace than the container's: some file systems
/// are views of one, and can be mounted with power over it only.
fn is_foreign(cx: &Context<'_>, namespaces: &Namespaces, kind: u32) -> bool {
    !namespaces.creates(kind) && (namespaces.has(NEWUSER) || cx.host.user_namespace)
}

/// Whether the kernel may refuse a new sysfs: it shows a network namespace, and where a PID namespace is
/// joined from a new user namespace, the host's is out of sight by then, without which there is none.
fn may_lack_sysfs(cx: &Context<'_>, namespaces: &Namespaces) -> bool {
    let root_first = namespaces.creates(NEWUSER) && namespaces.joins(NEWPID).is_some();
    root_first || is_foreign(cx, namespaces, NEWNET)
}

/// What a new user namespace can never mount, as what is older than it belongs to another.
fn check_owner(cx: &mut Context<'_>, namespaces: &Namespaces, pointer: &str, kind: &MountKind) {
    let (what, viewed) = match kind {
        MountKind::New { fstype, .. } if fstype == "proc" => ("proc", NEWPID),
        MountKind::New { fstype, .. } if fstype == "mqueue" => ("mqueue", NEWIPC),
        MountKind::Cgroup if namespaces.joins(NEWCGROUP).is_some() => ("cgroup", NEWCGROUP),
        _ => return,
    };
    if namespaces.creates(NEWUSER) && !namespaces.creates(viewed) {
        let viewed = super::namespaces::name(viewed);
        let message = format!(
            "a new user namespace can mount {what} only with a new {viewed} namespace: bind it"
        );
        cx.fault(pointer, message);
    }
}

fn check_combination(
    cx: &mut Context<'_>,
    pointer: &str,
    kind: &MountKind,
    options: &mount_options::Options,
) {
    let pointer = format!("{pointer}/options");
    let copies_up = options.flags & flag::COPY_UP != 0;
    if copies_up && !matches!(kind, MountKind::New { fstype, .. } if fstype == "tmpfs") {
        cx.fault(&pointer, "tmpcopyup is for tmpfs only");
    }
    let own = options.data.len() - options.superblock;
    match kind {
        MountKind::Bind { .. } if own > 0 => {
            let words = options.data.join(",");
            cx.fault(&pointer, format!("\"{words}\" is no option of a bind mount"));
        }
        MountKind::Bind { .. } if options.superblock > 0 => {
            let words = options.data.join(",");
            cx.warn(&pointer, format!("\"{words}\" belongs to the whole file system: not changed"));
        }
        _ => {}
    }
}

/// Mounts by position, cut so that no more than [`PORTION`] copied trees are on their way at once.
pub fn portions(config: &Config) -> Vec<Range<usize>> {
    let mut portions = Vec::new();
    let (mut start, mut binds) = (0, 0);
    for (i, mount) in config.mounts.iter().enumerate() {
        if source(mount).is_some() {
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

/// The tree of the host that a mount needs, whether with all below, and what asks for it.
fn source(mount: &Mount) -> Option<(&PathBuf, bool, String)> {
    match &mount.kind {
        MountKind::Bind { source, recursive } => {
            Some((source, *recursive, format!("{}/source", mount.pointer)))
        }
        MountKind::New { otherwise: Some(tree), .. } => Some((tree, true, mount.pointer.clone())),
        _ => None,
    }
}

fn open(config: &Config, steps: &mut Steps, portion: Range<usize>, reserved: &[Slot]) -> Vec<Slot> {
    let mut reserved = reserved.iter();
    let mut open = |mount: &Mount| {
        let Some((source, recursive, pointer)) = source(mount) else { return Slot::NONE };
        let what = source.display().to_string();
        let into = reserved.next().copied().unwrap_or_else(|| steps.slot(what));
        steps.open_tree(&pointer, source.clone(), recursive, into);
        into
    };
    config.mounts[portion].iter().map(&mut open).collect()
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
        MountKind::New { fstype, source: name, .. } => {
            new(steps, mount, [fstype, name], source, slot);
        }
        MountKind::Bind { .. } => bind(config, steps, mount, source, slot),
        MountKind::Cgroup => cgroup_mounts::attach(config, steps, mount),
        MountKind::Remount => remount(steps, mount),
    }
    keep
}

/// Whether a mount becomes read-only only when files are made in it.
fn is_late(mount: &Mount) -> bool {
    let new = matches!(mount.kind, MountKind::New { .. });
    new && mount.target == "/dev" && mount.attributes.set & ATTR_RDONLY != 0
}

fn new(steps: &mut Steps, mount: &Mount, [fstype, source]: [&str; 2], otherwise: Slot, keep: Slot) {
    let pointer = &mount.pointer;
    let mut data = mount.data.clone();
    let mut attributes = mount.attributes.set | mount.attributes.set_all;
    if is_late(mount) {
        attributes &= !ATTR_RDONLY;
    } else if mount.attributes.set & ATTR_RDONLY != 0 {
        // As mount(2) does: the file system itself is read-only too.
        data.insert(0, "ro".to_owned());
    }
    let step = Step::Mount {
        fstype: steps.text(pointer, fstype),
        source: steps.text(pointer, source),
        target: steps.text(pointer, &mount.target),
        data: steps.list(pointer, &data),
        attributes,
        propagation: propagation(steps, &mount.propagation),
        flags: mount.flags,
        otherwise,
        keep,
    };
    steps.init(pointer.clone(), step);
}

fn bind(config: &Config, steps: &mut Steps, mount: &Mount, tree: Slot, keep: Slot) {
    let root_is_shared = config.rootfs.propagation.is_some_and(|p| p.kind == SHARED);
    let wants_shared = mount.propagation.iter().any(|p| p.kind == SHARED);
    let step = Step::Bind {
        tree,
        target: steps.text(&mount.pointer, &mount.target),
        set: mount.attributes.set,
        clear: mount.attributes.clear,
        set_all: mount.attributes.set_all,
        clear_all: mount.attributes.clear_all,
        // A peer of the host's mount stays one only if the configuration says so twice.
        slave: !(root_is_shared && wants_shared),
        propagation: propagation(steps, &mount.propagation),
        flags: mount.flags,
        keep,
    };
    steps.init(mount.pointer.clone(), step);
}

fn remount(steps: &mut Steps, mount: &Mount) {
    let step = Step::Remount {
        target: steps.text(&mount.pointer, &mount.target),
        data: steps.list(&mount.pointer, &mount.data),
        set: mount.attributes.set,
        clear: mount.attributes.clear,
        set_all: mount.attributes.set_all,
        clear_all: mount.attributes.clear_all,
        propagation: propagation(steps, &mount.propagation),
    };
    steps.init(mount.pointer.clone(), step);
}

/// Propagation types as init reads them: the high bit says "the whole tree".
fn propagation(steps: &mut Steps, types: &[Propagation]) -> Numbers {
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

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn destinations_are_taken_from_the_root_as_text() {
        for (path, expected) in
            [("proc", "/proc"), ("/a/./b//c/", "/a/b/c"), ("/../../x", "/x"), ("/a/..", "/")]
        {
            assert_eq!(normal(path), expected, "{path}");
        }
    }
}
