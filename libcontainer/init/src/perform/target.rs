//! Opening, and making where missing, a path below the container's root.
//!
//! The image decides what is there: links may lead in circles, to nowhere, or change while they are
//! looked at. So every lookup is one openat2(2) that cannot leave the root, what is missing is made
//! component by component relative to a descriptor, and the result is a descriptor that the caller
//! acts on; no path is used twice.

use core::ffi::CStr;

use super::Done;
use crate::message::{Cause, Refusal};
use crate::sys::path::{
    self, FileSystem, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, Resolve,
};
use crate::sys::{Errno, Failure, Fd, Nr};

/// PATH_MAX of the kernel, with the NUL.
const MAX: usize = 4096;
/// How many components are made and dangling links followed before the path counts as endless.
const ROUNDS: usize = 512;

/// The permissions of what is made.
const MODE: u32 = 0o755;

/// What is made at the end of a missing path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaf {
    /// A directory.
    Dir,
    /// An empty file, to mount another on.
    File,
}

/// A path that can be changed, in place of an allocated string.
#[derive(Clone, Copy)]
pub(super) struct Path {
    bytes: [u8; MAX],
    len: usize,
}

impl Path {
    pub(super) fn new(text: &[u8]) -> Done<Self> {
        let mut path = Self { bytes: [0; MAX], len: 0 };
        path.push(text)?;
        Ok(path)
    }

