//! containerd with the runtime under test, driven by `ctr`: its own root, state and socket below
//! the scene, containers without a network.
//!
//! Every container is in the scene's cgroup. What ctr has no command for is asked over gRPC, by hand.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::bundle::write;
use crate::cgroups::Layout;
use crate::engine::{Daemon, IMAGE, Remains};
use crate::runtime::{Call, Invocation, until};
use crate::scene::Scene;
use crate::skip::Need;

/// ctr gives each container a share of the processors.
pub const NEEDS: [Need; 4] = [
    Need::Program("containerd"),
    Need::Program("ctr"),
    Need::Program("containerd-shim-runc-v2"),
    Need::Controller("cpu"),
];

/// A containerd that has the image.
pub struct Containerd<'a> {
    daemon: Option<Daemon>,
    scene: &'a Scene,
    dir: PathBuf,
    _remains: Remains<'a>,
}

impl<'a> Containerd<'a> {
    /// Starts it and imports the image for the snapshotter that works on every file system.
    pub fn start(scene: &'a Scene) -> Self {
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

    /// A path among what belongs to this daemon.
    pub fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Starts the daemon, for the first time or again.
    pub fn serve(&mut self) {
        let call = self.scene.call("containerd").args(["--config", &self.path("config.toml")]);
        self.daemon = Some(Daemon::start(call, &self.dir.join("socket")));
    }

    /// Imports the image for a snapshotter.
    pub fn import(&self, snapshotter: &str) {
        let call = self.ctr(&["images", "import", "--snapshotter", snapshotter]);
        call.arg(self.scene.dir().join("image/busybox.tar")).run().ok();
    }

    /// Imports the image for the fastest snapshotter that works here, and gives its name.
    pub fn snapshotter(&self) -> &'static str {
        let plugins = self.ctr(&["plugins", "list"]).run().ok().stdout;
        let overlay = plugins.lines().find(|line| line.contains("overlayfs")).unwrap_or_default();
        if !overlay.trim_end().ends_with("ok") {
            return "native";
        }
        self.import("overlayfs");
        "overlayfs"
    }

    /// The runtime's state root, which is that of the namespace that ctr uses.
    pub fn runtime_root(&self) -> PathBuf {
        self.dir.join("runtime-root/default")
    }

    /// A call of ctr.
    pub fn ctr(&self, words: &[&str]) -> Invocation {
        self.scene.call("ctr").args(["--address", &self.path("socket")]).args(words)
    }

    /// `ctr run` in the scene's cgroup. Options that come later win.
    pub fn run(&self, options: &[&str], id: &str, words: &[&str]) -> Invocation {
        let call = self.ctr(&["run", "--snapshotter", "native", "--cgroup", &self.cgroup(id)]);
        let call = call.arg("--runc-binary").arg(self.scene.runtime().program());
        let call = call.args(["--runc-root", &self.path("runtime-root")]);
        let call = call.args(["--fifo-dir", &self.path("fifo")]);
        call.args(options).args([IMAGE, id]).args(words)
    }

    /// `ctr tasks exec` with an id of the process.
    pub fn exec(&self, id: &str, process: &str, options: &[&str], words: &[&str]) -> Invocation {
        let call = self.ctr(&["tasks", "exec", "--exec-id", process]);
        let call = call.args(["--fifo-dir", &self.path("fifo")]);
        call.args(options).arg(id).args(words)
    }

    /// The cgroup of a container.
    pub fn cgroup(&self, id: &str) -> String {
        format!("{}/{id}", self.scene.cgroup())
    }

    /// Where containerd keeps what belongs to a task.
    pub fn bundle(&self, id: &str) -> PathBuf {
        self.dir.join("state/io.containerd.runtime.v2.task/default").join(id)
    }

    /// The socket of a task's shim. Only containerd knows where it is, and it leaves it when the shim
    /// crashes.
    pub fn shim_socket(&self, id: &str) -> Option<PathBuf> {
        let address = fs::read_to_string(self.bundle(id).join("address")).ok()?;
        Some(PathBuf::from(address.trim_start_matches("unix://")))
    }

    /// Kills the daemon.
    pub fn crash(&mut self) {
        self.daemon.take().expect("a daemon").crash();
    }

    /// Makes things that are told as events until the first one is: then nothing is missed.
    #[track_caller]
    pub fn probe(&self, events: &Call) {
        until("the first event", || {
            self.ctr(&["images", "label", IMAGE, "probe=1"]).run().ok();
            events.stdout().contains("/images/update")
        });
    }

    /// Changes a task's limits. ctr has no command for that; the call is gRPC, by hand.
    #[track_caller]
    pub fn update(&self, id: &str, resources: &str) {
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
    pub fn task(&self, id: &str) -> Option<(i32, String)> {
        let row = self.rows().into_iter().find(|row| row[0] == id)?;
        Some((row[1].parse().expect("a pid"), row[2].clone()))
    }

    /// The tasks that containerd knows, and the status of each.
    pub fn tasks(&self) -> BTreeMap<String, String> {
        self.rows().into_iter().map(|row| (row[0].clone(), row[2].clone())).collect()
    }

    /// The list of tasks: id, process, and status.
    fn rows(&self) -> Vec<[String; 3]> {
        let list = self.ctr(&["tasks", "list"]).run().ok().stdout;
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        list.lines().skip(1).map(|line| words(line).try_into().expect("three words")).collect()
    }

    /// The status of a task that must be there.
    #[track_caller]
    pub fn status(&self, id: &str) -> String {
        self.task(id).unwrap_or_else(|| panic!("no task {id}")).1
    }

    /// The first process of a task that must be there.
    #[track_caller]
    pub fn pid(&self, id: &str) -> i32 {
        self.task(id).unwrap_or_else(|| panic!("no task {id}")).0
    }

    /// Sends a signal that ends the task, and removes it and the container.
    #[track_caller]
    pub fn end(&self, id: &str, signal: &str, code: i32) {
        self.ctr(&["tasks", "kill", "--signal", signal, id]).run().ok();
        self.ended(id, code);
        self.remove(id);
    }

    /// Waits for the end of a task, and removes it. Its exit code is told then, as a warning.
    #[track_caller]
    pub fn ended(&self, id: &str, code: i32) {
        until("the task's end", || self.status(id) == "STOPPED");
        let outcome = self.ctr(&["tasks", "rm", id]).run().ok();
        outcome.says(&[&format!("task {id} exit with non-zero exit code {code}\"")]);
    }

    /// Removes a container without a task.
    #[track_caller]
    pub fn remove(&self, id: &str) {
        self.ctr(&["containers", "rm", id]).run().ok();
        self.assert_gone(id);
    }

    /// Demands that nothing of a container is left: no state of the runtime, no cgroup.
    #[track_caller]
    pub fn assert_gone(&self, id: &str) {
        let state = self.runtime_root().join(id);
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
            let socket = self.shim_socket(&bundle.file_name().to_string_lossy());
            socket.map(fs::remove_file);
        }
    }
}

/// A field of a protocol buffer's message: its number, its length in two bytes, and what it holds.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let byte = |value: usize| u8::try_from(value).expect("a short field");
    let length = [byte(bytes.len() % 128) | 128, byte(bytes.len() / 128)];
    [&[number << 3 | 2], &length[..], bytes].concat()
}
