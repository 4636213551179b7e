//! What engines call, call by call: containerd's shim (for ctr, CRI and Docker), conmon with Podman
//! or CRI-O, Buildah, BuildKit.
//!
//! Flags stand where the engines put them, and configurations are those they wrote. As they are,
//! this process is a subreaper: it collects what the runtime leaves to it.

use std::fs;
use std::path::{Path, PathBuf};

use integration::bundle::write;
use integration::console::ConsoleSocket;
use integration::recorded::{hook_file, process_document, recorded};
use integration::runtime::{Invocation, Outcome, until};
use integration::{Bundle, Need, Scene};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::Value;

/// What engines take for "it has ended already" when they send a signal.
const ENDED: [&str; 3] =
    ["container not running", "no such process", "os: process already finished"];

/// An engine's way to call the runtime for one container.
struct Engine<'a> {
    scene: &'a Scene,
    bundle: Bundle,
    id: String,
    /// What stands before the command.
    globals: Vec<String>,
    /// The descriptors it lets the runtime inherit by mistake.
    leaks: &'static str,
}

impl<'a> Engine<'a> {
    /// Begins with what one of them wrote; it becomes a subreaper.
    fn begin(scene: &'a Scene, engine: &str, edit: fn(Bundle) -> Bundle) -> Self {
        nix::sys::prctl::set_child_subreaper(true).expect("a subreaper");
        let bundle = edit(recorded(scene.bundle(), engine));
        bundle.save();
        Self { scene, bundle, id: scene.id(), globals: Vec::new(), leaks: "3</dev/null" }
    }

    /// containerd's shim; also for CRI and Docker.
    fn shim(scene: &'a Scene, engine: &str, edit: fn(Bundle) -> Bundle) -> Self {
        let mut shim = Self::begin(scene, engine, edit);
        shim.globals = ["--root", &shim.root(), "--log", &shim.path("log.json")]
            .into_iter()
            .chain(["--log-format", "json"])
            .map(str::to_owned)
            .collect();
        shim
    }

    /// conmon and Podman; the state root is a `--runtime-flag` here.
    fn conmon(scene: &'a Scene, engine: &str, edit: fn(Bundle) -> Bundle) -> Self {
        let mut conmon = Self::begin(scene, engine, edit);
        conmon.globals = vec!["--root".to_owned(), conmon.root()];
        conmon
    }

    fn root(&self) -> String {
        self.scene.state_root().display().to_string()
    }

    /// A path in the bundle.
    fn path(&self, name: &str) -> String {
        self.bundle.dir().join(name).display().to_string()
    }

    /// A call with the global flags; the working directory is the bundle.
    fn call(&self, words: &[&str]) -> Invocation {
        let call = self.scene.call(self.scene.runtime().program()).args(&self.globals).args(words);
        let call = call.cwd(self.bundle.dir()).env("TTRPC_ADDRESS", "/run/ttrpc");
        call.env("GOMAXPROCS", "2").with_descriptors(self.leaks)
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> Outcome {
        self.call(words).run()
    }

    /// One that must succeed without a word.
    #[track_caller]
    fn quietly(&self, words: &[&str]) {
        let outcome = self.run(words).ok();
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""), "{outcome:?}");
    }

    /// `create`, with where the container writes, and its pid from the file.
    #[track_caller]
    fn create(&self, options: &[&str]) -> (PathBuf, Pid) {
        let (dir, pid_file) = (self.path(""), self.path("init.pid"));
        let words = [&["create", "--bundle", &dir, "--pid-file", &pid_file], options, &[&self.id]];
        let call = self.call(&words.concat()).spawn();
        let output = call.stdout_path().to_owned();
        call.wait().ok();
        (output, pid_in(&pid_file))
    }

    /// A process document, as engines write it.
    fn document(&self, args: &[&str], terminal: bool) -> String {
        let path = self.path(&format!("process-{}", self.scene.id()));
        write(path.as_ref(), process_document(&self.bundle, args, terminal).to_string().as_bytes());
        path
    }

    /// The last error in the log, as the shim reads it.
    #[track_caller]
    fn logged(&self) -> String {
        last_error(&self.path("log.json"))
    }

    /// What a kill says of one that has ended, on the output that is one for both streams.
    #[track_caller]
    fn kill_comes_too_late(&self) {
        let outcome = self.run(&["kill", &self.id, "9"]).exits(1);
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(ENDED.iter().any(|text| said.contains(text)), "{said}");
    }

    #[track_caller]
    fn state(&self) -> Value {
        serde_json::from_str(&self.run(&["state", &self.id]).ok().stdout).expect("JSON")
    }
}

