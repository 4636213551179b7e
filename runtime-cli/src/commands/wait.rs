//! `keel wait`: wait for the end of a container, and tell how it ended.

use std::process::ExitCode;

use crate::args::Invocation;
use crate::args::table::{Command, Example, Flag, ID, Takes, flag, short};
use crate::report::{self, Failure};

static FORMAT: Flag =
    short('f', flag("format", Takes::OneOf(&["text", "json"]), "how to write it (default: text)"));

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "wait",
    about: "wait for the end of a container and show its exit status",
    details: "\
As text it is the exit status, or 128 and the number of the signal that ended the container's \
process. JSON has more: whether memory ran out, the processor time and the most memory used. \
It works after the end, too, if a keel wait or a keel run --keep was there, or if the parent of \
the process has not collected it yet; otherwise the kernel has told nobody else.",
    operands: &[ID],
    rest: None,
    flags: &[&FORMAT],
    examples: &[
        Example { line: "keel wait web", does: "0 when all went well" },
        Example { line: "keel wait --format json web", does: "everything that is known" },
    ],
    run,
};

/// Wait for a container.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let ending = super::container(invocation)?.ending()?;
    match invocation.flags.word(&FORMAT) {
        Some("json") => report::print(&format!("{}\n", ending.to_json())),
        _ => report::print(&format!("{}\n", ending.exit.status())),
    }
}
