//! Where the log goes: standard error, a file, the journal, or syslog.
//!
//! The journal and syslog are sockets of this machine, which take one datagram for each record: the
//! journal in its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL), with what is known about an
//! error as fields, and syslog as syslog(3) writes it, but for the time, which every receiver takes
//! itself. Only `log` uses it. What cannot be opened is an error; what cannot be sent is dropped.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use libcontainer::{Error, ErrorKind};
use log::Level;
use serde_json::{Map, Value};

const JOURNAL: &str = "/run/systemd/journal/socket";
const SYSLOG: &str = "/dev/log";
/// The longest message that is sent, in bytes: more may not fit in one datagram.
const LONGEST: usize = 64 << 10;
/// How long a receiver may be busy before a record is dropped, once.
const PATIENCE: Duration = Duration::from_secs(1);
/// The facility `user` of syslog(3), which is that of programs without one of their own.
const USER: u8 = 1 << 3;

/// Where records go.
#[derive(Debug)]
pub(super) enum Target {
    /// To standard error.
    Stderr,
    /// To the end of a file.
    File(File),
    /// To the journal.
    Journal(Datagrams),
    /// To syslog.
    Syslog(Datagrams),
}

/// A connected socket, and the name that this program has in the log.
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UnixDatagram,
    name: String,
}

impl Target {
    /// Open what `--log` names: `journald:[NAME]`, `syslog:[NAME]`, `file:PATH`, or a path.
    pub(super) fn open(given: Option<&OsStr>) -> Result<Self, Error> {
        let Some(given) = given else { return Ok(Self::Stderr) };
        let after = |prefix: &str| given.as_bytes().strip_prefix(prefix.as_bytes());
        if let Some(name) = after("journald:") {
            Datagrams::connect(JOURNAL, "the journal", name).map(Self::Journal)
        } else if let Some(name) = after("syslog:") {
            Datagrams::connect(SYSLOG, "syslog", name).map(Self::Syslog)
        } else {
            let path = Path::new(OsStr::from_bytes(after("file:").unwrap_or(given.as_bytes())));
            let file = OpenOptions::new().append(true).create(true).open(path);
            file.map(Self::File).map_err(|error| {
                Error::io(format!("cannot open log file {}", path.display()), &error).path(path)
            })
        }
    }
}

impl Datagrams {
    fn connect(path: &str, what: &str, name: &[u8]) -> Result<Self, Error> {
        let name = if name.is_empty() { b"keel" } else { name };
        let printable = |byte: &u8| byte.is_ascii_graphic();
        let Some(name) = str::from_utf8(name).ok().filter(|_| name.iter().all(printable)) else {
            let shown = name.escape_ascii();
            let message = format!("cannot log to {what} as \"{shown}\": a name has no blanks");
            return Err(Error::new(ErrorKind::Input, message));
        };
        let socket = UnixDatagram::unbound().and_then(|socket| {
            socket.connect(path)?;
            socket.set_write_timeout(Some(PATIENCE))?;
            Ok(socket)
        });
        let socket = socket.map_err(|error| {
            Error::io(format!("cannot log to {what}, {path}"), &error).path(Path::new(path))
        })?;
        Ok(Self { socket, name: name.to_owned() })
    }

    /// Send a record to the journal.
    pub(super) fn journal(&self, level: Level, message: &str, members: &Map<String, Value>) {
        let mut entry = Vec::new();
        field(&mut entry, "PRIORITY", &severity(level).to_string());
        field(&mut entry, "SYSLOG_IDENTIFIER", &self.name);
        field(&mut entry, "MESSAGE", shortened(message));
        for (name, value) in members {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            field(&mut entry, &field_name(name), shortened(&text));
        }
        self.send(&entry);
    }

    /// Send a line to syslog.
    pub(super) fn syslog(&self, level: Level, line: &str) {
        let (priority, name, pid) = (USER | severity(level), &self.name, std::process::id());
        let record = format!("<{priority}>{name}[{pid}]: {}", shortened(line));
        self.send(record.as_bytes());
    }

    fn send(&self, record: &[u8]) {
        if self.socket.send(record).is_err() {
            // Nobody waits a second time for a receiver that does not read.
            let _ = self.socket.set_nonblocking(true);
        }
    }
}

/// The level as syslog(3) numbers it.
fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// The journal's field for what is known about an error. It has one of its own for the errno
/// (systemd.journal-fields(7)).
fn field_name(member: &str) -> String {
    match member {
        "errno" => "ERRNO".to_owned(),
        _ => format!("KEEL_{}", member.to_ascii_uppercase()),
    }
}

/// One field of a journal's entry. A value with line breaks is written with its length.
fn field(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

/// The beginning of a text that is too long for a datagram.
fn shortened(text: &str) -> &str {
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_the_journal_says_its_length_if_it_has_lines() {
        let mut entry = Vec::new();
        field(&mut entry, "MESSAGE", "one=1");
        field(&mut entry, "MESSAGE", "a\nPRIORITY=0");
        let expected = b"MESSAGE=one=1\nMESSAGE\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\n";
        assert_eq!(entry, expected);
        assert_eq!(field_name("errno"), "ERRNO");
        assert_eq!(field_name("pointer"), "KEEL_POINTER");
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        assert_eq!(shortened("short"), "short");
        let long = format!("x{}", "ä".repeat(LONGEST));
        assert_eq!(shortened(&long).len(), LONGEST - 1);
        assert_eq!(shortened(&"x".repeat(LONGEST)).len(), LONGEST);
    }

    #[test]
    fn a_name_in_the_log_is_one_word() {
        for bad in ["journald:two words", "syslog:line\nbreak", "journald:\u{e4}"] {
            let error = Target::open(Some(OsStr::new(bad))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input, "{bad}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
