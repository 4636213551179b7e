//! Podman as root with the runtime under test: storage and state of its own below the scene,
//! containers without a network.
//!
//! Cgroups are made by the runtime, in the scene's, or by systemd where a test says so.

use std::sync::{Mutex, PoisonError};

use nix::mount::umount;

use crate::bundle::write;
use crate::docker_like::DockerLike;
use crate::engine::{IMAGE, Remains, archive, image, naming};
use crate::runtime::{Invocation, until};
use crate::scene::Scene;

/// A podman with its own storage, which has the image.
pub struct Podman<'a> {
    scene: &'a Scene,
    manager: &'static str,
    _remains: Remains<'a>,
}

impl<'a> Podman<'a> {
    /// With cgroups that the runtime makes.
    pub fn new(scene: &'a Scene) -> Self {
        let podman = Self::managing(scene, "cgroupfs");
        podman.fill(podman.call(&["load", "--quiet", "--input"]).arg(image(scene)));
        podman
    }

    /// With cgroups that systemd makes. The image takes no other program's help.
    pub fn with_systemd(scene: &'a Scene) -> Self {
        let podman = Self::managing(scene, "systemd");
        let import = ["import", "--quiet", "--change", "ENV PATH=/bin"];
        podman.fill(podman.call(&import).arg(archive(scene)).arg(IMAGE));
        podman
    }

    fn managing(scene: &'a Scene, manager: &'static str) -> Self {
        let runtime = scene.runtime().program().display();
        let name = scene.runtime().kind().name();
        // No limit is raised by default: not every machine lets root do that.
        let config = format!(
            "[engine]\nruntime = \"{name}\"\ncgroup_manager = \"{manager}\"\n\
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
        Self { scene, manager, _remains: Remains(scene) }
    }

    /// The first call of all. One at a time: it may make the locks, which all of root's podmans share,
    /// and fails if another is just doing so.
    #[track_caller]
    fn fill(&self, call: Invocation) {
        static FIRST: Mutex<()> = Mutex::new(());
        let _alone = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
        call.run().ok();
    }

    /// The cgroup of a container.
    pub fn cgroup(&self, name: &str) -> String {
        let id = self.inspect(name, "Id");
        match self.manager {
            "systemd" => format!("/machine.slice/libpod-{id}.scope"),
            _ => format!("{}/libpod-{id}", self.scene.cgroup()),
        }
    }

    /// Ends a service and removes it.
    #[track_caller]
    pub fn stop(&self, name: &str) {
        self.call(&["stop", "--time", "20", name]).run().ok();
        assert_eq!(self.inspect(name, "State.ExitCode"), "9");
        self.remove(name);
    }
}

impl DockerLike for Podman<'_> {
    fn scene(&self) -> &Scene {
        self.scene
    }

    fn call(&self, words: &[&str]) -> Invocation {
        let dir = self.scene.dir();
        let path = |name: &str| dir.join(name).display().to_string();
        // conmon makes a file in its working directory when memory runs out.
        let call = self.scene.call("podman").cwd(dir);
        let call = call.env("CONTAINERS_CONF", path("containers.conf"));
        let call = call.env("HOME", dir).env("XDG_RUNTIME_DIR", dir).env("TMPDIR", dir);
        let roots = ["--root", &path("root"), "--runroot", &path("runroot")];
        let call = call.args(roots).args(["--tmpdir", &path("tmp")]);
        call.args(["--network-config-dir", &path("net"), "--storage-driver", "vfs"]).args(words)
    }

    /// `podman run` without a network, in the scene's cgroup unless systemd decides.
    fn run_image(&self, image: &str, options: &[&str], words: &[&str]) -> Invocation {
        let call = self.call(&["run", "--network", "none"]);
        let call = match self.manager {
            "systemd" => call,
            _ => call.args(["--cgroup-parent", &self.scene.cgroup()]),
        };
        call.args(options).arg(image).args(words)
    }

    fn remove(&self, name: &str) {
        let id = self.inspect(name, "Id");
        // conmon has a podman clean up, and that would run into the removal.
        until("the end of conmon", || naming(&id).is_empty());
        // For a container with a user namespace, conmon and what it starts are in a mount namespace of
        // their own. What they unmount is unmounted here only where the root is shared, as it is under
        // systemd; else the removal fails, unless `podman stop` was faster.
        let shm = self.scene.dir().join(format!("root/vfs-containers/{id}/userdata/shm"));
        let _ = umount(&shm);
        self.call(&["rm", name]).run().ok();
    }
}
