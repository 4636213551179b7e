//! The command line: which runtimes, which clauses, which report.
//!
//! Reads arguments only; nothing is looked up or opened here.

use std::path::PathBuf;
use std::time::Duration;

use crate::report::Format;

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
conformance --runtime NAME|PATH [options]     tests a runtime against the runtime-spec, as root
conformance --controls [--runtime NAME|PATH]  compares runtimes with runc and crun

  --runtime NAME|PATH      runc, crun, keel, or a path; a name is looked up beside this
                           program and in $PATH; may be given several times with --controls
  --controls               test runc and crun too and print one table, clause x runtime
  --filter TEXT            only clauses with TEXT in the id or in the sentence
  --format FORM            table, tap, json, junit or markdown (default: table)
  --expect [NAME=]FILE     known differences of a runtime, a line each: `id: reason`
  --results FILE           a table that `--format markdown` made: a clause that passed then and is
                           skipped, or known to fail, now has failed; on such a machine
  --official DIR           also run the programs *.t in DIR, which print TAP, such as those of
                           runtime-tools; --filter official/ runs nothing else
  --wrap [NAME=]COMMAND    a command line put in front of each call of the runtime
  --timeout SECONDS        limit of one call (default: 10); a runtime that hangs is killed.
                           A program of --official may take six times as long
  --busybox PATH           a statically linked busybox
  --spec DIR               compare the clauses with the text of the specification, run nothing
  --list                   print the clauses and how each is checked, run nothing
  --help                   print this

Exit status: 0 if every clause holds, is skipped or fails as expected, 1 if one fails, 2 if the
tests could not be run.
";

/// The command line, read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The runtimes by name or path.
    pub(crate) runtimes: Vec<String>,
    /// Whether the controls are run too.
    pub(crate) controls: bool,
    /// Text the clauses must have in them.
    pub(crate) filter: Option<String>,
    /// Form of the report.
    pub(crate) format: Format,
    /// Lists of known differences, by the runtime's name where one is given.
    pub(crate) expect: Vec<(Option<String>, String)>,
    /// Wrappers, by the runtime's name where one is given.
    pub(crate) wrap: Vec<(Option<String>, String)>,
    /// A table of results of before.
    pub(crate) results: Option<String>,
    /// A directory with programs of other suites.
    pub(crate) official: Option<PathBuf>,
    /// Limit of one call.
    pub(crate) limit: Duration,
    /// The busybox to use.
    pub(crate) busybox: Option<PathBuf>,
    /// The directory with the text of the specification.
    pub(crate) spec: Option<PathBuf>,
    /// Whether to print the clauses and to run nothing.
    pub(crate) list: bool,
    /// Whether to print the usage.
    pub(crate) help: bool,
}

impl Options {
    /// Reads the arguments after the program's name.
    pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            runtimes: Vec::new(),
            controls: false,
            filter: None,
            format: Format::Table,
            expect: Vec::new(),
            wrap: Vec::new(),
            results: None,
            official: None,
            limit: Duration::from_secs(10),
            busybox: None,
            spec: None,
            list: false,
            help: false,
        };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let (name, attached) = match arg.split_once('=') {
                Some((name, value)) if name.starts_with("--") => {
                    (name.to_owned(), Some(value.to_owned()))
                }
                _ => (arg, None),
            };
            if options.flag(&name) {
                if attached.is_some() {
                    return Err(format!("{name} takes no value"));
                }
                continue;
            }
            let value = attached.or_else(|| args.next()).ok_or(format!("{name} needs a value"));
            options.value(&name, value)?;
        }
        options.check()
    }

    fn flag(&mut self, name: &str) -> bool {
        let flag = match name {
            "--controls" => &mut self.controls,
            "--list" => &mut self.list,
            "--help" | "-h" => &mut self.help,
            _ => return false,
        };
        *flag = true;
        true
    }

    fn value(&mut self, name: &str, value: Result<String, String>) -> Result<(), String> {
        match name {
            "--runtime" => self.runtimes.push(value?),
            "--filter" => self.filter = Some(value?),
            "--format" => self.format = format(&value?)?,
            "--expect" => self.expect.push(named(&value?)),
            "--wrap" => self.wrap.push(named(&value?)),
            "--results" => self.results = Some(value?),
            "--official" => self.official = Some(value?.into()),
            "--spec" => self.spec = Some(value?.into()),
            "--timeout" => self.limit = seconds(&value?)?,
            "--busybox" => self.busybox = Some(value?.into()),
            _ => return Err(format!("unknown option {name:?}")),
        }
        Ok(())
    }

    fn check(self) -> Result<Self, String> {
        if self.help || self.list || self.spec.is_some() {
            return Ok(self);
        }
        match self.runtimes.len() {
            0 if !self.controls => Err("no --runtime given".to_owned()),
            2.. if !self.controls => Err("several runtimes need --controls".to_owned()),
            _ if self.controls && self.format == Format::Tap => {
                Err("--controls has no TAP form: use another --format".to_owned())
            }
            _ => Ok(self),
        }
    }
}

/// The value meant for a runtime: the one with its name, else the one without a name.
pub(crate) fn value_for<'a>(values: &'a [(Option<String>, String)], name: &str) -> Option<&'a str> {
    let with = |wanted: Option<&str>| {
        values.iter().rfind(|(of, _)| of.as_deref() == wanted).map(|(_, value)| value.as_str())
    };
    with(Some(name)).or_else(|| with(None))
}

/// Splits `NAME=VALUE`, where the name is a plain word.
fn named(text: &str) -> (Option<String>, String) {
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    match text.split_once('=') {
        Some((name, value)) if plain(name) => (Some(name.to_owned()), value.to_owned()),
        _ => (None, text.to_owned()),
    }
}

fn format(text: &str) -> Result<Format, String> {
    let found = Format::NAMES.iter().find(|(name, _)| *name == text).map(|(_, format)| *format);
    let names = Format::NAMES.map(|(name, _)| name).join(", ");
    found.ok_or(format!("unknown format {text:?}: one of {names}"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
    seconds.map(Duration::from_secs).ok_or(format!("--timeout needs whole seconds, not {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::{Options, value_for};
    use crate::report::Format;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn values_stand_behind_a_space_or_an_equals_sign() {
        let options = parse("--runtime runc --format=tap --timeout 5 --filter=hooks").unwrap();
        assert_eq!(options.runtimes, ["runc"]);
        assert_eq!(options.format, Format::Tap);
        assert_eq!(options.limit.as_secs(), 5);
        assert_eq!(options.filter.as_deref(), Some("hooks"));
    }

    #[test]
    fn a_wrapper_may_be_meant_for_one_runtime() {
        let wraps = parse("--controls --wrap crun=strace --wrap=nice").unwrap().wrap;
        assert_eq!(value_for(&wraps, "crun"), Some("strace"));
        assert_eq!(value_for(&wraps, "runc"), Some("nice"));
    }

    #[test]
    fn wrong_command_lines_are_refused() {
        for line in [
            "",
            "--runtime",
            "--runtime a --runtime b",
            "--runtime a --format xml",
            "--runtime a --timeout 0",
            "--runtime a --colour red",
            "--runtime a --list=yes",
            "--controls --format tap",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
