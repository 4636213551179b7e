//! ioprio_set(2): the class and level of a thread's input and output.

use super::raw::{self, Nr, Result};

/// `IOPRIO_CLASS_RT`.
pub const RT: u32 = 1;
/// `IOPRIO_CLASS_BE`.
pub const BE: u32 = 2;
/// `IOPRIO_CLASS_IDLE`.
pub const IDLE: u32 = 3;

/// Sets that of this thread. Its children begin with the same.
pub fn set(class: u32, level: u32) -> Result<()> {
    const WHO_PROCESS: usize = 1;
    const CLASS_SHIFT: u32 = 13;
    let value = class << CLASS_SHIFT | level;
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::IoprioSet, [WHO_PROCESS, 0, value as usize, 0, 0, 0]) }.map(drop)
}
