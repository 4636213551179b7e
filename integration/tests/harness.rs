//! The harness itself: a check of the host that notices nothing would let every test pass.

use std::cell::RefCell;
use std::fs;
use std::process::Command;
use std::time::Duration;

use integration::cgroups::Layout;
use integration::runtime::until;
use integration::{Bundle, Scene};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// What a snapshot says after something was done to the host.
fn noticed(scene: &Scene, change: impl FnOnce(), undo: impl FnOnce()) -> String {
    let before = scene.snapshot();
    before.assert_same();
    change();
    let mut difference = None;
    until("the change to be noticed", || {
        difference = before.difference_within(Duration::ZERO);
        difference.is_some()
    });
    undo();
    before.assert_same();
    difference.expect("it was just there")
}

#[test]
fn a_snapshot_notices_a_mount() {
    let Some(scene) = Scene::begin() else { return };
    let dir = scene.directory("mount");
    let nothing = None::<&str>;
    let said = noticed(
        &scene,
        || mount(Some("x"), &dir, Some("tmpfs"), MsFlags::empty(), nothing).expect("mount"),
        || umount2(&dir, MntFlags::empty()).expect("umount"),
    );
    assert!(said.contains("+ mount"), "{said}");
}

#[test]
fn a_snapshot_notices_a_cgroup() {
    let Some(scene) = Scene::begin() else { return };
    let layout = Layout::here();
    let dir = layout.dir("pids", &format!("{}/child", scene.cgroup()));
    let make = || fs::create_dir_all(&dir).expect("mkdir");
    let said = noticed(&scene, make, || fs::remove_dir(&dir).expect("rmdir"));
    assert!(said.contains("+ cgroup"), "{said}");
}

#[test]
fn a_snapshot_notices_a_process() {
    let Some(scene) = Scene::begin() else { return };
    let child = RefCell::new(None);
    let file = scene.dir().join("followed");
    integration::bundle::write(&file, b"");
    let begin = || *child.borrow_mut() = Command::new("tail").arg("-f").arg(&file).spawn().ok();
    let end = || {
        let mut child = child.borrow_mut().take().expect("a child");
        child.kill().expect("kill");
        child.wait().expect("wait");
    };
    let said = noticed(&scene, begin, end);
    assert!(said.contains("+ process"), "{said}");
}

#[test]
fn a_snapshot_notices_a_container() {
    let Some(scene) = Scene::begin() else { return };
    let mut id = None;
    let said = noticed(
        &scene,
        || id = Some(scene.create(&scene.bundle()).id().to_owned()),
        || scene.delete_all(),
    );
    let id = id.expect("created");
    assert!(said.contains(&format!("+ state of {id}")), "{said}");
    assert!(said.contains("+ process") && said.contains("+ cgroup"), "{said}");
}

#[test]
fn a_bundle_is_changed_by_pointers() {
    let Some(scene) = Scene::begin() else { return };
    let bundle: Bundle = scene.bundle().set("/a/b/-", 1).set("/a/b/-", 2).set("/a/b/0", 3);
    assert_eq!(bundle.config()["a"]["b"], serde_json::json!([3, 2]));
    assert!(bundle.config().pointer("/process/cwd").is_some());
    assert!(bundle.unset("/process/cwd").config().pointer("/process/cwd").is_none());
}
