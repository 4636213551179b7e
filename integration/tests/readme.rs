//! The lines of README.md that put keel under an engine, run as they stand there.
//!
//! Three things are changed: where keel is, where directories of the machine are, and what the words
//! `podman`, `ctr`, `docker` and so on call. That is the engine itself, told to keep to the scene.
//! Which of the calls of keel there were is read from a note that a program in its place writes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use integration::bundle::write;
use integration::engine::{Daemon, IMAGE, Remains, image, scene};
use integration::holder::Holder;
use integration::readme::{self, KEEL, Section};
use integration::runtime::{Invocation, Outcome, until};
use integration::skip::program;
use integration::{Need, Scene, skip};
use serde_json::{Value, json};

/// Where a reader of README.md works: the scene, with programs of its own first in `PATH`.
struct Reader<'a> {
    scene: &'a Scene,
    _remains: Remains<'a>,
}

impl<'a> Reader<'a> {
    fn new(scene: &'a Scene) -> Self {
        let reader = Self { scene, _remains: Remains(scene) };
        let runtime = scene.runtime().program().display();
        let calls = reader.path("calls");
        reader.program("keel", &format!("echo \"$@\" >>{calls}\nexec {runtime} \"$@\""));
        reader
    }

    fn path(&self, name: &str) -> String {
        self.scene.dir().join(name).display().to_string()
    }

    /// Makes a program of the scene's own.
    fn program(&self, name: &str, script: &str) {
        let path = self.scene.directory("bin").join(name);
        write(&path, format!("#!/bin/sh\n{script}\n").as_bytes());
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
    }

    /// Makes a word lead to the engine, with global options, and options for its command `run`.
    fn engine(&self, name: &str, options: &str, run: &str) {
        let real = program(name).expect("installed").display().to_string();
        let script = format!(
            "for word; do shift; set -- \"$@\" \"$word\"\n\
             if [ \"$word\" = run ] && [ -z \"$done\" ]; then set -- \"$@\" {run}; done=1; fi\ndone\n\
             exec {real} {options} \"$@\""
        );
        self.program(name, &script);
    }

    /// A text of README.md, with the places of the scene.
    fn placed(&self, text: &str) -> String {
        let text = text.replace("/usr/local/lib/keel", &self.path("lib"));
        text.replace(KEEL, &self.path("bin/keel"))
    }

    /// A shell in the scene, which runs a script.
    fn shell(&self, script: &str) -> Invocation {
        let path = std::env::var("PATH").unwrap_or_default();
        let dir = self.scene.dir();
        let call = self.scene.call("sh").args(["-ec", &self.placed(script)]).cwd(dir);
        let call = call.env("PATH", format!("{}:{path}", self.path("bin")));
        let call = call.env("CONTAINERS_CONF", self.path("containers.conf"));
        call.env("HOME", dir).env("XDG_RUNTIME_DIR", dir).env("TMPDIR", dir)
    }

    /// Runs a script of the test's own.
    #[track_caller]
    fn prepare(&self, script: &str) -> Outcome {
        self.shell(script).run().ok()
    }

    /// Runs a block of README.md, and demands that keel was called with this.
    #[track_caller]
    fn run(&self, block: &str, call: &str) -> Outcome {
        let calls = self.scene.dir().join("calls");
        let _ = fs::remove_file(&calls);
        let outcome = self.shell(block).run();
        let calls = fs::read_to_string(&calls).unwrap_or_default();
        assert!(calls.contains(call), "keel was called with {calls:?}: {outcome:?}");
        outcome
    }

    /// Starts the daemon that a block of README.md ends with. It takes the place of the shell, so
    /// that a signal reaches it.
    #[track_caller]
    fn serve(&self, daemon: &str, block: &str, socket: &str) -> Daemon {
        let function = format!("{daemon}() {{ exec {daemon} \"$@\"; }}\n");
        Daemon::start(self.shell(&(function + block)), &self.scene.dir().join(socket))
    }
}

/// Where the image of the scene gets the name that README.md has for it.
const NAME: &str = "docker.io/library/busybox:latest";

#[test]
fn every_block_about_an_engine_is_run_by_a_test() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    let parts = entries(&tests).flat_map(|entry| entries(&entry.path()));
    let sources: Vec<String> = entries(&tests)
        .chain(parts)
        .filter_map(|file| fs::read_to_string(file.path()).ok())
        .collect();
    let names = readme::names();
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        let call = format!("Section::of(\"{name}\")");
        let there = sources.iter().any(|text| text.contains(&call));
        assert!(there, "no test runs the blocks of README.md in the section {name:?}");
    }
}

