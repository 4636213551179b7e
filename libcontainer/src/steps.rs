//! Where features write their steps: the list, its phases, and the arena behind it.
//!
//! A feature's `plan` appends steps to [`Steps`], in the runtime's column or in init's, each with
//! the pointer into `config.json` it comes from. Strings go into one arena and are named by offset,
//! as init has neither pointers nor an allocator. The choreographies in [`crate::plan`] call the
//! features in order and begin the phases; nothing here knows what a step means.

use std::collections::BTreeMap;
use std::path::PathBuf;

use libcontainer_init::step::Step;
use libcontainer_init::wire::{List, Numbers, Slot, Str};

use crate::error::Fault;
use crate::task::Task;

/// Who performs a step, and the step.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The runtime, in the host's namespaces.
    Runtime(Task),
    /// The container's init.
    Init(Step),
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Who does what.
    pub action: Action,
    /// JSON pointer to what asked for it; empty for what every container has.
    pub pointer: String,
}

/// Steps that both actors perform at the same time, up to a meeting point.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Phase {
    /// A word for it.
    pub name: &'static str,
    /// The steps of both columns; each column keeps its order.
    pub entries: Vec<Entry>,
}

/// The plan in the making.
#[derive(Debug, Default)]
pub struct Steps {
    /// Strings and lists.
    pub arena: Vec<u8>,
    /// What was planned so far.
    pub phases: Vec<Phase>,
    /// What each slot holds, for people.
    pub slots: BTreeMap<Slot, String>,
    /// Strings that cannot be passed to the kernel.
    pub faults: Vec<Fault>,
    next_slot: u16,
    /// Whether the runtime itself may copy mounts of the host; else init does.
    runtime_copies: bool,
}

impl Steps {
    /// No steps yet. `privileged`: the runtime may copy mounts.
    pub fn new(privileged: bool) -> Self {
        Self { runtime_copies: privileged, ..Self::default() }
    }

    /// Begins a phase.
    pub fn phase(&mut self, name: &'static str) {
        self.phases.push(Phase { name, entries: Vec::new() });
    }

    /// Appends a step of the runtime.
    pub fn runtime(&mut self, pointer: impl Into<String>, task: Task) {
        self.push(Action::Runtime(task), pointer.into());
    }

    /// Appends a step of init.
    pub fn init(&mut self, pointer: impl Into<String>, step: Step) {
        self.push(Action::Init(step), pointer.into());
    }

    fn push(&mut self, action: Action, pointer: String) {
        if self.phases.is_empty() {
            self.phase("prepare");
        }
        if let Some(phase) = self.phases.last_mut() {
            phase.entries.push(Entry { action, pointer });
        }
    }

    /// A slot for a descriptor; `what` says what it will hold.
    pub fn slot(&mut self, what: impl Into<String>) -> Slot {
        let slot = Slot(self.next_slot);
        self.next_slot += 1;
        self.slots.insert(slot, what.into());
        slot
    }

    /// Copies a mount, or a tree of mounts, of the host into a slot: by the runtime, or by init where
    /// the runtime lacks the privilege.
    pub fn open_tree(&mut self, pointer: &str, path: PathBuf, recursive: bool, into: Slot) {
        self.open_source(pointer, path, [recursive, true], into);
    }

    /// Likewise; without `follow` a symbolic link at the end of the path is copied itself.
    pub fn open_source(
        &mut self,
        pointer: &str,
        path: PathBuf,
        [recursive, follow]: [bool; 2],
        into: Slot,
    ) {
        if self.runtime_copies {
            self.runtime(pointer, Task::OpenTree { path, recursive, follow, into });
        } else {
            let path = self.text(pointer, &path.to_string_lossy());
            self.init(pointer, Step::OpenTree { path, recursive, follow, into });
        }
    }

    /// Opens the root file system, a copy of its mounts or the directory itself, likewise.
    pub fn open_rootfs(&mut self, pointer: &str, path: PathBuf, tree: bool, into: Slot) {
        if self.runtime_copies || !tree {
            self.runtime(pointer, Task::OpenRootfs { path, tree, into });
        } else {
            self.open_tree(pointer, path, true, into);
        }
    }

    /// The number of slots given out.
    pub fn slot_count(&self) -> u16 {
        self.next_slot
    }

    /// Puts a string into the arena. One with a NUL cannot be passed to the kernel: a fault.
    pub fn text(&mut self, pointer: &str, text: &str) -> Str {
        if text.contains('\0') {
            let message = "a NUL character is not allowed in a string".to_owned();
            self.faults.push(Fault { pointer: pointer.to_owned(), message });
            return Str::default();
        }
        let at = self.arena.len() as u32;
        self.arena.extend_from_slice(text.as_bytes());
        self.arena.push(0);
        Str { at, len: text.len() as u32 }
    }

    /// Puts a list of strings into the arena.
    pub fn list<T: AsRef<str>>(
        &mut self,
        pointer: &str,
        texts: impl IntoIterator<Item = T>,
    ) -> List {
        let texts: Vec<Str> =
            texts.into_iter().map(|text| self.text(pointer, text.as_ref())).collect();
        let words = texts.iter().flat_map(|text| [text.at, text.len]);
        List { at: self.words(words), count: texts.len() as u32 }
    }

    /// Puts a list of numbers into the arena.
    pub fn numbers(&mut self, numbers: &[u32]) -> Numbers {
        Numbers { at: self.words(numbers.iter().copied()), count: numbers.len() as u32 }
    }

    /// The arena is a multiple of four wherever words begin.
    fn words(&mut self, words: impl IntoIterator<Item = u32>) -> u32 {
        while !self.arena.len().is_multiple_of(4) {
            self.arena.push(0);
        }
        let at = self.arena.len() as u32;
        for word in words {
            self.arena.extend_from_slice(&word.to_ne_bytes());
        }
        at
    }
}
