//! What can go wrong, as one structured value.
//!
//! Every failure of the library is an [`Error`]: a kind for programs, one sentence for people, and
//! where known the system call, its errno, the path, the step of the plan and the pointer into
//! `config.json`. An error is returned or logged, never both, and is written down once: wherever
//! the sentence is completed, not at every level it passes.

use std::fmt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

/// The result of everything in this library that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The sort of failure, for programs that decide what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration is not valid, or asks for what this runtime or machine cannot do.
    Config,
    /// Something given by the caller is not usable: an id, a signal, a bundle, an option.
    Input,
    /// No container of that id exists.
    NotFound,
    /// A container of that id exists already.
    Exists,
    /// The container is in a state in which the operation is not allowed.
    State,
    /// A system call failed on the runtime's side.
    System,
    /// A step of the container's init failed, or init died.
    Init,
    /// A hook failed or ran out of time.
    Hook,
    /// The record of a container cannot be read or written.
    Record,
}

impl ErrorKind {
    /// The kind as one word, as it stands in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Input => "input",
            Self::NotFound => "not-found",
            Self::Exists => "exists",
            Self::State => "state",
            Self::System => "system",
            Self::Init => "init",
            Self::Hook => "hook",
            Self::Record => "record",
        }
    }
}

/// One fault of a configuration: where, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer (RFC 6901) into `config.json`, such as `/mounts/0/options/1`.
    pub pointer: String,
    /// The sentence, without the pointer.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (config.json {})", self.message, self.pointer)
    }
}

/// A failure: kind, sentence, and everything known about where it happened.
#[derive(thiserror::Error)]
pub struct Error(Box<Details>);

#[derive(Debug, Clone)]
struct Details {
    kind: ErrorKind,
    message: String,
    errno: Option<Errno>,
    syscall: Option<&'static str>,
    path: Option<PathBuf>,
    phase: Option<&'static str>,
    step: Option<usize>,
    pointer: Option<String>,
    faults: Vec<Fault>,
}

