//! mmap(2): a file's bytes as memory, and fresh memory for what must be contiguous.

use core::sync::atomic::AtomicU8;

use super::raw::{self, Nr, Result};

const PROT_READ: usize = 1;
const PROT_WRITE: usize = 2;
const MAP_SHARED: usize = 1;
const MAP_PRIVATE: usize = 2;
const MAP_ANONYMOUS: usize = 0x20;

/// The first `len` bytes of a sealed memfd, for the rest of this process's life.
///
/// The file must be sealed against writing and shrinking, or the slice would change: the runtime
/// seals the plan before it starts init.
pub fn read_only(fd: i32, len: usize) -> Result<&'static [u8]> {
    // SAFETY: a new mapping at an address the kernel chooses touches no memory of ours.
    let at = unsafe { raw::call(Nr::Mmap, [0, len, PROT_READ, MAP_SHARED, fd as usize, 0]) }?;
    // SAFETY: `len` bytes are mapped there, are never unmapped, and are sealed (see above).
    Ok(unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(at), len) })
}

/// The first byte of a file as memory that is shared with whoever else has the file, for the rest of
/// this process's life. The file must be as long as that.
pub fn shared_byte(fd: i32) -> Result<&'static AtomicU8> {
    // SAFETY: a new mapping at an address the kernel chooses touches no memory of ours.
    let at = unsafe { raw::call(Nr::Mmap, [0, 1, PROT_READ, MAP_SHARED, fd as usize, 0]) }?;
    // SAFETY: it is mapped and never unmapped; others may write it at any time, which atomics allow.
    Ok(unsafe { &*core::ptr::with_exposed_provenance::<AtomicU8>(at) })
}

/// `len` zeroed words, for the rest of this process's life.
pub fn words(len: usize) -> Result<&'static mut [usize]> {
    let size = len.max(1) * size_of::<usize>();
    let flags = MAP_PRIVATE | MAP_ANONYMOUS;
    let args = [0, size, PROT_READ | PROT_WRITE, flags, usize::MAX, 0];
    // SAFETY: a new mapping at an address the kernel chooses touches no memory of ours.
    let at = unsafe { raw::call(Nr::Mmap, args) }?;
    let first = core::ptr::with_exposed_provenance_mut(at);
    // SAFETY: the mapping is zeroed, large enough, aligned to a page and known to nobody else.
    Ok(unsafe { core::slice::from_raw_parts_mut(first, len) })
}

/// The first `len` halves of words as u32, filled by `fill`: for what is measured in u32.
pub fn as_u32(words: &mut [usize], len: usize, fill: impl Fn(usize) -> u32) -> &[u32] {
    let room = size_of_val(words) / size_of::<u32>();
    let first: *mut u32 = words.as_mut_ptr().cast();
    // SAFETY: the words are exclusively borrowed, aligned for u32 and hold `room` of them, and any
    // bits are a u32.
    let numbers = unsafe { core::slice::from_raw_parts_mut(first, len.min(room)) };
    for (i, number) in numbers.iter_mut().enumerate() {
        *number = fill(i);
    }
    numbers
}
