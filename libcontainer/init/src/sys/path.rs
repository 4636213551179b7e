//! Files below a directory descriptor: openat2(2), mkdirat(2), mknodat(2), symlinkat(2) and their
//! like. Everything below a rootfs goes through here, so that no link in it leads out.

use core::ffi::CStr;

use super::Fd;
use super::file::O_CLOEXEC;
use super::raw::{self, Errno, Nr, Result, address};

/// Relative to the working directory, or with an absolute path to this process's root.
pub const AT_FDCWD: i32 = -100;

/// open(2): only name the file, do not open what is behind it.
pub const O_PATH: u32 = 0o10_000_000;
/// open(2): read only.
pub const O_RDONLY: u32 = 0;
/// open(2): write only.
pub const O_WRONLY: u32 = 1;
/// open(2): read and write.
pub const O_RDWR: u32 = 2;
/// open(2): make the file.
pub const O_CREAT: u32 = 0o100;
/// open(2): fail when it exists.
pub const O_EXCL: u32 = 0o200;
/// open(2): never become a controlling terminal.
pub const O_NOCTTY: u32 = 0o400;
/// open(2): do not wait, as for a FIFO without a writer.
pub const O_NONBLOCK: u32 = 0o4000;
/// open(2): only a directory.
#[cfg(not(target_arch = "aarch64"))]
pub const O_DIRECTORY: u32 = 0o200_000;
/// open(2): only a directory.
#[cfg(target_arch = "aarch64")]
pub const O_DIRECTORY: u32 = 0o40_000;
/// open(2): not through a symbolic link at the end.
#[cfg(not(target_arch = "aarch64"))]
pub const O_NOFOLLOW: u32 = 0o400_000;
/// open(2): not through a symbolic link at the end.
#[cfg(target_arch = "aarch64")]
pub const O_NOFOLLOW: u32 = 0o100_000;

/// How far a path may lead, openat2(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolve {
    /// Anywhere, as open(2).
    Anywhere,
    /// The directory is the root: `..` and absolute links stay in it; no magic links of procfs.
    InRoot,
    /// As `InRoot`, and no symbolic link at all.
    InRootNoLinks,
    /// Below the directory, without links, on the same mount.
    Beneath,
    /// Below the directory, without links, also on what is mounted there.
    BeneathMounts,
}

impl Resolve {
    fn flags(self) -> u64 {
        const NO_XDEV: u64 = 1;
        const NO_MAGICLINKS: u64 = 2;
        const NO_SYMLINKS: u64 = 4;
        const BENEATH: u64 = 8;
        const IN_ROOT: u64 = 16;
        match self {
            Self::Anywhere => 0,
            Self::InRoot => IN_ROOT | NO_MAGICLINKS,
            Self::InRootNoLinks => IN_ROOT | NO_MAGICLINKS | NO_SYMLINKS,
            Self::Beneath => BENEATH | NO_MAGICLINKS | NO_SYMLINKS | NO_XDEV,
            Self::BeneathMounts => BENEATH | NO_MAGICLINKS | NO_SYMLINKS,
        }
    }
}

/// openat2(2), close-on-exec. `mode` counts with O_CREAT only.
pub fn open(dir: i32, path: &CStr, flags: u32, mode: u32, resolve: Resolve) -> Result<Fd> {
    /// struct open_how.
    #[repr(C)]
    struct How {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    /// How often a lookup is tried again that a concurrent rename disturbed.
    const TRIES: usize = 128;
    let how = How {
        flags: u64::from(flags | O_CLOEXEC),
        mode: if flags & O_CREAT == 0 { 0 } else { u64::from(mode) },
        resolve: resolve.flags(),
    };
    let args =
        [dir as usize, address(path.as_ptr()), address(&raw const how), size_of::<How>(), 0, 0];
    let mut tries = 0;
    loop {
        // SAFETY: see the module `sys`.
        match unsafe { raw::call(Nr::Openat2, args) } {
            // A rename on the way makes RESOLVE_IN_ROOT lookups fail with EAGAIN, openat2(2).
            Err(failure) if failure.is(Errno::EAGAIN) && tries < TRIES => tries += 1,
            Err(failure) if failure.is(Errno::EINTR) => {}
            result => return result.map(Fd::new),
        }
    }
}

/// mkdirat(2).
pub fn make_dir(dir: i32, name: &CStr, mode: u32) -> Result<()> {
    let args = [dir as usize, address(name.as_ptr()), mode as usize, 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Mkdirat, args) }.map(drop)
}

/// mknodat(2): `mode` holds type and permissions.
pub fn make_node(dir: i32, name: &CStr, mode: u32, (major, minor): (u32, u32)) -> Result<()> {
    // The layout of new_encode_dev() in the kernel.
    let device = (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12);
    let args = [dir as usize, address(name.as_ptr()), mode as usize, device as usize, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Mknodat, args) }.map(drop)
}

/// symlinkat(2).
pub fn make_link(content: &CStr, dir: i32, name: &CStr) -> Result<()> {
    let args = [address(content.as_ptr()), dir as usize, address(name.as_ptr()), 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Symlinkat, args) }.map(drop)
}

