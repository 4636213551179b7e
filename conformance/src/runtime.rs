//! The runtime under test as a program: where it is, how it is called, what it answers.
//!
//! What the runtime writes goes to files, not to pipes: a container inherits them and would keep a
//! pipe open for as long as it lives. Nothing here knows what an operation means.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::clause::{Outcome, fail};
use crate::process;

/// A runtime binary.
#[derive(Clone)]
pub(crate) struct Runtime {
    /// As it was named: a column's title.
    pub(crate) name: String,
    /// The binary.
    pub(crate) program: PathBuf,
    /// A command line that is put in front of each call.
    pub(crate) wrap: Option<String>,
}

impl Runtime {
    /// Finds a binary: a path as it is, a bare name beside this program, then in `$PATH`.
    pub(crate) fn find(name: &str, wrap: Option<String>) -> Result<Self, String> {
        let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.to_owned()));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = if name.contains('/') {
            Some(PathBuf::from(name))
        } else {
            let mut places = beside.into_iter().chain(std::env::split_paths(&path));
            places.find_map(|place| Some(place.join(name)).filter(|program| program.is_file()))
        };
        let program = program.ok_or(format!("no program {name:?} found"))?;
        let program = fs::canonicalize(&program)
            .map_err(|error| format!("cannot find {}: {error}", program.display()))?;
        let name = Path::new(name).file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, program, wrap })
    }

    /// The first line of what the binary says about its version; it writes to `dir`.
    pub(crate) fn version(&self, dir: &Path, limit: Duration) -> String {
        let call = Call { global: &[], args: &["--version"], cwd: None, before: "", limit };
        let said = self.call(&call, dir, 0).map(|answer| answer.stdout()).unwrap_or_default();
        said.lines().next().unwrap_or("unknown version").to_owned()
    }

    /// The command to which the arguments of a call are added.
    fn command(&self, before: &str) -> Command {
        let wrap = self.wrap.as_deref().unwrap_or_default();
        if before.is_empty() && wrap.is_empty() {
            return Command::new(&self.program);
        }
        let mut command = Command::new("/bin/sh");
        let before = if before.is_empty() { String::new() } else { format!("{before}; ") };
        let script = format!("{before}exec {wrap} \"$@\"");
        command.args(["-c", &script, "conformance"]).arg(&self.program);
        command
    }

    /// Calls the runtime and waits for the end of the call. The answer's files are made in `dir`.
    pub(crate) fn call(&self, call: &Call<'_>, dir: &Path, serial: u32) -> Outcome<Answer> {
        let shown = format!("{} {}", self.name, call.args.join(" "));
        let stdout = dir.join(format!("call-{serial}.out"));
        let stderr = dir.join(format!("call-{serial}.err"));
        let mut command = self.command(call.before);
        command
            .args(call.global)
            .args(call.args)
            .env_remove("LISTEN_FDS")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(new_file(&stdout)?)
            .stderr(new_file(&stderr)?);
        command.current_dir(call.cwd.unwrap_or(dir));
        let mut child = command.spawn()?;
        let Some(status) = process::finish(&mut child, call.limit)? else {
            return fail(format!("`{shown}` did not end within {:?}", call.limit));
        };
        if let Some(signal) = status.signal() {
            return fail(format!("`{shown}` was ended by signal {signal}"));
        }
        Ok(Answer { shown, ok: status.success(), stdout, stderr })
    }
}

/// One call of the runtime.
pub(crate) struct Call<'a> {
    /// Options in front of the operation; not shown in messages.
    pub(crate) global: &'a [String],
    /// The operation and its arguments.
    pub(crate) args: &'a [&'a str],
    /// The working directory, the test's own if none.
    pub(crate) cwd: Option<&'a Path>,
    /// Shell commands to run in the process that becomes the runtime, such as `umask 077`.
    pub(crate) before: &'a str,
    /// How long the call may take.
    pub(crate) limit: Duration,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The call, for a message.
    pub(crate) shown: String,
    /// Whether the exit status was 0.
    pub(crate) ok: bool,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Answer {
    /// What was written to standard output so far, by the runtime or by its container.
    pub(crate) fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// What was written to standard error so far, in one line.
    pub(crate) fn complaint(&self) -> String {
        let lines: Vec<_> = text(&self.stderr).lines().map(|l| l.trim().to_owned()).collect();
        let line = lines.join(" / ");
        if line.chars().count() > 300 {
            line.chars().take(300).chain("…".chars()).collect()
        } else {
            line
        }
    }

    /// The answer itself if the call succeeded.
    pub(crate) fn success(self) -> Outcome<Self> {
        if self.ok {
            Ok(self)
        } else {
            fail(format!("`{}` failed: {}", self.shown, self.complaint()))
        }
    }

    /// Fails the test if the call succeeded.
    pub(crate) fn error(&self) -> Outcome {
        if self.ok { fail(format!("`{}` succeeded", self.shown)) } else { Ok(()) }
    }
}

fn text(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}

/// Makes a file that was not there before.
pub(crate) fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Runtime;

    #[test]
    fn a_runtime_is_found_by_name_and_by_path() {
        let found = Runtime::find("sh", None).unwrap();
        assert_eq!(found.name, "sh");
        assert!(found.program.is_absolute());
        assert_eq!(Runtime::find("/bin/sh", None).unwrap().program, found.program);
        assert!(Runtime::find("no-such-runtime", None).is_err());
    }

    #[test]
    fn a_wrapper_and_a_preparation_stand_before_the_program() {
        let runtime = Runtime {
            name: "echo".into(),
            program: Path::new("/bin/echo").into(),
            wrap: Some("env WRAPPED=yes".into()),
        };
        let answer = runtime.command("umask 077").arg("create").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&answer.stdout), "create\n");
        let args: Vec<_> = runtime.command("umask 077").get_args().map(ToOwned::to_owned).collect();
        assert_eq!(args[1], "umask 077; exec env WRAPPED=yes \"$@\"");
    }
}
