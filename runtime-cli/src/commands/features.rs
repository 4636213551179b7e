//! `keel features`: what keel can do, for engines that ask before they rely on it.

use std::process::ExitCode;

use libcontainer::spec::Features;
use libcontainer::{Error, ErrorKind, features_document};

use super::version;
use crate::args::Invocation;
use crate::args::table::{Command, Example};
use crate::report::{self, Failure};

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "features",
    about: "show what keel can do, as JSON",
    details: "\
The features document of the runtime-spec. It is the same on every machine, whatever the kernel has.",
    operands: &[],
    rest: None,
    flags: &[],
    examples: &[Example { line: "keel features", does: "hooks, mount options, namespaces, ..." }],
    run,
};

/// Show the features document.
fn run(_: &Invocation) -> Result<ExitCode, Failure> {
    let document = Features { annotations: annotations(), ..features_document() };
    let text = serde_json::to_string_pretty(&document)
        .map_err(|error| Error::new(ErrorKind::Record, format!("cannot write: {error}")))?;
    report::print(&format!("{text}\n"))
}

/// What is known about this program. The name for checkpoints is runc's, which all runtimes use.
fn annotations() -> std::collections::BTreeMap<String, String> {
    let annotation = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    [
        annotation("keel.commit", version::COMMIT),
        annotation("keel.version", version::VERSION),
        annotation("org.opencontainers.runc.checkpoint.enabled", "false"),
    ]
    .into()
}
