//! Values of a configuration that aim at the host: settings, cgroup paths, devices, sizes.

use std::fs;

use integration::{Need, Scene};
use serde_json::json;

// CVE-2022-0811
#[test]
fn settings_that_reach_beyond_the_containers_namespaces_are_refused() {
    let Some(scene) = Scene::begin() else { return };
    scene.refused_each(&[
        ("steps up", |b| b.set("/linux/sysctl", json!({ "net/../kernel/core_pattern": "|/evil" }))),
        ("steps up by dots", |b| {
            b.set("/linux/sysctl", json!({ "net.....kernel.core_pattern": "|/evil" }))
        }),
        ("a setting of the host", |b| {
            b.set("/linux/sysctl", json!({ "kernel.core_pattern": "x" }))
        }),
        ("two settings in one", |b| {
            b.set("/linux/sysctl", json!({ "net.ipv4.ip_forward=1\nkernel.panic": "1" }))
        }),
        ("an ipc setting without its namespace", |b| {
            let b = b.without_namespace("ipc").without_mount("/dev/mqueue");
            b.set("/linux/sysctl", json!({ "kernel.shm_rmid_forced": "1" }))
        }),
        ("a network setting without its namespace", |b| {
            b.without_namespace("network")
                .set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }))
        }),
        ("a network setting in the host's namespace by path", |b| {
            let b = b.namespace("network", Some("/proc/1/ns/net"));
            b.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }))
        }),
    ]);
}

#[test]
fn settings_of_the_containers_namespaces_are_applied() {
    let Some(scene) = Scene::begin() else { return };
    let settings = json!({
        "net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1", "fs.mqueue.msg_max": "77",
        "net/ipv4/ip_default_ttl": "99"
    });
    let bundle = scene.bundle().set("/linux/sysctl", settings).sh("cd /proc/sys; cat
        net/ipv4/ip_forward kernel/shm_rmid_forced fs/mqueue/msg_max net/ipv4/ip_default_ttl"
        .replace('\n', " "));
    assert_eq!(scene.output(&bundle), "1\n1\n77\n99\n");
}

#[test]
fn a_cgroup_path_never_leaves_the_hierarchy() {
    let Some(scene) = Scene::begin() else { return };
    let tag = scene.tag().to_owned();
    for path in [
        format!("/../../../{tag}-escape"),
        format!("../../../../../{tag}-escape"),
        format!("/{tag}/a/../../../../../../{tag}-escape"),
    ] {
        let bundle = scene.bundle().set("/linux/cgroupsPath", path.clone());
        let outcome = scene.run(&bundle);
        for outside in ["/sys/fs", "/sys", "/", "/tmp"] {
            let escaped = format!("{outside}/{tag}-escape");
            assert!(fs::symlink_metadata(&escaped).is_err(), "{path} made {escaped}: {outcome:?}");
        }
    }
}

// GHSA-5g49-rx9x-qfc6
#[test]
fn a_page_size_or_a_file_name_that_is_a_path_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    scene.refused_each(&[
        ("a page size that is a path", |b| {
            let limits = json!([{ "pageSize": "2MB/../../../x", "limit": 0 }]);
            b.set("/linux/resources/hugepageLimits", limits)
        }),
        ("a page size nobody has", |b| {
            b.set("/linux/resources/hugepageLimits", json!([{ "pageSize": "3MB", "limit": 0 }]))
        }),
        ("a file name that is a path", |b| {
            b.set("/linux/resources/unified", json!({ "../cgroup.procs": "1" }))
        }),
    ]);
}

