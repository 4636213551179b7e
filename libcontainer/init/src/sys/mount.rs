//! Mounts by descriptor: fsopen(2), fsmount(2), open_tree(2), mount_setattr(2), move_mount(2),
//! pivot_root(2), umount2(2), and mount(2) for the one flag that nothing else sets. Linux 5.12 and
//! later.

use core::ffi::CStr;

use super::Fd;
use super::path::AT_FDCWD;
use super::raw::{self, Nr, Result, address};

/// Read-only, mount_setattr(2).
pub const ATTR_RDONLY: u32 = 0x1;
/// Ignore set-user-id bits and file capabilities.
pub const ATTR_NOSUID: u32 = 0x2;
/// No device can be opened.
pub const ATTR_NODEV: u32 = 0x4;
/// No program can be executed.
pub const ATTR_NOEXEC: u32 = 0x8;
/// The field of the access time mode: to change it, clear all of it.
pub const ATTR_ATIME: u32 = 0x70;
/// Access times are not updated.
pub const ATTR_NOATIME: u32 = 0x10;
/// Access times are always updated.
pub const ATTR_STRICTATIME: u32 = 0x20;
/// Access times of directories are not updated.
pub const ATTR_NODIRATIME: u32 = 0x80;
/// Symbolic links are not followed.
pub const ATTR_NOSYMFOLLOW: u32 = 0x20_0000;

/// Propagation types, mount_namespaces(7).
pub const UNBINDABLE: u32 = 1 << 17;
/// No propagation.
pub const PRIVATE: u32 = 1 << 18;
/// Events come in but do not go out.
pub const SLAVE: u32 = 1 << 19;
/// Events go both ways.
pub const SHARED: u32 = 1 << 20;

const AT_EMPTY_PATH: usize = 0x1000;
const AT_RECURSIVE: usize = 0x8000;
const AT_SYMLINK_NOFOLLOW: usize = 0x100;
const CLOEXEC: usize = 1;

/// A change of mount attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// Attributes to set.
    pub set: u32,
    /// Attributes to clear.
    pub clear: u32,
    /// The propagation type to take, or 0.
    pub propagation: u32,
    /// Whether all mounts below change too.
    pub recursive: bool,
}

impl Change {
    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.set == 0 && self.clear == 0 && self.propagation == 0
    }
}

/// open_tree(2) with OPEN_TREE_CLONE: a copy of the mount (or of the tree of mounts) at a path,
/// attached nowhere.
pub fn clone_tree(dir: i32, path: &CStr, recursive: bool, follow: bool) -> Result<Fd> {
    const CLONE: usize = 1;
    let mut flags = CLONE | super::file::O_CLOEXEC as usize;
    flags |= if recursive { AT_RECURSIVE } else { 0 };
    flags |= if path.is_empty() { AT_EMPTY_PATH } else { 0 };
    flags |= if follow { 0 } else { AT_SYMLINK_NOFOLLOW };
    let args = [dir as usize, address(path.as_ptr()), flags, 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::OpenTree, args) }.map(Fd::new)
}

/// struct mount_attr.
#[repr(C)]
struct Attr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// mount_setattr(2) of the mount behind a descriptor.
pub fn change(fd: i32, change: &Change) -> Result<()> {
    let attr = Attr {
        set: u64::from(change.set),
        clear: u64::from(change.clear),
        propagation: u64::from(change.propagation),
        userns_fd: 0,
    };
    set_attributes(fd, &attr, change.recursive)
}

/// mount_setattr(2) MOUNT_ATTR_IDMAP: the files of a mount that is attached nowhere are shown with
/// the ids that a user namespace makes of theirs.
pub fn map_ids(fd: i32, userns: i32, recursive: bool) -> Result<()> {
    const ATTR_IDMAP: u64 = 0x10_0000;
    let attr = Attr { set: ATTR_IDMAP, clear: 0, propagation: 0, userns_fd: userns as u64 };
    set_attributes(fd, &attr, recursive)
}

