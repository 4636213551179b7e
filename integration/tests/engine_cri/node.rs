//! A node without its kubelet: containerd with the CRI plugin, in a network namespace of its own,
//! and what a kubelet asks of it.
//!
//! A call of CRI is one HTTP/2 request on containerd's socket with one message in it and one in the
//! answer. curl carries them: this needs no asynchronous client, and tests read from top to bottom.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use integration::bundle::write;
use integration::cgroups::Layout;
use integration::engine::{Daemon, IMAGE, Remains, image, image_that_runs};
use integration::readme::{KEEL, Section};
use integration::runtime::{Invocation, until};
use integration::{Need, Scene, skip};
use prost::Message;

use crate::messages::{
    ContainerConfig, ContainerStatus, ContainerStatusResponse, CreateContainer, EXITED, Empty,
    ExecSync, Executed, Id, Images, LinuxPod, NODE, PodConfig, PodMetadata, PodStatus,
    PodStatusResponse, READY, RunPod, StatusOf, StatusResponse, StopContainer,
};

/// Where Debian has the CNI plugins.
const PLUGINS: &str = "/usr/lib/cni";

/// The image of a sandbox: its program only waits.
const PAUSE: &str = "docker.io/localtest/pause:latest";

const NEEDS: [Need; 10] = [
    Need::Program("containerd"),
    Need::Program("ctr"),
    Need::Program("containerd-shim-runc-v2"),
    Need::Program("curl"),
    Need::Program("ip"),
    Need::Program("nsenter"),
    Need::Program("unshare"),
    Need::Path("/usr/lib/cni/bridge"),
    Need::Path("/usr/lib/cni/host-local"),
    Need::Path("/usr/lib/cni/loopback"),
];

/// Opens a scene for a node.
pub(crate) fn scene() -> Option<Scene> {
    let controllers = ["cpu", "memory", "pids"].map(Need::Controller);
    let scene = integration::engine::scene(&[&NEEDS[..], &controllers].concat())?;
    let probe = ["--net", "ip", "link", "add", "probe", "type", "bridge"];
    if scene.call("unshare").args(probe).run().status.success() {
        return Some(scene);
    }
    skip("the kernel has no bridges");
    None
}

/// A network namespace, held by a process; killed when dropped.
struct Network(Child);

