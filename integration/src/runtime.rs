//! The runtime under test, as a program.
//!
//! An [`Invocation`] is one call of it: its output goes to files, not pipes, because a container
//! that stays behind keeps the other end open; and it has a deadline, after which the call is
//! killed and the test fails. Nothing here knows what a command should do.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use std::os::unix::process::ExitStatusExt;

use crate::skip::program;

/// How long a call of the runtime may take before the test fails.
pub fn patience() -> Duration {
    scaled(Duration::from_secs(60))
}

/// A time that is enough on a usual machine, as often as the environment variable `KEEL_PATIENCE`
/// says: an emulated processor is slower.
pub fn scaled(time: Duration) -> Duration {
    let times = std::env::var("KEEL_PATIENCE").ok().and_then(|times| times.parse().ok());
    time * times.unwrap_or(1)
}

/// Which runtime it is, from the first word of `--version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The runtime of this repository.
    Keel,
    /// runc.
    Runc,
    /// crun.
    Crun,
    /// Another one.
    Other,
}

impl Kind {
    /// The runtime's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keel => "keel",
            Self::Runc => "runc",
            Self::Crun => "crun",
            Self::Other => "another runtime",
        }
    }
}

/// A runtime: where it lies and what it is.
#[derive(Debug, Clone)]
pub struct Runtime {
    program: PathBuf,
    kind: Kind,
}

impl Runtime {
    /// The runtime under test: `KEEL_RUNTIME`, or the `keel` built beside the tests.
    ///
    /// # Errors
    /// The reason for which there is none, as a sentence.
    pub fn under_test() -> Result<Self, String> {
        if let Some(name) = std::env::var_os("KEEL_RUNTIME").filter(|name| !name.is_empty()) {
            return Self::named(&name.to_string_lossy());
        }
        let exe = std::env::current_exe().map_err(|error| error.to_string())?;
        // target/debug/deps/lifecycle-0123 and target/debug/bench both lead to target/debug/keel.
        let built =
            exe.ancestors().skip(1).take(2).map(|dir| dir.join("keel")).find(|p| p.is_file());
        let built = built.ok_or("no keel beside the tests: build it, or set KEEL_RUNTIME")?;
        Self::named(&built.to_string_lossy())
    }

    /// A runtime by path or by name in `PATH`.
    ///
    /// # Errors
    /// It is not there or does not tell its version.
    pub fn named(name: &str) -> Result<Self, String> {
        let path = program(name).ok_or_else(|| format!("the program {name} is not installed"))?;
        let path = fs::canonicalize(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let output = Command::new(&path).arg("--version").output();
        let output = output.map_err(|error| format!("cannot run {}: {error}", path.display()))?;
        let kind = match String::from_utf8_lossy(&output.stdout).split_whitespace().next() {
            Some("keel") => Kind::Keel,
            Some("runc") => Kind::Runc,
            Some("crun") => Kind::Crun,
            Some(_) => Kind::Other,
            None => return Err(format!("{} --version says nothing", path.display())),
        };
        Ok(Self { program: path, kind })
    }

    /// Which runtime it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The program's path.
    pub fn program(&self) -> &Path {
        &self.program
    }
}

/// What one call of a program came to.
#[derive(Clone)]
pub struct Outcome {
    /// What was called, for messages.
    pub call: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its output.
    pub stdout: String,
    /// Its error output.
    pub stderr: String,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |text: &str| text.chars().take(4000).collect::<String>();
        writeln!(f, "{} ended with {}", part(&self.call), self.status)?;
        write!(f, "stdout: {}\nstderr: {}", part(&self.stdout), part(&self.stderr))
    }
}

impl Outcome {
    /// The exit code, if it ended by itself.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Demands success.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "not successful: {self:#?}");
        self
    }

    /// Demands an exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{self:#?}");
        self
    }

    /// Demands a refusal as a user deserves it: an exit code that is not zero and something on
    /// stderr that is written for people.
    #[track_caller]
    pub fn refused(self) -> Self {
        let code = self.code();
        assert!(code.is_some_and(|code| code != 0), "not refused, or died of a signal: {self:#?}");
        assert!(!self.stderr.trim().is_empty(), "refused without a word: {self:#?}");
        for smell in ["panicked", "RUST_BACKTRACE", "goroutine", "Os {", "Some(", "ErrorKind"] {
            assert!(!self.stderr.contains(smell), "not written for people ({smell}): {self:#?}");
        }
        let longest = self.stderr.lines().map(str::len).max().unwrap_or(0);
        assert!(longest < 1500, "no sentence is {longest} bytes long: {self:#?}");
        self
    }

    /// Demands that stderr holds each of these texts.
    #[track_caller]
    pub fn says_all(self, texts: &[&str]) -> Self {
        texts.iter().fold(self, |outcome, text| outcome.says(&[text]))
    }

    /// Demands that stderr holds one of these texts. A log may have escaped the quotes.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Self {
        let said = self.stderr.replace("\\\"", "\"");
        assert!(texts.iter().any(|text| said.contains(text)), "none of {texts:?}: {self:#?}");
        self
    }
}

