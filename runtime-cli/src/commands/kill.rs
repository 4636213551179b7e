//! `keel kill`: send a signal to a container's process, or to all of its processes.

use std::process::ExitCode;

use crate::args::Invocation;
use crate::args::table::ALL;
use crate::report::Failure;

/// Send a signal.
pub(crate) fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let name = invocation.operand(1).map_or_else(|| "TERM".into(), |word| word.to_string_lossy());
    let signal = name.parse()?;
    super::container(invocation)?.kill(signal, invocation.flags.on(&ALL))?;
    Ok(ExitCode::SUCCESS)
}
