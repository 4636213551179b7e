//! The table against the parser and the help.

use std::ffi::OsString;

use super::table::{COMMANDS, GLOBALS, HELP, Takes};
use super::*;
use crate::commands;

fn ask(words: &[&str]) -> Result<Request, Error> {
    let words = ["keel"].iter().chain(words).map(OsString::from);
    read(words).and_then(Line::request)
}

fn invocation(words: &[&str]) -> Invocation {
    match ask(words).unwrap() {
        Request::Perform(invocation) => invocation,
        other => panic!("{words:?} is not a command but {other:?}"),
    }
}

fn refusal(words: &[&str]) -> String {
    ask(words).map(|request| format!("{request:?}")).unwrap_err().to_string()
}

/// A value that the flag takes, and how it comes out.
fn sample(flag: &Flag) -> (Option<&'static str>, Value) {
    match flag.takes {
        Takes::Nothing => (None, Value::Switch(true)),
        Takes::Text(_) | Takes::Texts(_) => (Some("-v=1"), Value::Text("-v=1".into())),
        Takes::Number(_) => (Some("12"), Value::Number(12)),
        Takes::Integer(_) => (Some("-12"), Value::Integer(-12)),
        Takes::Duration(_) => (Some("1m30s"), Value::Duration(Duration::from_secs(90))),
        Takes::OneOf(words) => (Some(words[1]), Value::Word(words[1])),
    }
}

/// All spellings of a flag with a value.
fn spellings(flag: &Flag, value: Option<&str>) -> Vec<Vec<String>> {
    let long = flag.long;
    let mut all = match value {
        None => vec![
            vec![format!("--{long}")],
            vec![format!("-{long}")],
            vec![format!("--{long}=true")],
            vec![format!("-{long}=true")],
        ],
        Some(value) => vec![
            vec![format!("--{long}"), value.to_owned()],
            vec![format!("-{long}"), value.to_owned()],
            vec![format!("--{long}={value}")],
            vec![format!("-{long}={value}")],
        ],
    };
    match (flag.short, value) {
        (None, _) => {}
        (Some(letter), None) => all.push(vec![format!("-{letter}")]),
        (Some(letter), Some(value)) => all.extend([
            vec![format!("-{letter}"), value.to_owned()],
            vec![format!("-{letter}={value}")],
        ]),
    }
    all
}

#[test]
fn every_flag_of_every_command_is_understood_in_all_its_spellings_and_places() {
    for command in COMMANDS {
        let operands: Vec<&str> =
            command.operands.iter().filter(|o| o.required).map(|_| "web").collect();
        for flag in command.flags {
            let (value, expected) = sample(flag);
            for spelling in spellings(flag, value) {
                let spelling: Vec<&str> = spelling.iter().map(String::as_str).collect();
                let before = [&[command.name], &spelling[..], &operands[..]].concat();
                let after = [&[command.name], &operands[..], &spelling[..]].concat();
                // After the operands comes what is another program's, where a command takes that.
                let places =
                    if command.rest.is_none() { vec![before, after] } else { vec![before] };
                for words in places {
                    let asked = invocation(&words);
                    assert_eq!(asked.flags.last(flag), Some(&expected), "{words:?}");
                    assert_eq!(asked.operands.len(), operands.len(), "{words:?}");
                }
            }
        }
    }
}

#[test]
fn every_global_flag_is_understood_in_all_its_spellings() {
    for flag in GLOBALS {
        let (value, _) = sample(flag);
        for spelling in spellings(flag, value) {
            let words = ["keel".to_owned()].into_iter().chain(spelling).chain(["list".to_owned()]);
            let line = read(words.map(OsString::from)).unwrap();
            assert_eq!(line.command, Some("list".into()), "{}", flag.long);
        }
    }
}

#[test]
fn the_global_flags_mean_what_they_say() {
    let words = [
        "--root",
        "/r",
        "-log=/l",
        "--log-format",
        "json",
        "--debug",
        "--rootless=true",
        "--cgroup-manager",
        "disabled",
        "list",
    ];
    let globals = invocation(&words).globals;
    assert_eq!(globals.root, Some("/r".into()));
    assert_eq!(globals.log, Some("/l".into()));
    assert_eq!(globals.log_format, globals::LogFormat::Json);
    assert_eq!(globals.log_level, log::LevelFilter::Debug);
    assert_eq!(globals.rootless, Some(true));
    assert_eq!(globals.cgroup_manager, libcontainer::CgroupManager::Disabled);
}

#[test]
fn debug_is_the_lowest_level_of_the_log() {
    use log::LevelFilter::{Debug, Error, Warn};
    for (words, level) in [
        (&["list"][..], Warn),
        (&["--log-level", "error", "list"], Error),
        (&["--log-level=warning", "list"], Warn),
        (&["--log-level=debug", "list"], Debug),
        (&["--debug", "--log-level=error", "list"], Debug),
        (&["--debug=false", "--log-level=error", "list"], Error),
    ] {
        assert_eq!(invocation(words).globals.log_level, level, "{words:?}");
    }
}