#[test]
fn podman_runs_a_container_as_readme_says() {
    let needs = [Need::Program("podman"), Need::Program("conmon"), Need::Controller("pids")];
    let Some(scene) = scene(&needs) else { return };
    let reader = Reader::new(&scene);
    let options = format!(
        "--root {} --runroot {} --tmpdir {} --network-config-dir {} --storage-driver vfs \
         --events-backend file",
        reader.path("root"),
        reader.path("runroot"),
        reader.path("tmp"),
        reader.path("net")
    );
    reader.engine("podman", &options, &format!("--cgroup-parent {}", scene.cgroup()));
    // No limit is raised by default: not every machine lets root do that.
    let limits = "[containers]\ndefault_sysctls = []\n\
                  default_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n";
    let mut section = Section::of("Podman");
    let config = reader.placed(&section.next("toml")) + limits;
    write(&scene.dir().join("containers.conf"), config.as_bytes());
    let archive = image(&scene).display().to_string();
    reader.prepare(&format!("podman load --quiet --input {archive}; podman tag {IMAGE} {NAME}"));
    let outcome = reader.run(&section.next("sh"), "create --bundle").exits(7);
    assert_eq!(outcome.stdout, "hi\n0\n");
    write(&scene.dir().join("containers.conf"), limits.as_bytes());
    let outcome = reader.run(&section.next("sh"), "create --bundle").ok();
    assert_eq!(outcome.stdout, "0\n");
    section.end();
}

#[test]
fn containerd_runs_a_container_as_readme_says() {
    let needs = ["containerd", "ctr", "containerd-shim-runc-v2"].map(Need::Program);
    let Some(scene) = scene(&[&needs[..], &[Need::Controller("cpu")]].concat()) else { return };
    let reader = Reader::new(&scene);
    let config = format!(
        "version = 2\nroot = \"{}\"\nstate = \"{}\"\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{}\"\n\
         [plugins.\"io.containerd.internal.v1.opt\"]\npath = \"{}\"\n",
        reader.path("root"),
        reader.path("state-of-containerd"),
        reader.path("socket"),
        reader.path("opt")
    );
    write(&scene.dir().join("config.toml"), config.as_bytes());
    let of_run = format!(
        "--snapshotter native --cgroup {}/one --runc-root {} --fifo-dir {}",
        scene.cgroup(),
        reader.path("runtime-root"),
        reader.path("fifo")
    );
    reader.engine("ctr", &format!("--address {}", reader.path("socket")), &of_run);
    let _daemon = reader.serve("containerd", "containerd --config config.toml", "socket");
    let archive = image(&scene).display().to_string();
    let import = format!("ctr images import --snapshotter native {archive}");
    reader.prepare(&format!("{import}; ctr images tag {IMAGE} {NAME}"));
    let mut section = Section::of("containerd");
    let outcome = reader.run(&section.next("sh"), " create --bundle").exits(7);
    assert_eq!(outcome.stdout, "hi\n");
    section.end();
}

/// What keeps a Docker daemon and its command in the scene.
fn docker(reader: &Reader<'_>, client: &str) {
    let dir = reader.scene.directory("docker");
    // Else the daemon makes a key below /etc.
    let config = json!({"deprecated-key-path": dir.join("key.json")});
    write(&dir.join("daemon.json"), config.to_string().as_bytes());
    let options = format!(
        "--data-root {0}/data --exec-root {0}/exec --pidfile {0}/pid --config-file {0}/daemon.json \
         --host unix://{0}/socket --cgroup-parent {1} --storage-driver vfs --oom-score-adjust 0 \
         --bridge none --iptables=false --ip-forward=false --ip-masq=false",
        dir.display(),
        reader.scene.cgroup()
    );
    reader.engine("dockerd", &options, "");
    let real = program(client).expect("installed").display().to_string();
    let socket = format!("--host unix://{}/socket", dir.display());
    reader.program("docker", &format!("exec {real} {socket} \"$@\""));
}

/// Gives a Docker daemon the image.
fn load(reader: &Reader<'_>) {
    let archive = image(reader.scene).display().to_string();
    reader.prepare(&format!("docker load --quiet --input {archive}; docker tag {IMAGE} {NAME}"));
}

const DOCKER: [&str; 3] = ["dockerd", "docker", "containerd"];

#[test]
fn docker_runs_a_container_as_readme_says() {
    let Some(scene) = scene(&DOCKER.map(Need::Program)) else { return };
    let reader = Reader::new(&scene);
    docker(&reader, "docker");
    let mut section = Section::of("Docker");
    let daemon = reader.serve("dockerd", &section.next("sh"), "docker/socket");
    load(&reader);
    let run = section.next("sh");
    let outcome = reader.run(&run, " create --bundle").exits(7);
    assert_eq!(outcome.stdout, "hi\n0\n");
    drop(daemon);

    // The same in a file, to which the place of the key is added.
    let file = scene.dir().join("docker/daemon.json");
    let own: Value = serde_json::from_slice(&fs::read(&file).expect("read")).expect("JSON");
    let mut config: Value =
        serde_json::from_str(&reader.placed(&section.next("json"))).expect("JSON");
    config["deprecated-key-path"] = own["deprecated-key-path"].clone();
    write(&file, config.to_string().as_bytes());
    let _daemon = reader.serve("dockerd", "dockerd", "docker/socket");
    let outcome = reader.run(&run, " create --bundle").exits(7);
    assert_eq!(outcome.stdout, "hi\n0\n");
    section.end();
}

