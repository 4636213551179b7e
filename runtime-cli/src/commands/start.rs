//! `keel start`: let the process of a created container begin.

use std::process::ExitCode;

use crate::args::Invocation;
use crate::args::table::{Command, Example, ID};
use crate::notify;
use crate::report::Failure;

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "start",
    about: "start the process of a created container",
    details: "\
With $NOTIFY_SOCKET of a service manager, for create and for start, it ends when the container has \
said that it is ready, sd_notify(3), and the manager has been told, or when the container has \
ended.",
    operands: &[ID],
    rest: None,
    flags: &[],
    examples: &[Example { line: "keel start web", does: "after: keel create web" }],
    run,
};

/// Start a container.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let mut container = super::container(invocation)?;
    let manager = notify::manager()?;
    container.start()?;
    notify::pass_on(manager, &mut container);
    Ok(ExitCode::SUCCESS)
}
