//! `keel mounts`: mount more in a container, or unmount.

use std::path::Path;
use std::process::ExitCode;

use libcontainer::spec::{Mount, Spec};
use libcontainer::{Error, ErrorKind};

use crate::args::Invocation;
use crate::args::table::{Command, Example, Operand};
use crate::document;
use crate::report::Failure;

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "mounts",
    about: "add mounts to a container, or remove mounts from it",
    details: "\
FILE holds a JSON array of mounts as config.json has them, or an object with the member mounts. To \
remove mounts their destinations are enough; they are removed in reverse. When one cannot be added, \
those before it are removed again.",
    operands: &[
        Operand { name: "ACTION", required: true, help: "add or remove" },
        Operand { name: "ID", required: true, help: "the id of the container" },
        Operand { name: "FILE", required: true, help: "the list of mounts" },
    ],
    rest: None,
    flags: &[],
    examples: &[
        Example { line: "keel mounts add web more.json", does: "mount what more.json lists" },
        Example { line: "keel mounts remove web more.json", does: "and unmount it" },
    ],
    run,
};

/// Add or remove mounts.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let word = |place| invocation.operand(place).unwrap_or_default();
    let action = word(0).to_string_lossy();
    let id = word(1).to_string_lossy().parse()?;
    let mounts = read(Path::new(word(2)))?;
    let container = super::open(invocation, &id)?;
    match &*action {
        "add" => {
            for warning in container.add_mounts(&mounts)? {
                log::warn!("{warning}");
            }
        }
        "remove" => {
            let destinations: Vec<String> = mounts.into_iter().map(|m| m.destination).collect();
            container.remove_mounts(&destinations)?;
        }
        other => {
            let message = format!("mounts can add and remove, not \"{}\"", other.escape_debug());
            return Err(Error::new(ErrorKind::Input, message).into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The list in a file, read as `config.json` is.
fn read(path: &Path) -> Result<Vec<Mount>, Error> {
    let mut text = document::read(path)?;
    if text.trim_ascii_start().starts_with(b"[") {
        text = [b"{\"mounts\":", text.as_slice(), b"}"].concat();
    }
    let mounts = Spec::parse(&text)?.mounts;
    if mounts.is_empty() {
        let message = format!("{} lists no mounts", path.display());
        return Err(Error::new(ErrorKind::Input, message).path(path));
    }
    Ok(mounts)
}
