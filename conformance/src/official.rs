//! Runs prebuilt programs of the official validation suite (`runtime-tools`), or others like them.
//!
//! Such a program takes the runtime's command from the environment variable `RUNTIME`, makes its
//! containers itself, in the working directory looks for `runtimetest` and for a root file system,
//! and prints the Test Anything Protocol. Each program is a row, and so is each of its tests. What a
//! program leaves is removed.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::clause::{Outcome, Verdict};
use crate::expect::Expected;
use crate::process;
use crate::report::{Item, Row, Status};
use crate::runtime::{Runtime, new_file};
use crate::tap::{Directive, Output, Point};

/// What the ids of these rows begin with.
pub(crate) const PREFIX: &str = "official/";

/// How many times longer than one call of the runtime a program may take.
const CALLS: u32 = 6;

/// The programs of a directory.
pub(crate) struct Suite {
    /// Where the programs look for `runtimetest` and their root file system.
    dir: PathBuf,
    /// Name and path of each.
    programs: Vec<(String, PathBuf)>,
}

impl Suite {
    /// Finds the programs: executable files named `*.t`, in the directory or below.
    pub(crate) fn find(dir: &Path, filter: &str) -> Result<Self, String> {
        let told = |error| format!("cannot read {}: {error}", dir.display());
        let dir = fs::canonicalize(dir).map_err(told)?;
        let mut programs = Vec::new();
        collect(&dir, &mut programs).map_err(told)?;
        if programs.is_empty() {
            return Err(format!("no executable file named *.t in {}", dir.display()));
        }
        programs.sort();
        let name = |path: &Path| path.strip_prefix(&dir).unwrap_or(path).display().to_string();
        let named = programs.into_iter().map(|path| (format!("{PREFIX}{}", name(&path)), path));
        let programs = named.filter(|(id, _)| id.contains(filter)).collect();
        // Whoever points at the `validation` directory of a checkout means the checkout.
        let home = dir.ancestors().find(|dir| dir.join("runtimetest").is_file());
        Ok(Self { dir: home.unwrap_or(&dir).to_owned(), programs })
    }

    /// Whether the filter left nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    /// Runs every program with a runtime; `each` sees every row. `place` is a directory of the
    /// tests' own.
    pub(crate) fn rows(
        &self,
        runtime: &Runtime,
        expected: &Expected,
        place: &Path,
        limit: Duration,
        mut each: impl FnMut(&Row),
    ) -> Result<Vec<Row>, String> {
        let told = |error| format!("cannot write to {}: {error}", place.display());
        let stage = Stage::make(runtime, place).map_err(told)?;
        let mut rows = Vec::new();
        for (id, path) in &self.programs {
            for row in stage.run(id, path, &self.dir, limit * CALLS, expected) {
                each(&row);
                rows.push(row);
            }
        }
        Ok(rows)
    }
}

fn collect(dir: &Path, programs: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            collect(&path, programs)?;
        } else if path.extension().is_some_and(|end| end == "t")
            && fs::metadata(&path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
        {
            programs.push(path);
        }
    }
    Ok(())
}

/// Where the programs run with one runtime. Removed when dropped.
struct Stage<'a> {
    runtime: &'a Runtime,
    /// A directory for all of it.
    dir: PathBuf,
    /// The program that is `RUNTIME`: the runtime with its wrapper and a state root of our own.
    command: PathBuf,
}

impl<'a> Stage<'a> {
    fn make(runtime: &'a Runtime, place: &Path) -> std::io::Result<Self> {
        let dir = place.join("official");
        fs::create_dir(&dir)?;
        let command = dir.join(&runtime.name);
        let wrap = runtime.wrap.as_deref().unwrap_or_default();
        let (program, state) = (runtime.program.display(), dir.join("state"));
        let script =
            format!("#!/bin/sh\nexec {wrap} '{program}' --root '{}' \"$@\"\n", state.display());
        let mut file = new_file(&command)?;
        file.write_all(script.as_bytes())?;
        file.set_permissions(fs::Permissions::from_mode(0o755))?;
        Ok(Self { runtime, dir, command })
    }

