//! User namespaces: mappings, ownership, and what stays possible inside.

use std::fs;
use std::os::unix::fs::MetadataExt;

use integration::{Bundle, Inside, Scene};
use serde_json::json;

/// The first id on the host of the mapped range.
const BASE: u32 = 200_000;

/// A bundle in a user namespace, whose files belong to the mapped root.
fn mapped(scene: &Scene) -> Bundle {
    scene.bundle().mapped(BASE)
}

#[test]
fn the_mappings_are_what_the_configuration_says() {
    let Some(scene) = Scene::begin() else { return };
    let map = json!([
        { "containerID": 0, "hostID": BASE, "size": 1000 },
        { "containerID": 1000, "hostID": BASE + 5000, "size": 10 },
    ]);
    let bundle = mapped(&scene).set("/linux/uidMappings", map.clone());
    let bundle = bundle.sh("cat /proc/self/uid_map /proc/self/gid_map");
    let output = scene.output(&bundle);
    let lines: Vec<Vec<&str>> = output.lines().map(|l| l.split_whitespace().collect()).collect();
    let expected = [["0", "200000", "1000"], ["1000", "205000", "10"], ["0", "200000", "65536"]];
    assert_eq!(lines, expected);
}

#[test]
fn root_inside_is_the_mapped_user_outside() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&mapped(&scene).sleeping());
    let status = fs::read_to_string(format!("/proc/{}/status", container.pid())).expect("status");
    let status = Inside(status);
    assert_eq!(status.field("Uid"), [BASE.to_string().as_str(); 4].join("\t"));
    assert_eq!(status.field("Gid"), [BASE.to_string().as_str(); 4].join("\t"));
    container.end();
}

#[test]
fn files_that_are_made_inside_belong_to_the_mapped_user() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = mapped(&scene).writable().set("/process/user/uid", 7).set("/process/user/gid", 8);
    let bundle = bundle.sh("id -u; touch /tmp/new; stat -c '%u %g' /tmp/new /bin/busybox");
    bundle.directory("tmp");
    assert_eq!(scene.output(&bundle), "7\n7 8\n0 0\n");
    let meta = fs::metadata(bundle.rootfs().join("tmp/new")).expect("made inside");
    assert_eq!((meta.uid(), meta.gid()), (BASE + 7, BASE + 8));
}

#[test]
fn the_default_mounts_and_devices_work_inside() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = mapped(&scene).sh("cat /proc/self/mountinfo; echo x >/dev/null && echo usable
        stat -c '%u %g' /dev/pts/ptmx /dev/shm; hostname");
    let inside = Inside(scene.output(&bundle));
    for point in ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys"] {
        assert!(inside.mounted(point), "{point}: {}", inside.0);
    }
    assert!(inside.0.contains("usable\n0 0\n0 0\ntest\n"), "{}", inside.0);
}

#[test]
fn default_devices_are_there_inside() {
    let Some(scene) = Scene::begin() else { return };
    let script = "for d in null zero full random urandom tty; do [ -c /dev/$d ] && echo $d; done";
    let output = scene.output(&mapped(&scene).sh(script));
    assert_eq!(output, "null\nzero\nfull\nrandom\nurandom\ntty\n");
}

#[test]
fn capabilities_inside_reach_nothing_outside() {
    let Some(scene) = Scene::begin() else { return };
    let script = "grep CapEff /proc/self/status; chown 5 /tmp/x && echo chowned
        mount -t tmpfs none /tmp && echo mounted; echo 1 >/proc/sys/kernel/panic && echo wrote
        mknod /tmp/disk b 254 0 && echo made; echo end";
    let bundle = mapped(&scene).writable().sh(script);
    bundle.file("tmp/x", "x");
    nix::unistd::chown(&bundle.rootfs().join("tmp/x"), Some(BASE.into()), Some(BASE.into()))
        .expect("chown");
    let caps = ["CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_DAC_OVERRIDE"];
    let output = scene.output(&bundle.capabilities(&caps));
    assert!(output.contains("chowned") && output.contains("mounted"), "{output}");
    assert!(!output.contains("wrote") && !output.contains("made"), "{output}");
}

#[test]
fn ids_that_are_not_mapped_are_refused() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    scene.refused(&mapped(&scene).set("/process/user/uid", 65_536));
    scene.refused(&mapped(&scene).set("/process/user/gid", 70_000));
    scene.refused(&mapped(&scene).set("/process/user/additionalGids", json!([70_000])));
    before.assert_same();
}

#[test]
fn a_file_of_the_host_that_is_bound_belongs_to_nobody_inside() {
    let Some(scene) = Scene::begin() else { return };
    let file = scene.dir().join("file");
    integration::bundle::write(&file, b"content\n");
    let bundle = mapped(&scene).bind(&file, "/etc/group", &[]);
    let output = scene.output(&bundle.sh("stat -c '%u %g' /etc/group; cat /etc/group"));
    assert_eq!(output, "65534 65534\ncontent\n");
}

#[test]
fn a_source_that_only_the_hosts_root_can_reach_is_mounted() {
    let Some(scene) = Scene::begin() else { return };
    let private = scene.directory("private");
    let dir = private.join("dir");
    fs::create_dir(&dir).expect("mkdir");
    integration::bundle::write(&dir.join("file"), b"reached\n");
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(&private, closed).expect("chmod");
    let bundle = mapped(&scene).bind(&dir, "/tmp", &["ro"]);
    assert_eq!(scene.output(&bundle.sh("cat /tmp/file")), "reached\n");
}

#[test]
fn a_user_namespace_can_be_joined() {
    let Some(scene) = Scene::begin() else { return };
    let first = scene.start(&mapped(&scene).sleeping());
    let path = |name: &str| format!("/proc/{}/ns/{name}", first.pid());
    let bundle = mapped(&scene)
        .unset("/linux/uidMappings")
        .unset("/linux/gidMappings")
        .namespace("user", Some(&path("user")))
        .namespace("network", Some(&path("net")))
        .sh("id -u; cat /proc/self/uid_map; readlink /proc/self/ns/user");
    let output = scene.output(&bundle);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0], "0");
    assert_eq!(lines[1].split_whitespace().nth(1), Some("200000"));
    let user = fs::read_link(path("user")).expect("a namespace");
    assert_eq!(lines[2], user.to_str().expect("UTF-8"));
    first.end();
}

#[test]
fn the_loopback_device_is_up_in_a_user_namespace_too() {
    let Some(scene) = Scene::begin() else { return };
    let output = scene.output(&mapped(&scene).sh("ip -4 addr show lo"));
    assert!(output.contains("127.0.0.1"), "{output}");
}