#[test]
fn the_last_of_a_repeated_flag_counts() {
    let asked = invocation(&["run", "-d", "-b", "one", "--bundle=two", "--detach=false", "web"]);
    assert_eq!(asked.flags.path(&table::BUNDLE), Some("two".into()));
    assert!(!asked.flags.on(&commands::run::DETACH));
}

#[test]
fn the_command_lines_of_engines_are_understood() {
    let shim = ["--root", "/run/c", "--log", "/b/log.json", "--log-format", "json"];
    let create =
        ["create", "--bundle", "/b", "--pid-file", "/b/init.pid", "--console-socket", "/s"];
    let asked = invocation(&[&shim[..], &create, &["--no-pivot", "web"]].concat());
    assert_eq!(asked.flags.path(&table::CONSOLE_SOCKET), Some("/s".into()));
    assert_eq!(asked.id().unwrap().as_str(), "web");

    for words in [["kill", "--all", "web", "9"], ["kill", "web", "9", "-a"]] {
        let asked = invocation(&[&shim[..], &words].concat());
        assert!(asked.flags.on(&commands::kill::ALL));
        assert_eq!(asked.operand(1), Some("9".as_ref()));
    }
    let conmon = ["--log-format=json", "--log", "/l", "create", "--preserve-fds", "1", "web"];
    assert_eq!(invocation(&conmon).flags.number(&table::PRESERVE_FDS), Some(1));
    let restore = ["run", "--detach", "-no-subreaper", "--bundle", "/b", "web"];
    assert!(invocation(&restore).flags.on(&commands::run::NO_SUBREAPER));
    assert!(matches!(ask(&["--version"]), Ok(Request::Version)));
    assert!(matches!(ask(&["-v", "list", "--bogus"]), Ok(Request::Version)));
}

#[test]
fn after_two_dashes_there_are_no_flags() {
    let asked = invocation(&["kill", "-a", "--", "-all", "-all"]);
    assert_eq!(asked.operand(0), Some("-all".as_ref()));
    assert_eq!(asked.operand(1), Some("-all".as_ref()));
}

#[test]
fn short_switches_can_be_written_as_one_word() {
    let asked = invocation(&["list", "-qf", "json"]);
    assert!(asked.flags.on(&commands::list::QUIET));
    assert_eq!(asked.flags.word(&commands::list::LIST_FORMAT), Some("json"));
}

#[test]
fn a_word_that_is_not_utf_8_is_a_path_like_any_other() {
    use std::os::unix::ffi::OsStringExt;
    let odd = OsString::from_vec(b"/b\xff".to_vec());
    let words = ["keel".into(), "create".into(), "--bundle".into(), odd.clone(), "web".into()];
    let Ok(Request::Perform(asked)) = read(words).and_then(Line::request) else {
        panic!("not understood");
    };
    assert_eq!(asked.flags.text(&table::BUNDLE), Some(odd.as_os_str()));
}

#[test]
fn what_is_not_in_the_table_is_refused_with_a_hint() {
    for (words, expected) in [
        (&["stat", "web"][..], "unknown command \"stat\", did you mean \"state\"?"),
        (&["checkpoint", "--help"], "unknown command \"checkpoint\""),
        (
            &["create", "--bundel", "x", "web"],
            "unknown flag --bundel of create, did you mean --bundle?",
        ),
        (&["--rot", "/r", "list"], "unknown flag --rot of keel, did you mean --root?"),
        (&["list", "--zzz"], "unknown flag --zzz of list, see: keel list --help"),
        (&["--zzz"], "unknown flag --zzz of keel, see: keel --help"),
        (&["kill", "web", "-9"], "unknown flag -9 of kill, see: keel kill --help"),
        (
            &["list", "--root", "/r"],
            "unknown flag --root of list: --root stands before the command",
        ),
        (&["start"], "start needs ID: keel start ID"),
        (&["start", "a", "b"], "unexpected argument \"b\": keel start ID"),
        (&["kill", "a", "b", "c"], "unexpected argument \"c\": keel kill [options] ID [SIGNAL]"),
        (&["list", "--format", "yaml"], "--format needs table or json, not \"yaml\""),
        (
            &["--cgroup-manager=x", "list"],
            "--cgroup-manager needs cgroupfs, systemd or disabled, not \"x\"",
        ),
        (
            &["events", "--interval", "5", "web"],
            "--interval needs a DURATION greater than 0, such as 5s or 1m30s, not \"5\"",
        ),
        (&["--root"], "--root needs DIR"),
        (&["--root=", "list"], "--root needs DIR, not \"\""),
        (&["run", "--detach=maybe", "web"], "--detach needs true or false, not \"maybe\""),
        (&["list", "--quiet\n"], "unknown flag --quiet\\n of list, did you mean --quiet?"),
    ] {
        let said = refusal(words);
        assert_eq!(said, expected, "{words:?}");
    }
}