impl Error {
    /// An error of this kind with a complete sentence: lower case, no full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind,
            message: message.into(),
            errno: None,
            syscall: None,
            path: None,
            phase: None,
            step: None,
            pointer: None,
            faults: Vec::new(),
        }))
    }

    /// A failed system call: `cannot <message>: <errno text>`.
    pub fn system(message: impl Into<String>, errno: Errno) -> Self {
        Self::new(ErrorKind::System, message).errno(errno)
    }

    /// A failed operation of the standard library.
    pub fn io(message: impl Into<String>, error: &std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(code) => Self::system(message, Errno::from_raw(code)),
            None => Self::new(ErrorKind::System, format!("{}: {error}", message.into())),
        }
    }

    /// A configuration with these faults, all of them reported together.
    pub fn config(faults: Vec<Fault>) -> Self {
        let mut error = Self::new(ErrorKind::Config, "invalid configuration");
        error.0.faults = faults;
        error
    }

    /// The same error with another kind.
    #[must_use]
    pub fn kind_is(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same error with the errno that caused it.
    #[must_use]
    pub fn errno(mut self, errno: Errno) -> Self {
        self.0.errno = Some(errno);
        self
    }

    /// The same error with the system call that failed.
    #[must_use]
    pub fn syscall(mut self, name: &'static str) -> Self {
        self.0.syscall = Some(name);
        self
    }

    /// The same error with the path it is about.
    #[must_use]
    pub fn path(mut self, path: impl AsRef<Path>) -> Self {
        self.0.path = Some(path.as_ref().to_owned());
        self
    }

    /// The same error with the pointer to what asked for it.
    #[must_use]
    pub fn pointer_is(mut self, pointer: &str) -> Self {
        self.0.pointer = Some(pointer.to_owned());
        self
    }

    /// The same error without a pointer: the step that it comes from has another.
    #[must_use]
    pub(crate) fn without_pointer(mut self) -> Self {
        self.0.pointer = None;
        self
    }

    /// The same error with its place in the plan and in `config.json`.
    #[must_use]
    pub fn at(mut self, phase: &'static str, step: usize, pointer: &str) -> Self {
        self.0.phase.get_or_insert(phase);
        self.0.step.get_or_insert(step);
        if !pointer.is_empty() && self.0.pointer.is_none() {
            self.0.pointer = Some(pointer.to_owned());
        }
        self
    }

    /// The sort of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The errno of the failed system call, as a number.
    pub fn raw_errno(&self) -> Option<i32> {
        self.0.errno.map(|errno| errno as i32)
    }

    /// The name of the failed system call.
    pub fn failed_syscall(&self) -> Option<&'static str> {
        self.0.syscall
    }

    /// The path the failure is about.
    pub fn failed_path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The phase of the plan in which it happened.
    pub fn phase(&self) -> Option<&'static str> {
        self.0.phase
    }

    /// The number of the plan's step that failed, as `keel explain` counts them.
    pub fn step(&self) -> Option<usize> {
        self.0.step
    }

    /// JSON pointer to the part of `config.json` that asked for what failed.
    pub fn pointer(&self) -> Option<&str> {
        self.0.pointer.as_deref()
    }

    /// All faults of a configuration; empty unless the kind is [`ErrorKind::Config`].
    pub fn faults(&self) -> &[Fault] {
        &self.0.faults
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { message, errno, pointer, faults, .. } = &*self.0;
        f.write_str(message)?;
        if let Some(errno) = errno {
            write!(f, ": {}", errno_text(*errno))?;
        }
        if let Some(pointer) = pointer {
            write!(f, " (config.json {pointer})")?;
        }
        for (i, fault) in faults.iter().enumerate() {
            write!(f, "{} {fault}", if i == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The errno as the field's tools write it: the C library's words with a small first letter, which
/// engines look for (`permission denied`, `no such file or directory`).
pub fn errno_text(errno: Errno) -> String {
    if let Some((_, text)) = OTHER_WORDS.iter().find(|(known, _)| *known == errno) {
        return (*text).to_owned();
    }
    let text = errno.desc();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Where the C library's words, strerror(3), are not those of the package used here.
const OTHER_WORDS: [(Errno, &str); 6] = [
    (Errno::EAGAIN, "resource temporarily unavailable"),
    (Errno::EBADF, "bad file descriptor"),
    (Errno::ELOOP, "too many levels of symbolic links"),
    (Errno::ENOTTY, "inappropriate ioctl for device"),
    (Errno::EOPNOTSUPP, "operation not supported"),
    (Errno::EXDEV, "invalid cross-device link"),
];

/// An error of the standard library in the field's words.
pub(crate) fn io_text(error: &std::io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |n| errno_text(Errno::from_raw(n)))
}

/// A failed call of [`libcontainer_init::sys`].
pub(crate) fn call(message: impl Into<String>, failure: libcontainer_init::sys::Failure) -> Error {
    Error::system(message, Errno::from_raw(failure.errno.0)).syscall(failure.call.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_one_sentence_with_its_pointer() {
        let error = Error::system("cannot mount proc on /proc", Errno::EPERM)
            .kind_is(ErrorKind::Init)
            .syscall("move_mount")
            .at("isolate", 3, "/mounts/0");
        assert_eq!(
            error.to_string(),
            "cannot mount proc on /proc: operation not permitted (config.json /mounts/0)"
        );
        assert_eq!((error.kind(), error.raw_errno()), (ErrorKind::Init, Some(1)));
    }

    #[test]
    fn all_faults_of_a_configuration_are_told_together() {
        let fault = |pointer: &str, message: &str| Fault {
            pointer: pointer.into(),
            message: message.into(),
        };
        let error = Error::config(vec![
            fault("/process/cwd", "cwd must be absolute"),
            fault("/root", "root is missing"),
        ]);
        assert_eq!(
            error.to_string(),
            "invalid configuration: cwd must be absolute (config.json /process/cwd); \
             root is missing (config.json /root)"
        );
    }
}
