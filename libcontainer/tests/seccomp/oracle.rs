//! libseccomp, by its bindings for Python, where these are installed (Debian's python3-seccomp).

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use libcontainer::spec::Seccomp;

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

    /// Its program for a profile; or why it has none.
    pub(crate) fn program(&mut self, profile: &Seccomp) -> Result<Vec<u32>, String> {
        let line = serde_json::to_string(profile).unwrap();
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        let digits = answer.trim_end();
        if let Some(why) = digits.strip_prefix("none: ") {
            return Err(why.to_owned());
        }
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
        let words = bytes.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
        Ok(words.collect())
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
