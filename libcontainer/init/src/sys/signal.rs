//! The signal mask and dispositions: rt_sigprocmask(2), rt_sigaction(2), by the raw calls (glibc's
//! wrappers spare two real-time signals).

use super::raw::{self, Nr, Result, address};

const SIG_SETMASK: usize = 2;
/// The size of the kernel's sigset_t.
const SET_SIZE: usize = 8;

/// Replaces this thread's mask, bit n-1 for signal n, and returns the old one.
pub fn set_mask(mask: u64) -> Result<u64> {
    let mut old = 0u64;
    let (new, old_at) = (address(&raw const mask), address(&raw mut old));
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::RtSigprocmask, [SIG_SETMASK, new, old_at, SET_SIZE, 0, 0]) }?;
    Ok(old)
}

/// Every signal to its default action. For init: an exec keeps what the host ignored (Rust's own
/// start-up ignores SIGPIPE, and a host may ignore SIGCHLD).
pub fn default_actions() {
    for signal in 1..=64 {
        // SIGKILL and SIGSTOP cannot be set and need not be.
        let _ = default_action(signal);
    }
}

/// A signal to its default action.
pub fn default_action(signal: usize) -> Result<()> {
    // struct sigaction of the kernel; all zero is SIG_DFL.
    let default = [0u64; 4];
    let args = [signal, address(default.as_ptr()), 0, SET_SIZE, 0, 0];
    // SAFETY: see the module `sys`. No handler is installed.
    unsafe { raw::call(Nr::RtSigaction, args) }.map(drop)
}
