//! memfd_create(2) and its seals.

use core::ffi::CStr;

use super::raw::{self, Errno, Failure, Nr, Result, address};
use super::{Fd, file};

/// Whether a memfd is to be executed: since Linux 6.3 the creator says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Only read.
    Data,
    /// Executed.
    Program,
}

/// An anonymous file with these bytes that nobody can change any more.
pub fn sealed(name: &CStr, bytes: &[u8], purpose: Use) -> Result<Fd> {
    const F_ADD_SEALS: usize = 1033;
    /// F_SEAL_SEAL, _SHRINK, _GROW, _WRITE.
    const SEALS: usize = 0xf;
    let fd = create(name, purpose)?;
    // RLIMIT_FSIZE applies: a first write may be short before SIGXFSZ comes with the second.
    match file::write(fd.raw(), bytes) {
        Ok(written) if written == bytes.len() => {}
        Ok(_) => return Err(Failure { call: Nr::Write, errno: Errno(27) }), // EFBIG
        Err(failure) => return Err(failure),
    }
    // Whoever reads it starts at its start.
    file::rewind(fd.raw())?;
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Fcntl, [fd.raw() as usize, F_ADD_SEALS, SEALS, 0, 0, 0]) }?;
    Ok(fd)
}

/// An anonymous file to write to, close-on-exec.
pub fn create(name: &CStr, purpose: Use) -> Result<Fd> {
    const CLOEXEC: usize = 1;
    const ALLOW_SEALING: usize = 2;
    const NOEXEC_SEAL: usize = 8;
    const EXEC: usize = 16;
    let extra = if purpose == Use::Program { EXEC } else { NOEXEC_SEAL };
    let make = |extra: usize| {
        let args = [address(name.as_ptr()), CLOEXEC | ALLOW_SEALING | extra, 0, 0, 0, 0];
        // SAFETY: see the module `sys`.
        unsafe { raw::call(Nr::MemfdCreate, args) }.map(Fd::new)
    };
    match make(extra) {
        // Before Linux 6.3 both flags are unknown, and every memfd can be executed.
        Err(failure) if failure.is(Errno::EINVAL) => make(0),
        result => result,
    }
}
