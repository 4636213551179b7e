//! A connection to a message bus, and calls over it.
//!
//! Used by `systemd` alone. One call at a time, each with a deadline: a daemon that does not answer
//! is an error and never a hang. Signals that come meanwhile are kept for who waits for them.

use std::collections::VecDeque;
use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

use super::wire::{self, Call, FIXED, Received};
use crate::error::{Error, ErrorKind, Result};

/// How long an answer, or a job of systemd, may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// The longest line of the authentication that is read, in bytes.
const LINE: usize = 512;

/// An error that a daemon replied.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Its name, `org.freedesktop.systemd1.NoSuchUnit`.
    pub name: String,
    /// What it says.
    pub sentence: String,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    private: bool,
    serial: u32,
    signals: VecDeque<(String, Vec<String>)>,
}

impl Bus {
    /// Connects and authenticates, to the first address that works.
    pub(super) fn connect(addresses: &str) -> Result<Self> {
        let mut why = None;
        for address in addresses.split(';').filter(|address| !address.is_empty()) {
            match open(address).and_then(|stream| authenticate(&stream).map(|()| stream)) {
                Ok(stream) => {
                    let private = address.ends_with("/systemd/private");
                    return Ok(Self { stream, private, serial: 0, signals: VecDeque::new() });
                }
                Err(error) => why = Some((address, error)),
            }
        }
        Err(match why {
            Some((address, error)) => {
                Error::io(format!("cannot ask systemd: no message bus at {address}"), &error)
            }
            None => Error::new(
                ErrorKind::System,
                "this user has no message bus by which to ask systemd: \
                 DBUS_SESSION_BUS_ADDRESS and XDG_RUNTIME_DIR are not set",
            ),
        })
    }

    /// Whether it is systemd's own socket, with nobody between and nothing to greet.
    pub(super) fn is_private(&self) -> bool {
        self.private
    }

    /// Calls a method and waits for the reply: the leading text of its body.
    pub(super) fn call(
        &mut self,
        call: &Call<'_>,
    ) -> Result<std::result::Result<Option<String>, Refusal>> {
        self.serial += 1;
        let deadline = Instant::now() + PATIENCE;
        let fail = |error: &std::io::Error| {
            Error::io(format!("cannot call {} over the message bus", call.member), error)
        };
        self.stream.write_all(&call.encode(self.serial)).map_err(|error| fail(&error))?;
        loop {
            match self.receive(deadline).map_err(|error| fail(&error))? {
                Received::Return(to, text) if to == self.serial => return Ok(Ok(text)),
                Received::Error(to, name, sentence) if to == self.serial => {
                    return Ok(Err(Refusal { name, sentence }));
                }
                Received::Signal(member, texts) => self.signals.push_back((member, texts)),
                _ => {}
            }
        }
    }

    /// Waits for a signal that fits, but no longer than some time.
    pub(super) fn signal(
        &mut self,
        member: &str,
        time: Duration,
        fits: impl Fn(&[String]) -> bool,
    ) -> Result<Option<Vec<String>>> {
        let deadline = Instant::now() + time;
        loop {
            while let Some((name, texts)) = self.signals.pop_front() {
                if name == member && fits(&texts) {
                    return Ok(Some(texts));
                }
            }
            match self.receive(deadline) {
                Ok(Received::Signal(name, texts)) => self.signals.push_back((name, texts)),
                Ok(_) => {}
                Err(error) if error.kind() == IoErrorKind::TimedOut => return Ok(None),
                Err(_) if self.private => return Ok(None),
                Err(error) => {
                    let message = format!("cannot wait for {member} on the message bus");
                    return Err(Error::io(message, &error));
                }
            }
        }
    }

    /// Receives a message that begins before the deadline.
    fn receive(&mut self, deadline: Instant) -> std::io::Result<Received> {
        let mut message = vec![0; FIXED];
        self.read(&mut message[..1], deadline)?;
        let deadline = Instant::now() + PATIENCE;
        self.read(&mut message[1..], deadline)?;
        let fixed: &[u8; FIXED] = message.first_chunk().ok_or(IoErrorKind::InvalidData)?;
        let rest = wire::rest(fixed).ok_or(IoErrorKind::InvalidData)?;
        message.resize(FIXED + rest, 0);
        self.read(&mut message[FIXED..], deadline)?;
        wire::decode(&message).ok_or_else(|| IoErrorKind::InvalidData.into())
    }

    fn read(&mut self, mut buf: &mut [u8], deadline: Instant) -> std::io::Result<()> {
        while !buf.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(IoErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(buf) {
                Ok(0) => return Err(IoErrorKind::UnexpectedEof.into()),
                Ok(count) => buf = &mut buf[count..],
                Err(error)
                    if matches!(
                        error.kind(),
                        IoErrorKind::Interrupted | IoErrorKind::WouldBlock
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Connects to one address (D-Bus Specification, "Server Addresses"): a Unix socket, by path or of
/// the abstract namespace.
fn open(address: &str) -> std::io::Result<UnixStream> {
    let keys = address.strip_prefix("unix:").ok_or(IoErrorKind::Unsupported)?;
    let value = |key: &str| {
        let pair = keys.split(',').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        pair.and_then(unescape)
    };
    let stream = if let Some(path) = value("path") {
        UnixStream::connect(path)?
    } else if let Some(name) = value("abstract") {
        UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?
    } else {
        return Err(IoErrorKind::Unsupported.into());
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Bytes that are written as `%41`.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

/// EXTERNAL, without a user id: the kernel tells the daemon whose socket it is, as seen from the
/// daemon's user namespace and not from a container's.
fn authenticate(mut stream: &UnixStream) -> std::io::Result<()> {
    stream.write_all(b"\0AUTH EXTERNAL\r\n")?;
    if line(stream)? != "DATA" {
        return Err(IoErrorKind::PermissionDenied.into());
    }
    stream.write_all(b"DATA\r\n")?;
    if !line(stream)?.starts_with("OK ") {
        return Err(IoErrorKind::PermissionDenied.into());
    }
    stream.write_all(b"BEGIN\r\n")
}

/// A line, read by the byte: what follows the last one are messages.
fn line(mut stream: &UnixStream) -> std::io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while !line.ends_with(b"\r\n") {
        if line.len() > LINE {
            return Err(IoErrorKind::InvalidData.into());
        }
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn bytes_of_an_address_may_be_escaped() {
        assert_eq!(unescape("/run/user/1000/bus").as_deref(), Some("/run/user/1000/bus"));
        assert_eq!(unescape("/tmp/a%2cb").as_deref(), Some("/tmp/a,b"));
        for bad in ["%", "%4", "%zz"] {
            assert_eq!(unescape(bad), None);
        }
    }
}
