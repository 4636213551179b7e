//! The directories of a cgroup: looked for, then made.
//!
//! [`Survey`] knows what will be made before it is, so that a record of it can be written first: a
//! runtime that is killed in between leaves nothing that the record does not name. A cgroup that
//! exists is used if it is empty; one with processes or a frozen one belongs to somebody else.

use nix::errno::Errno;

use super::dir::Dir;
use super::{
    Cgroup, Directory, Open, Unit, failed, legacy, name, processes, remove, systemd, unified,
};
use crate::error::{Error, ErrorKind, Result};
use crate::host::cgroups::{join, parent};
use crate::task::cgroup::{CgroupPlan, Place};
use crate::task::systemd::Scope;

const POINTER: &str = "/linux/cgroupsPath";

/// What there is of a cgroup before it is made.
#[derive(Debug)]
pub struct Survey {
    cgroup: Cgroup,
    above: Vec<Dir>,
    scope: Option<Scope>,
}

impl Cgroup {
    /// Looks which directories of a plan are missing. Nothing is made.
    ///
    /// # Errors
    /// The cgroup exists and is in use, or a hierarchy cannot be opened.
    pub fn survey(plan: &CgroupPlan) -> Result<Survey> {
        let (mut directories, mut above) = (Vec::new(), Vec::new());
        for place in &plan.places {
            let (dir, missing) = deepest(place).map_err(|errno| failed("find", place, errno))?;
            let mut made = missing + 1;
            if missing == 0
                && let Some(leaf) = existing(&dir, place)?
            {
                check_free(&leaf, place)?;
                made = 0;
            }
            directories.push(Directory { place: place.clone(), made });
            above.push(dir);
        }
        let scope = plan.scope.clone();
        let unit = scope.as_ref().map(|s| Unit { name: s.unit.clone(), bus: s.bus.clone() });
        Ok(Survey {
            cgroup: Self { directories, unit, subgroup: plan.subgroup.clone() },
            above,
            scope,
        })
    }
}

impl Survey {
    /// The record of what will be.
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Has systemd start a scope around a process, which so moves into its cgroup.
    ///
    /// # Errors
    /// systemd is not there, or refuses; or it puts the scope elsewhere.
    pub fn start_scope(&self, pid: i32) -> Result<()> {
        let Some(scope) = &self.scope else { return Ok(()) };
        let path = systemd::start(scope, pid)?;
        match self.cgroup.directories.iter().find(|directory| directory.place.path != path) {
            None => Ok(()),
            Some(Directory { place, .. }) => {
                Err(refused(place, &format!("systemd has made {path} instead")))
            }
        }
    }

    /// Makes the directories.
    ///
    /// # Errors
    /// One cannot be made, or somebody else began to use it meanwhile; those made are removed.
    pub fn prepare(self) -> Result<Open> {
        let Self { mut cgroup, above, scope } = self;
        let mut dirs = Vec::new();
        for (directory, above) in cgroup.directories.iter_mut().zip(above) {
            match make(directory, above, scope.is_some()) {
                Ok(dir) => dirs.push(dir),
                Err(error) => {
                    remove::undo(&cgroup);
                    return Err(error);
                }
            }
        }
        Ok(Open { cgroup, dirs, below: Vec::new() })
    }
}

/// The last directory on the way to a cgroup, and how many between the two are missing.
fn deepest(place: &Place) -> nix::Result<(Dir, usize)> {
    let (mut path, mut missing) = (parent(&place.path), 0);
    loop {
        match Dir::open(&join(&place.mount, path)) {
            Err(Errno::ENOENT) if path != "/" => {
                path = parent(path);
                missing += 1;
            }
            result => return result.map(|dir| (dir, missing)),
        }
    }
}

fn existing(above: &Dir, place: &Place) -> Result<Option<Dir>> {
    match above.sub(name(&place.path)) {
        Ok(leaf) => Ok(Some(leaf)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(failed("open", place, errno)),
    }
}

/// Makes one directory and those above it that are missing. That of a scope may be there with init
/// in it, and goes with the container all the same.
fn make(directory: &mut Directory, above: Dir, scope: bool) -> Result<Dir> {
    /// Another container's removal may take a directory away between two steps here, again.
    const TRIES: usize = 64;
    let mut found = Some((above, directory.made.saturating_sub(1)));
    for _ in 0..TRIES {
        let (above, missing) = match found.take() {
            Some(found) => found,
            None => deepest(&directory.place).map_err(|e| failed("find", &directory.place, e))?,
        };
        directory.made = missing + 1;
        match descend(above, &directory.place.path, missing + 1) {
            Err(Errno::ENOENT | Errno::ENODEV) => {}
            Err(errno) => return Err(failed("make", &directory.place, errno).pointer_is(POINTER)),
            Ok((leaf, new)) => {
                if !new && scope {
                    directory.made = 1;
                } else if !new {
                    directory.made = 0;
                    check_free(&leaf, &directory.place)?;
                }
                check_usable(&leaf, &directory.place)?;
                return Ok(leaf);
            }
        }
    }
    Err(failed("make", &directory.place, Errno::ENOENT))
}

/// Makes the last `count` components of a path, and tells whether the very last is new.
fn descend(above: Dir, path: &str, count: usize) -> nix::Result<(Dir, bool)> {
    let names: Vec<&str> = path.split('/').collect();
    let (mut dir, mut new) = (above, false);
    for name in &names[names.len().saturating_sub(count)..] {
        new = match dir.make(name) {
            Ok(()) => true,
            Err(Errno::EEXIST) => false,
            Err(errno) => return Err(errno),
        };
        dir = dir.sub(*name)?;
    }
    Ok((dir, new))
}

fn refused(place: &Place, reason: &str) -> Error {
    let path = place.dir();
    Error::new(ErrorKind::State, format!("cannot use cgroup {}: {reason}", path.display()))
        .path(path)
        .pointer_is(POINTER)
}

/// A cgroup that was there must not hold processes, at any depth.
fn check_free(leaf: &Dir, place: &Place) -> Result<()> {
    let pids = processes::below(leaf).map_err(|errno| failed("read", place, errno))?;
    match pids.len() {
        0 => Ok(()),
        1 => Err(refused(place, "a process is in it")),
        count => Err(refused(place, &format!("{count} processes are in it"))),
    }
}

/// A process that enters must be able to run: even a new cgroup is frozen if one above is.
fn check_usable(leaf: &Dir, place: &Place) -> Result<()> {
    let frozen = if place.is_legacy() {
        place.controllers.iter().any(|c| c == "freezer") && legacy::is_frozen(leaf)
    } else {
        unified::is_frozen(leaf)
    };
    if frozen {
        return Err(refused(place, "it is frozen"));
    }
    let mode = if place.is_legacy() { None } else { unified::mode(leaf) };
    mode.map_or(Ok(()), |mode| Err(refused(place, &format!("its type is \"{mode}\""))))
}
