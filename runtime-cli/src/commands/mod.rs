//! The commands, one file each: they turn flags into calls of the library and results into text.
//!
//! The table in `args` names their functions. What two of them share beyond the library is here;
//! no rule about containers may be.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod exec;
pub(crate) mod explain;
pub(crate) mod features;
pub(crate) mod help;
pub(crate) mod kill;
pub(crate) mod list;
pub(crate) mod mounts;
pub(crate) mod run;
pub(crate) mod spec;
pub(crate) mod start;
pub(crate) mod state;
pub(crate) mod version;
pub(crate) mod wait;

use libcontainer::{Container, Error, Store, Timeline};

use crate::args::Invocation;
use crate::args::globals::Globals;
use crate::root::StateRoot;

/// The containers below the state root of this call.
fn store(globals: &Globals) -> Result<Store, Error> {
    Ok(Store::at(StateRoot::of(globals)?.path))
}

/// The container that the first operand names.
fn container(invocation: &Invocation) -> Result<Container, Error> {
    let id = invocation.id()?;
    store(&invocation.globals)?.open(&id)
}

/// Tell the log how long each step took.
fn log_timeline(timeline: &Timeline) {
    for mark in timeline.marks() {
        let libcontainer::Mark { phase, step, what, at } = mark;
        log::debug!("{phase} {step} {what} after {at:?}");
    }
}
