//! What is asked about system calls, and answered: seccomp_unotify(2).

use super::raw::{self, Errno, Nr, Result, address};

/// struct seccomp_notif.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Question {
    /// What the answer names.
    pub id: u64,
    /// The thread that made the call, or 0 if it has no id here.
    pub pid: u32,
    flags: u32,
    /// The call's number.
    pub number: u32,
    /// Its architecture, an AUDIT_ARCH_*.
    pub arch: u32,
    instruction: u64,
    /// Its arguments.
    pub args: [u64; 6],
}

/// struct seccomp_notif_resp.
#[repr(C)]
struct Reply {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// struct seccomp_notif_addfd.
#[repr(C)]
struct Addition {
    id: u64,
    flags: u32,
    from: u32,
    to: u32,
    to_flags: u32,
}

/// The direction bits of _IOW and _IOWR in the encoding of most architectures, all of ours.
const WRITE: usize = 1 << 30;
const READ_WRITE: usize = 3 << 30;

/// Requests to a listener, linux/seccomp.h.
pub const RECV: usize = request(READ_WRITE, 0, size_of::<Question>());
/// Answers.
pub const SEND: usize = request(READ_WRITE, 1, size_of::<Reply>());
/// Asks whether somebody still waits.
pub const ID_VALID: usize = request(WRITE, 2, size_of::<u64>());
/// Places a descriptor.
pub const ADDFD: usize = request(WRITE, 3, size_of::<Addition>());

const fn request(direction: usize, number: usize, size: usize) -> usize {
    direction | size << 16 | (b'!' as usize) << 8 | number
}

/// The next question; waits for it. ENOENT: whoever asked is gone.
pub fn receive(listener: i32) -> Result<Question> {
    let mut question = Question::default();
    let args = [listener as usize, RECV, address(&raw mut question), 0, 0, 0];
    // SAFETY: see the module `sys`; the size of the structure is in the request.
    unsafe { raw::call(Nr::Ioctl, args) }?;
    Ok(question)
}

/// SECCOMP_USER_NOTIF_FLAG_CONTINUE: the kernel goes on with the call.
pub const CONTINUE: u32 = 1;

/// Answers a question: the call returns this value, or fails with this errno if it is not 0.
/// ENOENT: nobody waits for that any more.
pub fn answer(listener: i32, id: u64, value: i64, errno: i32, flags: u32) -> Result<()> {
    let reply = Reply { id, value, error: -errno, flags };
    let args = [listener as usize, SEND, address(&raw const reply), 0, 0, 0];
    // SAFETY: see the module `sys`; the size of the structure is in the request.
    unsafe { raw::call(Nr::Ioctl, args) }.map(drop)
}

/// Whether whoever asked still waits for the answer, and so its pid still means it.
pub fn is_waiting(listener: i32, id: u64) -> Result<bool> {
    let args = [listener as usize, ID_VALID, address(&raw const id), 0, 0, 0];
    // SAFETY: see the module `sys`; the size of the number is in the request.
    match unsafe { raw::call(Nr::Ioctl, args) } {
        Ok(_) => Ok(true),
        Err(failure) if failure.is(Errno::ENOENT) => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Puts a copy of a descriptor into the table of whoever asked, with these flags of its own; returns
/// its number there.
pub fn place(listener: i32, id: u64, descriptor: i32, to_flags: u32) -> Result<i32> {
    let addition = Addition { id, flags: 0, from: descriptor as u32, to: 0, to_flags };
    let args = [listener as usize, ADDFD, address(&raw const addition), 0, 0, 0];
    // SAFETY: see the module `sys`; the size of the structure is in the request.
    unsafe { raw::call(Nr::Ioctl, args) }.map(|number| number as i32)
}
