//! Hooks that run in the runtime's namespaces: the program, the state on its standard input, a time
//! limit. What it prints is told when it fails.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use libcontainer_init::sys::memfd::{self, Use};
use libcontainer_init::sys::{file, pidfd};

use crate::error::{Error, ErrorKind, Result, call};
use crate::spec::annotations::HOOK_STREAMS;
use crate::spec::{Hook, State};

/// How much of a hook's output an error tells, in bytes.
const OUTPUT: u64 = 1024;

/// Runs one hook to its end.
///
/// With the descriptor of a process, the hook ends when that does: nobody needs it any more.
pub(super) fn run(
    moment: &str,
    hook: &Hook,
    state: &State,
    process: Option<&OwnedFd>,
) -> Result<()> {
    let output = memfd::create(c"hook-output", Use::Data)
        .map(OwnedFd::from)
        .map_err(|failure| call("cannot keep the output of a hook", failure))?;
    let result = start(hook, state, &output).and_then(|child| wait(child, hook, process));
    result.map_err(|why| {
        let words = read_output(&output);
        let colon = if words.is_empty() { "" } else { ": " };
        let message = format!("the {moment} hook {} failed: {why}{colon}{words}", hook.path);
        Error::new(ErrorKind::Hook, message).path(&hook.path)
    })
}

/// Starts the hook with the state document as its standard input: a file, so that a hook that does
/// not read it is no reason to wait, or to fail.
fn start(hook: &Hook, state: &State, output: &OwnedFd) -> std::result::Result<Child, String> {
    let document = document(state).map_err(|error| error.to_string())?;
    let streams = HOOK_STREAMS.map(|name| match state.annotations.get(name) {
        Some(path) => stream(path.as_ref()).map(Stdio::from).map_err(|error| error.to_string()),
        None => output.try_clone().map(Stdio::from).map_err(|error| error.to_string()),
    });
    let [stdout, stderr] = streams;
    let mut command = Command::new(&hook.path);
    if let Some((name, rest)) = hook.args.split_first() {
        command.arg0(name).args(rest);
    }
    if !hook.env.is_empty() {
        command.env_clear();
        command.envs(hook.env.iter().filter_map(|setting| setting.split_once('=')));
    }
    command.process_group(0);
    command.stdin(document).stdout(stdout?).stderr(stderr?);
    command.spawn().map_err(|error| crate::error::io_text(&error))
}

/// The file to which hooks append what they print, by annotation.
pub(super) fn stream(path: &Path) -> Result<File> {
    let opened = File::options().append(true).create(true).open(path);
    opened.map_err(|error| Error::io(format!("cannot open {} for hooks", path.display()), &error))
}

fn wait(
    mut child: Child,
    hook: &Hook,
    process: Option<&OwnedFd>,
) -> std::result::Result<(), String> {
    let seconds = hook.timeout.and_then(|timeout| u64::try_from(timeout).ok());
    let milliseconds = seconds.map(|seconds| seconds.saturating_mul(1000));
    let watched = process.map_or(-1, AsRawFd::as_raw_fd);
    let ready = pidfd::open(child.id() as i32)
        .and_then(|fd| file::wait_either([fd.raw(), watched], milliseconds));
    // A host that ignores SIGCHLD may have lost the child before it could be opened.
    if let Ok([false, gone]) = ready {
        // The hook leads a group of processes: what it started ends with it.
        let group = nix::unistd::Pid::from_raw(child.id() as i32);
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = child.wait();
        return Err(if gone {
            "the container's process ended meanwhile".to_owned()
        } else {
            format!("it did not end within {} seconds", seconds.unwrap_or_default())
        });
    }
    let status = child.wait().map_err(|error| match error.raw_os_error() {
        Some(libc::ECHILD) => "its exit status is lost, as this process ignores SIGCHLD".to_owned(),
        _ => crate::error::io_text(&error),
    })?;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(format!("exit status {code}")),
        (None, signal) => Err(format!("killed by signal {}", signal.unwrap_or(0))),
    }
}

/// The state as a file to read from.
pub(super) fn document(state: &State) -> Result<OwnedFd> {
    let fail = |failure| call("cannot write the state document", failure);
    let fd = memfd::create(c"state", Use::Data).map_err(fail)?;
    let text = serde_json::to_vec(state).unwrap_or_default();
    file::write_all(fd.raw(), &text).map_err(fail)?;
    file::rewind(fd.raw()).map_err(fail)?;
    Ok(fd.into())
}

/// What a program has written, as far as an error tells it.
pub(super) fn read_output(output: &OwnedFd) -> String {
    let mut text = Vec::new();
    let copy = output.try_clone().map(std::fs::File::from);
    if file::rewind(output.as_raw_fd()).is_ok()
        && let Ok(file) = copy
    {
        let _ = file.take(OUTPUT).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).trim().to_owned()
}
