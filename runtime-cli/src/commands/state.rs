//! `keel state`: the state of a container as JSON, laid out as runc does it.

use std::process::ExitCode;

use libcontainer::{Error, ErrorKind};

use crate::args::Invocation;
use crate::report::{self, Failure};

/// Show the state of a container.
pub(crate) fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let state = super::container(invocation)?.state()?;
    let text = serde_json::to_string_pretty(&state)
        .map_err(|error| Error::new(ErrorKind::Record, format!("cannot write state: {error}")))?;
    report::print(&text)
}
