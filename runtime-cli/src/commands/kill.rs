//! `keel kill`: send a signal to a container's process, or to all of its processes.

use std::process::ExitCode;

use libcontainer::{Container, Error, ErrorKind, Signal};

use super::matching::{self, REGEX};
use crate::args::Invocation;
use crate::args::table::{Command, Example, Flag, ID, Operand, Takes, flag, short};
use crate::report::Failure;

pub(crate) static ALL: Flag =
    short('a', flag("all", Takes::Nothing, "signal every process of the container"));

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "kill",
    about: "send a signal to a container",
    details: "",
    operands: &[
        ID,
        Operand {
            name: "SIGNAL",
            required: false,
            help: "its name or number: KILL, SIGKILL, 9, RTMIN+1 (default: the stop signal of the image, or TERM)",
        },
    ],
    rest: None,
    flags: &[&ALL, &REGEX],
    examples: &[
        Example { line: "keel kill web", does: "ask its process to end" },
        Example { line: "keel kill --all web KILL", does: "end every process of it" },
        Example { line: "keel kill --regex ^web-[0-9]+$", does: "web-1, web-2, and so on" },
    ],
    run,
};

/// Send a signal to one container, or to all that a regular expression matches.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let signal = invocation.operand(1).map(|word| word.to_string_lossy().parse()).transpose()?;
    let all = invocation.flags.on(&ALL);
    if invocation.flags.on(&REGEX) {
        let ids = matching::ids(invocation)?;
        if ids.is_empty() {
            return Err(matching::none(invocation).into());
        }
        return matching::each(&ids, |id| kill(&super::open(invocation, id)?, signal, all));
    }
    kill(&super::container(invocation)?, signal, all)?;
    Ok(ExitCode::SUCCESS)
}

/// Send a signal. Of all processes of a container that has stopped there are none left, which is
/// what engines mean to reach with `--all` and no failure.
fn kill(container: &Container, signal: Option<Signal>, all: bool) -> Result<(), Error> {
    let signal = signal.map_or_else(|| container.stop_signal(), Ok)?;
    match container.kill(signal, all) {
        Err(error) if all && error.kind() == ErrorKind::State => Ok(()),
        done => done,
    }
}
