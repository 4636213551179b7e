//! `keel completion SHELL`: what makes a shell complete keel's command lines.

use std::process::ExitCode;

use libcontainer::{Error, ErrorKind};

use crate::args::Invocation;
use crate::args::table::{Command, Example, Operand};
use crate::completion;
use crate::report::{self, Failure};

/// The shells for which there is a script.
pub(crate) const SHELLS: [&str; 3] = ["bash", "fish", "zsh"];

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "completion",
    about: "write the script that completes command lines in a shell",
    details: "\
Commands, flags, their values and the ids of containers are completed. The script belongs where the \
shell looks for it, or is read by it at its start.",
    operands: &[Operand { name: "SHELL", required: true, help: "bash, fish or zsh" }],
    rest: None,
    flags: &[],
    examples: &[
        Example {
            line: "keel completion bash",
            does: "for /usr/share/bash-completion/completions/keel, or: source <(...)",
        },
        Example {
            line: "keel completion zsh",
            does: "for a file _keel in a directory of $fpath, or: source <(...)",
        },
        Example { line: "keel completion fish", does: "for ~/.config/fish/completions/keel.fish" },
    ],
    run,
};

/// Write the script of a shell.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let shell = invocation.operand(0).unwrap_or_default().to_string_lossy();
    match &*shell {
        "bash" => report::print(&completion::bash()),
        "fish" => report::print(&completion::fish()),
        "zsh" => report::print(&completion::zsh()),
        other => {
            let message =
                format!("no completion for \"{}\": bash, fish or zsh", other.escape_debug());
            Err(Error::new(ErrorKind::Input, message).into())
        }
    }
}
