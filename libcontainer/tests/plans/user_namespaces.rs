//! Golden plans of user namespaces: an ordinary user's, and those beside joined namespaces.

use libcontainer::spec::{IdMapping, Spec};
use libcontainer::{Cgroups, Options};

use super::{Case, create, join, namespaces, user_namespace};

/// Makes the case that of an ordinary user without cgroups.
pub(super) fn ordinary(case: &mut Case) {
    let host = &mut case.host;
    (host.privileged, host.may_map_ids, host.may_make_devices) = (false, false, false);
    (host.euid, host.egid) = (1000, 1000);
    host.cgroups = Cgroups::default();
    case.spec = Spec::example_rootless(1000, 1000);
}

fn map(case: &mut Case, list: &[[u32; 3]]) {
    let mapping =
        |[container_id, host_id, size]: [u32; 3]| IdMapping { container_id, host_id, size };
    let linux = case.spec.linux.as_mut().unwrap();
    linux.uid_mappings = list.iter().copied().map(mapping).collect();
    linux.gid_mappings.clone_from(&linux.uid_mappings);
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = rootless();
    cases.extend(beside_joined());
    cases
}

fn rootless() -> Vec<Case> {
    vec![
        Case::new("rootless", ordinary),
        Case::new("rootless-with-subordinate-ids", |case| {
            ordinary(case);
            map(case, &[[0, 1000, 1], [1, 100_000, 65_536]]);
            case.spec.process.as_mut().unwrap().user.additional_gids = vec![5];
        }),
        Case::new("rootless-with-groups-out-of-reach", |case| {
            ordinary(case);
            case.spec.process.as_mut().unwrap().user.additional_gids = vec![0];
        }),
        Case::new("rootless-with-limits-out-of-reach", |case| {
            ordinary(case);
            let limits = libcontainer::spec::Resources::parse(br#"{ "pids": { "limit": 9 } }"#);
            case.spec.linux.as_mut().unwrap().resources = Some(limits.unwrap());
        }),
        Case::new("rootless-in-its-own-user-namespace", |case| {
            ordinary(case);
            map(case, &[]);
            join(case, "user", "/proc/7/ns/user");
            join(case, "network", "/proc/7/ns/net");
        }),
        Case::new("root-taken-as-rootless", |case| {
            case.options = Options { rootless: Some(true), ..Options::default() };
            case.host.cgroups.legacy.iter_mut().for_each(|hierarchy| hierarchy.writable = false);
        }),
        Case::new("without-the-right-to-make-devices", |case| case.host.may_make_devices = false),
        Case::new("in-a-user-namespace-without-setgroups", |case| {
            (case.host.user_namespace, case.host.groups_denied) = (true, true);
        }),
    ]
}

fn beside_joined() -> Vec<Case> {
    vec![
        Case::new("user-namespace-beside-joined-pid", |case| {
            user_namespace(case);
            join(case, "pid", "/proc/7/ns/pid");
            case.spec.mounts.retain(|mount| mount.kind.as_deref() != Some("proc"));
        }),
        Case::new("user-namespace-beside-joined-time", |case| {
            user_namespace(case);
            join(case, "time", "/proc/7/ns/time");
            create(case, "cgroup");
        }),
        Case::new("user-namespace-that-can-mount-little", |case| {
            user_namespace(case);
            for kind in ["pid", "ipc", "cgroup", "mount"] {
                join(case, kind, &format!("/proc/7/ns/{kind}"));
            }
        }),
        Case::new("joined-user-and-pid", |case| {
            join(case, "user", "/proc/7/ns/user");
            join(case, "pid", "/proc/7/ns/pid");
        }),
        Case::new("joined-user-with-mappings", |case| {
            join(case, "user", "/proc/7/ns/user");
            map(case, &[[0, 100_000, 65_536]]);
        }),
        Case::new("joined-user-with-mappings-that-lack-the-user", |case| {
            join(case, "user", "/proc/7/ns/user");
            map(case, &[[0, 100_000, 10]]);
            case.spec.process.as_mut().unwrap().user.uid = 10;
        }),
        Case::new("user-namespace-without-root", |case| {
            namespaces(case).retain(|namespace| namespace.kind != "user");
            create(case, "user");
            map(case, &[[1, 100_000, 10]]);
        }),
    ]
}
