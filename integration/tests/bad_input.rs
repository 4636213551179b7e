//! Input that no runtime can use: each gets a clear sentence and an exit code that is not zero,
//! and the host stays as it was.

use std::fs;
use std::os::unix::fs::symlink;

use integration::{Bundle, Need, Scene, bundle};
use serde_json::json;

#[test]
fn a_bundle_that_is_missing_or_no_directory_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let file = scene.dir().join("file");
    bundle::write(&file, b"{}");
    for path in [scene.dir().join("nothing"), file, scene.directory("empty")] {
        let call = scene.keel(["create", "--bundle"]).arg(&path).arg(scene.id());
        call.run().refused().says(&["config.json", "no such file", "not a directory"]);
    }
    before.assert_same();
}

#[test]
fn a_configuration_that_is_not_valid_json_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let half = scene.bundle().config().to_string();
    let half = &half[..half.len() / 2];
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let texts: [&[u8]; 9] = [
        b"",
        b"\n",
        b"{",
        b"not json",
        b"[]",
        b"\"text\"",
        b"{\"process\": 5}",
        b"{\"process\": {\"args\": [\"\xff\xfe\"]",
        half.as_bytes(),
    ];
    for text in texts.into_iter().chain([deep.as_bytes()]) {
        let outcome = scene.verb("create", &[], &scene.bundle().raw(text), &scene.id()).run();
        outcome.refused();
    }
    before.assert_same();
}

#[test]
fn a_huge_configuration_is_refused_or_read_but_never_fatal() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let garbage = "x".repeat(64 << 20);
    let outcome = scene.verb("create", &[], &scene.bundle().raw(garbage), &scene.id()).run();
    outcome.refused();
    before.assert_same();
    let notes: serde_json::Map<_, _> =
        (0..20_000).map(|n| (format!("key{n}"), json!("v".repeat(100)))).collect();
    scene.run(&scene.bundle().set("/annotations", notes)).ok();
    before.assert_same();
}

#[test]
fn a_configuration_that_is_a_directory_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle();
    fs::create_dir(bundle.dir().join("config.json")).expect("mkdir");
    let call = scene.keel(["create", "--bundle"]).arg(bundle.dir()).arg(scene.id());
    call.run().refused().says(&["is a directory", "config.json"]);
}

#[test]
fn a_root_file_system_that_is_no_directory_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let bundle = scene.bundle().set("/root/path", "elsewhere");
    scene.refused(&bundle).says(&["elsewhere"]);
    bundle::write(&bundle.dir().join("elsewhere"), b"a file");
    scene.refused(&bundle);
    let linked = scene.bundle().set("/root/path", "linked");
    symlink(linked.rootfs(), linked.dir().join("linked")).expect("symlink");
    scene.refused(&linked);
    before.assert_same();
}

#[test]
fn a_process_that_cannot_be_run_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    scene.refused_each(&[
        ("no args", |b| b.args::<&str>([])),
        ("absent args", |b| b.unset("/process/args")),
        ("an empty command", |b| b.args([""])),
        ("a command that is a directory", |b| b.args(["/etc"])),
        ("a command that is not executable", |b| b.args(["/etc/passwd"])),
        ("a relative working directory", |b| b.set("/process/cwd", "tmp")),
        ("an empty working directory", |b| b.set("/process/cwd", "")),
        ("a working directory that is a file", |b| b.set("/process/cwd", "/etc/passwd")),
        ("a negative user id", |b| b.set("/process/user/uid", -1)),
        ("a user id beyond 32 bits", |b| b.set("/process/user/uid", 4_294_967_296_u64)),
        ("a group id beyond 32 bits", |b| b.set("/process/user/gid", 4_294_967_296_u64)),
        ("an out of memory score out of range", |b| b.set("/process/oomScoreAdj", 2000)),
    ]);
}

