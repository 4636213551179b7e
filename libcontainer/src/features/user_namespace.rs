//! User namespaces: id mappings, and becoming their root.

use libcontainer_init::step::Step;
use libcontainer_init::sys::namespace::NEWUSER;

use super::Context;
use crate::config::{Config, JoinedMappings, Mappings, Namespaces};
use crate::host::Host;
use crate::spec::IdMapping;
use crate::steps::Steps;
use crate::task::Task;

/// The most mappings that the kernel takes for a user namespace, user_namespaces(7).
const MOST: usize = 340;

/// `/linux/uidMappings` and `/linux/gidMappings`, of a user namespace.
pub fn check(cx: &mut Context<'_>, namespaces: &Namespaces) -> Option<Mappings> {
    let (uid, gid) = (&cx.linux.uid_mappings, &cx.linux.gid_mappings);
    if !namespaces.creates(NEWUSER) {
        let pointer = if uid.is_empty() { "/linux/gidMappings" } else { "/linux/uidMappings" };
        let mapped = !uid.is_empty() || !gid.is_empty();
        if mapped && !namespaces.has(NEWUSER) {
            cx.fault(pointer, "id mappings need a user namespace in /linux/namespaces");
        }
        return None;
    }
    for (name, list) in [("uidMappings", uid), ("gidMappings", gid)] {
        check_root(cx, &format!("/linux/{name}"), list);
    }
    let mappings = written_by(cx.host, uid, gid);
    let denied = mappings.deny_setgroups || cx.host.groups_denied;
    if denied && !cx.process.user.additional_gids.is_empty() {
        let message = "additional groups are out of reach: the user namespace forbids setgroups(2)";
        cx.fault("/process/user/additionalGids", message);
    }
    Some(mappings)
}

/// Mappings that a joined user namespace must have already. Engines repeat them; others would say of
/// files and users what is not so.
pub fn check_joined(cx: &mut Context<'_>, namespaces: &Namespaces) -> Option<JoinedMappings> {
    let (uid, gid) = (&cx.linux.uid_mappings, &cx.linux.gid_mappings);
    if namespaces.joins(NEWUSER).is_none() || (uid.is_empty() && gid.is_empty()) {
        return None;
    }
    for (name, list) in [("uidMappings", uid), ("gidMappings", gid)] {
        check_root(cx, &format!("/linux/{name}"), list);
    }
    let message = "a joined user namespace has its mappings already: these must be the same";
    cx.warn("/linux/uidMappings", message);
    Some(JoinedMappings { uid: uid.clone(), gid: gid.clone() })
}

/// Who writes the mappings, user_namespaces(7): without privileges that is this process for its own
/// ids alone, and of groups only when setgroups(2) is given up; for more there are set-user-id
/// programs.
fn written_by(host: &Host, uid: &[IdMapping], gid: &[IdMapping]) -> Mappings {
    let own = |list: &[IdMapping], id: u32| matches!(list, [IdMapping { host_id, size: 1, .. }] if *host_id == id);
    let (own_user, own_group) = (own(uid, host.euid), own(gid, host.egid));
    let ordinary = !host.may_map_ids;
    Mappings {
        uid: uid.to_vec(),
        gid: gid.to_vec(),
        deny_setgroups: ordinary && own_group,
        by_newuidmap: ordinary && !own_user,
        by_newgidmap: ordinary && !own_group,
    }
}

/// A list of mappings of the container: init makes files and mounts as root inside.
fn check_root(cx: &mut Context<'_>, pointer: &str, list: &[IdMapping]) {
    check_list(cx, pointer, list);
    if !list.is_empty() && host_id(list, 0).is_none() {
        cx.fault(pointer, "no id is mapped to 0, the root of the user namespace");
    }
}

/// A list of mappings: some, and each a range of ids that there can be, and that no other has.
pub fn check_list(cx: &mut Context<'_>, pointer: &str, list: &[IdMapping]) {
    if list.is_empty() {
        cx.fault(pointer, "the list of mappings is missing");
    }
    if list.len() > MOST {
        return cx.fault(pointer, format!("the kernel takes no more than {MOST} mappings"));
    }
    for (i, mapping) in list.iter().enumerate() {
        let ends = |first: u32| first.checked_add(mapping.size).is_some();
        if mapping.size == 0 || !ends(mapping.container_id) || !ends(mapping.host_id) {
            cx.fault(format!("{pointer}/{i}"), "the range of ids is empty or too long");
        } else if list[..i].iter().any(|other| overlap(mapping, other)) {
            cx.fault(format!("{pointer}/{i}"), "the range of ids overlaps another");
        }
    }
}

/// Whether two mappings share an id, inside or outside: the kernel refuses both.
fn overlap(one: &IdMapping, other: &IdMapping) -> bool {
    let meet = |first: u32, second: u32| match second.checked_sub(first) {
        Some(offset) => offset < one.size,
        None => first - second < other.size,
    };
    meet(one.container_id, other.container_id) || meet(one.host_id, other.host_id)
}

/// The host's id of an id inside, when it is mapped. The list may have faults.
pub fn host_id(list: &[IdMapping], inside: u32) -> Option<u32> {
    list.iter().find_map(|mapping| {
        let offset = inside.checked_sub(mapping.container_id)?;
        (offset < mapping.size).then(|| mapping.host_id.checked_add(offset)).flatten()
    })
}

/// The runtime writes the mappings as soon as init exists.
pub fn write_mappings(config: &Config, steps: &mut Steps) {
    if let Some(mappings) = &config.mappings {
        let task = Task::WriteMappings { mappings: mappings.clone() };
        steps.runtime("/linux/uidMappings", task);
    }
}

/// Init has joined the user namespace: the runtime looks what is mapped there.
pub fn compare_mappings(config: &Config, steps: &mut Steps) {
    if let Some(mappings) = &config.joined_mappings {
        steps.phase("compare");
        let task = Task::CompareMappings { mappings: mappings.clone() };
        steps.runtime("/linux/uidMappings", task);
        steps.phase("compared");
    }
}

/// Init takes the root ids of its user namespace, and can then no longer be looked into. Before,
/// an ordinary user could not write the mappings of a process that is not dumpable.
pub fn become_root(config: &Config, steps: &mut Steps) {
    if config.namespaces.has(NEWUSER) {
        steps.init("/linux/uidMappings", Step::BecomeRoot {});
    }
    steps.init("", Step::Conceal {});
}
