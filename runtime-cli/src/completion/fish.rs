//! The completion of fish(1).
//!
//! fish parses `complete` commands, one for each flag and operand, each with the condition under
//! which it counts. `__keel_place` finds the command and how many operands it has.

use std::fmt::Write;

use super::{Offer, of_flag, of_operand};
use crate::args::table::{COMMANDS, Command, Flag, GLOBALS, HELP};

/// The part that is the same whatever the table says. `__keel_place` prints the command and the
/// number of its operands, or nothing before the command.
const FRAME: &str = r#"
function __keel_place
    set -l words (commandline -opc)
    set -e words[1]
    set -l command ''
    set -l place 0
    set -l only_operands 0
    set -l skip 0
    for word in $words
        if test $skip = 1
            set skip 0
        else if test $word = --
            set only_operands 1
        else if test $only_operands = 0; and string match -qr '^-.' -- $word
            # A value follows unless it is in the same word.
            if not string match -q '*=*' -- $word; and contains -- "$command "(string replace -r '^--?' '' -- $word) $__keel_values
                set skip 1
            end
        else if test -z "$command"
            set command $word
        else
            set place (math $place + 1)
        end
    end
    test -n "$command"; and echo $command; and echo $place
end

function __keel_before_command
    test -z (__keel_place)[1]
end

function __keel_in
    set -l place (__keel_place)
    test "$place[1]" = $argv[1]; or return 1
    test (count $argv) -lt 2; or test "$place[2]" = $argv[2]
end

# Whether another program's command line has not begun yet.
function __keel_own
    set -l place (__keel_place)
    test "$place[1]" = $argv[1]; and test "$place[2]" -lt $argv[2]
end

function __keel_containers
    set -l words (commandline -opc)
    set -l root
    set -l count (count $words)
    for i in (seq 2 $count)
        set -l next (math $i + 1)
        switch $words[$i]
            case '--root=*' '-root=*'
                set root --root (string replace -r '^--?root=' '' -- $words[$i])
            case --root -root
                test $next -le $count; and set root --root $words[$next]
        end
    end
    keel $root list --quiet 2>/dev/null
end

complete -c keel -f
"#;

/// The script.
pub(crate) fn script() -> String {
    let mut text = "# fish completion for keel, made by: keel completion fish\n".to_owned();
    values(&mut text);
    text.push_str(FRAME);
    for command in COMMANDS {
        let (name, about) = (command.name, quoted(command.about));
        let _ = writeln!(text, "complete -c keel -n __keel_before_command -a {name} -d {about}");
    }
    for known in GLOBALS {
        flag(&mut text, "__keel_before_command", known);
    }
    for command in COMMANDS {
        let condition = match command.rest {
            Some(_) => format!("'__keel_own {} {}'", command.name, command.operands.len()),
            None => format!("'__keel_in {}'", command.name),
        };
        for known in command.flags.iter().copied().chain([&HELP]) {
            flag(&mut text, &condition, known);
        }
        operands(&mut text, command);
    }
    text
}

/// The flags that take a value: `COMMAND NAME` each.
fn values(text: &mut String) {
    text.push_str("set -g __keel_values");
    let own = COMMANDS.iter().map(|command| (command.name, command.flags));
    for (command, flags) in std::iter::once(("", GLOBALS)).chain(own) {
        for flag in flags.iter().filter(|flag| of_flag(flag).is_some()) {
            let short = flag.short.map(|letter| letter.to_string());
            for name in short.into_iter().chain([flag.long.to_owned()]) {
                let _ = write!(text, " '{command} {name}'");
            }
        }
    }
    text.push('\n');
}

fn flag(text: &mut String, condition: &str, flag: &Flag) {
    let short = flag.short.map_or_else(String::new, |letter| format!(" -s {letter}"));
    let value = match of_flag(flag) {
        None => String::new(),
        Some(offer) => format!(" -x{}", arguments(offer)),
    };
    let about = quoted(flag.help);
    let _ =
        writeln!(text, "complete -c keel -n {condition}{short} -l {}{value} -d {about}", flag.long);
}

fn operands(text: &mut String, command: &Command) {
    for (place, operand) in command.operands.iter().enumerate() {
        let offer = of_operand(operand);
        if offer != Offer::Nothing {
            let (name, arguments) = (command.name, arguments(offer));
            let _ = writeln!(text, "complete -c keel -n '__keel_in {name} {place}'{arguments}");
        }
    }
}

/// What the shell is told to offer.
fn arguments(offer: Offer) -> String {
    match offer {
        Offer::Nothing => String::new(),
        Offer::Words(words) => format!(" -a '{}'", words.join(" ")),
        Offer::Directories => " -a '(__fish_complete_directories)'".to_owned(),
        Offer::Files => " -a '(__fish_complete_path)'".to_owned(),
        Offer::Containers => " -a '(__keel_containers)'".to_owned(),
        Offer::Commands => {
            let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
            format!(" -a '{}'", names.join(" "))
        }
    }
}

/// A text between quotes, as fish reads it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}
