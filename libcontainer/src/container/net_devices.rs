//! Network devices on their way into the container, and back when its creation fails.
//!
//! A move takes one message, in which the device gets its new name as well; then it gets its
//! addresses again, which the kernel drops on the way, and is set up. Its other properties, such as
//! MTU and hardware address, are its own and stay. Until the container is created, its network
//! namespace is held here, so that no device vanishes with an init that fails; whoever kills the
//! runtime at that point leaves a device to the kernel, as the end of a container does.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;

use crate::config::NetDevice;
use crate::error::{Error, ErrorKind, Result};
use crate::netlink::{Address, Link, Move, Refusal, Socket};

/// The two network namespaces, and what was moved from one into the other.
#[derive(Debug)]
pub(super) struct NetDevices {
    host: Side,
    container: Side,
    moved: Vec<Moved>,
}

/// A network namespace, and a socket in it.
#[derive(Debug)]
struct Side {
    namespace: OwnedFd,
    socket: Socket,
}

/// A device that was moved, as it was on the host.
#[derive(Debug)]
struct Moved {
    link: Link,
    addresses: Vec<Address>,
    /// Its number in the container's namespace.
    index: u32,
}

impl NetDevices {
    /// Opens the network namespaces of this thread and of a container's init.
    pub(super) fn of(init: i32) -> Result<Self> {
        let open = |path: String| {
            File::open(path).map_err(|error| Error::io("cannot open a network namespace", &error))
        };
        let host = open("/proc/thread-self/ns/net".to_owned())?;
        let container = open(format!("/proc/{init}/ns/net"))?;
        let identity = |file: &File| file.metadata().map(|data| (data.dev(), data.ino())).ok();
        if identity(&host) == identity(&container) {
            let message = "cannot move network devices: the container's network namespace is the \
                           runtime's";
            return Err(Error::new(ErrorKind::Config, message));
        }
        let socket = Socket::open_in(container.as_fd())?;
        let container = Side { namespace: container.into(), socket };
        let host = Side { namespace: host.into(), socket: Socket::open()? };
        Ok(Self { host, container, moved: Vec::new() })
    }

    /// Moves a device into the container.
    pub(super) fn move_in(&mut self, device: &NetDevice) -> Result<()> {
        let NetDevice { host, name, .. } = device;
        let fail = |refusal| failed(format!("cannot move the network device {host}"), refusal);
        let link = self.host.socket.link_named(host).map_err(fail)?.ok_or_else(|| {
            Error::system(format!("cannot find the network device {host}"), Errno::ENODEV)
        })?;
        if self.container.socket.link_named(name).map_err(fail)?.is_some() {
            let message =
                format!("cannot move the network device {host}: the container has a device {name}");
            return Err(Error::system(message, Errno::EEXIST));
        }
        let addresses = self.host.socket.addresses(link.index).map_err(fail)?;
        let index = self.free_index(link.index).map_err(fail)?;
        self.moved.push(Moved { link: link.clone(), addresses: addresses.clone(), index });
        let to = Move { namespace: self.container.namespace.as_fd(), index: Some(index), name };
        if let Err(refusal) = self.host.socket.move_link(link.index, &to) {
            // It may have arrived, and only not got its name: then it has to be taken back.
            if self.host.socket.link_numbered(link.index) == Ok(Some(link)) {
                self.moved.pop();
            }
            return Err(fail(refusal));
        }
        self.set_up(index, host, &addresses)
    }

    /// The first number, from a device's own up, that no device of the container has.
    fn free_index(&mut self, from: u32) -> Result<u32, Refusal> {
        let mut index = from;
        while self.container.socket.link_numbered(index)?.is_some() {
            index += 1;
        }
        Ok(index)
    }

    /// Gives a device of the container its addresses, and sets it up.
    fn set_up(&mut self, index: u32, host: &str, addresses: &[Address]) -> Result<()> {
        let socket = &mut self.container.socket;
        let fail = |refusal| failed(format!("cannot set the network device {host} up"), refusal);
        let link = socket.link_numbered(index).map_err(fail)?.ok_or(Errno::ENODEV);
        let link = link.map_err(|errno| fail(errno.into()))?;
        for address in addresses.iter().filter(|address| address.is_global_and_permanent()) {
            let address = address.clone().renamed(host, &link.name);
            socket.add_address(index, &address).map_err(|refusal| {
                failed(format!("cannot keep the addresses of the network device {host}"), refusal)
            })?;
        }
        socket.set_up(index).map_err(fail)
    }

    /// Gives everything back that was moved, as it was. What cannot be given back is told.
    pub(super) fn take_back(mut self) {
        for moved in std::mem::take(&mut self.moved).into_iter().rev() {
            if let Err(refusal) = self.return_device(&moved) {
                let message = format!("cannot return the network device {}", moved.link.name);
                log::warn!("{}", failed(message, refusal));
            }
        }
    }

    fn return_device(&mut self, moved: &Moved) -> Result<(), Refusal> {
        let Moved { link, addresses, index } = moved;
        let namespace = self.host.namespace.as_fd();
        let own = Move { namespace, index: Some(link.index), name: &link.name };
        // Somebody may have its number by now.
        let any = Move { index: None, ..own };
        let socket = &mut self.container.socket;
        socket.move_link(*index, &own).or_else(|_| socket.move_link(*index, &any))?;
        let socket = &mut self.host.socket;
        let index = socket.link_named(&link.name)?.ok_or(Errno::ENODEV)?.index;
        // Also without one of its addresses it is worth more if it is up.
        let addresses = addresses.iter().filter(|address| !address.is_derived());
        let refusals: Vec<Refusal> =
            addresses.filter_map(|address| socket.add_address(index, address).err()).collect();
        if link.up {
            socket.set_up(index)?;
        }
        refusals.into_iter().next().map_or(Ok(()), Err)
    }
}

/// A refusal as an error, with the kernel's own words.
fn failed(message: String, Refusal { errno, words }: Refusal) -> Error {
    let words = words.map(|words| format!(" ({words})")).unwrap_or_default();
    Error::system(message + &words, errno)
}