/// One call of a program, to be shaped and then run.
pub struct Invocation {
    argv: Vec<OsString>,
    files: PathBuf,
    patience: Duration,
    cwd: Option<PathBuf>,
    env: Vec<(OsString, OsString)>,
    stdio: [Option<Stdio>; 3],
}

impl Invocation {
    /// A call whose output files go below `files`.
    pub fn new(program: impl AsRef<OsStr>, files: impl Into<PathBuf>) -> Self {
        let argv = vec![program.as_ref().to_owned()];
        let (cwd, env, stdio) = (None, Vec::new(), [None, None, None]);
        Self { argv, files: files.into(), patience: patience(), cwd, env, stdio }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.argv.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.argv.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Has another program start this one: its words come first.
    #[must_use]
    pub fn under<S: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.argv.splice(0..0, words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Has bash open things first, as in `3</etc 4</dev/null`, and then become this program.
    #[must_use]
    pub fn with_descriptors(self, redirections: &str) -> Self {
        let script = format!("exec {redirections} && exec \"$0\" \"$@\"");
        self.under(["bash", "-c", script.as_str()])
    }

    /// Sets the working directory.
    #[must_use]
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    /// Sets a variable; only `PATH` is there otherwise.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Sets how long it may take.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Gives it a standard input; `/dev/null` otherwise.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdio[0] = Some(stdin.into());
        self
    }

    /// Gives it an output of the test's in place of a file.
    #[must_use]
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdio[1] = Some(stdout.into());
        self
    }

    /// Gives it an error output of the test's in place of a file.
    #[must_use]
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.stdio[2] = Some(stderr.into());
        self
    }

    /// Starts it.
    #[track_caller]
    pub fn spawn(self) -> Call {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let [stdin, stdout, stderr] = self.stdio;
        let out = self.files.join(format!("{number}.out"));
        let err = self.files.join(format!("{number}.err"));
        let (out_file, err_file) = (create(&out), create(&err));
        let mut command = Command::new(&self.argv[0]);
        command.args(&self.argv[1..]).env_clear();
        command
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin".into()));
        command.envs(self.env).stdin(stdin.unwrap_or_else(Stdio::null));
        command.stdout(stdout.unwrap_or_else(|| out_file.into()));
        command.stderr(stderr.unwrap_or_else(|| err_file.into()));
        if let Some(dir) = self.cwd {
            command.current_dir(dir);
        }
        let words: Vec<_> = self.argv.iter().map(|word| word.to_string_lossy()).collect();
        let call = words.join(" ");
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {call}: {error}"));
        Call { call, child, out, err, deadline: Instant::now() + self.patience }
    }

    /// Runs it to its end. The test fails when it takes too long.
    #[track_caller]
    pub fn run(self) -> Outcome {
        self.spawn().wait()
    }
}

/// A call that is under way. It is killed when dropped.
pub struct Call {
    call: String,
    child: Child,
    out: PathBuf,
    err: PathBuf,
    deadline: Instant,
}

impl Call {
    /// The process id.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// What it has written so far.
    pub fn stdout(&self) -> String {
        read(&self.out)
    }

    /// Where its output goes.
    pub fn stdout_path(&self) -> &Path {
        &self.out
    }

    /// Waits for a text in its output.
    #[track_caller]
    pub fn expect(&self, text: &str) {
        until(&format!("{text:?} in the output of {}", self.call), || self.stdout().contains(text));
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).expect("kill");
    }

    /// What it wrote to stderr, if it has ended already.
    pub fn ended(&mut self) -> Option<String> {
        matches!(self.child.try_wait(), Ok(Some(_))).then(|| read(&self.err))
    }

    /// Gives it a time to end; after that it is killed.
    pub fn end_within(mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for its end. The test fails when that takes too long.
    #[track_caller]
    pub fn wait(mut self) -> Outcome {
        let mut pause = Duration::from_micros(200);
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                break status;
            }
            if Instant::now() > self.deadline {
                let (out, err) = (read(&self.out), read(&self.err));
                panic!("took too long: {}\nstdout: {out}\nstderr: {err}", self.call);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(4));
        };
        let (stdout, stderr) = (read(&self.out), read(&self.err));
        Outcome { call: self.call.clone(), status, stdout, stderr }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The number of the signal that ended a process, if one did.
pub fn signal_of(status: ExitStatus) -> Option<i32> {
    status.signal()
}

/// Waits until something holds. The test fails when that takes too long.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience();
    while !holds() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A new file for output; it can be read while a container still writes to it.
fn create(path: &Path) -> File {
    let file = OpenOptions::new().append(true).create_new(true).open(path);
    file.unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()))
}

/// What a file holds so far.
fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
