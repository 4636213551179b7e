//! `keel man DIR`: the manual pages as files, for a package or an installation by hand.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use libcontainer::Error;

use super::version::VERSION;
use crate::args::table::{COMMANDS, Command, Example, Operand};
use crate::args::{Invocation, manual};
use crate::report::Failure;

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "man",
    about: "write the manual pages into a directory",
    details: "\
One page of keel and one of each of its commands, all of section 1. Pages that are there already \
are replaced.",
    operands: &[Operand { name: "DIR", required: true, help: "a directory, such as .../man/man1" }],
    rest: None,
    flags: &[],
    examples: &[Example { line: "keel man /usr/local/share/man/man1", does: "then: man keel-run" }],
    run,
};

/// Write the manual pages.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let dir = Path::new(invocation.operand(0).unwrap_or_default());
    let pages = COMMANDS.iter().map(|command| manual::command(command, VERSION));
    for (name, page) in std::iter::once(manual::program(VERSION)).chain(pages) {
        write(dir, &name, &page).map_err(|error| {
            let path = dir.join(&name);
            Error::io(format!("cannot write {}", path.display()), &error).path(&path)
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Put a new file in place of what is there, so that no link is followed and nobody reads half.
fn write(dir: &Path, name: &str, page: &str) -> std::io::Result<()> {
    let new = dir.join(format!(".{name}.{}.new", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&new)?;
    file.write_all(page.as_bytes()).and_then(|()| fs::rename(&new, dir.join(name))).inspect_err(
        |_| {
            let _ = fs::remove_file(&new);
        },
    )
}
