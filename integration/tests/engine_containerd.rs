//! containerd with the runtime under test, driven by `ctr`.

use std::fs;

use integration::bundle::write;
use integration::cgroups::Layout;
use integration::ctr::{Containerd, NEEDS};
use integration::engine::{
    EATER, NO_FILE, SERVICE, cpu_quota, image, lives, memory_limit, on_a_terminal, parent_of,
    pids_limit, scene,
};
use integration::runtime::until;
use integration::{Inside, Need, skip};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn a_container_runs_with_and_without_a_terminal_and_its_exit_code_is_told() {
    let Some(scene) = scene(&NEEDS) else { return };
    image(&scene);
    let containerd = Containerd::start(&scene);
    let outcome = containerd.run(&["--rm"], "one", &["sh", "-c", "echo hi; exit 7"]).run().exits(7);
    assert_eq!(outcome.stdout, "hi\n");
    // ctr tells the size only when the container has been started.
    let script = "tty; until stty size 2>/dev/null | grep '24 80'; do :; done; echo terminal-end";
    let seen = on_a_terminal(containerd.run(&["--rm", "-t"], "two", &["sh", "-c", script]));
    assert!(seen.contains("/dev/pts/0") && seen.contains("24 80"), "{seen}");
    let outcome = containerd.run(&["--rm"], "three", &["/no/such/program"]).run().refused();
    outcome.says(&NO_FILE);
    assert_eq!(containerd.task("three"), None);
    for id in ["one", "two", "three"] {
        containerd.assert_gone(id);
    }
}

#[test]
fn a_container_runs_on_an_overlay() {
    let Some(scene) = scene(&NEEDS) else { return };
    image(&scene);
    let containerd = Containerd::start(&scene);
    if containerd.snapshotter() != "overlayfs" {
        return skip("containerd cannot make an overlay on this file system");
    }
    let run = |options: &[&str], id, script| {
        let options = [&["--rm", "--snapshotter", "overlayfs"], options].concat();
        containerd.run(&options, id, &["sh", "-c", script]).run()
    };
    let seen = Inside(run(&[], "one", "echo new >/file; cat /file /proc/mounts").ok().stdout);
    assert!(seen.0.starts_with("new\noverlay / overlay rw"), "{seen:?}");
    // Another container does not see it.
    run(&[], "two", "test ! -e /file").ok();
    // Of what ends at once, ctr may lose one of the two streams.
    let outcome = run(&["--read-only"], "three", "touch /file 2>&1; true").ok();
    assert!(outcome.stdout.contains("Read-only file system"), "{outcome:?}");
}

#[test]
fn processes_are_added_listed_and_ended_one_by_one() {
    let Some(scene) = scene(&NEEDS) else { return };
    image(&scene);
    let containerd = Containerd::start(&scene);
    containerd.run(&["--detach"], "one", &["sleep", "1000"]).run().ok();
    assert_eq!(containerd.status("one"), "RUNNING");

    let outcome = containerd.exec("one", "a", &[], &["sh", "-c", "echo inside; exit 3"]).run();
    assert_eq!(outcome.exits(3).stdout, "inside\n");
    let options = ["--user", "7:8", "--cwd", "/tmp"];
    let outcome = containerd.exec("one", "b", &options, &["sh", "-c", "id -u; id -g; pwd"]).run();
    assert_eq!(outcome.ok().stdout, "7\n8\n/tmp\n");
    let script = "tty; echo terminal-end";
    let seen = on_a_terminal(containerd.exec("one", "c", &["-t"], &["sh", "-c", script]));
    assert!(seen.contains("/dev/pts/"), "{seen}");
    let outcome = containerd.exec("one", "d", &[], &["/no/such/program"]).run().refused();
    outcome.says(&NO_FILE);

    containerd.exec("one", "e", &["--detach"], &["sleep", "2000"]).run().ok();
    let processes = || containerd.ctr(&["tasks", "ps", "one"]).run().ok().stdout;
    let list = processes();
    assert!(list.contains(&containerd.pid("one").to_string()), "{list}");
    let ours = list.lines().find(|line| line.contains("ExecID:e")).expect("the process");
    let pid: i32 = ours.split_whitespace().next().and_then(|word| word.parse().ok()).expect("pid");
    assert!(lives(pid));
    let kill = ["tasks", "kill", "--signal", "SIGKILL", "--exec-id", "e", "one"];
    containerd.ctr(&kill).run().ok();
    until("the process's end", || !lives(pid));
    assert_eq!(containerd.status("one"), "RUNNING");
    containerd.ctr(&["tasks", "rm", "--exec-id", "e", "one"]).run();
    assert!(!processes().contains("ExecID"), "{}", processes());
    containerd.end("one", "SIGKILL", 137);
}

