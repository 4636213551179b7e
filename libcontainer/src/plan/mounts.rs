//! The choreography of mounts that are added to, or removed from, a container that is there.
//!
//! Init joins the container's namespaces but not its PID namespace: nobody inside sees it. Sources
//! are opened on the host before, as for `create`, and init ends when it has done its work.

use libcontainer_init::step::Step;
use libcontainer_init::sys::namespace::{NEWPID, NEWUSER};
use libcontainer_init::wire::Slot;

use crate::config::Config;
use crate::features::{mounts, namespaces};
use crate::host::Host;
use crate::steps::Steps;
use crate::task::{Inherited, Task};

/// All steps that add the mounts of the configuration.
pub(super) fn add(config: &Config, host: &Host) -> Steps {
    let mut steps = Steps::new(host.privileged);
    let s = &mut steps;
    s.phase("prepare");
    let container = open_container(s);
    let sources = mounts::open_first(config, s);
    join(config, host, s, container);
    for (mount, source) in config.mounts.iter().zip(sources) {
        mounts::attach(config, s, mount, source);
    }
    finish(s);
    steps
}

/// All steps that remove what lies on the targets of the configuration's mounts, the last first.
pub(super) fn remove(config: &Config, host: &Host) -> Steps {
    let mut steps = Steps::new(host.privileged);
    let s = &mut steps;
    s.phase("prepare");
    let container = open_container(s);
    join(config, host, s, container);
    for mount in config.mounts.iter().rev() {
        let target = s.text(&mount.pointer, &mount.target);
        s.init(mount.pointer.clone(), Step::Unmount { target });
    }
    finish(s);
    steps
}

fn open_container(s: &mut Steps) -> Slot {
    let into = s.slot("the container's first process");
    s.runtime("/linux/namespaces", Task::OpenContainer { into });
    into
}

fn join(config: &Config, host: &Host, s: &mut Steps, container: Slot) {
    s.phase("join");
    let task = Task::Spawn {
        namespaces: 0,
        join: Vec::new(),
        into_cgroup: false,
        keep_capabilities: host.euid != 0,
        inherited: Inherited::default(),
    };
    s.runtime("", task);
    s.init("", Step::Conceal {});
    let kind = namespaces::all(config) & !NEWPID;
    let step = Step::JoinNamespace { namespace: container, kind, keep_groups: false };
    s.init("/linux/namespaces", step);
    s.init("/root/path", Step::UseRoot { dir: Slot::NONE });
    if config.namespaces.has(NEWUSER) {
        s.init("/linux/uidMappings", Step::BecomeRoot {});
    }
}

fn finish(s: &mut Steps) {
    s.phase("collect");
    s.runtime("", Task::Collect);
    s.init("", Step::Finish {});
}