// GHSA-g54h-m393-cpwq
#[test]
fn devices_that_are_not_allowed_cannot_be_used_whatever_the_list_begins_with() {
    let Some(scene) = Scene::needing(&[Need::Controller("devices")]) else { return };
    let lists = [
        json!([]),
        json!([{ "allow": false, "access": "rwm" }]),
        json!([{ "allow": true, "type": "c", "major": 1, "minor": 11, "access": "r" }]),
    ];
    for list in lists {
        let bundle = scene
            .bundle()
            .writable()
            .capabilities(&["CAP_MKNOD"])
            .set("/linux/resources/devices", list.clone())
            .sh("mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem && echo read
                 mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk >/dev/null && echo read
                 head -c 1 /dev/zero >/dev/null && echo usable");
        let outcome = scene.run(&bundle);
        assert_eq!(outcome.stdout, "usable\n", "{list}: {outcome:?}");
    }
}

#[test]
fn without_device_rules_only_the_default_devices_can_be_used() {
    let Some(scene) = Scene::needing(&[Need::Controller("devices")]) else { return };
    let bundle = scene.bundle().writable().capabilities(&["CAP_MKNOD"]);
    let bundle = bundle.unset("/linux/resources").sh(
        "mknod /tmp/disk b 254 0
        head -c 1 /tmp/disk >/dev/null && echo read; head -c 1 /dev/zero >/dev/null && echo usable",
    );
    assert_eq!(scene.run(&bundle).stdout, "usable\n");
}

// CVE-2022-0492, CVE-2023-25809
#[test]
fn the_cgroup_file_system_is_read_only_inside() {
    let Some(scene) = Scene::begin() else { return };
    for cgroup_namespace in [false, true] {
        let script = "cd /sys/fs/cgroup
            for d in . *; do [ -d $d ] && mkdir $d/evil && echo made $d/evil; done
            for f in release_agent */release_agent */cgroup.procs cgroup.procs; do
                [ -f $f ] && echo 0 >$f && echo wrote $f; done; echo end";
        let mut bundle = scene.bundle().sh(script);
        if cgroup_namespace {
            bundle = bundle.namespace("cgroup", None);
        }
        let outcome = scene.run(&bundle);
        let wrote = outcome.stdout.lines().any(|l| l.starts_with("made") || l.starts_with("wrote"));
        // The directory above the v1 hierarchies is a tmpfs of the container's own.
        let tmpfs_only = outcome.stdout.lines().all(|l| matches!(l, "made ./evil" | "end"));
        assert!(!wrote || tmpfs_only, "{outcome:?}");
    }
}

// bats: run --no-pivot must not expose bare /proc
#[test]
fn without_pivot_root_no_unmasked_proc_can_be_mounted() {
    let Some(scene) = Scene::begin() else { return };
    let script = "unshare -mrpf sh -c 'mount -t proc none /proc && echo mounted'; echo end";
    let bundle = scene.bundle().capabilities(&["CAP_SETFCAP"]).sh(script);
    bundle.link("bin/unshare", "busybox");
    let outcome = scene.verb("run", &["--no-pivot"], &bundle, &scene.id()).run();
    assert!(!outcome.stdout.contains("mounted"), "{outcome:?}");
}

// CVE-2021-43784
#[test]
fn a_mount_source_longer_than_a_path_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    for bundle in [
        scene.bundle().bind("/x".repeat(35_000), "/mnt", &[]),
        scene.bundle().bind("/tmp", &"/x".repeat(35_000), &[]),
    ] {
        let outcome = scene.run(&bundle);
        assert!(!outcome.status.success() && !outcome.stderr.is_empty(), "{outcome:?}");
    }
    before.assert_same();
}

#[test]
fn many_mounts_and_many_masked_paths_take_time_in_proportion() {
    let Some(scene) = Scene::begin() else { return };
    let mut bundle = scene.bundle().writable().sh("grep -c . /proc/self/mountinfo");
    let source = scene.directory("source");
    for number in 0..300 {
        bundle = bundle.bind(&source, &format!("/mnt/{number}"), &["ro"]);
    }
    for number in 0..100 {
        bundle.directory(&format!("masked/{number}"));
        bundle = bundle.set("/linux/maskedPaths/-", format!("/masked/{number}"));
    }
    let count: usize = scene.output(&bundle).trim().parse().expect("a number");
    assert!(count > 400, "{count}");
}

// CVE-2016-3697
#[test]
fn a_user_is_a_number_whatever_the_image_calls_it() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().set("/process/user/uid", 1000).sh("id -u; echo $HOME");
    bundle.file("etc/passwd", "1000:x:0:0:root:/root:/bin/sh\nroot:x:1000:1000::/1000:/bin/sh\n");
    assert_eq!(scene.output(&bundle), "1000\n/1000\n");
}
