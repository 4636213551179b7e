//! Mounts as the configuration has them: what is mounted where, and what may not be.

use libcontainer_init::step::flag;
use libcontainer_init::sys::mount::LONGEST_VALUE;
use libcontainer_init::sys::namespace::{NEWCGROUP, NEWIPC, NEWNET, NEWNS, NEWPID, NEWUSER};

use super::{Context, mount_ids, mount_options, overlay, rootfs};
use crate::config::{Mount, MountKind, Namespaces};
use crate::spec;
use crate::spec::annotations::FORCE_V1;

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
    let kind = match hierarchy_of_systemd(cx, mount, namespaces, &mut options) {
        Some(kind) => kind,
        None => kind(cx, index, &options, namespaces)?,
    };
    let flags = of_proc | flags(&kind, &options);
    if matches!(&kind, MountKind::New { fstype, .. } if fstype == "overlay") {
        options.data = overlay::parameters(cx.bundle, &options.data);
    }
    check_owner(cx, namespaces, &pointer, &kind);
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
fn kind(
    cx: &mut Context<'_>,
    index: usize,
    options: &mount_options::Options,
    namespaces: &Namespaces,
) -> Option<MountKind> {
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
            let hosts = fstype == "sysfs" && may_lack_sysfs(cx, namespaces);
            let otherwise = hosts.then(|| "/sys".into());
            Some(MountKind::New { fstype: fstype.to_owned(), source, otherwise })
        }
    }
}

/// In place of the mount that crun's annotation names: the hierarchy by which an older systemd inside
/// keeps account of its processes. Where the host has none, a mount would make one for the host too,
/// and without a cgroup namespace the container would have all of it.
fn hierarchy_of_systemd(
    cx: &mut Context<'_>,
    mount: &spec::Mount,
    namespaces: &Namespaces,
    options: &mut mount_options::Options,
) -> Option<MountKind> {
    const NAME: &str = "name=systemd";
    if cx.spec.annotations.get(FORCE_V1) != Some(&mount.destination) {
        return None;
    }
    let annotation = format!("/annotations/{FORCE_V1}");
    if !cx.host.cgroups.legacy.iter().any(|hierarchy| hierarchy.name == NAME) {
        cx.fault(annotation, "the host has no hierarchy of cgroup v1 that is named systemd");
    } else if !namespaces.creates(NEWCGROUP) {
        cx.fault(annotation, "this needs a new cgroup namespace in /linux/namespaces");
    }
    options.data = ["none", NAME].map(str::to_owned).to_vec();
    let (fstype, source) = ("cgroup".to_owned(), "cgroup".to_owned());
    Some(MountKind::New { fstype, source, otherwise: None })
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
