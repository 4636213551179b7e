//! `keel pause`: stop all processes of a container where they are.

use std::process::ExitCode;

use crate::args::Invocation;
use crate::args::table::{Command, Example, ID};
use crate::report::Failure;

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "pause",
    about: "stop all processes of a container where they are",
    details: "\
It returns when all of them stand still. A paused container can be looked at, updated, killed and \
resumed.",
    operands: &[ID],
    rest: None,
    flags: &[],
    examples: &[Example { line: "keel pause web", does: "stop its processes for now" }],
    run,
};

fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    super::container(invocation)?.pause()?;
    Ok(ExitCode::SUCCESS)
}
