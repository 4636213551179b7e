//! `keel help [COMMAND]`: the same texts as `--help`.

use std::process::ExitCode;

use crate::args::table::{Command, Example, Operand};
use crate::args::{self, Invocation, help};
use crate::color;
use crate::report::{self, Failure};

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "help",
    about: "show the help of keel or of one command",
    details: "",
    operands: &[Operand { name: "COMMAND", required: false, help: "the command" }],
    rest: None,
    flags: &[],
    examples: &[Example { line: "keel help run", does: "the same as keel run --help" }],
    run,
};

/// Show the help of the program or of one command.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    match invocation.operand(0) {
        None => print(&help::program()),
        Some(name) => print(&help::command(args::find(name)?)),
    }
}

/// Show a help text, in colours on a terminal.
pub(crate) fn print(text: &str) -> Result<ExitCode, Failure> {
    match color::wanted(&std::io::stdout()) {
        true => report::print(&help::in_colors(text)),
        false => report::print(text),
    }
}
