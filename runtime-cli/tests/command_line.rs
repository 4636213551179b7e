//! The program from outside, as far as it needs neither privileges nor a container: exit status,
//! standard output and error, the log, and that nothing is left behind.

use std::fs::{self, File};
use std::io::{Write, pipe};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

/// A directory of one test, with a state root in it that does not exist yet.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = format!("keel-command-line-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(dir);
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A command line that starts with `--root`.
    fn keel(&self, words: &[&str]) -> Command {
        let mut command = keel(&[]);
        command.arg("--root").arg(self.path("state")).args(words).current_dir(&self.0);
        command
    }

    /// `config.json` made by `keel spec`, changed.
    fn bundle(&self, change: impl FnOnce(&mut Value)) {
        assert!(self.keel(&["spec"]).status().unwrap().success());
        let path = self.path("config.json");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        change(&mut config);
        fs::remove_file(&path).unwrap();
        File::create_new(&path).unwrap().write_all(config.to_string().as_bytes()).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn keel(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keel"));
    command.args(words).stdin(Stdio::null());
    command
}

/// Exit status, standard output and standard error.
fn said(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn the_version_is_written_in_lines_that_engines_take_apart() {
    for words in [&["--version"][..], &["-v"], &["version"], &["--debug", "--version", "list"]] {
        let (status, out, err) = said(&mut keel(words));
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[0], concat!("keel version ", env!("CARGO_PKG_VERSION")));
        assert!(lines[1].starts_with("commit: ") && lines[2].starts_with("spec: 1."), "{out}");
        assert_eq!((status, err.as_str()), (Some(0), ""));
    }
}

#[test]
fn help_comes_on_standard_output_and_is_no_failure() {
    for words in [&[][..], &["--help"], &["help"], &["run", "--help"], &["help", "run"]] {
        let (status, out, err) = said(&mut keel(words));
        assert!(out.contains("Usage: keel "), "{words:?}: {out}");
        assert_eq!((status, err.as_str()), (Some(0), ""));
    }
}

#[test]
fn a_mistake_is_one_line_on_standard_error() {
    for (words, expected) in [
        (&["stat"][..], "keel: unknown command \"stat\", did you mean \"state\"?\n"),
        (&["checkpoint", "--help"], "keel: unknown command \"checkpoint\"\n"),
        (&["help", "checkpoint"], "keel: unknown command \"checkpoint\"\n"),
        // Engines ask so whether containers can be saved; success would mean that they can.
        (&["restore", "--help"], "keel: unknown command \"restore\"\n"),
        (&["state"], "keel: state needs ID: keel state ID\n"),
        (&["state", "a/b\n"], "keel: invalid container id \"a/b\\n\": "),
        (&["kill", "web", "NOPE"], "keel: unknown signal \"NOPE\"\n"),
    ] {
        let place = Place::new();
        let (status, out, err) = said(&mut place.keel(words));
        assert!(err.starts_with(expected), "{words:?}: {err}");
        assert_eq!(err.matches('\n').count(), 1, "{err}");
        assert_eq!((status, out.as_str()), (Some(1), ""));
    }
}

#[test]
fn a_container_that_does_not_exist_is_said_to_and_nothing_is_made() {
    let place = Place::new();
    for words in [["state", "web"], ["start", "web"], ["kill", "web"], ["delete", "web"]] {
        let (status, out, err) = said(&mut place.keel(&words));
        assert_eq!(err, "keel: container \"web\" does not exist\n");
        assert_eq!((status, out.as_str()), (Some(1), ""));
    }
    assert_eq!(said(&mut place.keel(&["delete", "--force", "web"])).0, Some(0));
    assert_eq!(fs::read_dir(&place.0).unwrap().count(), 0);
}

#[test]
fn a_list_of_nothing_is_written_as_runc_does() {
    let place = Place::new();
    let out = |words| said(&mut place.keel(words)).1;
    assert_eq!(
        out(&["list"]),
        "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
    );
    assert_eq!(out(&["list", "--format", "json"]), "null\n");
    assert_eq!(out(&["list", "-q"]), "");
    assert_eq!(fs::read_dir(&place.0).unwrap().count(), 0);
}

#[test]
fn an_error_goes_to_the_log_and_to_standard_error() {
    let place = Place::new();
    let log = place.path("log");
    let file = log.to_str().unwrap();
    for format in ["--log-format=json", "--log-format=text"] {
        let (status, _, err) = said(&mut place.keel(&["--log", file, format, "state", "web"]));
        assert_eq!((status, err.as_str()), (Some(1), "keel: container \"web\" does not exist\n"));
    }
    let text = fs::read_to_string(&log).unwrap();
    let [json, plain] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    let error: Value = serde_json::from_str(json).unwrap();
    assert_eq!(error["level"], "error");
    assert_eq!(error["msg"], "container \"web\" does not exist");
    assert_eq!(error["kind"], "not-found");
    assert!(error["time"].as_str().unwrap().ends_with('Z'));
    assert!(plain.ends_with("level=error msg=\"container \\\"web\\\" does not exist\""), "{plain}");
}

#[test]
fn a_log_is_made_though_there_is_nothing_to_write() {
    let place = Place::new();
    let log = place.path("log");
    assert_eq!(said(&mut place.keel(&["--log", log.to_str().unwrap(), "list"])).0, Some(0));
    assert_eq!(fs::read_to_string(log).unwrap(), "");
}

#[test]
fn without_a_log_file_json_goes_to_standard_error_alone() {
    let place = Place::new();
    let (_, _, err) = said(&mut place.keel(&["--log-format", "json", "state", "web"]));
    let error: Value = serde_json::from_str(&err).unwrap();
    assert_eq!((&error["level"], &error["kind"]), (&json!("error"), &json!("not-found")));
}

#[test]
fn a_log_that_cannot_be_opened_is_an_error() {
    let (status, _, err) = said(&mut keel(&["--log", "/nonexistent/log", "list"]));
    let expected = "keel: cannot open log file /nonexistent/log: no such file or directory\n";
    assert_eq!((status, err.as_str()), (Some(1), expected));
}

#[test]
fn standard_output_without_a_reader_ends_the_command_without_a_word() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let (status, _, err) = said(keel(&["--help"]).stdout(writer));
    assert_eq!((status, err.as_str()), (Some(141), ""));
}

