//! The configurations that `spec` writes can be run as they are, by root and by an ordinary user,
//! and `create` and `run` take another configuration than the bundle's.

use std::fs;
use std::os::unix::fs::chown;

use integration::{Bundle, Need, Scene, bundle};
use serde_json::Value;

const USER: u32 = 47_110;
const GROUP: u32 = 47_111;

/// What a container of a written configuration shall do, in place of a shell on a terminal.
fn edited(path: &std::path::Path, script: &str) {
    let mut config: Value =
        serde_json::from_slice(&fs::read(path).expect("written")).expect("JSON");
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = serde_json::json!(["/bin/sh", "-c", script]);
    bundle::write(path, config.to_string().as_bytes());
}

#[test]
fn the_configuration_that_is_written_can_be_run() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle();
    scene.keel(["spec", "--bundle"]).arg(bundle.dir()).run().ok();
    edited(&bundle.dir().join("config.json"), "id -u; hostname; echo $TERM");
    let call = scene.keel(["run", "--bundle"]).arg(bundle.dir()).arg(scene.id());
    let said = call.run().ok().stdout;
    let host = if scene.is_keel() { "keel" } else { scene.runtime().kind().name() };
    assert_eq!(said, format!("0\n{host}\nxterm\n"));
}

/// A directory of the ordinary user with a root file system.
fn of_user(scene: &Scene) -> Bundle {
    let bundle = scene.bundle();
    chown(bundle.dir(), Some(USER), Some(GROUP)).expect("chown");
    chown(bundle.rootfs(), Some(USER), Some(GROUP)).expect("chown");
    bundle
}

#[test]
fn an_ordinary_user_can_write_a_configuration_and_run_it() {
    let Some(scene) = Scene::needing(&[Need::Program("setpriv")]) else { return };
    let bundle = of_user(&scene);
    let state = scene.directory("user-state");
    chown(&state, Some(USER), Some(GROUP)).expect("chown");
    let (uid, gid) = (format!("--reuid={USER}"), format!("--regid={GROUP}"));
    let user = |words: &[&str]| {
        let call = scene.call("setpriv").args([&uid, &gid, "--clear-groups"]);
        call.arg(scene.runtime().program()).arg("--root").arg(&state).args(words)
    };
    user(&["spec", "--rootless"]).cwd(bundle.dir()).run().ok();
    let path = bundle.dir().join("config.json");
    let config: Value = serde_json::from_slice(&fs::read(&path).expect("written")).expect("JSON");
    let linux = &config["linux"];
    for (list, id) in [("uidMappings", USER), ("gidMappings", GROUP)] {
        let expected = serde_json::json!([{ "containerID": 0, "hostID": id, "size": 1 }]);
        assert_eq!(linux[list], expected);
    }
    assert!(linux.get("resources").is_none(), "{linux}");
    edited(&path, "id -u; id -g; readlink /proc/self/ns/net; ls -d /sys/class/net");
    let id = scene.id();
    let said = user(&["run", &id]).cwd(bundle.dir()).run().ok().stdout;
    let network = fs::read_link("/proc/self/ns/net").expect("a network namespace");
    assert_eq!(said, format!("0\n0\n{}\n/sys/class/net\n", network.display()));
}

#[test]
fn another_configuration_than_the_bundles_counts_from_the_working_directory() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let bundle = scene.bundle().args(["/bin/echo", "the bundle's"]);
    bundle.save();
    let elsewhere = scene.directory("elsewhere");
    for (dir, word) in [(&elsewhere, "elsewhere"), (&bundle.dir().to_owned(), "beside")] {
        let config = bundle.clone().args(["/bin/echo", word]).config().to_string();
        bundle::write(&dir.join("other.json"), config.as_bytes());
    }
    let dir = bundle.dir().to_str().expect("UTF-8");
    let absolute = bundle.dir().join("other.json");
    for (file, expected) in
        [("other.json", "elsewhere\n"), (absolute.to_str().expect("UTF-8"), "beside\n")]
    {
        for flag in ["--config", "-f"] {
            let call = scene.keel(["run", "--bundle", dir, flag, file, &scene.id()]);
            assert_eq!(call.cwd(&elsewhere).run().ok().stdout, expected);
        }
    }
    let explained = scene.keel(["explain", "--config", "other.json", dir]).cwd(&elsewhere).run();
    assert!(explained.ok().stdout.contains("execute /bin/echo elsewhere"));
    let call = scene.keel(["create", "--bundle", dir, "--config", "missing.json", &scene.id()]);
    call.cwd(&elsewhere).run().refused().says(&["missing.json"]);
}

#[test]
fn create_takes_the_flag_by_which_run_adopts_no_orphans() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let container = scene.create_with(&["--no-subreaper"], &scene.bundle().sleeping());
    let status = fs::read_to_string(format!("/proc/{}/status", container.pid())).expect("there");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).expect("a parent");
    let name = fs::read_to_string(format!("/proc/{parent}/comm")).expect("it is there");
    assert_ne!(name, "keel\n");
    container.end();
}
