//! The loopback device: ioctl(2) SIOCSIFFLAGS, netdevice(7).

use super::raw::{self, Nr, Result, address};
use super::{Fd, file};

/// Sets the device `lo` of this network namespace up.
pub fn loopback_up() -> Result<()> {
    const AF_INET: usize = 2;
    const SOCK_DGRAM: usize = 2;
    const SIOCSIFFLAGS: usize = 0x8914;
    const IFF_UP: i16 = 1;
    /// struct ifreq, as far as this request reads it, with the union's full size.
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        flags: i16,
        rest: [u8; 22],
    }
    let kind = SOCK_DGRAM | file::O_CLOEXEC as usize;
    // SAFETY: no memory is passed.
    let socket = unsafe { raw::call(Nr::Socket, [AF_INET, kind, 0, 0, 0, 0]) }.map(Fd::new)?;
    let mut request = Request { name: [0; 16], flags: IFF_UP, rest: [0; 22] };
    request.name[..2].copy_from_slice(b"lo");
    let args = [socket.raw() as usize, SIOCSIFFLAGS, address(&raw const request), 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Ioctl, args) }.map(drop)
}
