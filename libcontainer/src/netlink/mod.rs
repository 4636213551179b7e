//! A small client of rtnetlink(7): network devices and their addresses, asked for and changed.
//!
//! A socket belongs to the network namespace of the thread that opened it, for as long as it lives.
//! The kernel has answered a request by the time send(2) returns, so there is nothing to wait for.
//! Used by `container::net_devices` alone; what is done in which order is decided there.

mod address;
mod link;
mod wire;

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use libcontainer_init::sys::{namespace, socket as options};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, recv, send,
    socket,
};

pub(crate) use address::Address;
pub(crate) use link::{Link, Move};
pub(crate) use wire::Refusal;
use wire::{Request, Said};

use crate::error::{Error, ErrorKind, Result, call};

/// The kernel writes at most 32 KiB at a time.
const DATAGRAM: usize = 64 << 10;
/// How often a list is asked for that changes while it is written.
const TRIES: usize = 16;

/// A connection to the kernel's network configuration, of one network namespace.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Opens a socket in this thread's network namespace.
    ///
    /// # Errors
    /// The kernel gives none.
    pub(crate) fn open() -> Result<Self> {
        /// netlink(7): errors come with words, and without the request that they are about.
        const SOL_NETLINK: u32 = 270;
        const CAP_ACK: u32 = 10;
        const EXT_ACK: u32 = 11;
        let (family, kind) = (AddressFamily::Netlink, SockType::Raw);
        let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)
            .map_err(|errno| Error::system("cannot open a netlink socket", errno))?;
        // From here on only the kernel can answer: others in a namespace may send messages, too.
        connect(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))
            .map_err(|errno| Error::system("cannot connect a netlink socket", errno))?;
        for option in [CAP_ACK, EXT_ACK] {
            options::set_option(fd.as_raw_fd(), SOL_NETLINK, option, 1)
                .map_err(|failure| call("cannot set up a netlink socket", failure))?;
        }
        Ok(Self { fd, sequence: 0 })
    }

    /// Opens a socket in another network namespace: a thread of its own goes there and ends, and
    /// the caller stays where it is.
    ///
    /// # Errors
    /// The namespace cannot be joined, or the kernel gives no socket.
    pub(crate) fn open_in(place: BorrowedFd<'_>) -> Result<Self> {
        let work = || {
            namespace::join(place.as_raw_fd(), namespace::NEWNET).map_err(|failure| {
                call("cannot join the container's network namespace", failure)
            })?;
            Self::open()
        };
        std::thread::scope(|scope| {
            let thread =
                std::thread::Builder::new().spawn_scoped(scope, work).map_err(|error| {
                    Error::io("cannot start a thread to join a network namespace", &error)
                })?;
            thread.join().unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::System, "the thread that joins a namespace failed"))
            })
        })
    }

    /// Sends a request and gives the parts of the answer; a list is of one moment.
    fn ask(&mut self, request: &Request) -> Result<Vec<Vec<u8>>, Refusal> {
        for _ in 0..TRIES {
            if let Some(parts) = self.exchange(request)? {
                return Ok(parts);
            }
        }
        Err(Errno::EINTR.into())
    }

    /// The answer; nothing if what it lists changed while it was written.
    fn exchange(&mut self, request: &Request) -> Result<Option<Vec<Vec<u8>>>, Refusal> {
        self.sequence += 1;
        send(self.fd.as_raw_fd(), &request.clone().encode(self.sequence), MsgFlags::empty())?;
        let (mut parts, mut whole) = (Vec::new(), true);
        let mut datagram = vec![0; DATAGRAM];
        loop {
            let length = match recv(self.fd.as_raw_fd(), &mut datagram, MsgFlags::MSG_TRUNC) {
                Err(Errno::EINTR) => continue,
                length => length?,
            };
            let received = datagram.get(..length).ok_or(Errno::EMSGSIZE)?;
            for said in wire::decode(received, self.sequence).ok_or(Errno::EBADMSG)? {
                match said {
                    Said::Part(part) => parts.push(part),
                    Said::Interrupted => whole = false,
                    Said::Refused(refusal) => return Err(refusal),
                    Said::Done => return Ok(whole.then_some(parts)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::{getsockname, sendto};

    use super::*;

    #[test]
    fn nobody_but_the_kernel_is_heard() {
        let mut ours = Socket::open().unwrap();
        let port = getsockname::<NetlinkAddr>(ours.fd.as_raw_fd()).unwrap().pid();
        let (family, kind) = (AddressFamily::Netlink, SockType::Raw);
        let other = socket(family, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute);
        let (other, to) = (other.unwrap(), NetlinkAddr::new(port, 0));
        let forged = Request::new(16, 0, &[0; 16]).text(3, "forged").encode(1);
        let sent = sendto(other.as_raw_fd(), &forged, &to, MsgFlags::empty());
        // Without CAP_NET_ADMIN nobody may try.
        assert!(matches!(sent, Err(Errno::ECONNREFUSED | Errno::EPERM)), "{sent:?}");
        assert_eq!(ours.link_named("lo").unwrap().unwrap().name, "lo");
        assert_eq!(ours.link_named("forged"), Ok(None));
    }
}
