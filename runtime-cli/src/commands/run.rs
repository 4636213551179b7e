//! `keel run`: create, start, wait, delete.
//!
//! Detached it ends where `keel start` would. A container that could not be started is removed, as
//! nobody has been told of it, unless `--keep` wants to look at it.

use std::process::ExitCode;

use nix::sys::prctl::set_child_subreaper;

use super::create::create;
use crate::args::Invocation;
use crate::args::table::{
    BUNDLE, CONFIG, CONSOLE_SOCKET, Command, Example, Flag, NEW_ID, NO_NEW_KEYRING, NO_PIVOT,
    PID_FILE, PIDFD_SOCKET, PRESERVE_FDS, STRICT, Takes, flag, short,
};
use crate::report::{self, Failure};
use crate::{foreground, notify};

pub(crate) static DETACH: Flag =
    short('d', flag("detach", Takes::Nothing, "return once the container's process has started"));
pub(crate) static KEEP: Flag =
    flag("keep", Takes::Nothing, "do not delete the container when its process has ended");
pub(crate) static NO_SUBREAPER: Flag =
    flag("no-subreaper", Takes::Nothing, "do not adopt the orphans of the container");

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "run",
    about: "create and start a container, wait for its end, and delete it",
    details: "\
In the foreground signals are passed on to the container, its terminal (process.terminal) is \
joined to this one, and the exit status is that of the container's process, or 128 and the number \
of the signal that ended it. With $NOTIFY_SOCKET the service manager is told when the container \
says that it is ready, sd_notify(3); detached, the command waits for that.",
    operands: &[NEW_ID],
    rest: None,
    flags: &[
        &BUNDLE,
        &CONFIG,
        &CONSOLE_SOCKET,
        &DETACH,
        &KEEP,
        &PID_FILE,
        &PIDFD_SOCKET,
        &NO_SUBREAPER,
        &NO_PIVOT,
        &NO_NEW_KEYRING,
        &PRESERVE_FDS,
        &STRICT,
    ],
    examples: &[
        Example { line: "keel run shell", does: "in the foreground" },
        Example {
            line: "keel run --detach --bundle /srv/web web",
            does: "in the background; keel delete web removes it in the end",
        },
    ],
    run,
};

/// Run a container.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let flags = &invocation.flags;
    let (detach, keep) = (flags.on(&DETACH), flags.on(&KEEP));
    if !detach
        && !flags.on(&NO_SUBREAPER)
        && let Err(errno) = set_child_subreaper(true)
    {
        log::warn!("cannot adopt orphans: {}", libcontainer::errno_text(errno));
    }
    let manager = notify::manager()?;
    let (store, mut container) = create(invocation, !detach, manager.is_some())?;
    let ended = match detach {
        true => container.start().map(|()| {
            notify::pass_on(manager, &mut container);
            0
        }),
        false => foreground::supervise(&mut container, manager),
    };
    let removed = match &ended {
        // Whoever looks at it may want to know how it ended.
        Ok(_) if keep && !detach => container.ending().map(drop),
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
