//! Plans: a configuration compiled into what will be done, before anything is done.
//!
//! `create.rs`, `exec.rs` and `mounts.rs` are the choreographies. This module cuts their
//! phases into what each side waits for, and writes init's column as bytes. A plan depends on
//! configuration, options and facts of the host alone; it holds no branch and no descriptor.

mod check;
mod create;
mod exec;
pub(crate) mod explain;
pub(crate) mod mount_words;
mod mounts;

use libcontainer_init::step::Step;
use libcontainer_init::wire::{HEADER, MAGIC, Slot, Words};

use crate::bundle::Bundle;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::features::{self, Checked};
use crate::host::Host;
use crate::id::ContainerId;
use crate::options::Options;
use crate::steps::{Action, Entry, Phase, Steps};
use crate::task::Inherited;
use crate::task::cgroup::{CgroupPlan, Place};

/// What will be done, in order, by whom, and why.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) config: Config,
    pub(crate) phases: Vec<Meeting>,
    /// Init's column as it is handed to it.
    pub(crate) bytes: Vec<u8>,
    warnings: Vec<Fault>,
}

/// A phase, and how the two sides meet around it.
#[derive(Debug, Clone)]
pub(crate) struct Meeting {
    /// The steps.
    pub phase: Phase,
    /// The number of its first step in the whole plan.
    pub first: usize,
    /// The runtime waits for init before its steps.
    pub runtime_waits: bool,
    /// The runtime says *go* after its steps, with what these slots hold.
    pub release: Option<Vec<Slot>>,
}

impl Plan {
    /// Compiles the creation of a container.
    ///
    /// # Errors
    /// All faults of the configuration, together.
    pub fn create(
        bundle: &Bundle,
        id: &ContainerId,
        options: &Options,
        host: &Host,
    ) -> Result<Self> {
        Self::compile(bundle, id, options, host, create::plan)
    }

    /// Compiles another process in a container of this bundle.
    ///
    /// # Errors
    /// All faults of the configuration, together.
    pub fn exec(bundle: &Bundle, id: &ContainerId, options: &Options, host: &Host) -> Result<Self> {
        Self::compile(bundle, id, options, host, exec::plan)
    }

    /// Compiles another process in a container that is there: it is in the cgroups that the container
    /// was given, whatever this process could make now.
    pub(crate) fn exec_into(
        bundle: &Bundle,
        id: &ContainerId,
        options: &Options,
        host: &Host,
        places: Vec<Place>,
    ) -> Result<Self> {
        let (mut config, warnings) = Self::check(bundle, id, options, host)?;
        config.cgroup =
            (!places.is_empty()).then(|| CgroupPlan { places, ..CgroupPlan::default() });
        Self::assemble(config, warnings, host, exec::plan)
    }

    /// Compiles the adding of this bundle's mounts to a container that is there.
    ///
    /// # Errors
    /// All faults of the configuration, together.
    pub fn add_mounts(
        bundle: &Bundle,
        id: &ContainerId,
        options: &Options,
        host: &Host,
    ) -> Result<Self> {
        Self::compile(bundle, id, options, host, mounts::add)
    }

    /// Compiles the removal of what lies on the destinations of this bundle's mounts.
    ///
    /// # Errors
    /// All faults of the configuration, together.
    pub fn remove_mounts(
        bundle: &Bundle,
        id: &ContainerId,
        options: &Options,
        host: &Host,
    ) -> Result<Self> {
        Self::compile(bundle, id, options, host, mounts::remove)
    }

    fn compile(
        bundle: &Bundle,
        id: &ContainerId,
        options: &Options,
        host: &Host,
        choreography: fn(&Config, &Host) -> Steps,
    ) -> Result<Self> {
        let (config, warnings) = Self::check(bundle, id, options, host)?;
        Self::assemble(config, warnings, host, choreography)
    }

    /// The configuration, and what is tolerated in it.
    fn check(
        bundle: &Bundle,
        id: &ContainerId,
        options: &Options,
        host: &Host,
    ) -> Result<(Config, Vec<Fault>)> {
        let checked = features::check(bundle.spec(), bundle.path(), id, options, host);
        let (config, warnings) = checked.valid()?;
        if options.strict {
            refuse_tolerated(bundle, &warnings)?;
        }
        Ok((config, warnings))
    }

    /// Compiles the creation of a container from a configuration that was checked.
    ///
    /// # Errors
    /// All faults of the configuration, together.
    pub(crate) fn create_checked(checked: Checked, host: &Host) -> Result<Self> {
        let (config, warnings) = checked.valid()?;
        Self::assemble(config, warnings, host, create::plan)
    }

    fn assemble(
        config: Config,
        warnings: Vec<Fault>,
        host: &Host,
        choreography: fn(&Config, &Host) -> Steps,
    ) -> Result<Self> {
        let steps = choreography(&config, host);
        if !steps.faults.is_empty() {
            return Err(Error::config(steps.faults));
        }
        let mut phases = steps.phases;
        phases.retain(|phase| !phase.entries.is_empty());
        let phases = meet(phases);
        check::all(&phases).map_err(|broken| {
            // Not the configuration's fault: a choreography that breaks a law of plans.
            Error::new(ErrorKind::Config, format!("the plan is not valid: {broken}"))
        })?;
        let bytes = encode(&phases, &steps.arena)?;
        Ok(Self { config, phases, bytes, warnings })
    }