/// A pid file: digits and no newline.
#[track_caller]
fn pid_in(path: &str) -> Pid {
    let text = fs::read_to_string(path).expect("the pid file");
    Pid::from_raw(text.parse().unwrap_or_else(|_| panic!("{text:?} is not a pid alone")))
}

/// The last error of a JSON log: a line for each, every one with a time that can be read.
#[track_caller]
fn last_error(path: &str) -> String {
    let log = fs::read_to_string(path).expect("the log");
    let lines = log.lines().map(|line| {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let time = line["time"].as_str().expect("a time");
        assert!(time.len() >= 20 && time.as_bytes()[10] == b'T', "{time} is not RFC 3339");
        line
    });
    let mut errors = lines.filter(|line| line["level"] == "error");
    errors.next_back().expect("an error")["msg"].as_str().expect("a message").to_owned()
}

/// Collects a process that the runtime left to this one.
#[track_caller]
fn collect(pid: Pid) -> WaitStatus {
    let mut status = WaitStatus::StillAlive;
    until("the end of a process left to its subreaper", || {
        status = waitpid(pid, Some(WaitPidFlag::WNOHANG)).expect("a child of this process");
        status != WaitStatus::StillAlive
    });
    status
}

#[track_caller]
fn expect(path: &Path, text: &str) {
    until(&format!("{text:?} in an output"), || {
        fs::read_to_string(path).unwrap_or_default().contains(text)
    });
}

/// `exec` without a terminal: its pid file, its output on the streams of the call, its exit status.
#[track_caller]
fn exec(engine: &Engine<'_>, flags: impl Fn(&str, &str) -> Vec<String>) {
    let (document, pid_file) = (
        engine.document(&["sh", "-c", "id -u; echo err >&2; exit 3"], false),
        engine.path("exec.pid"),
    );
    let words = flags(&document, &pid_file);
    let words: Vec<&str> = words.iter().map(String::as_str).chain([engine.id.as_str()]).collect();
    let call = engine.call(&words).spawn();
    let output = call.stdout_path().to_owned();
    call.wait().ok();
    // The engine removes it as soon as the call has returned.
    fs::remove_file(document).expect("the document");
    let pid = pid_in(&pid_file);
    assert_eq!(collect(pid), WaitStatus::Exited(pid, 3));
    let user = engine.bundle.config()["process"]["user"]["uid"].to_string();
    expect(&output, &format!("{user}\n"));
}

