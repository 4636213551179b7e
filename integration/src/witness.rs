//! Whether what a runtime tells of its containers is so.
//!
//! A [`Witness`] compares `list` and `state` with the processes that the kernel has, also while
//! others create, kill and delete. It accuses only where no change in between can explain what was
//! told: of a process that had ended before the question was asked, or that lives after its
//! container was told to be stopped. Containers must never have the id of one that is gone.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::runtime::Invocation;
use crate::scene::Scene;

/// A process, told apart from a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// When it was started, in clock ticks since boot, proc(5).
    start: u64,
}

impl Process {
    /// The process that has a pid now, unless only its exit status is left.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may hold anything.
        let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
        let ended = matches!(fields.next()?, "Z" | "X");
        let start = fields.nth(18)?.parse().ok()?;
        (!ended).then_some(Self { pid, start })
    }

    /// Whether this very process is still there.
    pub fn lives(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// Somebody who asks a runtime again and again.
pub struct Witness<'a> {
    scene: &'a Scene,
    /// The runtime's state root.
    root: PathBuf,
    /// The process that each container was seen with.
    seen: Mutex<BTreeMap<String, Process>>,
}

impl<'a> Witness<'a> {
    /// A witness of the containers below a state root.
    pub fn new(scene: &'a Scene, root: impl Into<PathBuf>) -> Self {
        Self { scene, root: root.into(), seen: Mutex::default() }
    }

    /// A call of the runtime with this state root.
    pub fn runtime(&self, words: &[&str]) -> Invocation {
        self.scene.call(self.scene.runtime().program()).arg("--root").arg(&self.root).args(words)
    }

    /// Demands that everything that is listed is so, and gives the id and status of each.
    #[track_caller]
    pub fn check(&self) -> BTreeMap<String, String> {
        let listed = self.runtime(&["list", "--format", "json"]).run().ok().stdout;
        let listed: Value = serde_json::from_str(&listed).expect("a list in JSON");
        let mut told = BTreeMap::new();
        // Other runtimes call an empty list null.
        for state in listed.as_array().into_iter().flatten() {
            let (id, status) = (text(state, "id"), text(state, "status"));
            self.examine(&id, state);
            assert_eq!(told.insert(id, status), None, "listed twice: {listed}");
        }
        told
    }

    /// Demands that what is told of one container is so, and gives its status if it has one.
    #[track_caller]
    pub fn check_one(&self, id: &str) -> Option<String> {
        let state = self.state(id)?;
        self.examine(id, &state);
        Some(text(&state, "status"))
    }

    /// What `state` tells, or that there is nothing to tell.
    #[track_caller]
    fn state(&self, id: &str) -> Option<Value> {
        let outcome = self.runtime(&["state", id]).run();
        if outcome.status.success() {
            let state = serde_json::from_str(&outcome.stdout);
            return Some(state.unwrap_or_else(|error| panic!("{error}: {outcome:?}")));
        }
        outcome.refused().says(&["does not exist", "was not created completely"]);
        None
    }

    /// Demands that what was just told is so. Of a process that is gone it is asked once more, as it
    /// may have ended since.
    #[track_caller]
    fn examine(&self, id: &str, state: &Value) {
        assert_eq!(text(state, "id"), id, "{state}");
        if self.is_so(id, state) {
            return;
        }
        if let Some(again) = self.state(id) {
            assert!(self.is_so(id, &again), "not in truth: {again}\nand before: {state}");
        }
    }

    /// Whether the process is there that is told; there must be none once a container has stopped.
    #[track_caller]
    fn is_so(&self, id: &str, state: &Value) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = state["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a pid");
        match text(state, "status").as_str() {
            "running" | "created" | "paused" => {
                let Some(process) = Process::of(pid) else { return false };
                let before = *seen.entry(id.to_owned()).or_insert(process);
                assert_eq!(before, process, "another process than before: {state}");
                true
            }
            "stopped" => {
                let left = seen.get(id).filter(|process| process.lives());
                assert!(pid == 0 && left.is_none(), "{left:?} lives, and yet: {state}");
                true
            }
            status => status == "creating",
        }
    }
}

fn text(state: &Value, name: &str) -> String {
    state[name].as_str().unwrap_or_else(|| panic!("no {name} in {state}")).to_owned()
}
