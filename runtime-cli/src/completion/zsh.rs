//! The completion of zsh(1), for `_arguments` of its completion system.

use std::fmt::Write;

use super::{Offer, of_flag, of_operand};
use crate::args::table::{COMMANDS, Command, Flag, GLOBALS, HELP, Operand, Takes};

/// The part that is the same whatever the table says.
const FRAME: &str = r#"
_keel_containers() {
    local -a ids root
    [[ -n $keel_root ]] && root=(--root $keel_root)
    ids=(${(f)"$(_call_program containers keel $root list --quiet 2>/dev/null)"})
    _describe -t containers container ids
}

if [ "$funcstack[1]" = _keel ]; then
    _keel "$@"
else
    compdef _keel keel
fi
"#;

/// The script.
pub(crate) fn script() -> String {
    let mut text =
        "#compdef keel\n# zsh completion for keel, made by: keel completion zsh\n\n".to_owned();
    commands(&mut text);
    text.push_str(
        "_keel() {\n    local curcontext=$curcontext state line keel_root\n    \
         typeset -A opt_args\n    _arguments -s -S -C \\\n",
    );
    for flag in GLOBALS {
        let _ = writeln!(text, "        {} \\", specification(flag));
    }
    text.push_str(
        "        '1:command:_keel_commands' '*:: :->arguments'\n    \
         [[ $state == arguments ]] || return\n    \
         keel_root=${(Q)~opt_args[--root]}\n    \
         curcontext=${curcontext%:*}-$line[1]:\n    case $line[1] in\n",
    );
    for command in COMMANDS {
        arguments(&mut text, command);
    }
    text.push_str("    esac\n}\n");
    text.push_str(FRAME);
    text
}

/// `_keel_commands` offers the commands.
fn commands(text: &mut String) {
    text.push_str("_keel_commands() {\n    local -a commands=(\n");
    for command in COMMANDS {
        let _ = writeln!(text, "        '{}:{}'", command.name, quoted(command.about));
    }
    text.push_str("    )\n    _describe -t commands command commands\n}\n\n");
}

/// What one command takes.
fn arguments(text: &mut String, command: &Command) {
    let _ = writeln!(text, "        {}) _arguments -s -S \\", command.name);
    for flag in command.flags.iter().copied().chain([&HELP]) {
        let _ = writeln!(text, "            {} \\", specification(flag));
    }
    for (place, operand) in command.operands.iter().enumerate() {
        let optional = if operand.required { "" } else { ":" };
        let (place, place_of) = (place + 1, operand_action(operand));
        let _ = writeln!(text, "            '{place}:{optional}{place_of}' \\");
    }
    match &command.rest {
        Some(rest) => {
            let _ = writeln!(text, "            '*::{}: ' ;;", rest.name);
        }
        None => text.push_str("            && return ;;\n"),
    }
}

fn operand_action(operand: &Operand) -> String {
    format!("{}:{}", operand.name, action(of_operand(operand)))
}

/// A flag, as `_arguments` takes it.
fn specification(flag: &Flag) -> String {
    let repeatable = matches!(flag.takes, Takes::Texts(_));
    let value = match (flag.takes, of_flag(flag)) {
        (Takes::Text(name) | Takes::Texts(name), Some(offer)) => {
            format!(":{}:{}", quoted(name).replace(':', r"\:"), action(offer))
        }
        (Takes::Number(name) | Takes::Integer(name), _) => format!(":{name}: "),
        (_, Some(offer)) => format!(":{}:{}", flag.long, action(offer)),
        (_, None) => String::new(),
    };
    let equals = if value.is_empty() { "" } else { "=" };
    let about = bracketed(flag.help);
    let long = flag.long;
    match (flag.short, repeatable) {
        (None, false) => format!("'--{long}{equals}[{about}]{value}'"),
        (None, true) => format!("'*--{long}{equals}[{about}]{value}'"),
        (Some(letter), false) => {
            let plus = if value.is_empty() { "" } else { "+" };
            format!("'(-{letter} --{long})'{{-{letter}{plus},--{long}{equals}}}'[{about}]{value}'")
        }
        (Some(letter), true) => {
            format!("'*'{{-{letter}+,--{long}=}}'[{about}]{value}'")
        }
    }
}

/// What the shell is told to offer.
fn action(offer: Offer) -> String {
    match offer {
        Offer::Nothing => " ".to_owned(),
        Offer::Words(words) => format!("({})", words.join(" ")),
        Offer::Directories => "_files -/".to_owned(),
        Offer::Files => "_files".to_owned(),
        Offer::Containers => "_keel_containers".to_owned(),
        Offer::Commands => "_keel_commands".to_owned(),
    }
}

/// A text inside single quotes.
fn quoted(text: &str) -> String {
    text.replace('\'', r"'\''")
}

/// A text inside single quotes and square brackets.
fn bracketed(text: &str) -> String {
    quoted(text).replace('[', r"\[").replace(']', r"\]").replace(':', r"\:")
}
