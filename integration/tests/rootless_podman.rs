//! Podman of an ordinary user with the runtime under test, as that user's root.
//!
//! Podman makes a user namespace of its own first, in which it is root, and calls the runtime there.
//! Where the user has a systemd that is up, each call is a service of it, and containers have cgroups;
//! elsewhere the user is known to the call alone, and has none.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use integration::bundle::write;
use integration::runtime::{Invocation, until};
use integration::{Need, SUBORDINATE, Scene, User};

const IMAGE: &str = "localhost/busybox";
/// Podman's locks are a user's and not a store's, and its migration, which ends a test, takes them all.
static ALONE: Mutex<()> = Mutex::new(());

/// Podman, and who calls it.
struct Podman<'a> {
    scene: &'a Scene,
    user: User,
    /// Whether the user's systemd makes cgroups.
    session: bool,
    _alone: MutexGuard<'static, ()>,
}

impl<'a> Podman<'a> {
    /// With the image; nothing if the machine lacks what it takes.
    fn begin(scene: &'a Scene) -> Option<Self> {
        let session = User::with_session();
        let Some(user) = session.or_else(|| User::anybody(scene)) else {
            integration::skip("a user without privileges cannot make namespaces here");
            return None;
        };
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let podman = Self { scene, user, session: session.is_some(), _alone: alone };
        for name in ["home", "home/.config", "home/.config/containers", "runtime", "work", "volume"]
        {
            chown(scene.directory(name), Some(user.id), Some(user.id)).expect("chown");
        }
        podman.configure();
        podman.call(&["import", "--quiet"]).arg(podman.archive()).arg(IMAGE).run().ok();
        Some(podman)
    }

    fn configure(&self) {
        let runtime = self.scene.runtime();
        let (name, program) = (runtime.kind().name(), runtime.program().display());
        let manager = if self.session { "systemd" } else { "cgroupfs" };
        let config = format!(
            "[engine]\nruntime = \"{name}\"\ncgroup_manager = \"{manager}\"\n\
             events_logger = \"file\"\nruntime_supports_json = [\"{name}\"]\n\
             [engine.runtimes]\n{name} = [\"{program}\"]\n\
             [containers]\ndefault_sysctls = []\n\
             default_ulimits = [\"nofile=512:512\", \"nproc=1024:1024\"]\n"
        );
        write(&self.scene.dir().join("containers.conf"), config.as_bytes());
        let policy = self.scene.dir().join("home/.config/containers/policy.json");
        write(&policy, br#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
    }

    /// A root file system with busybox, as an archive.
    fn archive(&self) -> PathBuf {
        let bundle = self.scene.bundle();
        bundle.directory("volume");
        // The busybox is a hard link that all tests share, and changes with each of them.
        let (busybox, copy) = (bundle.rootfs().join("bin/busybox"), bundle.rootfs().join("copy"));
        fs::copy(&busybox, &copy).and_then(|_| fs::rename(&copy, &busybox)).expect("a copy");
        let archive = self.scene.dir().join("image.tar");
        let call = self.scene.call("tar").arg("-C").arg(bundle.rootfs()).arg("-cf").arg(&archive);
        call.arg(".").run().ok();
        archive
    }

    fn call(&self, words: &[&str]) -> Invocation {
        let dir = self.scene.dir().display().to_string();
        let own = [
            ["podman", "--root"].map(str::to_owned).to_vec(),
            vec![format!("{dir}/work/root"), "--runroot".to_owned(), format!("{dir}/work/run")],
            vec!["--tmpdir".to_owned(), format!("{dir}/work/tmp")],
            vec!["--storage-driver".to_owned(), "vfs".to_owned()],
        ]
        .concat();
        let mut environment =
            vec![format!("CONTAINERS_CONF={dir}/containers.conf"), format!("HOME={dir}/home")];
        if !self.session {
            environment.push(format!("XDG_RUNTIME_DIR={dir}/runtime"));
        }
        let call = self.scene.call("env").args(environment).args(own).args(words);
        if self.session {
            self.user.service_that_leaves(&self.scene.id(), call.cwd("/"))
        } else {
            self.user.known(self.scene, call).cwd("/")
        }
    }

    /// `podman run` without a network.
    fn run(&self, options: &[&str], words: &[&str]) -> Invocation {
        self.call(&[&["run", "--network", "none"], options, &[IMAGE], words].concat())
    }
}

impl Drop for Podman<'_> {
    fn drop(&mut self) {
        self.call(&["rm", "--all", "--force", "--time", "0"]).run();
        // Ends the process that holds podman's user namespace.
        self.call(&["system", "migrate"]).run();
        self.scene.unmount_all();
    }
}

