//! Facts about this machine's cgroups: which hierarchies there are, and where this process is.
//!
//! [`Cgroups::probe`] is called once for a [`Host`](super::Host); `features::cgroup` decides from the
//! facts alone, so [`Cgroups::example_v1`] and its like stand in for a machine in tests. The usual
//! mount points are verified and taken; the mount table, which grows with every container of the
//! host, is read only when one of them is not what it should be. Nothing is created or changed here.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, FsType, statfs};
use nix::unistd::{AccessFlags, faccessat, geteuid};

use crate::error::{Error, Result};

/// Where every distribution mounts cgroups.
const ROOT: &str = "/sys/fs/cgroup";

/// The cgroup hierarchies of a machine. On cgroup v1 only `legacy` is filled, on v2 only `unified`,
/// on a hybrid machine both, and where no cgroups are mounted neither.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cgroups {
    /// The hierarchies of cgroup v1, in the kernel's order.
    pub legacy: Vec<Hierarchy>,
    /// The hierarchy of cgroup v2.
    pub unified: Option<Unified>,
}

/// A hierarchy of cgroup v1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// As the kernel names it: `memory`, `cpu,cpuacct`, `name=systemd`.
    pub name: String,
    /// Its controllers; the name itself, `name=systemd`, for one without.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount: PathBuf,
    /// This process's cgroup, below `mount`.
    pub own: String,
    /// Whether this process may make cgroups below its own.
    pub writable: bool,
}

/// The hierarchy of cgroup v2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unified {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// This process's cgroup, below `mount`.
    pub own: String,
    /// The controllers that a cgroup made by this process can have: for the host's root those of
    /// the mount's root, for others, who can enable nothing above it, those of the parent of `own`.
    pub controllers: Vec<String>,
    /// Whether this process may make cgroups beside its own.
    pub writable: bool,
}

impl Cgroups {
    /// Looks at this machine, for a caller of whom nothing is known.
    ///
    /// # Errors
    /// `/proc` does not tell this process's cgroups, or its user namespace.
    pub fn probe() -> Result<Self> {
        let first_namespace = ["0", "0", "4294967295"];
        let ids = read("/proc/thread-self/uid_map")?;
        let host = ids.split_ascii_whitespace().eq(first_namespace);
        Self::probe_for(!(geteuid().is_root() && host))
    }

    /// Looks at this machine. A `limited` caller, who is not the host's root, is also told which
    /// cgroups it may make; the host's root may make all.
    ///
    /// # Errors
    /// `/proc` does not tell this process's cgroups.
    pub fn probe_for(limited: bool) -> Result<Self> {
        let mut probe = Probe {
            limited,
            own: read("/proc/thread-self/cgroup")?,
            directories: directories(Path::new(ROOT)),
            mounts: None,
        };
        if is_cgroup(Path::new(ROOT), "/", CGROUP2_SUPER_MAGIC) {
            let unified = probe.unified(ROOT.into(), true)?;
            return Ok(Self { legacy: Vec::new(), unified });
        }
        let legacy = probe.legacy()?;
        let beside = Path::new(ROOT).join("unified");
        let unified = if !legacy.is_empty() {
            let hybrid = is_cgroup(&beside, "/", CGROUP2_SUPER_MAGIC);
            if hybrid { probe.unified(beside, false)? } else { None }
        } else if let Some(mount) = probe.mounts()?.iter().find(|mount| mount.names.is_empty()) {
            let point = mount.point.clone();
            probe.unified(point, true)?
        } else {
            None
        };
        Ok(Self { legacy, unified })
    }

    /// Fixed facts of a machine with cgroup v1 alone.
    pub fn example_v1() -> Self {
        let names = [
            "name=systemd",
            "cpu,cpuacct",
            "cpuset",
            "memory",
            "devices",
            "freezer",
            "blkio",
            "pids",
            "hugetlb",
            "net_cls,net_prio",
            "rdma",
        ];
        Self { legacy: names.map(example).into(), unified: None }
    }

    /// Fixed facts of a machine with the usual controllers on v1, and `hugetlb` on v2 beside them.
    pub fn example_hybrid() -> Self {
        let names = [
            "name=systemd",
            "cpu",
            "cpuacct",
            "cpuset",
            "memory",
            "devices",
            "freezer",
            "blkio",
            "pids",
        ];
        let unified = Unified {
            mount: Path::new(ROOT).join("unified"),
            own: "/".to_owned(),
            controllers: vec!["hugetlb".to_owned()],
            writable: true,
        };
        Self { legacy: names.map(example).into(), unified: Some(unified) }
    }

    /// Fixed facts of a machine with cgroup v2 alone, this process being a service of systemd.
    pub fn example_v2() -> Self {
        let controllers = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"];
        let unified = Unified {
            mount: ROOT.into(),
            own: "/system.slice/engine.service".to_owned(),
            controllers: controllers.map(str::to_owned).into(),
            writable: true,
        };
        Self { legacy: Vec::new(), unified: Some(unified) }
    }
}

