//! Mounts: what is mounted where, in the order of the configuration.
//!
//! Sources on the host are opened by the runtime before anything is mounted, and travel to init as
//! copies of mounts, a limited number at a time; targets are resolved by init below the rootfs.

use std::ops::Range;

use libcontainer_init::step::{Step, flag};
use libcontainer_init::sys::mount::{ATTR_RDONLY, LONGEST_VALUE, SHARED};
use libcontainer_init::sys::namespace::NEWNS;
use libcontainer_init::wire::{Numbers, Slot, Str};

use super::{
    Context, cgroup_mounts, descriptors, mount_ids, mount_labels, mount_options, overlay, rootfs,
};
use crate::config::{Attributes, Config, Mount, MountKind, Namespaces, Propagation};
use crate::error::Fault;
use crate::steps::Steps;
use crate::task::Task;

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
    (0..mounts.len()).filter_map(|i| check_one(cx, i, namespaces)).collect()
}

fn check_one(cx: &mut Context<'_>, index: usize, namespaces: &Namespaces) -> Option<Mount> {
    let mount = &cx.spec.mounts[index];
    let pointer = format!("/mounts/{index}");
    let fstype = mount.kind.as_deref().unwrap_or_default();
    let mut options = mount_options::parse(&mount.options, fstype);
    let target = check_target(cx, &pointer, &mount.destination)?;
    let bind = options.bind.is_some();
    let of_proc = proc_flags(cx, &pointer, &target, fstype, bind);
    let kind = kind(cx, index, &options)?;
    let flags = of_proc | flags(&kind, &options);
    if matches!(&kind, MountKind::New { fstype, .. } if fstype == "overlay") {
        options.data = overlay::parameters(cx.bundle, &options.data);
    }
    check_combination(cx, &pointer, &kind, &options);
    if flags & flag::COPY_LINK != 0 && ["/proc", "/sys"].contains(&target.as_str()) {
        cx.fault(&pointer, format!("{target} must be a mount, not a link"));
    }
    let ids = mount_ids::check(cx, index, options.ids.as_ref(), &kind, namespaces);
    let server = fuse_server(cx, &pointer, fstype, &mut options.data);
    let data = match kind {
        MountKind::Bind { .. } | MountKind::Cgroup => Vec::new(),
        MountKind::New { .. } | MountKind::Remount => options.data,
    };
    let (attributes, propagation) = (options.attributes, options.propagation);
    Some(Mount { kind, target, attributes, data, propagation, flags, ids, server, pointer })
}

/// Flags of init's step.
fn flags(kind: &MountKind, options: &mount_options::Options) -> u32 {
    let mut flags = options.flags;
    let says = |word: &str| options.data.iter().any(|data| data.starts_with(word));
    if says("lazytime") {
        flags |= flag::LAZYTIME;
    }
    match kind {
        MountKind::Remount => {}
        MountKind::New { fstype, .. } => {
            // It counts no changes unless it does so by itself.
            flags &= !flag::NO_COUNT;
            if fstype == "tmpfs" && !says("mode=") {
                flags |= flag::INHERIT_MODE;
            }
            if fstype == "proc" || fstype == "sysfs" {
                flags |= flag::PLAIN;
            }
        }
        MountKind::Bind { .. } | MountKind::Cgroup => {
            flags &= !(flag::COUNT_CHANGES | flag::NO_COUNT);
        }
    }
    flags
}

/// What is mounted.
fn kind(cx: &mut Context<'_>, index: usize, options: &mount_options::Options) -> Option<MountKind> {
    let mount = &cx.spec.mounts[index];
    let pointer = format!("/mounts/{index}");
    let fstype = mount.kind.as_deref().unwrap_or_default();
    let source = mount.source.clone().unwrap_or_default();
    if options.remount {
        return Some(MountKind::Remount);
    }
    if let Some(recursive) = options.bind {
        if source.is_empty() {
            cx.fault(&pointer, "a bind mount needs a source");
        }
        let source = rootfs::absolute(cx.bundle, &source);
        let follow = !options.source_link && options.flags & flag::COPY_LINK == 0;
        return Some(MountKind::Bind { source, recursive, follow });
    }
    match fstype {
        "" => {
            cx.fault(pointer, "a mount needs a type, or the option bind or rbind");
            None
        }
        "cgroup" | "cgroup2" => Some(MountKind::Cgroup),
        _ => {
            let source = if source.is_empty() { fstype.to_owned() } else { source };
            Some(MountKind::New { fstype: fstype.to_owned(), source })
        }
    }
}

