//! The commands, one file each: they turn flags into calls of the library and results into text.
//!
//! The table in `args` names their functions. What two of them share beyond the library is here;
//! no rule about containers may be.

pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod explain;
pub(crate) mod features;
pub(crate) mod help;
pub(crate) mod kill;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod matching;
pub(crate) mod mounts;
pub(crate) mod pause;
pub(crate) mod ps;
pub(crate) mod resume;
pub(crate) mod run;
pub(crate) mod seccomp;
pub(crate) mod spec;
pub(crate) mod start;
pub(crate) mod state;
pub(crate) mod update;
pub(crate) mod version;
pub(crate) mod wait;

use libcontainer::{Container, ContainerId, Error, ErrorKind, Store, Timeline};

use crate::args::globals::Globals;
use crate::args::{Invocation, suggest};
use crate::root::StateRoot;

/// The containers below the state root of this call.
fn store(globals: &Globals) -> Result<Store, Error> {
    Ok(Store::at(StateRoot::of(globals)?.path))
}

/// The container that the first operand names.
fn container(invocation: &Invocation) -> Result<Container, Error> {
    open(invocation, &invocation.id()?)
}

/// The container of this id, or an error that names the id which was perhaps meant.
fn open(invocation: &Invocation, id: &ContainerId) -> Result<Container, Error> {
    let store = store(&invocation.globals)?;
    store.open(id).map_err(|error| match error.kind() {
        ErrorKind::NotFound => with_suggestion(error, &store, id),
        _ => error,
    })
}

/// Only a container that the caller could list is suggested.
fn with_suggestion(error: Error, store: &Store, id: &ContainerId) -> Error {
    let ids = store.ids().unwrap_or_default();
    let near = suggest::nearest(id.as_str(), ids.iter().map(ContainerId::as_str));
    let near = near.and_then(|near| store.open(&near.parse().ok()?).ok());
    match near {
        Some(near) => {
            let message = format!("{error}, did you mean \"{}\"?", near.id());
            Error::new(error.kind(), message)
        }
        None => error,
    }
}

/// Tell the log how long each step took.
fn log_timeline(timeline: &Timeline) {
    for mark in timeline.marks() {
        let libcontainer::Mark { phase, step, what, at } = mark;
        log::debug!("{phase} {step} {what} after {at:?}");
    }
}
