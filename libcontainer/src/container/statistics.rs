//! What a container uses, and how long its processes wait.

use super::Container;
use super::status::Verb;
use crate::cgroup::{PressureTrigger, PressureWatch, Statistics};
use crate::error::Result;
use crate::resctrl::Group;

impl Container {
    /// What the container's processes use now, and have used so far, as its cgroups count it.
    ///
    /// # Errors
    /// The container is stopped or not there yet, it has no cgroup, or the kernel's files cannot be
    /// read.
    pub fn statistics(&self) -> Result<Statistics> {
        Verb::Watch.check(&self.id, self.status()?)?;
        let mut statistics = self.own_cgroup()?.statistics()?;
        statistics.intel_rdt = self.record.resctrl.as_ref().map(Group::statistics);
        Ok(statistics)
    }

    /// Has the kernel tell when the container's processes wait too long for a resource.
    ///
    /// # Errors
    /// The container is stopped or not there yet, or has no cgroup of v2, or the kernel counts no
    /// pressure or refuses the trigger.
    pub fn watch_pressure(&self, trigger: &PressureTrigger) -> Result<PressureWatch> {
        Verb::Watch.check(&self.id, self.status()?)?;
        self.own_cgroup()?.watch_pressure(trigger)
    }
}
