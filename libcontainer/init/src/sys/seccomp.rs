//! seccomp(2): a filter for this process and all that it becomes.

use super::raw::{self, Nr, Result, address};

/// The bytes of an instruction, struct sock_filter.
const INSTRUCTION: usize = 8;

/// struct sock_fprog.
#[repr(C)]
struct Program {
    len: u16,
    instructions: *const u8,
}

/// SECCOMP_SET_MODE_FILTER: from now on every system call goes through this program. With the flag
/// NEW_LISTENER it returns a descriptor, close-on-exec and left open; otherwise 0.
pub fn set_filter(program: &[u8], flags: u32) -> Result<i32> {
    const SET_MODE_FILTER: usize = 1;
    let len = (program.len() / INSTRUCTION) as u16;
    let program = Program { len, instructions: program.as_ptr() };
    let args = [SET_MODE_FILTER, flags as usize, address(&raw const program), 0, 0, 0];
    // SAFETY: see the module `sys`; the kernel copies the instructions, at any alignment.
    unsafe { raw::call(Nr::Seccomp, args) }.map(|listener| listener as i32)
}
