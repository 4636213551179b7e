//! New limits for a container that is there.
//!
//! They are kept in the recorded configuration, so that the next update begins where this one ended.

use super::status::Verb;
use super::{Container, Shares};
use crate::error::{Error, Fault, Result};
use crate::features::resources_update::{self, Known};
use crate::host::Host;
use crate::spec::{Linux, Resources};

impl Container {
    /// Changes the limits that `resources` gives; 0, and what is absent, leaves a limit as it is.
    /// Rules for devices, if there are any, replace all before them. Likewise changes `shares`.
    /// Returns what has no effect.
    ///
    /// Units and meaning are those of `linux.resources` (config-linux.md, "Control groups").
    ///
    /// # Errors
    /// The container is stopped or has no cgroup, `resources` contradicts itself or the kernel, or
    /// a limit cannot be set, or shares are asked for and resctrl is not mounted; then all of them are
    /// as before.
    pub fn update(&mut self, resources: &Resources, shares: &Shares) -> Result<Vec<Fault>> {
        let _lock = self.lock()?;
        Verb::Update.check(&self.id, self.status()?)?;
        let host = Host::probe()?;
        let mut spec = self.directory.read_config()?;
        let linux = spec.linux.get_or_insert_default();
        let mut before = None;
        if !shares.is_empty() {
            before = Some(self.give_shares(shares, &host)?);
            shares.keep(linux.intel_rdt.get_or_insert_default());
        }
        let wanted = before.is_none() || *resources != Resources::default();
        let warnings =
            if wanted { self.set_limits(resources, linux, &host) } else { Ok(Vec::new()) };
        let updated = warnings.and_then(|told| self.directory.write_config(&spec).map(|()| told));
        if let (Err(_), Some(before)) = (&updated, before) {
            self.take_shares_back(before);
        }
        updated
    }

    fn set_limits(
        &self,
        resources: &Resources,
        linux: &mut Linux,
        host: &Host,
    ) -> Result<Vec<Fault>> {
        let cgroup = self.own_cgroup()?;
        let places: Vec<_> = cgroup.directories.iter().map(|d| d.place.clone()).collect();
        let known = Known {
            places: &places,
            cgroups: &host.cgroups,
            limited: host.euid != 0 || host.user_namespace,
            scope: cgroup.unit.is_some(),
            before: &linux.resources.take().unwrap_or_default(),
        };
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        let (after, update) = resources_update::plan(&known, resources, &mut faults, &mut warnings);
        if !faults.is_empty() {
            return Err(Error::config(faults));
        }
        warnings.extend(cgroup.update(&update)?);
        linux.resources = Some(after);
        Ok(warnings)
    }
}
