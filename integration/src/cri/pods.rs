//! containerd as an engine of Kubernetes' pods, with the runtime under test: its own root, state and
//! socket below the scene, and network and mount namespaces of its own, in which its bridge, its
//! firewall and what the network plugins leave stay.

use std::fs::{self, File};
use std::path::PathBuf;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::messages::{
    ContainerConfig, ContainerMetadata, ContainerStatus, CreateContainer, ExecSync, ImageSpec,
    ImageStatus, LinuxContainerConfig, LinuxContainerSecurityContext, LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext, ListContainers, NamespaceOption, OneStatus, PodSandboxConfig,
    PodSandboxMetadata, RemovePodSandbox, RunPodSandbox, StartContainer, Status, StopPodSandbox,
};
use super::{Cri, EXITED};
use crate::bundle::write;
use crate::engine::{self, Daemon, IMAGE, Remains};
use crate::runtime::{Call, Invocation, until};
use crate::scene::Scene;
use crate::skip::Need;

/// What the sandbox runs: it waits, and is the parent of what the pod's processes leave.
const PAUSE: &str = "docker.io/localtest/pause:latest";

/// Programs that are needed.
pub const NEEDS: [Need; 8] = [
    Need::Program("containerd"),
    Need::Program("ctr"),
    Need::Program("containerd-shim-runc-v2"),
    Need::Program("nsenter"),
    Need::Program("ip"),
    Need::Program("iptables"),
    Need::Path("/usr/lib/cni/bridge"),
    Need::Controller("cpu"),
];

/// A containerd that has the images.
pub struct Pods<'a> {
    /// The connection to it.
    pub cri: Cri,
    daemon: Option<Daemon>,
    /// Holds the namespaces while containerd does not run.
    space: Call,
    scene: &'a Scene,
    dir: PathBuf,
    _remains: Remains<'a>,
}

impl<'a> Pods<'a> {
    /// Starts it and imports the images.
    pub fn start(scene: &'a Scene) -> Self {
        let dir = scene.directory("containerd");
        write(
            &dir.join("config.toml"),
            configuration(scene, &dir.display().to_string()).as_bytes(),
        );
        fs::create_dir(dir.join("network")).expect("mkdir");
        let network = network(&dir.join("addresses").display().to_string());
        write(&dir.join("network/bridge.conflist"), network.as_bytes());
        let script = "ip link set lo up && mount --make-rshared / && mount -t tmpfs none /var/lib && \
                      echo ready && exec sleep infinity";
        let unshare = ["unshare", "--net", "--mount", "sh", "-c", script];
        // The scene's name is for who looks for what is left.
        let space = scene.call(unshare[0]).args(&unshare[1..]).arg(scene.tag());
        let space = space.patience(crate::runtime::patience() * 10).spawn();
        space.expect("ready");
        let cri = Cri::connect(&dir.join("socket"));
        let mut pods = Self { cri, daemon: None, space, scene, dir, _remains: Remains(scene) };
        pods.serve();
        for (name, archive) in [
            (IMAGE, engine::image(scene)),
            (PAUSE, engine::image_that_runs(scene, "pause", &["sleep", "2147483647"])),
        ] {
            let call = pods.inside("ctr").arg("--address").arg(pods.dir.join("socket"));
            let call = call.args(["--namespace", "k8s.io", "images", "import"]);
            call.args(["--snapshotter", "native"]).arg(archive).run().ok();
            let image = Some(ImageSpec { image: name.to_owned() });
            until("the image", || {
                pods.cri.call(ImageStatus { image: image.clone() }).image.is_some()
            });
        }
        pods
    }

    /// Starts the daemon, for the first time or again.
    pub fn serve(&mut self) {
        let call = self.inside("containerd").arg("--config").arg(self.dir.join("config.toml"));
        self.daemon = Some(Daemon::start(call, &self.dir.join("socket")));
        self.cri = Cri::connect(&self.dir.join("socket"));
        until("the service", || self.cri.try_call(Status {}).is_ok());
    }