fn set_attributes(fd: i32, attr: &Attr, recursive: bool) -> Result<()> {
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    let empty = address(c"".as_ptr());
    let args = [fd as usize, empty, flags, address(&raw const *attr), size_of::<Attr>(), 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::MountSetattr, args) }.map(drop)
}

/// fstatfs(2): the attributes that a mount has. Those of its superblock count too.
pub fn attributes(fd: i32) -> Result<u32> {
    let flags = status_flags(fd)?;
    let has = |flag: usize, attribute: u32| if flags & flag != 0 { attribute } else { 0 };
    Ok(has(ST_RDONLY, ATTR_RDONLY)
        | has(ST_NOSUID, ATTR_NOSUID)
        | has(ST_NODEV, ATTR_NODEV)
        | has(ST_NOEXEC, ATTR_NOEXEC)
        | has(ST_NOATIME, ATTR_NOATIME)
        | if flags & (ST_NOATIME | ST_RELATIME) == 0 { ATTR_STRICTATIME } else { 0 }
        | has(ST_NODIRATIME, ATTR_NODIRATIME)
        | has(ST_NOSYMFOLLOW, ATTR_NOSYMFOLLOW))
}

/// Flags of statfs(2), which but for the last two are those of mount(2).
const ST_RDONLY: usize = 1;
const ST_NOSUID: usize = 2;
const ST_NODEV: usize = 4;
const ST_NOEXEC: usize = 8;
const ST_SYNCHRONOUS: usize = 16;
const ST_MANDLOCK: usize = 64;
const ST_NOATIME: usize = 1024;
const ST_NODIRATIME: usize = 2048;
const ST_RELATIME: usize = 4096;
const ST_NOSYMFOLLOW: usize = 8192;

fn status_flags(fd: i32) -> Result<usize> {
    const FLAGS: usize = 10;
    Ok(super::path::statfs(fd)?[FLAGS] as usize)
}

/// mount(2) MS_REMOUNT of the mount that the working directory is the root of: its superblock gets
/// or loses SB_I_VERSION, which fsconfig(2) does not know. Everything that statfs(2) tells stays as
/// it is. It does not tell SB_LAZYTIME, which the superblock gets or loses likewise.
pub fn count_changes(count: bool, lazytime: bool) -> Result<()> {
    const MS_REMOUNT: usize = 32;
    const MS_NOSYMFOLLOW: usize = 256;
    const MS_RELATIME: usize = 1 << 21;
    const MS_I_VERSION: usize = 1 << 23;
    const MS_STRICTATIME: usize = 1 << 24;
    const MS_LAZYTIME: usize = 1 << 25;
    const SAME: usize = ST_RDONLY
        | ST_NOSUID
        | ST_NODEV
        | ST_NOEXEC
        | ST_SYNCHRONOUS
        | ST_MANDLOCK
        | ST_NOATIME
        | ST_NODIRATIME;
    let flags = super::path::O_PATH | super::path::O_DIRECTORY;
    let here = super::path::open(AT_FDCWD, c".", flags, 0, super::path::Resolve::Anywhere)?;
    let has = status_flags(here.raw())?;
    let mut flags = MS_REMOUNT | has & SAME;
    flags |= match has & (ST_NOATIME | ST_RELATIME) {
        0 => MS_STRICTATIME,
        ST_RELATIME => MS_RELATIME,
        _ => 0,
    };
    flags |= if has & ST_NOSYMFOLLOW != 0 { MS_NOSYMFOLLOW } else { 0 };
    flags |= if count { MS_I_VERSION } else { 0 };
    flags |= if lazytime { MS_LAZYTIME } else { 0 };
    // SAFETY: see the module `sys`; a remount takes no source, type or data.
    unsafe { raw::call(Nr::Mount, [0, address(c".".as_ptr()), 0, flags, 0, 0]) }.map(drop)
}

