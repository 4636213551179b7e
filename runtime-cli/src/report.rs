//! How a command fails: what people, logs and the exit status are told.
//!
//! Commands return a [`Failure`]; `main` reports it here, once. Nothing else writes errors.

use std::process::ExitCode;

use libcontainer::{Error, Fault};
use nix::errno::Errno;
use serde_json::{Map, Value, json};

use crate::log;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It failed.
    Error(Error),
    /// It failed, and this exit status says so, as 1 could be that of a container's program.
    WithStatus(Error, u8),
    /// Nobody reads its standard output any more, and so nobody would read about it.
    NoReader,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Tell about a failure; the result is the exit status that goes with it.
pub(crate) fn failure(failure: &Failure) -> ExitCode {
    match failure {
        Failure::Error(failed) => {
            error(failed);
            ExitCode::FAILURE
        }
        Failure::WithStatus(failed, status) => {
            error(failed);
            ExitCode::from(*status)
        }
        // As if SIGPIPE had not been ignored.
        Failure::NoReader => ExitCode::from(128 + 13),
    }
}

/// Tell about an error that does not decide the exit status.
pub(crate) fn error(error: &Error) {
    log::error(&error.to_string(), members(error));
}

/// Write the result of a command to standard output.
pub(crate) fn print(text: &str) -> Result<ExitCode, Failure> {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.raw_os_error() == Some(Errno::EPIPE as i32) => Err(Failure::NoReader),
        Err(error) => Err(Error::io("cannot write to standard output", &error).into()),
    }
}

/// What is known about an error besides its sentence, for the JSON log.
fn members(error: &Error) -> Map<String, Value> {
    let faults: Vec<Value> = error.faults().iter().map(fault).collect();
    [
        ("kind", Some(error.kind().name().into())),
        ("errno", error.raw_errno().map(Value::from)),
        ("syscall", error.failed_syscall().map(Value::from)),
        ("path", error.failed_path().map(|path| path.to_string_lossy().into())),
        ("phase", error.phase().map(Value::from)),
        ("step", error.step().map(Value::from)),
        ("pointer", error.pointer().map(Value::from)),
        ("faults", Some(Value::from(faults)).filter(|_| !error.faults().is_empty())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

fn fault(fault: &Fault) -> Value {
    json!({ "pointer": fault.pointer, "message": fault.message })
}

#[cfg(test)]
mod tests {
    use libcontainer::ErrorKind;

    use super::*;

    #[test]
    fn an_error_has_the_members_that_are_known_about_it_and_no_others() {
        let error = Error::system("cannot mount proc", Errno::EPERM)
            .syscall("move_mount")
            .path("/proc")
            .at("isolate", 3, "/mounts/0");
        let expected = json!({
            "kind": "system", "errno": 1, "syscall": "move_mount", "path": "/proc",
            "phase": "isolate", "step": 3, "pointer": "/mounts/0",
        });
        assert_eq!(Value::Object(members(&error)), expected);
        let plain = Error::new(ErrorKind::NotFound, "gone");
        assert_eq!(Value::Object(members(&plain)), json!({ "kind": "not-found" }));
    }

    #[test]
    fn all_faults_of_a_configuration_are_members() {
        let error = Error::config(vec![
            Fault { pointer: "/process/cwd".into(), message: "cwd must be absolute".into() },
            Fault { pointer: "/root".into(), message: "root is missing".into() },
        ]);
        let members = members(&error);
        assert_eq!(members["faults"][1], json!({"pointer": "/root", "message": "root is missing"}));
        assert_eq!(members["faults"].as_array().map(Vec::len), Some(2));
    }
}
