//! What one test has of its own, and the check that the host is unchanged at its end.
//!
//! A scene is a directory below the temporary directory, a state root, a parent cgroup, container
//! ids, and the runtime. When it ends it deletes by force what is left of its containers, removes
//! everything, tells how long the test took, and compares the host with what it was. No test may
//! use an id, a cgroup or a directory that its scene did not give it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::bundle::Bundle;
use crate::cgroups::Layout;
use crate::container::Container;
use crate::differences;
use crate::runtime::{Invocation, Kind, Outcome, Runtime};
use crate::skip::{Need, note, program, skip, test_name};
use crate::snapshot::HostSnapshot;
use crate::{config, runtime};

/// How many scenes are open: the last to close removes the directory they share.
static OPEN: Mutex<u32> = Mutex::new(0);

/// A change of a bundle.
pub type Edit = fn(Bundle) -> Bundle;

/// Everything one test has of its own.
pub struct Scene {
    tag: String,
    dir: PathBuf,
    runtime: Runtime,
    before: Option<HostSnapshot>,
    begun: Instant,
    next: AtomicU32,
}

impl Scene {
    /// Opens a scene, or says why this test cannot run and gives none.
    pub fn begin() -> Option<Self> {
        Self::needing(&[])
    }

    /// Opens a scene if the machine has what the test needs.
    pub fn needing(needs: &[Need]) -> Option<Self> {
        let begun = Instant::now();
        let found = Self::obstacle(needs);
        let runtime = match found {
            Ok(runtime) => runtime,
            Err(reason) => {
                skip(reason);
                return None;
            }
        };
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let tag = format!("keel-test-{}-{number}", std::process::id());
        let dir = prepare(&tag).unwrap_or_else(|error| panic!("cannot prepare a test: {error}"));
        let mut scene = Self { tag, dir, runtime, before: None, begun, next: AtomicU32::new(0) };
        scene.before = Some(scene.snapshot());
        Some(scene)
    }

    /// The runtime, or the reason why the test cannot run.
    fn obstacle(needs: &[Need]) -> Result<Runtime, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("not run as root".to_owned());
        }
        if let Some(need) = needs.iter().find(|need| !need.met()) {
            return Err(need.to_string());
        }
        busybox().ok_or("no statically linked busybox is installed")?;
        // No runtime at all is no reason to skip: nothing would be tested, and nobody would see it.
        let runtime = Runtime::under_test().unwrap_or_else(|reason| panic!("{reason}"));
        match differences::reason(runtime.kind(), &test_name()) {
            Some(reason) => Err(format!("not for {}: {reason}", runtime.kind().name())),
            None => Ok(runtime),
        }
    }

    /// The runtime under test.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Whether the runtime under test is this repository's.
    pub fn is_keel(&self) -> bool {
        self.runtime.kind() == Kind::Keel
    }

    /// The word that names this scene's things: in ids, paths and cgroups.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The scene's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A new directory for the test, outside of every bundle.
    pub fn directory(&self, name: &str) -> PathBuf {
        let dir = self.dir.join(name);
        fs::create_dir_all(&dir).expect("mkdir");
        dir
    }

    /// The runtime's state root.
    pub fn state_root(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The parent of the scene's cgroups, as a path in each hierarchy.
    pub fn cgroup(&self) -> String {
        format!("/{}", self.tag)
    }

    /// A container id nobody used before.
    pub fn id(&self) -> String {
        format!("{}-{}", self.tag, self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// A new bundle with a busybox root file system and the default configuration.
    pub fn bundle(&self) -> Bundle {
        let id = self.id();
        let dir = self.directory(&id);
        let busybox = self.dir.with_file_name("busybox");
        let config = config::base(&format!("{}/{id}", self.cgroup()));
        Bundle::make(&dir, &busybox, config).unwrap_or_else(|e| panic!("cannot make a bundle: {e}"))
    }

    /// A call of any program, its output kept in the scene.
    pub fn call(&self, program: impl AsRef<std::ffi::OsStr>) -> Invocation {
        Invocation::new(program, self.dir.join("out"))
    }

    /// A call of the runtime with the scene's state root.
    pub fn keel<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Invocation {
        self.call(self.runtime.program()).arg("--root").arg(self.state_root()).args(args)
    }

    /// A call of `create` or `run` for a bundle, whose configuration is written now.
    pub fn verb(&self, verb: &str, options: &[&str], bundle: &Bundle, id: &str) -> Invocation {
        bundle.save();
        self.keel([verb]).args(options).arg("--bundle").arg(bundle.dir()).arg(id)
    }

    /// Runs a bundle in the foreground under a new id.
    #[track_caller]
    pub fn run(&self, bundle: &Bundle) -> Outcome {
        self.verb("run", &[], bundle, &self.id()).run()
    }

    /// Runs a bundle that must succeed, and gives what it wrote to stdout.
    #[track_caller]
    pub fn output(&self, bundle: &Bundle) -> String {
        self.run(bundle).ok().stdout
    }

    /// Runs a bundle that the runtime must refuse.
    #[track_caller]
    pub fn refused(&self, bundle: &Bundle) -> Outcome {
        self.run(bundle).refused()
    }

    /// Demands of every case that `create` refuses its configuration and changes nothing.
    #[track_caller]
    pub fn refused_each(&self, cases: &[(&str, Edit)]) {
        let before = self.snapshot();
        for (what, edit) in cases {
            let bundle = edit(self.bundle());
            let outcome = self.verb("create", &[], &bundle, &self.id()).run();
            assert!(!outcome.status.success(), "{what} is not refused: {outcome:#?}");
            outcome.refused();
            before.assert_same();
        }
    }

    /// Creates a container that must come to be.
    #[track_caller]
    pub fn create(&self, bundle: &Bundle) -> Container<'_> {
        self.create_with(&[], bundle)
    }

    /// Creates a container with options of `create`.
    #[track_caller]
    pub fn create_with(&self, options: &[&str], bundle: &Bundle) -> Container<'_> {
        let id = self.id();
        let call = self.verb("create", options, bundle, &id).spawn();
        let output = call.stdout_path().to_owned();
        call.wait().ok();
        Container::new(self, id, output)
    }

    /// Creates and starts a container.
    #[track_caller]
    pub fn start(&self, bundle: &Bundle) -> Container<'_> {
        let container = self.create(bundle);
        container.start();
        container
    }

    /// Mounts something on the host for the test; it is gone when the result is dropped.
    #[track_caller]
    pub fn mount(&self, kind: Option<&str>, source: &Path, on: &Path, flags: MsFlags) -> HostMount {
        mount(Some(source), on, kind, flags, None::<&str>).expect("mount");
        HostMount(on.to_owned())
    }

    /// The host as it is now.
    pub fn snapshot(&self) -> HostSnapshot {
        HostSnapshot::take(&self.tag, &self.state_root())
    }

    /// Deletes by force every container that the state root still knows.
    pub fn delete_all(&self) {
        let Ok(entries) = fs::read_dir(self.state_root()) else { return };
        for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
            self.keel(["delete", "--force"]).arg(entry.file_name()).run();
        }
    }

    /// Unmounts on the host whatever an engine has left mounted below the scene's directory.
    pub fn unmount_all(&self) {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let points = table.lines().filter_map(|line| line.split(' ').nth(4));
        let mut below: Vec<&str> = points.filter(|p| Path::new(p).starts_with(&self.dir)).collect();
        below.reverse();
        for point in below {
            let _ = umount2(point, MntFlags::MNT_DETACH);
        }
    }

    /// Removes the scene's directory.
    fn clear(&self) {
        self.unmount_all();
        let _ = fs::remove_dir_all(&self.dir);
        let mut open = OPEN.lock().expect("no test panics while it holds this");
        *open -= 1;
        if *open == 0 {
            let shared = self.dir.parent().expect("a scene lies in a directory");
            let _ = fs::remove_dir_all(shared);
        }
    }
}

