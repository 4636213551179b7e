//! `keel spec`: a configuration to start from.
//!
//! The text is laid out as runc does it: tabs, and no line break at the end. A configuration that
//! is there is never touched, nor what a symbolic link of that name leads to.

use std::fs::{self, File};
use std::io::{ErrorKind as Io, Write};
use std::process::ExitCode;

use libcontainer::spec::Spec;
use libcontainer::{Error, ErrorKind, Host};

use crate::args::Invocation;
use crate::args::table::{BUNDLE, Command, Example, Flag, Takes, flag, short};
use crate::report::Failure;

pub(crate) static ROOTLESS_SPEC: Flag =
    flag("rootless", Takes::Nothing, "make a configuration that runs without privileges");

pub(crate) static FILE: Flag = short(
    'f',
    flag("file", Takes::Text("FILE"), "write FILE, relative to DIR, in place of config.json"),
);

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "spec",
    about: "write a config.json to start from",
    details: "\
A file that is there already is left alone, and the command fails. The configuration of an ordinary \
user (--rootless) has a user namespace in which this user is root, the host's network and /sys, and \
no limits.",
    operands: &[],
    rest: None,
    flags: &[&BUNDLE, &FILE, &ROOTLESS_SPEC],
    examples: &[
        Example { line: "keel spec", does: "into this directory" },
        Example {
            line: "keel spec --rootless --bundle /srv/web",
            does: "for a container of this user, into another directory",
        },
    ],
    run,
};

/// Write the configuration.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let host = Host::probe()?;
    let unified = host.cgroups.legacy.is_empty() && host.cgroups.unified.is_some();
    let mut spec = Spec::example_for(unified);
    if invocation.flags.on(&ROOTLESS_SPEC) {
        spec = spec.into_rootless(host.euid, host.egid);
    }
    let text = serde_json::to_string_pretty(&spec).map_err(|error| {
        Error::new(ErrorKind::Config, format!("cannot write the spec: {error}"))
    })?;
    let bundle = invocation.flags.path(&BUNDLE).unwrap_or_default();
    let path = bundle.join(invocation.flags.path(&FILE).unwrap_or_else(|| "config.json".into()));
    let shown = path.display();
    let mut file = File::create_new(&path).map_err(|error| match error.kind() {
        Io::AlreadyExists => {
            Error::new(ErrorKind::Exists, format!("{shown} exists already: remove it first"))
        }
        _ => Error::io(format!("cannot create {shown}"), &error).path(&path),
    })?;
    file.write_all(with_tabs(&text).as_bytes()).map_err(|error| {
        // Half a configuration is worse than none.
        let _ = fs::remove_file(&path);
        Error::io(format!("cannot write {shown}"), &error).path(&path)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Each line indented by one tab instead of two blanks. No line begins inside a string: JSON
/// writes line breaks there as `\n`.
fn with_tabs(text: &str) -> String {
    let mut tabbed = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let content = line.trim_start_matches(' ');
        tabbed.extend(std::iter::repeat_n('\t', (line.len() - content.len()) / 2));
        tabbed.push_str(content);
    }
    tabbed
}

#[cfg(test)]
mod tests {
    use super::with_tabs;

    #[test]
    fn the_text_is_indented_with_tabs_and_says_the_same() {
        let value = serde_json::json!({ "a": [1, { "b": "  two\n  lines" }], "c": {} });
        let text = with_tabs(&serde_json::to_string_pretty(&value).unwrap());
        let lines = [
            "{",
            "\t\"a\": [",
            "\t\t1,",
            "\t\t{",
            "\t\t\t\"b\": \"  two\\n  lines\"",
            "\t\t}",
            "\t],",
            "\t\"c\": {}",
            "}",
        ];
        assert_eq!(text, lines.join("\n"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
