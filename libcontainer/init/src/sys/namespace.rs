//! unshare(2), setns(2), and the names the kernel keeps in a UTS namespace.

use core::ffi::CStr;

use super::raw::{self, Nr, Result, address};

/// A new or joined mount namespace, namespaces(7).
pub const NEWNS: u32 = 0x0002_0000;
/// A cgroup namespace.
pub const NEWCGROUP: u32 = 0x0200_0000;
/// A UTS namespace.
pub const NEWUTS: u32 = 0x0400_0000;
/// An IPC namespace.
pub const NEWIPC: u32 = 0x0800_0000;
/// A user namespace.
pub const NEWUSER: u32 = 0x1000_0000;
/// A PID namespace.
pub const NEWPID: u32 = 0x2000_0000;
/// A network namespace.
pub const NEWNET: u32 = 0x4000_0000;
/// A time namespace.
pub const NEWTIME: u32 = 0x0000_0080;
/// unshare(2): working directory, root and umask of this thread become its own.
pub const FS: u32 = 0x0000_0200;

/// unshare(2).
pub fn unshare(flags: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Unshare, [flags as usize, 0, 0, 0, 0, 0]) }.map(drop)
}

/// setns(2): joins the namespace behind a descriptor, which must be of this kind.
pub fn join(fd: i32, kind: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Setns, [fd as usize, kind as usize, 0, 0, 0, 0]) }.map(drop)
}

/// ioctl_ns(2) NS_GET_NSTYPE: the kind of the namespace behind a descriptor; ENOTTY when it is
/// none.
pub fn kind(fd: i32) -> Result<u32> {
    const NS_GET_NSTYPE: usize = 0xb703;
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Ioctl, [fd as usize, NS_GET_NSTYPE, 0, 0, 0, 0]) }
        .map(|kind| kind as u32)
}

/// sethostname(2).
pub fn set_hostname(name: &CStr) -> Result<()> {
    let args = [address(name.as_ptr()), name.count_bytes(), 0, 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Sethostname, args) }.map(drop)
}

/// setdomainname(2).
pub fn set_domainname(name: &CStr) -> Result<()> {
    let args = [address(name.as_ptr()), name.count_bytes(), 0, 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Setdomainname, args) }.map(drop)
}
