//! prlimit(2).

use super::raw::{self, Nr, Result, address};

/// A soft and a hard limit; `u64::MAX` is "no limit".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Limit {
    /// What is enforced.
    pub soft: u64,
    /// How far the soft limit may be raised.
    pub hard: u64,
}

/// A process's limit of a resource; pid 0 is this process.
pub fn get(pid: i32, resource: u32) -> Result<Limit> {
    let mut limit = Limit { soft: 0, hard: 0 };
    let args = [pid as usize, resource as usize, 0, address(&raw mut limit), 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Prlimit64, args) }?;
    Ok(limit)
}

/// Sets it.
pub fn set(pid: i32, resource: u32, limit: Limit) -> Result<()> {
    let args = [pid as usize, resource as usize, address(&raw const limit), 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Prlimit64, args) }.map(drop)
}
