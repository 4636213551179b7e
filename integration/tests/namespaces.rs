//! Namespaces: new ones, joined ones, shared ones, in several mixes.

use std::fs;
use std::path::Path;

use integration::console::ConsoleSocket;
use integration::holder::Holder;
use integration::{Bundle, Need, Scene};
use serde_json::json;

/// Namespaces of `/proc/PID/ns` and what the configuration calls them.
const KINDS: [(&str, &str); 6] = [
    ("pid", "pid"),
    ("net", "network"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("mnt", "mount"),
    ("cgroup", "cgroup"),
];

fn link(path: impl AsRef<Path>) -> String {
    fs::read_link(path).expect("a namespace").to_string_lossy().into_owned()
}

/// The bundle with a payload that prints one namespace a line.
fn telling(bundle: Bundle) -> Bundle {
    bundle.sh("for n in pid net ipc uts mnt cgroup user; do readlink /proc/self/ns/$n; done")
}

#[test]
fn every_namespace_of_the_list_is_new_and_the_others_are_the_hosts() {
    let Some(scene) = Scene::begin() else { return };
    for without in ["", "pid", "network", "ipc", "uts", "cgroup"] {
        let mut bundle = telling(scene.bundle()).namespace("cgroup", None);
        if !without.is_empty() {
            bundle = bundle.without_namespace(without);
        }
        if without == "uts" {
            bundle = bundle.unset("/hostname");
        }
        let output = scene.output(&bundle);
        let lines: Vec<&str> = output.lines().collect();
        for (line, (name, kind)) in lines.iter().zip(KINDS) {
            let shared = *line == link(format!("/proc/self/ns/{name}"));
            assert_eq!(shared, kind == without, "{kind} without {without}: {output}");
        }
        assert_eq!(lines[6], link("/proc/self/ns/user"));
    }
}

#[test]
fn namespaces_are_joined_by_path_one_at_a_time() {
    let Some(scene) = Scene::needing(&[Need::Program("unshare")]) else { return };
    let holder = Holder::with(&["--net", "--ipc", "--uts", "--cgroup", "--mount"]);
    for (number, (name, kind)) in KINDS.iter().enumerate() {
        if matches!(*name, "pid" | "mnt") {
            continue;
        }
        let path = holder.path(name);
        let mut bundle = telling(scene.bundle()).namespace(kind, Some(&path));
        if *kind == "uts" {
            bundle = bundle.unset("/hostname");
        }
        let output = scene.output(&bundle);
        assert_eq!(output.lines().nth(number), Some(link(&path).as_str()), "{kind}: {output}");
    }
}

#[test]
fn a_mix_of_new_joined_and_shared_namespaces_works() {
    let Some(scene) = Scene::needing(&[Need::Program("unshare")]) else { return };
    let holder = Holder::with(&["--net", "--ipc", "--uts"]);
    let bundle = telling(scene.bundle())
        .namespace("network", Some(&holder.path("net")))
        .namespace("ipc", Some(&holder.path("ipc")))
        .without_namespace("uts")
        .unset("/hostname");
    let output = scene.output(&bundle);
    let lines: Vec<&str> = output.lines().collect();
    assert_ne!(lines[0], link("/proc/self/ns/pid"));
    assert_eq!(lines[1], link(holder.path("net")));
    assert_eq!(lines[2], link(holder.path("ipc")));
    assert_eq!(lines[3], link("/proc/self/ns/uts"));
}

#[test]
fn the_pid_namespace_of_another_container_can_be_joined() {
    let Some(scene) = Scene::begin() else { return };
    let first = scene.start(&scene.bundle().sleeping());
    let path = format!("/proc/{}/ns/pid", first.pid());
    let bundle = telling(scene.bundle()).namespace("pid", Some(&path));
    assert_eq!(scene.output(&bundle).lines().next(), Some(link(&path).as_str()));
    let bundle = scene.bundle().namespace("pid", Some(&path)).sh("echo $$");
    let number: u32 = scene.output(&bundle).trim().parse().expect("a pid");
    assert!(number > 1, "{number}");
    first.end();
}

#[test]
fn killing_a_container_in_a_joined_pid_namespace_leaves_the_others_alone() {
    let Some(scene) = Scene::begin() else { return };
    let first = scene.start(&scene.bundle().sleeping());
    let path = format!("/proc/{}/ns/pid", first.pid());
    let bundle = scene.bundle().namespace("pid", Some(&path)).sh("sleep 1000 & echo up; wait");
    let second = scene.start(&bundle);
    second.expect("up");
    second.delete_force();
    assert_eq!(first.status(), "running");
    first.end();
}

#[test]
fn a_process_in_a_joined_pid_namespace_leads_its_session_and_controls_its_terminal() {
    let Some(scene) = Scene::needing(&[Need::Program("unshare")]) else { return };
    let holder = Holder::with(&["--pid", "--fork", "--kill-child"]);
    let pid_namespace = holder.path("pid_for_children");
    let bundle = || scene.bundle().namespace("pid", Some(&pid_namespace));
    // The fields after the name are state, parent, group and session.
    let script = "read pid name state parent group session rest </proc/self/stat; \
                  [ $pid = $session ] && echo leads";
    assert_eq!(scene.output(&bundle().sh(script)), "leads\n");

    let path = scene.dir().join("console");
    let socket = ConsoleSocket::at(&path);
    let options = ["--console-socket", path.to_str().expect("UTF-8")];
    let bundle = bundle().set("/process/terminal", true).sh("echo to it >/dev/tty");
    let container = scene.create_with(&options, &bundle);
    let mut terminal = socket.receive();
    container.start();
    terminal.expect("to it");
    container.until("stopped");
    container.delete();
}

#[test]
fn a_path_of_the_wrong_type_is_refused() {
    let Some(scene) = Scene::needing(&[Need::Program("unshare")]) else { return };
    let before = scene.snapshot();
    let holder = Holder::with(&["--net", "--ipc", "--uts"]);
    for (kind, name) in [("network", "ipc"), ("ipc", "net"), ("uts", "net"), ("pid", "uts")] {
        let bundle = scene.bundle().namespace(kind, Some(&holder.path(name)));
        let bundle = if kind == "uts" { bundle.unset("/hostname") } else { bundle };
        scene.refused(&bundle);
    }
    before.assert_same();
}

#[test]
fn the_loopback_device_of_a_new_network_namespace_is_up() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sh("cat /sys/class/net/lo/flags; ls /sys/class/net; ip -4 addr");
    let output = scene.output(&bundle);
    let flags = output.lines().next().and_then(|line| line.strip_prefix("0x"));
    let flags = u32::from_str_radix(flags.expect("flags in hex"), 16).expect("a number");
    assert_eq!(flags & 1, 1, "IFF_UP: {output}");
    assert!(output.contains("127.0.0.1"), "{output}");
}

