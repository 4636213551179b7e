//! The choreography of `exec`: another process in a running container.
//!
//! Init is executed first, in the host's namespaces and not dumpable, and joins the container's
//! second; joined the other way round, the container's root could look into it (CVE-2016-9962).
//! It enters the PID namespace last, with nothing of the host in its hands.

use libcontainer_init::step::Step;
use libcontainer_init::sys::namespace::{NEWNS, NEWPID, NEWUSER};
use libcontainer_init::wire::Slot;

use crate::config::Config;
use crate::features::{
    capabilities, cgroup_entry, console, descriptors, keyring, limits, namespaces, process, user,
};
use crate::host::Host;
use crate::steps::Steps;
use crate::task::Task;

/// All steps of `exec`.
pub(super) fn plan(config: &Config, host: &Host) -> Steps {
    let mut steps = Steps::new(host.privileged);
    let s = &mut steps;
    let has = |kind| config.namespaces.has(kind);

    s.phase("prepare");
    console::connect(config, s);
    let container = s.slot("the container's first process");
    s.runtime("", Task::OpenContainer { into: container });
    let preserved = descriptors::hand_over(config, s);
    let cgroups = cgroup_entry::open(config, s);

    s.phase("join");
    let task = Task::Spawn {
        namespaces: 0,
        join: Vec::new(),
        into_cgroup: cgroup_entry::born_inside(config),
        keep_capabilities: host.euid != 0,
    };
    s.runtime("", task);
    limits::raise(config, s);
    s.init("", Step::Conceal {});
    cgroup_entry::enter(s, cgroups);
    let kinds = namespaces::all(config);
    if kinds != 0 {
        s.init("/linux/namespaces", Step::JoinNamespace { namespace: container, kind: kinds });
    }
    // With the mount namespace came its root; without one the root is the first process's.
    s.init("/root/path", Step::UseRoot { dir: Slot::NONE });
    if has(NEWUSER) {
        s.init("/linux/uidMappings", Step::BecomeRoot {});
    }
    if has(NEWPID) {
        s.init("/linux/namespaces", Step::EnterPidNamespace {});
        s.phase("adopt");
        s.runtime("/linux/namespaces", Task::AdoptInit);
        s.phase("inside");
    }
    s.init("", Step::NewSession {});
    keyring::plan(config, s);
    if !has(NEWNS) {
        s.init("/root/path", Step::ChangeRoot {});
    }
    console::open_again(config, s);
    user::own_stdio(config, s);
    process::enter_directory_early(config, s);
    process::find_home(config, s);
    capabilities::limit_bounding(config, s);
    user::switch(config, s);
    capabilities::set_rest(config, s);
    process::find_program(config, s);

    s.phase("publish");
    console::send(config, s);
    s.runtime("", Task::Publish);
    s.phase("start");
    descriptors::place(config, s, preserved);
    limits::set(config, s);
    process::exec(config, s);
    steps
}
