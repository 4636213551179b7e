//! Shell completions, made from the table of the command line.
//!
//! One file for each shell; what a shell may offer in a place is decided here, so that they all
//! offer the same. Ids of containers are asked of `keel list` when somebody presses the key, with
//! the `--root` that stands before the command. A script never calls anything else.

mod bash;
mod fish;
mod zsh;

use crate::args::table::{Command, Flag, ID, NEW_ID, Operand, Takes};

pub(crate) use bash::script as bash;
pub(crate) use fish::script as fish;
pub(crate) use zsh::script as zsh;

/// What can stand in a place of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offer {
    /// Nobody knows.
    Nothing,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A directory.
    Directories,
    /// A file.
    Files,
    /// The id of a container that is there.
    Containers,
    /// The name of a command.
    Commands,
}

/// What a flag's value can be; nothing for a switch, which has none.
fn of_flag(flag: &Flag) -> Option<Offer> {
    match flag.takes {
        Takes::Nothing => None,
        Takes::OneOf(words) => Some(Offer::Words(words)),
        Takes::Text(name) | Takes::Texts(name) => Some(of_name(name)),
        Takes::Number(_) | Takes::Integer(_) | Takes::Duration(_) => Some(Offer::Nothing),
    }
}

/// What an operand can be. The id of a new container is nobody's yet.
fn of_operand(operand: &Operand) -> Offer {
    match operand.name {
        name if name == ID.name && operand.help != NEW_ID.help => Offer::Containers,
        name => of_name(name),
    }
}

/// What goes by this name in the table.
fn of_name(name: &str) -> Offer {
    match name {
        "DIR" | "BUNDLE" => Offer::Directories,
        "FILE" | "PATH" | "TARGET" => Offer::Files,
        "COMMAND" => Offer::Commands,
        "SHELL" => Offer::Words(&crate::commands::completion::SHELLS),
        _ => Offer::Nothing,
    }
}

/// The spellings of a flag that are offered.
fn spellings(flag: &Flag) -> impl Iterator<Item = String> {
    let short = flag.short.map(|letter| format!("-{letter}"));
    short.into_iter().chain([format!("--{}", flag.long)])
}

/// The operands of a command that can be completed: not those of another program's command line.
fn operands(command: &Command) -> impl Iterator<Item = Offer> {
    command.operands.iter().map(of_operand)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::table::{COMMANDS, GLOBALS};

    #[test]
    fn ids_are_offered_wherever_a_container_is_meant_and_nowhere_else() {
        for command in COMMANDS {
            let offers = operands(command).any(|offer| offer == Offer::Containers);
            let named = command.operands.iter().any(|operand| operand.name == "ID");
            let makes = ["create", "run", "restore"].contains(&command.name);
            assert_eq!(offers, named && !makes, "{}", command.name);
        }
    }

    #[test]
    fn nothing_in_the_table_could_break_out_of_a_script() {
        let flags = COMMANDS.iter().flat_map(|command| command.flags).chain(GLOBALS);
        let words = flags.flat_map(|flag| match flag.takes {
            Takes::OneOf(words) => [&[flag.long], words].concat(),
            _ => vec![flag.long],
        });
        for word in words.chain(COMMANDS.iter().map(|command| command.name)) {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            assert!(word.bytes().all(plain), "{word}");
        }
    }
}
