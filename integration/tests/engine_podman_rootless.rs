//! Podman of an ordinary user with the runtime under test, as that user's root.
//!
//! Podman makes a user namespace of its own first, in which it is root, and calls the runtime there.
//! Where the user has a systemd that is up, each call is a service of it, and containers have cgroups;
//! elsewhere the user is known to the call alone, and has none.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::sync::{Mutex, MutexGuard, PoisonError};

use integration::bundle::write;
use integration::engine::{CATATONIT, SERVICE, archive};
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
        let import = ["import", "--quiet", "--change", "ENV PATH=/bin"];
        podman.call(&import).arg(archive(scene)).arg(IMAGE).run().ok();
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

    /// Runs a command line that starts a container which says `up` and ends with 9 when told to.
    #[track_caller]
    fn serve(&self, options: &[&str], name: &str) {
        self.run(options, &["sh", "-c", SERVICE]).run().ok();
        self.await_output(name);
    }

    #[track_caller]
    fn await_output(&self, name: &str) {
        until("the container's output", || self.call(&["logs", name]).run().stdout.contains("up"));
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

fn scene(needs: &[Need]) -> Option<Scene> {
    let programs = ["podman", "conmon", "newuidmap", "unshare"].map(Need::Program);
    Scene::needing(&[&programs, needs].concat())
}

#[test]
fn a_users_podman_runs_containers_in_every_user_namespace() {
    let Some(scene) = scene(&[]) else { return };
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
    let touch = podman.run(&["--rm", "--read-only"], &["touch", "/file"]).run().exits(1);
    assert!(touch.stderr.contains("Read-only file system"), "{touch:?}");
    let host = podman.call(&["run", "--rm", "--network", "host", IMAGE, "ls", "/sys/class/net"]);
    assert!(host.run().ok().stdout.contains("lo"));
}

#[test]
fn a_users_podman_has_volumes_whose_files_belong_to_the_right_users() {
    let Some(scene) = scene(&[]) else { return };
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
    let Some(scene) = scene(&[]) else { return };
    let Some(podman) = Podman::begin(&scene) else { return };
    let limits: &[&str] =
        if podman.session { &["--memory", "64m", "--pids-limit", "40"] } else { &[] };
    let health = ["--health-cmd", "test -e /tmp/well", "--health-interval", "disable"];
    // An emulated machine takes seconds for each call.
    let nested: &[&[&str]] =
        if podman.session { &[&["--userns=keep-id"]] } else { &[&[], &["--userns=keep-id"]] };
    for userns in nested {
        let options = [&["-d", "--name", "one"], *userns, limits, &health].concat();
        podman.serve(&options, "one");
        let exec = |words: &[&str]| podman.call(&[&["exec"], words].concat()).run();
        let outcome = exec(&["--user", "7", "one", "sh", "-c", "id -u; exit 3"]).exits(3);
        assert_eq!(outcome.stdout, "7\n");
        podman.call(&["healthcheck", "run", "one"]).run().exits(1);
        exec(&["one", "touch", "/tmp/well"]).ok();
        podman.call(&["healthcheck", "run", "one"]).run().ok();
        if podman.session {
            let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/pids.max"];
            let told = || exec(&["one", "cat", files[0], files[1]]).ok().stdout;
            assert_eq!(told(), "67108864\n40\n");
            let stats = ["stats", "--no-stream", "--format", "{{.MemUsage}}", "one"];
            let stats = podman.call(&stats).run().ok().stdout;
            assert!(stats.ends_with("/ 67.11MB\n"), "{stats}");
            podman.call(&["update", "--memory", "32m", "one"]).run().ok();
            assert_eq!(told(), "33554432\n40\n");
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

#[test]
fn a_users_podman_plays_a_pod_of_kubernetes_and_has_pods_that_share_namespaces() {
    let Some(scene) = scene(&[CATATONIT]) else { return };
    let Some(podman) = Podman::begin(&scene) else { return };
    let limits = if podman.session { "resources: {limits: {memory: 64Mi}}" } else { "" };
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: played}}\nspec:\n  containers:\n  - name: one\n    \
         image: {IMAGE}\n    imagePullPolicy: Never\n    command: [sh, -c, \"{SERVICE}\"]\n    \
         securityContext: {{readOnlyRootFilesystem: true, runAsUser: 7}}\n    {limits}\n"
    );
    let file = scene.dir().join("work/pod.yaml");
    write(&file, pod.as_bytes());
    let file = file.display().to_string();
    podman.call(&["play", "kube", "--network", "none", &file]).run().ok();
    podman.await_output("played-one");
    let exec = |name: &str, script: &str| podman.call(&["exec", name, "sh", "-c", script]).run();
    let script = "id -u; cat /sys/fs/cgroup/memory.max 2>/dev/null; touch /file";
    let outcome = exec("played-one", script).exits(1);
    assert_eq!(outcome.stdout, if podman.session { "7\n67108864\n" } else { "7\n" });
    assert!(outcome.stderr.contains("Read-only file system"), "{outcome:?}");
    podman.call(&["play", "kube", "--down", &file]).run().ok();

    if podman.session {
        // An emulated machine takes seconds for each call, and has shown all that systemd changes.
        return;
    }
    let create = ["pod", "create", "--name", "pod", "--network", "none", "--share", "net,ipc,pid"];
    podman.call(&create).run().ok();
    for name in ["one", "two"] {
        let run = ["run", "--detach", "--pod", "pod", "--name", name, IMAGE, "sh", "-c", SERVICE];
        podman.call(&run).run().ok();
        podman.await_output(name);
    }
    let links = "for n in net ipc pid user mnt; do readlink /proc/self/ns/$n; done";
    let [one, two] = ["one", "two"].map(|name| exec(name, links).ok().stdout);
    let [one, two] = [&one, &two].map(|links| links.lines().collect::<Vec<_>>());
    assert_eq!(one[..4], two[..4]);
    assert_ne!(one[4], two[4]);
    podman.call(&["pod", "rm", "--force", "--time", "0", "pod"]).run().ok();
    assert_eq!(podman.call(&["ps", "--all", "--quiet"]).run().ok().stdout, "");
}
