//! The listener of a filter of system calls: taken from init, and passed on to whoever is to answer.
//!
//! Whoever starts a process does this, `start` or `exec`, while init stands still: no call of the
//! process is judged before somebody can answer (config-linux.md, "The Container Process State").

use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

use libcontainer_init::sys::pidfd;
use nix::sys::socket::{ControlMessage, MsgFlags, SockType, sendmsg};
use nix::sys::uio::pwrite;

use super::link;
use crate::config::Listener;
use crate::error::{Error, ErrorKind, Result, call};
use crate::spec::{ProcessState, State};

const POINTER: &str = "/linux/seccomp/listenerPath";

/// Passes the listener on that init will have under this number, and lets init go on.
pub(super) fn pass(
    listener: &Listener,
    init: &OwnedFd,
    pid: i32,
    number: i32,
    gate: &OwnedFd,
    state: State,
) -> Result<()> {
    let socket =
        link::connect(&listener.path, SockType::Stream).map_err(|e| e.pointer_is(POINTER))?;
    let taken = take(init, number)?;
    let document = ProcessState {
        oci_version: super::OCI_VERSION.to_owned(),
        fds: vec!["seccompFd".to_owned()],
        pid,
        metadata: listener.metadata.clone(),
        state,
    };
    let text = serde_json::to_vec(&document).unwrap_or_default();
    let descriptors = [taken.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_NOSIGNAL);
    let sent = sendmsg::<()>(fd, &[IoSlice::new(&text)], &rights, flags, None);
    let fail = |message: &str, errno| {
        Error::system(format!("cannot {message}"), errno).path(&listener.path).pointer_is(POINTER)
    };
    match sent.map_err(|errno| fail("pass on the listener of the filter", errno))? {
        count if count == text.len() => {}
        _ => return Err(fail("tell the listener everything", nix::errno::Errno::EMSGSIZE)),
    }
    pwrite(gate, b"1", 0).map_err(|errno| fail("let init go on", errno))?;
    Ok(())
}

/// Takes the listener as soon as it is there: a moment after init has said so.
fn take(init: &OwnedFd, number: i32) -> Result<OwnedFd> {
    const PATIENCE: Duration = Duration::from_secs(10);
    const PAUSE: Duration = Duration::from_micros(20);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match pidfd::take_descriptor(init.as_raw_fd(), number).map(OwnedFd::from) {
            Ok(descriptor) if is_listener(&descriptor) => return Ok(descriptor),
            // Not there yet, or still what had the number before.
            Ok(_) => {}
            Err(failure) if failure.errno.0 == libc::EBADF => {}
            Err(failure) => {
                let message = "cannot take the listener of the filter";
                return Err(call(message, failure).pointer_is(POINTER));
            }
        }
        if Instant::now() > deadline {
            let message = "init does not load its filter";
            return Err(Error::new(ErrorKind::Init, message).pointer_is("/linux/seccomp"));
        }
        sleep(PAUSE);
    }
}

fn is_listener(descriptor: &OwnedFd) -> bool {
    let link = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    let target = std::fs::read_link(link).unwrap_or_default();
    target.as_os_str() == "anon_inode:seccomp notify"
}
