//! Cgroups below the container's own, for its first process, by crun's annotations: one that is the
//! root of its cgroup namespace, and below that one which is the container's to manage.
//!
//! Limits stay those of the container's cgroup. Only cgroup v2 makes it safe to hand one on.

use libcontainer_init::step::Step;
use libcontainer_init::wire::Slot;

use super::Context;
use crate::config::Config;
use crate::options::CgroupManager;
use crate::spec::annotations::{DELEGATED, SUBGROUP};
use crate::steps::Steps;
use crate::task::Task;
use crate::task::cgroup::CgroupPlan;

/// The annotations, written into the plan of the cgroup.
pub fn check(cx: &mut Context<'_>, mut plan: Option<CgroupPlan>) -> Option<CgroupPlan> {
    let mut path = String::new();
    for name in [SUBGROUP, DELEGATED] {
        let Some(value) = cx.spec.annotations.get(name).filter(|value| !value.is_empty()) else {
            continue;
        };
        let pointer = format!("/annotations/{name}");
        let wrong =
            |part: &str| ["", ".", ".."].contains(&part) || part.contains('\n') || part.len() > 255;
        if value.split('/').any(wrong) {
            cx.fault(pointer, "this is not the name of a cgroup below another");
        } else if name == SUBGROUP && cx.options.cgroup_manager != CgroupManager::Systemd {
            cx.warn(pointer, "no cgroup is made below one that systemd does not make");
        } else {
            path = if path.is_empty() { value.clone() } else { format!("{path}/{value}") };
            match plan.as_mut().filter(|plan| plan.legacy().next().is_none()) {
                None => cx.fault(pointer, "a cgroup below the container's needs cgroup v2 alone"),
                Some(plan) if name == SUBGROUP => plan.subgroup = Some(path.clone()),
                Some(plan) => plan.delegated = Some(path.clone()),
            }
        }
    }
    plan
}

/// The runtime makes them and opens what init enters through.
pub fn make(config: &Config, steps: &mut Steps) -> [Slot; 2] {
    let plan = config.cgroup.as_ref();
    [
        (SUBGROUP, plan.and_then(|plan| plan.subgroup.as_ref())),
        (DELEGATED, plan.and_then(|plan| plan.delegated.as_ref())),
    ]
    .map(|(name, path)| {
        let Some(path) = path else { return Slot::NONE };
        let into = steps.slot(format!("the cgroup {path} below the container's"));
        let task = Task::MakeSubCgroup { path: path.clone(), into };
        steps.runtime(format!("/annotations/{name}"), task);
        into
    })
}

/// Init enters the one that is the root of its cgroup namespace.
pub fn enter_root(steps: &mut Steps, [root, _]: [Slot; 2]) {
    enter(steps, SUBGROUP, root);
}

/// Init enters the one that is the container's to manage.
pub fn enter_delegated(steps: &mut Steps, [_, delegated]: [Slot; 2]) {
    enter(steps, DELEGATED, delegated);
}

fn enter(steps: &mut Steps, annotation: &str, cgroup: Slot) {
    if cgroup != Slot::NONE {
        let step = Step::EnterCgroups { first: cgroup, count: 1 };
        steps.init(format!("/annotations/{annotation}"), step);
    }
}
