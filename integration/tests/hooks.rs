//! Hooks: when they run, where, with what, and what their failure means.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use integration::{Bundle, Need, Scene};
use serde_json::{Value, json};

const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Hooks that run in the runtime's namespaces, with its files.
const OUTSIDE: [&str; 4] = ["prestart", "createRuntime", "poststart", "poststop"];

/// What was written to a file so far.
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A bundle whose hooks and process each add a line to one file, which is bound into the container.
fn logging(scene: &Scene) -> (Bundle, std::path::PathBuf) {
    let log = scene.directory("log");
    let mut bundle = scene.bundle().bind(&log, "/log", &["rw"]);
    for kind in KINDS {
        let path = if kind == "startContainer" { "/log/order".into() } else { log.join("order") };
        bundle = bundle.hook(kind, &format!("echo {kind} >>{}", path.display()));
    }
    // createContainer runs in the container's namespaces, but before the root is changed.
    (bundle.sh("echo process >>/log/order; sleep 0.3"), log.join("order"))
}

#[test]
fn the_hooks_run_in_the_order_of_the_specification() {
    let Some(scene) = Scene::begin() else { return };
    let (bundle, log) = logging(&scene);
    let container = scene.create(&bundle);
    assert_eq!(read(&log), "prestart\ncreateRuntime\ncreateContainer\n");
    container.start();
    container.until("stopped");
    let order = read(&log);
    let lines: Vec<&str> = order.lines().skip(3).collect();
    assert_eq!(lines[0], "startContainer");
    let mut rest = lines[1..].to_vec();
    rest.sort_unstable();
    assert_eq!(rest, ["poststart", "process"], "{order}");
    container.delete();
    assert!(read(&log).ends_with("poststop\n"), "{}", read(&log));
}

#[test]
fn hooks_of_one_kind_run_in_the_order_of_the_list() {
    let Some(scene) = Scene::begin() else { return };
    let log = scene.dir().join("order");
    let mut bundle = scene.bundle();
    for number in 0..10 {
        bundle = bundle.hook("createRuntime", &format!("echo {number} >>{}", log.display()));
    }
    scene.run(&bundle).ok();
    assert_eq!(read(&log), "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
}

#[test]
fn a_hook_gets_the_state_on_stdin() {
    let Some(scene) = Scene::begin() else { return };
    let dir = scene.directory("states");
    let mut bundle = scene.bundle().set("/annotations", json!({ "a": "b" }));
    for kind in OUTSIDE {
        bundle = bundle.hook(kind, &format!("cat >{}/{kind}", dir.display()));
    }
    let id = scene.id();
    scene.verb("run", &[], &bundle, &id).run().ok();
    for (kind, statuses) in [
        ("prestart", &["creating", "created"][..]),
        ("createRuntime", &["creating", "created"]),
        ("poststart", &["running"]),
        ("poststop", &["stopped"]),
    ] {
        let text = read(&dir.join(kind));
        let state: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        assert_eq!(state["id"], id.as_str(), "{kind}");
        assert_eq!(state["bundle"], bundle.dir().to_str().expect("UTF-8"), "{kind}");
        assert_eq!(state["annotations"]["a"], "b", "{kind}: {state}");
        assert!(state["ociVersion"].is_string(), "{kind}");
        let status = state["status"].as_str().expect("a status");
        // runc before 1.6 runs poststart hooks at the end of create.
        let early = !scene.is_keel() && kind == "poststart" && status == "created";
        assert!(early || statuses.contains(&status), "{kind}: {status}");
        if kind != "poststop" {
            assert!(state["pid"].as_i64().is_some_and(|pid| pid > 1), "{kind}: {state}");
        }
    }
}

#[test]
fn hooks_run_in_the_namespaces_of_their_side() {
    let Some(scene) = Scene::begin() else { return };
    let log = scene.directory("log");
    let mut bundle = scene.bundle().writable().bind(&log, "/log", &["rw"]);
    for kind in OUTSIDE {
        let line = format!("readlink /proc/self/ns/mnt >{}/{kind}", log.display());
        bundle = bundle.hook(kind, &line);
    }
    let created = format!("readlink /proc/self/ns/mnt >{}/createContainer", log.display());
    bundle = bundle.hook("createContainer", &created);
    bundle = bundle.hook("startContainer", "readlink /proc/self/ns/mnt >/log/startContainer");
    scene.run(&bundle.sh("readlink /proc/self/ns/mnt >/log/process; sleep 0.2")).ok();
    let host = fs::read_link("/proc/self/ns/mnt").expect("a namespace");
    let host = format!("{}\n", host.display());
    let inside = read(&log.join("process"));
    assert_ne!(inside, host);
    for kind in KINDS {
        let expected = if OUTSIDE.contains(&kind) { &host } else { &inside };
        assert_eq!(&read(&log.join(kind)), expected, "{kind}");
    }
}

#[test]
fn a_hook_gets_its_own_environment_and_name() {
    let Some(scene) = Scene::begin() else { return };
    let out = scene.dir().join("hook-output");
    let script = scene.dir().join("hook");
    let text = format!("#!/bin/sh\nexec >{}\necho $0 $1; /usr/bin/env | sort\n", out.display());
    integration::bundle::write(&script, text.as_bytes());
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("chmod");
    let hook = json!([{
        "path": "/bin/sh", "args": ["named", script.to_str(), "one"], "env": ["A=1", "B=2"]
    }]);
    let bundle = scene.bundle().set("/hooks/createRuntime", hook);
    let call = scene.verb("run", &[], &bundle, &scene.id()).env("SECRET", "of-the-caller");
    call.run().ok();
    let text = read(&out);
    assert!(text.contains("A=1\nB=2\n"), "{text}");
    assert!(!text.contains("SECRET"), "{text}");
}

#[test]
fn a_hook_that_takes_too_long_is_killed_and_fails() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let hook = json!([{ "path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1 }]);
    let begun = Instant::now();
    scene.refused(&scene.bundle().set("/hooks/createRuntime", hook));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    before.assert_same();
}

#[test]
fn a_failing_hook_before_the_process_undoes_the_container() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let marker = scene.dir().join(kind);
        let bundle = scene.bundle().hook(kind, "echo reason >&2; exit 7");
        let bundle = bundle.hook("poststop", &format!("echo ran >{}", marker.display()));
        let outcome = scene.verb("create", &[], &bundle, &scene.id()).run().refused();
        assert!(outcome.stderr.contains("hook"), "{kind}: {outcome:?}");
        before.assert_same();
    }
}

#[test]
fn a_failing_start_container_hook_stops_the_container() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().hook("startContainer", "exit 7").sh("echo ran");
    let container = scene.create(&bundle);
    container.call(&["start"]).refused();
    // runc leaves it stopped; keel goes on to destroy it (runtime.md, "Lifecycle").
    let state = container.call(&["state"]);
    assert!(!state.status.success() || state.stdout.contains("stopped"), "{state:?}");
    assert_eq!(container.output(), "");
    container.delete_force();
}

