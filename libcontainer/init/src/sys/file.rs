//! Reading, writing and arranging descriptors: read(2), write(2), dup3(2), fcntl(2),
//! close_range(2), statx(2)'s older sisters.

use super::Fd;
use super::raw::{self, Errno, Nr, Result, address};

/// O_CLOEXEC, open(2). The same number on every architecture here.
pub const O_CLOEXEC: u32 = 0o2_000_000;
const F_DUPFD_CLOEXEC: usize = 1030;
const F_SETFD: usize = 2;
const CLOSE_RANGE_CLOEXEC: usize = 4;

/// What fstat(2) tells, reduced to what keel looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The device that holds the file.
    pub device: (u32, u32),
    /// The inode's number.
    pub inode: u64,
    /// Type and permission bits, inode(7).
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Major and minor number, for a device node.
    pub special: (u32, u32),
    /// The size in bytes.
    pub size: u64,
    /// Seconds and nanoseconds of the last change of the contents.
    pub modified: (i64, u32),
}

impl Status {
    const TYPE: u32 = 0o170_000;
    /// The bits of the file's type, S_IFMT.
    pub fn kind(&self) -> u32 {
        self.mode & Self::TYPE
    }
    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind() == 0o040_000
    }
    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind() == 0o100_000
    }
    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.kind() == 0o120_000
    }
    /// Whether it is the character device with these numbers.
    pub fn is_char_device(&self, major: u32, minor: u32) -> bool {
        self.kind() == 0o020_000 && self.special == (major, minor)
    }
}

/// struct statx of statx(2), with the spare space the kernel may write.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Statx {
    mask: u32,
    blksize: u32,
    attributes: u64,
    nlink: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    pad: u16,
    inode: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    times: [[i64; 2]; 4],
    rdev: [u32; 2],
    dev: [u32; 2],
    spare: [u64; 14],
}

/// statx(2) of what `dir` itself names.
pub fn status(fd: i32) -> Result<Status> {
    status_at(fd, c"", AT_EMPTY_PATH)
}

/// Act on the descriptor itself.
pub const AT_EMPTY_PATH: u32 = 0x1000;
/// Do not follow a symbolic link at the end.
pub const AT_SYMLINK_NOFOLLOW: u32 = 0x100;

/// statx(2) of a path below a directory.
pub fn status_at(dir: i32, path: &core::ffi::CStr, flags: u32) -> Result<Status> {
    const STATX_BASIC_STATS: usize = 0x7ff;
    // SAFETY: an all-zero Statx is valid: it holds integers only.
    let mut buf: Statx = unsafe { core::mem::zeroed() };
    let args = [
        dir as usize,
        address(path.as_ptr()),
        flags as usize,
        STATX_BASIC_STATS,
        address(&raw mut buf),
        0,
    ];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Statx, args) }?;
    Ok(Status {
        device: (buf.dev[0], buf.dev[1]),
        inode: buf.inode,
        mode: u32::from(buf.mode),
        uid: buf.uid,
        gid: buf.gid,
        special: (buf.rdev[0], buf.rdev[1]),
        size: buf.size,
        modified: (buf.times[3][0], buf.times[3][1] as u32),
    })
}

/// read(2), repeated when a signal interrupts it.
pub fn read(fd: i32, buf: &mut [u8]) -> Result<usize> {
    loop {
        let args = [fd as usize, address(buf.as_mut_ptr()), buf.len(), 0, 0, 0];
        // SAFETY: see the module `sys`.
        match unsafe { raw::call(Nr::Read, args) } {
            Err(failure) if failure.is(Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// write(2) of all the bytes, however many calls that takes.
pub fn write_all(fd: i32, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match write(fd, bytes) {
            Err(failure) if failure.is(Errno::EINTR) => {}
            Err(failure) => return Err(failure),
            Ok(0) => return Err(raw::Failure { call: Nr::Write, errno: Errno::EIO }),
            Ok(written) => bytes = &bytes[written..],
        }
    }
    Ok(())
}

/// write(2), once: files of procfs and cgroupfs take a value in one call or not at all.
pub fn write(fd: i32, bytes: &[u8]) -> Result<usize> {
    let args = [fd as usize, address(bytes.as_ptr()), bytes.len(), 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Write, args) }
}

/// lseek(2) to the start.
pub fn rewind(fd: i32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Lseek, [fd as usize, 0, 0, 0, 0, 0]) }.map(drop)
}

