//! One container through the eyes of the runtime's operations and of the kernel.
//!
//! The tests of the clauses ask it. What it answers comes from the runtime (state, exit status) or
//! from `/proc`; it must never answer from what it asked for.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::bundle::Bundle;
use crate::case::Case;
use crate::clause::{Outcome, ensure, fail};
use crate::machine::Machine;
use crate::mountinfo::{self, Mount};
use crate::process::{self, Exit};
use crate::runtime::Answer;

/// A container the runtime was asked to create.
pub(crate) struct Container<'c> {
    case: &'c Case<'c>,
    /// Its id.
    pub(crate) id: String,
    /// How `create` ended; its output is the container's too.
    pub(crate) answer: Answer,
    pid_file: PathBuf,
}

impl<'c> Container<'c> {
    /// A container after the call of `create`.
    pub(crate) fn new(case: &'c Case<'c>, id: &str, answer: Answer, pid_file: PathBuf) -> Self {
        Self { case, id: id.to_owned(), answer, pid_file }
    }

    /// The container itself if it was created.
    pub(crate) fn created(self) -> Outcome<Self> {
        if self.answer.ok {
            return Ok(self);
        }
        fail(format!("`create` failed: {}", self.answer.complaint()))
    }

    /// The machine it runs on.
    pub(crate) fn machine(&self) -> &Machine {
        &self.case.ground.machine
    }

    /// Starts it, and waits until the configured program runs.
    pub(crate) fn begin(&self, bundle: &Bundle) -> Outcome {
        self.start()?;
        let args = bundle.config["process"]["args"].as_array().cloned().unwrap_or_default();
        let wanted: String =
            args.iter().filter_map(Value::as_str).map(|arg| format!("{arg}\0")).collect();
        let begun = process::poll(self.case.ground.limit, || {
            Ok((self.proc("cmdline")? == wanted).then_some(()))
        })?;
        ensure!(begun.is_some(), "the program is not executed: {}", self.answer.complaint());
        Ok(())
    }

    /// The `start` operation, which must succeed.
    pub(crate) fn start(&self) -> Outcome {
        self.operation("start")?.success().map(drop)
    }

    /// The `delete` operation, which must succeed.
    pub(crate) fn delete(&self) -> Outcome {
        self.operation("delete")?.success().map(drop)
    }

    /// The `kill` operation, whatever comes of it.
    pub(crate) fn kill(&self, signal: &str) -> Outcome<Answer> {
        self.case.call(&["kill", &self.id, signal])
    }

    /// An operation without further arguments, whatever comes of it.
    pub(crate) fn operation(&self, name: &str) -> Outcome<Answer> {
        self.case.call(&[name, &self.id])
    }

    /// Ends the container's process and waits for that.
    pub(crate) fn stop(&self) -> Outcome {
        self.kill("KILL")?.success()?;
        self.wait().map(drop)
    }

    /// The state the runtime tells.
    pub(crate) fn state(&self) -> Outcome<Value> {
        let text = self.operation("state")?.success()?.stdout();
        serde_json::from_str(&text).or_else(|error| fail(format!("the state is no JSON: {error}")))
    }

    /// The status in the state.
    pub(crate) fn status(&self) -> Outcome<String> {
        Ok(self.state()?["status"].as_str().unwrap_or("missing").to_owned())
    }

    /// The pid of its process.
    pub(crate) fn pid(&self) -> Outcome<i32> {
        let text = fs::read_to_string(&self.pid_file)?;
        text.trim().parse().or_else(|_| fail(format!("the pid file holds {text:?}")))
    }

    /// Waits for the end of its process.
    pub(crate) fn wait(&self) -> Outcome<Exit> {
        process::wait(self.pid()?, self.case.ground.limit)
    }

    /// A file of the process's directory below `/proc`, as text.
    pub(crate) fn proc(&self, file: &str) -> Outcome<String> {
        let path = format!("/proc/{}/{file}", self.pid()?);
        match fs::read(&path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => fail(format!("cannot read {path}: {error}")),
        }
    }

    /// A field of the process's `/proc/PID/status`.
    pub(crate) fn status_field(&self, name: &str) -> Outcome<String> {
        let status = self.proc("status")?;
        let found = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.map_or_else(
            || fail(format!("no {name} in /proc/PID/status")),
            |v| Ok(v.trim().to_owned()),
        )
    }

    /// The namespace of a kind its process is in; `mnt`, `net` and so on.
    pub(crate) fn namespace(&self, file: &str) -> Outcome<String> {
        let link = fs::read_link(format!("/proc/{}/ns/{file}", self.pid()?))?;
        Ok(link.display().to_string())
    }

    /// Its mount table.
    pub(crate) fn mounts(&self) -> Outcome<Vec<Mount>> {
        Ok(mountinfo::read(Path::new(&format!("/proc/{}/mountinfo", self.pid()?)))?)
    }

    /// What is mounted on a path of the container, the topmost if there are several.
    pub(crate) fn mount_on(&self, path: &str) -> Outcome<Mount> {
        let found = self.mounts()?.into_iter().rfind(|mount| mount.point == Path::new(path));
        found.map_or_else(|| fail(format!("nothing is mounted on {path}")), Ok)
    }
}
