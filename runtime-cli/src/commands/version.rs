//! `keel version` and `keel --version`: lines that engines take apart.
//!
//! The first line is `<name> version <version>`, as runc's; the commit is given at build time.

use std::process::ExitCode;

use libcontainer::container::OCI_VERSION;

use crate::args::Invocation;
use crate::args::table::{Command, Example};
use crate::report::{self, Failure};

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "version",
    about: "show the version",
    details: "",
    operands: &[],
    rest: None,
    flags: &[],
    examples: &[Example { line: "keel version", does: "the same as keel --version" }],
    run,
};

/// Show the version.
fn run(_: &Invocation) -> Result<ExitCode, Failure> {
    print()
}

/// Show the version.
pub(crate) fn print() -> Result<ExitCode, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let commit = option_env!("KEEL_COMMIT").unwrap_or("unknown");
    report::print(&format!("keel version {version}\ncommit: {commit}\nspec: {OCI_VERSION}\n"))
}
