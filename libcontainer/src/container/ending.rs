//! How a container ended, for those who ask later: `exit.json` beside its record.
//!
//! The kernel tells the end of a process to its parent, and to those who were watching; what they
//! learn is kept here until the container is deleted. It is written once, by the first who knows.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::time::rfc3339;
use super::{Container, Exit, Status};
use crate::cgroup::Usage;
use crate::error::{Error, ErrorKind, Result};

/// The name of the file.
pub(super) const FILE: &str = "exit.json";

/// How a container ended, and what it had used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The exit status, or the signal.
    pub exit: Exit,
    /// When that was noticed, RFC 3339.
    pub noticed: String,
    /// What its processes used, as far as the kernel counted it.
    pub usage: Usage,
}

impl Ending {
    /// Whether the kernel killed its first process as memory ran out.
    pub fn out_of_memory(&self) -> bool {
        let killed = self.exit.signal == Some(libc::SIGKILL);
        killed && self.usage.oom_kills.is_some_and(|kills| kills > 0)
    }

    /// The record as JSON: `exitCode`, `signal`, `status` as a shell has it, `oomKilled`,
    /// `oomKills`, `cpuNanoseconds`, `memoryPeakBytes` and `noticed`.
    pub fn to_json(&self) -> Value {
        json!({
            "exitCode": self.exit.code,
            "signal": self.exit.signal,
            "status": self.exit.status(),
            "oomKilled": self.out_of_memory(),
            "oomKills": self.usage.oom_kills,
            "cpuNanoseconds": self.usage.cpu,
            "memoryPeakBytes": self.usage.memory_peak,
            "noticed": self.noticed,
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let small = |name: &str| Some(value.get(name)?.as_i64().and_then(|n| n.try_into().ok()));
        let large = |name: &str| Some(value.get(name)?.as_u64());
        Some(Self {
            exit: Exit { code: small("exitCode")?, signal: small("signal")? },
            noticed: value.get("noticed")?.as_str()?.to_owned(),
            usage: Usage {
                cpu: large("cpuNanoseconds")?,
                memory_peak: large("memoryPeakBytes")?,
                oom_kills: large("oomKills")?,
            },
        })
    }
}

impl Container {
    /// Waits until the container's first process has ended, and tells how: also after the fact, if
    /// somebody waited for it in this way or it was not collected yet.
    ///
    /// # Errors
    /// The kernel does not let this process wait, or nobody knows any more how it ended.
    pub fn ending(&mut self) -> Result<Ending> {
        if let Some(ending) = self.recorded_ending() {
            return Ok(ending);
        }
        if self.record.init.is_none() {
            let status = self.status()?;
            let message = format!("container \"{}\" has no process: it is {status}", self.id);
            return Err(Error::new(ErrorKind::State, message));
        }
        let exit = self.wait()?;
        if exit == Exit::default() {
            // Somebody else may have been told in the meantime.
            return self.recorded_ending().ok_or_else(|| {
                let message = format!(
                    "nobody knows how container \"{}\" ended: its parent was told, and no other \
                     process watched",
                    self.id
                );
                Error::new(ErrorKind::State, message)
            });
        }
        let usage = self.record.cgroup.as_ref().map(crate::cgroup::Cgroup::usage);
        let noticed = rfc3339(SystemTime::now());
        let ending = Ending { exit, noticed, usage: usage.unwrap_or_default() };
        self.keep(&ending);
        Ok(ending)
    }

    fn recorded_ending(&self) -> Option<Ending> {
        if self.pidfd.is_some() && self.status().ok()? != Status::Stopped {
            return None;
        }
        Ending::from_json(&self.directory.read_value(FILE)?)
    }

    /// Writes it down, unless the container is gone or somebody was faster. That it cannot be kept
    /// is no reason not to tell it.
    fn keep(&mut self, ending: &Ending) {
        match self.lock() {
            Ok(lock) => {
                if self.directory.read_value(FILE).is_none()
                    && let Err(error) = self.directory.write_value(FILE, &ending.to_json())
                {
                    log::warn!("{error}");
                }
                drop(lock);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => log::warn!("{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_is_read_as_it_was_written() {
        let usage = Usage { cpu: Some(5), memory_peak: None, oom_kills: Some(1) };
        let exit = Exit { code: None, signal: Some(libc::SIGKILL) };
        let ending = Ending { exit, noticed: "2026-11-20T19:05:55Z".to_owned(), usage };
        let json = ending.to_json();
        assert_eq!((&json["status"], &json["oomKilled"]), (&json!(137), &json!(true)));
        assert_eq!(Ending::from_json(&json), Some(ending));
        assert_eq!(Ending::from_json(&json!({})), None);
    }
}
