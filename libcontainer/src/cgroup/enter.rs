//! Entering the cgroup of a container that runs: the cgroup itself, a sub-cgroup of it, or the one
//! its first process moved to.
//!
//! Called for `exec`. Every way leads below the container's own directories, by one openat2(2) that
//! cannot leave them: a `..`, a link or a name that begins like the container's leads nowhere else.

use std::str::FromStr;

use nix::errno::Errno;

use super::dir::Dir;
use super::{Cgroup, Open, failed};
use crate::error::{Error, ErrorKind, Result};

/// A cgroup below the container's own, for a process that joins it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubCgroup {
    /// The controllers of cgroup v1 it is meant for; all hierarchies when there are none.
    pub controllers: Vec<String>,
    /// Its path below the container's cgroup; `/` for that itself.
    pub path: String,
}

/// `[CONTROLLER[,CONTROLLER...]:]PATH`, as runc's `exec --cgroup` has it.
impl FromStr for SubCgroup {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (controllers, path) = text.split_once(':').unwrap_or(("", text));
        let refuse = |why: &str| {
            let message = format!("\"{text}\" is not a cgroup of the container: {why}");
            Err(Error::new(ErrorKind::Input, message))
        };
        if path.split('/').any(|name| name == ".." || name == ".") {
            return refuse("its path must not hold . or ..");
        }
        if path.is_empty() {
            return refuse("its path is missing");
        }
        let controllers = controllers.split(',').filter(|name| !name.is_empty());
        Ok(Self { controllers: controllers.map(str::to_owned).collect(), path: path.to_owned() })
    }
}

impl Cgroup {
    /// Opens the directories for another process, in each hierarchy those of the last sub-cgroup
    /// that is meant for it.
    ///
    /// # Errors
    /// A directory is not there, or a controller is not the container's.
    pub fn open_for(&self, subs: &[SubCgroup]) -> Result<Open> {
        for controller in subs.iter().flat_map(|sub| &sub.controllers) {
            let held = self.directories.iter().any(|d| d.place.controllers.contains(controller));
            if !held {
                let message = format!("the container has no cgroup of the controller {controller}");
                return Err(Error::new(ErrorKind::Input, message));
            }
        }
        let mut open = self.open()?;
        for (directory, dir) in self.directories.iter().zip(&mut open.dirs) {
            let place = &directory.place;
            let meant = |sub: &&SubCgroup| {
                let of = &sub.controllers;
                of.is_empty() || of.iter().any(|name| place.controllers.contains(name))
            };
            let sub = subs.iter().rev().find(meant).map(|sub| sub.path.trim_matches('/'));
            if let Some(path) = sub.filter(|path| !path.is_empty()) {
                *dir = dir.sub(path).map_err(|errno| {
                    failed(&format!("find {path} in"), place, errno).kind_is(ErrorKind::Input)
                })?;
            }
        }
        Ok(open)
    }

    /// The directory of cgroup v2 that a process of the container is in, for one that cannot join
    /// at the top as no processes are allowed there (cgroups(7), "no internal processes").
    ///
    /// # Errors
    /// The process is not below the container's cgroup.
    pub fn unified_dir_of(&self, pid: i32) -> Result<Option<std::os::fd::OwnedFd>> {
        let Some(place) = self.directories.iter().map(|d| &d.place).find(|p| !p.is_legacy()) else {
            return Ok(None);
        };
        let path = format!("/proc/{pid}/cgroup");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Error::io(format!("cannot read {path}"), &error))?;
        let its = text.lines().find_map(|line| line.strip_prefix("0::"));
        let below = its.and_then(|its| its.strip_prefix(&place.path)?.strip_prefix('/'));
        let top = Dir::open(&place.dir()).map_err(|errno| failed("open", place, errno))?;
        match below.map(|below| top.sub(below)) {
            Some(dir) => dir.map(|dir| Some(dir.into())).map_err(|e| failed("enter", place, e)),
            None => Err(failed("enter", place, Errno::EBUSY)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sub_cgroup_is_a_path_with_or_without_controllers() {
        let sub = |text: &str| text.parse::<SubCgroup>().ok();
        let of = |controllers: &[&str], path: &str| {
            let controllers = controllers.iter().map(|name| (*name).to_owned()).collect();
            Some(SubCgroup { controllers, path: path.to_owned() })
        };
        assert_eq!(sub("/a/b"), of(&[], "/a/b"));
        assert_eq!(sub("cpu,cpuacct:a"), of(&["cpu", "cpuacct"], "a"));
        assert_eq!(sub("/"), of(&[], "/"));
        for bad in ["", "..", "/a/../b", "cpu:", "memory:../x", "./a"] {
            assert_eq!(sub(bad), None, "{bad:?}");
        }
    }
}
