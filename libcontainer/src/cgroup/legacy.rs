//! What only cgroup v1 needs: CPUs and memory nodes for a new cpuset, and the freezer's file.
//!
//! Called by the other modules of `cgroup`. A new cpuset is empty on v1 and takes no process until
//! it has a CPU and a node; so has every directory above it that nobody has filled in yet.

use nix::errno::Errno;

use super::dir::Dir;
use super::{Directory, failed};
use crate::error::Result;
use crate::host::cgroups::{join, parent};
use crate::task::cgroup::Place;

/// The freezer's file.
pub(super) const FREEZER: &str = "freezer.state";
/// The files that must not be empty.
const CPUSET: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// Fills in the directories above a cpuset, and returns the settings of the one just above.
pub(super) fn fill_above(place: &Place) -> Result<[String; 2]> {
    fill(place, parent(&place.path)).map_err(|errno| failed("fill in the parents of", place, errno))
}

/// Gives a cpuset, if empty, what the one above has. Paths come from the configuration, whose
/// length bounds the depth.
fn fill(place: &Place, path: &str) -> nix::Result<[String; 2]> {
    let dir = Dir::open(&join(&place.mount, path))?;
    let mut own = [dir.read(CPUSET[0])?, dir.read(CPUSET[1])?];
    if path != "/" && own.iter().any(String::is_empty) {
        let above = fill(place, parent(path))?;
        for ((file, own), above) in CPUSET.iter().zip(&mut own).zip(above) {
            if own.is_empty() {
                dir.write(file, &above)?;
                *own = above;
            }
        }
    }
    Ok(own)
}

/// Gives the container's own cpuset what `configured` values have not set.
pub(super) fn fill_in(
    directory: &Directory,
    dir: &Dir,
    above: &[String; 2],
    configured: impl Fn(&str) -> bool,
) -> Result<()> {
    for (file, above) in CPUSET.iter().zip(above).filter(|(file, _)| !configured(file)) {
        // What was made a moment ago is empty.
        let own = if directory.made > 0 { Ok(String::new()) } else { dir.read(file) };
        own.and_then(|own| if own.is_empty() { dir.write(file, above) } else { Ok(()) })
            .map_err(|errno| failed(&format!("set {file} of"), &directory.place, errno))?;
    }
    Ok(())
}

/// Whether the freezer stops what is in this cgroup.
pub(super) fn is_frozen(dir: &Dir) -> bool {
    dir.read(FREEZER).is_ok_and(|state| state != "THAWED")
}

/// Asks the freezer to stop or to go on; a cgroup that is gone has nothing to stop.
pub(super) fn freeze(dir: &Dir, freeze: bool) -> nix::Result<()> {
    match dir.write(FREEZER, if freeze { "FROZEN" } else { "THAWED" }) {
        Err(Errno::ENOENT | Errno::ENODEV) => Ok(()),
        result => result,
    }
}
