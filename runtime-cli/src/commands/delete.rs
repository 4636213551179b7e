//! `keel delete`: remove what is left of a container.

use std::process::ExitCode;

use crate::args::Invocation;
use crate::args::table::{Command, Example, Flag, ID, Takes, flag, short};
use crate::report::Failure;

pub(crate) static FORCE: Flag = short(
    'f',
    flag("force", Takes::Nothing, "kill it first if it runs, and succeed if it does not exist"),
);

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "delete",
    about: "remove a stopped container",
    details: "",
    operands: &[ID],
    rest: None,
    flags: &[&FORCE],
    examples: &[
        Example { line: "keel delete web", does: "when its process has ended" },
        Example { line: "keel delete --force web", does: "in any case" },
    ],
    run,
};

/// Remove a container. By force there is nothing to object to, not even that it does not exist:
/// engines clean up so after every end.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    if invocation.flags.on(&FORCE) {
        super::store(&invocation.globals)?.delete_forced(&invocation.id()?)?;
    } else {
        super::container(invocation)?.delete()?;
    }
    Ok(ExitCode::SUCCESS)
}