    /// Kills the daemon.
    pub fn crash(&mut self) {
        self.daemon.take().expect("a daemon").crash();
    }

    /// A call of a program in containerd's namespaces.
    pub fn inside(&self, program: &str) -> Invocation {
        let pid = self.space.pid();
        let (net, mount) =
            (format!("--net=/proc/{pid}/ns/net"), format!("--mount=/proc/{pid}/ns/mnt"));
        self.scene.call(program).under(["nsenter", &net, &mount, "--"])
    }

    /// Does something in containerd's network.
    pub fn in_network<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let space = File::open(format!("/proc/{}/ns/net", self.space.pid())).expect("a namespace");
        let act = || {
            setns(space, CloneFlags::CLONE_NEWNET).expect("setns");
            act()
        };
        std::thread::scope(|scope| match scope.spawn(act).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// A directory of the scene, as text.
    pub fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// A pod with a network and PID namespaces of its own for each container.
    pub fn sandbox(&self, name: &str) -> PodSandboxConfig {
        let metadata = PodSandboxMetadata {
            name: name.to_owned(),
            uid: format!("{}-{name}", self.scene.tag()),
            namespace: self.scene.tag().to_owned(),
        };
        let namespaces = NamespaceOption { pid: super::CONTAINER, ..NamespaceOption::default() };
        let security = LinuxSandboxSecurityContext {
            namespace_options: Some(namespaces),
            ..LinuxSandboxSecurityContext::default()
        };
        let linux = LinuxPodSandboxConfig {
            cgroup_parent: format!("{}/{name}", self.scene.cgroup()),
            security_context: Some(security),
            ..LinuxPodSandboxConfig::default()
        };
        PodSandboxConfig {
            metadata: Some(metadata),
            hostname: name.to_owned(),
            log_directory: self.path("logs"),
            linux: Some(linux),
            ..PodSandboxConfig::default()
        }
    }

    /// Makes a pod.
    #[track_caller]
    pub fn pod(&self, config: PodSandboxConfig) -> Pod<'_> {
        let request = RunPodSandbox { config: Some(config.clone()), ..RunPodSandbox::default() };
        let id = self.cri.call(request).pod_sandbox_id;
        Pod { pods: self, id, config }
    }
}

impl<'a> Pods<'a> {
    /// A pod that is there already.
    pub fn adopt(&'a self, name: &str, id: String) -> Pod<'a> {
        Pod { pods: self, id, config: self.sandbox(name) }
    }
}

/// A pod; it is removed when dropped, with its containers.
pub struct Pod<'a> {
    pods: &'a Pods<'a>,
    /// The sandbox's id.
    pub id: String,
    config: PodSandboxConfig,
}

