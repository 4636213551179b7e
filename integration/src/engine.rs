//! What the tests with container engines share: an image made offline, daemons that end, and what
//! the kernel says of a container's limits.
//!
//! Every engine gets a data root, a state directory and a socket of its own below the scene, and
//! no network. Nothing here may touch the machine's own installation of an engine.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bundle::APPLETS;
use crate::cgroups::Layout;
use crate::console::Terminal;
use crate::runtime::{Call, Invocation, scaled, until};
use crate::scene::Scene;
use crate::skip::Need;

/// The image's name, as engines that know Docker's names write it in full.
pub const IMAGE: &str = "docker.io/localtest/busybox:latest";

/// A program of the image that runs until it is told to end, and then ends with 9.
pub const SERVICE: &str = "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done";

/// A program of the image that uses more than 64 MiB of memory, but only once `/go` is there: an
/// engine watches the memory of a container that is running and not yet of one that starts.
pub const EATER: &str = "until test -e /go; do sleep 0.1; done; \
                         exec dd if=/dev/zero of=/dev/null bs=64M count=1";

/// What the first container of a pod of Podman's, and `--init`, execute.
pub const CATATONIT: Need = Need::Path("/usr/libexec/podman/catatonit");

/// What runtimes say of a program that is not there.
pub const NO_FILE: [&str; 2] = ["no such file or directory", "No such file or directory"];

/// Opens a scene for an engine, if its programs and those that make the image are installed.
pub fn scene(needs: &[Need]) -> Option<Scene> {
    let image = ["umoci", "skopeo", "setsid"].map(Need::Program);
    Scene::needing(&[&image, needs].concat())
}

/// Makes an archive with one busybox image that `docker load`, `podman load` and `ctr images
/// import` take.
pub fn image(scene: &Scene) -> PathBuf {
    let dir = scene.directory("image");
    image_call(scene, "umoci", &["init", "--layout", "oci"]);
    image_call(scene, "umoci", &["new", "--image", "oci:busybox"]);
    image_call(scene, "umoci", &["unpack", "--image", "oci:busybox", "bundle"]);
    let rootfs = dir.join("bundle/rootfs");
    for part in ["bin", "etc", "proc", "sys", "dev", "tmp", "root"] {
        fs::create_dir_all(rootfs.join(part)).expect("mkdir");
    }
    fs::copy(scene.dir().with_file_name("busybox"), rootfs.join("bin/busybox")).expect("copy");
    for applet in APPLETS {
        symlink("busybox", rootfs.join("bin").join(applet)).expect("symlink");
    }
    crate::bundle::write(&rootfs.join("etc/passwd"), b"root:x:0:0:root:/root:/bin/sh\n");
    crate::bundle::write(&rootfs.join("etc/group"), b"root:x:0:\n");
    image_call(scene, "umoci", &["repack", "--image", "oci:busybox", "bundle"]);
    let path = ["--config.env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"];
    configured(scene, "busybox", &["sh"], &path)
}

/// Makes an archive with the same image under another name, which runs something else by itself.
pub fn image_that_runs(scene: &Scene, name: &str, command: &[&str]) -> PathBuf {
    configured(scene, name, command, &[])
}

fn configured(scene: &Scene, name: &str, command: &[&str], options: &[&str]) -> PathBuf {
    let mut words = vec!["config", "--image", "oci:busybox", "--tag", name];
    words.extend(command.iter().flat_map(|word| ["--config.cmd", word]));
    words.extend(options);
    image_call(scene, "umoci", &words);
    let archive = scene.dir().join("image").join(format!("{name}.tar"));
    let target = format!("docker-archive:{}:localtest/{name}:latest", archive.display());
    let source = format!("oci:oci:{name}");
    image_call(scene, "skopeo", &["--tmpdir", ".", "copy", "--quiet", &source, &target]);
    archive
}

/// A call of a program that makes images, in the directory where they are made.
fn image_call(scene: &Scene, program: &str, args: &[&str]) {
    let dir = scene.dir().join("image");
    scene.call(program).cwd(dir).env("HOME", scene.dir()).args(args).run().ok();
}

