//! Cgroups of v2 that are made below the container's own for its first process.

use std::os::fd::OwnedFd;

use nix::errno::Errno;

use super::{Open, failed};
use crate::error::Result;

impl Open {
    /// Makes a cgroup below the one of cgroup v2, and opens the file by which a process enters it.
    ///
    /// # Errors
    /// It cannot be made, or there is no cgroup v2.
    pub fn make_below(&mut self, path: &str) -> Result<Option<OwnedFd>> {
        let v2 = self.each().find(|(directory, _)| !directory.place.is_legacy());
        let Some((place, top)) = v2.map(|(directory, dir)| (directory.place.clone(), dir)) else {
            return Ok(None);
        };
        let make = || {
            let mut dir = top.again()?;
            for name in path.split('/') {
                match dir.make(name) {
                    Ok(()) | Err(Errno::EEXIST) => dir = dir.sub(name)?,
                    Err(errno) => return Err(errno),
                }
            }
            let file = dir.writable("cgroup.procs")?;
            Ok((dir, file))
        };
        let made = make().map_err(|errno| failed(&format!("make {path} in"), &place, errno));
        let (dir, file) = made?;
        self.below.push(dir);
        Ok(Some(file))
    }
}
