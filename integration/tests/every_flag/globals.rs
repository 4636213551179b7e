//! The flags that stand before the command.

use std::fs;

use integration::cgroups::Layout;
use integration::{Need, Scene};
use serde_json::Value;

use crate::{Case, path};

pub(crate) const CASES: &[Case] = &[
    ("", "--root", |scene| {
        let container = scene.create(&scene.bundle().sleeping());
        let list = |root: &str| {
            let call = scene.call(scene.runtime().program()).args(["--root", root, "list", "-q"]);
            call.run().ok().stdout
        };
        assert_eq!(list(&path(scene, "state")), format!("{}\n", container.id()));
        assert_eq!(list(&path(scene, "elsewhere")), "");
    }),
    ("", "--log", |scene| {
        let log = path(scene, "log");
        scene.keel(["--log", &log, "state", "web"]).run().exits(1);
        assert!(fs::read_to_string(log).expect("the log").contains("level=error"));
    }),
    ("", "--log-format", |scene| {
        let outcome = scene.keel(["--log-format", "json", "state", "web"]).run().exits(1);
        let line: Value = serde_json::from_str(&outcome.stderr).expect("JSON");
        assert_eq!(line["level"], "error");
    }),
    ("", "--log-level", |scene| {
        let said = logged(scene, &["--log-level", "error"]);
        assert!(!said.contains("warning"), "{said}");
    }),
    ("", "--debug", |scene| {
        let said = logged(scene, &["--debug"]);
        assert!(said.contains("keel: debug: "), "{said}");
    }),
    // Refused until it can be applied.
    ("", "--systemd-cgroup", |scene| systemd(scene, "--systemd-cgroup")),
    ("", "--cgroup-manager", |scene| {
        systemd(scene, "--cgroup-manager=systemd");
        let bundle = scene.bundle().unset("/linux/resources").unset("/linux/cgroupsPath");
        bundle.sleeping().save();
        let id = scene.id();
        let words = ["--cgroup-manager", "disabled", "run", "--detach", "--bundle"];
        scene.keel(words).arg(bundle_dir(scene, &id)).arg(&id).run().ok();
        let own: Vec<_> = Layout::here().holding(&id).into_iter().collect();
        assert!(own.is_empty(), "{own:?}");
    }),
    ("", "--rootless", |scene| {
        // The same root, in a place where nobody can make a cgroup.
        let bundle = scene.bundle().unset("/linux/resources").unset("/linux/cgroupsPath");
        bundle.save();
        let readonly = "findmnt --noheadings --raw --output TARGET --types cgroup,cgroup2 |
            while read on; do mount -o remount,bind,ro $on; done && exec \"$@\"";
        let call = |word: &str| {
            let call = scene.keel(["--rootless", word, "run", "--bundle"]).arg(bundle.dir());
            call.arg(scene.id()).under(["unshare", "--mount", "sh", "-c", readonly, "sh"]).run()
        };
        let said = call("true").ok().stderr;
        assert!(said.contains("the container stays in the caller's"), "{said}");
        for word in ["auto", "false"] {
            call(word).refused().says(&["read-only file system"]);
        }
    }),
    ("", "--version", |scene| {
        let said = scene.keel(["--version"]).run().ok().stdout;
        assert!(said.starts_with("keel version "), "{said}");
    }),
];

/// What is logged about a container that asks for something unknown.
fn logged(scene: &Scene, flags: &[&str]) -> String {
    let bundle = scene.bundle().set("/process/capabilities/bounding/-", "CAP_MOON");
    bundle.save();
    let call = scene.keel(flags).args(["run", "--bundle"]).arg(bundle.dir()).arg(scene.id());
    call.run().ok().stderr
}

fn systemd(scene: &Scene, flag: &str) {
    let id = scene.id();
    let bundle = scene.bundle().set("/linux/cgroupsPath", format!("system.slice:keel:{id}"));
    bundle.save();
    let outcome = scene.keel([flag, "create", "--bundle"]).arg(bundle.dir()).arg(&id).run();
    if !Need::Systemd.met() {
        return drop(outcome.refused().says(&["cannot ask systemd"]));
    }
    outcome.ok();
    let unit = format!("keel-{id}.scope");
    assert_eq!(scene.call("systemctl").args(["is-active", &unit]).run().ok().stdout, "active\n");
    scene.keel(["delete", "--force", &id]).run().ok();
}

/// A bundle without cgroups of its own, saved.
fn bundle_dir(scene: &Scene, id: &str) -> std::path::PathBuf {
    let bundle = scene.bundle().unset("/linux/resources").unset("/linux/cgroupsPath");
    let bundle = bundle.args(["/bin/sleep", "1000"]).set("/hostname", id);
    bundle.save();
    bundle.dir().to_owned()
}