/// move_mount(2): attaches the tree behind one descriptor onto the file behind another.
pub fn attach(tree: i32, target: i32) -> Result<()> {
    const F_EMPTY_PATH: usize = 0x4;
    const T_EMPTY_PATH: usize = 0x40;
    let empty = address(c"".as_ptr());
    let args = [tree as usize, empty, target as usize, empty, F_EMPTY_PATH | T_EMPTY_PATH, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::MoveMount, args) }.map(drop)
}

/// fsopen(2): a context to configure a new file system in.
pub fn open_context(fstype: &CStr) -> Result<Fd> {
    let args = [address(fstype.as_ptr()), CLOEXEC, 0, 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Fsopen, args) }.map(Fd::new)
}

/// fsconfig(2): a parameter, with a value or as a flag.
pub fn configure(context: i32, key: &CStr, value: Option<&CStr>) -> Result<()> {
    const SET_FLAG: usize = 0;
    const SET_STRING: usize = 1;
    let (command, value) =
        value.map_or((SET_FLAG, 0), |value| (SET_STRING, address(value.as_ptr())));
    let args = [context as usize, command, address(key.as_ptr()), value, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Fsconfig, args) }.map(drop)
}

/// The longest value in bytes that fsconfig(2) takes as a string.
pub const LONGEST_VALUE: usize = 255;

/// fsconfig(2) FSCONFIG_CMD_CREATE and fsmount(2): the mount, attached nowhere.
pub fn create(context: i32, attributes: u32) -> Result<Fd> {
    const CMD_CREATE: usize = 6;
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Fsconfig, [context as usize, CMD_CREATE, 0, 0, 0, 0]) }?;
    let args = [context as usize, CLOEXEC, attributes as usize, 0, 0, 0];
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Fsmount, args) }.map(Fd::new)
}

/// fspick(2): a context to change the parameters of a mounted file system in.
pub fn pick_context(mounted: i32) -> Result<Fd> {
    const PICK_CLOEXEC: usize = 1;
    const PICK_EMPTY_PATH: usize = 8;
    let empty = address(c"".as_ptr());
    let args = [mounted as usize, empty, PICK_CLOEXEC | PICK_EMPTY_PATH, 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Fspick, args) }.map(Fd::new)
}

/// fsconfig(2) FSCONFIG_CMD_RECONFIGURE: applies the parameters.
pub fn reconfigure(context: i32) -> Result<()> {
    const CMD_RECONFIGURE: usize = 7;
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Fsconfig, [context as usize, CMD_RECONFIGURE, 0, 0, 0, 0]) }.map(drop)
}

/// pivot_root(2) of the working directory: it becomes the root, the old root comes to lie on it.
pub fn pivot() -> Result<()> {
    let here = address(c".".as_ptr());
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::PivotRoot, [here, here, 0, 0, 0, 0]) }.map(drop)
}

/// umount2(2) with MNT_DETACH of what lies on a path, relative to the working directory.
pub fn detach(path: &CStr) -> Result<()> {
    const MNT_DETACH: usize = 2;
    const UMOUNT_NOFOLLOW: usize = 8;
    let args = [address(path.as_ptr()), MNT_DETACH | UMOUNT_NOFOLLOW, 0, 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Umount2, args) }.map(drop)
}

/// chroot(2) to the working directory.
pub fn change_root() -> Result<()> {
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Chroot, [address(c".".as_ptr()), 0, 0, 0, 0, 0]) }.map(drop)
}

/// Makes every mount of this namespace a slave: what is mounted here stays here.
pub fn make_all_slaves() -> Result<()> {
    let flags = super::path::O_PATH | super::path::O_DIRECTORY;
    let root = super::path::open(AT_FDCWD, c"/", flags, 0, super::path::Resolve::Anywhere)?;
    change(root.raw(), &Change { propagation: SLAVE, recursive: true, ..Change::default() })
}