#[test]
fn a_zero_byte_in_a_string_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    scene.refused_each(&[
        ("an argument", |b| b.args(["/bin/echo", "a\0b"])),
        ("a variable", |b| b.set("/process/env/-", "A=\0b")),
        ("a working directory", |b| b.set("/process/cwd", "/tmp\0/x")),
        ("a destination", |b| b.mount("tmpfs", "tmpfs", "/mnt\0x", &[])),
        ("a mount source", |b| b.bind("/tmp\0/x", "/mnt", &[])),
    ]);
}

#[test]
fn namespaces_and_mappings_that_contradict_themselves_are_refused() {
    let Some(scene) = Scene::begin() else { return };
    scene.refused_each(&[
        ("an unknown namespace", |b| b.namespace("moon", None)),
        ("a namespace given twice", |b| b.set("/linux/namespaces/-", json!({ "type": "pid" }))),
        ("a namespace path that is missing", |b| b.namespace("network", Some("/nothing/net"))),
        ("a namespace path that is no namespace", |b| b.namespace("network", Some("/etc/passwd"))),
        ("a namespace path that is relative", |b| b.namespace("network", Some("proc/1/ns/net"))),
        ("a hostname without its namespace", |b| b.without_namespace("uts")),
        ("a user namespace without mappings", |b| b.namespace("user", None)),
        ("mappings that overlap", |b| {
            let map = json!([
                { "containerID": 0, "hostID": 100_000, "size": 10 },
                { "containerID": 5, "hostID": 200_000, "size": 10 }
            ]);
            let b = b.namespace("user", None).set("/linux/uidMappings", map.clone());
            b.set("/linux/gidMappings", map)
        }),
        ("mappings beyond the last id, of the container's user", |b| {
            let map = json!([{ "containerID": 0, "hostID": u32::MAX - 5, "size": 10 }]);
            let b = b.namespace("user", None).set("/linux/uidMappings", map.clone());
            b.set("/linux/gidMappings", map).set("/process/user", json!({ "uid": 8, "gid": 8 }))
        }),
        ("more mappings than there can be", |b| {
            let one = |i: u32| json!({ "containerID": i, "hostID": 100_000 + i, "size": 1 });
            let map: serde_json::Value = (0..341).map(one).collect();
            b.mapped(100_000).set("/linux/uidMappings", map)
        }),
        ("more mappings than the kernel reads", |b| {
            let one = |i: u32| json!({ "containerID": i, "hostID": 100_000 + i, "size": 1 });
            let map: serde_json::Value = (0..340).map(one).collect();
            b.mapped(100_000).set("/linux/uidMappings", map)
        }),
    ]);
}

#[test]
fn a_hostname_longer_than_the_kernel_allows_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    scene.refused_each(&[("65 bytes", |b| b.set("/hostname", "x".repeat(65)))]);
}

#[test]
fn mounts_that_cannot_be_made_are_refused() {
    let Some(scene) = Scene::begin() else { return };
    scene.refused_each(&[
        ("a source that is missing", |b| b.bind("/nothing/at/all", "/mnt", &[])),
        ("an unknown file system", |b| b.mount("moonfs", "moon", "/mnt", &[])),
        ("an option no file system knows", |b| b.mount("tmpfs", "t", "/mnt", &["moon=1"])),
        ("a size that is no number", |b| b.mount("tmpfs", "t", "/mnt", &["size=much"])),
        ("a directory over a file", |b| b.bind("/tmp", "/etc/passwd", &[])),
        ("a path below a file", |b| b.mount("tmpfs", "t", "/etc/passwd/x", &[])),
    ]);
}

