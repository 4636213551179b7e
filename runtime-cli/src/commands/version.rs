//! `keel version` and `keel --version`: lines that engines take apart.
//!
//! The first line is `<name> version <version>`, as runc's; the commit is given at build time.

use std::process::ExitCode;

use libcontainer::container::OCI_VERSION;

use crate::args::Invocation;
use crate::args::table::{Command, Example};
use crate::report::{self, Failure};

/// The version of this program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from.
pub(super) const COMMIT: &str = match option_env!("KEEL_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

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
    report::print(&format!("keel version {VERSION}\ncommit: {COMMIT}\nspec: {OCI_VERSION}\n"))
}
