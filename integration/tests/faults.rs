//! The runtime, or the container's first process, is killed at any instant.
//!
//! Whatever is left must be described truthfully and be removed by `delete --force`.

use std::fs;
use std::time::{Duration, Instant};

use integration::cgroups::Layout;
use integration::runtime::until;
use integration::{Bundle, Scene};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// At how many instants of a command it is killed.
const INSTANTS: u32 = 60;

/// How long one call of a verb takes here, undisturbed.
fn duration(scene: &Scene, verb: &str, options: &[&str], bundle: &Bundle) -> Duration {
    let mut times: Vec<Duration> = (0..3)
        .map(|_| {
            let id = scene.id();
            let begun = Instant::now();
            scene.verb(verb, options, bundle, &id).run().ok();
            let time = begun.elapsed();
            scene.keel(["delete", "--force", &id]).run().ok();
            time
        })
        .collect();
    times.sort_unstable();
    times[1]
}

/// Waits very exactly: a sleep is too coarse for steps of a few microseconds.
fn wait(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Kills a command at many instants; after each, the container can be deleted by force.
fn kill_at_many_instants(scene: &Scene, verb: &str, options: &[&str]) {
    let bundle = scene.bundle().sleeping();
    let step = duration(scene, verb, options, &bundle) * 5 / 4 / INSTANTS;
    let before = scene.snapshot();
    let mut completed = 0;
    for instant in 0..INSTANTS {
        let id = scene.id();
        let call = scene.verb(verb, options, &bundle, &id).spawn();
        wait(step * instant);
        call.signal(Signal::SIGKILL);
        completed += u32::from(call.wait().status.success());
        scene.keel(["list"]).run().ok();
        let state = scene.keel(["state", &id]).run();
        assert!(state.status.success() || !state.stderr.is_empty(), "{state:?}");
        scene.keel(["delete", "--force", &id]).run().ok();
        before.assert_same();
    }
    assert!(completed < INSTANTS, "no call was interrupted: the instants are wrong");
}

#[test]
fn a_create_that_is_killed_at_any_instant_can_be_deleted() {
    let Some(scene) = Scene::begin() else { return };
    kill_at_many_instants(&scene, "create", &[]);
}

#[test]
fn a_detached_run_that_is_killed_at_any_instant_can_be_deleted() {
    let Some(scene) = Scene::begin() else { return };
    kill_at_many_instants(&scene, "run", &["--detach"]);
}

#[test]
fn a_foreground_run_that_is_killed_at_any_instant_can_be_deleted() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle();
    let step = duration(&scene, "run", &[], &bundle) * 5 / 4 / INSTANTS;
    let before = scene.snapshot();
    for instant in 0..INSTANTS {
        let id = scene.id();
        let call = scene.verb("run", &[], &bundle, &id).spawn();
        wait(step * instant);
        call.signal(Signal::SIGKILL);
        call.wait();
        scene.keel(["delete", "--force", &id]).run().ok();
        before.assert_same();
    }
}

#[test]
fn an_id_can_be_used_again_after_its_broken_container_was_deleted() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sh("echo works");
    let step = duration(&scene, "create", &[], &bundle) / 10;
    for instant in 0..10 {
        let id = scene.id();
        let call = scene.verb("create", &[], &bundle, &id).spawn();
        wait(step * instant);
        call.signal(Signal::SIGKILL);
        call.wait();
        scene.keel(["delete", "--force", &id]).run().ok();
        let outcome = scene.verb("run", &[], &bundle, &id).run().ok();
        assert_eq!(outcome.stdout, "works\n");
    }
}

#[test]
fn a_start_that_is_killed_leaves_a_container_that_can_be_deleted() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sleeping();
    let before = scene.snapshot();
    for instant in 0..INSTANTS / 2 {
        let container = scene.create(&bundle);
        let call = scene.keel(["start", container.id()]).spawn();
        wait(Duration::from_micros(200) * instant);
        call.signal(Signal::SIGKILL);
        call.wait();
        // Stopped is no loss of truth: the process may end when its starter goes away half-way.
        let status = container.status();
        assert!(matches!(status.as_str(), "created" | "running" | "stopped"), "{status}");
        container.delete_force();
        before.assert_same();
    }
}

#[test]
fn a_delete_that_is_killed_can_be_repeated() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sleeping();
    let before = scene.snapshot();
    for instant in 0..INSTANTS / 2 {
        let container = scene.start(&bundle);
        let call = scene.keel(["delete", "--force", container.id()]).spawn();
        wait(Duration::from_micros(300) * instant);
        call.signal(Signal::SIGKILL);
        call.wait();
        scene.keel(["list"]).run().ok();
        container.delete_force();
        before.assert_same();
    }
}

#[test]
fn a_first_process_that_is_killed_while_it_is_made_undoes_the_container() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sleeping();
    let step = duration(&scene, "create", &[], &bundle) / 20;
    let before = scene.snapshot();
    for instant in 0..20 {
        let id = scene.id();
        let call = scene.verb("create", &[], &bundle, &id).spawn();
        wait(step * instant);
        for child in children(call.pid()) {
            let _ = kill(Pid::from_raw(child), Signal::SIGKILL);
        }
        let outcome = call.wait();
        if !outcome.status.success() {
            outcome.refused();
            before.assert_same();
        }
        scene.keel(["delete", "--force", &id]).run().ok();
        before.assert_same();
    }
}

/// The children of all threads of a process.
fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists =
        threads.flatten().filter_map(|t| fs::read_to_string(t.path().join("children")).ok());
    lists
        .flat_map(|l| l.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<_>>())
        .collect()
}

#[test]
fn a_record_that_is_broken_is_told_and_can_be_deleted() {
    let Some(scene) = Scene::begin() else { return };
    for content in [&b""[..], b"{", b"\0\0\0\0", b"{\"version\": 99999}", b"[]"] {
        let container = scene.create(&scene.bundle());
        let dir = scene.state_root().join(container.id());
        for entry in fs::read_dir(&dir).expect("the record").flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                integration::bundle::write(&entry.path(), content);
            }
        }
        container.call(&["state"]).refused();
        let list = scene.keel(["list"]).run();
        assert!(list.code().is_some_and(|code| code < 2), "{list:?}");
        container.delete_force();
        assert!(fs::symlink_metadata(&dir).is_err(), "the record is gone");
        // Where only the record told which process was the container's, the test has to end it.
        for pid in processes(&scene) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        until("an empty cgroup", || processes(&scene).is_empty());
        Layout::here().remove(scene.tag());
    }
}

/// The processes in the scene's cgroups.
fn processes(scene: &Scene) -> Vec<i32> {
    let dirs = Layout::here().holding(scene.tag());
    let lists = dirs.iter().filter_map(|d| fs::read_to_string(d.join("cgroup.procs")).ok());
    lists.flat_map(|l| l.lines().filter_map(|p| p.parse().ok()).collect::<Vec<_>>()).collect()
}
