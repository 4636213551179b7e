//! Users and groups: setresuid(2), setresgid(2), setgroups(2), by the raw calls, which change this
//! thread alone and take no lock.

use super::raw::{self, Nr, Result, address};

/// setresuid(2), all three alike.
pub fn set_user(uid: u32) -> Result<()> {
    let id = uid as usize;
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Setresuid, [id, id, id, 0, 0, 0]) }.map(drop)
}

/// setresgid(2), all three alike.
pub fn set_group(gid: u32) -> Result<()> {
    let id = gid as usize;
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Setresgid, [id, id, id, 0, 0, 0]) }.map(drop)
}

/// setgroups(2).
pub fn set_groups(groups: &[u32]) -> Result<()> {
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Setgroups, [groups.len(), address(groups.as_ptr()), 0, 0, 0, 0]) }
        .map(drop)
}
