//! A directory of cgroupfs by descriptor: its files, its sub-directories, and the way through them.
//!
//! All access below a cgroup mount goes through here, so that no symbolic link, no `..` in a name
//! and no other mount leads elsewhere. Trees are walked with one descriptor and no recursion: a
//! container that may make cgroups of its own decides how deep they are. No prose here: callers
//! know what the errno means.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use nix::NixPath;
use nix::dir::{Dir as Entries, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Uid, UnlinkatFlags, fchownat, read, unlinkat, write};

/// An open directory of a cgroup.
#[derive(Debug)]
pub(super) struct Dir(OwnedFd);

fn directory() -> OFlag {
    OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC
}

impl Dir {
    /// By absolute path, without symbolic links.
    pub(super) fn open(path: &Path) -> nix::Result<Self> {
        let how = OpenHow::new().flags(directory()).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
        openat2(AT_FDCWD, path, how).map(Self)
    }

    /// A file or directory below.
    fn below<P: NixPath + ?Sized>(&self, name: &P, flags: OFlag) -> nix::Result<OwnedFd> {
        let inside = ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_XDEV;
        openat2(&self.0, name, OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(inside))
    }

    /// A sub-directory.
    pub(super) fn sub<P: NixPath + ?Sized>(&self, name: &P) -> nix::Result<Self> {
        self.below(name, directory()).map(Self)
    }

    /// The directory above. Never called at the top of a tree.
    fn up(&self) -> nix::Result<Self> {
        openat(&self.0, "..", directory(), Mode::empty()).map(Self)
    }

    /// A second descriptor of the same directory.
    pub(super) fn again(&self) -> nix::Result<Self> {
        let copy = self.0.try_clone();
        copy.map(Self).map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or_default()))
    }

    /// Makes a sub-directory.
    pub(super) fn make(&self, name: &str) -> nix::Result<()> {
        mkdirat(&self.0, name, Mode::from_bits_truncate(0o755))
    }

    /// Removes a sub-directory, which must have neither processes nor sub-directories.
    pub(super) fn remove<P: NixPath + ?Sized>(&self, name: &P) -> nix::Result<()> {
        loop {
            match unlinkat(&self.0, name, UnlinkatFlags::RemoveDir) {
                Err(Errno::EINTR) => {}
                result => return result,
            }
        }
    }

    /// A file for writing.
    pub(super) fn writable(&self, file: &str) -> nix::Result<OwnedFd> {
        self.below(file, OFlag::O_WRONLY)
    }

    /// Writes a value in one call, as cgroupfs wants it.
    pub(super) fn write(&self, file: &str, value: &str) -> nix::Result<()> {
        write_value(self.writable(file)?.as_fd(), value)
    }

    /// A file for reading.
    pub(super) fn readable(&self, file: &str) -> nix::Result<OwnedFd> {
        self.below(file, OFlag::O_RDONLY)
    }

    /// A file for reading and writing.
    pub(super) fn both_ways(&self, file: &str) -> nix::Result<OwnedFd> {
        self.below(file, OFlag::O_RDWR)
    }

    /// Reads a file, without the line's end.
    pub(super) fn read(&self, file: &str) -> nix::Result<String> {
        let fd = self.readable(file)?;
        let (mut bytes, mut buf) = (Vec::new(), [0; 4096]);
        loop {
            match read(&fd, &mut buf) {
                Ok(0) => break,
                Ok(count) => bytes.extend_from_slice(&buf[..count]),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.trim_end().to_owned())
    }

    /// Makes a user the owner of the directory, and of nothing in it.
    pub(super) fn give(&self, uid: u32) -> nix::Result<()> {
        give(self.0.as_fd(), uid)
    }

    /// Makes a user the owner of a file.
    pub(super) fn give_file(&self, file: &str, uid: u32) -> nix::Result<()> {
        give(self.below(file, OFlag::O_PATH)?.as_fd(), uid)
    }

    /// The names of the sub-directories; none of a directory that is gone.
    pub(super) fn children(&self) -> nix::Result<Vec<OsString>> {
        self.names(Type::Directory)
    }

    /// The names of the files; none of a directory that is gone.
    pub(super) fn files(&self) -> nix::Result<Vec<OsString>> {
        self.names(Type::File)
    }

    fn names(&self, kind: Type) -> nix::Result<Vec<OsString>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut entries = match Entries::openat(&self.0, ".", flags, Mode::empty()) {
            Err(Errno::ENOENT | Errno::ENODEV) => return Ok(Vec::new()),
            result => result?,
        };
        let mut names = Vec::new();
        for entry in entries.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if entry.file_type() == Some(kind) && name != b"." && name != b".." {
                names.push(OsString::from_vec(name.to_owned()));
            }
        }
        Ok(names)
    }

    /// Calls `visit` for this directory and every one below it.
    pub(super) fn walk(&self, mut visit: impl FnMut(&Self) -> nix::Result<()>) -> nix::Result<()> {
        let mut current = self.again()?;
        visit(&current)?;
        let mut levels = vec![current.children()?];
        while let Some(children) = levels.last_mut() {
            if let Some(name) = children.pop() {
                match current.sub(name.as_os_str()) {
                    Err(Errno::ENOENT | Errno::ENODEV) => {}
                    Err(errno) => return Err(errno),
                    Ok(child) => {
                        current = child;
                        visit(&current)?;
                        levels.push(current.children()?);
                    }
                }
            } else {
                levels.pop();
                if !levels.is_empty() {
                    current = current.up()?;
                }
            }
        }
        Ok(())
    }

    /// Removes every directory below this one that can be removed now.
    pub(super) fn prune(&self) -> nix::Result<()> {
        let mut current = self.again()?;
        let mut levels = vec![current.children()?];
        let mut names = Vec::new();
        while let Some(children) = levels.last_mut() {
            if let Some(name) = children.pop() {
                // Most have nothing below.
                if current.remove(name.as_os_str()).is_err()
                    && let Ok(child) = current.sub(name.as_os_str())
                {
                    levels.push(child.children()?);
                    current = child;
                    names.push(name);
                }
            } else {
                levels.pop();
                if let Some(name) = names.pop() {
                    current = current.up()?;
                    // What is still in use is the caller's concern: the top cannot be removed.
                    let _ = current.remove(name.as_os_str());
                }
            }
        }
        Ok(())
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Dir> for OwnedFd {
    fn from(dir: Dir) -> Self {
        dir.0
    }
}

fn give(fd: BorrowedFd<'_>, uid: u32) -> nix::Result<()> {
    fchownat(fd, "", Some(Uid::from_raw(uid)), None, AtFlags::AT_EMPTY_PATH)
}

/// Writes a value in one call.
pub(super) fn write_value(fd: BorrowedFd<'_>, value: &str) -> nix::Result<()> {
    // An empty line empties a setting; no bytes at all would not reach the kernel's parser.
    let bytes = if value.is_empty() { b"\n" } else { value.as_bytes() };
    loop {
        match write(fd, bytes) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop),
        }
    }
}