/// sendfile(2): copies up to `count` bytes between descriptors at their positions.
pub fn send_file(to: i32, from: i32, count: usize) -> Result<usize> {
    // SAFETY: a null offset means "at the descriptor's position".
    unsafe { raw::call(Nr::Sendfile, [to as usize, from as usize, 0, count, 0, 0]) }
}

/// fcntl(2) F_DUPFD_CLOEXEC: a duplicate with a number of at least `least`.
pub fn duplicate(fd: i32, least: i32) -> Result<Fd> {
    let args = [fd as usize, F_DUPFD_CLOEXEC, least as usize, 0, 0, 0];
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Fcntl, args) }.map(Fd::new)
}

/// dup3(2): makes `to` another name of `fd`, kept across exec unless `cloexec`.
pub fn duplicate_to(fd: i32, to: i32, cloexec: bool) -> Result<()> {
    if fd == to {
        return keep_across_exec(fd);
    }
    let flags = if cloexec { O_CLOEXEC as usize } else { 0 };
    // SAFETY: no memory is passed; whoever calls this owns the number `to`.
    unsafe { raw::call(Nr::Dup3, [fd as usize, to as usize, flags, 0, 0, 0]) }.map(drop)
}

/// fcntl(2) F_SETFD: clears close-on-exec.
pub fn keep_across_exec(fd: i32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Fcntl, [fd as usize, F_SETFD, 0, 0, 0, 0]) }.map(drop)
}

/// close_range(2) with CLOSE_RANGE_CLOEXEC: everything from `first` up is closed by the next exec.
pub fn close_from_at_exec(first: u32) -> Result<()> {
    let args = [first as usize, u32::MAX as usize, CLOSE_RANGE_CLOEXEC, 0, 0, 0];
    // SAFETY: no memory is passed, and nothing is closed before exec.
    unsafe { raw::call(Nr::CloseRange, args) }.map(drop)
}

/// ppoll(2) for one descriptor to become readable; false when `milliseconds` ran out.
pub fn wait_readable(fd: i32, milliseconds: Option<u64>) -> Result<bool> {
    wait_either([fd, -1], milliseconds).map(|ready| ready != [false, false])
}

/// ppoll(2) for one of two descriptors to become readable, or its other end to be closed; which of
/// them are. None is when `milliseconds` ran out. A negative number is no descriptor.
pub fn wait_either(fds: [i32; 2], milliseconds: Option<u64>) -> Result<[bool; 2]> {
    #[repr(C)]
    struct PollFd {
        fd: i32,
        events: i16,
        revents: i16,
    }
    const POLLIN: i16 = 1;
    let mut polls = fds.map(|fd| PollFd { fd, events: POLLIN, revents: 0 });
    // The kernel leaves the time that remains in it, so an interrupted wait goes on.
    let mut time = milliseconds.map(|ms| [(ms / 1000) as i64, (ms % 1000 * 1_000_000) as i64]);
    loop {
        let time = time.as_mut().map_or(0, |time| address(time.as_mut_ptr()));
        let args = [address(polls.as_mut_ptr()), polls.len(), time, 0, 0, 0];
        // SAFETY: see the module `sys`.
        match unsafe { raw::call(Nr::Ppoll, args) } {
            Err(failure) if failure.is(Errno::EINTR) => {}
            result => return result.map(|_| polls.each_ref().map(|poll| poll.revents != 0)),
        }
    }
}
