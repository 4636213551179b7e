//! Id-mapped mounts: files are shown, and made, with other ids than the file system has.
//!
//! config.md, "POSIX-platform Mounts" and the options `idmap` and `ridmap`; mount_setattr(2). The
//! mappings are the mount's own, or else those of the container's user namespace. The runtime sets
//! them, as only who administers the file system may, before init gets the mount.

use libcontainer_init::sys::namespace::NEWUSER;

use super::mount_options::IdOption;
use super::{Context, user_namespace};
use crate::config::{IdSource, Mappings, MountIds, MountKind, Namespaces};
use crate::spec::IdMapping;

/// File systems that show the kernel's own affairs, whose files belong to nobody on a disk. They
/// depend on the namespaces they are mounted in, so that the runtime must never make one.
const OF_THE_KERNEL: [&str; 8] =
    ["proc", "sysfs", "mqueue", "devpts", "devtmpfs", "binfmt_misc", "fuse", "fuseblk"];

/// Whose ids a mount shows, if not those of the file system.
pub fn check(
    cx: &mut Context<'_>,
    index: usize,
    option: Option<&IdOption>,
    kind: &MountKind,
    namespaces: &Namespaces,
) -> Option<MountIds> {
    let mount = &cx.spec.mounts[index];
    let (uid, gid) = (&mount.uid_mappings, &mount.gid_mappings);
    let pointer = format!("/mounts/{index}");
    let given = !uid.is_empty() || !gid.is_empty();
    let at = match option {
        Some(option) => format!("{pointer}/options/{}", option.index),
        None if given => format!("{pointer}/uidMappings"),
        None => return None,
    };
    check_kind(cx, &at, kind);
    let recursive = option.is_some_and(|option| option.recursive);
    let written = option.and_then(|option| option.mappings.as_deref());
    let source = match written {
        Some(_) if given => {
            cx.fault(at, "the mount has mappings twice: in its options and in uidMappings");
            return None;
        }
        Some(text) => IdSource::Mappings(written_mappings(cx, &at, text)?),
        None if given => {
            for (name, list) in [("uidMappings", uid), ("gidMappings", gid)] {
                user_namespace::check_list(cx, &format!("{pointer}/{name}"), list);
            }
            IdSource::Mappings(mappings(uid.clone(), gid.clone()))
        }
        None => containers(cx, &at, namespaces)?,
    };
    Some(MountIds { source, recursive })
}

fn check_kind(cx: &mut Context<'_>, at: &str, kind: &MountKind) {
    let possible = match kind {
        MountKind::Bind { .. } => true,
        MountKind::New { fstype, .. } => !OF_THE_KERNEL.contains(&fstype.as_str()),
        MountKind::Cgroup | MountKind::Remount => false,
    };
    if !possible {
        cx.fault(at, "only bind mounts and new file systems can be id-mapped");
    }
    if !cx.host.privileged {
        cx.fault(at, "id-mapped mounts need CAP_SYS_ADMIN where the file system was mounted");
    }
}

fn mappings(uid: Vec<IdMapping>, gid: Vec<IdMapping>) -> Mappings {
    // Who may map ids of file systems may write any mappings.
    Mappings { uid, gid, deny_setgroups: false, by_newuidmap: false, by_newgidmap: false }
}

/// The mappings of the container's user namespace.
fn containers(cx: &mut Context<'_>, at: &str, namespaces: &Namespaces) -> Option<IdSource> {
    if let Some(joined) = namespaces.joins(NEWUSER) {
        return Some(IdSource::Namespace(joined.clone()));
    }
    if namespaces.creates(NEWUSER) {
        let (uid, gid) = (cx.linux.uid_mappings.clone(), cx.linux.gid_mappings.clone());
        return Some(IdSource::Mappings(mappings(uid, gid)));
    }
    let message = "without uidMappings and gidMappings the container needs a user namespace";
    cx.fault(at, message);
    None
}

/// crun's `uids=0-1-10#10-11-10;gids=0-100-10`: triples of the first id of the file system, the first
/// id shown, and how many. Behind `@` the second one counts in the container's user namespace.
fn written_mappings(cx: &mut Context<'_>, at: &str, text: &str) -> Option<Mappings> {
    let (mut uid, mut gid) = (None, None);
    for part in text.split(';') {
        let (list, triples, inside) = match part.split_once('=') {
            Some(("uids", triples)) => (&mut uid, triples, &cx.linux.uid_mappings),
            Some(("gids", triples)) => (&mut gid, triples, &cx.linux.gid_mappings),
            _ => return no_mapping(cx, at, part),
        };
        let parsed: Option<Vec<_>> = triples.split('#').map(|text| triple(text, inside)).collect();
        match parsed {
            Some(mappings) if list.is_none() => *list = Some(mappings),
            _ => return no_mapping(cx, at, part),
        }
    }
    let (Some(uid), Some(gid)) = (uid, gid) else {
        cx.fault(at, "mappings of users and of groups must come together");
        return None;
    };
    for list in [&uid, &gid] {
        user_namespace::check_list(cx, at, list);
    }
    Some(mappings(uid, gid))
}

fn no_mapping(cx: &mut Context<'_>, at: &str, part: &str) -> Option<Mappings> {
    let message = format!("\"{part}\" is no list of mappings such as uids=0-1000-10#10-2000-5");
    cx.fault(at, message);
    None
}

fn triple(text: &str, inside: &[IdMapping]) -> Option<IdMapping> {
    let (relative, numbers) = match text.strip_prefix('@') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut numbers = numbers.split('-').map(|number| number.parse::<u32>().ok());
    let mut next = || numbers.next().flatten();
    let (container_id, first, size) = (next()?, next()?, next()?);
    if numbers.next().is_some() {
        return None;
    }
    let host_id = if relative {
        let host = user_namespace::host_id(inside, first)?;
        // The whole range must lie in one mapping, or its end would be somebody else's.
        let last = first.checked_add(size.checked_sub(1)?)?;
        let whole = user_namespace::host_id(inside, last)? == host.checked_add(size - 1)?;
        whole.then_some(host)?
    } else {
        first
    };
    Some(IdMapping { container_id, host_id, size })
}

#[cfg(test)]
mod tests {
    use super::triple;
    use crate::spec::IdMapping;

    fn mapping(container_id: u32, host_id: u32, size: u32) -> IdMapping {
        IdMapping { container_id, host_id, size }
    }

    #[test]
    fn a_triple_may_count_in_the_containers_user_namespace() {
        let inside = [mapping(0, 0, 1), mapping(1, 2, 1000)];
        for (text, expected) in [
            ("0-1000-10", Some(mapping(0, 1000, 10))),
            ("@1-3-10", Some(mapping(1, 4, 10))),
            ("@0-0-2", None), // into the next mapping
            ("@0-2000-1", None),
            ("@0-0-0", None),
            ("0-1", None),
            ("0-1-2-3", None),
            ("0-x-2", None),
            ("0-1--2", None),
            ("", None),
        ] {
            assert_eq!(triple(text, &inside), expected, "{text}");
        }
    }
}
