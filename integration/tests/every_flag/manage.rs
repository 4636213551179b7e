//! The commands for a container that is there.

use std::fs;

use integration::{Container, Scene};
use serde_json::{Value, json};

use crate::{Case, path};

pub(crate) const CASES: &[Case] = &[
    ("state", "", |scene| {
        assert_eq!(running(scene).state()["status"], "running");
    }),
    ("kill", "", |scene| {
        let container = running(scene);
        container.kill("KILL").ok();
        container.until("stopped");
    }),
    ("kill", "--all", |scene| {
        // Of a container that has stopped there are no processes, which is no failure of --all.
        let container = running(scene);
        container.kill("KILL").ok();
        container.until("stopped");
        scene.keel(["kill", container.id()]).run().exits(1);
        scene.keel(["kill", "--all", container.id()]).run().ok();
    }),
    ("kill", "--regex", |scene| {
        let containers = [running(scene), running(scene)];
        scene.keel(["kill", "--regex", scene.tag(), "KILL"]).run().ok();
        containers.iter().for_each(|container| container.until("stopped"));
    }),
    ("mounts", "", |scene| {
        let container = running(scene);
        let list = path(scene, "mounts.json");
        let mount = json!([{ "destination": "/tmp", "type": "tmpfs", "options": ["size=64k"] }]);
        integration::bundle::write(list.as_ref(), mount.to_string().as_bytes());
        let mounted = || {
            let words = ["exec", container.id(), "grep", "-c", " /tmp tmpfs ", "/proc/mounts"];
            scene.keel(words).run().stdout
        };
        scene.keel(["mounts", "add", container.id(), &list]).run().ok();
        assert_eq!(mounted(), "1\n");
        scene.keel(["mounts", "remove", container.id(), &list]).run().ok();
        assert_eq!(mounted(), "0\n");
    }),
    ("wait", "", |scene| {
        assert_eq!(scene.keel(["wait", &ended(scene)]).run().ok().stdout, "4\n");
    }),
    ("wait", "--format", |scene| {
        let ending = scene.keel(["wait", "--format", "json", &ended(scene)]).run().ok().stdout;
        let ending: Value = serde_json::from_str(&ending).expect("JSON");
        assert_eq!(ending["exitCode"], 4);
    }),
    ("delete", "", |scene| {
        let container = scene.start(&scene.bundle());
        container.until("stopped");
        container.call(&["delete"]).ok();
        assert_eq!(ids(scene, &[]), [""; 0]);
    }),
    ("delete", "--force", |scene| {
        let container = running(scene);
        container.call(&["delete"]).refused();
        container.call(&["delete", "--force"]).ok();
        assert_eq!(ids(scene, &[]), [""; 0]);
        container.call(&["delete", "--force"]).ok();
    }),
    ("delete", "--regex", |scene| {
        let (_, _) = (running(scene), running(scene));
        scene.keel(["delete", "--force", "--regex", scene.tag()]).run().ok();
        assert_eq!(ids(scene, &[]), [""; 0]);
    }),
    ("list", "", |scene| {
        let container = running(scene);
        let table = scene.keel(["list"]).run().ok().stdout;
        assert!(table.starts_with("ID ") && table.contains(container.id()), "{table}");
    }),
    ("list", "--format", |scene| {
        let container = running(scene);
        let list = scene.keel(["list", "--format", "json"]).run().ok().stdout;
        let list: Value = serde_json::from_str(&list).expect("JSON");
        assert_eq!(list[0]["id"], container.id());
    }),
    ("list", "--quiet", |scene| {
        let container = running(scene);
        assert_eq!(ids(scene, &[]), [container.id()]);
    }),
    ("list", "--status", |scene| {
        let (one, other) = (running(scene), scene.create(&scene.bundle().sleeping()));
        assert_eq!(ids(scene, &["--status", "running"]), [one.id()]);
        assert_eq!(ids(scene, &["--status", "created"]), [other.id()]);
    }),
    ("explain", "", |scene| {
        let bundle = scene.bundle();
        bundle.save();
        let call = scene.keel(["explain"]).arg(bundle.dir());
        assert!(call.run().ok().stdout.contains("execute /bin/true"));
        assert_eq!(ids(scene, &[]), [""; 0]);
    }),
    ("explain", "--config", |scene| {
        let bundle = scene.bundle();
        let config = path(scene, "other.json");
        let other = bundle.clone().args(["/bin/other"]).config().to_string();
        integration::bundle::write(config.as_ref(), other.as_bytes());
        let plan = explain(scene, &["--config", &config]);
        assert!(plan.contains("execute /bin/other"), "{plan}");
    }),
    ("explain", "--format", |scene| {
        let plan: Value =
            serde_json::from_str(&explain(scene, &["--format", "json"])).expect("JSON");
        assert!(plan["phases"].as_array().is_some_and(|phases| !phases.is_empty()));
    }),
    ("explain", "--for", |scene| {
        let plan = explain(scene, &["--for", "exec"]);
        assert!(!plan.contains("enter the rootfs"), "{plan}");
    }),
    ("explain", "--no-pivot", |scene| {
        assert_ne!(explain(scene, &["--no-pivot"]), explain(scene, &[]));
    }),
    ("explain", "--id", |scene| {
        let plan = explain(scene, &["--id", "some-id", "--format", "json"]);
        assert_ne!(plan, explain(scene, &["--id", "other-id", "--format", "json"]));
    }),
];

fn running(scene: &Scene) -> Container<'_> {
    scene.start(&scene.bundle().sleeping())
}

/// A container that has ended with 4, and of which that is known.
fn ended(scene: &Scene) -> String {
    let id = scene.id();
    scene.verb("run", &["--keep"], &scene.bundle().sh("exit 4"), &id).run().exits(4);
    id
}

/// The ids that `list` writes.
fn ids(scene: &Scene, options: &[&str]) -> Vec<String> {
    let words = [&["list", "--quiet"], options].concat();
    scene.keel(words).run().ok().stdout.lines().map(str::to_owned).collect()
}

/// The plan for a bundle of which only the cgroup depends on the id.
fn explain(scene: &Scene, options: &[&str]) -> String {
    let dir = scene.dir().join("explained");
    if fs::symlink_metadata(&dir).is_err() {
        let bundle = scene.bundle().unset("/linux/cgroupsPath");
        bundle.save();
        fs::rename(bundle.dir(), &dir).expect("a bundle");
    }
    scene.keel(["explain"]).args(options).arg(dir).run().ok().stdout
}