#[test]
fn a_failing_poststart_hook_stops_the_container() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.create(&scene.bundle().hook("poststart", "exit 7").sleeping());
    container.call(&["start"]).refused();
    let state = container.call(&["state"]);
    assert!(!state.status.success() || state.stdout.contains("stopped"), "{state:?}");
    container.delete_force();
}

#[test]
fn a_failing_poststop_hook_is_told_and_the_container_is_deleted_all_the_same() {
    let Some(scene) = Scene::begin() else { return };
    let marker = scene.dir().join("second");
    let bundle = scene.bundle().hook("poststop", "exit 7");
    let bundle = bundle.hook("poststop", &format!("echo ran >{}", marker.display()));
    let container = scene.start(&bundle);
    container.until("stopped");
    let outcome = container.call(&["delete"]).ok();
    assert!(outcome.stderr.contains("hook"), "{outcome:?}");
    container.call(&["state"]).refused().says(&["does not exist"]);
    assert_eq!(read(&marker), "ran\n", "the hooks after a failing one run too");
}

#[test]
fn a_hook_that_does_not_read_its_stdin_is_no_failure() {
    let Some(scene) = Scene::begin() else { return };
    let notes: serde_json::Map<_, _> =
        (0..3000).map(|n| (format!("key{n}"), json!("v".repeat(50)))).collect();
    let mut bundle = scene.bundle().set("/annotations", notes);
    for kind in OUTSIDE {
        bundle = bundle.set(&format!("/hooks/{kind}"), json!([{ "path": "/bin/true" }]));
    }
    scene.run(&bundle.hook("createRuntime", "exec <&-; sleep 0.05")).ok();
}

// dockerd builds the container's network in this hook, through the pid in the state.
#[test]
fn a_prestart_hook_can_enter_the_network_namespace_before_the_process_begins() {
    let Some(scene) = Scene::needing(&[Need::Program("nsenter"), Need::Program("ip")]) else {
        return;
    };
    let script = "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/' | tr -d '\\n'); \
        nsenter --net=/proc/$pid/ns/net ip link add eth7 type dummy || \
        nsenter --net=/proc/$pid/ns/net ip link set lo mtu 1234";
    let bundle = scene.bundle().hook("prestart", script).sh("ip link");
    let output = scene.output(&bundle);
    assert!(output.contains("eth7") || output.contains("mtu 1234"), "{output}");
}
