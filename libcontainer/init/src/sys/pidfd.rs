//! pidfd_open(2), pidfd_send_signal(2), and waitid(2) on a pidfd.

use super::Fd;
use super::raw::{self, Errno, Nr, Result, address};

/// A descriptor of a process.
pub fn open(pid: i32) -> Result<Fd> {
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::PidfdOpen, [pid as usize, 0, 0, 0, 0, 0]) }.map(Fd::new)
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
