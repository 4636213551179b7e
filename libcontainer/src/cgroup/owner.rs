//! A cgroup of v2 given to a user: delegation, cgroups(7).
//!
//! The directory, and the files that the kernel lists in `/sys/kernel/cgroup/delegate`: with them a
//! user makes cgroups below and moves processes between them. The limits are none of them.

use std::fs::read_to_string;

use nix::errno::Errno;

use super::{Open, failed};
use crate::error::Result;

/// Where the kernel lists them, since Linux 4.15.
const LIST: &str = "/sys/kernel/cgroup/delegate";
/// Those there were before.
const FIRST: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads";

impl Open {
    /// Makes a user the owner of the directory of cgroup v2 and of those that were made below it, and
    /// of the files of delegation in them.
    ///
    /// # Errors
    /// The owner cannot be changed. A file that this kernel does not have is none.
    pub fn give(&self, uid: u32) -> Result<()> {
        let list = read_to_string(LIST).unwrap_or_else(|_| FIRST.to_owned());
        let Some((directory, top)) = self.each().find(|(d, _)| !d.place.is_legacy()) else {
            return Ok(());
        };
        for dir in std::iter::once(top).chain(&self.below) {
            for file in list.lines().map(str::trim).filter(|file| !file.is_empty()) {
                match dir.give_file(file, uid) {
                    Ok(()) | Err(Errno::ENOENT) => {}
                    Err(errno) => {
                        return Err(failed("change the owner of", &directory.place, errno));
                    }
                }
            }
            // Last: from here on the owner may change what is in it.
            dir.give(uid).map_err(|e| failed("change the owner of", &directory.place, e))?;
        }
        Ok(())
    }
}