#[test]
fn buildkit_builds_an_image_as_readme_says() {
    let Some(scene) = scene(&DOCKER.map(Need::Program)) else { return };
    let reader = Reader::new(&scene);
    // Newer commands need a plug-in for it, which Debian's does not.
    let knows = |client: &&'static str| {
        let ask = || scene.call(client).args(["build", "--help"]).env("DOCKER_BUILDKIT", "1").run();
        Need::Program(client).met() && ask().status.success()
    };
    let Some(client) = ["docker", "/usr/bin/docker"].into_iter().find(knows) else {
        return skip("no docker command here can use BuildKit");
    };
    docker(&reader, client);
    let mut section = Section::of("BuildKit");
    let _daemon = reader.serve("dockerd", &section.next("sh"), "docker/socket");
    load(&reader);
    let outcome = reader.run(&section.next("sh"), " run --bundle ").ok();
    assert!(outcome.stdout.ends_with("0\n"), "{outcome:?}");
    section.end();
}

#[test]
fn docker_compose_runs_a_service_as_readme_says() {
    let needs = [&DOCKER.map(Need::Program)[..], &[Need::Program("docker-compose")]].concat();
    let Some(scene) = scene(&needs) else { return };
    let reader = Reader::new(&scene);
    docker(&reader, "docker");
    let _daemon = reader.serve("dockerd", &Section::of("Docker").next("sh"), "docker/socket");
    load(&reader);
    let real = program("docker-compose").expect("installed").display().to_string();
    let host = format!("DOCKER_HOST=unix://{}", reader.path("docker/socket"));
    reader.program("docker-compose", &format!("{host} exec {real} \"$@\""));
    let mut section = Section::of("docker-compose");
    write(&scene.dir().join("docker-compose.yml"), section.next("yaml").as_bytes());
    let outcome = reader.run(&section.next("sh"), " create --bundle").exits(7);
    assert!(outcome.stdout.contains("hi\n"), "{outcome:?}");
    section.end();
    reader.prepare("docker-compose down");
}

#[test]
fn a_swarm_runs_a_service_as_readme_says() {
    let needs = ["nsenter", "unshare", "ip", "mount"].map(Need::Program);
    let Some(scene) = scene(&[&DOCKER.map(Need::Program)[..], &needs].concat()) else { return };
    let reader = Reader::new(&scene);
    // A machine with one address. Docker keeps files of its swarm outside of what it is told.
    let machine = Holder::with(&["--net", "--mount"]);
    machine.sh("ip link set lo up; ip link add eth0 type bridge; ip link set eth0 up
         ip addr add 10.125.0.1/24 dev eth0");
    let enter = machine.enter(&["--net", "--mount"]);
    let keep = "mount -t tmpfs none /run && mount -t tmpfs none /var/lib";
    scene.call("sh").args(["-c", keep]).under(&enter).run().ok();
    docker(&reader, "docker");
    let (daemon, there) = (scene.dir().join("bin/dockerd"), scene.dir().join("bin/dockerd-there"));
    fs::rename(daemon, &there).expect("rename");
    reader.program("dockerd", &format!("exec {} {} \"$@\"", enter.join(" "), there.display()));

    let mut section = Section::of("Swarm");
    let _daemon = reader.serve("dockerd", &section.next("sh"), "docker/socket");
    load(&reader);
    reader.run(&section.next("sh"), " create --bundle").ok();
    section.end();
    let replicas = reader.prepare("docker service ls --format '{{.Name}} {{.Replicas}}'").stdout;
    assert_eq!(replicas, "one 3/3\n");
    reader.prepare("docker service rm one; docker swarm leave --force");
    until("the end of the service", || reader.prepare("docker ps --quiet").stdout.is_empty());
}

#[test]
fn buildah_runs_a_command_as_readme_says() {
    let Some(scene) = scene(&[Need::Program("buildah")]) else { return };
    let reader = Reader::new(&scene);
    let options = format!(
        "--root {} --runroot {} --storage-driver vfs",
        reader.path("root"),
        reader.path("runroot")
    );
    reader.engine("buildah", &options, "");
    // No limit is raised by default: not every machine lets root do that.
    let limits = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n";
    write(&scene.dir().join("containers.conf"), limits.as_bytes());
    let policy = scene.dir().join("policy.json");
    write(&policy, br#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
    let (policy, archive): (String, PathBuf) = (policy.display().to_string(), image(&scene));
    // buildah has no command that loads an archive: a container of it is made to an image.
    reader.prepare(&format!(
        "one=$(buildah from --quiet --signature-policy {policy} docker-archive:{})\n\
         buildah commit --quiet --signature-policy {policy} $one {NAME}; buildah rm $one",
        archive.display()
    ));
    let mut section = Section::of("Buildah");
    let outcome = reader.run(&section.next("sh"), "create --bundle").ok();
    assert_eq!(outcome.stdout, "0\n");
    reader.prepare("buildah rm --all");
    section.end();
}
