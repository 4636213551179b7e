//! `keel resume`: let a paused container go on.

use std::process::ExitCode;

use crate::args::Invocation;
use crate::args::table::{Command, Example, ID};
use crate::report::Failure;

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "resume",
    about: "let a paused container go on",
    details: "",
    operands: &[ID],
    rest: None,
    flags: &[],
    examples: &[Example { line: "keel resume web", does: "let them go on" }],
    run,
};

fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    super::container(invocation)?.resume()?;
    Ok(ExitCode::SUCCESS)
}
