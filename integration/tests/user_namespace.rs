//! User namespaces: mappings, ownership, and what stays possible inside.

use std::fs;
use std::os::unix::fs::MetadataExt;

use integration::bundle::KINDS;
use integration::runtime::Invocation;
use integration::{Bundle, Container, Inside, Need, Scene};
use serde_json::{Value, json};

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

/// Whatever a bundle asks of namespaces that it joins and may not change.
fn modest(bundle: Bundle) -> Bundle {
    bundle.unset("/hostname")
}

/// Has a bundle join namespaces of a container, in which it must be then.
fn joining(scene: &Scene, bundle: Bundle, first: &Container<'_>, kinds: &[(&str, &str)]) {
    let path = |file: &str| format!("/proc/{}/ns/{file}", first.pid());
    let script: String =
        kinds.iter().map(|(_, file)| format!("readlink /proc/self/ns/{file}\n")).collect();
    let bundle = kinds.iter().fold(modest(bundle).sh(script), |bundle, (kind, file)| {
        bundle.namespace(kind, Some(&path(file)))
    });
    let output = scene.output(&bundle);
    let expected: String = kinds
        .iter()
        .map(|(_, file)| format!("{}\n", fs::read_link(path(file)).expect("a link").display()))
        .collect();
    assert_eq!(output, expected, "{kinds:?}");
}

#[test]
fn every_other_namespace_is_joined_with_the_user_namespace_that_it_belongs_to() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Path("/proc/self/ns/time")]) else {
        return;
    };
    let every = KINDS.iter().fold(mapped(&scene), |bundle, (kind, _)| bundle.namespace(kind, None));
    let first = scene.start(&every.sleeping());
    let bundle = || mapped(&scene).unset("/linux/uidMappings").unset("/linux/gidMappings");
    let (user, mut others) = (KINDS[0], &KINDS[1..]);
    while let [one, rest @ ..] = others {
        joining(&scene, bundle(), &first, &[user, *one]);
        for two in rest {
            joining(&scene, bundle(), &first, &[user, *one, *two]);
        }
        others = rest;
    }
    joining(&scene, bundle(), &first, &KINDS);
    first.end();
}

#[test]
fn a_new_user_namespace_is_made_beside_every_namespace_of_the_host() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Path("/proc/self/ns/time")]) else {
        return;
    };
    let every =
        KINDS[1..].iter().fold(scene.bundle(), |bundle, (kind, _)| bundle.namespace(kind, None));
    let first = scene.start(&every.sleeping());
    let bundle = |kinds: &[(&str, &str)]| {
        let joins = |name: &str| kinds.iter().any(|(kind, _)| *kind == name);
        let mut bundle = mapped(&scene);
        // These file systems are views of a namespace, and not for others to mount.
        if joins("pid") {
            bundle = bundle.without_mount("/proc").bind("/proc", "/proc", &["rbind"]);
        }
        for (kind, place) in [("ipc", "/dev/mqueue"), ("cgroup", "/sys/fs/cgroup")] {
            if joins(kind) {
                bundle = bundle.without_mount(place);
            }
        }
        bundle
    };
    for kind in &KINDS[1..] {
        joining(&scene, bundle(&[*kind]), &first, &[*kind]);
    }
    joining(&scene, bundle(&KINDS[1..]), &first, &KINDS[1..]);
    first.end();
}

#[test]
fn what_a_new_user_namespace_has_no_power_over_is_refused() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let first = scene.start(&scene.bundle().namespace("cgroup", None).sleeping());
    let path = |file: &str| format!("/proc/{}/ns/{file}", first.pid());
    let before = scene.snapshot();
    for (kind, file, pointer) in [
        ("pid", "pid", "/mounts/0"),
        ("ipc", "ipc", "/mounts/4"),
        ("cgroup", "cgroup", "/mounts/6"),
        ("mount", "mnt", "/linux/namespaces/"),
    ] {
        let bundle = modest(mapped(&scene)).namespace(kind, Some(&path(file)));
        scene
            .refused(&bundle)
            .says_all(&["a new user namespace", &format!("config.json {pointer}")]);
        before.assert_same();
    }
    first.end();
}