/// readlinkat(2): the length of the link's content in `buf`; EINVAL when it is no link.
pub fn read_link(dir: i32, name: &CStr, buf: &mut [u8]) -> Result<usize> {
    let args = [dir as usize, address(name.as_ptr()), address(buf.as_mut_ptr()), buf.len(), 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Readlinkat, args) }
}

/// renameat2(2) with RENAME_NOREPLACE: fails when the new name is taken.
pub fn rename_new(old: &CStr, new: &CStr) -> Result<()> {
    const NOREPLACE: usize = 1;
    let here = AT_FDCWD as usize;
    let args = [here, address(old.as_ptr()), here, address(new.as_ptr()), NOREPLACE, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Renameat2, args) }.map(drop)
}

/// unlinkat(2) of something that is not a directory.
pub fn remove(dir: i32, name: &CStr) -> Result<()> {
    let args = [dir as usize, address(name.as_ptr()), 0, 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Unlinkat, args) }.map(drop)
}

/// fchownat(2) of the descriptor itself (it may be an O_PATH one). -1 leaves an id as it is.
pub fn set_owner(fd: i32, uid: u32, gid: u32) -> Result<()> {
    set_owner_at(fd, c"", uid, gid, super::file::AT_EMPTY_PATH)
}

/// fchownat(2).
pub fn set_owner_at(dir: i32, name: &CStr, uid: u32, gid: u32, flags: u32) -> Result<()> {
    let name = address(name.as_ptr());
    let args = [dir as usize, name, uid as usize, gid as usize, flags as usize, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Fchownat, args) }.map(drop)
}

/// fchmod(2).
pub fn set_mode(fd: i32, mode: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Fchmod, [fd as usize, mode as usize, 0, 0, 0, 0]) }.map(drop)
}

/// utimensat(2) of the access and modification times, both set to `time`; links themselves.
pub fn set_times(dir: i32, name: &CStr, time: (i64, u32)) -> Result<()> {
    let times = [[time.0, i64::from(time.1)]; 2];
    let flags = super::file::AT_SYMLINK_NOFOLLOW as usize;
    let args = [dir as usize, address(name.as_ptr()), address(times.as_ptr()), flags, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Utimensat, args) }.map(drop)
}

/// faccessat2(2) with the effective ids: may this process execute the file?
pub fn may_execute(dir: i32, path: &CStr) -> Result<()> {
    const X_OK: usize = 1;
    const AT_EACCESS: usize = 0x200;
    let args = [dir as usize, address(path.as_ptr()), X_OK, AT_EACCESS, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Faccessat2, args) }.map(drop)
}

/// fchdir(2).
pub fn enter_dir(fd: i32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Fchdir, [fd as usize, 0, 0, 0, 0, 0]) }.map(drop)
}

/// getcwd(2): whether the working directory lies below this process's root.
pub fn working_dir_is_reachable() -> Result<bool> {
    let mut buf = [0u8; 4097];
    // SAFETY: see the module `sys`.
    let call = unsafe { raw::call(Nr::Getcwd, [address(buf.as_mut_ptr()), buf.len(), 0, 0, 0, 0]) };
    match call {
        Ok(_) => Ok(buf[0] == b'/'),
        // Deeper than PATH_MAX is still a place below the root.
        Err(failure) if failure.errno == Errno(34) => Ok(true),
        Err(failure) => Err(failure),
    }
}

/// getdents64(2): one buffer of directory entries; 0 bytes at the end.
pub fn read_dir(fd: i32, buf: &mut [u8]) -> Result<usize> {
    let args = [fd as usize, address(buf.as_mut_ptr()), buf.len(), 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Getdents64, args) }
}

/// fsetxattr(2): sets an extended attribute of an open file to a text.
pub fn set_attribute(fd: i32, name: &CStr, value: &CStr) -> Result<()> {
    let (name, text) = (address(name.as_ptr()), address(value.as_ptr()));
    let args = [fd as usize, name, text, value.to_bytes().len(), 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Fsetxattr, args) }.map(drop)
}

/// The magic number of a file system, statfs(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSystem(pub i64);

impl FileSystem {
    /// procfs.
    pub const PROC: Self = Self(0x9fa0);
    /// sysfs.
    pub const SYSFS: Self = Self(0x6265_6572);
    /// devpts.
    pub const DEVPTS: Self = Self(0x1cd1);
    /// selinuxfs.
    pub const SELINUX: Self = Self(0xf97c_ff8c);
}

/// fstatfs(2), reduced to the type of the file system.
pub fn file_system(fd: i32) -> Result<FileSystem> {
    Ok(FileSystem(statfs(fd)?[0]))
}

/// fstatfs(2): struct statfs as words. The first is the type, the eleventh the flags of the mount.
pub(super) fn statfs(fd: i32) -> Result<[i64; 32]> {
    // Larger than struct statfs on every architecture.
    let mut buf = [0i64; 32];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Fstatfs, [fd as usize, address(buf.as_mut_ptr()), 0, 0, 0, 0]) }?;
    Ok(buf)
}
