//! Capability sets: capget(2), capset(2), and the bounding and ambient sets of prctl(2).
//! A set is one u64, bit n for capability n.

use super::raw::{self, Errno, Nr, Result, address};

const PR_CAPBSET_READ: usize = 23;
const PR_CAPBSET_DROP: usize = 24;
const PR_CAP_AMBIENT: usize = 47;
const PR_CAP_AMBIENT_RAISE: usize = 2;
const PR_CAP_AMBIENT_CLEAR_ALL: usize = 4;
/// _LINUX_CAPABILITY_VERSION_3.
const VERSION: u32 = 0x2008_0522;

/// The three sets of capget(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sets {
    /// What counts now.
    pub effective: u64,
    /// What may become effective.
    pub permitted: u64,
    /// What an exec may keep.
    pub inheritable: u64,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// This thread's sets.
pub fn get() -> Result<Sets> {
    let header = Header { version: VERSION, pid: 0 };
    let mut data = [[0u32; 3]; 2];
    let args = [address(&raw const header), address(data.as_mut_ptr()), 0, 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Capget, args) }?;
    let set = |i: usize| u64::from(data[0][i]) | u64::from(data[1][i]) << 32;
    Ok(Sets { effective: set(0), permitted: set(1), inheritable: set(2) })
}

/// Sets this thread's sets.
pub fn set(sets: &Sets) -> Result<()> {
    let header = Header { version: VERSION, pid: 0 };
    let part = |shift: u32| {
        [sets.effective, sets.permitted, sets.inheritable].map(|set| (set >> shift) as u32)
    };
    let data = [part(0), part(32)];
    let args = [address(&raw const header), address(data.as_ptr()), 0, 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Capset, args) }.map(drop)
}

/// Drops everything but `keep` from the bounding set.
pub fn limit_bounding(keep: u64) -> Result<()> {
    for capability in 0..64 {
        // EINVAL ends the list: the kernel knows no such capability.
        match bounded(capability) {
            Err(failure) if failure.is(Errno::EINVAL) => break,
            Err(failure) => return Err(failure),
            Ok(true) if keep >> capability & 1 == 0 => {
                // SAFETY: no memory is passed.
                unsafe { raw::call(Nr::Prctl, [PR_CAPBSET_DROP, capability, 0, 0, 0, 0]) }?;
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Whether a capability is in the bounding set; EINVAL when the kernel does not know it.
pub fn bounded(capability: usize) -> Result<bool> {
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Prctl, [PR_CAPBSET_READ, capability, 0, 0, 0, 0]) }.map(|set| set == 1)
}

/// Empties the ambient set.
pub fn clear_ambient() -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Prctl, [PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0]) }
        .map(drop)
}

/// Adds each capability of the set to the ambient set.
pub fn raise_ambient(set: u64) -> Result<()> {
    for capability in (0..64).filter(|capability| set >> capability & 1 == 1) {
        let args = [PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0, 0];
        // SAFETY: no memory is passed.
        unsafe { raw::call(Nr::Prctl, args) }?;
    }
    Ok(())
}