#[test]
fn mappings_beside_a_joined_user_namespace_must_be_its_own() {
    let Some(scene) = Scene::begin() else { return };
    let first = scene.start(&mapped(&scene).sleeping());
    let before = scene.snapshot();
    let path = format!("/proc/{}/ns/user", first.pid());
    let bundle = |mapping: serde_json::Value| {
        mapped(&scene)
            .namespace("user", Some(&path))
            .set("/linux/uidMappings", mapping.clone())
            .set("/linux/gidMappings", mapping)
            .sh("cat /proc/self/uid_map")
    };
    let cut = json!([
        { "containerID": 10, "hostID": BASE + 10, "size": 65_526 },
        { "containerID": 0, "hostID": BASE, "size": 10 },
    ]);
    let whole = json!([{ "containerID": 0, "hostID": BASE, "size": 65_536 }]);
    for same in [whole, cut] {
        let output = scene.output(&bundle(same));
        let words: Vec<&str> = output.split_whitespace().collect();
        assert_eq!(words, ["0", "200000", "65536"]);
    }
    for other in [
        json!([{ "containerID": 0, "hostID": BASE + 1, "size": 65_536 }]),
        json!([{ "containerID": 0, "hostID": BASE, "size": 1000 }]),
    ] {
        scene.refused(&bundle(other));
        before.assert_same();
    }
    first.end();
}

#[test]
fn without_a_network_of_its_own_a_container_sees_the_hosts_sysfs_read_only() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let script = "grep ' / /sys ' /proc/self/mountinfo | cut -d' ' -f6 | grep -o '^ro,nosuid'
        ls /sys/class/net | wc -l
        mkdir /sys/fs/cgroup/x 2>/dev/null && echo made; echo end";
    let bundle = mapped(&scene).without_namespace("network").without_mount("/sys/fs/cgroup");
    let bundle = bundle.without_mount("/sys").mount("sysfs", "sysfs", "/sys", &["nosuid"]);
    let output = scene.output(&bundle.sh(script));
    let devices = fs::read_dir("/sys/class/net").expect("devices").count();
    assert_eq!(output, format!("ro,nosuid\n{devices}\nend\n"));
    // One that is the user namespace's is mounted anew.
    let first = scene.start(&mapped(&scene).sleeping());
    let path = |file: &str| format!("/proc/{}/ns/{file}", first.pid());
    let bundle = mapped(&scene)
        .unset("/linux/uidMappings")
        .unset("/linux/gidMappings")
        .namespace("user", Some(&path("user")))
        .namespace("network", Some(&path("net")));
    assert_eq!(scene.output(&bundle.sh("ls /sys/class/net")), "lo\n");
    first.end();
}

#[test]
fn a_pid_namespace_is_joined_where_the_runtime_itself_is_in_a_user_namespace() {
    let Some(scene) = Scene::needing(&["unshare", "nsenter"].map(Need::Program)) else { return };
    let call = scene.call("unshare").args(["--user", "--map-root-user", "--mount"]);
    let holder = call.args(["sh", "-c", "echo up; exec sleep 1000"]).spawn();
    holder.expect("up");
    let target = holder.pid().to_string();
    let inside = |call: Invocation| {
        call.under(["nsenter", "--user", "--mount", "--target", &target]).run().ok()
    };
    let bundle = || {
        let bundle = scene.bundle().without_mount("/sys/fs/cgroup").without_mount("/dev/pts");
        bundle.unset("/linux/cgroupsPath").unset("/linux/resources")
    };
    let (one, id) = (bundle().sleeping(), scene.id());
    inside(scene.verb("create", &[], &one, &id));
    inside(scene.keel(["start", &id]));
    let state: Value =
        serde_json::from_str(&inside(scene.keel(["state", &id])).stdout).expect("JSON");
    let space = format!("/proc/{}/ns/pid", state["pid"]);
    // The kernel mounts a new procfs only where another one is in sight.
    let other = bundle().namespace("pid", Some(&space)).sh("cat /proc/1/comm; readlink /proc/self");
    let seen = inside(scene.verb("run", &[], &other, &scene.id())).stdout;
    assert!(seen.starts_with("sleep\n") && seen != "sleep\n1\n", "{seen}");
    inside(scene.keel(["delete", "--force", &id]));
}