#[test]
fn a_command_that_does_not_exist_yet_is_unknown() {
    for name in ["checkpoint", "restore"] {
        for words in [&[name][..], &[name, "--help"], &["--help", name]] {
            assert_eq!(refusal(words), format!("unknown command \"{name}\""));
        }
    }
}

#[test]
fn a_number_is_digits_and_fits() {
    for bad in ["x", "-1", "+1", "1.0", "0x1", " 1", "4294967296", ""] {
        let flag = format!("--preserve-fds={bad}");
        let said = refusal(&["create", &flag, "web"]);
        assert_eq!(said, format!("--preserve-fds needs a number N, not \"{bad}\""));
    }
}

#[test]
fn systemd_is_asked_for_in_two_ways_and_for_every_command() {
    for flag in ["--systemd-cgroup", "--cgroup-manager=systemd"] {
        for command in ["create", "start", "delete"] {
            let globals = invocation(&[flag, command, "web"]).globals;
            assert_eq!(globals.cgroup_manager, libcontainer::CgroupManager::Systemd);
        }
    }
    let both = invocation(&["--systemd-cgroup", "--cgroup-manager=cgroupfs", "list"]).globals;
    assert_eq!(both.cgroup_manager, libcontainer::CgroupManager::Cgroupfs);
}

#[test]
fn help_is_given_for_every_command_and_names_all_it_takes() {
    let program = help::program();
    for flag in GLOBALS {
        assert!(program.contains(&format!("--{}", flag.long)), "{}", flag.long);
    }
    for command in COMMANDS {
        assert!(program.contains(command.name) && program.contains(command.about));
        for words in [&[command.name, "--help"][..], &[command.name, "-h"], &["-h", command.name]] {
            match ask(words) {
                Ok(Request::Help(Some(found))) => assert_eq!(found.name, command.name),
                other => panic!("{words:?}: {other:?}"),
            }
        }
        let text = help::command(command);
        for flag in command.flags.iter().chain([&&HELP]) {
            assert!(text.contains(&format!("--{}", flag.long)), "{}: {}", command.name, flag.long);
        }
        for operand in command.operands {
            assert!(text.contains(operand.name), "{}", command.name);
        }
        assert!(!command.examples.is_empty(), "{}", command.name);
        for text in [text, program.clone()] {
            let long = text.lines().find(|line| line.chars().count() > 80 || line.ends_with(' '));
            assert_eq!(long, None);
        }
    }
    assert!(matches!(ask(&[]), Ok(Request::Help(None))));
}

#[test]
fn colours_add_nothing_to_a_help_text() {
    for text in COMMANDS.iter().map(|command| help::command(command)).chain([help::program()]) {
        let painted = help::in_colors(&text);
        assert!(painted.contains("\x1b[1mOptions:\x1b[0m") || text.starts_with("keel runs"));
        assert!(painted.contains("\x1b[36m-h, --help\x1b[0m "), "{painted}");
        assert!(painted.contains("\x1b[1mUsage:\x1b[0m keel "), "{painted}");
        let mut plain = painted;
        for parameters in ["1", "36", "0"] {
            plain = plain.replace(&format!("\x1b[{parameters}m"), "");
        }
        assert_eq!(plain, text);
    }
}

#[test]
fn every_example_is_a_command_line_that_is_understood() {
    for command in COMMANDS {
        for example in command.examples {
            let words: Vec<&str> = example.line.split(' ').collect();
            assert_eq!(words[0], "keel");
            assert_eq!(invocation(&words[1..]).command.name, command.name, "{}", example.line);
        }
    }
}

#[test]
fn names_are_unique_and_optional_operands_come_last() {
    for (at, command) in COMMANDS.iter().enumerate() {
        assert!(COMMANDS[at + 1..].iter().all(|other| other.name != command.name));
        assert!(command.operands.is_sorted_by_key(|operand| !operand.required), "{}", command.name);
    }
    for flags in COMMANDS.iter().map(|command| command.flags).chain([GLOBALS]) {
        for (at, flag) in flags.iter().enumerate() {
            let rest = &flags[at + 1..];
            assert!(rest.iter().all(|other| other.long != flag.long), "{}", flag.long);
            let twice = |other: &&Flag| flag.short.is_some() && other.short == flag.short;
            assert!(!rest.iter().any(twice), "{}", flag.long);
        }
    }
}

#[test]
fn no_words_in_any_order_make_the_parser_panic() {
    let words = [
        "",
        "-",
        "--",
        "---",
        "=",
        "-=",
        "--=",
        "-f",
        "-fx",
        "-f=",
        "-qf",
        "-root",
        "--root=",
        "--log",
        "-b",
        "--preserve-fds",
        "9",
        "-1",
        "kill",
        "list",
        "help",
        "web",
        "ä",
        "-ä",
        "--ä=ö",
    ];
    let mut understood = 0;
    for first in words {
        for second in words {
            for third in words {
                understood += usize::from(ask(&[first, second, third]).is_ok());
            }
        }
    }
    assert!(understood > 100, "{understood}");
}