/// Makes an archive with a root file system that `podman import` takes, with `tar` alone.
pub fn archive(scene: &Scene) -> PathBuf {
    let bundle = scene.bundle();
    bundle.directory("volume");
    // The busybox is a hard link that all tests share, and changes with each of them.
    let (busybox, copy) = (bundle.rootfs().join("bin/busybox"), bundle.rootfs().join("copy"));
    fs::copy(&busybox, &copy).and_then(|_| fs::rename(&copy, &busybox)).expect("a copy");
    let archive = scene.dir().join("image.tar");
    let call = scene.call("tar").arg("-C").arg(bundle.rootfs()).arg("-cf").arg(&archive);
    call.arg(".").run().ok();
    archive
}

/// A daemon that is up; it is ended when dropped.
pub struct Daemon(Option<Call>);

impl Daemon {
    /// Starts a daemon and waits for its socket.
    #[track_caller]
    pub fn start(call: Invocation, socket: &Path) -> Self {
        let mut call = call.spawn();
        until("the daemon's socket", || {
            if let Some(said) = call.ended() {
                panic!("the daemon has ended: {said}");
            }
            std::os::unix::net::UnixStream::connect(socket).is_ok()
        });
        Self(Some(call))
    }

    /// Kills it with SIGKILL, as if it had crashed.
    pub fn crash(mut self) {
        if let Some(call) = self.0.take() {
            call.signal(Signal::SIGKILL);
            call.wait();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call.signal(Signal::SIGTERM);
            call.end_within(Duration::from_secs(15));
        }
    }
}

/// What an engine leaves as it is even when everything went well: empty cgroups above those of its
/// containers. After a failed test, helpers of the engine too. It is removed on drop, which must
/// come after that of the daemon.
pub struct Remains<'a>(pub &'a Scene);

impl Drop for Remains<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            kill_all_that_name(self.0.tag());
            self.0.unmount_all();
        }
        // Helpers such as conmon may be about to end; if they do not, the scene tells.
        let deadline = Instant::now() + scaled(Duration::from_secs(15));
        let left = || {
            Layout::here().remove(self.0.tag());
            !Layout::here().holding(self.0.tag()).is_empty()
        };
        while left() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Kills the processes that have a scene's name in their command line.
fn kill_all_that_name(tag: &str) {
    for pid in naming(tag) {
        // It may have ended by itself meanwhile.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// The processes that have a text in their command line.
pub fn naming(text: &str) -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let naming = entries.filter(|entry| {
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(text)
    });
    naming.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok()).collect()
}

/// Runs a command on a terminal and gives what appeared on it, which must end in `terminal-end`.
#[track_caller]
pub fn on_a_terminal(call: Invocation) -> String {
    let (mut terminal, slave) = Terminal::open(24, 80);
    let copy = || slave.try_clone().expect("dup");
    let call = call.under(["setsid", "--ctty", "--wait"]);
    let call = call.env("TERM", "xterm").stdin(copy()).stdout(copy()).stderr(copy()).spawn();
    let seen = terminal.expect("terminal-end");
    let outcome = call.wait();
    assert!(outcome.status.success(), "{outcome:?}\non the terminal: {seen}");
    seen
}

/// How much memory a cgroup may use, in bytes.
pub fn memory_limit(cgroup: &str) -> String {
    let layout = Layout::here();
    let file = if layout.is_v1("memory") { "memory.limit_in_bytes" } else { "memory.max" };
    layout.read("memory", cgroup, file)
}

/// How much of each period a cgroup may have the processors, in microseconds.
pub fn cpu_quota(cgroup: &str) -> String {
    let layout = Layout::here();
    if layout.is_v1("cpu") {
        return layout.read("cpu", cgroup, "cpu.cfs_quota_us");
    }
    let both = layout.read("cpu", cgroup, "cpu.max");
    both.split(' ').next().unwrap_or_default().to_owned()
}

/// How many processes a cgroup may hold.
pub fn pids_limit(cgroup: &str) -> String {
    Layout::here().read("pids", cgroup, "pids.max")
}

/// The parent of a process, or nothing once it has ended.
pub fn parent_of(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// Whether a process is there, and not only its exit status.
pub fn lives(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("\nState:\tZ") && !status.contains("\nState:\tX")
}
