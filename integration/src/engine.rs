//! What the tests with container engines share: an image made offline, and daemons that end.
//!
//! Every engine gets a data root, a state directory and a socket of its own below the scene, and
//! no network. Nothing here may touch the machine's own installation of an engine.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::bundle::APPLETS;
use crate::runtime::{Call, Invocation, until};
use crate::scene::Scene;

/// The image's name, as engines that know Docker's names write it in full.
pub const IMAGE: &str = "docker.io/localtest/busybox:latest";

/// Makes an archive with one busybox image that `docker load`, `podman load` and `ctr images
/// import` take.
pub fn image(scene: &Scene) -> PathBuf {
    let dir = scene.directory("image");
    let call = |program: &str, args: &[&str]| {
        scene.call(program).cwd(&dir).env("HOME", scene.dir()).args(args).run().ok();
    };
    call("umoci", &["init", "--layout", "oci"]);
    call("umoci", &["new", "--image", "oci:busybox"]);
    call("umoci", &["unpack", "--image", "oci:busybox", "bundle"]);
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
    call("umoci", &["repack", "--image", "oci:busybox", "bundle"]);
    let path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    call(
        "umoci",
        &["config", "--image", "oci:busybox", "--config.cmd", "sh", "--config.env", path],
    );
    let archive = dir.join("image.tar");
    let target = format!("docker-archive:{}:localtest/busybox:latest", archive.display());
    call("skopeo", &["--tmpdir", ".", "copy", "--quiet", "oci:oci:busybox", &target]);
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
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call.signal(nix::sys::signal::Signal::SIGTERM);
            call.end_within(std::time::Duration::from_secs(15));
        }
    }
}
