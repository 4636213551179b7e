//! The manual pages, made from the table: one of the program and one of each command.
//!
//! The text of the help, set with the man macros of groff (groff_man(7)). As with `help`, nothing
//! is known here that is not in the table, but for what the program as a whole has.

use std::fmt::Write;

use super::help::{INTRO, usage_line};
use super::table::{COMMANDS, Command, Flag, GLOBALS, HELP, Takes};

/// The page of the program: its file's name and its text.
pub(crate) fn program(version: &str) -> (String, String) {
    let mut page = head("keel", "run containers of the Open Container Initiative", version);
    page.push_str(".SH SYNOPSIS\n.B keel\n[global options]\n.I COMMAND\n[options] [arguments]\n");
    let _ = write!(page, ".SH DESCRIPTION\n{}\n", line(INTRO));
    page.push_str(".SH COMMANDS\n");
    for command in COMMANDS {
        let _ =
            write!(page, ".TP\n.BR keel\\-{} (1)\n{}\n", words(command.name), line(command.about));
    }
    page.push_str(".SH \"GLOBAL OPTIONS\"\nThey stand before the command.\n");
    GLOBALS.iter().for_each(|flag| option(&mut page, flag));
    for (title, entries) in ABOUT {
        let _ = writeln!(page, ".SH {title}");
        for (name, about) in *entries {
            let _ = write!(page, ".TP\n.B {}\n{}\n", words(name), line(about));
        }
    }
    page.push_str(".SH \"SEE ALSO\"\n");
    let others: Vec<String> = COMMANDS.iter().map(|c| reference(c.name)).collect();
    let _ = writeln!(page, "{}", others.join(",\n"));
    ("keel.1".to_owned(), page)
}

/// What the program as a whole has besides flags and commands.
const ABOUT: &[(&str, &[(&str, &str)])] = &[
    (
        "\"EXIT STATUS\"",
        &[
            ("0", "What was asked for is done."),
            ("1", "It is not; one sentence on standard error says why."),
            (
                "other",
                "keel run and keel exec in the foreground end as the process in the container did, \
                 or with 128 and the number of the signal that ended it. keel exec ends with 255 \
                 when the process could not be started.",
            ),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            ("XDG_RUNTIME_DIR", "where a rootless caller's containers are kept, see --root"),
            ("LISTEN_FDS, LISTEN_PID", "sockets that are passed on to a container"),
            ("NO_COLOR", "if not empty, no colours on a terminal"),
        ],
    ),
    (
        "FILES",
        &[
            ("/run/keel", "the default of --root"),
            ("config.json", "in a bundle: the configuration, as the runtime-spec has it"),
        ],
    ),
];

/// The page of a command: its file's name and its text.
pub(crate) fn command(command: &Command, version: &str) -> (String, String) {
    let mut page = head(&format!("keel-{}", command.name), command.about, version);
    let _ = write!(page, ".SH SYNOPSIS\n{}\n", line(&usage_line(command)));
    let _ = write!(page, ".SH DESCRIPTION\n{}\n", line(&sentence(command.about)));
    if !command.details.is_empty() {
        let _ = write!(page, ".PP\n{}\n", line(command.details));
    }
    let mut operands = command.operands.iter().chain(&command.rest).peekable();
    if operands.peek().is_some() {
        page.push_str(".SH ARGUMENTS\n");
    }
    for operand in operands {
        let _ = write!(page, ".TP\n.I {}\n{}\n", words(operand.name), line(operand.help));
    }
    page.push_str(".SH OPTIONS\n");
    command.flags.iter().copied().chain([&HELP]).for_each(|flag| option(&mut page, flag));
    page.push_str(".SH EXAMPLES\n");
    for example in command.examples {
        let _ = write!(page, ".TP\n.B {}\n{}\n", words(example.line), line(example.does));
    }
    let _ = write!(page, ".SH \"SEE ALSO\"\n.BR keel (1)\n");
    (format!("keel-{}.1", command.name), page)
}

fn head(name: &str, about: &str, version: &str) -> String {
    let title = words(&name.to_uppercase());
    let (name, version) = (words(name), words(version));
    let about = line(about);
    format!(".TH {title} 1 \"\" \"keel {version}\" \"keel manual\"\n.SH NAME\n{name} \\- {about}\n")
}

fn option(page: &mut String, flag: &Flag) {
    let short = flag.short.map_or_else(String::new, |letter| format!("\\fB\\-{letter}\\fR, "));
    let value = match flag.takes {
        Takes::Nothing => String::new(),
        Takes::Text(name) | Takes::Number(name) | Takes::Integer(name) | Takes::Duration(name) => {
            format!(" \\fI{}\\fR", words(name))
        }
        Takes::Texts(name) => format!(" \\fI{}\\fR (repeatable)", words(name)),
        Takes::OneOf(list) => format!(" \\fI{}\\fR", words(&list.join("|"))),
    };
    let (long, about) = (words(flag.long), line(flag.help));
    let _ = write!(page, ".TP\n{short}\\fB\\-\\-{long}\\fR{value}\n{about}\n");
}

fn reference(command: &str) -> String {
    format!("\\fBkeel\\-{}\\fR(1)", words(command))
}

/// The text as a sentence: with a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// Words inside a line, in which nothing means anything to groff.
fn words(text: &str) -> String {
    let mut set = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => set.push_str("\\e"),
            '-' => set.push_str("\\-"),
            '\'' => set.push_str("\\(aq"),
            '"' => set.push_str("\\(dq"),
            '^' => set.push_str("\\(ha"),
            '~' => set.push_str("\\(ti"),
            '`' => set.push_str("\\(ga"),
            other => set.push(other),
        }
    }
    set
}

/// Words at the beginning of a line, where a dot would be a request.
fn line(text: &str) -> String {
    let guard = if text.starts_with('.') { "\\&" } else { "" };
    format!("{guard}{}", words(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_groff_is_written_as_itself() {
        assert_eq!(line(".a 'b' \\ -c \"^~`"), r"\&.a \(aqb\(aq \e \-c \(dq\(ha\(ti\(ga");
    }

    #[test]
    fn every_command_and_flag_is_in_the_manual() {
        let (name, program) = program("1");
        assert_eq!(name, "keel.1");
        for command in COMMANDS {
            assert!(program.contains(&format!("\n.BR keel\\-{} (1)\n", command.name)));
            let (name, page) = super::command(command, "1");
            assert_eq!(name, format!("keel-{}.1", command.name));
            for flag in command.flags {
                let flag = format!("\\fB\\-\\-{}\\fR", words(flag.long));
                assert!(page.contains(&flag), "{}: {flag}", command.name);
            }
        }
        for flag in GLOBALS {
            assert!(program.contains(&format!("\\fB\\-\\-{}\\fR", words(flag.long))));
        }
    }
}
