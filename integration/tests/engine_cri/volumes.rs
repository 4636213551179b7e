//! Directories and devices of the node in a container.

use std::path::Path;

use integration::bundle::write;
use integration::runtime::until;
use integration::{Inside, skip};
use nix::mount::{MsFlags, mount};

use crate::messages::{BIDIRECTIONAL, Device, HOST_TO_CONTAINER, Mount};
use crate::node::{self, Node};

#[test]
fn volumes_are_mounted_and_later_mounts_propagate_as_asked() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    let shared = scene.directory("volume");
    let _shared = scene.mount(Some("tmpfs"), Path::new("none"), &shared, MsFlags::empty());
    let none = None::<&str>;
    mount(none, &shared, none, MsFlags::MS_SHARED, none).expect("make it shared");
    write(&shared.join("file"), b"of the host");
    for part in ["host", "container"] {
        std::fs::create_dir(shared.join(part)).expect("mkdir");
    }
    let volume = |to: &str, readonly, propagation| Mount {
        container_path: to.to_owned(),
        host_path: shared.display().to_string(),
        readonly,
        propagation,
    };
    let pod = node.run_pod("pod", |_| {});
    let id = node.start_container(&pod, "one", &["sleep", "1000"], |container| {
        container.mounts = vec![
            volume("/ro", true, 0),
            volume("/slave", false, HOST_TO_CONTAINER),
            volume("/shared", false, BIDIRECTIONAL),
        ];
        container.security().capabilities.get_or_insert_default().add = vec!["SYS_ADMIN".into()];
    });
    let table = || Inside(node.output(&id, "cat /proc/self/mountinfo"));
    let seen = table();
    let (ro, slave) = (seen.mount("/ro"), seen.mount("/slave"));
    assert!(ro.has("ro") && !ro.shared() && !ro.slave(), "{ro:?}");
    assert!(slave.slave() && !slave.shared(), "{slave:?}");
    assert!(seen.mount("/shared").shared());
    assert_eq!(node.output(&id, "cat /ro/file"), "of the host");
    let executed = node.exec(&id, "echo x >/ro/file");
    let said = String::from_utf8_lossy(&executed.stderr).into_owned();
    assert!(executed.exit_code != 0 && said.contains("Read-only file system"), "{said}");

    let flags = MsFlags::empty();
    let _later = scene.mount(Some("tmpfs"), Path::new("none"), &shared.join("host"), flags);
    let seen = table();
    assert!(!seen.mounted("/ro/host"));
    assert!(seen.mounted("/slave/host") && seen.mounted("/shared/host"), "{seen:?}");
    node.output(&id, "mount -t tmpfs none /shared/container && echo inside >/shared/container/new");
    let new = shared.join("container/new");
    assert_eq!(std::fs::read(new).expect("a file"), b"inside\n");
    node.output(&id, "umount /shared/container");
    until("the end of the mount", || {
        !Inside(mountinfo()).mounted(&format!("{}/container", shared.display()))
    });
    node.end_pod(&pod);
}

#[test]
fn devices_are_there_with_the_access_that_was_asked_for() {
    let Some(scene) = node::scene() else { return };
    if std::fs::metadata("/dev/kmsg").is_err() {
        return skip("the host has no /dev/kmsg");
    }
    let node = Node::start(&scene);
    let pod = node.run_pod("pod", |_| {});
    let script = "true </dev/mine && echo read; true >/dev/mine && echo written";
    for (access, seen) in [("r", "read\n"), ("w", "written\n"), ("rw", "read\nwritten\n")] {
        let said = node.script(&pod, access, script, |container| {
            container.devices = vec![Device {
                container_path: "/dev/mine".to_owned(),
                host_path: "/dev/kmsg".to_owned(),
                permissions: access.to_owned(),
            }];
            // The kernel may let nobody else read its log.
            container.security().capabilities.get_or_insert_default().add = vec!["SYSLOG".into()];
        });
        let (denied, done): (Vec<&str>, Vec<&str>) =
            said.lines().partition(|line| line.ends_with("Operation not permitted"));
        assert_eq!(done, seen.lines().collect::<Vec<_>>(), "{access}: {said}");
        assert_eq!(denied.len(), 2 - done.len(), "{access}: {said}");
    }
    node.end_pod(&pod);
}

/// The mount table of the host.
fn mountinfo() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").expect("a mount table")
}
