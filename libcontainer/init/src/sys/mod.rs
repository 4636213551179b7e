//! Every system call of the project, one file for each kernel primitive.
//!
//! No policy and no prose: a function here is one call (or one fixed sequence of calls that is one
//! thing to the kernel), takes descriptors and C strings, and returns [`Failure`] with the call's
//! name and errno. Both processes use it: the runtime, and init after clone, where no libc exists.
//!
//! # Safety
//!
//! This is the only place of the project with unsafe code. A system call is unsafe for two
//! reasons, and each block answers them the same way. Memory: every pointer passed comes from a
//! reference that lives across the call, with the length of that very object, and the structures
//! have the layout of the kernel's headers (a test compares them with the libc crate's). Ownership
//! of descriptors: a function that returns a new descriptor wraps it in [`Fd`] at once, and only
//! [`Fd`] closes. A block that needs more than these two sentences says so where it stands.

pub mod bpf;
pub mod caps;
pub mod exec;
mod fd;
pub mod file;
pub mod ids;
pub mod io_priority;
pub mod keyring;
pub mod landlock;
pub mod limit;
pub mod map;
pub mod memfd;
pub mod memory_policy;
pub mod mount;
pub mod namespace;
pub mod net;
pub mod path;
pub mod pidfd;
pub mod process;
pub mod pty;
pub mod raw;
pub mod scheduler;
pub mod seccomp;
pub mod seccomp_notify;
pub mod signal;
pub mod socket;
pub mod spawn;

pub use fd::Fd;
pub use raw::{Errno, Failure, Nr, Result};
