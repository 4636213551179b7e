//! keyctl(2): a session keyring of the container's own.

use core::ffi::CStr;

use super::raw::{self, Nr, Result, address};

/// KEYCTL_JOIN_SESSION_KEYRING: the keyring of this name that may be searched, or a new one, becomes
/// the session keyring; returns its serial number.
pub fn join_session(name: &CStr) -> Result<i32> {
    const JOIN_SESSION_KEYRING: usize = 1;
    let args = [JOIN_SESSION_KEYRING, address(name.as_ptr()), 0, 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Keyctl, args) }.map(|serial| serial as i32)
}

/// KEYCTL_SETPERM: who may do what with a key.
pub fn set_permissions(serial: i32, permissions: u32) -> Result<()> {
    const SETPERM: usize = 5;
    let args = [SETPERM, serial as usize, permissions as usize, 0, 0, 0];
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::Keyctl, args) }.map(drop)
}
