//! `keel kill`: send a signal to a container's process, or to all of its processes.

use std::process::ExitCode;

use libcontainer::ErrorKind;

use crate::args::Invocation;
use crate::args::table::ALL;
use crate::report::Failure;

/// Send a signal. Of all processes of a container that has stopped there are none left, which is
/// what engines mean to reach with `--all` and no failure.
pub(crate) fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let name = invocation.operand(1).map_or_else(|| "TERM".into(), |word| word.to_string_lossy());
    let signal = name.parse()?;
    let all = invocation.flags.on(&ALL);
    match super::container(invocation)?.kill(signal, all) {
        Err(error) if all && error.kind() == ErrorKind::State => {}
        done => done?,
    }
    Ok(ExitCode::SUCCESS)
}
