//! `controls`: the tests that COVERAGE.md names, with runc and crun in place of keel.
//!
//! A test that holds for keel alone proves little: it could demand what no runtime does. So each
//! test either passes with a control, or is skipped with a reason: what the machine has not, a
//! difference that is recorded (`differences.rs`), or what only keel does. Prints those
//! reasons, the failures, and the numbers; fails if a test fails without a reason.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

/// The runtimes to compare with, unless some are named as arguments.
const CONTROLS: [&str; 2] = ["runc", "crun"];

/// How long the tests of one file may take, as `timeout` takes it.
const LIMIT: &str = "600";

/// What came of the tests, each by its name: `file::test`.
#[derive(Default)]
struct Results {
    passed: BTreeSet<String>,
    failed: BTreeSet<String>,
    skipped: BTreeMap<String, String>,
}

fn main() -> ExitCode {
    let named: Vec<String> = env::args().skip(1).collect();
    let controls = if named.is_empty() { CONTROLS.map(str::to_owned).to_vec() } else { named };
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(here.join("../libcontainer/COVERAGE.md")).expect("COVERAGE.md");
    let files = tests(&text);
    let mut good = true;
    for control in controls {
        let mut results = Results::default();
        for (file, functions) in &files {
            results.run(&control, file, functions);
        }
        results.report(&control);
        good &= results.failed.is_empty();
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The tests that a document names as `file::test`, by file.
fn tests(document: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let word = |text: &str| {
        text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let mut files: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (file, function) in document.split('`').filter_map(|name| name.split_once("::")) {
        if word(file) && word(function) {
            files.entry(file).or_default().insert(function);
        }
    }
    files
}

impl Results {
    /// Runs tests of one file, as libtest names them.
    fn run(&mut self, control: &str, file: &str, functions: &BTreeSet<&str>) {
        let skips: PathBuf = env::temp_dir().join(format!("keel-controls-{}", std::process::id()));
        let output = Command::new("timeout")
            .args(["--kill-after=10", LIMIT, "integration/as-control", control])
            .args(["cargo", "test", "-q", "-p", "integration", "--test", file, "--", "--exact"])
            .args(["--format", "pretty"])
            .args(functions)
            .env("KEEL_SKIPS", &skips)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .stdin(Stdio::null())
            .output()
            .expect("the tests run");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let reasons = fs::read_to_string(&skips).unwrap_or_default();
        let _ = fs::remove_file(&skips);
        for function in functions {
            let name = format!("{file}::{function}");
            let start = format!("SKIP {name}: ");
            if let Some(reason) = reasons.lines().find_map(|line| line.strip_prefix(&start)) {
                self.skipped.insert(name, reason.to_owned());
            } else if said.contains(&format!("test {function} ... ok")) {
                self.passed.insert(name);
            } else {
                println!("{name} with {control}:\n{}", about(&said, function));
                self.failed.insert(name);
            }
        }
    }

    fn report(&self, control: &str) {
        println!("\n== {control}: skipped");
        for (name, reason) in &self.skipped {
            println!("{name}: {reason}");
        }
        println!("\n== {control}: failed without a reason");
        for name in &self.failed {
            println!("{name}");
        }
        let different = self.skipped.values().filter(|reason| reason.starts_with("not for "));
        let keels = self.skipped.values().filter(|reason| reason.starts_with("only keel "));
        let [different, keels] = [different.count(), keels.count()];
        println!(
            "\n{control}: {} tests: {} passed, {} failed, {different} differ for a reason, {keels} are \
             about what only keel does, {} want what this machine has not",
            self.passed.len() + self.failed.len() + self.skipped.len(),
            self.passed.len(),
            self.failed.len(),
            self.skipped.len() - different - keels,
        );
    }
}

/// What a test that failed has said, in short.
fn about(said: &str, function: &str) -> String {
    let start = format!("---- {function} stdout ----");
    let own = said.split_once(&start).map_or("no word of it", |(_, rest)| rest);
    own.lines()
        .skip(1)
        .take_while(|line| !line.starts_with("stack backtrace"))
        .take(12)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::tests;

    #[test]
    fn tests_are_found_by_their_names() {
        let found = tests("| `a` | `b::c_1` | `b::d`, `B::c` | `b::c_1` | `e::f` `x::y()` |");
        let found: Vec<_> = found.into_iter().map(|(file, list)| (file, list.len())).collect();
        assert_eq!(found, [("b", 2), ("e", 1)]);
    }
}
