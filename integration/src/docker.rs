//! Docker with the runtime under test: daemons with their own data, state and socket below the
//! scene.
//!
//! A daemon makes network devices and rules of a firewall only where a test has it do so, which is
//! in a network namespace of its own.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bundle::write;
use crate::docker_like::DockerLike;
use crate::engine::{self, Daemon, Remains, cpu_quota, lives, memory_limit, pids_limit};
use crate::runtime::{Invocation, until};
use crate::scene::Scene;
use crate::skip::Need;

/// What a daemon and its command are.
pub const PROGRAMS: [Need; 3] =
    [Need::Program("dockerd"), Need::Program("docker"), Need::Program("containerd")];

/// What [`Docker::limits`] reads.
pub const LIMITS: [Need; 3] =
    [Need::Controller("memory"), Need::Controller("cpu"), Need::Controller("pids")];

/// What a daemon does with the network of the namespace it is in.
pub const FIREWALL: [&str; 3] = ["--iptables=true", "--ip-forward=true", "--ip-masq=true"];

/// Layers on top of each other where the file system can do that, and else copies: dockerd's own
/// choice. Mounts stay in a mount namespace of the daemon.
pub const LAYERS: &str = "--storage-driver=";

/// A Docker daemon that is up; it is ended when dropped.
pub struct Docker<'a> {
    daemon: Daemon,
    scene: &'a Scene,
    dir: PathBuf,
    /// The command.
    client: &'static str,
    /// What it leaves, unless other daemons of the scene go on.
    _remains: Option<Remains<'a>>,
}

impl<'a> Docker<'a> {
    /// Starts one that has the image of busybox.
    pub fn start(scene: &'a Scene) -> Self {
        Self::started(scene, |call| call)
    }

    /// Starts it with something changed about the call.
    pub fn started(scene: &'a Scene, edit: impl FnOnce(Invocation) -> Invocation) -> Self {
        let remains = Remains(scene);
        let mut docker = Self::one_of_many(scene, "docker", edit);
        docker._remains = Some(remains);
        docker.load(&engine::image(scene));
        docker
    }

    /// Starts one of several, or the same again, without an image. The scene's [`Remains`] are the
    /// caller's.
    pub fn one_of_many(
        scene: &'a Scene,
        name: &str,
        edit: impl FnOnce(Invocation) -> Invocation,
    ) -> Self {
        let dir = scene.directory(name);
        let path = |name: &str| dir.join(name).display().to_string();
        // Else it makes a key below /etc.
        let config = format!("{{\"deprecated-key-path\": \"{}\"}}", path("key.json"));
        write(&dir.join("daemon.json"), config.as_bytes());
        let runtime = format!("tested={}", scene.runtime().program().display());
        let socket = dir.join("socket");
        let call = scene.call("dockerd").env("HOME", &dir);
        let call = call
            .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
            .args(["--pidfile", &path("pid"), "--config-file", &path("daemon.json")])
            .args(["--host", &format!("unix://{}", socket.display())])
            .args(["--add-runtime", &runtime, "--default-runtime", "tested"])
            .args(["--cgroup-parent", &scene.cgroup()])
            .args(["--storage-driver", "vfs", "--exec-opt", "native.cgroupdriver=cgroupfs"])
            .args(["--oom-score-adjust", "0", "--bridge", "none", "--iptables=false"])
            .args(["--ip-forward=false", "--ip-masq=false"]);
        let daemon = Daemon::start(edit(call), &socket);
        Self { daemon, scene, dir, client: "docker", _remains: None }
    }

    /// Loads the images of an archive.
    #[track_caller]
    pub fn load(&self, archive: &Path) {
        self.call(&["load", "--quiet", "--input"]).arg(archive).run().ok();
    }

    /// Takes another command than `docker`.
    pub fn set_client(&mut self, client: &'static str) {
        self.client = client;
    }

    /// Where the daemon listens, as the command and others take it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.dir.join("socket").display())
    }

    /// A call in the daemon's network.
    pub fn near(&self, words: &[&str]) -> Invocation {
        let pid = fs::read_to_string(self.dir.join("pid")).expect("the daemon's pid");
        let space = format!("--net=/proc/{}/ns/net", pid.trim());
        self.scene.call("nsenter").arg(space).args(words)
    }

    /// A container's limits in the kernel's files: memory in bytes, processors in microseconds of
    /// each period, processes.
    pub fn limits(&self, name: &str) -> [String; 3] {
        let cgroup = format!("{}/{}", self.scene.cgroup(), self.inspect(name, "Id"));
        [memory_limit(&cgroup), cpu_quota(&cgroup), pids_limit(&cgroup)]
    }

    /// Kills the daemon and its containerd with SIGKILL; the containers go on.
    #[track_caller]
    pub fn crash(self) {
        let pid = self.dir.join("exec/containerd/containerd.pid");
        let pid = fs::read_to_string(pid).expect("containerd's pid").trim().parse();
        let pid = pid.expect("a number");
        self.daemon.crash();
        // Its parent is gone, and so perhaps is it.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        until("the end of containerd", || !lives(pid));
    }
}

impl DockerLike for Docker<'_> {
    fn scene(&self) -> &Scene {
        self.scene
    }

    fn call(&self, words: &[&str]) -> Invocation {
        let call = self.scene.call(self.client).env("HOME", self.scene.dir());
        call.args(["--host", &self.host()]).args(words)
    }
}
