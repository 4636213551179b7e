//! set_mempolicy(2): from which nodes this thread, and what it executes, gets its memory.

use super::raw::{self, Nr, Result, address};

/// `MPOL_DEFAULT`.
pub const DEFAULT: u32 = 0;
/// `MPOL_PREFERRED`.
pub const PREFERRED: u32 = 1;
/// `MPOL_BIND`.
pub const BIND: u32 = 2;
/// `MPOL_INTERLEAVE`.
pub const INTERLEAVE: u32 = 3;
/// `MPOL_LOCAL`.
pub const LOCAL: u32 = 4;
/// `MPOL_PREFERRED_MANY`, from Linux 5.15 on.
pub const PREFERRED_MANY: u32 = 5;
/// `MPOL_WEIGHTED_INTERLEAVE`, from Linux 6.9 on.
pub const WEIGHTED_INTERLEAVE: u32 = 6;

/// `MPOL_F_NUMA_BALANCING`.
pub const NUMA_BALANCING: u32 = 1 << 13;
/// `MPOL_F_RELATIVE_NODES`.
pub const RELATIVE_NODES: u32 = 1 << 14;
/// `MPOL_F_STATIC_NODES`.
pub const STATIC_NODES: u32 = 1 << 15;

/// Sets it: a mode with its flags, and a mask of nodes, bit n % 32 of word n / 32 for node n. The
/// number of words is even: the kernel's words have 64 bits.
pub fn set(mode: u32, nodes: &[u32]) -> Result<()> {
    // The kernel counts one bit less than it is told.
    let (mask, bits) = match nodes.len() {
        0 => (0, 0),
        words => (address(nodes.as_ptr()), words * 32 + 1),
    };
    // SAFETY: see the module `sys`. On a little-endian machine two words are one of the kernel's.
    unsafe { raw::call(Nr::SetMempolicy, [mode as usize, mask, bits, 0, 0, 0]) }.map(drop)
}
