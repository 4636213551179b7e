//! The rules of Landlock, which take rights over files from init and from all that it becomes.
//!
//! Paths are looked up at the last moment, as the container's user: what hooks have mounted counts,
//! as it does for the program.

use super::target;
use super::{Done, Init};
use crate::sys::path::{self, AT_FDCWD, O_DIRECTORY, O_PATH, Resolve};
use crate::sys::{file, landlock};
use crate::wire::{List, Numbers};

impl Init {
    /// The detail of a failure is the path at which it happened.
    pub(super) fn restrict_files(&mut self, handled: u32, paths: List, allowed: Numbers) -> Done {
        let ruleset = landlock::create_ruleset(u64::from(handled))?;
        // The root directory is the container's by now.
        let root = path::open(AT_FDCWD, c"/", O_PATH | O_DIRECTORY, 0, Resolve::Anywhere)?;
        for i in 0..paths.count {
            let path = self.item(paths, i)?;
            self.detail.set(path.to_bytes());
            let file = target::open(root.raw(), path, Resolve::InRoot)?;
            let mut rights = u64::from(self.number(allowed, i)?);
            if !file::status(file.raw())?.is_dir() {
                rights &= landlock::FILE_RIGHTS;
            }
            // The kernel takes no rule that allows nothing.
            if rights != 0 {
                landlock::allow_beneath(ruleset.raw(), file.raw(), rights)?;
            }
        }
        self.detail.set(b"");
        Ok(landlock::restrict_self(ruleset.raw())?)
    }
}
