//! How a container ended, told while it runs, at once, and after the fact.

use std::fs;

use integration::runtime::{Call, until};
use integration::{Need, Outcome, Scene};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Waits until a `wait` that was started watches the container's process.
fn watches(waiting: &Call) {
    let dir = format!("/proc/{}/fd", waiting.pid());
    let is_pidfd = |fd: fs::DirEntry| {
        fs::read_link(fd.path()).is_ok_and(|link| link.to_string_lossy().contains("pidfd"))
    };
    until("that it watches", || fs::read_dir(&dir).is_ok_and(|fds| fds.flatten().any(is_pidfd)));
}

/// Whether the end was told to the parent alone, which the kernel before Linux 6.15 may do; then the
/// test is skipped.
fn told_to_the_parent_alone(outcome: &Outcome) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("the release");
    let mut numbers = release.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
    let old = (numbers.next(), numbers.next()) < (Some(6), Some(15));
    let lost = old && outcome.stderr.contains("nobody knows");
    if lost {
        integration::skip("the parent was faster, and before Linux 6.15 nobody else is told");
    }
    lost
}

#[test]
fn whoever_waits_is_told_the_exit_status() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let container = scene.create(&scene.bundle().sh("exit 7"));
    let waiting = scene.keel(["wait", container.id()]).spawn();
    watches(&waiting);
    container.start();
    let outcome = waiting.wait();
    if told_to_the_parent_alone(&outcome) {
        return;
    }
    assert_eq!(outcome.ok().stdout, "7\n");
    // And whoever comes later.
    assert_eq!(container.call(&["wait"]).ok().stdout, "7\n");
    let ending = json(&container.call(&["wait", "--format", "json"]).ok().stdout);
    assert_eq!((&ending["exitCode"], &ending["signal"]), (&Value::from(7), &Value::Null));
    assert_eq!(ending["oomKilled"], false);
}

#[test]
fn a_signal_is_told_as_a_shell_does() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let container = scene.start(&scene.bundle().sleeping());
    let waiting = scene.keel(["wait", "--format", "json", container.id()]).spawn();
    watches(&waiting);
    container.kill("KILL").ok();
    let outcome = waiting.wait();
    if told_to_the_parent_alone(&outcome) {
        return;
    }
    let ending = json(&outcome.ok().stdout);
    assert_eq!((&ending["signal"], &ending["status"]), (&Value::from(9), &Value::from(137)));
    assert_eq!(container.call(&["wait"]).ok().stdout, "137\n");
}

#[test]
fn a_container_that_was_kept_tells_how_it_ended() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let id = scene.id();
    scene.verb("run", &["--keep"], &scene.bundle().sh("exit 3"), &id).run().exits(3);
    assert_eq!(scene.keel(["wait", &id]).run().ok().stdout, "3\n");
    scene.keel(["delete", &id]).run().ok();
}

#[test]
fn what_was_used_is_told_and_whether_memory_ran_out() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Controller("memory")]) else { return };
    let limit = 8 << 20;
    let script = "x=a; while :; do x=$x$x; done";
    let bundle = scene
        .bundle()
        .set("/linux/resources/memory", serde_json::json!({"limit": limit, "swap": limit}))
        .args(["sh", "-c", script]);
    let id = scene.id();
    let outcome = scene.verb("run", &["--keep"], &bundle, &id).run();
    assert_eq!(outcome.code(), Some(137), "{outcome:?}");
    let ending = json(&scene.keel(["wait", "-f", "json", &id]).run().ok().stdout);
    assert_eq!(ending["oomKilled"], true, "{ending}");
    assert!(ending["oomKills"].as_u64() >= Some(1), "{ending}");
    let peak = ending["memoryPeakBytes"].as_u64().expect("a peak");
    assert!(peak > 0 && peak <= limit, "{ending}");
    assert!(ending["cpuNanoseconds"].as_u64() > Some(0), "{ending}");
    scene.keel(["delete", &id]).run().ok();
}

#[test]
fn an_end_that_nobody_saw_is_told_as_such() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    scene.keel(["wait", "nobody"]).run().refused().says(&["does not exist"]);
    // The test is the parent's parent: init of this machine or a subreaper collects it.
    let container = scene.start(&scene.bundle().args(["true"]));
    container.until("stopped");
    let outcome = container.call(&["wait"]);
    let told = outcome.code() == Some(0) && outcome.stdout == "0\n";
    assert!(told || outcome.stderr.contains("nobody knows"), "{outcome:?}");
}
