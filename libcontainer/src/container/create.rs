//! Creating a container: the runtime's column of the plan is walked, and taken back when it fails.
//!
//! What an interrupted creation would leave is recorded before it exists, and what a failed one
//! made is undone here: init is killed, cgroups and the directory are removed.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use super::creation::Creation;
use super::launch::{Launch, walk};
use super::record::{Directory, Record};
use super::time::{Timeline, rfc3339};
use super::{Container, Store, hooks};
use crate::bundle::Bundle;
use crate::cgroup::Cgroup;
use crate::error::{Error, ErrorKind, Result};
use crate::host::Host;
use crate::id::ContainerId;
use crate::options::{Attachments, Options};
use crate::plan::Plan;
use crate::resctrl::Made;
use crate::spec::annotations::PIDFD_RECEIVER;

impl Store {
    /// Creates a container: everything is set up, and its program waits to be started.
    ///
    /// # Errors
    /// The configuration has faults, the id is taken, or a step failed; then nothing is left.
    pub fn create(
        &self,
        id: &ContainerId,
        bundle: &Bundle,
        options: &Options,
        mut attach: Attachments,
    ) -> Result<Container> {
        let mut timeline = Timeline::start();
        let host = Host::probe_as(options.rootless)?;
        timeline.mark("compile", 0, "look at the machine");
        let options = &with_keyring(id, options)?;
        let plan = Arc::new(Plan::create(bundle, id, options, &host)?);
        timeline.mark("compile", 0, "compile the plan");
        attach.pidfd_sockets.extend(bundle.spec().annotations.get(PIDFD_RECEIVER).map(Into::into));
        let launch = Launch::new(Arc::clone(&plan), attach, timeline)?;
        let mut creation = Creation::new(self, id, bundle, options, launch);
        match walk(&mut creation, &plan.phases) {
            Ok(()) => creation.finish(),
            Err(error) => {
                creation.undo(error.kind() == ErrorKind::Hook);
                Err(error)
            }
        }
    }
}

/// The options with the name of a keyring, for this container and what joins it later. Another
/// container may have made a keyring of any name that it could guess, to be joined by this one.
fn with_keyring(id: &ContainerId, options: &Options) -> Result<Options> {
    const UNIQUE: &str = "/proc/sys/kernel/random/uuid";
    let mut options = options.clone();
    if options.keyring.is_none() && !options.no_new_keyring {
        let unique = std::fs::read_to_string(UNIQUE)
            .map_err(|error| Error::io(format!("cannot read {UNIQUE}"), &error))?;
        options.keyring = Some(format!("_ses.{id}.{}", unique.trim_end()));
    }
    Ok(options)
}

impl<'a> Creation<'a> {
    fn new(
        store: &Store,
        id: &'a ContainerId,
        bundle: &'a Bundle,
        options: &Options,
        launch: Launch,
    ) -> Self {
        let plan = &launch.plan;
        let record = Record {
            bundle: bundle.path().to_owned(),
            rootfs: plan.config.rootfs.path.clone(),
            created: rfc3339(SystemTime::now()),
            owner: nix::unistd::geteuid().as_raw(),
            init: None,
            own_pids: plan.config.namespaces.creates(libcontainer_init::sys::namespace::NEWPID),
            has_process: plan.config.has_process,
            has_hooks: bundle.spec().hooks.is_some(),
            options: options.clone(),
            cgroup: None,
            resctrl: None,
        };
        Self {
            id,
            spec: bundle.spec(),
            directory: Directory::new(&store.root, id),
            record,
            lock: None,
            survey: None,
            cgroup: None,
            scope_started: false,
            warnings: plan.warnings().to_vec(),
            resctrl: Made::default(),
            net_devices: None,
            launch,
        }
    }

    fn finish(self) -> Result<Container> {
        let Self { id, directory, record, launch, warnings, lock, .. } = self;
        let Launch { init, console, timeline, .. } = launch;
        drop(lock);
        for warning in &warnings {
            log::warn!("{warning}");
        }
        let pidfd = init.map(|(_, pidfd)| pidfd);
        let (id, exit) = (id.clone(), OnceLock::new());
        Ok(Container {
            id,
            directory,
            record,
            pidfd,
            exit,
            console,
            notify_socket: None,
            timeline,
            warnings,
        })
    }

    /// Takes back what was made, in reverse. What cannot be taken back is for `delete --force`.
    fn undo(&mut self, hook_failed: bool) {
        // First: with the last process of a network namespace its virtual devices vanish.
        if let Some(devices) = self.net_devices.take() {
            devices.take_back();
        }
        self.launch.kill_init();
        // Only what was made: a cgroup that was found in use is somebody else's.
        let cgroup = match self.cgroup.take() {
            Some(open) => Some(open.cgroup().clone()),
            None => self.record.cgroup.take().filter(|_| self.scope_started),
        };
        if let Some(cgroup) = cgroup
            && let Err(error) = remove_cgroup(&cgroup)
        {
            log::warn!("{error}");
        }
        if let Some(group) = &self.record.resctrl
            && let Err(error) = group.take_back(&self.resctrl)
        {
            log::warn!("{error}");
        }
        if self.lock.is_some()
            && let Err(error) = self.directory.remove(self.id)
        {
            log::warn!("{error}");
        }
        self.run_poststop(hook_failed);
    }

    /// A container that was created in part is destroyed like any other (runtime.md, "Lifecycle").
    fn run_poststop(&self, hook_failed: bool) {
        let hooks_ran = self.launch.timeline.marks().iter().any(|mark| mark.what == "RunHook");
        let created = self.record.init.is_some() || hooks_ran || hook_failed;
        if !created {
            return;
        }
        for hook in &self.launch.plan.config.hooks.poststop {
            if let Err(error) = hooks::run("poststop", hook, &self.state("stopped", None), None) {
                log::warn!("{error}");
            }
        }
    }
}

fn remove_cgroup(cgroup: &Cgroup) -> Result<()> {
    cgroup.kill()?;
    cgroup.remove()
}
