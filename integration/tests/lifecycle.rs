//! A container's life: create, start, state, kill, delete, run, list.

use std::fs;
use std::time::{Duration, Instant};

use integration::runtime::{scaled, signal_of, until};
use integration::{Need, Scene, bundle};
use nix::sys::signal::Signal;

#[test]
fn a_created_container_waits_until_it_is_started_and_then_runs_to_its_end() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sh("echo begun; sleep 1000");
    let container = scene.create(&bundle);
    assert_eq!(container.status(), "created");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(container.output(), "", "the process of a created container has not begun");
    container.start();
    container.expect("begun");
    assert_eq!(container.status(), "running");
    container.kill("KILL").ok();
    container.until("stopped");
    container.delete();
    container.call(&["state"]).refused().says(&["does not exist"]);
}

#[test]
fn the_state_tells_what_an_engine_needs_to_know() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sleeping().set("/annotations", serde_json::json!({ "a.b": "c" }));
    let container = scene.create(&bundle);
    let state = container.state();
    assert_eq!(state["id"], container.id());
    assert_eq!(state["status"], "created");
    assert_eq!(state["bundle"], bundle.dir().to_str().expect("UTF-8"));
    assert_eq!(state["rootfs"], bundle.rootfs().to_str().expect("UTF-8"));
    assert_eq!(state["annotations"]["a.b"], "c");
    assert!(state["ociVersion"].as_str().is_some_and(|version| version.starts_with("1.")));
    assert!(state["created"].as_str().is_some_and(|time| time.contains('T')), "{state}");
    let pid = container.pid();
    assert!(fs::metadata(format!("/proc/{pid}")).is_ok(), "the pid is one of the host's");
    container.start();
    assert_eq!(container.pid(), pid, "start does not make another process");
    container.end();
}

#[test]
fn a_stopped_container_has_no_pid() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle());
    container.until("stopped");
    assert_eq!(container.pid(), 0, "{}", container.state());
    container.delete();
}

#[test]
fn the_bundle_is_the_working_directory_when_none_is_named() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sh("echo here");
    bundle.save();
    let outcome = scene.keel(["run", &scene.id()]).cwd(bundle.dir()).run().ok();
    assert_eq!(outcome.stdout, "here\n");
}

#[test]
fn the_pid_file_holds_the_number_and_nothing_else() {
    let Some(scene) = Scene::begin() else { return };
    let path = scene.dir().join("pid");
    bundle::write(&path, b"stale content that is longer than a pid");
    let container =
        scene.create_with(&["--pid-file", path.to_str().expect("UTF-8")], &scene.bundle());
    assert_eq!(fs::read_to_string(&path).expect("a pid file"), container.pid().to_string());
    container.delete_force();
}

#[test]
fn a_relative_pid_file_lies_in_the_callers_directory() {
    let Some(scene) = Scene::begin() else { return };
    let (bundle, id) = (scene.bundle().sh("exit 0"), scene.id());
    let dir = scene.directory("cwd");
    scene.verb("create", &["--pid-file", "name"], &bundle, &id).cwd(&dir).run().ok();
    let text = fs::read_to_string(dir.join("name")).expect("a pid file");
    assert!(text.parse::<u32>().is_ok(), "{text:?}");
}

#[test]
fn run_gives_the_exit_code_of_the_process() {
    let Some(scene) = Scene::begin() else { return };
    for code in [0, 1, 7, 126, 255] {
        scene.run(&scene.bundle().sh(format!("exit {code}"))).exits(code);
    }
}

#[test]
fn run_gives_128_and_the_number_of_the_signal_that_ended_the_process() {
    let Some(scene) = Scene::begin() else { return };
    // An init of a pid namespace is not ended by its own signals, so the host sends them.
    for (name, number) in [("KILL", 9), ("TERM", 15), ("USR1", 10)] {
        let (bundle, id) = (scene.bundle().args(["/bin/sleep", "1000"]), scene.id());
        let bundle = bundle.without_namespace("pid");
        let call = scene.verb("run", &[], &bundle, &id).spawn();
        until("a running container", || {
            scene.keel(["state", &id]).run().stdout.contains("running")
        });
        scene.keel(["kill", &id, name]).run().ok();
        call.wait().exits(128 + number);
    }
}

#[test]
fn run_hands_on_stdin_stdout_and_stderr() {
    let Some(scene) = Scene::begin() else { return };
    let input = scene.dir().join("input");
    bundle::write(&input, b"typed\n");
    let bundle = scene.bundle().sh("read line; echo \"out $line\"; echo \"err $line\" >&2");
    let file = fs::File::open(&input).expect("open");
    let outcome = scene.verb("run", &[], &bundle, &scene.id()).stdin(file).run().ok();
    assert_eq!(outcome.stdout, "out typed\n");
    assert_eq!(outcome.stderr, "err typed\n");
}

