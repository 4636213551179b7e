//! execve(2).

use core::ffi::CStr;

use super::raw::{self, Failure, Nr, address};

/// Becomes another program. `argv` and `env` hold the addresses of C strings and end with 0.
///
/// Returns only when it fails.
pub fn exec(program: &CStr, argv: &[usize], env: &[usize]) -> Failure {
    debug_assert!(argv.last() == Some(&0) && env.last() == Some(&0));
    let args = [address(program.as_ptr()), address(argv.as_ptr()), address(env.as_ptr()), 0, 0, 0];
    // SAFETY: see the module `sys`. The kernel checks each address of the lists itself and answers
    // EFAULT to a bad one, so that the lists are plain numbers here.
    match unsafe { raw::call(Nr::Execve, args) } {
        Err(failure) => failure,
        Ok(_) => Failure { call: Nr::Execve, errno: raw::Errno::EIO },
    }
}

/// The address of a C string, for a list that [`exec`] takes.
pub fn pointer(text: &CStr) -> usize {
    address(text.as_ptr())
}
