//! `keel kill`: send a signal to a container's process, or to all of its processes.

use std::process::ExitCode;

use libcontainer::ErrorKind;

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
            help: "its name or number: KILL, SIGKILL, 9, RTMIN+1 (default: TERM)",
        },
    ],
    rest: None,
    flags: &[&ALL],
    examples: &[
        Example { line: "keel kill web", does: "ask its process to end" },
        Example { line: "keel kill --all web KILL", does: "end every process of it" },
    ],
    run,
};

/// Send a signal. Of all processes of a container that has stopped there are none left, which is
/// what engines mean to reach with `--all` and no failure.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let name = invocation.operand(1).map_or_else(|| "TERM".into(), |word| word.to_string_lossy());
    let signal = name.parse()?;
    let all = invocation.flags.on(&ALL);
    match super::container(invocation)?.kill(signal, all) {
        Err(error) if all && error.kind() == ErrorKind::State => {}
        done => done?,
    }
    Ok(ExitCode::SUCCESS)
}
