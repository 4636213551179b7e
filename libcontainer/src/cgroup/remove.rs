//! The removal of a cgroup with everything below it, and of the directories made for it.
//!
//! A directory goes only when no process is in it: what is left of a container is killed, and as
//! processes take their time to end the removal is tried again, with growing pauses, for a bounded
//! time. It ends with every directory gone, or with an error that names one and who is in it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::dir::Dir;
use super::{Cgroup, Directory, failed, legacy, name, processes, systemd};
use crate::error::{Error, Result};
use crate::host::cgroups::{join, parent};
use crate::task::cgroup::Place;

/// How long stragglers of a container may take to end, in all hierarchies together.
const PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

impl Cgroup {
    /// Removes the cgroup, after killing what is left in it, and the directories above it that were
    /// made for it, as far as nobody else uses them. Directories that are gone are no error.
    ///
    /// # Errors
    /// A directory cannot be removed; the others are.
    pub fn remove(&self) -> Result<()> {
        if let Some(unit) = &self.unit {
            // systemd would wait for processes that do not mind its SIGTERM.
            self.kill()?;
            systemd::stop(unit)?;
        }
        let deadline = Instant::now() + PATIENCE;
        let mut pause = FIRST_PAUSE;
        let mut left: Vec<&Directory> = self.directories.iter().collect();
        let mut first_error = None;
        loop {
            left.retain(|directory| match remove(&directory.place) {
                Ok(Removal::Done) => {
                    remove_above(directory);
                    false
                }
                Ok(Removal::Busy) => true,
                Err(error) => {
                    first_error.get_or_insert(error);
                    false
                }
            });
            let Some(busy) = left.first() else { return first_error.map_or(Ok(()), Err) };
            if Instant::now() >= deadline {
                return Err(first_error.unwrap_or_else(|| still_used(&busy.place)));
            }
            self.kill()?;
            for directory in &left {
                let place = &directory.place;
                empty(place).map_err(|errno| failed("empty", place, errno))?;
            }
            sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

enum Removal {
    Done,
    /// Processes or directories are in it.
    Busy,
}

fn remove(place: &Place) -> Result<Removal> {
    let above = match Dir::open(&join(&place.mount, parent(&place.path))) {
        Err(Errno::ENOENT | Errno::ENODEV) => return Ok(Removal::Done),
        result => result.map_err(|errno| failed("find", place, errno))?,
    };
    match above.remove(name(&place.path)) {
        Ok(()) | Err(Errno::ENOENT | Errno::ENODEV) => Ok(Removal::Done),
        Err(Errno::EBUSY) => Ok(Removal::Busy),
        // A read-only mount refuses to remove even what is not there.
        Err(errno) => match above.sub(name(&place.path)) {
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(Removal::Done),
            _ => Err(failed("remove", place, errno)),
        },
    }
}

/// Kills what is in one directory of the cgroup alone, where it was put or has put itself, and
/// removes the directories below, as far as possible now.
fn empty(place: &Place) -> nix::Result<()> {
    let leaf = match Dir::open(&place.dir()) {
        Err(Errno::ENOENT | Errno::ENODEV) => return Ok(()),
        result => result?,
    };
    if place.is_legacy() {
        if place.controllers.iter().any(|c| c == "freezer") {
            leaf.walk(|dir| legacy::freeze(dir, false))?;
        }
        processes::kill_below(&leaf)?;
    }
    leaf.prune()
}

fn still_used(place: &Place) -> Error {
    let path = place.dir();
    let message = format!("cannot remove cgroup {}", path.display());
    let pids = Dir::open(&path).and_then(|leaf| processes::below(&leaf)).unwrap_or_default();
    let pid = pids.into_iter().next();
    let message = match pid {
        Some(pid) => format!("{message}, as process {pid} does not end"),
        None => message,
    };
    Error::system(message, Errno::EBUSY).syscall("rmdir").path(path)
}

/// Removes the directories above a cgroup that were made with it. One that is in use stays.
fn remove_above(directory: &Directory) {
    let Directory { place, made } = directory;
    let mut path = parent(&place.path);
    for _ in 1..*made {
        let gone = Dir::open(&join(&place.mount, parent(path))).and_then(|d| d.remove(name(path)));
        if gone.is_err() {
            return;
        }
        path = parent(path);
    }
}

/// Removes what was made, of a cgroup that nobody has entered yet.
pub(super) fn undo(cgroup: &Cgroup) {
    for directory in cgroup.directories.iter().filter(|directory| directory.made > 0) {
        let path = directory.place.path.as_str();
        let above = Dir::open(&join(&directory.place.mount, parent(path)));
        // It may not have come to this one.
        let _ = above.and_then(|above| above.remove(name(path)));
        remove_above(directory);
    }
}
