//! That a container is ready, passed on to the service manager: sd_notify(3).
//!
//! Whoever starts a container with [`Options::notify_socket`](crate::Options::notify_socket) takes
//! its [`NotifySocket`] and tells a [`ServiceManager`], or does something else about it. Of all that
//! a container may send only `READY=1` means anything here; everything else is dropped, and no
//! descriptor is accepted. Nothing is ever waited for that a container could hold back: who waits
//! for its word also sees its end.

use std::ffi::OsStr;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use libcontainer_init::sys::file;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::socket::sockopt::SendTimeout;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send,
    sendmsg, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::pipe2;

use super::link;
use crate::error::{Error, ErrorKind, Result, call};

/// The longest message that is looked at, in bytes: as with systemd.
const LONGEST: usize = 4096;
/// How many messages are taken at once, so that one who sends without end stops nobody.
const ROUNDS: usize = 64;
/// How long the service manager may take to receive a message, in seconds.
const PATIENCE: i64 = 10;

/// Where a started container says that it is ready. Those who send to it wait when nobody receives;
/// once this is dropped, they get an error.
#[derive(Debug)]
pub struct NotifySocket(OwnedFd);

impl NotifySocket {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Takes messages that have arrived, without waiting; whether one of them says `READY=1`.
    ///
    /// # Errors
    /// The kernel does not let this process receive.
    pub fn says_ready(&self) -> Result<bool> {
        // One byte more: a message that fills it is too long.
        let mut buffer = [0; LONGEST + 1];
        let mut ready = false;
        for _ in 0..ROUNDS {
            // Without room for them the kernel closes descriptors that came along.
            match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => ready |= buffer.get(..length).is_some_and(is_ready),
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(errno) => {
                    return Err(Error::system(
                        "cannot receive the container's notifications",
                        errno,
                    ));
                }
            }
        }
        Ok(ready)
    }

    /// Waits until the container says that it is ready; false when its process, given by a pidfd,
    /// ends without a word.
    ///
    /// # Errors
    /// As [`NotifySocket::says_ready`].
    pub fn await_ready(&self, process: impl AsFd) -> Result<bool> {
        let process = process.as_fd().as_raw_fd();
        loop {
            let [_, ended] = file::wait_either([self.0.as_raw_fd(), process], None)
                .map_err(|failure| call("cannot wait for the container", failure))?;
            if self.says_ready()? {
                return Ok(true);
            }
            if ended {
                return Ok(false);
            }
        }
    }
}

impl AsFd for NotifySocket {
    /// Readable when a message has arrived.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn is_ready(message: &[u8]) -> bool {
    message.len() <= LONGEST && message.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

/// The service manager that waits for this program's service to be ready.
#[derive(Debug)]
pub struct ServiceManager(OwnedFd);

impl ServiceManager {
    /// Connects to a service manager, at what it has put into the environment as `NOTIFY_SOCKET`: an
    /// absolute path, or `@` and the name of an abstract socket.
    ///
    /// # Errors
    /// The address is of another kind, or nobody listens there.
    pub fn connect(address: &OsStr) -> Result<Self> {
        let shown = address.to_string_lossy();
        let socket = match address.as_bytes() {
            [b'/', ..] => link::connect(Path::new(address), SockType::Datagram)?,
            [b'@', name @ ..] => {
                let fail = |errno| Error::system(format!("cannot connect to {shown}"), errno);
                let flags = SockFlag::SOCK_CLOEXEC;
                let fd = socket(AddressFamily::Unix, SockType::Datagram, flags, None);
                let fd = fd.map_err(fail)?;
                let address = UnixAddr::new_abstract(name).map_err(fail)?;
                connect(fd.as_raw_fd(), &address).map_err(fail)?;
                fd
            }
            _ => {
                let message = format!("\"{shown}\" is not the address of a notify socket");
                return Err(Error::new(ErrorKind::Input, message));
            }
        };
        setsockopt(&socket, SendTimeout, &TimeVal::seconds(PATIENCE))
            .map_err(|errno| Error::system("cannot limit the time of sending", errno))?;
        Ok(Self(socket))
    }

    /// Says that the service is ready, and which is its main process if it is another than before, by
    /// the pid in this process's PID namespace.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn ready(&self, main_pid: Option<i32>) -> Result<()> {
        let mut message = "READY=1".to_owned();
        if let Some(pid) = main_pid {
            message += &format!("\nMAINPID={pid}");
        }
        send(self.0.as_raw_fd(), message.as_bytes(), MsgFlags::MSG_NOSIGNAL)
            .map(drop)
            .map_err(|errno| Error::system("cannot notify the service manager", errno))
    }

    /// Waits until all that was said before has been looked at, as whoever sent it must still exist
    /// then: sd_notify_barrier(3). False when the time has passed, as it does with a manager that
    /// does not know this.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn barrier(&self, timeout: Duration) -> Result<bool> {
        let fail = |errno| Error::system("cannot synchronize with the service manager", errno);
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC).map_err(fail)?;
        let descriptors = [theirs.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&descriptors)];
        let (fd, flags) = (self.0.as_raw_fd(), MsgFlags::MSG_NOSIGNAL);
        sendmsg::<()>(fd, &[IoSlice::new(b"BARRIER=1")], &rights, flags, None).map_err(fail)?;
        drop(theirs);
        let milliseconds = timeout.as_millis().try_into().unwrap_or(u64::MAX);
        file::wait_readable(ours.as_raw_fd(), Some(milliseconds))
            .map_err(|failure| call("cannot wait for the service manager", failure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_of_its_own_says_ready() {
        for good in ["READY=1", "READY=1\n", "STATUS=up\nREADY=1\nMAINPID=1"] {
            assert!(is_ready(good.as_bytes()), "{good:?}");
        }
        for bad in ["", "READY=0", "READY=1 ", "READY=11", "STATUS=READY=1", "ready=1", "\0READY=1"]
        {
            assert!(!is_ready(bad.as_bytes()), "{bad:?}");
        }
        let mut long = vec![b'\n'; LONGEST];
        long[LONGEST - 7..].copy_from_slice(b"READY=1");
        assert!(is_ready(&long));
        long.insert(0, b'\n');
        assert!(!is_ready(&long), "it is one byte too long");
    }

    #[test]
    fn an_address_is_a_path_or_the_name_of_an_abstract_socket() {
        for bad in ["", "relative", "./x", "vsock:2:1234", "tcp:1"] {
            let error = ServiceManager::connect(OsStr::new(bad)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input, "{bad:?}");
        }
        for missing in ["/nonexistent/notify", "@keel-nobody-listens-here"] {
            let error = ServiceManager::connect(OsStr::new(missing)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::System, "{missing:?}");
        }
    }
}