#[test]
fn signals_reach_a_container_and_a_paused_one_waits_for_them() {
    let Some(scene) = scene(&NEEDS) else { return };
    image(&scene);
    let containerd = Containerd::start(&scene);
    let log = containerd.path("log");
    let options = ["--detach", "--log-uri", &format!("file://{log}")];
    containerd.run(&options, "one", &["sh", "-c", SERVICE]).run().ok();
    until("the container's trap", || fs::read(&log).is_ok_and(|said| said == b"up\n"));
    containerd.ctr(&["tasks", "pause", "one"]).run().ok();
    assert_eq!(containerd.status("one"), "PAUSED");
    containerd.exec("one", "q", &[], &["true"]).run().refused();
    containerd.ctr(&["tasks", "resume", "one"]).run().ok();
    assert_eq!(containerd.status("one"), "RUNNING");
    containerd.end("one", "SIGTERM", 9);

    // All processes of a container at once; then there is nobody to signal.
    containerd.run(&["--detach"], "two", &["sleep", "1000"]).run().ok();
    containerd.exec("two", "e", &["--detach"], &["sleep", "2000"]).run().ok();
    containerd.ctr(&["tasks", "kill", "--all", "--signal", "SIGKILL", "two"]).run().ok();
    until("the task's end", || containerd.status("two") == "STOPPED");
    let outcome = containerd.ctr(&["tasks", "kill", "--signal", "SIGKILL", "two"]).run();
    outcome.refused().says(&["process already finished"]);
    containerd.ended("two", 137);
    containerd.remove("two");
}

