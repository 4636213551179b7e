//! A bundle: a busybox root file system and a configuration that a test shapes.
//!
//! Tests get one from [`crate::Scene::bundle`] and change it with calls that chain. Nothing is
//! written as `config.json` before the runtime is called. A bundle lies below its scene's
//! directory, and the busybox in it is a copy: what a test does to it never reaches the host's.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The programs that busybox is linked to in a root file system.
pub(crate) const APPLETS: &[&str] = &[
    "ash",
    "awk",
    "base64",
    "basename",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cmp",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "dirname",
    "du",
    "echo",
    "env",
    "expr",
    "false",
    "find",
    "free",
    "getopt",
    "grep",
    "head",
    "hostname",
    "id",
    "ifconfig",
    "ip",
    "kill",
    "killall",
    "link",
    "ln",
    "ls",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mknod",
    "mktemp",
    "mount",
    "mv",
    "nc",
    "od",
    "pidof",
    "ping",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "realpath",
    "renice",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "setsid",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "stty",
    "sync",
    "tail",
    "tar",
    "test",
    "time",
    "timeout",
    "top",
    "touch",
    "tr",
    "true",
    "truncate",
    "tty",
    "umount",
    "uname",
    "uniq",
    "usleep",
    "vi",
    "wc",
    "which",
    "whoami",
    "xargs",
    "yes",
];

/// The kinds of namespaces and the names of their files below /proc/PID/ns.
pub const KINDS: [(&str, &str); 7] = [
    ("user", "user"),
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("cgroup", "cgroup"),
    ("time", "time"),
];

/// A bundle of one test.
#[derive(Debug, Clone)]
pub struct Bundle {
    dir: PathBuf,
    config: Value,
    raw: Option<Vec<u8>>,
}

impl Bundle {
    /// Makes the root file system below `dir` and keeps `config` for later.
    ///
    /// `busybox` is hard-linked, so it must be a copy that tests may spoil.
    pub fn make(dir: &Path, busybox: &Path, config: Value) -> std::io::Result<Self> {
        let rootfs = dir.join("rootfs");
        for part in ["bin", "etc", "tmp", "root", "proc", "sys", "dev", "home"] {
            fs::create_dir_all(rootfs.join(part))?;
        }
        // The caller's umask must not decide who can enter a root file system.
        for open in [dir, &rootfs] {
            fs::set_permissions(open, fs::Permissions::from_mode(0o755))?;
        }
        fs::set_permissions(rootfs.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        fs::hard_link(busybox, rootfs.join("bin/busybox"))?;
        for applet in APPLETS {
            symlink("busybox", rootfs.join("bin").join(applet))?;
        }
        let bundle = Self { dir: dir.to_owned(), config, raw: None };
        bundle
            .file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home:/bin/sh\n");
        bundle.file("etc/group", "root:x:0:\napp:x:1000:\n");
        Ok(bundle)
    }

    /// The bundle's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The root file system's directory.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// The configuration as it stands.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// The path of the container's cgroup in each hierarchy.
    pub fn cgroup(&self) -> &str {
        self.config["linux"]["cgroupsPath"].as_str().expect("the bundle has a cgroupsPath")
    }

    /// Writes a file into the root file system; directories on the way are made.
    pub fn file(&self, path: &str, content: &str) {
        let path = self.rootfs().join(path);
        fs::create_dir_all(path.parent().expect("a file has a directory")).expect("mkdir");
        write(&path, content.as_bytes());
    }

    /// Makes a directory in the root file system.
    pub fn directory(&self, path: &str) -> PathBuf {
        let path = self.rootfs().join(path);
        fs::create_dir_all(&path).expect("mkdir");
        path
    }

    /// Makes a symbolic link in the root file system in place of what is there.
    pub fn link(&self, path: &str, target: impl AsRef<Path>) {
        let path = self.rootfs().join(path);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        symlink(target, path).expect("symlink");
    }

    /// Replaces the whole configuration.
    #[must_use]
    pub fn with_config(self, config: Value) -> Self {
        Self { config, ..self }
    }

    /// Sets `process.args`.
    #[must_use]
    pub fn args<S: AsRef<str>>(self, args: impl IntoIterator<Item = S>) -> Self {
        let args: Vec<Value> = args.into_iter().map(|a| a.as_ref().into()).collect();
        self.set("/process/args", Value::from(args))
    }

    /// Runs a shell script as the container's process.
    #[must_use]
    pub fn sh(self, script: impl AsRef<str>) -> Self {
        self.args(["/bin/sh", "-c", script.as_ref()])
    }

    /// Runs a process that does nothing, has no children, and ends only by SIGKILL.
    #[must_use]
    pub fn sleeping(self) -> Self {
        self.args(["/bin/sleep", "1000"])
    }

    /// Sets the value at a JSON pointer; objects on the way are made, `-` appends to an array.
    #[must_use]
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        *place(&mut self.config, pointer) = value.into();
        self
    }

    /// Removes the member at a JSON pointer. It must be there.
    #[must_use]
    pub fn unset(mut self, pointer: &str) -> Self {
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer with a slash");
        let parent = self.config.pointer_mut(parent).unwrap_or_else(|| panic!("no {pointer}"));
        let removed = match parent {
            Value::Object(map) => map.remove(name),
            Value::Array(list) => name.parse().ok().map(|index| list.remove(index)),
            _ => None,
        };
        assert!(removed.is_some(), "no {pointer}");
        self
    }

