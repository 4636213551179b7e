//! The help texts, made from the table.
//!
//! Written for a terminal of 80 columns; nothing is known here that is not in the table.

use std::fmt::Write;

use crate::color::{Ink, painted};

use super::table::{COMMANDS, Command, Flag, GLOBALS, HELP, Takes};

const WIDTH: usize = 80;
/// What keel is.
pub(super) const INTRO: &str = "\
keel runs containers as the Open Container Initiative describes them: a bundle is a directory with \
a config.json and a root file system, and keel makes an isolated process of it.";

/// The help of the whole program.
pub(crate) fn program() -> String {
    let mut text = String::new();
    paragraph(&mut text, INTRO);
    text.push_str("\nUsage: keel [global options] COMMAND [options] [arguments]\n\nCommands:\n");
    for command in COMMANDS {
        entry(&mut text, command.name, 11, command.about);
    }
    options(&mut text, "Global options, before the command", GLOBALS.iter().copied());
    text.push_str("\n'keel COMMAND --help' tells more about one command.\n");
    text
}

/// The help of one command.
pub(crate) fn command(command: &Command) -> String {
    let mut text = String::new();
    paragraph(&mut text, &format!("{}: {}", command.name, command.about));
    let _ = write!(text, "\nUsage: {}\n", usage_line(command));
    if !command.details.is_empty() {
        text.push('\n');
        paragraph(&mut text, command.details);
    }
    let mut operands = command.operands.iter().chain(&command.rest).peekable();
    if operands.peek().is_some() {
        text.push_str("\nArguments:\n");
        for operand in operands {
            entry(&mut text, operand.name, 10, operand.help);
        }
    }
    options(&mut text, "Options", command.flags.iter().copied().chain([&HELP]));
    text.push_str("\nExamples:\n");
    for example in command.examples {
        let _ = write!(text, "  {}\n      {}\n", example.line, example.does);
    }
    text
}

/// A help text with its headings, and what can be typed, in colours.
pub(crate) fn in_colors(text: &str) -> String {
    text.lines().map(|line| line_in_colors(line) + "\n").collect()
}

fn line_in_colors(line: &str) -> String {
    let body = line.trim_start();
    let indent = &line[..line.len() - body.len()];
    let is_option = indent.len() == 6 && body.starts_with("--");
    if indent.is_empty() {
        // A heading, alone or with what belongs to it on the same line.
        let end = match body.split_once(": ") {
            Some(("Usage", _)) => "Usage:".len(),
            _ if body.ends_with(':') => body.len(),
            _ => return line.to_owned(),
        };
        return painted(Ink::Heading, &body[..end]) + &body[end..];
    }
    if indent.len() == 2 || is_option {
        let (name, about) = body.split_at(body.find("  ").unwrap_or(body.len()));
        return format!("{indent}{}{about}", painted(Ink::Name, name));
    }
    line.to_owned()
}

/// How a command is called, on one line.
pub(crate) fn usage_line(command: &Command) -> String {
    let mut line = format!("keel {}", command.name);
    if !command.flags.is_empty() {
        line.push_str(" [options]");
    }
    for operand in command.operands {
        let _ = match operand.required {
            true => write!(line, " {}", operand.name),
            false => write!(line, " [{}]", operand.name),
        };
    }
    if let Some(rest) = &command.rest {
        let _ = match rest.required {
            true => write!(line, " {}...", rest.name),
            false => write!(line, " [{}...]", rest.name),
        };
    }
    line
}

fn options<'a>(text: &mut String, title: &str, flags: impl Iterator<Item = &'a Flag>) {
    let _ = write!(text, "\n{title}:\n");
    for flag in flags {
        let short = flag.short.map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
        let value = match flag.takes {
            Takes::Nothing => String::new(),
            Takes::Text(name)
            | Takes::Number(name)
            | Takes::Integer(name)
            | Takes::Duration(name) => format!(" {name}"),
            Takes::Texts(name) => format!(" {name} (repeatable)"),
            Takes::OneOf(words) => format!(" {}", words.join("|")),
        };
        entry(text, &format!("{short}--{}{value}", flag.long), 28, flag.help);
    }
}

/// A name and what it is: beside each other, or below if the name is too long for its column.
fn entry(text: &mut String, name: &str, column: usize, about: &str) {
    let indent = 2 + column;
    let _ = write!(text, "  {name:column$}");
    let mut used = indent;
    if name.len() >= column {
        text.push('\n');
        used = 0;
    }
    for line in wrap(about, WIDTH - indent) {
        let _ = writeln!(text, "{:1$}{line}", "", indent - used);
        used = 0;
    }
}

fn paragraph(text: &mut String, words: &str) {
    for line in wrap(words, WIDTH) {
        let _ = writeln!(text, "{line}");
    }
}

/// The words on lines of at most `width` letters, where no word is longer.
fn wrap(words: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
