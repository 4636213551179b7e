//! tmpcopyup: a new tmpfs starts with what the image has at its place.
//!
//! Owners, permissions and modification times are kept, links are copied as links, device nodes and
//! FIFOs as such. Everything is done relative to descriptors, so that no name of the image is
//! followed anywhere.

use core::ffi::CStr;

use super::Done;
use crate::message::{Cause, Refusal};
use crate::sys::file::{self, AT_SYMLINK_NOFOLLOW, Status};
use crate::sys::path::{
    self, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_WRONLY, Resolve,
};

/// How deep directories may be nested; each level costs a buffer on the stack.
const DEPTH: usize = 128;

/// Copies the contents of one directory, an O_PATH descriptor, into another.
pub(super) fn copy(from: i32, to: i32) -> Done {
    copy_dir(from, to, 0)
}

fn copy_dir(from: i32, to: i32, depth: usize) -> Done {
    /// Where the name stands in struct linux_dirent64, getdents64(2).
    const NAME: usize = 19;
    if depth > DEPTH {
        return Err(Cause::Refused(Refusal::TooDeep));
    }
    // The O_PATH descriptor cannot be read: the directory is opened once more.
    let listing = path::open(from, c".", O_DIRECTORY, 0, Resolve::BeneathMounts)?;
    let mut buf = [0u8; 2048];
    loop {
        let len = path::read_dir(listing.raw(), &mut buf)?;
        let mut entries = buf.get(..len).unwrap_or_default();
        if entries.is_empty() {
            return Ok(());
        }
        while let (Some(size), Some(name)) = (entries.get(16..18), entries.get(NAME..)) {
            let size = usize::from(u16::from_ne_bytes([size[0], size[1]]));
            let name = CStr::from_bytes_until_nul(name).unwrap_or_default();
            if name != c"." && name != c".." {
                copy_entry(from, to, name, depth)?;
            }
            entries = entries.get(size..).unwrap_or_default();
        }
    }
}

fn copy_entry(from: i32, to: i32, name: &CStr, depth: usize) -> Done {
    const PERMISSIONS: u32 = 0o7777;
    let status = file::status_at(from, name, AT_SYMLINK_NOFOLLOW)?;
    if status.is_dir() {
        path::make_dir(to, name, 0o700)?;
        let below = |dir, far| path::open(dir, name, O_DIRECTORY | O_NOFOLLOW, 0, far);
        // What is mounted in the image's directory belongs to what it holds.
        let source = below(from, Resolve::BeneathMounts)?;
        let target = below(to, Resolve::Beneath)?;
        copy_dir(source.raw(), target.raw(), depth + 1)?;
        path::set_owner(target.raw(), status.uid, status.gid)?;
        path::set_mode(target.raw(), status.mode & PERMISSIONS)?;
    } else if status.is_symlink() {
        let mut content = [0; 4097];
        path::read_link(from, name, &mut content[..4096])?;
        path::make_link(CStr::from_bytes_until_nul(&content).unwrap_or_default(), to, name)?;
        path::set_owner_at(to, name, status.uid, status.gid, AT_SYMLINK_NOFOLLOW)?;
    } else if status.is_file() {
        copy_file(from, to, name, &status)?;
    } else {
        path::make_node(to, name, status.mode, status.special)?;
        path::set_owner_at(to, name, status.uid, status.gid, AT_SYMLINK_NOFOLLOW)?;
    }
    Ok(path::set_times(to, name, status.modified)?)
}

fn copy_file(from: i32, to: i32, name: &CStr, status: &Status) -> Done {
    let far = Resolve::BeneathMounts;
    let source = path::open(from, name, O_NOFOLLOW | O_NONBLOCK, 0, far)?;
    let flags = O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY;
    let target = path::open(to, name, flags, 0o600, Resolve::Beneath)?;
    while file::send_file(target.raw(), source.raw(), 1 << 30)? > 0 {}
    path::set_owner(target.raw(), status.uid, status.gid)?;
    Ok(path::set_mode(target.raw(), status.mode & 0o7777)?)
}
