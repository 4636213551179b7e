//! Writing the offsets of a new time namespace, time_namespaces(7).
//!
//! Init has made it for its children. The offsets are its until the first process is in it, and
//! that is init, with the descriptor that it gets from here.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::OwnedFd;

use crate::error::{Error, Result};

/// Writes the offsets, if any, and opens the namespace.
pub(super) fn set(pid: i32, offsets: &[String]) -> Result<OwnedFd> {
    if !offsets.is_empty() {
        write(pid, offsets)?;
    }
    File::open(format!("/proc/{pid}/ns/time_for_children"))
        .map(OwnedFd::from)
        .map_err(|error| Error::io("cannot open the new time namespace", &error))
}

/// One write: the kernel takes all lines or none.
fn write(pid: i32, offsets: &[String]) -> Result<()> {
    let file = OpenOptions::new().write(true).open(format!("/proc/{pid}/timens_offsets"));
    let written = file.and_then(|mut file| file.write_all(offsets.join("\n").as_bytes()));
    written.map_err(|error| {
        let why = match error.raw_os_error() {
            Some(libc::ERANGE) => " (a clock would be negative, or near its end)",
            _ => "",
        };
        let offsets = offsets.join(", ");
        Error::io(format!("cannot set the time offsets \"{offsets}\"{why}"), &error)
    })
}