/// The directory that holds a cgroup; the root is its own.
pub fn parent(path: &str) -> &str {
    match path.trim_end_matches('/').rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((above, _)) => above,
    }
}

fn example(name: &str) -> Hierarchy {
    Hierarchy {
        name: name.to_owned(),
        controllers: controllers(name),
        mount: Path::new(ROOT).join(directory(name)),
        own: "/".to_owned(),
        writable: true,
    }
}

fn controllers(name: &str) -> Vec<String> {
    name.split(',').map(str::to_owned).collect()
}

/// The name of a hierarchy's directory below [`ROOT`].
fn directory(name: &str) -> &str {
    name.strip_prefix("name=").unwrap_or(name)
}

/// Reads a file of the kernel whole; it says nothing about its size beforehand.
fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let mut text = Vec::with_capacity(4096);
    let file = File::open(path).and_then(|mut file| file.read_to_end(&mut text));
    file.map_err(|error| Error::io(format!("cannot read {}", path.display()), &error))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The lines of `/proc/PID/cgroup`, cgroups(7): names of the hierarchy, path of the cgroup. The
/// names of cgroup v2 are empty.
fn entries(file: &str) -> impl Iterator<Item = (&str, &str)> {
    file.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (names, path) = rest.split_once(':')?;
        Some((names, path.strip_suffix(" (deleted)").unwrap_or(path)))
    })
}

/// The names of the real directories here: `cpu` is often a symbolic link to `cpu,cpuacct`.
fn directories(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let real = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    real.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// What is known while facts are gathered.
struct Probe {
    limited: bool,
    /// `/proc/PID/cgroup` of this process.
    own: String,
    /// Directories in [`ROOT`].
    directories: Vec<String>,
    /// The mount table, once it was needed.
    mounts: Option<Vec<Mount>>,
}

impl Probe {
    fn mounts(&mut self) -> Result<&[Mount]> {
        let mounts = match self.mounts.take() {
            Some(mounts) => mounts,
            None => parse(&read("/proc/thread-self/mountinfo")?),
        };
        Ok(self.mounts.insert(mounts))
    }

    fn legacy(&mut self) -> Result<Vec<Hierarchy>> {
        let own = std::mem::take(&mut self.own);
        let mut found = Vec::new();
        for (names, path) in entries(&own).filter(|(names, _)| !names.is_empty()) {
            found.extend(self.hierarchy(names, path)?);
        }
        self.own = own;
        Ok(found)
    }

    fn hierarchy(&mut self, names: &str, own: &str) -> Result<Option<Hierarchy>> {
        let usual = Path::new(ROOT).join(directory(names));
        let real = self.directories.iter().any(|name| name == directory(names));
        let found = if real && is_cgroup(&usual, own, CGROUP_SUPER_MAGIC) {
            Some((usual, own.to_owned()))
        } else {
            let holds = |mount: &&Mount| {
                let has = |name| mount.names.iter().any(|known| known == name);
                !mount.names.is_empty() && names.split(',').all(has)
            };
            self.mounts()?.iter().find(holds).map(|mount| (mount.point.clone(), mount.below(own)))
        };
        Ok(found.map(|(mount, own)| Hierarchy {
            name: names.to_owned(),
            controllers: controllers(names),
            writable: self.may_write(&mount, &own),
            mount,
            own,
        }))
    }

    /// `alone` when there is no cgroup v1: then a container's cgroup lies beside this process's.
    fn unified(&mut self, mount: PathBuf, alone: bool) -> Result<Option<Unified>> {
        let line = entries(&self.own).find(|(names, _)| names.is_empty());
        let Some(path) = line.map(|(_, path)| path.to_owned()) else { return Ok(None) };
        let own = if is_cgroup(&mount, &path, CGROUP2_SUPER_MAGIC) {
            path
        } else {
            let here = |entry: &&Mount| entry.names.is_empty() && entry.point == mount;
            let entry = self.mounts()?.iter().find(here);
            entry.map_or("/".to_owned(), |entry| entry.below(&path))
        };
        let beside = if alone { parent(&own) } else { own.as_str() }.to_owned();
        let top = if self.limited { beside.as_str() } else { "/" };
        let list = read(join(&mount, top).join("cgroup.controllers")).unwrap_or_default();
        Ok(Some(Unified {
            controllers: list.split_ascii_whitespace().map(str::to_owned).collect(),
            writable: self.may_write(&mount, &beside),
            mount,
            own,
        }))
    }

    /// Asks with the effective ids; a file system mounted read-only says no as well.
    fn may_write(&self, mount: &Path, path: &str) -> bool {
        let access = AccessFlags::W_OK | AccessFlags::X_OK;
        let ask = || faccessat(AT_FDCWD, &join(mount, path), access, AtFlags::AT_EACCESS);
        !self.limited || ask().is_ok()
    }
}

/// A cgroup's directory.
pub fn join(mount: &Path, path: &str) -> PathBuf {
    match path.trim_matches('/') {
        "" => mount.to_owned(),
        below => mount.join(below),
    }
}

/// Whether a cgroup can be seen there.
fn is_cgroup(mount: &Path, own: &str, magic: FsType) -> bool {
    statfs(&join(mount, own)).is_ok_and(|fs| fs.filesystem_type() == magic)
}

/// A mount of cgroups: a line of the mount table.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// The names of a v1 hierarchy; empty for v2.
    names: Vec<String>,
    /// Which of the hierarchy's directories is mounted.
    root: String,
    /// Where.
    point: PathBuf,
}

