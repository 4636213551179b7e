//! Mounts that are added to, or removed from, a container that is there.
//!
//! What `create` mounts is in its plan; these are plans of their own, performed in the container's
//! namespaces by an init that ends with them. They are not recorded: they last as long as the
//! container's mount namespace.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use libcontainer_init::sys::pidfd;

use super::launch::{Actor, Birth, Launch, walk};
use super::status::Verb;
use super::time::Timeline;
use super::{Container, perform};
use crate::bundle::Bundle;
use crate::error::{Error, Fault, Result};
use crate::host::Host;
use crate::id::ContainerId;
use crate::options::{Attachments, Options};
use crate::plan::Plan;
use crate::spec::{Mount, Spec};
use crate::task::Task;

impl Container {
    /// Mounts more in the container, in order. `config.json` pointers of errors count from the list
    /// given, `/mounts/0` being its first. Returns what was tolerated.
    ///
    /// # Errors
    /// The container does not exist any more, has no mount namespace of its own, or one cannot be
    /// mounted; then those before it are unmounted again.
    pub fn add_mounts(&self, mounts: &[Mount]) -> Result<Vec<Fault>> {
        let needs_creation = |mount: &Mount| {
            let kind = mount.kind.as_deref().unwrap_or_default();
            ["proc", "cgroup", "cgroup2"].contains(&kind)
        };
        if let Some(at) = mounts.iter().position(needs_creation) {
            let kind = mounts[at].kind.as_deref().unwrap_or_default();
            let message = format!("{kind} can be mounted only when a container is created");
            return Err(Error::config(vec![Fault { pointer: format!("/mounts/{at}"), message }]));
        }
        let plan = self.plan_mounts(mounts.to_vec(), Plan::add_mounts)?;
        let warnings = plan.warnings().to_vec();
        self.perform_mounts(Arc::clone(&plan)).inspect_err(|error| {
            let done = error.pointer().and_then(mount_index).unwrap_or(0);
            let undo: Vec<String> =
                mounts[..done.min(mounts.len())].iter().map(|m| m.destination.clone()).collect();
            if !undo.is_empty()
                && let Err(error) = self.remove_mounts(&undo)
            {
                log::warn!("{error}");
            }
        })?;
        Ok(warnings)
    }

    /// Unmounts what lies on these paths inside, the last first.
    ///
    /// # Errors
    /// Nothing is mounted there, a link lies on the way, or the path belongs to what protects the
    /// host: the root, `/proc`, `/sys` and everything below them.
    pub fn remove_mounts(&self, destinations: &[String]) -> Result<()> {
        let protected = |path: &String| {
            let path = crate::features::mount_check::normal(path);
            let below = |top: &str| {
                path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            path == "/" || below("/proc") || below("/sys")
        };
        if let Some(at) = destinations.iter().position(protected) {
            let message = format!("{} protects the host and stays", destinations[at]);
            return Err(Error::config(vec![Fault { pointer: format!("/mounts/{at}"), message }]));
        }
        // An entry about a mount that is there, whatever was mounted.
        let entry = |path: &String| Mount {
            destination: path.clone(),
            options: vec!["remount".to_owned()],
            ..Mount::default()
        };
        let plan =
            self.plan_mounts(destinations.iter().map(entry).collect(), Plan::remove_mounts)?;
        self.perform_mounts(plan)
    }

    fn plan_mounts(
        &self,
        mounts: Vec<Mount>,
        compile: fn(&Bundle, &ContainerId, &Options, &Host) -> Result<Plan>,
    ) -> Result<Arc<Plan>> {
        Verb::Exec.check(&self.id, self.status()?)?;
        let (recorded, options) = self.recorded_choices()?;
        let mut spec = Spec { mounts, process: None, ..recorded };
        self.find_user_namespace(&mut spec);
        let bundle = Bundle::recorded(&self.record.bundle, spec);
        compile(&bundle, &self.id, &options, &Host::probe()?).map(Arc::new)
    }

    /// The container is in its user namespace; what it joined by path may lie elsewhere by now.
    fn find_user_namespace(&self, spec: &mut Spec) {
        let namespaces = spec.linux.iter_mut().flat_map(|linux| &mut linux.namespaces);
        let mut joined = namespaces.filter(|namespace| {
            namespace.kind == "user" && namespace.path.as_ref().is_some_and(|path| !path.is_empty())
        });
        if let (Some(namespace), Some(pid)) = (joined.next(), self.pid()) {
            // The pid is not another's when it is used: it must be alive when it is joined, later.
            namespace.path = Some(format!("/proc/{pid}/ns/user"));
        }
    }

    fn perform_mounts(&self, plan: Arc<Plan>) -> Result<()> {
        let attach = Attachments::default();
        let launch = Launch::new(Arc::clone(&plan), attach, Timeline::start())?;
        let mut change = Change { container: self, launch };
        walk(&mut change, &plan.phases).inspect_err(|_| change.launch.kill_init())
    }
}

/// The number in `/mounts/3/options`.
fn mount_index(pointer: &str) -> Option<usize> {
    pointer.strip_prefix("/mounts/")?.split('/').next()?.parse().ok()
}

/// A change of mounts under way.
struct Change<'a> {
    container: &'a Container,
    launch: Launch,
}

impl Actor for Change<'_> {
    fn launch(&mut self) -> &mut Launch {
        &mut self.launch
    }

    fn perform(&mut self, task: &Task) -> Result<()> {
        match task {
            Task::OpenContainer { into } => {
                let process = self.container.first_process()?;
                self.launch.fill(*into, process)
            }
            Task::Spawn { namespaces, keep_capabilities, inherited, .. } => {
                self.launch.spawn(&Birth {
                    namespaces: *namespaces,
                    join: Vec::new(),
                    cgroup: None,
                    keep_capabilities: *keep_capabilities,
                    inherited,
                })
            }
            Task::Collect => {
                if let Some((_, pidfd)) = self.launch.init.take() {
                    let _ = pidfd::wait(pidfd.as_raw_fd());
                }
                Ok(())
            }
            other => perform::task(&mut self.launch, other),
        }
    }
}
