//! Container engines with the runtime under test: podman, containerd and Docker.
//!
//! They run without a network and with everything of their own below the scene. Seccomp profiles
//! are turned off, since keel refuses a configuration with one.

use std::path::Path;

use integration::bundle::write;
use integration::cgroups::Layout;
use integration::console::Terminal;
use integration::engine::{Daemon, IMAGE, image};
use integration::runtime::Invocation;
use integration::{Need, Scene};

/// What making the image takes.
const IMAGE_NEEDS: [Need; 3] =
    [Need::Program("umoci"), Need::Program("skopeo"), Need::Program("setsid")];

fn needing(programs: &[&'static str]) -> Option<Scene> {
    let own = programs.iter().map(|name| Need::Program(name));
    let needs: Vec<Need> = IMAGE_NEEDS.into_iter().chain(own).collect();
    Scene::needing(&needs)
}

/// Runs a command on a terminal and gives what appeared on it.
fn on_a_terminal(call: Invocation) -> String {
    let (mut terminal, slave) = Terminal::open(24, 80);
    let copy = || slave.try_clone().expect("dup");
    let call = call.under(["setsid", "--ctty", "--wait"]);
    let call = call.env("TERM", "xterm").stdin(copy()).stdout(copy()).stderr(copy()).spawn();
    let seen = terminal.expect("terminal-end");
    let outcome = call.wait();
    assert!(outcome.status.success(), "{outcome:?}\non the terminal: {seen}");
    seen
}

/// Removes what engines leave in the scene's cgroup: empty parents and the places of helpers.
fn tidy(scene: &Scene) {
    scene.unmount_all();
    Layout::here().remove(scene.tag());
}

/// A podman with its own storage that uses the runtime under test.
struct Podman<'a> {
    scene: &'a Scene,
}

impl<'a> Podman<'a> {
    fn new(scene: &'a Scene) -> Self {
        let runtime = scene.runtime().program().display();
        let name = scene.runtime().kind().name();
        // No limit is raised by default: not every machine lets root do that.
        let config = format!(
            "[engine]\nruntime = \"{name}\"\ncgroup_manager = \"cgroupfs\"\n\
             events_logger = \"file\"\nruntime_supports_json = [\"{name}\"]\n\
             [engine.runtimes]\n{name} = [\"{runtime}\"]\n\
             [containers]\ndefault_sysctls = []\n\
             default_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n"
        );
        write(&scene.dir().join("containers.conf"), config.as_bytes());
        write(
            &scene.dir().join("policy.json"),
            br#"{"default":[{"type":"insecureAcceptAnything"}]}"#,
        );
        Self { scene }
    }

    fn call(&self, words: &[&str]) -> Invocation {
        let dir = self.scene.dir();
        let path = |name: &str| dir.join(name).display().to_string();
        let call = self.scene.call("podman").env("CONTAINERS_CONF", path("containers.conf"));
        let call = call.env("HOME", dir).env("XDG_RUNTIME_DIR", dir);
        call.args([
            "--root",
            &path("root"),
            "--runroot",
            &path("runroot"),
            "--tmpdir",
            &path("tmp"),
        ])
        .args(["--network-config-dir", &path("net"), "--storage-driver", "vfs"])
        .args(words)
    }

    /// `podman run` without a network, in the scene's cgroup.
    fn run(&self, options: &[&str], words: &[&str]) -> Invocation {
        let call = self.call(&["run", "--network", "none"]);
        let parent = self.scene.cgroup();
        call.args(["--cgroup-parent", &parent]).args(options).arg(IMAGE).args(words)
    }
}

