//! Colours, for people who read on a terminal.
//!
//! Only what begins an error or a warning and the names in help texts have any; programs that read
//! the output see none. `$NO_COLOR` (no-color.org) and terminals without colours are respected.

use std::io::IsTerminal;

/// What is written in a way of its own, by the parameters of its escape sequence (ECMA-48, SGR).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ink {
    /// The beginning of an error.
    Error,
    /// The beginning of a warning or of what is done.
    Notice,
    /// A heading of a help text.
    Heading,
    /// What can be typed.
    Name,
}

/// Whether a stream is to have colours.
pub(crate) fn wanted(stream: &impl IsTerminal) -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    stream.is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_none_or(|t| t != "dumb")
}

/// The text in its colour.
pub(crate) fn painted(ink: Ink, text: &str) -> String {
    let parameters = match ink {
        Ink::Error => "1;31",
        Ink::Notice => "33",
        Ink::Heading => "1",
        Ink::Name => "36",
    };
    format!("\x1b[{parameters}m{text}\x1b[0m")
}
