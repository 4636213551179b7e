//! pidfd_open(2), pidfd_send_signal(2), waitid(2) on a pidfd, and what the kernel keeps of a process
//! that was collected by its parent.

use super::Fd;
use super::raw::{self, Errno, Nr, Result, address};

/// A descriptor of a process.
pub fn open(pid: i32) -> Result<Fd> {
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::PidfdOpen, [pid as usize, 0, 0, 0, 0, 0]) }.map(Fd::new)
}

/// pidfd_getfd(2): a copy of a descriptor of another process, close-on-exec.
pub fn take_descriptor(pidfd: i32, number: i32) -> Result<Fd> {
    let args = [pidfd as usize, number as usize, 0, 0, 0, 0];
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::PidfdGetfd, args) }.map(Fd::new)
}

/// Sends a signal; 0 only asks whether the process is there.
pub fn send_signal(pidfd: i32, signal: i32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::PidfdSendSignal, [pidfd as usize, signal as usize, 0, 0, 0, 0]) }
        .map(drop)
}

/// How a process ended, waitid(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this status.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
}

impl Ended {
    /// The end that a status as of wait(2) tells.
    pub fn from_status(status: i32) -> Self {
        match status & 0x7f {
            0 => Self::Exited(status >> 8 & 0xff),
            signal => Self::Killed(signal),
        }
    }
}

/// PIDFD_GET_INFO: how a process ended that its parent has collected, whoever that is; nothing
/// before that. Linux 6.15 and newer; older kernels answer ENOTTY or EINVAL.
pub fn ended(pidfd: i32) -> Result<Option<Ended>> {
    /// PIDFD_INFO_EXIT.
    const EXIT: u64 = 1 << 3;
    /// struct pidfd_info in its first version: mask, cgroup, eleven ids, exit status.
    #[repr(C)]
    struct Info {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        status: i32,
    }
    /// _IOWR(0xff, 11, struct pidfd_info), in the encoding of most architectures, all of ours.
    const GET_INFO: usize = 0xc000_ff0b | size_of::<Info>() << 16;
    let mut info = Info { mask: EXIT, cgroup: 0, ids: [0; 11], status: 0 };
    let args = [pidfd as usize, GET_INFO, address(&raw mut info), 0, 0, 0];
    // SAFETY: see the module `sys`; the size of the structure is in the request.
    unsafe { raw::call(Nr::Ioctl, args) }?;
    Ok((info.mask & EXIT != 0).then(|| Ended::from_status(info.status)))
}

/// waitid(2): waits for a child to end and collects it; ECHILD when it is not this process's.
pub fn wait(pidfd: i32) -> Result<Ended> {
    const P_PIDFD: usize = 3;
    const WEXITED: usize = 4;
    const CLD_EXITED: i32 = 1;
    /// siginfo_t of a SIGCHLD, as far as it is filled, with its full size of 128 bytes.
    #[repr(C)]
    struct Info {
        signal: i32,
        errno: i32,
        code: i32,
        pad: i32,
        pid: i32,
        uid: u32,
        status: i32,
        rest: [i32; 25],
    }
    let mut info =
        Info { signal: 0, errno: 0, code: 0, pad: 0, pid: 0, uid: 0, status: 0, rest: [0; 25] };
    loop {
        let args = [P_PIDFD, pidfd as usize, address(&raw mut info), WEXITED, 0, 0];
        // SAFETY: see the module `sys`.
        match unsafe { raw::call(Nr::Waitid, args) } {
            Err(failure) if failure.is(Errno::EINTR) => {}
            Err(failure) => return Err(failure),
            Ok(_) if info.code == CLD_EXITED => return Ok(Ended::Exited(info.status)),
            Ok(_) => return Ok(Ended::Killed(info.status)),
        }
    }
}
