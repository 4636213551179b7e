//! `keel delete`: remove what is left of a container.

use std::process::ExitCode;

use crate::args::Invocation;
use crate::args::table::FORCE;
use crate::report::Failure;

/// Remove a container. By force there is nothing to object to, not even that it does not exist:
/// engines clean up so after every end.
pub(crate) fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    if invocation.flags.on(&FORCE) {
        super::store(&invocation.globals)?.delete_forced(&invocation.id()?)?;
    } else {
        super::container(invocation)?.delete()?;
    }
    Ok(ExitCode::SUCCESS)
}