#[test]
fn a_full_disk_behind_standard_output_is_an_error() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (status, _, err) = said(keel(&["--help"]).stdout(full));
    let expected = "keel: cannot write to standard output: no space left on device\n";
    assert_eq!((status, err.as_str()), (Some(1), expected));
}

#[test]
fn a_configuration_that_is_there_is_not_overwritten() {
    let place = Place::new();
    symlink(place.path("elsewhere"), place.path("config.json")).unwrap();
    for options in [&["spec"][..], &["spec", "--rootless"]] {
        let (status, _, err) = said(&mut place.keel(options));
        let expected = "keel: config.json exists already: remove it first\n";
        assert_eq!((status, err.as_str()), (Some(1), expected));
    }
    assert!(fs::symlink_metadata(place.path("elsewhere")).is_err());
}

#[test]
fn a_configuration_can_have_another_name_which_counts_from_the_bundle() {
    let place = Place::new();
    fs::create_dir(place.path("bundle")).unwrap();
    let words = ["spec", "--bundle", "bundle", "--file", "other.json"];
    assert_eq!(said(&mut place.keel(&words)).0, Some(0));
    assert_eq!(fs::read_dir(place.path("bundle")).unwrap().count(), 1);
    let text = fs::read_to_string(place.path("bundle/other.json")).unwrap();
    let (status, _, err) = said(&mut place.keel(&words));
    let expected = "keel: bundle/other.json exists already: remove it first\n";
    assert_eq!((status, err.as_str()), (Some(1), expected));
    assert_eq!(fs::read_to_string(place.path("bundle/other.json")).unwrap(), text);
    // An absolute path is one, and -f means the same.
    let absolute = place.path("absolute.json");
    let words = ["spec", "-b", "bundle", "-f", absolute.to_str().unwrap()];
    assert_eq!(said(&mut place.keel(&words)).0, Some(0));
    assert_eq!(fs::read_to_string(absolute).unwrap(), text);
}

#[test]
fn create_cannot_be_asked_to_adopt_orphans() {
    let place = Place::new();
    let (status, _, err) = said(&mut place.keel(&["create", "--no-subreaper=false", "web"]));
    let expected = "keel: create cannot adopt orphans, as it ends before the container does: \
                    leave out --no-subreaper=false\n";
    assert_eq!((status, err.as_str()), (Some(1), expected));
}

#[test]
fn a_configuration_is_written_with_tabs_and_without_an_end_of_line() {
    let place = Place::new();
    assert_eq!(said(&mut place.keel(&["spec", "--bundle", "."])).0, Some(0));
    let text = fs::read_to_string(place.path("config.json")).unwrap();
    assert!(text.starts_with("{\n\t\"ociVersion\": \"1.") && text.ends_with("\n}"), "{text}");
    assert!(!text.contains("\n "));
}

#[test]
fn a_terminal_and_the_options_must_agree() {
    for (terminal, words, expected) in [
        (true, &["create", "web"][..], "--console-socket is needed"),
        (true, &["run", "--detach", "web"], "--console-socket is needed"),
        (true, &["run", "--console-socket", "s", "web"], "is of no use: the container's terminal"),
        (false, &["create", "--console-socket", "s", "web"], "process.terminal is false"),
        (false, &["run", "--console-socket", "s", "web"], "process.terminal is false"),
    ] {
        let place = Place::new();
        place.bundle(|config| config["process"]["terminal"] = terminal.into());
        let (status, _, err) = said(&mut place.keel(words));
        assert!(err.contains(expected), "{words:?}: {err}");
        assert_eq!(status, Some(1));
        assert!(!Path::new(&place.path("state")).is_dir());
    }
}

#[test]
fn the_log_of_this_program_is_not_a_descriptor_of_the_caller() {
    let place = Place::new();
    place.bundle(|config| config["process"]["terminal"] = false.into());
    let log = place.path("log");
    // 3 is free when the program starts, and its log gets the number.
    let words = ["--log", log.to_str().unwrap(), "create", "--preserve-fds", "1", "web"];
    let (status, _, err) = said(&mut place.keel(&words));
    assert!(err.contains("cannot preserve descriptor 3"), "{err}");
    assert_eq!(status, Some(1));
}

#[test]
fn all_faults_of_a_configuration_are_told_at_once_with_pointers() {
    let place = Place::new();
    place.bundle(|config| {
        config["process"]["terminal"] = false.into();
        config["process"]["cwd"] = "relative".into();
        config["process"]["args"] = json!([]);
    });
    let (status, _, err) = said(&mut place.keel(&["--log-format", "json", "create", "web"]));
    let error: Value = serde_json::from_str(err.lines().last().unwrap()).unwrap();
    let pointers: Vec<&Value> =
        error["faults"].as_array().unwrap().iter().map(|fault| &fault["pointer"]).collect();
    assert!(pointers.contains(&&json!("/process/cwd")), "{err}");
    assert!(pointers.contains(&&json!("/process/args")), "{err}");
    assert_eq!((status, &error["kind"]), (Some(1), &json!("config")));
}
