//! What people see on a terminal, and what programs do not see anywhere else.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use nix::pty::openpty;

/// What the program writes to a terminal that is its standard output and error.
fn on_terminal(words: &[&str], env: &[(&str, &str)]) -> String {
    let pty = openpty(None, None).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_keel"));
    command.args(words).stdin(Stdio::null()).env_remove("NO_COLOR").env("TERM", "xterm");
    command.envs(env.iter().copied());
    command.stdout(pty.slave.try_clone().unwrap()).stderr(pty.slave);
    let mut child = command.spawn().unwrap();
    // The command holds the terminal's other end, which must be closed for the text to end.
    drop(command);
    let (mut text, mut master) = (Vec::new(), File::from(pty.master));
    // With all other ends closed a terminal reads as an error.
    let _ = master.read_to_end(&mut text);
    child.wait().unwrap();
    String::from_utf8(text).unwrap().replace("\r\n", "\n")
}

#[test]
fn errors_and_headings_have_colours_on_a_terminal() {
    let error = on_terminal(&["state"], &[]);
    assert_eq!(error, "\x1b[1;31mkeel:\x1b[0m state needs ID: keel state ID\n");
    for words in [&["--help"][..], &["help"], &["run", "--help"], &["help", "run"]] {
        let help = on_terminal(words, &[]);
        assert!(help.contains("\x1b[1mUsage:\x1b[0m keel "), "{help}");
        assert!(help.contains("\x1b[36m-h, --help\x1b[0m"), "{help}");
    }
}

#[test]
fn nobody_has_to_have_colours() {
    for env in [[("NO_COLOR", "1")], [("TERM", "dumb")]] {
        let error = on_terminal(&["state"], &env);
        assert_eq!(error, "keel: state needs ID: keel state ID\n", "{env:?}");
        assert!(!on_terminal(&["run", "--help"], &env).contains('\x1b'), "{env:?}");
    }
    // An empty value is none (no-color.org).
    assert!(on_terminal(&["state"], &[("NO_COLOR", "")]).contains('\x1b'));
}

#[test]
fn what_programs_read_has_no_colours_even_on_a_terminal() {
    let root = std::env::temp_dir().join(format!("keel-terminal-{}", std::process::id()));
    let root = root.to_str().unwrap();
    for words in [
        &["--version"][..],
        &["features"],
        &["--root", root, "list"],
        &["--log-format=json", "--root", root, "state", "web"],
    ] {
        let text = on_terminal(words, &[]);
        assert!(!text.is_empty() && !text.contains('\x1b'), "{words:?}: {text}");
    }
}
