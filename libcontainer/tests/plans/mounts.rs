//! Golden cases of mounts that need more than a line.

use libcontainer::spec::{IdMapping, Mount};

use crate::{Case, bind, join, user_namespace};

fn new_mount(kind: &str, destination: &str, options: &[&str]) -> Mount {
    Mount { kind: Some(kind.into()), ..bind(kind, destination, options) }
}

pub(crate) fn mount_cases() -> Vec<Case> {
    let id_mapped = |case: &mut Case| {
        let own = vec![IdMapping { container_id: 0, host_id: 1000, size: 10 }];
        let mut mount = bind("/data", "/data", &["rbind", "ridmap", "ro"]);
        (mount.uid_mappings, mount.gid_mappings) = (own.clone(), own);
        case.spec.mounts.push(mount);
        case.spec.mounts.push(bind("/srv", "/srv", &["bind", "idmap"]));
        case.spec.mounts.push(new_mount("tmpfs", "/scratch", &["idmap", "size=1m", "noexec"]));
        let written = "idmap=uids=@0-0-10#@10-20-5;gids=0-7-1";
        case.spec.mounts.push(bind("/written", "/written", &["bind", written]));
    };
    vec![
        Case::new("mount-ids", |case| {
            user_namespace(case);
            id_mapped(case);
        }),
        Case::new("mount-ids-of-a-joined-user-namespace", |case| {
            join(case, "user", "/run/netns/user");
            case.spec.mounts.push(bind("/srv", "/srv", &["bind", "idmap"]));
        }),
        Case::new("bad-mount-ids", |case| {
            case.host.privileged = false;
            user_namespace(case);
            id_mapped(case);
            case.spec.mounts.push(new_mount("proc", "/proc", &["idmap"]));
            let mut half = bind("/srv", "/srv", &["bind", "idmap"]);
            half.uid_mappings = vec![IdMapping { container_id: 0, host_id: 1000, size: 0 }];
            case.spec.mounts.push(half);
            for written in ["uids=0-0-1", "uids=@70000-1-1;gids=0-0-1", "x", "uids=1;gids=0-0-1"] {
                let written = format!("idmap={written}");
                case.spec.mounts.push(bind("/srv", "/srv", &["bind", &written]));
            }
        }),
        Case::new("mount-options", |case| {
            case.options.preserved_fds = 1;
            let all = ["iversion", "lazytime", "sync", "acl", "silent", "nosymfollow", "rnoatime"];
            case.spec.mounts.extend([
                new_mount("tmpfs", "/all", &all),
                new_mount("ext4", "/ext4", &["noacl"]),
                bind("", "/all", &["remount", "noiversion", "nolazytime"]),
                bind("link", "/a", &["bind", "copy-symlink"]),
                bind("link", "/b", &["bind", "src-nofollow", "dest-nofollow"]),
                new_mount("fuse", "/fuse", &["fd=3", "rootmode=40000", "user_id=0", "group_id=0"]),
            ]);
        }),
        Case::new("bad-mount-options", |case| {
            let long = format!("context={}", "x".repeat(256));
            case.spec.mounts.extend([
                new_mount("tmpfs", "/a", &["copy-symlink", &long]),
                bind("link", "/b", &["bind", "copy-symlink", "dest-nofollow"]),
                new_mount("fuse", "/c", &["fd=3"]),
                bind("link", "/sys", &["bind", "copy-symlink"]),
                bind("", "/d", &["remount", "idmap", "tmpcopyup"]),
            ]);
        }),
        Case::new("overlay-in-a-joined-pid-namespace", |case| {
            join(case, "pid", "/proc/17/ns/pid");
            let layers = ["lowerdir=a:/b", "upperdir=up", "workdir=/work"];
            case.spec.mounts.push(new_mount("overlay", "/merged", &layers));
        }),
    ]
}