#[test]
fn the_loopback_device_of_a_joined_network_namespace_is_left_as_it_is() {
    let Some(scene) = Scene::needing(&[Need::Program("unshare")]) else { return };
    let holder = Holder::with(&["--net"]);
    let bundle = scene.bundle().namespace("network", Some(&holder.path("net")));
    let output = scene.output(&bundle.sh("cat /sys/class/net/lo/flags"));
    assert_eq!(output, "0x8\n");
}

#[test]
fn without_a_mount_namespace_the_container_sees_the_hosts_mounts_and_changes_none() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let bundle = scene
        .bundle()
        .without_namespace("mount")
        .set("/mounts", json!([]))
        .set("/root/readonly", false)
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]));
    let outcome = scene.run(&bundle.sh("echo inside; ls /"));
    // A runtime may refuse this; the host must stay as it is in any case.
    if outcome.status.success() {
        assert!(outcome.stdout.starts_with("inside\n"), "{outcome:?}");
    } else {
        outcome.refused();
    }
    before.assert_same();
}

#[test]
fn a_process_in_a_new_pid_namespace_is_number_one() {
    let Some(scene) = Scene::begin() else { return };
    let output = scene.output(&scene.bundle().sh("echo $$; ls -d /proc/[0-9]* | head -n 1"));
    assert_eq!(output, "1\n/proc/1\n");
}

#[test]
fn the_children_of_a_process_whose_pid_namespace_is_new_end_with_it() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sh("setsid sleep 1000 & setsid sleep 1001 & echo up");
    let before = scene.snapshot();
    assert_eq!(scene.output(&bundle), "up\n");
    before.assert_same();
}

#[test]
fn the_cgroup_namespace_hides_where_the_container_is() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().namespace("cgroup", None).args(["/bin/cat", "/proc/self/cgroup"]);
    let output = scene.output(&bundle);
    assert!(output.lines().all(|line| line.ends_with(":/")), "{output}");
    let shared = scene.output(&scene.bundle().args(["/bin/cat", "/proc/self/cgroup"]));
    assert!(shared.contains(scene.tag()), "{shared}");
}
