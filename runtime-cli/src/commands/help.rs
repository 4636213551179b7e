//! `keel help [COMMAND]`: the same texts as `--help`.

use std::process::ExitCode;

use crate::args::{self, Invocation, help};
use crate::report::{self, Failure};

/// Show the help of the program or of one command.
pub(crate) fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    match invocation.operand(0) {
        None => report::print(&help::program()),
        Some(name) => report::print(&help::command(args::find(name)?)),
    }
}
