//! A process's own affairs: clone(2) as fork, exit_group(2), setsid(2), umask(2), prctl(2),
//! personality(2), sched_setaffinity(2).

use core::ffi::CStr;

use super::Fd;
use super::raw::{self, Nr, Result, address};

const SIGCHLD: usize = 17;

/// `PER_LINUX`, personality(2).
pub const LINUX: u32 = 0x0000;
/// `PER_LINUX32`: uname(2) tells of a machine of 32 bits.
pub const LINUX32: u32 = 0x0008;

/// What [`fork`] returns in the two processes.
#[derive(Debug)]
pub enum Fork {
    /// In the new process.
    Child,
    /// In the old one: the child's pid and pidfd.
    Parent(i32, Fd),
}

/// clone(2) without shared memory, from a single-threaded process. `sibling` makes the child one of
/// this process's parent (CLONE_PARENT).
pub fn fork(sibling: bool) -> Result<Fork> {
    const CLONE_PIDFD: usize = 0x1000;
    const CLONE_PARENT: usize = 0x8000;
    let mut pidfd: i32 = -1;
    let flags = SIGCHLD | CLONE_PIDFD | if sibling { CLONE_PARENT } else { 0 };
    // SAFETY: the child gets a copy of this memory and goes on with the same stack in it. The
    // third argument, where the pidfd is stored, is at the same place on every architecture here.
    let pid = unsafe { raw::call(Nr::Clone, [flags, 0, address(&raw mut pidfd), 0, 0, 0]) }?;
    if pid == 0 {
        return Ok(Fork::Child);
    }
    Ok(Fork::Parent(pid as i32, Fd::new(pidfd as usize)))
}

/// exit_group(2). Where a filter forbids even that, the process dies of an instruction that is none.
pub fn exit(status: i32) -> ! {
    // SAFETY: no memory is passed.
    let _ = unsafe { raw::call(Nr::ExitGroup, [status as usize, 0, 0, 0, 0, 0]) };
    // SAFETY: the instruction raises a signal that ends the process.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("ud2", options(noreturn, nostack));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!("brk #1", options(noreturn, nostack));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "riscv64")]
    unsafe {
        core::arch::asm!("ebreak", options(noreturn, nostack));
    }
}

/// getpid(2).
pub fn id() -> i32 {
    // SAFETY: no memory is passed; the call cannot fail.
    unsafe { raw::call(Nr::Getpid, [0; 6]) }.map_or(0, |pid| pid as i32)
}

/// setsid(2).
pub fn new_session() -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Setsid, [0; 6]) }.map(drop)
}

/// umask(2): sets it and returns the old one.
pub fn set_umask(mask: u32) -> Result<u32> {
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Umask, [mask as usize, 0, 0, 0, 0, 0]) }.map(|old| old as u32)
}

/// PR_SET_DUMPABLE: whether processes of the same user may look into this one.
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    control(4, usize::from(dumpable))
}

/// PR_SET_KEEPCAPS: whether the permitted set survives a change to another user.
pub fn set_keep_capabilities(keep: bool) -> Result<()> {
    control(8, usize::from(keep))
}

/// PR_SET_NO_NEW_PRIVS.
pub fn set_no_new_privileges() -> Result<()> {
    control(38, 1)
}

/// PR_SET_NAME: what `ps` shows.
pub fn set_name(name: &CStr) -> Result<()> {
    control(15, address(name.as_ptr()))
}

/// personality(2): the execution domain, without any flag.
pub fn set_personality(domain: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Personality, [domain as usize, 0, 0, 0, 0, 0]) }.map(drop)
}

/// sched_setaffinity(2) of this process: bit n % 32 of word n / 32 is CPU n. The number of words is
/// even: the kernel's words have 64 bits.
pub fn set_affinity(mask: &[u32]) -> Result<()> {
    let args = [0, size_of_val(mask), address(mask.as_ptr()), 0, 0, 0];
    // SAFETY: see the module `sys`. On a little-endian machine two words are one of the kernel's.
    unsafe { raw::call(Nr::SchedSetaffinity, args) }.map(drop)
}

fn control(option: usize, argument: usize) -> Result<()> {
    // SAFETY: PR_SET_NAME gets a C string that lives across the call; the other options take
    // numbers.
    unsafe { raw::call(Nr::Prctl, [option, argument, 0, 0, 0, 0]) }.map(drop)
}
