//! Pseudoterminals by descriptor: ioctl_tty(2).

use super::raw::{self, Nr, Result, address};
use super::{Fd, file, path};

const TIOCSCTTY: usize = 0x540e;
const TIOCSWINSZ: usize = 0x5414;
const TIOCSPTLCK: usize = 0x4004_5431;
const TIOCGPTPEER: usize = 0x5441;

/// Unlocks the terminal of a master.
pub fn unlock(master: i32) -> Result<()> {
    let locked: i32 = 0;
    let args = [master as usize, TIOCSPTLCK, address(&raw const locked), 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Ioctl, args) }.map(drop)
}

/// TIOCGPTPEER: opens the other side of a master without looking at any path (CVE-2025-52565).
pub fn peer(master: i32) -> Result<Fd> {
    let flags = path::O_RDWR | path::O_NOCTTY | file::O_CLOEXEC;
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Ioctl, [master as usize, TIOCGPTPEER, flags as usize, 0, 0, 0]) }
        .map(Fd::new)
}

/// TIOCSWINSZ: sets the size in characters.
pub fn set_size(terminal: i32, rows: u16, columns: u16) -> Result<()> {
    let size = [rows, columns, 0, 0];
    let args = [terminal as usize, TIOCSWINSZ, address(size.as_ptr()), 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Ioctl, args) }.map(drop)
}

/// TIOCSCTTY: makes it the controlling terminal of this session.
pub fn make_controlling(terminal: i32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Ioctl, [terminal as usize, TIOCSCTTY, 0, 0, 0, 0]) }.map(drop)
}