#[test]
fn podman_runs_containers() {
    let Some(scene) = needing(&["podman", "conmon"]) else { return };
    let podman = Podman::new(&scene);
    let archive = image(&scene);
    podman.call(&["load", "--quiet", "--input"]).arg(&archive).run().ok();

    let outcome = podman.run(&["--rm"], &["sh", "-c", "echo hi; id -u; exit 7"]).run();
    assert_eq!(outcome.exits(7).stdout, "hi\n0\n");
    let limits = ["--rm", "--memory", "64m", "--pids-limit", "50", "--user", "1000:1000"];
    assert_eq!(podman.run(&limits, &["id", "-u"]).run().ok().stdout, "1000\n");
    podman.run(&["--rm"], &["/no/such/program"]).run().exits(127);

    let script = "tty; stty size; echo terminal-end";
    let seen = on_a_terminal(podman.run(&["--rm", "-it"], &["sh", "-c", script]));
    assert!(seen.contains("/dev/pts/0"), "{seen}");

    let name = "detached";
    let script = "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done";
    podman.run(&["-d", "--name", name], &["sh", "-c", script]).run().ok();
    integration::runtime::until("the container's output", || {
        podman.call(&["logs", name]).run().stdout.contains("up")
    });
    let status = podman.call(&["inspect", "--format", "{{.State.Status}}", name]).run().ok();
    assert_eq!(status.stdout, "running\n");
    let exec = |words: &[&str]| podman.call(&[&["exec"], words].concat());
    let outcome = exec(&["--user", "7", name, "sh", "-c", "id -u; exit 3"]).run().exits(3);
    assert_eq!(outcome.stdout, "7\n");
    exec(&[name, "/no/such/program"]).run().exits(127);
    let seen = on_a_terminal(exec(&["-it", name, "sh", "-c", "tty; echo terminal-end"]));
    assert!(seen.contains("/dev/pts/"), "{seen}");
    let inside = |words: &[&str]| exec(&[&[name], words].concat()).run().ok().stdout;
    assert!(inside(&["grep", "Seccomp:", "/proc/self/status"]).contains('2'), "no profile");
    assert!(podman.call(&["top", name, "hpid", "args"]).run().ok().stdout.contains("sleep 0.1"));
    for (verb, status) in [("pause", "paused"), ("unpause", "running")] {
        podman.call(&[verb, name]).run().ok();
        let seen = podman.call(&["inspect", "--format", "{{.State.Status}}", name]).run().ok();
        assert_eq!(seen.stdout.trim_end(), status, "{verb}");
    }
    podman.call(&["stop", "--time", "5", name]).run().ok();
    let code = podman.call(&["inspect", "--format", "{{.State.ExitCode}}", name]).run().ok();
    assert_eq!(code.stdout, "9\n");
    podman.call(&["rm", "--force", name]).run().ok();
    tidy(&scene);
}

#[test]
fn containerd_runs_containers() {
    let Some(scene) = needing(&["containerd", "ctr", "containerd-shim-runc-v2"]) else { return };
    let archive = image(&scene);
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
    let call = scene.call("containerd").args(["--config", &path("config.toml")]);
    let daemon = Daemon::start(call, &dir.join("socket"));
    let ctr = |words: &[&str]| scene.call("ctr").args(["--address", &path("socket")]).args(words);
    ctr(&["images", "import", "--snapshotter", "native"]).arg(&archive).run().ok();
    let run = |options: &[&str], id: &str, words: &[&str]| {
        let program = scene.runtime().program();
        let cgroup = format!("{}/{id}", scene.cgroup());
        let call = ctr(&["run", "--snapshotter", "native", "--cgroup", &cgroup, "--runc-binary"]);
        let root = path("runtime-root");
        let call = call.arg(program).args(["--runc-root", root.as_str()]);
        call.args(options).args([IMAGE, id]).args(words)
    };
    let outcome = run(&["--rm"], "one", &["sh", "-c", "echo hi; exit 7"]).run().exits(7);
    assert_eq!(outcome.stdout, "hi\n");
    let seen = on_a_terminal(run(&["--rm", "-t"], "two", &["sh", "-c", "tty; echo terminal-end"]));
    assert!(seen.contains("/dev/pts/0"), "{seen}");

    run(&["--detach"], "three", &["sleep", "1000"]).run().ok();
    let list = ctr(&["tasks", "list"]).run().ok().stdout;
    assert!(list.contains("three") && list.contains("RUNNING"), "{list}");
    let exec = |options: &[&str], words: &[&str]| {
        ctr(&["tasks", "exec"]).args(options).arg("three").args(words)
    };
    let outcome = exec(&["--exec-id", "a"], &["sh", "-c", "echo inside; exit 3"]).run().exits(3);
    assert_eq!(outcome.stdout, "inside\n");
    let seen =
        on_a_terminal(exec(&["-t", "--exec-id", "b"], &["sh", "-c", "tty; echo terminal-end"]));
    assert!(seen.contains("/dev/pts/"), "{seen}");
    ctr(&["tasks", "kill", "--signal", "SIGKILL", "three"]).run().ok();
    integration::runtime::until("the task's end", || {
        ctr(&["tasks", "list"]).run().ok().stdout.contains("STOPPED")
    });
    ctr(&["tasks", "rm", "three"]).run();
    ctr(&["containers", "rm", "three"]).run().ok();
    drop(daemon);
    tidy(&scene);
}

