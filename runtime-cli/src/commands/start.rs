//! `keel start`: let the process of a created container begin.

use std::process::ExitCode;

use crate::args::Invocation;
use crate::args::table::{Command, Example, ID};
use crate::report::Failure;

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "start",
    about: "start the process of a created container",
    details: "",
    operands: &[ID],
    rest: None,
    flags: &[],
    examples: &[Example { line: "keel start web", does: "after: keel create web" }],
    run,
};

/// Start a container.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    super::container(invocation)?.start()?;
    Ok(ExitCode::SUCCESS)
}
