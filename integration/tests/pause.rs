//! Containers that stand still, and go on.

use std::fs;

use integration::cgroups::Layout;
use integration::{Container, Need, Scene};

/// A container that counts, in a file of the bundle.
fn counting(scene: &Scene) -> (Container<'_>, std::path::PathBuf) {
    let bundle = scene.bundle().writable();
    let count = bundle.rootfs().join("count");
    let container = scene.start(&bundle.sh("while :; do echo >>/count; sleep 0.01; done"));
    integration::runtime::until("it counts", || {
        fs::metadata(&count).is_ok_and(|file| file.len() > 0)
    });
    (container, count)
}

/// What is counted up to, some time later: longer than between two counts.
fn later(count: &std::path::Path) -> u64 {
    std::thread::sleep(std::time::Duration::from_millis(100));
    fs::metadata(count).expect("the count").len()
}

fn needs() -> Option<Scene> {
    Scene::needing(&[Need::Controller("freezer")])
}

#[test]
fn a_paused_container_stands_still_until_it_is_resumed() {
    let Some(scene) = needs() else { return };
    let (container, count) = counting(&scene);
    container.call(&["pause"]).ok();
    assert_eq!(container.status(), "paused");
    let stopped_at = fs::metadata(&count).expect("the count").len();
    assert_eq!(later(&count), stopped_at, "it counted on");
    container.call(&["resume"]).ok();
    assert_eq!(container.status(), "running");
    integration::runtime::until("it counts on", || {
        fs::metadata(&count).is_ok_and(|file| file.len() > stopped_at)
    });
    container.end();
}

#[test]
fn a_container_that_waits_to_be_started_can_be_paused() {
    let Some(scene) = needs() else { return };
    let container = scene.create(&scene.bundle().sleeping());
    container.call(&["pause"]).ok();
    assert_eq!(container.status(), "paused");
    container.call(&["start"]).refused();
    container.call(&["resume"]).ok();
    assert_eq!(container.status(), "created");
    container.start();
    container.end();
}

#[test]
fn what_is_not_running_cannot_be_paused_and_what_is_not_paused_cannot_be_resumed() {
    let Some(scene) = needs() else { return };
    let container = scene.start(&scene.bundle().sleeping());
    container.call(&["resume"]).refused();
    container.call(&["pause"]).ok();
    container.call(&["pause"]).refused();
    assert_eq!(container.status(), "paused");
    container.call(&["resume"]).ok();
    container.kill("KILL").ok();
    container.until("stopped");
    container.call(&["pause"]).refused().says(&["container not running"]);
    container.call(&["resume"]).refused();
    container.delete();
    container.call(&["pause"]).refused().says(&["does not exist"]);
}

#[test]
fn a_paused_container_is_ended_by_a_signal_that_cannot_be_caught() {
    let Some(scene) = needs() else { return };
    let (container, _) = counting(&scene);
    container.call(&["pause"]).ok();
    container.kill("KILL").ok();
    container.until("stopped");
    container.delete();
}

#[test]
fn a_paused_container_can_be_deleted_by_force() {
    let Some(scene) = needs() else { return };
    let (container, _) = counting(&scene);
    container.call(&["pause"]).ok();
    container.delete_force();
    container.call(&["state"]).refused().says(&["does not exist"]);
}

#[test]
fn a_paused_container_survives_every_verb() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Controller("freezer")]) else { return };
    let (container, count) = counting(&scene);
    container.call(&["pause"]).ok();
    let stopped_at = later(&count);
    container.kill("WINCH").ok();
    if Layout::here().has("cpu") {
        container.call(&["update", "--cpu-share", "512"]).ok();
    }
    for verb in ["start", "pause", "delete"] {
        container.call(&[verb]).refused();
    }
    scene.keel(["exec", container.id(), "true"]).run().exits(255).says(&["paused"]);
    assert!(scene.keel(["list"]).run().ok().stdout.contains("paused"));
    assert_eq!(container.status(), "paused");
    assert_eq!(later(&count), stopped_at, "it counted on");
    // What is started in it anyway waits with it.
    let exec = scene.keel(["exec", "--ignore-paused", container.id(), "echo", "late"]).spawn();
    assert_eq!(later(&count), stopped_at, "it counted on");
    container.call(&["resume"]).ok();
    assert_eq!(exec.wait().ok().stdout, "late\n");
    container.kill("KILL").ok();
    container.until("stopped");
    container.delete();
}

#[test]
fn pausing_waits_for_every_process_of_a_busy_container() {
    let Some(scene) = needs() else { return };
    let script = "for i in 1 2 3 4; do while :; do (:); done & done; wait";
    let bundle = scene.bundle().sh(script);
    let container = scene.start(&bundle);
    let layout = Layout::here();
    for _ in 0..20 {
        container.call(&["pause"]).ok();
        let (file, frozen) = match layout.is_v2() {
            true => ("cgroup.events", "frozen 1"),
            false => ("freezer.state", "FROZEN"),
        };
        let told = layout.read("freezer", bundle.cgroup(), file);
        assert!(told.contains(frozen), "{told}");
        container.call(&["resume"]).ok();
    }
    container.end();
}