fn scene() -> Option<Scene> {
    Scene::needing(&[
        Need::Program("podman"),
        Need::Program("conmon"),
        Need::Program("newuidmap"),
        Need::Program("unshare"),
    ])
}

#[test]
fn a_users_podman_runs_containers_in_every_user_namespace() {
    let Some(scene) = scene() else { return };
    let Some(podman) = Podman::begin(&scene) else { return };
    let id = podman.user.id.to_string();
    let tell = ["sh", "-c", "id -u; id -g; cat /proc/self/uid_map; exit 7"];
    let map = |options: &[&str]| {
        let output = podman.run(&[&["--rm"], options].concat(), &tell).run().exits(7).stdout;
        output.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    // Root of podman's own user namespace is the user.
    assert_eq!(map(&[])[..5], ["0", "0", "0", &id, "1"]);
    // In a nested one the user is itself.
    let kept = map(&["--userns=keep-id"]);
    assert_eq!(kept[..2], [id.as_str(), id.as_str()]);
    let own = kept[2..].chunks(3).find(|range| range[0] == id).expect("the user's own id");
    assert_eq!(own[1..], ["0", "1"]);
    // And in another, root is one of its subordinate ids.
    let auto = map(&["--userns=auto"]);
    assert_eq!(auto[..3], ["0", "0", "0"]);
    assert_ne!(auto[3], "0");
    assert_eq!(map(&["--user", "7:8"])[..2], ["7", "8"]);
    podman.run(&["--rm"], &["/no/such/program"]).run().exits(127);
    let host = podman.call(&["run", "--rm", "--network", "host", IMAGE, "ls", "/sys/class/net"]);
    assert!(host.run().ok().stdout.contains("lo"));
}

#[test]
fn a_users_podman_has_volumes_whose_files_belong_to_the_right_users() {
    let Some(scene) = scene() else { return };
    let Some(podman) = Podman::begin(&scene) else { return };
    let volume = scene.directory("volume");
    let bind = format!("{}:/volume", volume.display());
    let (bind, owner) = (bind.as_str(), |name: &str| {
        let meta = fs::metadata(volume.join(name)).expect("made inside");
        (meta.uid(), meta.gid())
    });
    let run = |options: &[&str], words: &[&str]| {
        podman.run(&[&["--rm", "-v", bind], options].concat(), words).run().ok().stdout
    };
    run(&[], &["touch", "/volume/root"]);
    run(&["--userns=keep-id"], &["touch", "/volume/own"]);
    let id = podman.user.id;
    assert_eq!((owner("root"), owner("own")), ((id, id), (id, id)));
    let script = "touch /volume/other && chown 7:8 /volume/other && stat -c '%u %g' /volume/other";
    assert_eq!(run(&[], &["sh", "-c", script]), "7 8\n");
    if !podman.session {
        assert_eq!(owner("other"), (SUBORDINATE.0 + 6, SUBORDINATE.0 + 7));
    }
    assert_eq!(
        run(&["--userns=keep-id"], &["stat", "-c", "%u", "/volume/root"]),
        format!("{id}\n")
    );
}

#[test]
fn a_users_podman_manages_a_container_that_runs() {
    let Some(scene) = scene() else { return };
    let Some(podman) = Podman::begin(&scene) else { return };
    let limits: &[&str] =
        if podman.session { &["--memory", "64m", "--pids-limit", "40"] } else { &[] };
    let script = "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done";
    // An emulated machine takes seconds for each call.
    let nested: &[&[&str]] =
        if podman.session { &[&["--userns=keep-id"]] } else { &[&[], &["--userns=keep-id"]] };
    for userns in nested {
        let options = [&["-d", "--name", "one"], *userns, limits].concat();
        podman.run(&options, &["sh", "-c", script]).run().ok();
        until("the container's output", || {
            podman.call(&["logs", "one"]).run().stdout.contains("up")
        });
        let exec = |words: &[&str]| podman.call(&[&["exec"], words].concat()).run();
        let outcome = exec(&["--user", "7", "one", "sh", "-c", "id -u; exit 3"]).exits(3);
        assert_eq!(outcome.stdout, "7\n");
        if podman.session {
            let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/pids.max"];
            let told = exec(&["one", "cat", files[0], files[1]]).ok().stdout;
            assert_eq!(told, "67108864\n40\n");
            podman.call(&["pause", "one"]).run().ok();
            let state = ["inspect", "--format", "{{.State.Status}}", "one"];
            assert_eq!(podman.call(&state).run().ok().stdout, "paused\n");
            podman.call(&["unpause", "one"]).run().ok();
        }
        podman.call(&["stop", "one"]).run().ok();
        assert_eq!(podman.call(&["wait", "one"]).run().ok().stdout, "9\n");
        podman.call(&["rm", "one"]).run().ok();
    }
}
