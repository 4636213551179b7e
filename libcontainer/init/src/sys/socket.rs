//! Messages with descriptors, and sockets with names and options: sendmsg(2), recvmsg(2), accept4(2),
//! bind(2), setsockopt(2), unix(7).

use core::ffi::CStr;

use super::raw::{self, Errno, Failure, Nr, Result, address};
use super::{Fd, file};

/// The most descriptors in one message: SCM_MAX_FD of the kernel.
pub const MAX_DESCRIPTORS: usize = 253;

const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;
/// sizeof(struct cmsghdr) on 64-bit machines.
const HEADER: usize = 16;

#[repr(C)]
struct IoVec {
    base: usize,
    len: usize,
}

/// struct msghdr on 64-bit machines.
#[repr(C)]
struct MsgHdr {
    name: usize,
    name_len: u32,
    iov: usize,
    iov_len: usize,
    control: usize,
    control_len: usize,
    flags: u32,
}

/// The control message with its descriptors, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control {
    len: usize,
    level: i32,
    kind: i32,
    descriptors: [i32; MAX_DESCRIPTORS + 1],
}

/// Sends one message, with descriptors beside it. Never raises SIGPIPE.
pub fn send(socket: i32, bytes: &[u8], descriptors: &[i32]) -> Result<()> {
    const MSG_NOSIGNAL: usize = 0x4000;
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(Failure { call: Nr::Sendmsg, errno: Errno::EINVAL });
    }
    let mut control = Control {
        len: HEADER + size_of_val(descriptors),
        level: SOL_SOCKET,
        kind: SCM_RIGHTS,
        descriptors: [-1; MAX_DESCRIPTORS + 1],
    };
    control.descriptors[..descriptors.len()].copy_from_slice(descriptors);
    let iov = IoVec { base: address(bytes.as_ptr()), len: bytes.len() };
    let mut message = header(&iov);
    if !descriptors.is_empty() {
        message.control = address(&raw const control);
        message.control_len = control.len.next_multiple_of(8);
    }
    let args = [socket as usize, address(&raw const message), MSG_NOSIGNAL, 0, 0, 0];
    loop {
        // SAFETY: see the module `sys`.
        match unsafe { raw::call(Nr::Sendmsg, args) } {
            Err(failure) if failure.is(Errno::EINTR) => {}
            result => return result.map(drop),
        }
    }
}

/// What [`receive`] got: the bytes' length and how many descriptors came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the message; 0 when the other side is gone.
    pub len: usize,
    /// Descriptors, at the start of the caller's list.
    pub descriptors: usize,
}

/// Receives one message, and its descriptors, close-on-exec, into `slots`.
///
/// A message with more descriptors than `slots` holds, or than this process may open, is an error:
/// the kernel would have dropped some.
pub fn receive(socket: i32, bytes: &mut [u8], slots: &mut [Option<Fd>]) -> Result<Received> {
    const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
    const MSG_CTRUNC: u32 = 8;
    let mut control = Control { len: 0, level: 0, kind: 0, descriptors: [-1; MAX_DESCRIPTORS + 1] };
    let iov = IoVec { base: address(bytes.as_mut_ptr()), len: bytes.len() };
    let mut message = header(&iov);
    message.control = address(&raw mut control);
    message.control_len = size_of::<Control>();
    let args = [socket as usize, address(&raw mut message), MSG_CMSG_CLOEXEC, 0, 0, 0];
    let len = loop {
        // SAFETY: see the module `sys`. The kernel writes through `iov` and `control`, which are
        // both this function's to write.
        match unsafe { raw::call(Nr::Recvmsg, args) } {
            Err(failure) if failure.is(Errno::EINTR) => {}
            result => break result?,
        }
    };
    let holds_descriptors =
        message.control_len >= HEADER && (control.level, control.kind) == (SOL_SOCKET, SCM_RIGHTS);
    let count = if holds_descriptors { (control.len - HEADER) / size_of::<i32>() } else { 0 };
    for (i, number) in control.descriptors[..count.min(MAX_DESCRIPTORS)].iter().enumerate() {
        let fd = Fd::new(*number as usize);
        if let Some(slot) = slots.get_mut(i) {
            *slot = Some(fd);
        }
    }
    if message.flags & MSG_CTRUNC != 0 || count > slots.len() {
        return Err(Failure { call: Nr::Recvmsg, errno: Errno(24) }); // EMFILE
    }
    Ok(Received { len, descriptors: count })
}

/// accept4(2): the next connection of a listening socket.
pub fn accept(listener: i32) -> Result<Fd> {
    loop {
        let args = [listener as usize, 0, 0, file::O_CLOEXEC as usize, 0, 0];
        // SAFETY: the peer's address is not asked for.
        match unsafe { raw::call(Nr::Accept4, args) } {
            Err(failure) if failure.is(Errno::EINTR) => {}
            result => return result.map(Fd::new),
        }
    }
}

/// bind(2): a datagram socket with a name in the working directory, which makes a file of that name
/// with the permissions 0777 that the umask leaves.
pub fn bind_datagram(name: &CStr) -> Result<Fd> {
    const AF_UNIX: u16 = 1;
    const SOCK_DGRAM: usize = 2;
    /// struct sockaddr_un.
    #[repr(C)]
    struct Address {
        family: u16,
        path: [u8; 108],
    }
    let mut named = Address { family: AF_UNIX, path: [0; 108] };
    let name = name.to_bytes_with_nul();
    let too_long = Failure { call: Nr::Bind, errno: Errno::ENAMETOOLONG };
    named.path.get_mut(..name.len()).ok_or(too_long)?.copy_from_slice(name);
    let kind = SOCK_DGRAM | file::O_CLOEXEC as usize;
    // SAFETY: no memory is passed.
    let made = unsafe { raw::call(Nr::Socket, [AF_UNIX as usize, kind, 0, 0, 0, 0]) };
    let socket = made.map(Fd::new)?;
    let args = [socket.raw() as usize, address(&raw const named), size_of::<Address>(), 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Bind, args) }?;
    Ok(socket)
}

/// setsockopt(2) with a number.
pub fn set_option(socket: i32, level: u32, option: u32, value: i32) -> Result<()> {
    let (level, option) = (level as usize, option as usize);
    let args = [socket as usize, level, option, address(&raw const value), size_of_val(&value), 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::Setsockopt, args) }.map(drop)
}

fn header(iov: &IoVec) -> MsgHdr {
    MsgHdr {
        name: 0,
        name_len: 0,
        iov: address(&raw const *iov),
        iov_len: 1,
        control: 0,
        control_len: 0,
        flags: 0,
    }
}
