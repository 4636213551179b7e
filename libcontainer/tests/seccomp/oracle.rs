//! libseccomp, by its bindings for Python, where these are installed (Debian's python3-seccomp).

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use libcontainer::spec::Seccomp;
use serde_json::{Value, json};

/// libseccomp, as it runs beside this.
pub(crate) struct Oracle {
    child: std::process::Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Oracle {
    /// Nothing, with the reason, where there is none.
    pub(crate) fn begin() -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seccomp/libseccomp.py");
        let there = Command::new("/usr/bin/python3").args(["-c", "import seccomp"]).output();
        if !there.is_ok_and(|output| output.status.success()) {
            skip("Python has no bindings for libseccomp");
            return None;
        }
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Some(Self { child, answers })
    }

    /// Its program for a profile, or for one architecture of it alone; or why it has none.
    pub(crate) fn program(
        &mut self,
        profile: &Seccomp,
        alone: Option<&str>,
    ) -> Result<Vec<u32>, String> {
        let question = json!({ "profile": profile, "alone": alone, "optimize": 1, "rounds": 1 });
        Ok(self.ask(&question)?.1)
    }

    /// The least time of some rounds in which it makes its program, and the program, which searches
    /// by halves with `optimize` 2.
    pub(crate) fn timed(
        &mut self,
        profile: &Seccomp,
        optimize: u32,
        rounds: u32,
    ) -> Result<(Duration, Vec<u32>), String> {
        let question =
            json!({ "profile": profile, "alone": null, "optimize": optimize, "rounds": rounds });
        self.ask(&question)
    }

    /// A profile without the system calls that it does not know.
    #[allow(dead_code, reason = "for tests")]
    pub(crate) fn without_unknown(&mut self, profile: &Seccomp) -> Seccomp {
        let names: Vec<&String> = profile.syscalls.iter().flat_map(|entry| &entry.names).collect();
        let answer = self.line(&json!({ "names": names })).unwrap();
        let unknown: Vec<String> = serde_json::from_str(&answer).unwrap();
        let mut profile = profile.clone();
        for entry in &mut profile.syscalls {
            entry.names.retain(|name| !unknown.contains(name));
        }
        profile.syscalls.retain(|entry| !entry.names.is_empty());
        profile
    }

    fn ask(&mut self, question: &Value) -> Result<(Duration, Vec<u32>), String> {
        let answer = self.line(question)?;
        let (seconds, digits) = answer.split_once(' ').unwrap();
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
        let words = bytes.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
        Ok((Duration::from_secs_f64(seconds.parse().unwrap()), words.collect()))
    }

    /// A question and its answer.
    fn line(&mut self, question: &Value) -> Result<String, String> {
        writeln!(self.child.stdin.as_mut().unwrap(), "{question}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        match answer.trim_end().strip_prefix("none: ") {
            Some(why) => Err(why.to_owned()),
            None => Ok(answer.trim_end().to_owned()),
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Says that a test is skipped, also to whoever counts.
fn skip(reason: &str) {
    let thread = std::thread::current();
    let line = format!("SKIP seccomp::{}: {reason}\n", thread.name().unwrap_or("main"));
    eprint!("{line}");
    if let Some(path) = std::env::var_os("KEEL_SKIPS").filter(|path| !path.is_empty()) {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }
}
