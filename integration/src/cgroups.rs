//! Where cgroups lie on this machine, seen from a test.
//!
//! Tests read limits back from the kernel's own files, so they must know whether the machine uses
//! cgroup v1, v2 or both. The layout is read from the mount table each time: a run in a private
//! mount namespace with other cgroup mounts needs nothing else. Nothing here creates a cgroup.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The cgroup hierarchies of this machine, as mounted in this mount namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Controllers of v1 and where their hierarchy is mounted.
    v1: Vec<(String, PathBuf)>,
    /// Where cgroup v2 is mounted.
    v2: Option<PathBuf>,
}

impl Layout {
    /// Reads the mount table.
    pub fn here() -> Self {
        let mut layout = Self { v1: Vec::new(), v2: None };
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for line in table.lines() {
            let Some((front, back)) = line.split_once(" - ") else { continue };
            let (Some(root), Some(point)) = (front.split(' ').nth(3), front.split(' ').nth(4))
            else {
                continue;
            };
            if !point.starts_with("/sys/fs/cgroup") || root != "/" {
                continue;
            }
            let mut back = back.split(' ');
            match back.next() {
                Some("cgroup2") => layout.v2 = Some(PathBuf::from(point)),
                Some("cgroup") => {
                    let options = back.nth(1).unwrap_or_default();
                    for option in options.split(',').filter(|o| !matches!(*o, "rw" | "ro")) {
                        layout.v1.push((option.to_owned(), PathBuf::from(point)));
                    }
                }
                _ => {}
            }
        }
        layout
    }

    /// Whether cgroup v2 is all there is.
    pub fn is_v2(&self) -> bool {
        self.v1.is_empty()
    }

    /// Whether there is cgroup v2 beside v1.
    pub fn is_hybrid(&self) -> bool {
        !self.v1.is_empty() && self.v2.is_some()
    }

    /// The mount points of all hierarchies.
    pub fn hierarchies(&self) -> BTreeSet<&Path> {
        self.v1.iter().map(|(_, path)| path.as_path()).chain(self.v2.as_deref()).collect()
    }

    /// Whether a controller is one of v1 here.
    pub fn is_v1(&self, controller: &str) -> bool {
        self.v1.iter().any(|(name, _)| name == controller)
    }

    /// Whether a controller, by its v1 name, can limit a container here.
    pub fn has(&self, controller: &str) -> bool {
        let name = match controller {
            "blkio" => "io",
            "cpuacct" => "cpu",
            other => other,
        };
        if self.is_v1(controller) || (self.is_v2() && matches!(name, "freezer" | "devices")) {
            return true;
        }
        let Some(root) = &self.v2 else { return false };
        let controllers = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        controllers.split_whitespace().any(|c| c == name)
    }

    /// The directory of a cgroup in the hierarchy of a controller.
    pub fn dir(&self, controller: &str, cgroup: &str) -> PathBuf {
        let base = self.v1.iter().find(|(name, _)| name == controller).map(|(_, path)| path);
        let base = base.or(self.v2.as_ref()).unwrap_or_else(|| panic!("no cgroup {controller}"));
        base.join(cgroup.trim_start_matches('/'))
    }

    /// Reads a file of a cgroup, without the line's end.
    pub fn read(&self, controller: &str, cgroup: &str, file: &str) -> String {
        let path = self.dir(controller, cgroup).join(file);
        fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
            .trim_end()
            .to_owned()
    }

    /// The directories in all hierarchies whose path below the mount holds `tag`.
    pub fn holding(&self, tag: &str) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        for top in self.hierarchies() {
            walk(top, &mut |dir| {
                if dir.strip_prefix(top).is_ok_and(|p| p.to_string_lossy().contains(tag)) {
                    found.insert(dir.to_owned());
                }
            });
        }
        found
    }

    /// Removes the directories in all hierarchies whose path holds `tag`, deepest first.
    pub fn remove(&self, tag: &str) {
        for dir in self.holding(tag).iter().rev() {
            // What is still in use stays, and the snapshot of the host reports it.
            let _ = fs::remove_dir(dir);
        }
    }
}

/// The numbers of some disk of this machine, `MAJOR:MINOR`.
pub fn disk() -> Option<String> {
    let mut disks = fs::read_dir("/sys/block").ok()?.flatten();
    disks.find_map(|disk| fs::read_to_string(disk.path().join("dev")).ok()).map(|n| n.trim().into())
}

/// Calls `seen` for every directory below `dir`.
fn walk(dir: &Path, seen: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            seen(&entry.path());
            walk(&entry.path(), seen);
        }
    }
}