    /// What was tolerated in the configuration.
    pub fn warnings(&self) -> &[Fault] {
        &self.warnings
    }

    /// The number in the plan, the phase and the step that is init's step with this index.
    pub(crate) fn of_init(&self, index: usize) -> Option<(&'static str, usize, &Entry)> {
        self.numbered().filter(|(_, _, entry)| matches!(entry.action, Action::Init(_))).nth(index)
    }

    /// All steps with their phase and number.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (&'static str, usize, &Entry)> {
        self.phases.iter().flat_map(|meeting| {
            let entries = meeting.phase.entries.iter().enumerate();
            entries.map(|(i, entry)| (meeting.phase.name, meeting.first + i, entry))
        })
    }
}

/// What a property is told that the specification does not have.
pub(crate) const UNKNOWN: &str = "the runtime-spec has no such property for Linux";

/// Takes what would be tolerated for faults.
fn refuse_tolerated(bundle: &Bundle, warnings: &[Fault]) -> Result<()> {
    let unknown = bundle.unknown().iter();
    let unknown = unknown.map(|at| Fault { pointer: at.clone(), message: UNKNOWN.to_owned() });
    let faults: Vec<Fault> = unknown.chain(warnings.iter().cloned()).collect();
    if faults.is_empty() { Ok(()) } else { Err(Error::config(faults)) }
}

/// What init inherits from the thread that starts it.
fn inherited(config: &Config, host: &Host) -> Inherited {
    Inherited {
        affinity: Vec::new(),
        scheduler: features::scheduler::at_birth(config, host.may_schedule),
        io_priority: config.process.io_priority,
        personality: config.personality,
    }
}

/// Puts the meeting points into the phases: a side waits only for what the other did since they
/// last met, and only where it goes on to do something itself.
fn meet(mut phases: Vec<Phase>) -> Vec<Meeting> {
    let has = |phase: &Phase, runtime: bool| {
        phase.entries.iter().any(|entry| matches!(entry.action, Action::Runtime(_)) == runtime)
    };
    let count = phases.len();
    let mut runtime_waits = vec![false; count];
    let mut releases: Vec<Option<Vec<Slot>>> = vec![None; count];

    // What the runtime did since its last *go*, and the slots it filled.
    let mut done: Option<Vec<Slot>> = None;
    // The last phase in which init did something that the runtime has not waited for.
    let mut unmet: Option<usize> = None;
    for i in 0..count {
        if has(&phases[i], true)
            && let Some(last) = unmet.take()
        {
            runtime_waits[i] = true;
            let forked = matches!(
                phases[last].entries.iter().rev().find_map(init_step),
                Some(Step::EnterPidNamespace {})
            );
            if !forked {
                let entry = Entry { action: Action::Init(Step::Arrive {}), pointer: String::new() };
                phases[last].entries.push(entry);
            }
        }
        if has(&phases[i], false) {
            if let Some(slots) = done.take() {
                releases[i - 1] = Some(slots.clone());
                let first = slots.first().copied().unwrap_or(Slot(0));
                let step = Step::Await { first, count: slots.len() as u32 };
                let entry = Entry { action: Action::Init(step), pointer: String::new() };
                let at = phases[i].entries.iter().position(|e| init_step(e).is_some());
                phases[i].entries.insert(at.unwrap_or_default(), entry);
            }
            unmet = Some(i);
        }
        if has(&phases[i], true) {
            let filled = phases[i].entries.iter().filter_map(|entry| match &entry.action {
                Action::Runtime(task) => task.fills(),
                Action::Init(_) => None,
            });
            let slots = done.get_or_insert_default();
            slots.extend(
                filled.flat_map(|(first, count)| (0..count).map(move |n| Slot(first.0 + n as u16))),
            );
        }
    }
    let mut first = 1;
    let together = phases.into_iter().zip(runtime_waits).zip(releases);
    together
        .map(|((phase, runtime_waits), release)| {
            let meeting = Meeting { first, runtime_waits, release, phase };
            first += meeting.phase.entries.len();
            meeting
        })
        .collect()
}

fn init_step(entry: &Entry) -> Option<Step> {
    match entry.action {
        Action::Init(step) => Some(step),
        Action::Runtime(_) => None,
    }
}

/// The plan of an init that does nothing but wait until it is told to end.
pub(crate) fn waiting() -> Result<Vec<u8>> {
    let mut steps = Steps::new(true);
    steps.init("", Step::Await { first: Slot(0), count: 0 });
    steps.init("", Step::Finish {});
    encode(&meet(steps.phases), &steps.arena)
}

/// Init's column as bytes, see [`libcontainer_init::wire`].
fn encode(phases: &[Meeting], arena: &[u8]) -> Result<Vec<u8>> {
    let entries = phases.iter().flat_map(|meeting| &meeting.phase.entries);
    let steps: Vec<Words> = entries.filter_map(init_step).map(|step| step.encode()).collect();
    let len = HEADER + steps.len() * libcontainer_init::wire::STEP + arena.len();
    let total = u32::try_from(len)
        .map_err(|_| Error::new(ErrorKind::Config, "the configuration is too large"))?;
    let mut bytes = Vec::with_capacity(len);
    let header = [MAGIC, total, steps.len() as u32];
    let words = header.into_iter().chain(steps.iter().flat_map(|words| *words.words()));
    bytes.extend(words.flat_map(u32::to_ne_bytes));
    bytes.extend_from_slice(arena);
    Ok(bytes)
}
