//! A bundle made for one test: a busybox root file system and a configuration to change.
//!
//! The configuration starts as the usual one of a small container (five namespaces, `/proc`,
//! `/dev`, `/sys` and their like, a handful of capabilities); a test changes the JSON it is about
//! and nothing else. It must never be written over in place: a runtime may have it open.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::runtime::new_file;

/// The applets of busybox that the tests' scripts call.
const APPLETS: [&str; 27] = [
    "sh", "cat", "cut", "dd", "echo", "env", "false", "grep", "head", "hostname", "id", "ls",
    "mkdir", "mount", "printf", "pwd", "readlink", "sed", "sleep", "sort", "stat", "stty", "touch",
    "tr", "true", "tty", "umount",
];

/// The capabilities of an ordinary container.
const CAPABILITIES: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/// A bundle of the test's own.
pub(crate) struct Bundle {
    /// Its directory.
    pub(crate) dir: PathBuf,
    /// What `config.json` will say when a container is created from it.
    pub(crate) config: Value,
}

impl Bundle {
    /// Makes a bundle whose containers join cgroups below `cgroup`.
    pub(crate) fn make(dir: &Path, busybox: &Path, cgroup: &str) -> io::Result<Self> {
        fs::create_dir(dir)?;
        make_rootfs(&dir.join("rootfs"), busybox)?;
        Ok(Self { dir: dir.to_owned(), config: default_config(cgroup) })
    }

    /// The root file system as the host sees it.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// Writes `config.json`, in place of what was there.
    pub(crate) fn save(&self) -> io::Result<()> {
        self.save_text(&self.config.to_string())
    }

    /// Writes any text as `config.json`.
    pub(crate) fn save_text(&self, text: &str) -> io::Result<()> {
        let new = self.dir.join("config.json.new");
        new_file(&new)?.write_all(text.as_bytes())?;
        fs::rename(new, self.dir.join("config.json"))
    }

    /// Makes an executable file in the root file system.
    pub(crate) fn program(&self, path: &str, content: &str) -> io::Result<()> {
        self.file(path, content)?;
        fs::set_permissions(self.rootfs().join(path), Permissions::from_mode(0o755))
    }

    /// Makes a file, and its directories, in the root file system.
    pub(crate) fn file(&self, path: &str, content: &str) -> io::Result<()> {
        let path = self.rootfs().join(path);
        fs::create_dir_all(path.parent().unwrap_or(&self.dir))?;
        new_file(&path)?.write_all(content.as_bytes())
    }

    /// Sets the program and its arguments.
    pub(crate) fn args(&mut self, args: &[&str]) {
        self.config["process"]["args"] = json!(args);
    }

    /// Sets a shell script as the program.
    pub(crate) fn script(&mut self, script: &str) {
        self.args(&["/bin/sh", "-c", script]);
    }

    /// Appends to an array of the configuration, which is made if there is none.
    pub(crate) fn push(&mut self, parent: &str, array: &str, value: Value) {
        let parent = match parent {
            "" => &mut self.config,
            name => &mut self.config[name],
        };
        if let Value::Array(values) = &mut parent[array] {
            values.push(value);
        } else {
            parent[array] = json!([value]);
        }
    }

    /// Adds a mount.
    pub(crate) fn mount(&mut self, destination: &str, kind: &str, source: &str, options: &[&str]) {
        self.push(
            "",
            "mounts",
            json!({"destination": destination, "type": kind, "source": source, "options": options}),
        );
    }

    /// Adds a hook of a kind.
    pub(crate) fn hook(&mut self, kind: &str, hook: Value) {
        self.push("hooks", kind, hook);
    }

    /// Replaces the entry of a kind of namespace; `None` leaves the kind out.
    pub(crate) fn namespace(&mut self, kind: &str, entry: Option<Value>) {
        if let Value::Array(namespaces) = &mut self.config["linux"]["namespaces"] {
            namespaces.retain(|namespace| namespace["type"] != kind);
            namespaces.extend(entry);
        }
    }

    /// Gives the process these capabilities in all five sets.
    pub(crate) fn capabilities(&mut self, names: &[&str]) {
        for set in ["bounding", "effective", "inheritable", "permitted", "ambient"] {
            self.config["process"]["capabilities"][set] = json!(names);
        }
    }
}

fn make_rootfs(rootfs: &Path, busybox: &Path) -> io::Result<()> {
    for dir in ["bin", "proc", "sys", "dev", "etc", "tmp", "mnt", "m", "opt"] {
        fs::create_dir_all(rootfs.join(dir))?;
    }
    fs::copy(busybox, rootfs.join("bin/busybox"))?;
    fs::set_permissions(rootfs.join("bin/busybox"), Permissions::from_mode(0o755))?;
    APPLETS.iter().try_for_each(|applet| symlink("busybox", rootfs.join("bin").join(applet)))
}

fn default_config(cgroup: &str) -> Value {
    let quiet = ["nosuid", "noexec", "nodev"];
    let namespaces: Vec<_> =
        ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({"type": kind})).into();
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/true"],
            "env": ["PATH=/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {
                "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES
            },
        },
        "root": {"path": "rootfs"},
        "hostname": "conformance",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": quiet},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {"cgroupsPath": cgroup, "namespaces": namespaces},
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::{Bundle, default_config};

    #[test]
    fn entries_are_added_to_arrays_that_are_there_and_to_new_ones() {
        let mut bundle = Bundle { dir: Path::new("/b").into(), config: default_config("/c") };
        bundle.namespace("uts", Some(json!({"type": "uts", "path": "/x"})));
        bundle.namespace("pid", None);
        bundle.hook("poststop", json!({"path": "/one"}));
        bundle.hook("poststop", json!({"path": "/two"}));
        let types: Vec<_> = bundle.config["linux"]["namespaces"]
            .as_array()
            .unwrap()
            .iter()
            .map(|namespace| namespace["type"].as_str().unwrap())
            .collect();
        assert_eq!(types, ["network", "ipc", "mount", "uts"]);
        assert_eq!(bundle.config["hooks"]["poststop"][1]["path"], "/two");
    }
}
