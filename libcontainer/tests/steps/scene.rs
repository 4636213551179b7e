//! What a case has of its own: a directory with a busybox bundle, a state root, a parent cgroup. And
//! how one container lives, from its plan to its end.
//!
//! At its end a scene deletes what is left of its containers and removes everything it made. It
//! judges nothing but success: what a container did is for the case to look at.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::bundle;
use libcontainer::spec::{Linux, Mount, Namespace, Process, Spec};
use libcontainer::{
    Attachments, Bundle, Container, ContainerId, ExecOptions, Host, Options, Plan, Signal, Store,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The names of the steps of init that were performed.
pub(crate) type Steps = BTreeSet<String>;

/// How a plan is made.
type Compile = fn(&Bundle, &ContainerId, &Options, &Host) -> libcontainer::Result<Plan>;

/// How long a container may run, in milliseconds.
const PATIENCE: u16 = 30_000;

/// Everything that one case has of its own.
pub(crate) struct Scene {
    dir: PathBuf,
    /// The name of the directory, and of the parent of all cgroups.
    name: String,
    store: Store,
    next: AtomicU32,
}

impl Scene {
    /// A scene; or the reason for which no case can run here.
    pub(crate) fn begin() -> Result<Self, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let busybox = bundle::busybox()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("keel-steps-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(&name);
        bundle::make(&dir, &busybox);
        let store = Store::at(dir.join("state"));
        let scene = Self { dir, name, store, next: AtomicU32::new(0) };
        scene.write("bundle/rootfs/marker", "the rootfs of the bundle\n");
        Ok(scene)
    }

    /// A path in the scene's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A path in the scene's directory, for a configuration.
    pub(crate) fn text_path(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a new file that everybody may read; directories on the way are made.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        path
    }

    /// The usual configuration, running a shell script.
    pub(crate) fn spec(&self, script: &str) -> Spec {
        let mut spec = Spec::example();
        process(&mut spec).terminal = false;
        process(&mut spec).args = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        spec
    }

    /// The id of the next container; its cgroup has the same name.
    pub(crate) fn next_id(&self) -> String {
        format!("{}-{}", self.name, self.next.load(Ordering::Relaxed))
    }

    /// Compiles a plan, creates the container of it, and keeps the names of its steps.
    pub(crate) fn create(&self, spec: &Spec, options: &Options, attach: Attachments) -> Made {
        let mut spec = spec.clone();
        let id = self.next_id();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        linux(&mut spec).cgroups_path = Some(format!("/{}/{id}", self.name));
        let id = id.parse().unwrap();
        let bundle = Bundle::from_spec(self.path("bundle"), spec).unwrap();
        let plan = Plan::create(&bundle, &id, options, &Host::probe().unwrap()).unwrap();
        let output = self.path(&format!("output-{number}"));
        let file = OpenOptions::new().append(true).create_new(true).open(&output).unwrap();
        let mut attach = attach;
        let [stdin, stdout, stderr] = &mut attach.stdio;
        stdin.get_or_insert_with(|| File::open("/dev/null").unwrap().into());
        stdout.get_or_insert_with(|| file.try_clone().unwrap().into());
        stderr.get_or_insert_with(|| file.into());
        let container = self.store.create(&id, &bundle, options, attach);
        let container = container.unwrap_or_else(|error| panic!("create: {error}"));
        Made { container, output, steps: names(&plan) }
    }

    /// The kinds of the steps of init in a plan for this configuration.
    fn steps(&self, spec: Spec, compile: Compile) -> Steps {
        let bundle = Bundle::from_spec(self.path("bundle"), spec).unwrap();
        let (id, host) = (self.next_id().parse().unwrap(), Host::probe().unwrap());
        names(&compile(&bundle, &id, &Options::default(), &host).unwrap())
    }

    /// Runs a container to its end, which must be a good one.
    pub(crate) fn run(&self, spec: &Spec) -> Done {
        self.run_with(spec, &Options::default(), Attachments::default())
    }

    /// Likewise, with options.
    pub(crate) fn run_with(&self, spec: &Spec, options: &Options, attach: Attachments) -> Done {
        let mut made = self.create(spec, options, attach);
        made.start();
        made.finish()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // The last first: the first process of a shared PID namespace ends after all others.
        for container in self.store.list().unwrap_or_default().iter().rev() {
            if container.kill(Signal::KILL, false).is_ok() {
                let _ = container.wait();
            }
            let _ = self.store.delete_forced(container.id());
        }
        bundle::remove_cgroup(&self.name);
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A container that was created.
pub(crate) struct Made {
    pub(crate) container: Container,
    output: PathBuf,
    steps: Steps,
}

/// A container that was deleted after a good end.
pub(crate) struct Done {
    /// What it wrote.
    pub(crate) output: String,
    pub(crate) steps: Steps,
}

impl Made {
    pub(crate) fn start(&mut self) {
        self.container.start().unwrap_or_else(|error| panic!("start: {error}"));
    }

    /// Waits until something holds.
    pub(crate) fn until(&self, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_millis(PATIENCE.into());
        while !holds() {
            assert!(Instant::now() < deadline, "in vain; so far it wrote: {}", self.output());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What it has written so far.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap()).into_owned()
    }

    /// What /proc has of the container's first process, such as `fd`.
    pub(crate) fn proc(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.container.pid().unwrap()).into()
    }

    /// A link of the container's first process, such as `ns/net`.
    pub(crate) fn link(&self, name: &str) -> String {
        fs::read_link(self.proc(name)).unwrap().to_string_lossy().into_owned()
    }

    /// Runs another process in it, to a good end.
    pub(crate) fn exec(&mut self, scene: &Scene, process: Process) {
        let spec = Spec { process: Some(process.clone()), ..scene.spec("") };
        self.steps.extend(scene.steps(spec, Plan::exec));
        let output = OpenOptions::new().append(true).open(&self.output).unwrap();
        let stdio = [None, Some(output.into()), None];
        let attach = Attachments { stdio, ..Attachments::default() };
        let done = self.container.exec(process, &ExecOptions::default(), attach);
        let mut process = done.unwrap_or_else(|error| panic!("exec: {error}"));
        process.start().unwrap_or_else(|error| panic!("exec: {error}"));
        assert_eq!(process.wait().unwrap().code, Some(0), "{}", self.output());
    }

    /// Mounts something more in it.
    pub(crate) fn add_mount(&mut self, scene: &Scene, mount: &Mount) {
        let mounts = vec![mount.clone()];
        self.container.add_mounts(&mounts).unwrap_or_else(|error| panic!("add: {error}"));
        self.steps.extend(scene.steps(Spec { mounts, ..scene.spec("") }, Plan::add_mounts));
    }

    /// Unmounts that again.
    pub(crate) fn remove_mount(&mut self, scene: &Scene, mount: &Mount) {
        let done = self.container.remove_mounts(std::slice::from_ref(&mount.destination));
        done.unwrap_or_else(|error| panic!("remove: {error}"));
        let mounts = vec![mount.clone()];
        self.steps.extend(scene.steps(Spec { mounts, ..scene.spec("") }, Plan::remove_mounts));
    }

    /// Kills it, and deletes it.
    pub(crate) fn end(self) -> Steps {
        self.container.kill(Signal::KILL, false).unwrap();
        self.container.wait().unwrap();
        self.container.delete().unwrap_or_else(|error| panic!("delete: {error}"));
        self.steps
    }

    /// Waits for its end, and deletes it.
    pub(crate) fn finish(self) -> Done {
        let mut fds = [PollFd::new(self.container.as_fd(), PollFlags::POLLIN)];
        let ended = poll(&mut fds, PollTimeout::from(PATIENCE)).unwrap() > 0;
        assert!(ended, "the container does not end; so far it wrote: {}", self.output());
        let exit = self.container.wait().unwrap();
        let output = self.output();
        assert_eq!(exit.code, Some(0), "{exit:?}: {output}");
        self.container.delete().unwrap_or_else(|error| panic!("delete: {error}"));
        Done { output, steps: self.steps }
    }
}

/// A mount on the host, made by a case for itself; it is gone when this is dropped.
pub(crate) struct HostMount(PathBuf);

impl HostMount {
    /// Mounts a directory on itself, as a peer of a group of its own.
    pub(crate) fn shared(dir: &Path) -> Self {
        let mounted = Self(dir.to_owned());
        for options in [&["--bind"][..], &["--make-private"], &["--make-shared"]] {
            let source = options.contains(&"--bind").then_some(dir);
            let done = Command::new("mount").args(options).args(source).arg(dir).status().unwrap();
            assert!(done.success(), "mount {options:?}");
        }
        mounted
    }
}

impl Drop for HostMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// The kinds of the steps that init performs in a plan.
fn names(plan: &Plan) -> Steps {
    let json = plan.explain_json();
    let phases = json["phases"].as_array().unwrap().iter();
    let steps = phases.flat_map(|phase| phase["steps"].as_array().unwrap());
    let of_init = steps.filter(|step| step["actor"] == "init");
    of_init.map(|step| step["kind"].as_str().unwrap().to_owned()).collect()
}

/// The configuration's process.
pub(crate) fn process(spec: &mut Spec) -> &mut Process {
    spec.process.get_or_insert_default()
}

/// The configuration's part for Linux.
pub(crate) fn linux(spec: &mut Spec) -> &mut Linux {
    spec.linux.get_or_insert_default()
}

/// Adds a new namespace, or with a path one to join, in place of one of the same kind.
pub(crate) fn namespace(spec: &mut Spec, kind: &str, path: Option<String>) {
    let list = &mut linux(spec).namespaces;
    list.retain(|namespace| namespace.kind != kind);
    list.push(Namespace { kind: kind.to_owned(), path });
}

/// A mount.
pub(crate) fn mount(kind: &str, source: &str, destination: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind: Some(kind.to_owned()),
        source: Some(source.to_owned()),
        options: options.iter().map(|&option| option.to_owned()).collect(),
        ..Mount::default()
    }
}