#[test]
fn values_that_the_kernel_would_refuse_are_refused() {
    let Some(scene) = Scene::begin() else { return };
    scene.refused_each(&[
        ("an unknown limit", |b| {
            b.set("/process/rlimits/0", json!({ "type": "RLIMIT_MOON", "hard": 1, "soft": 1 }))
        }),
        ("a soft limit above the hard one", |b| {
            b.set("/process/rlimits/0", json!({ "type": "RLIMIT_CORE", "hard": 1, "soft": 2 }))
        }),
        ("an unknown setting", |b| b.set("/linux/sysctl", json!({ "kernel.moon": "1" }))),
        ("a setting of the host", |b| b.set("/linux/sysctl", json!({ "kernel.panic": "1" }))),
        ("an unknown kind of device", |b| {
            b.set("/linux/devices", json!([{ "path": "/dev/moon", "type": "x" }]))
        }),
        ("a hook without an absolute path", |b| {
            b.set("/hooks/createRuntime", json!([{ "path": "true" }]))
        }),
        ("a hook that is missing", |b| {
            b.set("/hooks/createRuntime", json!([{ "path": "/nothing/hook" }]))
        }),
    ]);
}

#[test]
fn what_contradicts_itself_in_small_print_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    scene.refused_each(&[
        ("mappings without a user namespace", |b| {
            let map = json!([{ "containerID": 0, "hostID": 1000, "size": 1 }]);
            b.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map)
        }),
        ("a limit given twice", |b| {
            b.set("/process/rlimits/-", json!({ "type": "RLIMIT_NOFILE", "hard": 9, "soft": 9 }))
        }),
        ("a hook that has no time", |b| {
            b.set("/hooks/createRuntime", json!([{ "path": "/bin/true", "timeout": 0 }]))
        }),
        ("a file creation mask beyond 0777", |b| b.set("/process/user/umask", 0o1_0000)),
        ("an unknown propagation", |b| b.set("/linux/rootfsPropagation", "moon")),
    ]);
}

#[test]
fn ids_that_could_leave_the_state_root_are_refused_by_every_command() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let long = "x".repeat(1025);
    let ids = ["", ".", "..", "../x", "a/b", "/", "a b", "a\nb", "ä", "a*", &long];
    let bundle = scene.bundle();
    bundle.save();
    for id in ids {
        let create = scene.keel(["create", "--bundle"]).arg(bundle.dir()).arg(id);
        create.run().refused();
        for verb in ["state", "start", "delete"] {
            scene.keel([verb, id]).run().refused();
        }
        scene.keel(["kill", id, "KILL"]).run().refused();
    }
    before.assert_same();
}

#[test]
fn force_does_not_make_delete_accept_what_is_no_id() {
    let Some(scene) = Scene::begin() else { return };
    let outside = scene.directory("outside");
    let file = outside.join("file");
    bundle::write(&file, b"kept");
    fs::create_dir_all(scene.state_root()).expect("mkdir");
    for id in ["../outside", "..", "/", ""] {
        scene.keel(["delete", "--force", id]).run().refused();
        assert_eq!(fs::read(&file).expect("kept"), b"kept");
    }
}

#[test]
fn a_signal_nobody_knows_is_refused_and_reaches_nobody() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().sleeping());
    for signal in ["MOON", "SIGMOON", "SIG", "65", "-9", "99999999999", "9x"] {
        let outcome = scene.keel(["kill", "--", container.id(), signal]).run();
        assert!(!outcome.status.success(), "{signal:?} is not refused: {outcome:?}");
        outcome.refused();
    }
    assert_eq!(container.status(), "running");
    container.end();
}

#[test]
fn calls_that_are_no_calls_are_refused() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let calls: [&[&str]; 8] = [
        &["moon"],
        &["create"],
        &["start"],
        &["state"],
        &["kill"],
        &["delete"],
        &["create", "--moon", "x"],
        &["state", "one", "two"],
    ];
    for words in calls {
        let outcome = scene.keel(words).run();
        assert!(!outcome.status.success(), "{words:?} is not refused: {outcome:?}");
    }
    before.assert_same();
}

