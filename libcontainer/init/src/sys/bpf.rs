//! bpf(2): device programs of cgroup v2, loaded, attached, listed and detached.
//!
//! Every call passes a zeroed attribute block larger than any kernel's: some kernels write behind a
//! shorter one, whatever size they were told.

use core::ffi::CStr;

use super::Fd;
use super::raw::{self, Errno, Nr, Result, address};

const PROG_LOAD: usize = 5;
const PROG_ATTACH: usize = 8;
const PROG_DETACH: usize = 9;
const PROG_GET_FD_BY_ID: usize = 13;
const PROG_QUERY: usize = 16;

/// BPF_PROG_TYPE_CGROUP_DEVICE and BPF_CGROUP_DEVICE.
const TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;

const ALLOW_MULTI: u32 = 1 << 1;
const REPLACE: u32 = 1 << 2;

/// The most programs of one type that a cgroup can have (BPF_CGROUP_MAX_PROGS).
pub const MOST_PROGRAMS: usize = 64;

/// Bytes of an instruction.
const INSTRUCTION: usize = 8;

/// union bpf_attr, by the offsets of its members in include/uapi/linux/bpf.h.
#[repr(C, align(8))]
struct Attributes([u8; 256]);

impl Attributes {
    fn new() -> Self {
        Self([0; 256])
    }

    fn word(mut self, offset: usize, value: u32) -> Self {
        self.0[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn descriptor(self, offset: usize, fd: i32) -> Self {
        self.word(offset, fd as u32)
    }

    fn pointer(mut self, offset: usize, address: usize) -> Self {
        self.0[offset..offset + 8].copy_from_slice(&(address as u64).to_ne_bytes());
        self
    }

    fn read_word(&self, offset: usize) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.0[offset..offset + 4]);
        u32::from_ne_bytes(bytes)
    }

    /// # Safety
    ///
    /// What the members point to must be live, and as long as they say.
    unsafe fn call(&mut self, command: usize) -> Result<usize> {
        let args = [command, address(self.0.as_mut_ptr()), self.0.len(), 0, 0, 0];
        // SAFETY: the block is writable and as long as said; the rest is the caller's promise.
        unsafe { raw::call(Nr::Bpf, args) }
    }
}

/// BPF_PROG_LOAD of a device program: 8 bytes an instruction.
pub fn load_device_program(code: &[u8]) -> Result<Fd> {
    /// The verifier gives up with EAGAIN when a signal is pending.
    const TRIES: usize = 16;
    const LICENSE: &CStr = c"Apache-2.0";
    let mut tries = 0;
    loop {
        let mut attributes = Attributes::new()
            .word(0, TYPE_CGROUP_DEVICE)
            .word(4, (code.len() / INSTRUCTION) as u32)
            .pointer(8, address(code.as_ptr()))
            .pointer(16, address(LICENSE.as_ptr()));
        // SAFETY: the instructions are `code`, whose length is rounded down to whole ones; the
        // license ends with NUL. The verifier decides whether the program may run.
        match unsafe { attributes.call(PROG_LOAD) } {
            Err(failure) if failure.is(Errno::EAGAIN) && tries < TRIES => tries += 1,
            result => return result.map(Fd::new),
        }
    }
}

/// BPF_PROG_ATTACH to a cgroup, beside what its parents have; in place of `replaced` if given.
pub fn attach_device_program(cgroup: i32, program: i32, replaced: Option<i32>) -> Result<()> {
    let mut attributes = Attributes::new()
        .descriptor(0, cgroup)
        .descriptor(4, program)
        .word(8, CGROUP_DEVICE)
        .word(12, if replaced.is_some() { ALLOW_MULTI | REPLACE } else { ALLOW_MULTI })
        .descriptor(16, replaced.unwrap_or(0));
    // SAFETY: the members are numbers only.
    unsafe { attributes.call(PROG_ATTACH) }.map(drop)
}

/// BPF_PROG_DETACH.
pub fn detach_device_program(cgroup: i32, program: i32) -> Result<()> {
    let mut attributes =
        Attributes::new().descriptor(0, cgroup).descriptor(4, program).word(8, CGROUP_DEVICE);
    // SAFETY: the members are numbers only.
    unsafe { attributes.call(PROG_DETACH) }.map(drop)
}

/// BPF_PROG_QUERY: the ids of the device programs attached to the cgroup itself; their number.
pub fn device_programs(cgroup: i32, ids: &mut [u32; MOST_PROGRAMS]) -> Result<usize> {
    let mut attributes = Attributes::new()
        .descriptor(0, cgroup)
        .word(4, CGROUP_DEVICE)
        .pointer(16, address(ids.as_mut_ptr()))
        .word(24, ids.len() as u32);
    // SAFETY: `ids` has room for as many as said.
    unsafe { attributes.call(PROG_QUERY) }?;
    Ok((attributes.read_word(24) as usize).min(ids.len()))
}

/// BPF_PROG_GET_FD_BY_ID.
pub fn program(id: u32) -> Result<Fd> {
    let mut attributes = Attributes::new().word(0, id);
    // SAFETY: the members are numbers only.
    unsafe { attributes.call(PROG_GET_FD_BY_ID) }.map(Fd::new)
}