impl Mount {
    /// A cgroup's path below this mount; its root when the cgroup lies elsewhere.
    fn below(&self, cgroup: &str) -> String {
        match Path::new(cgroup).strip_prefix(&self.root) {
            Ok(rest) => format!("/{}", rest.display()),
            Err(_) => "/".to_owned(),
        }
    }
}

/// proc_pid_mountinfo(5): `ID PARENT DEV ROOT POINT OPTIONS [FIELDS…] - TYPE SOURCE SUPER`.
fn parse(text: &str) -> Vec<Mount> {
    let line = |line: &str| {
        let (front, back) = line.split_once(" - ")?;
        let (mut front, mut back) = (front.split(' ').skip(3), back.split(' '));
        let (root, point) = (unescape(front.next()?), unescape(front.next()?).into());
        let names = match back.next()? {
            "cgroup" => back.nth(1)?.split(',').map(str::to_owned).collect(),
            "cgroup2" => Vec::new(),
            _ => return None,
        };
        Some(Mount { names, root, point })
    };
    text.lines().filter_map(line).collect()
}

/// Space, tab, newline and backslash stand in the mount table as `\` and three octal digits.
fn unescape(field: &str) -> String {
    let mut text = String::new();
    let mut parts = field.split('\\');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        match part.get(..3).map(|digits| u8::from_str_radix(digits, 8)) {
            Some(Ok(byte)) if byte.is_ascii() => {
                text.push(char::from(byte));
                text.push_str(&part[3..]);
            }
            _ => {
                text.push('\\');
                text.push_str(part);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_proc_cgroup_names_a_hierarchy_and_a_path() {
        let file = "9:name=systemd:/a\n4:cpu,cpuacct:/b:c\n0::/gone (deleted)\n";
        let lines: Vec<_> = entries(file).collect();
        assert_eq!(lines, [("name=systemd", "/a"), ("cpu,cpuacct", "/b:c"), ("", "/gone")]);
    }

    #[test]
    fn the_mount_table_tells_names_root_and_place() {
        let text = "30 23 0:26 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw\n\
            31 30 0:27 /docker/x /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n\
            32 30 0:28 / /a\\040b rw,nosuid shared:2 master:1 - cgroup2 none rw,nsdelegate\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].names, ["rw", "cpu", "cpuacct"]);
        assert_eq!(mounts[0].below("/docker/x/sub"), "/sub");
        assert_eq!(mounts[0].below("/docker/xy"), "/");
        assert_eq!(mounts[1].point, Path::new("/a b"));
        assert!(mounts[1].names.is_empty());
    }

    #[test]
    fn a_hierarchy_at_an_unusual_place_is_found_in_the_mount_table() {
        let line = "40 1 0:30 /pod /opt/cg rw - cgroup cgroup rw,nowhere,xattr\n";
        let mut probe = Probe {
            limited: false,
            own: String::new(),
            directories: vec!["nowhere".to_owned()],
            mounts: Some(parse(line)),
        };
        let found = probe.hierarchy("nowhere", "/pod/me").unwrap().unwrap();
        assert_eq!((found.mount, found.own), (PathBuf::from("/opt/cg"), "/me".to_owned()));
        assert_eq!(probe.hierarchy("elsewhere", "/").unwrap(), None);
    }

    #[test]
    fn the_parent_of_a_cgroup_never_leaves_the_hierarchy() {
        assert_eq!(parent("/a/b"), "/a");
        assert_eq!(parent("/a"), "/");
        assert_eq!(parent("/"), "/");
    }

    #[test]
    fn what_is_probed_is_there() {
        let found = Cgroups::probe().unwrap();
        for hierarchy in &found.legacy {
            let tasks = join(&hierarchy.mount, &hierarchy.own).join("tasks");
            assert!(tasks.is_file(), "{hierarchy:?}");
            assert!(!hierarchy.mount.is_symlink(), "{hierarchy:?}");
        }
        if let Some(unified) = &found.unified {
            assert!(join(&unified.mount, &unified.own).join("cgroup.procs").is_file());
        }
    }
}
