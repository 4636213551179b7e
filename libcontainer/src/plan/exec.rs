//! The choreography of `exec`: another process in a running container.
//!
//! Init is executed first, in the host's namespaces and not dumpable, and joins the container's
//! second; joined the other way round, the container's root could look into it (CVE-2016-9962).
//! Everything that needs privileges is done outside of the container's PID namespace: into that it
//! goes last, as the container's user with the container's capabilities and nothing of the host in
//! its hands but what the process gets.

use libcontainer_init::step::Step;
use libcontainer_init::sys::namespace::{NEWNS, NEWPID, NEWUSER};
use libcontainer_init::wire::Slot;

use crate::config::Config;
use crate::features::{
    affinity, capabilities, cgroup_entry, console, descriptors, intel_rdt, keyring, labels,
    landlock, limits, memory_policy, namespaces, process, scheduler, seccomp, user,
};
use crate::host::Host;
use crate::steps::Steps;
use crate::task::{Inherited, Task};

/// All steps of `exec`.
pub(super) fn plan(config: &Config, host: &Host) -> Steps {
    let mut steps = Steps::new(host.privileged);
    let s = &mut steps;

    s.phase("prepare");
    console::connect(config, s);
    let container = open_container(config, s);
    let preserved = descriptors::hand_over(config, s);
    let cgroups = cgroup_entry::open(config, s);
    let labels = labels::open(config, s);

    s.phase("join");
    let affinity = config.process.affinity.initial.clone();
    let task = Task::Spawn {
        namespaces: 0,
        join: Vec::new(),
        into_cgroup: cgroup_entry::born_inside(config),
        keep_capabilities: host.euid != 0,
        inherited: Inherited { affinity, ..super::inherited(config, host) },
    };
    s.runtime("", task);
    intel_rdt::enter(config, s);
    limits::raise(config, s);
    s.init("", Step::Conceal {});
    labels::cover_keys_and_sockets(config, s, labels);
    labels::write(config, s, labels);
    join(config, s, container);
    keyring::plan(config, s);
    console::open_again(config, s);
    user::own_stdio(config, s);
    process::enter_directory_early(config, s, false);
    process::find_home(config, s);
    cgroup_entry::enter(s, cgroups);
    affinity::settle(config, s);
    memory_policy::set(config, s);

    // A new phase: what the runtime raised must hold before init becomes another process.
    s.phase("become");
    capabilities::limit_bounding(config, s);
    user::switch(config, host, s);
    capabilities::set_rest(config, s);
    process::find_program(config, s, false);
    if config.namespaces.has(NEWPID) {
        s.init("/linux/namespaces", Step::EnterPidNamespace {});
        s.phase("adopt");
        s.runtime("/linux/namespaces", Task::AdoptInit);
    } else {
        s.phase("publish");
    }
    console::send(config, s);
    scheduler::by_runtime(config, host.may_schedule, s);
    s.runtime("", Task::Publish);

    s.phase("start");
    s.init("", Step::NewSession {});
    console::control(config, s);
    landlock::restrict(config, s);
    descriptors::place(config, s, preserved);
    limits::set(config, s);
    process::get_ready(config, s);
    seccomp::load(config, s);
    process::exec(s);
    steps
}

/// What of the container init gets to join it.
struct Container {
    process: Slot,
    root: Slot,
}

fn open_container(config: &Config, s: &mut Steps) -> Container {
    let (mut process, mut root) = (Slot::NONE, Slot::NONE);
    if namespaces::all(config) != 0 {
        process = s.slot("the container's first process");
        s.runtime("/linux/namespaces", Task::OpenContainer { into: process });
    }
    if !config.namespaces.has(NEWNS) {
        root = s.slot("the container's root directory");
        s.runtime("/root/path", Task::OpenContainerRoot { into: root });
    }
    Container { process, root }
}

/// All namespaces by one setns(2). With a mount namespace comes its root.
fn join(config: &Config, s: &mut Steps, container: Container) {
    let kind = namespaces::all(config);
    if kind != 0 {
        let keep_groups = config.keeps_groups();
        let step = Step::JoinNamespace { namespace: container.process, kind, keep_groups };
        s.init("/linux/namespaces", step);
    }
    s.init("/root/path", Step::UseRoot { dir: container.root });
    if container.root != Slot::NONE {
        s.init("/root/path", Step::ChangeRoot {});
    }
    if config.namespaces.has(NEWUSER) {
        s.init("/linux/uidMappings", Step::BecomeRoot {});
    }
}
