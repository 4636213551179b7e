//! containerd with the runtime under test, driven by `ctr`: its own root, state and socket below
//! the scene, containers without a network.

use std::fs;
use std::path::PathBuf;

use integration::bundle::write;
use integration::cgroups::Layout;
use integration::engine::{
    Daemon, EATER, IMAGE, NO_FILE, Remains, SERVICE, cpu_quota, image, lives, memory_limit,
    on_a_terminal, parent_of, pids_limit, scene,
};
use integration::runtime::{Call, Invocation, until};
use integration::{Inside, Need, Scene, skip};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// ctr gives each container a share of the processors.
const NEEDS: [Need; 4] = [
    Need::Program("containerd"),
    Need::Program("ctr"),
    Need::Program("containerd-shim-runc-v2"),
    Need::Controller("cpu"),
];

/// A containerd that has the image.
struct Containerd<'a> {
    daemon: Option<Daemon>,
    scene: &'a Scene,
    dir: PathBuf,
    _remains: Remains<'a>,
}

impl<'a> Containerd<'a> {
    /// Starts it and imports the image for the snapshotter that works on every file system.
    fn start(scene: &'a Scene) -> Self {
        let dir = scene.directory("containerd");
        let path = |name: &str| dir.join(name).display().to_string();
        let config = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{}\"\n\
             [plugins.\"io.containerd.internal.v1.opt\"]\npath = \"{}\"\n",
            path("root"),
            path("state"),
            path("socket"),
            path("opt")
        );
        write(&dir.join("config.toml"), config.as_bytes());
        let mut containerd = Self { daemon: None, scene, dir, _remains: Remains(scene) };
        containerd.serve();
        containerd.import("native");
        containerd
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Starts the daemon, for the first time or again.
    fn serve(&mut self) {
        let call = self.scene.call("containerd").args(["--config", &self.path("config.toml")]);
        self.daemon = Some(Daemon::start(call, &self.dir.join("socket")));
    }

    fn import(&self, snapshotter: &str) {
        let call = self.ctr(&["images", "import", "--snapshotter", snapshotter]);
        call.arg(self.scene.dir().join("image/busybox.tar")).run().ok();
    }

    fn ctr(&self, words: &[&str]) -> Invocation {
        self.scene.call("ctr").args(["--address", &self.path("socket")]).args(words)
    }

    /// `ctr run` in the scene's cgroup. Options that come later win.
    fn run(&self, options: &[&str], id: &str, words: &[&str]) -> Invocation {
        let call = self.ctr(&["run", "--snapshotter", "native", "--cgroup", &self.cgroup(id)]);
        let call = call.arg("--runc-binary").arg(self.scene.runtime().program());
        let call = call.args(["--runc-root", &self.path("runtime-root")]);
        let call = call.args(["--fifo-dir", &self.path("fifo")]);
        call.args(options).args([IMAGE, id]).args(words)
    }

    /// `ctr tasks exec` with an id of the process.
    fn exec(&self, id: &str, process: &str, options: &[&str], words: &[&str]) -> Invocation {
        let call = self.ctr(&["tasks", "exec", "--exec-id", process]);
        let call = call.args(["--fifo-dir", &self.path("fifo")]);
        call.args(options).arg(id).args(words)
    }

    fn cgroup(&self, id: &str) -> String {
        format!("{}/{id}", self.scene.cgroup())
    }

    /// Where containerd keeps what belongs to a task.
    fn bundle(&self, id: &str) -> PathBuf {
        self.dir.join("state/io.containerd.runtime.v2.task/default").join(id)
    }

    /// Kills the daemon.
    fn crash(&mut self) {
        self.daemon.take().expect("a daemon").crash();
    }

    /// Makes things that are told as events until the first one is: then nothing is missed.
    #[track_caller]
    fn probe(&self, events: &Call) {
        until("the first event", || {
            self.ctr(&["images", "label", IMAGE, "probe=1"]).run().ok();
            events.stdout().contains("/images/update")
        });
    }

    /// Changes a task's limits. ctr has no command for that; the call is gRPC, by hand.
    #[track_caller]
    fn update(&self, id: &str, resources: &str) {
        let kind = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";
        let any = [field(1, kind.as_bytes()), field(2, resources.as_bytes())].concat();
        let message = [field(1, id.as_bytes()), field(2, &any)].concat();
        let length = u32::try_from(message.len()).expect("short").to_be_bytes();
        write(&self.dir.join("message"), &[&[0], &length[..], &message].concat());
        let call = self.scene.call("curl").args(["--silent", "--show-error", "--dump-header", "-"]);
        let call = call.args(["--http2-prior-knowledge", "--unix-socket", &self.path("socket")]);
        let call = call.args(["--header", "content-type: application/grpc"]);
        let call = call.args(["--header", "te: trailers", "--header"]);
        let call = call.args(["containerd-namespace: default", "--data-binary"]);
        let call = call.arg(format!("@{}", self.path("message")));
        let outcome = call.arg("http://localhost/containerd.services.tasks.v1.Tasks/Update").run();
        assert!(outcome.stdout.contains("grpc-status: 0\r\n"), "{outcome:?}");
    }