#[test]
fn limits_are_set_measured_updated_and_kept() {
    let controllers = ["memory", "pids"].map(Need::Controller);
    let needs = [&NEEDS[..], &controllers, &[Need::Program("curl")]].concat();
    let Some(scene) = scene(&needs) else { return };
    image(&scene);
    let containerd = Containerd::start(&scene);
    let limits = ["--detach", "--memory-limit", "33554432", "--cpus", "0.5"];
    containerd.run(&limits, "one", &["sleep", "1000"]).run().ok();
    let cgroup = containerd.cgroup("one");
    assert_eq!((memory_limit(&cgroup), cpu_quota(&cgroup)), ("33554432".into(), "50000".into()));
    // Now and then, while others make and remove cgroups, containerd cannot measure.
    let mut metrics = String::new();
    until("metrics", || {
        metrics = containerd.ctr(&["tasks", "metrics", "one"]).run().stdout;
        !metrics.is_empty()
    });
    let value = |name: &str| -> u64 {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect(name)
    };
    assert_eq!(value("pids.current"), 1);
    if Layout::here().is_v1("memory") {
        assert_eq!(value("memory.limit_in_bytes"), 33_554_432);
        assert!(value("memory.usage_in_bytes") > 0);
    }

    containerd.update("one", r#"{"memory":{"limit":67108864},"pids":{"limit":40}}"#);
    assert_eq!((memory_limit(&cgroup), pids_limit(&cgroup)), ("67108864".into(), "40".into()));
    assert_eq!(cpu_quota(&cgroup), "50000");
    containerd.end("one", "SIGKILL", 137);

    let mut events = containerd.ctr(&["events"]).spawn();
    containerd.probe(&events);
    let limits = ["--detach", "--memory-limit", "16777216"];
    containerd.run(&limits, "two", &["sh", "-c", EATER]).run().ok();
    containerd.exec("two", "e", &[], &["touch", "/go"]).run().ok();
    containerd.ended("two", 137);
    containerd.remove("two");
    events.expect("/tasks/oom {\"container_id\":\"two\"}");
    assert_eq!(events.ended(), None);
}

#[test]
fn events_tell_a_containers_life() {
    let Some(scene) = scene(&NEEDS) else { return };
    image(&scene);
    let containerd = Containerd::start(&scene);
    let events = containerd.ctr(&["events"]).spawn();
    containerd.probe(&events);
    containerd.run(&["--detach"], "one", &["sleep", "1000"]).run().ok();
    let pid = containerd.pid("one");
    containerd.exec("one", "e", &[], &["sh", "-c", "exit 3"]).run().exits(3);
    containerd.ctr(&["tasks", "pause", "one"]).run().ok();
    containerd.ctr(&["tasks", "resume", "one"]).run().ok();
    containerd.end("one", "SIGKILL", 137);
    events.expect("/containers/delete {\"id\":\"one\"}");
    let told = events.stdout();
    let mut told = told.lines().filter(|line| line.contains("/tasks/"));
    for (topic, detail) in [
        ("create", format!("\"pid\":{pid}}}")),
        ("start", format!("\"pid\":{pid}}}")),
        ("exec-added", "\"exec_id\":\"e\"".to_owned()),
        ("exec-started", "\"exec_id\":\"e\"".to_owned()),
        ("exit", "\"exit_status\":3,".to_owned()),
        ("paused", "\"container_id\":\"one\"".to_owned()),
        ("resumed", "\"container_id\":\"one\"".to_owned()),
        ("exit", "\"exit_status\":137,".to_owned()),
        ("delete", "\"exit_status\":137,".to_owned()),
    ] {
        let line = told.next().unwrap_or_default();
        assert!(line.contains(&format!("/tasks/{topic} ")) && line.contains(&detail), "{line}");
    }
    assert_eq!(told.next(), None);
}

#[test]
fn privileges_are_those_that_ctr_is_told() {
    let Some(scene) = scene(&NEEDS) else { return };
    image(&scene);
    let containerd = Containerd::start(&scene);
    let host = scene.directory("shared");
    write(&host.join("file"), b"of the host");
    let bind = format!("type=bind,src={},dst=/mnt,options=rbind:ro", host.display());
    let script = "cat /proc/self/status /mnt/file; touch /mnt/file";
    let inside = |id: &str, options: &[&str]| {
        let options = [&["--rm", "--mount", &bind], options].concat();
        let outcome = containerd.run(&options, id, &["sh", "-c", script]).run().exits(1);
        assert!(outcome.stdout.ends_with("of the host"), "{outcome:?}");
        assert!(outcome.stderr.contains("Read-only file system"), "{outcome:?}");
        Inside(outcome.stdout)
    };
    let usual = inside("one", &[]);
    assert_eq!((usual.field("Seccomp"), usual.field("NoNewPrivs")), ("0".into(), "1".into()));
    let chown = |inside: &Inside| {
        u64::from_str_radix(&inside.field("CapEff"), 16).expect("a set of capabilities") & 1
    };
    assert_eq!(chown(&usual), 1);
    let options = ["--seccomp", "--cap-drop", "CAP_CHOWN", "--allow-new-privs"];
    let other = inside("two", &options);
    assert_eq!((other.field("Seccomp"), other.field("NoNewPrivs")), ("2".into(), "0".into()));
    assert_eq!(chown(&other), 0);
}

#[test]
fn containers_outlive_a_crash_of_containerd() {
    let Some(scene) = scene(&NEEDS) else { return };
    image(&scene);
    let mut containerd = Containerd::start(&scene);
    for id in ["one", "two"] {
        containerd.run(&["--detach"], id, &["sleep", "1000"]).run().ok();
    }
    let (pid, other) = (containerd.pid("one"), containerd.pid("two"));
    containerd.crash();
    assert!(lives(pid));
    // One ends while nobody watches.
    kill(Pid::from_raw(other), Signal::SIGKILL).expect("kill");
    until("the process's end", || !lives(other));

    containerd.serve();
    assert_eq!(containerd.task("one"), Some((pid, "RUNNING".to_owned())));
    let outcome = containerd.exec("one", "e", &[], &["sh", "-c", "echo inside; exit 3"]).run();
    assert_eq!(outcome.exits(3).stdout, "inside\n");
    containerd.end("one", "SIGKILL", 137);
    containerd.ended("two", 137);
    containerd.remove("two");
}

#[test]
fn a_crash_of_a_shim_ends_its_container_and_leaves_nothing() {
    let Some(scene) = scene(&NEEDS) else { return };
    image(&scene);
    let containerd = Containerd::start(&scene);
    for id in ["one", "two", "three"] {
        containerd.run(&["--detach"], id, &["sleep", "1000"]).run().ok();
    }
    containerd.exec("one", "e", &["--detach"], &["sleep", "2000"]).run().ok();
    containerd.ctr(&["tasks", "pause", "two"]).run().ok();
    for id in ["one", "two"] {
        let pid = containerd.pid(id);
        let socket = containerd.shim_socket(id).expect("a socket");
        kill(Pid::from_raw(parent_of(pid).expect("a shim")), Signal::SIGKILL).expect("kill");
        until("the end of the container", || !lives(pid));
        until("the end of the task", || containerd.task(id).is_none());
        until("the removal of the bundle", || fs::metadata(containerd.bundle(id)).is_err());
        containerd.remove(id);
        let _ = fs::remove_file(socket);
    }
    assert_eq!(containerd.status("three"), "RUNNING");
    containerd.end("three", "SIGKILL", 137);
}