#[test]
fn run_removes_the_container_and_run_with_keep_does_not() {
    let Some(scene) = Scene::begin() else { return };
    let (bundle, id) = (scene.bundle().sh("exit 3"), scene.id());
    scene.verb("run", &[], &bundle, &id).run().exits(3);
    scene.keel(["state", &id]).run().refused().says(&["does not exist"]);
    scene.verb("run", &["--keep"], &bundle, &id).run().exits(3);
    let state = scene.keel(["state", &id]).run().ok().stdout;
    assert!(state.contains("stopped"), "{state}");
    scene.keel(["delete", &id]).run().ok();
}

#[test]
fn run_forwards_signals_to_the_process() {
    let Some(scene) = Scene::begin() else { return };
    for (signal, name) in [(Signal::SIGTERM, "TERM"), (Signal::SIGHUP, "HUP")] {
        let script = format!(
            "trap 'echo got {name}; exit 21' {name}; echo ready; while :; do sleep 0.01; done"
        );
        let call = scene.verb("run", &[], &scene.bundle().sh(script), &scene.id()).spawn();
        call.expect("ready");
        call.signal(signal);
        let outcome = call.wait().exits(21);
        assert!(outcome.stdout.contains(&format!("got {name}")), "{outcome:?}");
    }
}

#[test]
fn run_with_detach_returns_while_the_container_goes_on() {
    let Some(scene) = Scene::begin() else { return };
    let (bundle, id) = (scene.bundle().sleeping(), scene.id());
    let pid_file = scene.dir().join("pid");
    let options = ["--detach", "--pid-file", pid_file.to_str().expect("UTF-8")];
    scene.verb("run", &options, &bundle, &id).run().ok();
    let state = scene.keel(["state", &id]).run().ok().stdout;
    assert!(state.contains("\"running\""), "{state}");
    let pid = fs::read_to_string(&pid_file).expect("a pid file");
    assert!(state.contains(&pid), "{state} and {pid}");
    scene.keel(["delete", "--force", &id]).run().ok();
}

#[test]
fn nothing_of_the_runtime_stays_behind_a_detached_container() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().sleeping());
    let name = scene.runtime().program().to_path_buf();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let ours = command.windows(scene.tag().len()).any(|word| word == scene.tag().as_bytes());
        let exe = fs::read_link(entry.path().join("exe")).unwrap_or_default();
        assert!(!(ours && exe == name), "{} is still there", entry.path().display());
    }
    container.end();
}

#[test]
fn kill_delivers_a_signal_by_name_with_and_without_sig_and_by_number() {
    let Some(scene) = Scene::begin() else { return };
    let script = "for s in HUP USR1 USR2 TERM; do trap \"echo got $s\" $s; done; echo ready
        while :; do sleep 0.01; done";
    let container = scene.start(&scene.bundle().sh(script));
    container.expect("ready");
    for (word, name) in [("HUP", "HUP"), ("SIGUSR1", "USR1"), ("12", "USR2")] {
        container.kill(word).ok();
        container.expect(&format!("got {name}"));
    }
    // Without a signal it is SIGTERM.
    container.call(&["kill"]).ok();
    container.expect("got TERM");
    container.end();
}

#[test]
fn kill_of_a_stopped_container_says_that_it_is_not_running() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle());
    container.until("stopped");
    container.kill("TERM").refused().exits(1).says(&["container not running"]);
    container.delete();
}

#[test]
fn a_created_container_can_be_killed_and_then_deleted() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.create(&scene.bundle());
    container.kill("KILL").ok();
    container.until("stopped");
    container.delete();
}

#[test]
fn a_signal_that_the_process_survives_changes_no_status() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.create(&scene.bundle().sleeping());
    container.kill("WINCH").ok();
    assert_eq!(container.status(), "created");
    container.start();
    container.kill("WINCH").ok();
    assert_eq!(container.status(), "running");
    container.end();
}

#[test]
fn a_container_cannot_be_started_twice() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().sleeping());
    container.call(&["start"]).refused();
    assert_eq!(container.status(), "running", "the refused start does no harm");
    container.end();
    let container = scene.start(&scene.bundle());
    container.until("stopped");
    container.call(&["start"]).refused();
    container.delete();
}

#[test]
fn an_id_that_is_in_use_is_refused_and_its_container_lives_on() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().sleeping());
    let before = scene.snapshot();
    for verb in ["create", "run"] {
        let outcome = scene.verb(verb, &[], &scene.bundle(), container.id()).run();
        outcome.refused().says(&["exist"]);
    }
    before.assert_same();
    assert_eq!(container.status(), "running");
    container.end();
}

#[test]
fn a_running_container_is_deleted_only_by_force() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().sleeping());
    container.call(&["delete"]).refused();
    assert_eq!(container.status(), "running");
    container.delete_force();
    container.call(&["state"]).refused().says(&["does not exist"]);
}

#[test]
fn delete_by_force_of_an_unknown_id_succeeds_and_without_force_says_so() {
    let Some(scene) = Scene::begin() else { return };
    scene.keel(["delete", "--force", "nobody-knows-me"]).run().exits(0);
    scene.keel(["delete", "nobody-knows-me"]).run().refused().says(&["does not exist"]);
}

