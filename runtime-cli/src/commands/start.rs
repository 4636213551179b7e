//! `keel start`: let the process of a created container begin.

use std::process::ExitCode;

use crate::args::Invocation;
use crate::report::Failure;

/// Start a container.
pub(crate) fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    super::container(invocation)?.start()?;
    Ok(ExitCode::SUCCESS)
}