impl Network {
    fn new() -> Self {
        let script = "ip link set lo up && echo ready && exec sleep 1000000";
        let mut command = Command::new("unshare");
        let command = command.args(["--net", "sh", "-c", script]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("unshare");
        let mut ready = [0; 6];
        let output = child.stdout.as_mut().expect("piped");
        std::io::Read::read_exact(output, &mut ready).expect("the holder is ready");
        Self(child)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A sandbox that was run, with the configuration that every container in it is made with.
pub(crate) struct Pod {
    pub(crate) id: String,
    pub(crate) config: PodConfig,
}

/// A containerd that has the images and answers calls of CRI.
pub(crate) struct Node<'a> {
    daemon: Option<Daemon>,
    network: Network,
    pub(crate) scene: &'a Scene,
    dir: PathBuf,
    calls: AtomicU32,
    _remains: Remains<'a>,
}

impl<'a> Node<'a> {
    /// Starts it and imports the images.
    pub(crate) fn start(scene: &'a Scene) -> Self {
        let images = [image(scene), image_that_runs(scene, "pause", &["sleep", "1000000"])];
        let dir = scene.directory("node");
        for part in ["cni", "calls", "logs"] {
            fs::create_dir(dir.join(part)).expect("mkdir");
        }
        let mut node = Self {
            daemon: None,
            network: Network::new(),
            scene,
            dir,
            calls: AtomicU32::new(0),
            _remains: Remains(scene),
        };
        write(&node.dir.join("config.toml"), node.configuration().as_bytes());
        write(&node.dir.join("cni/10-bridge.conflist"), node.cni().as_bytes());
        node.serve();
        for archive in images {
            let ctr = scene.call("ctr").args(["--address", &node.path("socket")]);
            let import = ["--namespace", "k8s.io", "images", "import", "--snapshotter", "native"];
            ctr.args(import).arg(archive).run().ok();
        }
        // The plugin hears of images some time after ctr has made them.
        until("the images", || {
            let list: Images = node.call("runtime.v1.ImageService/ListImages", &Empty {});
            list.images.len() == 2
        });
        node
    }

    /// The lines that README.md gives, and what keeps everything in the scene: before its tables, in
    /// one, and after them.
    fn configuration(&self) -> String {
        let mut section = Section::of("Kubernetes");
        let runtime = self.scene.runtime().program().display().to_string();
        let cri = "plugins.\"io.containerd.grpc.v1.cri\"";
        let table = format!("[{cri}.containerd]\n");
        let lines = section.next("toml").replace(KEEL, &runtime);
        let lines = lines.replace(&table, &format!("{table}snapshotter = \"native\"\n"));
        section.end();
        let path = |name| self.path(name);
        format!(
            "root = \"{}\"\nstate = \"{}\"\n\
             {lines}Root = \"{}\"\n\
             [grpc]\naddress = \"{}\"\n\
             [plugins.\"io.containerd.internal.v1.opt\"]\npath = \"{}\"\n\
             [{cri}]\nsandbox_image = \"{PAUSE}\"\nrestrict_oom_score_adj = true\n\
             disable_apparmor = true\ntolerate_missing_hugetlb_controller = true\n\
             netns_mounts_under_state_dir = true\n\
             stream_server_address = \"127.0.0.1\"\nstream_server_port = \"0\"\n\
             [{cri}.cni]\nbin_dir = \"{PLUGINS}\"\nconf_dir = \"{}\"\n",
            path("root"),
            path("state"),
            path("runtime-root"),
            path("socket"),
            path("opt"),
            path("cni"),
        )
    }

    /// A bridge in the node's network namespace. Plugins keep the result of each call below
    /// `/var/lib/cni` under the network's name, until the sandbox is removed.
    fn cni(&self) -> String {
        let (name, data) = (self.scene.tag(), self.path("addresses"));
        format!(
            r#"{{"cniVersion":"0.4.0","name":"{name}","plugins":[{{"type":"bridge",
            "bridge":"bridge0","isGateway":true,"ipam":{{"type":"host-local","dataDir":"{data}",
            "ranges":[[{{"subnet":"10.123.0.0/24"}}]],"routes":[{{"dst":"0.0.0.0/0"}}]}}}}]}}"#
        )
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// The path of the node's network namespace.
    pub(crate) fn netns(&self) -> String {
        format!("/proc/{}/ns/net", self.network.0.id())
    }

    /// Starts the daemon, for the first time or again, and waits until the plugin answers.
    pub(crate) fn serve(&mut self) {
        let call = self.scene.call("containerd").args(["--config", &self.path("config.toml")]);
        let call = call.under(["nsenter".to_owned(), format!("--net={}", self.netns())]);
        self.daemon = Some(Daemon::start(call, &self.dir.join("socket")));
        until("the plugin", || {
            self.try_call::<_, StatusResponse>("runtime.v1.RuntimeService/Status", &Empty {})
                .is_ok()
        });
    }

    /// Kills the daemon.
    pub(crate) fn crash(&mut self) {
        self.daemon.take().expect("a daemon").crash();
    }

    /// Calls a method of the runtime service that must succeed.
    #[track_caller]
    pub(crate) fn ask<A: Message, B: Message + Default>(&self, method: &str, request: &A) -> B {
        self.call(&format!("runtime.v1.RuntimeService/{method}"), request)
    }

    /// Calls a method that must succeed.
    #[track_caller]
    pub(crate) fn call<A: Message, B: Message + Default>(&self, method: &str, request: &A) -> B {
        let answer = self.try_call(method, request);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Calls a method of the runtime service that must fail, and gives what it says.
    #[track_caller]
    pub(crate) fn refused<A: Message>(&self, method: &str, request: &A) -> String {
        let answer =
            self.try_call::<_, Empty>(&format!("runtime.v1.RuntimeService/{method}"), request);
        answer.expect_err("the call must fail")
    }

    /// Calls a method. A call that fails has a status and a sentence in its trailers.
    #[track_caller]
    fn try_call<A: Message, B: Message + Default>(
        &self,
        method: &str,
        request: &A,
    ) -> Result<B, String> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let (asked, answer) = (self.path(&format!("calls/{number}")), self.path("calls/answer"));
        let message = request.encode_to_vec();
        let length = u32::try_from(message.len()).expect("short").to_be_bytes();
        write(asked.as_ref(), &[&[0], &length[..], &message].concat());
        let answer = format!("{answer}-{number}");
        let call = self.scene.call("curl").args(["--silent", "--show-error", "--dump-header", "-"]);
        let call = call.args(["--http2-prior-knowledge", "--unix-socket", &self.path("socket")]);
        let call = call.args(["--header", "content-type: application/grpc"]);
        let call = call.args(["--header", "te: trailers", "--output", &answer, "--data-binary"]);
        let call = call.arg(format!("@{asked}")).arg(format!("http://localhost/{method}"));
        let outcome = call.run().ok();
        let header = |name: &str| {
            let mut lines = outcome.stdout.lines();
            lines.find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
        };
        if header("grpc-status:").as_deref() != Some("0") {
            return Err(header("grpc-message:").unwrap_or_else(|| format!("{outcome:?}")));
        }
        let body = fs::read(&answer).expect("an answer");
        Ok(B::decode(&body[5..]).expect("a message of this kind"))
    }

    /// Runs a sandbox.
    #[track_caller]
    pub(crate) fn run_pod(&self, name: &str, edit: impl FnOnce(&mut LinuxPod)) -> Pod {
        let mut linux = LinuxPod { cgroup_parent: self.scene.cgroup(), ..LinuxPod::default() };
        edit(&mut linux);
        let metadata =
            PodMetadata { name: name.into(), uid: self.scene.id(), namespace: "tests".into() };
        // A pod without a network of its own has no name of its own either.
        let namespaces = linux.security.as_ref().and_then(|all| all.namespaces.as_ref());
        let named = namespaces.is_none_or(|namespaces| namespaces.network != NODE);
        let config = PodConfig {
            metadata: Some(metadata),
            hostname: if named { name.to_owned() } else { String::new() },
            log_directory: self.path("logs"),
            linux: Some(linux),
        };
        let run = RunPod { config: Some(config.clone()) };
        let Id { id } = self.ask("RunPodSandbox", &run);
        Pod { id, config }
    }

    /// The request for a container of an image with everything a shell needs.
    pub(crate) fn request(
        &self,
        pod: &Pod,
        name: &str,
        command: &[&str],
        edit: impl FnOnce(&mut ContainerConfig),
    ) -> CreateContainer {
        let named = |id: &str| Some(Id { id: id.to_owned() });
        let mut config = ContainerConfig {
            metadata: named(name),
            image: named(IMAGE),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            log_path: format!("{name}.log"),
            ..ContainerConfig::default()
        };
        edit(&mut config);
        let pod_config = Some(pod.config.clone());
        CreateContainer { pod: pod.id.clone(), config: Some(config), pod_config }
    }

    /// Creates and starts a container, and gives its id.
    #[track_caller]
    pub(crate) fn start_container(
        &self,
        pod: &Pod,
        name: &str,
        command: &[&str],
        edit: impl FnOnce(&mut ContainerConfig),
    ) -> String {
        let request = self.request(pod, name, command, edit);
        let created: Id = self.ask("CreateContainer", &request);
        let _: Empty = self.ask("StartContainer", &created);
        created.id
    }

    /// Runs a shell's script in a container of its own to its end, and gives what it wrote to
    /// both streams. The container is removed.
    #[track_caller]
    pub(crate) fn script(
        &self,
        pod: &Pod,
        name: &str,
        script: &str,
        edit: impl FnOnce(&mut ContainerConfig),
    ) -> String {
        let script = format!("{{ {script}\n}} 2>&1; echo script-end");
        let id = self.start_container(pod, name, &["sh", "-c", &script], edit);
        self.ended(&id);
        // containerd may write the last lines only after it has told the end.
        until("the whole log", || self.log(name).ends_with("script-end\n"));
        let _: Empty = self.ask("RemoveContainer", &Id { id });
        self.log(name).trim_end_matches("script-end\n").to_owned()
    }

    /// What a container wrote, without what a log has in front of each line: the time, the stream,
    /// and whether the line is whole.
    pub(crate) fn log(&self, name: &str) -> String {
        let log = fs::read_to_string(self.path(&format!("logs/{name}.log"))).unwrap_or_default();
        let lines = log.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap_or_default());
        lines.flat_map(|line| [line, "\n"]).collect()
    }

    /// A sandbox's status.
    #[track_caller]
    pub(crate) fn pod_status(&self, pod: &Pod) -> PodStatus {
        let request = StatusOf { id: pod.id.clone(), verbose: false };
        let answer: PodStatusResponse = self.ask("PodSandboxStatus", &request);
        answer.status.expect("a status")
    }

    /// A container's status.
    #[track_caller]
    pub(crate) fn status(&self, id: &str) -> ContainerStatus {
        self.verbose_status(id).status.expect("a status")
    }

    /// Waits for the end of a container.
    #[track_caller]
    pub(crate) fn ended(&self, id: &str) -> ContainerStatus {
        until("the container's end", || self.status(id).state == EXITED);
        self.status(id)
    }

    #[track_caller]
    fn verbose_status(&self, id: &str) -> ContainerStatusResponse {
        self.ask("ContainerStatus", &StatusOf { id: id.to_owned(), verbose: true })
    }

    /// The first process of a container, as the host numbers it.
    #[track_caller]
    pub(crate) fn pid(&self, id: &str) -> i32 {
        let info = self.verbose_status(id).info.remove("info").expect("verbose");
        let info: serde_json::Value = serde_json::from_str(&info).expect("JSON");
        info["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a pid")
    }

    /// Runs a shell's script in a running container.
    #[track_caller]
    pub(crate) fn exec(&self, id: &str, script: &str) -> Executed {
        let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
        self.ask("ExecSync", &ExecSync { id: id.to_owned(), cmd, timeout: 0 })
    }

    /// Runs a script that must succeed in a running container, and gives what it wrote.
    #[track_caller]
    pub(crate) fn output(&self, id: &str, script: &str) -> String {
        let executed = self.exec(id, script);
        assert_eq!(executed.exit_code, 0, "{executed:?}");
        String::from_utf8(executed.stdout).expect("text")
    }

    /// The cgroup of a container or of a sandbox's own process.
    pub(crate) fn cgroup(&self, id: &str) -> String {
        format!("{}/{id}", self.scene.cgroup())
    }

    /// Stops and removes a container, of which nothing may be left.
    #[track_caller]
    pub(crate) fn end(&self, id: &str) {
        self.remove(id);
        self.assert_gone(id);
    }

    /// Stops and removes a container.
    #[track_caller]
    pub(crate) fn remove(&self, id: &str) {
        let _: Empty = self.ask("StopContainer", &StopContainer { id: id.to_owned(), timeout: 0 });
        let _: Empty = self.ask("RemoveContainer", &Id { id: id.to_owned() });
    }

    /// A call of the runtime as containerd's shim makes it.
    pub(crate) fn runtime(&self, words: &[&str]) -> Invocation {
        let call = self.scene.call(self.scene.runtime().program());
        call.args(["--root", &self.path("runtime-root/k8s.io")]).args(words)
    }

    /// Stops and removes a sandbox with the containers in it, of which nothing may be left.
    #[track_caller]
    pub(crate) fn end_pod(&self, pod: &Pod) {
        self.remove_pod(pod);
        self.assert_gone(&pod.id);
    }

    /// Stops and removes a sandbox with the containers in it.
    #[track_caller]
    pub(crate) fn remove_pod(&self, pod: &Pod) {
        let request = Id { id: pod.id.clone() };
        let _: Empty = self.ask("StopPodSandbox", &request);
        assert_ne!(self.pod_status(pod).state, READY);
        let _: Empty = self.ask("RemovePodSandbox", &request);
    }

    /// Demands that nothing is left: no state of the runtime, no cgroup.
    #[track_caller]
    pub(crate) fn assert_gone(&self, id: &str) {
        let state = self.dir.join("runtime-root/k8s.io").join(id);
        assert!(fs::symlink_metadata(&state).is_err(), "{} is left", state.display());
        let cgroups = Layout::here().holding(&format!("{}/{id}", self.scene.tag()));
        assert!(cgroups.is_empty(), "{cgroups:?} are left");
    }

    /// The socket of the shim that serves a sandbox and its containers.
    pub(crate) fn shim_socket(&self, pod: &Pod) -> PathBuf {
        let tasks = self.dir.join("state/io.containerd.runtime.v2.task/k8s.io");
        let address = fs::read_to_string(tasks.join(&pod.id).join("address")).expect("address");
        PathBuf::from(address.trim_start_matches("unix://"))
    }
}

impl Drop for Node<'_> {
    /// After a failed test: a shim that is killed leaves its socket, a pod that is not removed what
    /// plugins told of it, and both lie outside of the scene.
    fn drop(&mut self) {
        let tasks = self.dir.join("state/io.containerd.runtime.v2.task/k8s.io");
        let bundles = fs::read_dir(tasks).into_iter().flatten().flatten();
        for bundle in bundles.filter(|_| std::thread::panicking()) {
            let address = fs::read_to_string(bundle.path().join("address")).unwrap_or_default();
            let _ = fs::remove_file(address.trim_start_matches("unix://"));
            let pod = bundle.file_name().to_string_lossy().into_owned();
            let tag = self.scene.tag();
            for name in [format!("{tag}-{pod}-eth0"), format!("cni-loopback-{pod}-lo")] {
                let _ = fs::remove_file(format!("/var/lib/cni/results/{name}"));
            }
        }
    }
}
