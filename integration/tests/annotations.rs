//! Annotations that runc or crun act on: what keel does for them, and that none is passed over.

use std::fs;

use integration::cgroups::Layout;
use integration::console::ConsoleSocket;
use integration::{Bundle, Container, Need, Scene, skip};
use serde_json::json;

/// The supplementary groups, as the kernel tells them.
const GROUPS: &str = "grep ^Groups: /proc/self/status | tr -s '\\t ' '  '";

fn noted(bundle: Bundle, name: &str, value: &str) -> Bundle {
    bundle.set(&format!("/annotations/{}", name.replace('/', "~1")), value)
}

#[test]
fn the_callers_groups_stay_if_they_are_to_be_kept_and_else_do_not() {
    let Some(scene) = Scene::needing(&[Need::Program("setpriv")]) else { return };
    let caller = ["setpriv", "--groups", "1234,5678"];
    let bundle = || scene.bundle().set("/process/user/additionalGids", json!([7]));
    let kept = || noted(bundle(), "run.oci.keep_original_groups", "1");
    for (bundle, expected) in [
        (bundle(), "Groups: 7"),
        (noted(bundle(), "run.oci.keep_original_groups", "0"), "Groups: 7"),
        (kept(), "Groups: 1234 5678"),
        (kept().mapped(100_000), "Groups: 65534 65534"),
    ] {
        let id = scene.id();
        let bundle = bundle.sh(format!("{GROUPS}; exec sleep 1000"));
        let call = scene.verb("run", &["--detach"], &bundle, &id).under(caller).spawn();
        let output = call.stdout_path().to_owned();
        call.wait().ok();
        let container = Container::new(&scene, id, output);
        container.expect(expected);
        let exec = scene.keel(["exec", container.id(), "sh", "-c", GROUPS]).under(caller);
        assert_eq!(exec.run().ok().stdout.trim(), expected);
        container.end();
    }
}

#[test]
fn a_socket_gets_the_pidfd_of_the_first_process() {
    let Some(scene) = Scene::begin() else { return };
    let socket = scene.dir().join("pidfd");
    let listening = ConsoleSocket::at(&socket);
    let path = socket.display().to_string();
    let bundle = noted(scene.bundle(), "run.oci.pidfd_receiver", &path).sleeping();
    let container = scene.create(&bundle);
    let pidfd = listening.receive_descriptor();
    let about = format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(&pidfd));
    let about = fs::read_to_string(about).expect("about the descriptor");
    assert!(about.contains(&format!("\nPid:\t{}\n", container.pid())), "{about}");
    container.delete_force();
}

#[test]
fn clocks_are_ahead_by_what_an_annotation_says() {
    let needs = [Need::Path("/proc/self/timens_offsets")];
    let Some(scene) = Scene::needing(&needs) else { return };
    let tell = "tr -s ' ' </proc/self/timens_offsets";
    let bundle = || scene.bundle().namespace("time", None).sh(tell);
    let offset = |lines: &str| noted(bundle(), "run.oci.timens_offset", lines);
    assert_eq!(
        scene.output(&offset("monotonic 90000 5\nboottime 50000 0\n")),
        "monotonic 90000 5\nboottime 50000 0\n"
    );
    assert_eq!(scene.output(&offset("7 50000 0")), "monotonic 0 0\nboottime 50000 0\n");
    for bad in ["realtime 1 0", "monotonic 1", "monotonic 1 1000000000", "7 x 0"] {
        scene.refused(&offset(bad));
    }
}

#[test]
fn what_hooks_print_is_appended_to_files() {
    let Some(scene) = Scene::begin() else { return };
    let [out, err] = ["hooks.out", "hooks.err"].map(|name| scene.dir().join(name));
    integration::bundle::write(&out, b"before\n");
    let mut bundle = noted(scene.bundle(), "run.oci.hooks.stdout", &out.display().to_string());
    bundle = noted(bundle, "run.oci.hooks.stderr", &err.display().to_string());
    let kinds = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"];
    for kind in kinds.into_iter().chain(["poststop"]) {
        bundle = bundle.hook(kind, &format!("cat >/dev/null; echo {kind}; echo {kind} failed >&2"));
    }
    scene.start(&bundle.sleeping()).end();
    let all = [&kinds[..], &["poststop"]].concat();
    let (said, failed) = (all.join("\n"), all.join(" failed\n"));
    assert_eq!(fs::read_to_string(&out).expect("out"), format!("before\n{said}\n"));
    assert_eq!(fs::read_to_string(&err).expect("err"), format!("{failed} failed\n"));
}

#[test]
fn a_hook_that_fails_tells_what_went_to_no_file() {
    let Some(scene) = Scene::begin() else { return };
    let out = scene.dir().join("hooks.out");
    for kind in ["createRuntime", "createContainer", "startContainer"] {
        let bundle = noted(scene.bundle(), "run.oci.hooks.stdout", &out.display().to_string());
        let bundle = bundle.hook(kind, "echo to the file; echo went wrong >&2; exit 3").sleeping();
        let outcome = scene.refused(&bundle);
        if scene.is_keel() {
            let said = outcome.says(&["went wrong"]).stderr;
            assert!(!said.contains("to the file"), "{said}");
        }
    }
    assert_eq!(fs::read_to_string(&out).expect("out"), "to the file\n".repeat(3));
    let nowhere = noted(scene.bundle(), "run.oci.hooks.stdout", "/nowhere/at/all");
    scene.refused(&nowhere.hook("createRuntime", "true"));
}

