//! What only cgroup v2 needs: controllers enabled on the way down, types, and its own files for
//! freezing and killing.
//!
//! Called by the other modules of `cgroup`. A controller is there for a cgroup only if every one
//! above it has it in `cgroup.subtree_control`, and, except for the root, none that has may hold
//! processes of its own.

use nix::errno::Errno;

use super::dir::Dir;
use crate::error::{Error, Result};
use crate::host::cgroups::{join, parent};
use crate::task::cgroup::Place;

const CONTROL: &str = "cgroup.subtree_control";
/// The file that tells of changes by events, poll(2).
pub(super) const EVENTS: &str = "cgroup.events";
/// The freezer's file.
pub(super) const FREEZE: &str = "cgroup.freeze";

/// Enables the controllers of a place in every directory above it.
///
/// Only those in `needed` have to succeed: a caller with a delegated cgroup has a say in some only.
pub(super) fn enable(place: &Place, needed: &[&str]) -> Result<()> {
    if place.controllers.is_empty() {
        return Ok(());
    }
    let mut way = vec![parent(&place.path)];
    while let Some(&path) = way.last().filter(|path| **path != "/") {
        way.push(parent(path));
    }
    // As the last cannot have what those above do not, it tells for all of them.
    if !missing(place, way[0])?.1.is_empty() {
        for path in way.iter().rev() {
            enable_in(place, path, needed)?;
        }
    }
    settle(place, way[0], needed);
    Ok(())
}

/// Enables in one directory what is missing there.
fn enable_in(place: &Place, path: &str, needed: &[&str]) -> Result<()> {
    let (dir, missing) = missing(place, path)?;
    // Controllers of threads could be enabled all the same, but that would make a threaded tree of
    // it, where the container's cgroup takes no process.
    let busy = !missing.is_empty() && holds_processes(&dir);
    if missing.is_empty() || (!busy && dir.write(CONTROL, &plus(&missing)).is_ok()) {
        return Ok(());
    }
    // One that cannot be enabled prevents all others: one by one.
    for controller in &missing {
        let enabled =
            if busy { Err(Errno::EBUSY) } else { dir.write(CONTROL, &plus(&[controller])) };
        if let Err(errno) = enabled
            && needed.contains(controller)
        {
            return Err(refused(place, path, controller, errno));
        }
    }
    Ok(())
}

/// That a controller is enabled can be read before its files are there, while another container's
/// runtime is enabling it. To write it once more waits for that; who may not write it must take it as
/// it is.
fn settle(place: &Place, path: &str, needed: &[&str]) {
    let known = place.controllers.iter().map(String::as_str);
    let again: Vec<&str> = known.filter(|controller| needed.contains(controller)).collect();
    if again.is_empty() {
        return;
    }
    if let Ok(dir) = Dir::open(&join(&place.mount, path)) {
        let _ = dir.write(CONTROL, &plus(&again));
    }
}

fn plus(controllers: &[&str]) -> String {
    controllers.iter().map(|controller| format!("+{controller} ")).collect()
}

/// Whether a cgroup has processes of its own. For the root, which has no type, it makes no
/// difference.
fn holds_processes(dir: &Dir) -> bool {
    dir.read("cgroup.type").is_ok() && dir.read("cgroup.procs").is_ok_and(|pids| !pids.is_empty())
}

fn missing<'a>(place: &'a Place, path: &str) -> Result<(Dir, Vec<&'a str>)> {
    let dir = join(&place.mount, path);
    let found = Dir::open(&dir).and_then(|dir| dir.read(CONTROL).map(|enabled| (dir, enabled)));
    let (dir, enabled) = found.map_err(|errno| {
        Error::system(format!("cannot read {CONTROL} of {}", dir.display()), errno).path(dir)
    })?;
    let absent = |c: &&str| !enabled.split_ascii_whitespace().any(|enabled| enabled == *c);
    Ok((dir, place.controllers.iter().map(String::as_str).filter(absent).collect()))
}

fn refused(place: &Place, path: &str, controller: &str, errno: Errno) -> Error {
    let dir = join(&place.mount, path);
    let what = format!("cannot enable controller {controller} in cgroup {}", dir.display());
    match errno {
        Errno::EBUSY => Error::system(
            format!("{what}, which holds processes that must move to a cgroup below it first"),
            errno,
        ),
        _ => Error::system(what, errno),
    }
    .path(dir)
}

/// Why a file of a controller is missing, where that is the controller's absence.
pub(super) fn absent_controller(dir: &Dir, file: &str) -> Option<String> {
    let (controller, _) = file.split_once('.')?;
    let has = dir.read("cgroup.controllers").ok()?;
    let known = has.split_ascii_whitespace().any(|c| c == controller) || controller == "cgroup";
    (!known).then(|| format!("controller {controller} is not enabled there"))
}

/// The type of a cgroup whose processes are not its own alone: a part of a threaded tree, or below
/// one, where no process can be put.
pub(super) fn mode(dir: &Dir) -> Option<String> {
    dir.read("cgroup.type").ok().filter(|mode| mode != "domain")
}

/// Whether this text of [`EVENTS`] says that everything stands still, by the cgroup's own freezer or
/// by one above it.
pub(super) fn tells_frozen(events: &str) -> bool {
    events.lines().any(|line| line == "frozen 1")
}

/// Whether this cgroup, or one above it, is frozen, or about to be.
pub(super) fn is_frozen(dir: &Dir) -> bool {
    dir.read(EVENTS).is_ok_and(|text| tells_frozen(&text))
        || dir.read(FREEZE).is_ok_and(|text| text == "1")
}

/// Asks the freezer to stop or to go on; a cgroup that is gone has nothing to stop.
pub(super) fn freeze(dir: &Dir, freeze: bool) -> nix::Result<()> {
    match dir.write(FREEZE, if freeze { "1" } else { "0" }) {
        Err(Errno::ENOENT | Errno::ENODEV) => Ok(()),
        result => result,
    }
}

/// Kills everything in this cgroup and below, even what is frozen or forks.
pub(super) fn kill(dir: &Dir) -> nix::Result<()> {
    match dir.write("cgroup.kill", "1") {
        Err(Errno::ENODEV) => Ok(()),
        result => result,
    }
}