#[test]
fn every_command_on_an_unknown_id_says_that_it_does_not_exist() {
    let Some(scene) = Scene::begin() else { return };
    for words in [&["start"][..], &["state"], &["kill"], &["delete"]] {
        let outcome = scene.keel(words).arg("nobody").run();
        outcome.refused().says(&["does not exist"]);
    }
}

#[test]
fn deleting_by_force_does_not_wait_longer_than_it_must() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().sh("trap '' TERM; while :; do sleep 1; done"));
    let begun = Instant::now();
    container.delete_force();
    assert!(begun.elapsed() < scaled(Duration::from_secs(2)), "{:?}", begun.elapsed());
}

#[test]
fn list_tells_every_container_and_its_status() {
    let Some(scene) = Scene::begin() else { return };
    let created = scene.create(&scene.bundle());
    let running = scene.start(&scene.bundle().sleeping());
    let stopped = scene.start(&scene.bundle());
    stopped.until("stopped");
    let table = scene.keel(["list"]).run().ok().stdout;
    for (container, status) in [(&created, "created"), (&running, "running"), (&stopped, "stopped")]
    {
        let line = table.lines().find(|line| line.contains(container.id()));
        assert!(line.is_some_and(|line| line.contains(status)), "{status} in {table}");
    }
    let quiet = scene.keel(["list", "--quiet"]).run().ok().stdout;
    let mut ids: Vec<&str> = quiet.lines().collect();
    ids.sort_unstable();
    assert_eq!(ids, [created.id(), running.id(), stopped.id()]);
    let json = scene.keel(["list", "--format", "json"]).run().ok().stdout;
    let list: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let list = list.as_array().expect("an array");
    assert_eq!(list.len(), 3);
    let found = list.iter().find(|entry| entry["id"] == running.id()).expect("the running one");
    assert_eq!(found["status"], "running");
    assert_eq!(found["pid"], running.pid());
}

#[test]
fn list_of_an_empty_or_missing_state_root_is_empty() {
    let Some(scene) = Scene::begin() else { return };
    let outcome = scene.keel(["list", "--quiet"]).run().ok();
    assert_eq!(outcome.stdout, "");
    let json = scene.keel(["list", "--format", "json"]).run().ok().stdout;
    assert!(matches!(json.trim(), "null" | "[]"), "{json:?}");
}

#[test]
fn changes_to_the_configuration_after_create_have_no_effect() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sh("echo first");
    let container = scene.create(&bundle);
    bundle.sh("echo second").save();
    container.start();
    container.until("stopped");
    assert_eq!(container.output(), "first\n");
    container.delete();
}

#[test]
fn a_container_without_a_pid_namespace_is_deleted_with_all_its_processes() {
    let Some(scene) = Scene::begin() else { return };
    let script = "sleep 1000 & setsid sleep 1001 & echo ready; wait";
    let container = scene.start(&scene.bundle().without_namespace("pid").sh(script));
    container.expect("ready");
    container.delete_force();
}

#[test]
fn kill_all_reaches_every_process_of_a_container_without_a_pid_namespace() {
    let Some(scene) = Scene::begin() else { return };
    let script = "setsid sleep 1001 & echo ready; wait";
    let container = scene.start(&scene.bundle().without_namespace("pid").sh(script));
    container.expect("ready");
    scene.keel(["kill", "--all", container.id(), "KILL"]).run().ok();
    container.until("stopped");
    container.delete();
}

#[test]
fn a_killed_runtime_of_a_foreground_run_can_be_cleaned_up() {
    let Some(scene) = Scene::begin() else { return };
    let (bundle, id) = (scene.bundle().sh("echo ready; sleep 1000"), scene.id());
    let before = scene.snapshot();
    let call = scene.verb("run", &[], &bundle, &id).spawn();
    call.expect("ready");
    call.signal(Signal::SIGKILL);
    assert_eq!(signal_of(call.wait().status), Some(9));
    scene.keel(["delete", "--force", &id]).run().ok();
    before.assert_same();
}

#[test]
fn two_containers_of_the_same_bundle_live_side_by_side() {
    let Some(scene) = Scene::begin() else { return };
    let one = scene.bundle().sleeping();
    let other = one.clone().set("/linux/cgroupsPath", format!("{}-b", one.cgroup()));
    let (first, second) = (scene.start(&one), scene.start(&other));
    assert_ne!(first.pid(), second.pid());
    first.end();
    assert_eq!(second.status(), "running");
    second.end();
}

#[test]
fn the_runtime_works_with_every_standard_descriptor_closed() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let (bundle, id) = (scene.bundle().sh("sleep 1000"), scene.id());
    scene.verb("create", &[], &bundle, &id).with_descriptors("<&- >&- 2>&-").run().ok();
    scene.keel(["start", &id]).with_descriptors("<&- >&- 2>&-").run().ok();
    scene.keel(["kill", &id, "KILL"]).run().ok();
    scene.keel(["delete", "--force", &id]).run().ok();
}