#[test]
fn the_stop_signal_of_the_image_ends_a_container_unless_another_is_given() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let script = "for s in USR1 TERM; do trap \"echo $s\" $s; done; \
                  echo ready; while :; do sleep 1000 & wait; done";
    for (signal, expected) in [("SIGUSR1", "USR1"), ("10", "USR1"), ("", "TERM")] {
        let bundle = noted(scene.bundle(), "org.opencontainers.image.stopSignal", signal);
        let container = scene.start(&bundle.sh(script));
        container.expect("ready");
        container.call(&["kill"]).ok();
        container.expect(&format!("ready\n{expected}\n"));
        container.kill("TERM").ok();
        container.expect(&format!("ready\n{expected}\nTERM\n"));
        container.end();
    }
    let bundle = noted(scene.bundle(), "org.opencontainers.image.stopSignal", "moon").sleeping();
    let container = scene.start(&bundle);
    container.call(&["kill"]).refused().says(&["unknown signal \"moon\""]);
    assert_eq!(container.status(), "running");
    container.end();
}

#[test]
fn what_is_not_done_is_refused_and_what_is_not_known_is_told() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    for (name, value) in [
        ("run.oci.handler", "krun"),
        ("run.oci.delegate-cgroup", "../payload"),
        ("run.oci.systemd.subgroup", "a//b"),
        ("run.oci.systemd.force_cgroup_v1", "relative"),
        ("run.oci.keep_original_groups", "maybe"),
        ("run.oci.pidfd_receiver", "relative"),
        ("run.oci.hooks.stderr", "relative"),
        ("run.oci.mount_context_type", "moon"),
        ("run.oci.timens_offset", "monotonic 1 0"), // without a time namespace
    ] {
        scene.refused(&noted(scene.bundle(), name, value)).says(&[name]);
    }
    scene.run(&noted(scene.bundle(), "run.oci.systemd.subgroup", "").sh("true")).ok();
    for (name, value, why) in [
        ("run.oci.systemd.subgroup", "payload", "systemd does not make"),
        ("run.oci.systemd.force_cgroup_v1", "/nowhere", "no mount has this destination"),
    ] {
        let bundle = noted(scene.bundle(), name, value).sh("true");
        scene.run(&bundle).ok().says(&[why]);
        scene.verb("run", &["--strict"], &bundle, &scene.id()).run().refused();
    }
    for name in ["run.oci.moon", "run.oci.seccomp.moon", "krun.cpus", "module.wasm.image/variant"] {
        let bundle = noted(scene.bundle(), name, "1").sh("echo runs");
        let outcome = scene.run(&bundle).ok().says(&["does not know this annotation"]);
        assert_eq!(outcome.stdout, "runs\n");
        scene.verb("run", &["--strict"], &bundle, &scene.id()).run().refused();
        let container = scene.start(&noted(scene.bundle(), name, "1").sleeping());
        let exec = scene.keel(["exec", container.id(), "true"]).run().ok();
        assert_eq!(exec.stderr, "", "it was told once");
        container.end();
        let told = scene.keel(["check".as_ref(), bundle.dir().as_os_str()]).run().ok().stdout;
        assert!(told.contains("degraded") && told.contains("does not know this"), "{told}");
    }
    let known = noted(scene.bundle(), "org.opencontainers.image.author", "me").sh("true");
    scene.verb("run", &["--strict"], &known, &scene.id()).run().ok();
}

/// What a process says of its cgroup of v2.
const CGROUP: &str = "grep ^0:: /proc/self/cgroup";

#[test]
fn a_container_manages_a_cgroup_below_its_own() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let bundle = || {
        let bundle = scene.bundle().namespace("cgroup", None);
        noted(bundle, "run.oci.delegate-cgroup", "payload")
    };
    if !Layout::here().is_v2() {
        scene.refused(&bundle()).says(&["needs cgroup v2 alone"]);
        return skip("no pure cgroup v2 here");
    }
    let script = format!("{CGROUP}; exec sleep 1000");
    let container = scene.start(&bundle().sh(script));
    container.expect("0::/payload\n");
    let seen = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("cgroup");
    let line = seen.lines().find_map(|line| line.strip_prefix("0::")).expect("cgroup v2");
    assert!(line.starts_with(&scene.cgroup()) && line.ends_with("/payload"), "{seen}");
    let exec = scene.keel(["exec", container.id(), "sh", "-c", CGROUP]).run().ok();
    assert_eq!(exec.stdout, "0::/\n");
    let listed = scene.keel(["ps", "--format", "json", container.id()]).run().ok().stdout;
    assert!(listed.contains(&container.pid().to_string()), "{listed}");
    container.end();
}

#[test]
fn a_mount_becomes_systemds_hierarchy_of_cgroup_v1() {
    let needs = [Need::Keel, Need::Path("/sys/fs/cgroup/systemd/cgroup.procs")];
    let Some(scene) = Scene::needing(&needs) else { return };
    let name = "run.oci.systemd.force_cgroup_v1";
    let bundle = || {
        let bundle = scene.bundle().mount("bind", "/etc", "/hierarchy", &["rbind", "ro", "nosuid"]);
        noted(bundle, name, "/hierarchy").namespace("cgroup", None)
    };
    let script = "grep ' /hierarchy ' /proc/self/mountinfo; ls /hierarchy/cgroup.procs";
    let seen = scene.output(&bundle().sh(script));
    assert!(seen.contains("/ /hierarchy ro,nosuid"), "{seen}");
    assert!(seen.contains(" - cgroup cgroup ") && seen.contains("name=systemd"), "{seen}");
    assert!(seen.ends_with("/hierarchy/cgroup.procs\n"), "{seen}");
    scene.refused(&bundle().without_namespace("cgroup")).says(&["needs a new cgroup namespace"]);
}
