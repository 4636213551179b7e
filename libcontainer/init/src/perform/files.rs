//! Files of the container that are no mounts: device nodes and links.

use super::target;
use super::{Done, Init};
use crate::message::{Cause, Refusal};
use crate::sys::path::{self, O_NOFOLLOW, O_PATH, Resolve};
use crate::sys::{Errno, file};
use crate::wire::Str;

impl Init {
    /// Makes a device node or FIFO; one that is there already must be the same.
    pub(super) fn device(
        &mut self,
        path: Str,
        mode: u32,
        numbers: (u32, u32),
        (uid, gid): (u32, u32),
    ) -> Done {
        const TYPE: u32 = 0o170_000;
        const FIFO: u32 = 0o010_000;
        let (dir, name) = target::make_parent(self.root()?, self.str(path)?)?;
        match path::make_node(dir.raw(), name.as_c_str(), mode, numbers) {
            Err(failure) if failure.is(Errno::EEXIST) => {}
            result => result?,
        }
        // Looked at through a descriptor: what is owned below is what was checked here.
        let flags = O_PATH | O_NOFOLLOW;
        let node = path::open(dir.raw(), name.as_c_str(), flags, 0, Resolve::Beneath)?;
        let status = file::status(node.raw())?;
        let same_numbers = mode & TYPE == FIFO || status.special == numbers;
        if status.kind() != mode & TYPE || !same_numbers {
            return Err(Cause::Refused(Refusal::OtherFile));
        }
        if (status.uid, status.gid) != (uid, gid) {
            path::set_owner(node.raw(), uid, gid)?;
        }
        Ok(())
    }

    pub(super) fn link(&mut self, content: Str, path: Str, only_if: Str, replace: bool) -> Done {
        let root = self.root()?;
        if only_if.len > 0 && !is_there(root, self.str(only_if)?)? {
            return Ok(());
        }
        let (dir, name) = target::make_parent(root, self.str(path)?)?;
        if replace {
            match path::remove(dir.raw(), name.as_c_str()) {
                Err(failure) if failure.is(Errno::ENOENT) => {}
                result => result?,
            }
        }
        match path::make_link(self.str(content)?, dir.raw(), name.as_c_str()) {
            Err(failure) if failure.is(Errno::EEXIST) => Ok(()),
            result => Ok(result?),
        }
    }
}

/// Whether something is at a path; a link at its end is not followed, as it may be one of procfs
/// that leads to an open file.
fn is_there(root: i32, path: &core::ffi::CStr) -> Done<bool> {
    match path::open(root, path, O_PATH | O_NOFOLLOW, 0, Resolve::InRoot) {
        Ok(_) => Ok(true),
        Err(failure) if failure.is(Errno::ENOENT) || failure.is(Errno::ENOTDIR) => Ok(false),
        Err(failure) => Err(failure.into()),
    }
}
