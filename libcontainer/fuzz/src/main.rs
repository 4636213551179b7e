//! The fuzz target for profiles of system calls: `make fuzz`.

#![no_main]

mod seccomp;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| seccomp::check(&seccomp::profile(bytes)));
