//! A busybox bundle for tests that go through the library, the reasons for which they cannot run, and
//! what their containers leave in the cgroup hierarchies.
//!
//! Used by every test here that needs real containers. It knows nothing of configurations.

use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use libcontainer::Cgroups;

/// The programs that busybox is linked to.
const APPLETS: [&str; 24] = [
    "awk", "cat", "echo", "env", "grep", "head", "hostname", "id", "ip", "ln", "logger", "ls",
    "mkdir", "readlink", "sh", "sleep", "sort", "stat", "stty", "touch", "tr", "true", "tty", "wc",
];

/// Makes `bundle/rootfs` in a new directory. There is no configuration in it.
pub(crate) fn make(dir: &Path, busybox: &Path) {
    let rootfs = dir.join("bundle/rootfs");
    for part in ["bin", "dev", "etc", "home", "inside", "proc", "sys", "tmp"] {
        fs::create_dir_all(rootfs.join(part)).unwrap();
    }
    // Whatever umask the tests are run with, the users of a user namespace must get in.
    for open in [dir, &dir.join("bundle"), &rootfs] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::copy(busybox, rootfs.join("bin/busybox")).unwrap();
    for applet in APPLETS {
        symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
    }
    let users = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home:/bin/sh\n";
    let file = OpenOptions::new().write(true).create_new(true).open(rootfs.join("etc/passwd"));
    file.unwrap().write_all(users.as_bytes()).unwrap();
}

/// Removes an empty cgroup from every hierarchy.
pub(crate) fn remove_cgroup(path: &str) {
    let facts = Cgroups::probe().unwrap();
    let legacy = facts.legacy.iter().map(|hierarchy| &hierarchy.mount);
    for mount in legacy.chain(facts.unified.iter().map(|unified| &unified.mount)) {
        let _ = fs::remove_dir(mount.join(path.trim_start_matches('/')));
    }
}

/// Says that something is not tested, and why; also in the file that `KEEL_SKIPS` names.
pub(crate) fn skip(test: &str, reason: impl Display) {
    let line = format!("SKIP {test}: {reason}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("KEEL_SKIPS") {
        let opened = OpenOptions::new().append(true).create(true).open(path);
        opened.and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
    }
}

/// A busybox that needs no library, as the root file system has none; or the reason for which no
/// container can be made here.
pub(crate) fn busybox() -> Result<PathBuf, String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("not run as root".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/bin", "/bin"].map(PathBuf::from);
    let mut found = std::env::split_paths(&path).chain(extra).map(|dir| dir.join("busybox"));
    let found = found.find(|path| is_static(path));
    found.ok_or_else(|| "no statically linked busybox is installed".to_owned())
}

fn is_static(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap_or_default();
    let start = &bytes[..bytes.len().min(4096)];
    !start.is_empty() && !start.windows(4).any(|window| window == b"/ld-" || window == b"ld-l")
}