/// `exec` with a terminal, which comes over the socket.
#[track_caller]
fn exec_on_terminal(engine: &Engine<'_>, flags: impl Fn(&str, &str, &str) -> Vec<String>) {
    let document = engine.document(&["sh", "-c", "tty; read line; echo got $line"], true);
    let (pid_file, socket) = (engine.path("tty.pid"), engine.scene.dir().join(engine.scene.id()));
    let console = ConsoleSocket::at(&socket);
    let words = flags(&document, &pid_file, &socket.display().to_string());
    let words: Vec<&str> = words.iter().map(String::as_str).chain([engine.id.as_str()]).collect();
    engine.run(&words).ok();
    let mut terminal = console.receive();
    terminal.expect("/dev/pts/");
    terminal.send("typed\n");
    terminal.expect("got typed");
    let pid = pid_in(&pid_file);
    assert_eq!(collect(pid), WaitStatus::Exited(pid, 0));
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The life of a container under containerd's shim.
fn shim_sequence(engine: &Engine<'_>) {
    let id = engine.id.as_str();
    let (output, pid) = engine.create(&[]);
    engine.quietly(&["start", id]);
    expect(&output, "up");
    let held = fs::read_dir(format!("/proc/{pid}/fd")).expect("fd").count();
    assert_eq!(held, 3, "the shim's own descriptor has leaked");
    exec(engine, |document, pid_file| {
        owned(&["exec", "--process", document, "--detach", "--pid-file", pid_file])
    });
    exec_on_terminal(engine, |document, pid_file, socket| {
        owned(&["exec", "--process", document, "--console-socket", socket])
            .into_iter()
            .chain(owned(&["--detach", "--pid-file", pid_file]))
            .collect()
    });
    let missing = engine.document(&["moon"], false);
    let pid_file = engine.path("none.pid");
    let words = ["exec", "--process", &missing, "--detach", "--pid-file", &pid_file, id];
    engine.run(&words).exits(255);
    assert!(engine.logged().contains("executable file not found in $PATH"), "{}", engine.logged());

    engine.quietly(&["kill", id, "15"]);
    assert_eq!(collect(pid), WaitStatus::Exited(pid, 9));
    engine.kill_comes_too_late();
    let outcome = engine.run(&["kill", "--all", id, "9"]);
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    let late = ENDED.iter().any(|text| said.contains(text));
    assert!(outcome.status.success() || late, "{outcome:?}");
    engine.quietly(&["delete", id]);
    // The shim that cleans up does it once more.
    engine.run(&["delete", "--force", id]).exits(0);
    engine.run(&["delete", id]).exits(1).says(&["does not exist"]);
    engine.run(&["kill", id, "9"]).exits(1).says(&["does not exist"]);
    assert!(engine.logged().contains("does not exist"), "{}", engine.logged());
}

/// A container that says when it is up, and ends on SIGTERM with status 9.
fn patient(bundle: Bundle) -> Bundle {
    bundle.sh("trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done")
}

#[test]
fn containerd_through_ctr() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    for name in ["containerd", "containerd-2.3"] {
        shim_sequence(&Engine::shim(&scene, name, patient));
    }
}

#[test]
fn containerd_with_a_terminal() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let script = |bundle: Bundle| bundle.sh("tty; read line; echo got $line; exit 4");
    let engine = Engine::shim(&scene, "containerd-tty", script);
    let socket = scene.dir().join(scene.id());
    let console = ConsoleSocket::at(&socket);
    let (_, pid) = engine.create(&["--console-socket", &socket.display().to_string()]);
    let mut terminal = console.receive();
    engine.quietly(&["start", &engine.id]);
    terminal.expect("/dev/pts/0");
    terminal.send("typed\n");
    terminal.expect("got typed");
    assert_eq!(collect(pid), WaitStatus::Exited(pid, 4));
    engine.quietly(&["delete", &engine.id]);
}

#[test]
fn a_create_that_fails_is_told_in_the_log_and_leaves_nothing() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    type Edit = fn(Bundle) -> Bundle;
    let cases: [(Edit, &str); 2] = [
        (|bundle| bundle.args(["moon"]), "exec: \"moon\": executable file not found in $PATH"),
        (|bundle| bundle.args(["/nonexistent"]), "stat /nonexistent: no such file or directory"),
    ];
    for (edit, words) in cases {
        let engine = Engine::shim(&scene, "containerd", edit);
        let before = scene.snapshot();
        let (dir, pid_file) = (engine.path(""), engine.path("init.pid"));
        let call = ["create", "--bundle", &dir, "--pid-file", &pid_file, &engine.id];
        engine.run(&call).exits(1);
        assert!(engine.logged().contains(words), "{}", engine.logged());
        before.assert_same();
        engine.run(&["delete", "--force", &engine.id]).exits(0);
    }
}

