//! Processes and threads: `pids`, the same on cgroup v1 and v2.
//!
//! Sources: `cgroup-v1/pids.rst`, `cgroup-v2.rst` "PID Interface Files".

use super::files::Files;
use super::format;
use crate::error::Result;

/// Processes and threads, which count alike.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PidsStatistics {
    /// How many there are (`pids.current`).
    pub current: Option<u64>,
    /// The most there were at a time (`pids.peak`, from Linux 6.1 on).
    pub peak: Option<u64>,
    /// How many there may be; [`u64::MAX`] without a limit (`pids.max`).
    pub limit: Option<u64>,
    /// How often one could not be made as there were too many (`max` of `pids.events`).
    pub failures: Option<u64>,
}

impl PidsStatistics {
    pub(super) fn read(&mut self, files: &Files) -> Result<()> {
        // On v2 beside a v1 hierarchy of the controller there are no such files.
        let Some(current) = files.number("pids.current")? else { return Ok(()) };
        self.current = Some(current);
        self.peak = files.number("pids.peak")?;
        self.limit = files.number("pids.max")?;
        self.failures = files
            .parse("pids.events", format::keyed)?
            .and_then(|events| events.get("max").copied());
        Ok(())
    }
}
