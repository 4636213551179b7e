//! The completion of bash(1). It needs no other package: bash-completion may be there or not.
//!
//! bash cuts words at `=`, so that `--root=DIR` comes as three; the script puts them together again.

use std::fmt::Write;

use super::{Offer, of_flag, operands, spellings};
use crate::args::table::{COMMANDS, Flag, GLOBALS, HELP};

/// The part that is the same whatever the table says.
const FRAME: &str = r#"
_keel_offer() {
    case $1 in
        words) mapfile -t COMPREPLY < <(compgen -W "$2" -- "$cur") ;;
        directories) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); compopt -o filenames 2>/dev/null ;;
        files) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); compopt -o filenames 2>/dev/null ;;
        containers) mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]/#\~/$HOME}" "${roots[@]}" list --quiet 2>/dev/null)" -- "$cur") ;;
    esac
}

_keel() {
    local cur=${COMP_WORDS[COMP_CWORD]} command='' place=0 last='' pending='' word joined=''
    local -a line=() roots=()
    COMPREPLY=()
    # Words as they were typed, put together again at each `=`.
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if [[ -n $joined || $word == = ]] && ((${#line[@]})); then
            line[-1]+=$word
        else
            line+=("$word")
        fi
        joined=${word##[!=]*}
    done
    [[ $cur == = ]] && cur=''
    for word in "${line[@]:0:${#line[@]}-1}"; do
        if [[ -n $pending ]]; then
            [[ -z $command && $pending == -?(-)root ]] && roots=(--root "${word/#\~/$HOME}")
            pending=''
        elif [[ -z $last && $word == -?* && $word != -- ]]; then
            if [[ -z $command && $word == -?(-)root=* ]]; then
                roots=(--root "${word#*=}")
            elif _keel_has_value "$command" "$word"; then
                pending=$word
            fi
        elif [[ $word == -- ]]; then
            last=1
        elif [[ -z $command ]]; then
            command=$word
        else
            ((place++))
        fi
    done
    word=${line[-1]}
    if [[ -n $pending ]]; then
        _keel_value "$command" "$pending"
    elif [[ -n $command ]] && _keel_is_foreign "$command" $place; then
        return
    elif [[ -z $last && $word == -*=* ]]; then
        _keel_value "$command" "${word%%=*}"
    elif [[ -z $last && $word == -* ]]; then
        _keel_flags "$command"
    elif [[ -z $command ]]; then
        _keel_offer words "$_keel_commands"
    else
        _keel_operand "$command $place"
    fi
}

complete -F _keel keel
"#;

/// The script.
pub(crate) fn script() -> String {
    let mut text = "# bash completion for keel, made by: keel completion bash\n\n".to_owned();
    let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
    let _ = write!(text, "_keel_commands='{}'\n\n", names.join(" "));
    flags(&mut text);
    values(&mut text);
    places(&mut text);
    text.push_str(FRAME);
    text
}

/// Each command with its flags; the program's own are those of the command without a name.
fn all() -> impl Iterator<Item = (&'static str, Vec<&'static Flag>)> {
    let own = COMMANDS.iter().map(|command| {
        let flags = command.flags.iter().copied().chain([&HELP]);
        (command.name, flags.collect())
    });
    std::iter::once(("", GLOBALS.to_vec())).chain(own)
}

/// `_keel_flags COMMAND` offers the flags of a command.
fn flags(text: &mut String) {
    text.push_str("_keel_flags() {\n    case $1 in\n");
    for (command, flags) in all() {
        let flags: Vec<String> = flags.into_iter().flat_map(spellings).collect();
        let _ = writeln!(text, "        '{command}') _keel_offer words '{}' ;;", flags.join(" "));
    }
    text.push_str("    esac\n}\n\n");
}

/// `_keel_has_value COMMAND FLAG` tells whether a value follows, `_keel_value` offers it.
fn values(text: &mut String) {
    let mut has = String::new();
    let mut offers = String::new();
    for (command, flags) in all() {
        for (flag, offer) in flags.into_iter().filter_map(|flag| Some((flag, of_flag(flag)?))) {
            // With one dash or two.
            let names = spellings(flag).chain([format!("-{}", flag.long)]);
            let patterns: Vec<String> = names.map(|name| format!("'{command} {name}'")).collect();
            let pattern = patterns.join("|");
            let _ = writeln!(has, "        {pattern}) return 0 ;;");
            if offer != Offer::Nothing {
                let _ = writeln!(offers, "        {pattern}) {} ;;", call(offer));
            }
        }
    }
    let _ = write!(
        text,
        "_keel_has_value() {{\n    case \"$1 $2\" in\n{has}    esac\n    return 1\n}}\n\n\
         _keel_value() {{\n    case \"$1 $2\" in\n{offers}    esac\n}}\n\n"
    );
}

/// `_keel_operand 'COMMAND PLACE'` offers an operand; `_keel_is_foreign COMMAND PLACE` tells whether
/// another program's command line has begun.
fn places(text: &mut String) {
    text.push_str("_keel_operand() {\n    case $1 in\n");
    for command in COMMANDS {
        for (place, offer) in operands(command).enumerate().filter(|(_, o)| *o != Offer::Nothing) {
            let _ = writeln!(text, "        '{} {place}') {} ;;", command.name, call(offer));
        }
    }
    text.push_str("    esac\n}\n\n_keel_is_foreign() {\n    case $1 in\n");
    for command in COMMANDS.iter().filter(|command| command.rest.is_some()) {
        let count = command.operands.len();
        let _ = writeln!(text, "        '{}') (($2 >= {count})) ;;", command.name);
    }
    text.push_str("        *) return 1 ;;\n    esac\n}\n");
}

/// The call that offers.
fn call(offer: Offer) -> String {
    match offer {
        Offer::Nothing => ":".to_owned(),
        Offer::Words(words) => format!("_keel_offer words '{}'", words.join(" ")),
        Offer::Directories => "_keel_offer directories".to_owned(),
        Offer::Files => "_keel_offer files".to_owned(),
        Offer::Containers => "_keel_offer containers".to_owned(),
        Offer::Commands => "_keel_offer words \"$_keel_commands\"".to_owned(),
    }
}
