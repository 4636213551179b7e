//! An owned descriptor.

use super::raw::{self, Nr};

/// A descriptor that is closed when dropped.
#[derive(Debug, PartialEq, Eq)]
pub struct Fd(i32);

impl Fd {
    /// Owns what a system call just returned.
    pub(super) fn new(returned: usize) -> Self {
        Self(returned as i32)
    }

    /// Owns a descriptor that this process was started with, by the number agreed upon.
    ///
    /// For init only: it is told its descriptors' numbers, and nothing else owns them there.
    pub fn inherited(number: i32) -> Self {
        Self(number)
    }

    /// The number, to pass to a system call while this owner lives.
    pub fn raw(&self) -> i32 {
        self.0
    }

    /// Gives up ownership without closing.
    pub fn into_raw(self) -> i32 {
        let number = self.0;
        core::mem::forget(self);
        number
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: no memory is passed; the number is owned by this value alone. A failure (EINTR,
        // EIO) leaves the descriptor closed on Linux, close(2), so there is nothing to do about it.
        let _ = unsafe { raw::call(Nr::Close, [self.0 as usize, 0, 0, 0, 0, 0]) };
    }
}

#[cfg(feature = "std")]
impl From<Fd> for std::os::fd::OwnedFd {
    fn from(fd: Fd) -> Self {
        use std::os::fd::FromRawFd;
        // SAFETY: the number is open and owned by nobody else: `fd` gives it up here.
        unsafe { Self::from_raw_fd(fd.into_raw()) }
    }
}
