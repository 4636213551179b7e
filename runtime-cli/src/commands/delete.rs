//! `keel delete`: remove what is left of a container.

use std::process::ExitCode;

use libcontainer::ContainerId;

use super::matching::{self, REGEX};
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
    flags: &[&FORCE, &REGEX],
    examples: &[
        Example { line: "keel delete web", does: "when its process has ended" },
        Example { line: "keel delete --force web", does: "in any case" },
        Example { line: "keel delete --force --regex ^test-", does: "all whose ids begin so" },
    ],
    run,
};

/// Remove one container, or all that a regular expression matches. By force there is nothing to
/// object to, not even that it does not exist: engines clean up so after every end.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let force = invocation.flags.on(&FORCE);
    let delete = |id: &ContainerId| match force {
        true => super::store(&invocation.globals)?.delete_forced(id),
        false => super::open(invocation, id)?.delete(),
    };
    if invocation.flags.on(&REGEX) {
        let ids = matching::ids(invocation)?;
        if ids.is_empty() && !force {
            return Err(matching::none(invocation).into());
        }
        return matching::each(&ids, delete);
    }
    delete(&invocation.id()?)?;
    Ok(ExitCode::SUCCESS)
}