#[test]
fn a_sandbox_of_cri_and_a_container_in_it() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    for name in ["cri", "cri-containerd-2.3"] {
        let sandbox = Engine::shim(&scene, "cri-sandbox", Bundle::sleeping);
        let (_, first) = sandbox.create(&[]);
        sandbox.quietly(&["start", &sandbox.id]);
        let mut member = Engine::shim(&scene, name, patient);
        for kind in ["ipc", "uts", "network"] {
            let file = if kind == "network" { "net" } else { kind };
            let path = format!("/proc/{first}/ns/{file}");
            member.bundle = member.bundle.namespace(kind, Some(&path));
        }
        // The name is that of the sandbox.
        member.bundle.save();
        let (output, pid) = member.create(&[]);
        member.quietly(&["start", &member.id]);
        expect(&output, "up");
        let link = |pid: Pid, name: &str| fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
        assert_eq!(link(pid, "net"), link(first, "net"));
        exec(&member, |document, pid_file| {
            owned(&["exec", "--process", document, "--detach", "--pid-file", pid_file])
        });
        // The two in this order, as with a thousand calls of a CRI session.
        member.quietly(&["kill", &member.id, "9"]);
        assert_eq!(collect(pid), WaitStatus::Signaled(pid, Signal::SIGKILL, false));
        member.run(&["kill", "--all", &member.id, "9"]);
        for engine in [&member, &sandbox] {
            if engine.id == sandbox.id {
                engine.quietly(&["kill", &engine.id, "9"]);
                collect(first);
            }
            engine.quietly(&["delete", &engine.id]);
            engine.run(&["delete", "--force", &engine.id]).exits(0);
        }
    }
}

#[test]
fn docker_with_its_prestart_hook() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let engine = Engine::shim(&scene, "docker", patient);
    shim_sequence(&engine);
    let told = fs::read_to_string(hook_file(&engine.bundle)).expect("the hook has run");
    let told: Value = serde_json::from_str(&told).expect("the state as JSON");
    assert_eq!(told["id"], engine.id.as_str());
    assert!(told["pid"].as_i64().is_some_and(|pid| pid > 1), "{told}");
    let version = scene.call(scene.runtime().program()).arg("--version").run().ok().stdout;
    let first = version.lines().next().unwrap_or_default();
    assert!(first.split_whitespace().nth(1) == Some("version"), "{version}");
    assert!(version.contains("\nspec: 1."), "{version}");
}

#[test]
fn podman_through_conmon() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let mut engine = Engine::conmon(&scene, "podman", patient);
    let own = engine.globals.clone();
    let id = engine.id.clone();
    // conmon has a log of JSON for those it knows; Podman's own calls have none.
    engine.globals.extend([
        "--log-format=json".to_owned(),
        "--log".to_owned(),
        engine.path("oci-log"),
    ]);
    let (output, pid) = engine.create(&[]);
    engine.globals.clone_from(&own);
    let state = engine.state();
    assert_eq!((&state["status"], &state["pid"]), (&"created".into(), &pid.as_raw().into()));
    engine.quietly(&["start", &id]);
    expect(&output, "up");
    assert_eq!(engine.state()["status"], "running");
    exec(&engine, |document, pid_file| {
        owned(&["exec", "--pid-file", pid_file, "--process", document, "--detach"])
    });
    exec_on_terminal(&engine, |document, pid_file, socket| {
        owned(&["exec", "--pid-file", pid_file, "--process", document, "--detach", "--tty"])
            .into_iter()
            .chain(owned(&["--console-socket", socket]))
            .collect()
    });
    engine.quietly(&["kill", &id, "15"]);
    assert_eq!(collect(pid), WaitStatus::Exited(pid, 9));
    // A kill that fails is followed by a look at the state.
    engine.kill_comes_too_late();
    assert_eq!(engine.state()["status"], "stopped");
    engine.quietly(&["delete", "--force", &id]);
    engine.run(&["state", &id]).exits(1).says(&["does not exist"]);
}