    /// Appends a mount.
    #[must_use]
    pub fn mount(self, kind: &str, source: &str, destination: &str, options: &[&str]) -> Self {
        self.set(
            "/mounts/-",
            json!({
                "destination": destination, "type": kind, "source": source, "options": options
            }),
        )
    }

    /// Appends a bind mount of a path of the host; `options` come after `bind`.
    #[must_use]
    pub fn bind(self, source: impl AsRef<Path>, destination: &str, options: &[&str]) -> Self {
        let source = source.as_ref().to_str().expect("a path in UTF-8").to_owned();
        let options: Vec<&str> = std::iter::once("bind").chain(options.iter().copied()).collect();
        self.mount("bind", &source, destination, &options)
    }

    /// Drops the mount at a destination. It must be there.
    #[must_use]
    pub fn without_mount(mut self, destination: &str) -> Self {
        let mounts = self.config["mounts"].as_array_mut().expect("mounts");
        let before = mounts.len();
        mounts.retain(|mount| mount["destination"] != destination);
        assert!(mounts.len() < before, "no mount on {destination}");
        self
    }

    /// Adds a new namespace, or with a path one to join, in place of one of the same type.
    #[must_use]
    pub fn namespace(mut self, kind: &str, path: Option<&str>) -> Self {
        let list = self.config["linux"]["namespaces"].as_array_mut().expect("namespaces");
        list.retain(|namespace| namespace["type"] != kind);
        list.push(match path {
            Some(path) => json!({ "type": kind, "path": path }),
            None => json!({ "type": kind }),
        });
        self
    }

    /// Drops a namespace: the container shares the host's.
    #[must_use]
    pub fn without_namespace(mut self, kind: &str) -> Self {
        let list = self.config["linux"]["namespaces"].as_array_mut().expect("namespaces");
        list.retain(|namespace| namespace["type"] != kind);
        self
    }

    /// Gives it a user namespace whose ids from 0 up are those of the host from `base` up, and all
    /// of its root file system to the root of that.
    #[must_use]
    pub fn mapped(self, base: u32) -> Self {
        // The busybox is a hard link that all tests share: a copy for this one.
        let (busybox, copy) = (self.rootfs().join("bin/busybox"), self.rootfs().join("bin/copy"));
        fs::copy(&busybox, &copy).and_then(|_| fs::rename(&copy, &busybox)).expect("a copy");
        give(&self.rootfs(), base);
        let mapping = json!([{ "containerID": 0, "hostID": base, "size": 65_536 }]);
        self.namespace("user", None)
            .set("/linux/uidMappings", mapping.clone())
            .set("/linux/gidMappings", mapping)
    }

    /// Appends a hook of one kind that runs a shell script on whichever side the kind runs.
    #[must_use]
    pub fn hook(self, kind: &str, script: &str) -> Self {
        let hook = json!({
            "path": "/bin/sh", "args": ["sh", "-c", script],
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        });
        self.set(&format!("/hooks/{kind}/-"), hook)
    }

    /// Lets the root file system be written.
    #[must_use]
    pub fn writable(self) -> Self {
        self.set("/root/readonly", false)
    }

    /// Sets each of the five capability sets to the same list.
    #[must_use]
    pub fn capabilities(self, names: &[&str]) -> Self {
        let sets = ["bounding", "effective", "permitted", "inheritable", "ambient"];
        sets.iter().fold(self, |bundle, set| {
            bundle.set(&format!("/process/capabilities/{set}"), Value::from(names))
        })
    }

    /// Has these bytes written as `config.json`, whatever else was set.
    #[must_use]
    pub fn raw(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.raw = Some(bytes.into());
        self
    }

    /// Writes `config.json`.
    pub fn save(&self) {
        let text = self.raw.clone().unwrap_or_else(|| self.config.to_string().into_bytes());
        write(&self.dir.join("config.json"), &text);
    }
}

/// Makes a user the owner of a tree.
fn give(path: &Path, owner: u32) {
    lchown(path, Some(owner), Some(owner)).expect("lchown");
    if path.is_dir() && !path.is_symlink() {
        for entry in path.read_dir().expect("a directory") {
            give(&entry.expect("an entry").path(), owner);
        }
    }
}

/// The place a JSON pointer names, made where it is missing.
fn place<'a>(root: &'a mut Value, pointer: &str) -> &'a mut Value {
    pointer.split('/').skip(1).fold(root, |at, name| {
        let name = name.replace("~1", "/").replace("~0", "~");
        if name == "-" {
            if !at.is_array() {
                *at = json!([]);
            }
            let list = at.as_array_mut().expect("an array");
            list.push(Value::Null);
            return list.last_mut().expect("just pushed");
        }
        match at {
            Value::Array(list) => {
                let index: usize = name.parse().expect("an index");
                list.get_mut(index).unwrap_or_else(|| panic!("no element {index}"))
            }
            other => {
                if !other.is_object() {
                    *other = json!({});
                }
                &mut other[name]
            }
        }
    })
}

/// Writes a file of a test: plain, since nobody else knows the directory.
pub fn write(path: &Path, content: &[u8]) {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path);
    file.and_then(|mut file| file.write_all(content))
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}
