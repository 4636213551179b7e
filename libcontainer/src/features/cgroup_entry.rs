//! Being in the container's cgroups: made by the runtime, entered by init itself.
//!
//! With v2 init is born in its cgroup (CLONE_INTO_CGROUP). With v1 it writes 0 to each `tasks` file
//! that the runtime opened: a single-threaded process that moves itself takes no lock that waits
//! for an RCU grace period (8 to 16 ms otherwise), and doing so late leaves init's own work out of
//! a small memory limit.

use libcontainer_init::step::Step;
use libcontainer_init::sys::namespace::NEWPID;
use libcontainer_init::wire::Slot;

use super::{Context, cgroup};
use crate::config::{Config, Namespaces};
use crate::host::Cgroups;
use crate::options::CgroupManager;
use crate::spec::Linux;
use crate::steps::Steps;
use crate::task::Task;
use crate::task::cgroup::CgroupPlan;

/// `/linux/resources` and `/linux/cgroupsPath`.
pub fn check(cx: &mut Context<'_>, namespaces: &Namespaces) -> Option<CgroupPlan> {
    let limited = cx.host.euid != 0 || cx.host.user_namespace;
    let rootless = cx.options.rootless;
    let caller = cgroup::Caller {
        rootless: rootless.unwrap_or(limited),
        // In a user namespace the kernel lets nobody, whatever the caller is taken for.
        limits_devices: !limited || (rootless == Some(false) && !cx.host.user_namespace),
    };
    let (linux, id, cgroups) = (cx.linux, cx.id.as_str(), &cx.host.cgroups);
    let (faults, warnings) = (&mut cx.faults, &mut cx.warnings);
    match cx.options.cgroup_manager {
        CgroupManager::Disabled => {}
        CgroupManager::Cgroupfs => {
            let before = faults.len();
            let plan = cgroup::plan(linux, id, cgroups, caller, faults, warnings);
            if plan.is_none() && cx.faults.len() == before {
                warn_of_none(cx, namespaces);
            }
            return plan;
        }
        CgroupManager::Systemd => {
            let (bus, annotations) = (cx.options.user_bus.clone(), &cx.spec.annotations);
            let wanted = cgroup::ScopeWanted { bus, annotations, caller };
            return cgroup::plan_scope(linux, id, cgroups, wanted, faults, warnings);
        }
    }
    if linux.cgroups_path.is_some() {
        cx.warn("/linux/cgroupsPath", "cgroups are disabled: the container stays in the caller's");
    }
    let linux = Linux { resources: linux.resources.clone(), ..Linux::default() };
    let caller = cgroup::Caller { rootless: true, limits_devices: false };
    cgroup::plan(&linux, id, &Cgroups::default(), caller, &mut cx.faults, &mut cx.warnings)
}

/// A container without cgroups has no limits, which the configuration does not ask for either; but
/// its processes are nobody's group, unless they end with their PID namespace.
fn warn_of_none(cx: &mut Context<'_>, namespaces: &Namespaces) {
    let mut message =
        "this user may not make a cgroup: the container stays in the caller's".to_owned();
    if !namespaces.creates(NEWPID) {
        message += ", and what it starts cannot be killed as a whole without a PID namespace";
    }
    cx.warn("/linux/cgroupsPath", message);
}

/// Whether a process can be born in the container's cgroup.
pub fn born_inside(config: &Config) -> bool {
    config.cgroup.as_ref().is_some_and(|plan| plan.unified().is_some())
}

/// Whether systemd moves the first process into the cgroup: a scope begins with one that is there.
pub fn moved_inside(config: &Config) -> bool {
    config.cgroup.as_ref().is_some_and(|plan| plan.scope.is_some())
}

/// The runtime makes the directories, so that a copy of them can be mounted, and writes limits.
pub fn make(config: &Config, steps: &mut Steps) {
    if config.cgroup.is_some() {
        let pointer = "/linux/cgroupsPath";
        if moved_inside(config) {
            steps.runtime(pointer, Task::StartScope);
        }
        steps.runtime(pointer, Task::MakeCgroups);
        // Also where no limit is configured: v1 cpusets are filled and v2 controllers enabled.
        steps.runtime("/linux/resources", Task::LimitCgroups);
    }
}

/// The runtime opens what init enters through; the first slot and the number.
pub fn open(config: &Config, steps: &mut Steps) -> (Slot, u32) {
    let names: Vec<String> = config
        .cgroup
        .iter()
        .flat_map(CgroupPlan::legacy)
        .map(|p| p.dir().display().to_string())
        .collect();
    let slots: Vec<Slot> = names.iter().map(|name| steps.slot(format!("{name}/tasks"))).collect();
    let Some(first) = slots.first().copied() else { return (Slot::NONE, 0) };
    let count = slots.len() as u32;
    steps.runtime("/linux/cgroupsPath", Task::OpenCgroups { first, count });
    (first, count)
}

/// Init enters.
pub fn enter(steps: &mut Steps, (first, count): (Slot, u32)) {
    if count > 0 {
        steps.init("/linux/cgroupsPath", Step::EnterCgroups { first, count });
    }
}