#[test]
fn podman_tells_a_failing_create_by_its_log_and_without_one_by_stderr() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let mut engine = Engine::conmon(&scene, "podman", |bundle| bundle.args(["moon"]));
    let (dir, pid_file) = (engine.path(""), engine.path("pidfile"));
    let id = engine.id.clone();
    let words = ["create", "--bundle", &dir, "--pid-file", &pid_file, &id];
    engine.run(&words).exits(1).says(&["executable file not found in $PATH"]);
    let log = engine.path("oci-log");
    let own = engine.globals.clone();
    engine.globals.extend(["--log-format=json".to_owned(), "--log".to_owned(), log.clone()]);
    engine.run(&words).exits(1);
    assert!(last_error(&log).contains("executable file not found in $PATH"));
    // systemd is not there, or the path names no scope: refused either way, and told.
    engine.globals = [vec!["--systemd-cgroup".to_owned()], own].concat();
    engine.run(&words).refused();
    assert!(fs::metadata(&pid_file).is_err());
}

#[test]
fn podman_preserves_descriptors() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let script = |bundle: Bundle| bundle.sh("ls /proc/1/fd; cat <&3");
    let mut engine = Engine::conmon(&scene, "podman", script);
    engine.leaks = "3</proc/sys/kernel/ostype 4</etc 5</";
    let (output, pid) = engine.create(&["--preserve-fds", "1"]);
    engine.quietly(&["start", &engine.id]);
    assert_eq!(collect(pid), WaitStatus::Exited(pid, 0));
    assert_eq!(fs::read_to_string(output).expect("output"), "0\n1\n2\n3\nLinux\n");
    engine.quietly(&["delete", "--force", &engine.id]);
}

#[test]
fn a_container_of_podman_with_a_user_namespace() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let engine = Engine::conmon(&scene, "podman-userns", patient);
    let rootfs = engine.bundle.rootfs();
    // Podman gives the image to the root of the user namespace.
    let owner = engine.bundle.config()["linux"]["uidMappings"][0]["hostID"].to_string();
    let owner = format!("{owner}:{owner}");
    scene.call("chown").args(["-hR", &owner]).arg(&rootfs).run().ok();
    let (output, pid) = engine.create(&[]);
    engine.quietly(&["start", &engine.id]);
    expect(&output, "up");
    exec(&engine, |document, pid_file| {
        owned(&["exec", "--pid-file", pid_file, "--process", document, "--detach"])
    });
    engine.quietly(&["kill", &engine.id, "9"]);
    collect(pid);
    engine.quietly(&["delete", "--force", &engine.id]);
}

#[test]
fn buildah_polls_the_state() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let mut engine = Engine::conmon(&scene, "buildah", |bundle| bundle.sh("echo built; exit 5"));
    engine.id = format!("buildah-{}", engine.id);
    engine.leaks = "3</ 4</etc 5</proc 6</dev/null 7</";
    let (output, pid) = engine.create(&[]);
    engine.quietly(&["start", &engine.id]);
    until("the status stopped", || engine.state()["status"] == "stopped");
    assert_eq!(collect(pid), WaitStatus::Exited(pid, 5));
    assert_eq!(fs::read_to_string(output).expect("output"), "built\n");
    engine.quietly(&["delete", &engine.id]);
}

#[test]
fn buildkit_runs_in_the_foreground() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let mut engine =
        Engine::shim(&scene, "docker-buildkit", |bundle| bundle.sh("echo step; exit 6"));
    // It gives no root; this one is for the test's own sake.
    engine.globals = owned(&["--root", &engine.root(), "--log", &engine.path("log.json")]);
    engine.globals.extend(owned(&["--log-format", "json"]));
    let outcome = engine.run(&["run", "--bundle", &engine.path(""), &engine.id]).exits(6);
    assert_eq!(outcome.stdout, "step\n");
    let engine = Engine::shim(&scene, "docker-buildkit", patient);
    let call = engine.call(&["run", "--bundle", &engine.path(""), &engine.id]).spawn();
    call.expect("up");
    call.signal(Signal::SIGTERM);
    call.wait().exits(9);
    engine.run(&["state", &engine.id]).exits(1).says(&["does not exist"]);
}
