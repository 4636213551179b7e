//! `keel run`: create, start, wait, delete.
//!
//! Detached it ends where `keel start` would. A container that could not be started is removed, as
//! nobody has been told of it, unless `--keep` wants to look at it.

use std::process::ExitCode;

use nix::sys::prctl::set_child_subreaper;

use super::create::create;
use crate::args::Invocation;
use crate::args::table::{DETACH, KEEP, NO_SUBREAPER};
use crate::foreground;
use crate::report::{self, Failure};

/// Run a container.
pub(crate) fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let flags = &invocation.flags;
    let (detach, keep) = (flags.on(&DETACH), flags.on(&KEEP));
    if !detach
        && !flags.on(&NO_SUBREAPER)
        && let Err(errno) = set_child_subreaper(true)
    {
        log::warn!("cannot adopt orphans: {}", libcontainer::errno_text(errno));
    }
    let (store, mut container) = create(invocation, !detach)?;
    let ended = match detach {
        true => container.start().map(|()| 0),
        false => foreground::supervise(&mut container),
    };
    let removed = match &ended {
        _ if keep => Ok(()),
        Ok(_) if detach => Ok(()),
        Ok(_) => container.delete(),
        Err(_) => store.delete_forced(&container.id().clone()),
    };
    if let Err(error) = removed {
        // What the container did is worth more to the caller than this.
        report::error(&error);
    }
    Ok(ended.map(ExitCode::from)?)
}
