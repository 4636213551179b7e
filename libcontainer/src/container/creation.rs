//! A creation under way: what it has made so far, shared by the walk through the plan
//! (`create`) and the steps it performs (`perform`).

use std::os::fd::OwnedFd;

use libcontainer_init::sys::memfd::{self, Use};
use libcontainer_init::wire::Slot;

use super::link::Link;
use super::record::{Directory, Lock, Record};
use super::time::Timeline;
use crate::error::{Result, call};
use crate::id::ContainerId;
use crate::options::Attachments;
use crate::plan::Plan;
use crate::spec::{Spec, State};

/// A creation under way.
pub(super) struct Creation<'a> {
    pub(super) id: &'a ContainerId,
    pub(super) spec: &'a Spec,
    pub(super) plan: &'a Plan,
    pub(super) attach: Attachments,
    pub(super) directory: Directory,
    pub(super) record: Record,
    pub(super) lock: Option<Lock>,
    /// Cgroups that were looked for and not made yet.
    pub(super) survey: Option<crate::cgroup::Survey>,
    pub(super) cgroup: Option<crate::cgroup::Open>,
    /// Init's pid and pidfd.
    pub(super) init: Option<(i32, OwnedFd)>,
    pub(super) link: Link,
    /// Init's end of the socket, until init has it.
    pub(super) init_socket: Option<OwnedFd>,
    /// What was opened for init, until the next *go*.
    pub(super) slots: Vec<(Slot, OwnedFd)>,
    /// Where the terminal's master goes, and the master.
    pub(super) console_socket: Option<OwnedFd>,
    pub(super) console: Option<OwnedFd>,
    pub(super) timeline: Timeline,
    pub(super) warnings: Vec<crate::error::Fault>,
}

impl Creation<'_> {
    /// The state as hooks are told it.
    pub(super) fn state(&self, status: &str, pid: Option<i32>) -> State {
        State {
            oci_version: super::OCI_VERSION.to_owned(),
            id: self.id.to_string(),
            status: status.to_owned(),
            pid,
            bundle: self.record.bundle.to_string_lossy().into_owned(),
            annotations: self.plan.config.annotations.clone(),
            ..State::default()
        }
    }

    /// The plan as a sealed file for init.
    pub(super) fn plan_file(&self) -> Result<OwnedFd> {
        memfd::sealed(c"keel-plan", &self.plan.bytes, Use::Data)
            .map(OwnedFd::from)
            .map_err(|failure| call("cannot write the plan", failure))
    }
}