impl Pod<'_> {
    /// A container that runs a script, with the same PID namespace as the pod says.
    pub fn container(&self, name: &str, script: &str) -> ContainerConfig {
        let pod = self.config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
        let security = LinuxContainerSecurityContext {
            namespace_options: pod.and_then(|pod| pod.namespace_options.clone()),
            ..LinuxContainerSecurityContext::default()
        };
        ContainerConfig {
            metadata: Some(ContainerMetadata { name: name.to_owned() }),
            image: Some(ImageSpec { image: IMAGE.to_owned() }),
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            log_path: format!("{name}.log"),
            linux: Some(LinuxContainerConfig {
                security_context: Some(security),
                ..LinuxContainerConfig::default()
            }),
            ..ContainerConfig::default()
        }
    }

    /// Makes a container.
    pub fn try_create(&self, config: ContainerConfig) -> Result<String, String> {
        let request = CreateContainer {
            pod_sandbox_id: self.id.clone(),
            config: Some(config),
            sandbox_config: Some(self.config.clone()),
        };
        self.pods.cri.try_call(request).map(|made| made.container_id)
    }

    /// Makes a container and starts it.
    #[track_caller]
    pub fn run(&self, config: ContainerConfig) -> String {
        let id = self.try_create(config).expect("a container");
        self.pods.cri.call(StartContainer { container_id: id.clone() });
        id
    }

    /// What a container that ends writes, and its exit code.
    #[track_caller]
    pub fn output(&self, config: ContainerConfig) -> (String, i32) {
        let log = config.log_path.clone();
        let id = self.run(config);
        let status = self.ended(&id);
        (self.log(&log), status.exit_code)
    }

    /// What a container wrote, on both streams: each line stands behind a time, a stream's name and a
    /// tag.
    #[track_caller]
    pub fn log(&self, name: &str) -> String {
        let text = fs::read_to_string(self.pods.dir.join("logs").join(name)).expect("a log");
        let line = |line: &str| line.splitn(4, ' ').nth(3).unwrap_or_default().to_owned() + "\n";
        text.lines().map(line).collect()
    }

    /// A container's status.
    #[track_caller]
    pub fn status(&self, id: &str) -> OneStatus {
        let request = ContainerStatus { container_id: id.to_owned(), verbose: false };
        self.pods.cri.call(request).status.expect("a status")
    }

    /// Waits for a container's end.
    #[track_caller]
    pub fn ended(&self, id: &str) -> OneStatus {
        until("the container's end", || self.status(id).state == EXITED);
        self.status(id)
    }

    /// The pid of a container's first process on the host.
    #[track_caller]
    pub fn pid(&self, id: &str) -> i32 {
        let request = ContainerStatus { container_id: id.to_owned(), verbose: true };
        let info = self.pods.cri.call(request).info;
        let info: serde_json::Value = serde_json::from_str(&info["info"]).expect("JSON");
        info["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a pid")
    }

    /// What a script writes that is executed in a container, which must succeed.
    #[track_caller]
    pub fn exec(&self, id: &str, script: &str) -> String {
        let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
        let request = ExecSync { container_id: id.to_owned(), cmd, timeout: 30 };
        let answer = self.pods.cri.call(request);
        let [stdout, stderr] = [answer.stdout, answer.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert_eq!(answer.exit_code, 0, "{stdout}{stderr}");
        stdout
    }

    /// Its containers' ids and states.
    pub fn containers(&self) -> Vec<(String, i32)> {
        let all = self.pods.cri.call(ListContainers {}).containers;
        let own = all.into_iter().filter(|container| container.pod_sandbox_id == self.id);
        own.map(|container| (container.id, container.state)).collect()
    }
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        let id = || self.id.clone();
        let stopped = self.pods.cri.try_call(StopPodSandbox { pod_sandbox_id: id() });
        let removed = self.pods.cri.try_call(RemovePodSandbox { pod_sandbox_id: id() });
        if !std::thread::panicking() {
            stopped.and(removed).expect("the pod is removed");
        }
    }
}

impl Drop for Pods<'_> {
    fn drop(&mut self) {
        drop(self.daemon.take());
        let _ = kill(Pid::from_raw(self.space.pid()), Signal::SIGKILL);
    }
}

fn configuration(scene: &Scene, dir: &str) -> String {
    let runtime = scene.runtime().program().display();
    format!(
        r#"version = 2
root = "{dir}/root"
state = "{dir}/state"
[grpc]
  address = "{dir}/socket"
[plugins."io.containerd.internal.v1.opt"]
  path = "{dir}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{dir}/network"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    default_runtime_name = "tested"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.tested]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.tested.options]
        BinaryName = "{runtime}"
        Root = "{dir}/runtime-root"
"#
    )
}

/// A bridge, with addresses of a list in files, and ports of the host that lead to a pod.
fn network(addresses: &str) -> String {
    format!(
        r#"{{"cniVersion": "0.4.0", "name": "pods", "plugins": [
            {{"type": "bridge", "bridge": "pods0", "isGateway": true, "ipam": {{
                "type": "host-local", "dataDir": "{addresses}",
                "ranges": [[{{"subnet": "10.124.0.0/24"}}]], "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
            {{"type": "portmap", "capabilities": {{"portMappings": true}}}}]}}"#
    )
}