/// A mount on the host, made by a test for itself.
pub struct HostMount(PathBuf);

impl Drop for HostMount {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.delete_all();
        let left = self.before.take().and_then(|before| before.difference_now());
        for dir in Layout::here().holding(&self.tag) {
            kill_all(&dir);
        }
        Layout::here().remove(&self.tag);
        self.clear();
        note("KEEL_TIMES", &format!("{:.3} {}\n", self.begun.elapsed().as_secs_f64(), test_name()));
        if let Some(left) = left.filter(|_| !std::thread::panicking()) {
            panic!("the host is not what it was before the test:\n{left}");
        }
    }
}

/// Makes a scene's directories; the first scene of a process also copies busybox.
fn prepare(tag: &str) -> std::io::Result<PathBuf> {
    let mut open = OPEN.lock().expect("no test panics while it holds this");
    let shared = std::env::temp_dir().join(format!("keel-test-{}", std::process::id()));
    if *open == 0 {
        fs::create_dir_all(&shared)?;
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o755))?;
        let copy = shared.join("busybox");
        fs::copy(busybox().expect("looked up before"), &copy)?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    }
    let dir = shared.join(tag);
    fs::create_dir_all(dir.join("out"))?;
    *open += 1;
    Ok(dir)
}

/// A busybox that needs no library.
fn busybox() -> Option<PathBuf> {
    let path = program("busybox")?;
    let bytes = fs::read(&path).ok()?;
    let start = &bytes[..bytes.len().min(4096)];
    let interpreted = start.windows(4).any(|window| window == b"/ld-" || window == b"ld-l");
    Some(path).filter(|_| !interpreted)
}

/// Kills every process of a cgroup that a failed test left behind.
fn kill_all(cgroup: &Path) {
    let pids = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    for pid in pids.lines().filter(|pid| *pid != "0") {
        let _ = Command::new("kill").args(["-9", pid]).status();
    }
    let empty = || fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default().is_empty();
    if !std::thread::panicking() && !empty() {
        runtime::until("an empty cgroup", empty);
    }
}
