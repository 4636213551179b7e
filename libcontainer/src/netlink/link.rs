//! Network devices: `RTM_GETLINK` and `RTM_NEWLINK` of rtnetlink(7).

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use super::wire::{ACK, Request, attributes, number, text};
use super::{Refusal, Socket};

const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
/// `IFLA_*` of `linux/if_link.h`.
const NAME: u16 = 3;
const NAMESPACE: u16 = 28;
const NEW_INDEX: u16 = 49;
/// `IFF_UP`, netdevice(7).
const UP: u32 = 1;

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its number in its namespace.
    pub(crate) index: u32,
    /// Its name there.
    pub(crate) name: String,
    /// Whether it is to be up.
    pub(crate) up: bool,
}

/// Where a device goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Move<'a> {
    /// The network namespace.
    pub(crate) namespace: BorrowedFd<'a>,
    /// Its number there; the kernel's choice if there is none.
    pub(crate) index: Option<u32>,
    /// Its name there, in which `%d` is the first number that is free.
    pub(crate) name: &'a str,
}

impl Link {
    /// A device from the kernel's message: `struct ifinfomsg` and attributes.
    fn decode(message: &[u8]) -> Option<Self> {
        let (index, flags) = (number(message.get(4..)?)?, number(message.get(8..)?)?);
        let (_, name) = attributes(message.get(16..)?).find(|(kind, _)| *kind == NAME)?;
        Some(Self { index, name: text(name), up: flags & UP != 0 })
    }
}

/// `struct ifinfomsg`.
fn structure(index: u32, flags: u32, changed: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..].copy_from_slice(&changed.to_ne_bytes());
    bytes
}

impl Socket {
    /// The device with this name, or this alternative name.
    pub(crate) fn link_named(&mut self, name: &str) -> Result<Option<Link>, Refusal> {
        self.link(&Request::new(GET_LINK, ACK, &structure(0, 0, 0)).text(NAME, name))
    }

    /// The device with this number.
    pub(crate) fn link_numbered(&mut self, index: u32) -> Result<Option<Link>, Refusal> {
        self.link(&Request::new(GET_LINK, ACK, &structure(index, 0, 0)))
    }

    fn link(&mut self, request: &Request) -> Result<Option<Link>, Refusal> {
        match self.ask(request) {
            Ok(parts) => {
                let link = parts.first().and_then(|part| Link::decode(part));
                Ok(Some(link.ok_or(Errno::EBADMSG)?))
            }
            Err(refusal) if refusal.errno == Errno::ENODEV => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Moves a device to another namespace, and renames it there. It goes down and loses all its
    /// addresses. When this fails, it may be there all the same, under its old name.
    pub(crate) fn move_link(&mut self, index: u32, to: &Move<'_>) -> Result<(), Refusal> {
        let namespace = to.namespace.as_raw_fd().to_ne_bytes();
        let mut request = Request::new(NEW_LINK, ACK, &structure(index, 0, 0))
            .attribute(NAMESPACE, &namespace)
            .text(NAME, to.name);
        if let Some(index) = to.index {
            request = request.attribute(NEW_INDEX, &index.to_ne_bytes());
        }
        self.ask(&request).map(drop)
    }

    /// Sets a device up.
    pub(crate) fn set_up(&mut self, index: u32) -> Result<(), Refusal> {
        self.ask(&Request::new(NEW_LINK, ACK, &structure(index, UP, UP))).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_read_from_the_kernels_message() {
        let bytes = Request::new(NEW_LINK, 0, &structure(7, UP | 0x40, 0)).attribute(1, &[2; 6]);
        let bytes = bytes.text(NAME, "eth0").encode(1);
        let link = Link { index: 7, name: "eth0".to_owned(), up: true };
        assert_eq!(Link::decode(&bytes[16..]), Some(link));
        assert_eq!(Link::decode(&bytes[16..32]), None);
        assert_eq!(Link::decode(&[]), None);
    }
}
