//! The program that runs after clone, and everything the runtime shares with it.
//!
//! The runtime (crate `libcontainer`) compiles a container's configuration into a list of
//! [`step::Step`]s, writes them as bytes ([`wire`]) into a sealed memfd, starts [`PROGRAM`] in new
//! namespaces with [`sys::spawn`], and that program performs them one by one ([`perform`]).
//!
//! This package exists twice. As a library it is used by the runtime, checked by clippy and
//! tested. The program, `main.rs`, compiles the same files a second time, freestanding: no libc, no
//! allocator, no locks, no formatting, no logging, no unwinding exist in it, so nothing of a
//! threaded host program can be waited for after clone. That is why the library is `no_std` too,
//! and why it depends on nothing.
//!
//! All unsafe code of the project stands below [`sys`], one file for each kernel primitive.

#![no_std]
#![deny(unsafe_code)]

#[cfg(feature = "std")]
extern crate std;

pub mod message;
pub mod perform;
pub mod step;
#[allow(unsafe_code)]
pub mod sys;
pub mod wire;

/// The init program: a static ELF executable without an interpreter.
pub static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/keel-init"));
