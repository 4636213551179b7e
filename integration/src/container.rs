//! A container that a test created and acts on.
//!
//! It holds an id and the file its output goes to; everything else is asked of the runtime each
//! time. Its scene deletes it in the end.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::runtime::{Outcome, until};
use crate::scene::Scene;

/// A container of a scene.
pub struct Container<'a> {
    scene: &'a Scene,
    id: String,
    output: PathBuf,
}

impl<'a> Container<'a> {
    /// A container that `create` made, and the file it inherited as stdout.
    pub fn new(scene: &'a Scene, id: String, output: PathBuf) -> Self {
        Self { scene, id, output }
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Calls a command of the runtime that takes the id last.
    #[track_caller]
    pub fn call(&self, words: &[&str]) -> Outcome {
        self.scene.keel(words).arg(&self.id).run()
    }

    /// Starts it.
    #[track_caller]
    pub fn start(&self) {
        self.call(&["start"]).ok();
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn kill(&self, signal: &str) -> Outcome {
        self.scene.keel(["kill", self.id.as_str(), signal]).run()
    }

    /// Deletes it.
    #[track_caller]
    pub fn delete(&self) {
        self.call(&["delete"]).ok();
    }

    /// Deletes it by force.
    #[track_caller]
    pub fn delete_force(&self) {
        self.call(&["delete", "--force"]).ok();
    }

    /// What `state` says.
    #[track_caller]
    pub fn state(&self) -> Value {
        let text = self.call(&["state"]).ok().stdout;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    /// The status that `state` tells.
    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().expect("a status").to_owned()
    }

    /// The process id that `state` tells.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        self.state()["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a pid")
    }

    /// Waits for a status.
    #[track_caller]
    pub fn until(&self, status: &str) {
        until(&format!("status {status}"), || self.status() == status);
    }

    /// What the container has written so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Waits for a text in the container's output.
    #[track_caller]
    pub fn expect(&self, text: &str) {
        until(&format!("{text:?} from the container"), || self.output().contains(text));
    }

    /// Kills it and deletes it.
    #[track_caller]
    pub fn end(&self) {
        self.kill("KILL").ok();
        self.until("stopped");
        self.delete();
    }
}