/// The descriptor that serves a FUSE file system: `fd=` with a number that the caller's descriptor
/// has in the container. The option goes; init puts its own number in its place.
fn fuse_server(
    cx: &mut Context<'_>,
    pointer: &str,
    fstype: &str,
    data: &mut Vec<String>,
) -> Option<u32> {
    let at = data.iter().position(|parameter| parameter.starts_with("fd="));
    let (true, Some(at)) = (fstype.starts_with("fuse"), at) else { return None };
    let number = data.remove(at);
    let server = number["fd=".len()..].parse::<u32>().ok().and_then(|fd| fd.checked_sub(3));
    let server = server.filter(|server| *server < cx.options.preserved_fds);
    if server.is_none() {
        let message = format!("\"{number}\" is no descriptor that the caller passes on");
        cx.fault(format!("{pointer}/options"), message);
    }
    server
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
    let (copies_link, on_link) =
        (options.flags & flag::COPY_LINK != 0, options.flags & flag::ON_LINK != 0);
    let of_links = copies_link || on_link || options.source_link;
    if of_links && !matches!(kind, MountKind::Bind { .. }) {
        cx.fault(&pointer, "copy-symlink, src-nofollow and dest-nofollow are for bind mounts only");
    }
    if copies_link && (on_link || options.source_link) {
        cx.fault(&pointer, "copy-symlink excludes src-nofollow and dest-nofollow");
    }
    check_data(cx, &pointer, kind, options);
}

/// What is said to the file system must be said to one, and in words that fit.
fn check_data(
    cx: &mut Context<'_>,
    pointer: &str,
    kind: &MountKind,
    options: &mount_options::Options,
) {
    let own: Vec<&str> = options.own_data().map(String::as_str).collect();
    if let MountKind::New { fstype, .. } = kind
        && options.ignores_noacl()
    {
        cx.warn(pointer, format!("\"noacl\" means nothing to {fstype}"));
    }
    match kind {
        MountKind::Bind { .. } if !own.is_empty() => {
            cx.fault(pointer, format!("\"{}\" is no option of a bind mount", own.join(",")));
        }
        MountKind::Bind { .. } | MountKind::Cgroup if !options.superblock.is_empty() => {
            let words = options.superblock.join(",");
            cx.warn(pointer, format!("\"{words}\" belongs to the whole file system: not changed"));
        }
        MountKind::Cgroup if !own.is_empty() => {
            let message = format!("\"{}\" is left out: cgroups have the host's", own.join(","));
            cx.warn(pointer, message);
        }
        MountKind::New { fstype, .. } if fstype == "overlay" => {}
        _ => {
            let too_long = |word: &&str| {
                word.split_once('=').is_some_and(|(_, value)| value.len() > LONGEST_VALUE)
            };
            for word in own.into_iter().filter(too_long) {
                let message = format!("a value may have {LONGEST_VALUE} bytes: \"{word}\"");
                cx.fault(pointer, message);
            }
        }
    }
}

/// Mounts by position, cut so that no more than [`PORTION`] copied trees are on their way at once.
pub fn portions(config: &Config) -> Vec<Range<usize>> {
    let mut portions = Vec::new();
    let (mut start, mut binds) = (0, 0);
    for (i, mount) in config.mounts.iter().enumerate() {
        if matches!(mount.kind, MountKind::Bind { .. }) || mount.ids.is_some() {
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

fn open(config: &Config, steps: &mut Steps, portion: Range<usize>, reserved: &[Slot]) -> Vec<Slot> {
    let mut reserved = reserved.iter();
    let mut open = |mount: &Mount| {
        let what = match &mount.kind {
            MountKind::Bind { source, .. } => source.display().to_string(),
            MountKind::New { fstype, .. } if mount.ids.is_some() => format!("the new {fstype}"),
            _ => return Slot::NONE,
        };
        let into = reserved.next().copied().unwrap_or_else(|| steps.slot(what));
        if let MountKind::Bind { source, recursive, follow } = &mount.kind {
            let pointer = format!("{}/source", mount.pointer);
            steps.open_source(&pointer, source.clone(), [*recursive, *follow], into);
        } else if let MountKind::New { fstype, source } = &mount.kind {
            let (data, mut attributes) = parameters(config, mount);
            attributes &= if is_filled(config, mount) { !ATTR_RDONLY } else { !0 };
            let (fstype, source) = (fstype.clone(), source.clone());
            let task = Task::NewMount { fstype, source, data, attributes, into };
            steps.runtime(mount.pointer.clone(), task);
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
        MountKind::New { fstype, source } if mount.ids.is_none() && names_host(fstype, source) => {
            let keep = steps.slot(format!("the new {fstype}"));
            new(config, steps, mount, [fstype, source], keep, flag::DETACHED);
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
        MountKind::New { fstype, source: name } if source == Slot::NONE => {
            new(config, steps, mount, [fstype, name], slot, 0);
        }
        MountKind::New { .. } | MountKind::Bind { .. } => bind(config, steps, mount, source, slot),
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
    keep: Slot,
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
        propagation: propagation(steps, &mount.propagation),
        flags: mount.flags | detached,
        server,
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
        flags: mount.flags,
    };
    steps.init(mount.pointer.clone(), step);
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