#[test]
fn a_terminal_without_a_socket_and_a_socket_without_a_terminal_are_refused() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let terminal = scene.bundle().set("/process/terminal", true);
    scene.verb("create", &[], &terminal, &scene.id()).run().refused();
    let missing = ["--console-socket", "/nothing/socket"];
    scene.verb("create", &missing, &terminal, &scene.id()).run().refused();
    scene.verb("create", &missing, &scene.bundle(), &scene.id()).run().refused();
    before.assert_same();
}

#[test]
fn a_pid_file_that_cannot_be_written_undoes_the_container() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let options = ["--pid-file", "/nothing/pid"];
    scene.verb("create", &options, &scene.bundle(), &scene.id()).run().refused();
    before.assert_same();
}

#[test]
fn preserved_descriptors_that_are_not_open_are_refused() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    for count in ["3", "100", "-1"] {
        let option = format!("--preserve-fds={count}");
        scene.verb("create", &[&option], &scene.bundle(), &scene.id()).run().refused();
    }
    before.assert_same();
}

#[test]
fn a_number_of_preserved_descriptors_that_is_no_number_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    for count in ["1000000", "many", "99999999999"] {
        let option = format!("--preserve-fds={count}");
        let outcome = scene.verb("create", &[&option], &scene.bundle(), &scene.id()).run();
        assert!(!outcome.status.success(), "{count} is not refused: {outcome:?}");
    }
    before.assert_same();
}

/// A call of `create` whose state root was changed by a shell script in a private mount namespace.
fn with_state_root(scene: &Scene, script: &str, bundle: &Bundle) -> integration::Outcome {
    let root = scene.state_root();
    fs::create_dir_all(&root).expect("mkdir");
    let script = format!("cd / && S={} && {script} && exec \"$0\" \"$@\"", root.display());
    let call = scene.verb("create", &[], bundle, &scene.id());
    call.under(["unshare", "--mount", "sh", "-c", &script]).run()
}

#[test]
fn a_read_only_state_root_is_refused() {
    let Some(scene) = Scene::needing(&[Need::Program("unshare")]) else { return };
    let before = scene.snapshot();
    let script = "mount -t tmpfs -o ro none $S";
    with_state_root(&scene, script, &scene.bundle()).refused().says(&["read-only file system"]);
    before.assert_same();
}

#[test]
fn a_full_disk_below_the_state_root_is_refused_and_leaves_no_container() {
    let Some(scene) = Scene::needing(&[Need::Program("unshare")]) else { return };
    let before = scene.snapshot();
    let full = "mount -t tmpfs -o size=4k none $S && head -c 4096 /dev/zero > $S/fill";
    let inodes = "mount -t tmpfs -o nr_inodes=2 none $S";
    for script in [full, inodes] {
        let outcome = with_state_root(&scene, script, &scene.bundle()).refused();
        // runc 1.1 prints a nil error here.
        if scene.is_keel() {
            outcome.says(&["no space left on device"]);
        }
        before.assert_same();
    }
}

#[test]
fn a_state_root_that_is_a_file_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    bundle::write(&scene.state_root(), b"a file");
    scene.refused(&scene.bundle());
    fs::remove_file(scene.state_root()).expect("unlink");
}

#[test]
fn a_directory_of_somebody_else_is_not_deleted_for_a_container() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let theirs = scene.directory("home").join("precious");
    fs::create_dir_all(theirs.join("below")).expect("mkdir");
    for name in ["config.json", "letter"] {
        integration::bundle::write(&theirs.join(name), b"{}");
        let root = theirs.parent().expect("a parent");
        let call = scene.call(scene.runtime().program()).arg("--root").arg(root);
        let outcome = call.args(["delete", "--force", "precious"]).run();
        outcome.refused().says(&["is not the directory of a container"]);
        assert!(
            fs::metadata(theirs.join(name)).is_ok() && fs::metadata(theirs.join("below")).is_ok()
        );
    }
}
