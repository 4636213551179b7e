//! `COMMANDS.md`, the list of every command and flag for people, held against the table.
//!
//! After a change of the table `BLESS=1 cargo test -p runtime-cli reference` writes it anew.

use std::fmt::Write;
use std::path::Path;

use super::help::usage_line;
use super::table::{COMMANDS, Command, Flag, GLOBALS, Takes};

const HEAD: &str = "\
# The command line of keel

Every command and every flag, as `keel COMMAND --help` tells them. Each command also has `--help`
(`-h`). A long flag may have one dash or two, and its value after a space or `=`; flags may stand
before or after the arguments, and a switch is taken back by `=false`. The global options stand
before the command.

This file is made from the table in `src/args/table.rs` and `src/commands/`:
`BLESS=1 cargo test -p runtime-cli reference`. Each row is called for real in
`integration/tests/every_flag.rs`.
";

fn document() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("\n## Commands\n\n| Command | |\n|---|---|\n");
    for command in COMMANDS {
        let name = command.name;
        let _ = writeln!(text, "| [`{name}`](#{name}) | {} |", cell(command.about));
    }
    text.push_str("\n## Global options\n\n");
    flags(&mut text, GLOBALS);
    COMMANDS.iter().for_each(|command| section(&mut text, command));
    text
}

fn section(text: &mut String, command: &Command) {
    let usage = usage_line(command);
    let _ = write!(text, "\n## {}\n\n`{usage}`: {}.\n", command.name, command.about);
    if !command.details.is_empty() {
        let _ = write!(text, "\n{}\n", command.details);
    }
    let mut operands = command.operands.iter().chain(&command.rest).peekable();
    if operands.peek().is_some() {
        text.push_str("\n| Argument | |\n|---|---|\n");
    }
    for operand in operands {
        let optional = if operand.required { "" } else { ", may be left out" };
        let _ = writeln!(text, "| `{}` | {}{optional} |", operand.name, cell(operand.help));
    }
    if !command.flags.is_empty() {
        text.push('\n');
        flags(text, command.flags);
    }
    text.push_str("\n```sh\n");
    let width = command.examples.iter().map(|example| example.line.len()).max().unwrap_or(0);
    for example in command.examples {
        let _ = writeln!(text, "{:width$}  # {}", example.line, example.does);
    }
    text.push_str("```\n");
}

fn flags(text: &mut String, flags: &[&Flag]) {
    text.push_str("| Flag | Short | Value | |\n|---|---|---|---|\n");
    for flag in flags {
        let short = flag.short.map_or_else(String::new, |letter| format!("`-{letter}`"));
        let value = match flag.takes {
            Takes::Nothing => String::new(),
            Takes::Text(name) => format!("`{name}`"),
            Takes::Texts(name) => format!("`{name}`, repeatable"),
            Takes::Number(name) | Takes::Integer(name) => format!("number `{name}`"),
            Takes::Duration(name) => format!("duration `{name}`"),
            Takes::OneOf(words) => {
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" ")
            }
        };
        let _ = writeln!(text, "| `--{}` | {short} | {value} | {} |", flag.long, cell(flag.help));
    }
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[test]
fn the_document_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("COMMANDS.md");
    let text = document();
    if std::env::var_os("BLESS").is_some() {
        #[allow(clippy::disallowed_methods, reason = "a file of the repository")]
        std::fs::write(&path, &text).unwrap();
    }
    let file = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = file.lines().zip(text.lines()).find(|(file, table)| file != table);
    assert!(
        file == text,
        "COMMANDS.md is not what the table says (BLESS=1 accepts): {differing:?}"
    );
}