#[test]
fn docker_runs_containers() {
    let Some(scene) = needing(&["dockerd", "docker", "containerd"]) else { return };
    let archive = image(&scene);
    let dir = scene.directory("docker");
    let socket = dir.join("socket");
    let daemon = dockerd(&scene, &dir, &socket);
    let host = format!("unix://{}", socket.display());
    let docker = |words: &[&str]| {
        let call = scene.call("docker").env("HOME", scene.dir());
        call.args(["--host", &host]).args(words)
    };
    docker(&["load", "--quiet", "--input"]).arg(&archive).run().ok();
    let run = |options: &[&str], words: &[&str]| {
        let call = docker(&["run", "--network", "none"]);
        call.args(["--cgroup-parent", &scene.cgroup()]).args(options).arg(IMAGE).args(words)
    };
    let outcome = run(&["--rm"], &["sh", "-c", "echo hi; id -u; exit 7"]).run().exits(7);
    assert_eq!(outcome.stdout, "hi\n0\n");
    run(&["--rm"], &["/no/such/program"]).run().exits(127);
    let seen = on_a_terminal(run(&["--rm", "-it"], &["sh", "-c", "tty; echo terminal-end"]));
    assert!(seen.contains("/dev/pts/0"), "{seen}");

    let script = "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done";
    let options = ["-d", "--name", "detached", "--memory", "64m", "--pids-limit", "50"];
    run(&options, &["sh", "-c", script]).run().ok();
    integration::runtime::until("the container's output", || {
        docker(&["logs", "detached"]).run().stdout.contains("up")
    });
    let exec = |words: &[&str]| docker(&[&["exec"], words].concat());
    let outcome = exec(&["--user", "7", "detached", "sh", "-c", "id -u; exit 3"]).run().exits(3);
    assert_eq!(outcome.stdout, "7\n");
    // Docker 20.10 says 126 here, with runc too.
    let outcome = exec(&["detached", "/no/such/program"]).run().exits(126);
    assert!(outcome.stdout.contains("no such file or directory"), "{outcome:?}");
    let seen = on_a_terminal(exec(&["-it", "detached", "sh", "-c", "tty; echo terminal-end"]));
    assert!(seen.contains("/dev/pts/"), "{seen}");
    let status = exec(&["detached", "grep", "Seccomp:", "/proc/self/status"]).run().ok().stdout;
    assert!(status.contains('2'), "no profile: {status}");
    assert!(docker(&["top", "detached"]).run().ok().stdout.contains("sleep 0.1"));
    for (verb, status) in [("pause", "paused"), ("unpause", "running")] {
        docker(&[verb, "detached"]).run().ok();
        let seen = docker(&["inspect", "--format", "{{.State.Status}}", "detached"]).run().ok();
        assert_eq!(seen.stdout.trim_end(), status, "{verb}");
    }
    docker(&["update", "--pids-limit", "60", "detached"]).run().ok();
    let limit = exec(&["detached", "cat", "/sys/fs/cgroup/pids/pids.max"]).run();
    if limit.code() == Some(0) {
        assert_eq!(limit.stdout, "60\n");
    }
    docker(&["stop", "--time", "5", "detached"]).run().ok();
    let code = docker(&["inspect", "--format", "{{.State.ExitCode}}", "detached"]).run().ok();
    assert_eq!(code.stdout, "9\n");
    docker(&["rm", "--force", "detached"]).run().ok();
    drop(daemon);
    tidy(&scene);
}

/// Starts a Docker daemon that makes no network device and leaves the machine's firewall alone.
fn dockerd(scene: &Scene, dir: &Path, socket: &Path) -> Daemon {
    let path = |name: &str| dir.join(name).display().to_string();
    // Else it makes a key below /etc.
    let config = format!("{{\"deprecated-key-path\": \"{}\"}}", path("key.json"));
    write(&dir.join("daemon.json"), config.as_bytes());
    let runtime = format!("tested={}", scene.runtime().program().display());
    let call = scene.call("dockerd").env("HOME", dir);
    let call = call
        .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
        .args(["--pidfile", &path("pid"), "--config-file", &path("daemon.json")])
        .args(["--host", &format!("unix://{}", socket.display())])
        .args(["--add-runtime", &runtime, "--default-runtime", "tested"])
        .args(["--storage-driver", "vfs", "--exec-opt", "native.cgroupdriver=cgroupfs"])
        .args(["--oom-score-adjust", "0", "--bridge", "none", "--iptables=false"])
        .args(["--ip-forward=false", "--ip-masq=false"]);
    Daemon::start(call, socket)
}