    /// Runs one program: its tests, and first the program as a whole.
    fn run(
        &self,
        id: &str,
        program: &Path,
        cwd: &Path,
        limit: Duration,
        expected: &Expected,
    ) -> Vec<Row> {
        let begun = Instant::now();
        let (output, fault) = match self.output(program, cwd, limit) {
            Ok(result) => result,
            Err(Verdict::Fail(seen) | Verdict::Skip(seen)) => (Output::default(), Some(seen)),
        };
        self.clean();
        let whole = match (&fault, output.skipped()) {
            (Some(seen), _) => failed(seen, id, expected),
            (None, Some(reason)) => Status::Skip(reason.to_owned()),
            (None, None) => Status::Pass,
        };
        let row = |id: &str, text: String, status: Status, seconds| {
            let (document, level) = (id_of_program(id).to_owned(), "TEST".to_owned());
            let outdated = status == Status::Pass && expected.reason(id).is_some();
            Row {
                item: Item { id: id.to_owned(), document, level, text },
                status,
                seconds,
                outdated,
            }
        };
        let text = format!("the program as a whole, with {} tests", output.points.len());
        let mut rows = vec![row(id, text, whole, begun.elapsed().as_secs_f64())];
        for (number, point) in (1..).zip(output.points) {
            let id = format!("{id}#{number}");
            let status = judge(&point, &id, expected);
            rows.push(row(&id, point.text, status, 0.0));
        }
        rows
    }

    /// What a program prints, and what is wrong with the whole.
    fn output(
        &self,
        program: &Path,
        cwd: &Path,
        limit: Duration,
    ) -> Outcome<(Output, Option<String>)> {
        let (stdout, stderr) = (self.dir.join("stdout"), self.dir.join("stderr"));
        for old in [&stdout, &stderr] {
            let _ = fs::remove_file(old);
        }
        let mut child = Command::new(program)
            .current_dir(cwd)
            .env("RUNTIME", &self.command)
            .stdin(Stdio::null())
            .stdout(new_file(&stdout)?)
            .stderr(new_file(&stderr)?)
            .spawn()?;
        let status = process::finish(&mut child, limit)?;
        let output = Output::parse(&String::from_utf8_lossy(&fs::read(stdout)?));
        let ended = match status {
            None => Some(format!("it did not end within {limit:?}")),
            Some(status) => ended_badly(status, &output),
        };
        let complaint = String::from_utf8_lossy(&fs::read(stderr)?).into_owned();
        let last = complaint.lines().rfind(|line| !line.trim().is_empty());
        let fault = ended.or_else(|| output.fault()).map(|fault| match last {
            Some(line) => format!("{fault}; its last word was: {line}"),
            None => fault,
        });
        Ok((output, fault))
    }

    /// Removes what a program has left.
    fn clean(&self) {
        process::sweep();
        let state = self.dir.join("state");
        for container in fs::read_dir(&state).into_iter().flatten().flatten() {
            let delete = Command::new(&self.command)
                .args(["delete", "--force"])
                .arg(container.file_name())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            if let Ok(mut delete) = delete {
                let _ = process::finish(&mut delete, Duration::from_secs(10));
            }
        }
        process::sweep();
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        if fs::read_dir(self.dir.join("state")).is_ok_and(|mut left| left.next().is_some()) {
            eprintln!("conformance: {} could not remove every container", self.runtime.name);
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// The program of a test's id.
fn id_of_program(id: &str) -> &str {
    id.split_once('#').map_or(id, |(program, _)| program)
}

fn failed(seen: &str, id: &str, expected: &Expected) -> Status {
    Status::Fail { seen: seen.to_owned(), known: expected.reason(id).map(str::to_owned) }
}

/// An exit status that its own tests do not explain.
fn ended_badly(status: ExitStatus, output: &Output) -> Option<String> {
    if let Some(signal) = status.signal() {
        return Some(format!("it was ended by signal {signal}"));
    }
    let explained = output.points.iter().any(|point| !point.ok);
    let code = status.code().filter(|code| *code != 0 && !explained)?;
    Some(format!("it ended with status {code}"))
}

fn judge(point: &Point, id: &str, expected: &Expected) -> Status {
    match (&point.directive, point.ok) {
        (Some(Directive::Skip(reason)), _) => Status::Skip(reason.clone()),
        (_, true) => Status::Pass,
        (Some(Directive::Todo(reason)), false) => {
            Status::Fail { seen: point.notes.join(" "), known: Some(format!("to do: {reason}")) }
        }
        (None, false) => failed(&point.notes.join(" "), id, expected),
    }
}