    /// Appends bytes; there is always a NUL behind them.
    pub(super) fn push(&mut self, text: &[u8]) -> Done {
        let end = self.len + text.len();
        let place = self.bytes.get_mut(self.len..end).filter(|_| end < MAX);
        let too_long = Failure { call: Nr::Openat2, errno: Errno::ENAMETOOLONG };
        place.ok_or(Cause::Call(too_long))?.copy_from_slice(text);
        self.len = end;
        self.bytes[end] = 0;
        Ok(())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub(super) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

/// Opens what is at a path below the root, as O_PATH.
pub(super) fn open(root: i32, path: &CStr, resolve: Resolve) -> crate::sys::Result<Fd> {
    path::open(root, path, O_PATH, 0, resolve)
}

/// Opens what is at a path below the root, or nothing when the path does not exist.
pub(super) fn open_existing(root: i32, path: &CStr) -> Done<Option<Fd>> {
    match open(root, path, Resolve::InRoot) {
        Ok(fd) => Ok(Some(fd)),
        Err(failure) if failure.is(Errno::ENOENT) || failure.is(Errno::ENOTDIR) => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

/// Opens a path below the root; what is missing is made, with permissions 0755.
///
/// A dangling link is followed to where it leads inside the root, and that is made.
pub(super) fn make(root: i32, path: &CStr, leaf: Leaf, resolve: Resolve) -> Done<Fd> {
    let mut path = Path::new(path.to_bytes())?;
    for _ in 0..ROUNDS {
        match open(root, path.as_c_str(), resolve) {
            Err(failure) if failure.is(Errno::ENOENT) => {}
            result => return Ok(result?),
        }
        let (parent, end) = open_longest_prefix(root, path.as_bytes(), resolve)?;
        if path::file_system(parent.raw())? == FileSystem::PROC {
            // Nothing can be made there, and what looks like a dangling link may be one to a
            // descriptor that this very lookup opened.
            return Err(Failure { call: Nr::Openat2, errno: Errno::ENOENT }.into());
        }
        let rest = path.as_bytes().get(end..).unwrap_or_default();
        let start = rest.iter().position(|b| *b != b'/').unwrap_or(rest.len());
        let rest = rest.get(start..).unwrap_or_default();
        let length = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
        let (name, rest) = rest.split_at(length);
        let last = rest.iter().all(|b| *b == b'/');
        let name = Path::new(name)?;

        let mut link = [0; MAX];
        match path::read_link(parent.raw(), name.as_c_str(), &mut link) {
            Ok(len) => {
                let prefix = path.as_bytes().get(..end).unwrap_or_default();
                path = redirect(prefix, link.get(..len).unwrap_or_default(), rest)?;
            }
            Err(failure) if failure.is(Errno::ENOENT) => {
                let kind = if last { leaf } else { Leaf::Dir };
                make_one(parent.raw(), name.as_c_str(), kind)?;
            }
            // Somebody else made it in the meantime: look again.
            Err(failure) if failure.is(Errno::EINVAL) => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    Err(Cause::Refused(Refusal::TooManyLinks))
}

/// As [`make`], but a symbolic link at the end of the path is opened itself.
pub(super) fn make_unfollowed(root: i32, path: &CStr, leaf: Leaf) -> Done<Fd> {
    let (dir, name) = make_parent(root, path)?;
    let flags = O_PATH | O_NOFOLLOW;
    let open = || path::open(dir.raw(), name.as_c_str(), flags, 0, Resolve::BeneathMounts);
    match open() {
        Err(failure) if failure.is(Errno::ENOENT) => {}
        result => return Ok(result?),
    }
    make_one(dir.raw(), name.as_c_str(), leaf)?;
    Ok(open()?)
}

/// Opens the directory that is to hold the last component of a path, making it where missing, and
/// returns it with that component.
pub(super) fn make_parent(root: i32, path: &CStr) -> Done<(Fd, Path)> {
    let (dir, name) = parent(path)?;
    Ok((make(root, dir.as_c_str(), Leaf::Dir, Resolve::InRoot)?, name))
}

/// The path of the directory that holds the last component of a path, and that component.
pub(super) fn parent(path: &CStr) -> Done<(Path, Path)> {
    let bytes = path.to_bytes();
    let len = bytes.iter().rposition(|b| *b != b'/').map_or(0, |last| last + 1);
    let bytes = bytes.get(..len).unwrap_or_default();
    let split = bytes.iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
    let (dir, name) = bytes.split_at(split);
    if name.is_empty() || name == b"." || name == b".." {
        return Err(Failure { call: Nr::Openat2, errno: Errno::EINVAL }.into());
    }
    Ok((Path::new(if dir.is_empty() { b"/" } else { dir })?, Path::new(name)?))
}

/// The deepest directory of a path that exists, and where its name ends in the path.
fn open_longest_prefix(root: i32, path: &[u8], resolve: Resolve) -> Done<(Fd, usize)> {
    let mut end = path.len();
    loop {
        let whole = path.get(..end).unwrap_or_default();
        let trimmed = whole.iter().rposition(|b| *b != b'/').map_or(0, |last| last + 1);
        let name = path.get(..trimmed).unwrap_or_default();
        end = name.iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
        let prefix = path.get(..end).filter(|prefix| !prefix.is_empty()).unwrap_or(b"/");
        let prefix = Path::new(prefix)?;
        match path::open(root, prefix.as_c_str(), O_PATH | O_DIRECTORY, 0, resolve) {
            Ok(fd) => return Ok((fd, end)),
            Err(failure) if failure.is(Errno::ENOENT) && end > 0 => {}
            Err(failure) => return Err(failure.into()),
        }
    }
}

/// The path that a dangling link below `prefix` means, with what followed the link.
fn redirect(prefix: &[u8], link: &[u8], rest: &[u8]) -> Done<Path> {
    let mut path = Path::new(if link.first() == Some(&b'/') { b"" } else { prefix })?;
    path.push(b"/")?;
    path.push(link)?;
    path.push(rest)?;
    Ok(path)
}

fn make_one(dir: i32, name: &CStr, kind: Leaf) -> Done {
    if kind == Leaf::File {
        return make_file(dir, name);
    }
    match path::make_dir(dir, name, MODE) {
        // Another runtime that shares the rootfs was faster.
        Err(failure) if failure.is(Errno::EEXIST) => Ok(()),
        result => Ok(result?),
    }
}

/// Makes an empty file, if nothing is there.
pub(super) fn make_file(dir: i32, name: &CStr) -> Done {
    let flags = O_CREAT | O_EXCL | O_NOFOLLOW;
    match path::open(dir, name, flags, MODE, Resolve::Beneath) {
        Err(failure) if failure.is(Errno::EEXIST) => Ok(()),
        result => Ok(result.map(drop)?),
    }
}
