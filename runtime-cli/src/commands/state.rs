//! `keel state`: the state of a container as JSON, laid out as runc does it.

use std::process::ExitCode;

use libcontainer::{Error, ErrorKind};

use crate::args::Invocation;
use crate::args::table::{Command, Example, ID};
use crate::report::{self, Failure};

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "state",
    about: "show the state of a container as JSON",
    details: "",
    operands: &[ID],
    rest: None,
    flags: &[],
    examples: &[Example { line: "keel state web", does: "its status, pid and bundle" }],
    run,
};

/// Show the state of a container.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let state = super::container(invocation)?.state()?;
    let text = serde_json::to_string_pretty(&state)
        .map_err(|error| Error::new(ErrorKind::Record, format!("cannot write state: {error}")))?;
    report::print(&text)
}