    /// A task's process and status, if containerd knows it.
    fn task(&self, id: &str) -> Option<(i32, String)> {
        let list = self.ctr(&["tasks", "list"]).run().ok().stdout;
        let rows = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = rows.into_iter().find(|row| row.first() == Some(&id))?;
        Some((row[1].parse().expect("a pid"), row[2].to_owned()))
    }

    #[track_caller]
    fn status(&self, id: &str) -> String {
        self.task(id).unwrap_or_else(|| panic!("no task {id}")).1
    }

    #[track_caller]
    fn pid(&self, id: &str) -> i32 {
        self.task(id).unwrap_or_else(|| panic!("no task {id}")).0
    }

    /// Sends a signal that ends the task, and removes it and the container.
    #[track_caller]
    fn end(&self, id: &str, signal: &str, code: i32) {
        self.ctr(&["tasks", "kill", "--signal", signal, id]).run().ok();
        self.ended(id, code);
        self.remove(id);
    }

    /// Waits for the end of a task, and removes it. Its exit code is told then, as a warning.
    #[track_caller]
    fn ended(&self, id: &str, code: i32) {
        until("the task's end", || self.status(id) == "STOPPED");
        let outcome = self.ctr(&["tasks", "rm", id]).run().ok();
        outcome.says(&[&format!("task {id} exit with non-zero exit code {code}\"")]);
    }

    /// Removes a container without a task.
    #[track_caller]
    fn remove(&self, id: &str) {
        self.ctr(&["containers", "rm", id]).run().ok();
        self.assert_gone(id);
    }

    /// Demands that nothing of a container is left: no state of the runtime, no cgroup.
    #[track_caller]
    fn assert_gone(&self, id: &str) {
        let state = self.dir.join("runtime-root/default").join(id);
        assert!(fs::symlink_metadata(&state).is_err(), "{} is left", state.display());
        let cgroups = Layout::here().holding(&format!("{}/{id}", self.scene.tag()));
        assert!(cgroups.is_empty(), "{cgroups:?} are left");
    }
}

impl Drop for Containerd<'_> {
    /// A shim that is killed leaves its socket, which lies outside of the scene.
    fn drop(&mut self) {
        let bundles = fs::read_dir(self.bundle("")).into_iter().flatten().flatten();
        for bundle in bundles.filter(|_| std::thread::panicking()) {
            let address = fs::read_to_string(bundle.path().join("address")).unwrap_or_default();
            let _ = fs::remove_file(address.trim_start_matches("unix://"));
        }
    }
}

/// A field of a protocol buffer's message: its number, its length in two bytes, and what it holds.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let byte = |value: usize| u8::try_from(value).expect("a short field");
    let length = [byte(bytes.len() % 128) | 128, byte(bytes.len() / 128)];
    [&[number << 3 | 2], &length[..], bytes].concat()
}

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
    let plugins = containerd.ctr(&["plugins", "list"]).run().ok().stdout;
    let overlay = plugins.lines().find(|line| line.contains("overlayfs")).unwrap_or_default();
    if !overlay.trim_end().ends_with("ok") {
        return skip("containerd cannot make an overlay on this file system");
    }
    containerd.import("overlayfs");
    let run = |options: &[&str], id, script| {
        let options = [&["--rm", "--snapshotter", "overlayfs"], options].concat();
        containerd.run(&options, id, &["sh", "-c", script]).run()
    };
    let seen = Inside(run(&[], "one", "echo new >/file; cat /file /proc/mounts").ok().stdout);
    assert!(seen.0.starts_with("new\noverlay / overlay rw"), "{seen:?}");
    // Another container does not see it.
    run(&[], "two", "test ! -e /file").ok();
    let outcome = run(&["--read-only"], "three", "touch /file; echo $?").ok();
    assert!(outcome.stderr.contains("Read-only file system"), "{outcome:?}");
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
        // Only containerd knows where the socket is, and it leaves it when the shim crashes.
        let address = fs::read_to_string(containerd.bundle(id).join("address")).expect("address");
        kill(Pid::from_raw(parent_of(pid).expect("a shim")), Signal::SIGKILL).expect("kill");
        until("the end of the container", || !lives(pid));
        until("the end of the task", || containerd.task(id).is_none());
        until("the removal of the bundle", || fs::metadata(containerd.bundle(id)).is_err());
        containerd.remove(id);
        let _ = fs::remove_file(address.trim_start_matches("unix://"));
    }
    assert_eq!(containerd.status("three"), "RUNNING");
    containerd.end("three", "SIGKILL", 137);
}
