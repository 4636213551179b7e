//! How a container ended, told while it runs, at once, and after the fact.

use integration::{Need, Scene};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn whoever_waits_is_told_the_exit_status() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let container = scene.create(&scene.bundle().sh("sleep 0.3; exit 7"));
    let waiting = scene.keel(["wait", container.id()]).spawn();
    container.start();
    assert_eq!(waiting.wait().ok().stdout, "7\n");
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
    std::thread::sleep(std::time::Duration::from_millis(100));
    container.kill("KILL").ok();
    let ending = json(&waiting.wait().ok().stdout);
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
