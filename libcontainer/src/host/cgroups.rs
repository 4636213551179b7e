//! Facts about this machine's cgroups: which hierarchies there are, and where this process is.
//!
//! [`Cgroups::probe`] is called once for a [`Host`](super::Host); `features::cgroup` decides from the
//! facts alone, so [`Cgroups::example_v1`] and its like stand in for a machine in tests. The usual
//! mount points are verified and taken; the mount table, which grows with every container of the
//! host, is read only when one of them is not what it should be. Nothing is created or changed here.

use std::fs;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, FsType, fstatfs, statfs};
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
    /// The controllers that a cgroup made by this process can have: for root those of the mount's
    /// root, for others, who can enable nothing above it, those of the parent of `own`.
    pub controllers: Vec<String>,
    /// Whether this process may make cgroups beside its own.
    pub writable: bool,
}

impl Cgroups {
    /// Looks at this machine.
    ///
    /// # Errors
    /// `/proc` does not tell this process's cgroups.
    pub fn probe() -> Result<Self> {
        let file = read("/proc/thread-self/cgroup")?;
        let pure = statfs(ROOT).is_ok_and(|fs| fs.filesystem_type() == CGROUP2_SUPER_MAGIC);
        let mut mounts = None;
        if pure {
            let unified = unified(ROOT.into(), &file, &mut mounts, true)?;
            return Ok(Self { legacy: Vec::new(), unified });
        }
        let mut legacy = Vec::new();
        for (names, own) in entries(&file).filter(|(names, _)| !names.is_empty()) {
            legacy.extend(hierarchy(names, own, &mut mounts)?);
        }
        let beside = Path::new(ROOT).join("unified");
        let unified = match legacy.is_empty() {
            false if is_cgroup(&beside, "/", CGROUP2_SUPER_MAGIC) => {
                unified(beside, &file, &mut mounts, false)?
            }
            false => None,
            true => match table(&mut mounts)?.iter().find(|mount| mount.names.is_empty()) {
                Some(mount) => unified(mount.point.clone(), &file, &mut mounts, true)?,
                None => None,
            },
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

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).map_err(|error| Error::io(format!("cannot read {path}"), &error))
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

fn hierarchy(
    names: &str,
    own: &str,
    mounts: &mut Option<Vec<Mount>>,
) -> Result<Option<Hierarchy>> {
    let usual = Path::new(ROOT).join(directory(names));
    let found = if is_cgroup(&usual, own, CGROUP_SUPER_MAGIC) {
        Some((usual, own.to_owned()))
    } else {
        let holds = |mount: &&Mount| {
            !mount.names.is_empty() && names.split(',').all(|n| mount.names.iter().any(|m| m == n))
        };
        table(mounts)?.iter().find(holds).map(|mount| (mount.point.clone(), mount.below(own)))
    };
    Ok(found.map(|(mount, own)| Hierarchy {
        name: names.to_owned(),
        controllers: controllers(names),
        writable: is_writable(&mount, &own),
        mount,
        own,
    }))
}

/// `alone` when there is no cgroup v1: then a container's cgroup lies beside this process's.
fn unified(
    mount: PathBuf,
    file: &str,
    mounts: &mut Option<Vec<Mount>>,
    alone: bool,
) -> Result<Option<Unified>> {
    let Some((_, path)) = entries(file).find(|(names, _)| names.is_empty()) else {
        return Ok(None);
    };
    let mut own = path.to_owned();
    if !is_cgroup(&mount, path, CGROUP2_SUPER_MAGIC) {
        let here = |entry: &&Mount| entry.names.is_empty() && entry.point == mount;
        own = table(mounts)?.iter().find(here).map_or("/".to_owned(), |entry| entry.below(path));
    }
    let beside = if alone { parent(&own) } else { own.as_str() }.to_owned();
    let top = if geteuid().is_root() { "/" } else { beside.as_str() };
    let list = fs::read_to_string(join(&mount, top).join("cgroup.controllers")).unwrap_or_default();
    Ok(Some(Unified {
        controllers: list.split_ascii_whitespace().map(str::to_owned).collect(),
        writable: is_writable(&mount, &beside),
        mount,
        own,
    }))
}

/// A cgroup's directory.
pub fn join(mount: &Path, path: &str) -> PathBuf {
    match path.trim_matches('/') {
        "" => mount.to_owned(),
        below => mount.join(below),
    }
}

/// Whether this is a directory of such a file system, reached without a symbolic link: `cpu` is
/// often one that leads to `cpu,cpuacct`.
fn is_cgroup(mount: &Path, own: &str, magic: FsType) -> bool {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    openat2(AT_FDCWD, &join(mount, own), how)
        .and_then(fstatfs)
        .is_ok_and(|fs| fs.filesystem_type() == magic)
}

/// Asks with the effective ids; a file system mounted read-only says no as well.
fn is_writable(mount: &Path, path: &str) -> bool {
    let access = AccessFlags::W_OK | AccessFlags::X_OK;
    let answer = faccessat(AT_FDCWD, &join(mount, path), access, AtFlags::AT_EACCESS);
    answer != Err(Errno::EACCES) && answer != Err(Errno::EROFS) && answer != Err(Errno::EPERM)
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

/// The cgroup mounts of the mount table, which is read at the first need.
fn table(mounts: &mut Option<Vec<Mount>>) -> Result<&[Mount]> {
    let read_now = match mounts.take() {
        Some(mounts) => mounts,
        None => parse(&read("/proc/thread-self/mountinfo")?),
    };
    Ok(mounts.insert(read_now))
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
        let mut mounts = Some(parse(line));
        let found = hierarchy("nowhere", "/pod/me", &mut mounts).unwrap().unwrap();
        assert_eq!((found.mount, found.own), (PathBuf::from("/opt/cg"), "/me".to_owned()));
        assert_eq!(hierarchy("elsewhere", "/", &mut mounts).unwrap(), None);
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
