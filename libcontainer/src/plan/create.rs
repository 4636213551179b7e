//! The choreography of `create`: everything that happens from a bundle to a container that waits to
//! be started, and on to its program, in order.
//!
//! Each line is a feature's contribution. Steps of the runtime and of init that stand in one phase
//! happen at the same time; a phase begins where one has to wait for the other.

use libcontainer_init::step::Step;
use libcontainer_init::sys::namespace::{NEWCGROUP, NEWPID, NEWUSER};
use libcontainer_init::wire::Slot;

use crate::config::{Config, Joined, MountKind};
use crate::features::{
    capabilities, cgroup_below, cgroup_entry, cgroup_mounts, cgroup_owner, console, descriptors,
    devices, hooks, hostname, intel_rdt, keyring, labels, landlock, limits, masked_paths,
    memory_policy, mounts, namespaces, net_devices, notify, process, rootfs, scheduler, seccomp,
    sysctl, time_offsets, user, user_namespace,
};
use crate::host::Host;
use crate::steps::Steps;
use crate::task::Task;

/// All steps of `create`.
pub(super) fn plan(config: &Config, host: &Host) -> Steps {
    let mut create = Create::new(config, host);
    create.prepare();
    create.isolate();
    create.set_up_namespaces();
    if create.roots_first() {
        create.make_early();
        create.enter_root();
        create.enter_cgroups();
        create.enter_pid_namespace();
        create.build_root();
    } else {
        create.enter_pid_namespace();
        create.build_root();
        create.run_hooks();
        create.enter_root();
    }
    create.close_root();
    create.enter_cgroups();
    if config.has_process {
        create.become_user();
    }
    create.publish();
    create.start();
    create.steps
}

/// The plan in the making, with the descriptors that steps made for later ones.
struct Create<'a> {
    config: &'a Config,
    host: &'a Host,
    steps: Steps,
    opened: Opened,
    cgroups: (Slot, u32),
    /// Those below the container's that its first process enters.
    below: [Slot; 2],
    /// Whether init knows that its cgroups are there.
    cgroups_ready: bool,
    /// Whether init is in its cgroups, and in a cgroup namespace if it gets one.
    cgroups_entered: bool,
    /// New file systems that were made before their turn to be attached.
    early: Vec<Slot>,
    /// Mounts that later steps need, by their place.
    kept: Vec<(String, Slot)>,
    /// The notify socket, until whoever starts the container gets it.
    notify_socket: Slot,
}

/// What the runtime opened on the host for init.
struct Opened {
    rootfs: Slot,
    namespaces: Vec<(Joined, Slot)>,
    mounts: Vec<Slot>,
    devices: Vec<Slot>,
    null: Slot,
    procfs: Slot,
    labels: Slot,
    hook_streams: [Slot; 2],
    preserved: Slot,
    listener: Slot,
}

impl<'a> Create<'a> {
    fn new(config: &'a Config, host: &'a Host) -> Self {
        let mut steps = Steps::new(host.privileged);
        steps.phase("prepare");
        steps.runtime("", Task::Record);
        console::connect(config, &mut steps);
        let listener = steps.slot("the socket that starts the container");
        steps.runtime("", Task::Listen { into: listener });
        let opened = Opened {
            listener,
            namespaces: namespaces::open(config, host.privileged, &mut steps),
            preserved: descriptors::hand_over(config, &mut steps),
            procfs: sysctl::open(config, &mut steps),
            labels: labels::open(config, &mut steps),
            rootfs: Slot::NONE,
            mounts: Vec::new(),
            devices: Vec::new(),
            hook_streams: [Slot::NONE; 2],
            null: Slot::NONE,
        };
        Self {
            config,
            host,
            steps,
            opened,
            cgroups: (Slot::NONE, 0),
            below: [Slot::NONE; 2],
            cgroups_ready: false,
            cgroups_entered: false,
            early: Vec::new(),
            kept: Vec::new(),
            notify_socket: Slot::NONE,
        }
    }

    /// Everything on the host is opened before init exists: nothing in the image can redirect it.
    fn prepare(&mut self) {
        if self.host.privileged {
            self.opened.rootfs = rootfs::open(self.config, &mut self.steps);
            self.open_trees();
        }
        intel_rdt::make(self.config, &mut self.steps);
        if self.born_inside() {
            self.make_cgroups();
            self.cgroups_ready = true;
        }
    }

    fn born_inside(&self) -> bool {
        cgroup_entry::born_inside(self.config) && !cgroup_entry::moved_inside(self.config)
    }

    fn open_trees(&mut self) {
        let (config, s) = (self.config, &mut self.steps);
        self.opened.mounts = mounts::open_first(config, s);
        cgroup_mounts::open_hosts(config, s);
        self.opened.devices = devices::open(config, s);
        self.opened.null = masked_paths::open(config, s);
        self.opened.hook_streams = hooks::open(config, s);
    }

    fn make_cgroups(&mut self) {
        let (config, s) = (self.config, &mut self.steps);
        cgroup_entry::make(config, s);
        self.below = cgroup_below::make(config, s);
        cgroup_owner::give(config, self.host.euid, s);
        cgroup_mounts::open_own(config, s);
        self.cgroups = cgroup_entry::open(config, s);
    }

    /// Init exists from here on, in its namespaces, with the rootfs attached.
    fn isolate(&mut self) {
        let born_inside = self.born_inside();
        let (config, s) = (self.config, &mut self.steps);
        // Without a user id that is root's where it is born, init's capabilities end at exec.
        let keep = config.namespaces.creates(NEWUSER) || self.host.euid != 0;
        s.phase("isolate");
        namespaces::spawn(config, s, born_inside, keep, super::inherited(config, self.host));
        let late = namespaces::user_comes_late(config);
        if !late {
            user_namespace::write_mappings(config, s);
        }
        limits::raise(config, s);
        namespaces::join(config, s, &self.opened.namespaces);
        if late {
            s.phase("map");
            user_namespace::write_mappings(config, s);
            s.phase("mapped");
        }
        user_namespace::compare_mappings(config, s);
        if self.host.privileged {
            rootfs::attach(config, s, self.opened.rootfs);
        } else {
            self.opened.rootfs = rootfs::open(config, s);
            rootfs::attach(config, s, self.opened.rootfs);
            self.open_trees();
        }
        let mut met = time_offsets::enter(config, &mut self.steps) || late;
        if intel_rdt::enter(config, &mut self.steps) {
            self.steps.phase("share");
            met = true;
        }
        let met = net_devices::move_in(config, &mut self.steps) || met;
        if config.mappings.is_some() && !met {
            self.steps.phase("map"); // init needs its ids from here on
        }
        if !self.cgroups_ready {
            self.make_cgroups();
        }
    }

    fn set_up_namespaces(&mut self) {
        let (config, s) = (self.config, &mut self.steps);
        user_namespace::become_root(config, s);
        namespaces::create_late(config, s);
        s.init("", Step::NewSession {});
        labels::cover_keys_and_sockets(config, s, self.opened.labels);
        keyring::plan(config, s);
        hostname::plan(config, s);
        namespaces::loopback(config, s);
        sysctl::write(config, s, self.opened.procfs);
    }

    /// Into a PID namespace that others are in already, init goes with nothing of the host in its
    /// hands: somebody there may be able to look (CVE-2016-9962). Only a hook that must run before
    /// the root is entered stands against that. With a user namespace that others are in, nobody
    /// there can look: init was executed outside of it and is not dumpable. And it needs the host's
    /// /proc in sight there, or the kernel mounts no other; so it does if the runtime itself is in a
    /// user namespace, and then only who has CAP_SYS_PTRACE there can look.
    fn roots_first(&self) -> bool {
        let Config { namespaces, hooks, .. } = self.config;
        let joins = |kind| namespaces.joins(kind).is_some();
        let needs_procfs = joins(NEWUSER) || self.host.user_namespace;
        joins(NEWPID) && !needs_procfs && hooks.create_container.is_empty()
    }

    /// What names files of the host can be made only as long as they are in reach.
    fn make_early(&mut self) {
        self.early = mounts::make_early(self.config, &mut self.steps);
    }

    fn enter_pid_namespace(&mut self) {
        namespaces::enter_pid(self.config, &mut self.steps, &self.opened.namespaces);
        if namespaces::forks(self.config) {
            // The process that goes on inside does not lead the session that it was born in.
            self.steps.init("", Step::NewSession {});
        }
    }

    /// Mounts and devices.
    fn build_root(&mut self) {
        for portion in mounts::portions(self.config) {
            if portion.start > 0 {
                self.steps.phase("open more");
                let more = mounts::open_more(self.config, &mut self.steps, portion.clone());
                self.opened.mounts = more;
                self.steps.phase("mount more");
            }
            for (index, source) in portion.clone().zip(self.opened.mounts.clone()) {
                let mount = &self.config.mounts[index];
                if mount.kind == MountKind::Cgroup {
                    self.meet_cgroups();
                }
                let made = self.early.get(index).copied().unwrap_or(Slot::NONE);
                let source = if made == Slot::NONE { source } else { made };
                let kept = mounts::attach(self.config, &mut self.steps, mount, source);
                self.kept.extend(kept.map(|slot| (mount.target.clone(), slot)));
            }
        }
        devices::create(self.config, &mut self.steps, &self.opened.devices);
        self.notify_socket = notify::make(self.config, &mut self.steps);
    }

    /// Before cgroups are mounted they must be there, and a cgroup namespace be rooted in them.
    fn meet_cgroups(&mut self) {
        self.await_cgroups();
        if self.config.namespaces.creates(NEWCGROUP) {
            self.enter_cgroups();
        }
    }

    fn await_cgroups(&mut self) {
        if !self.cgroups_ready {
            self.steps.phase("enter");
            self.cgroups_ready = true;
        }
    }

    /// Late unless something needs it earlier: then init's own work is not charged.
    fn enter_cgroups(&mut self) {
        if self.cgroups_entered {
            return;
        }
        if self.cgroups.1 > 0 || cgroup_entry::moved_inside(self.config) {
            self.await_cgroups();
        }
        cgroup_entry::enter(&mut self.steps, self.cgroups);
        cgroup_below::enter_root(&mut self.steps, self.below);
        namespaces::cgroup_namespace(self.config, &mut self.steps);
        cgroup_below::enter_delegated(&mut self.steps, self.below);
        self.cgroups_entered = true;
    }

    /// Hooks find the container complete, in its cgroups, with its root not entered yet.
    fn run_hooks(&mut self) {
        let config = self.config;
        if !hooks::before_entry(config) {
            return;
        }
        self.enter_cgroups();
        let s = &mut self.steps;
        s.phase("hooks");
        hooks::run(config, s);
        let state = hooks::document(config, s, "createContainer");
        s.phase("container hooks");
        let [stdout, stderr] = self.opened.hook_streams;
        hooks::inside(config, s, "createContainer", [state, stdout, stderr]);
    }

    fn enter_root(&mut self) {
        if self.roots_first() {
            self.run_hooks();
        }
        labels::write(self.config, &mut self.steps, self.opened.labels);
        rootfs::enter(self.config, &mut self.steps);
    }

    /// The terminal, and what the container may not see or change.
    fn close_root(&mut self) {
        let (config, s) = (self.config, &mut self.steps);
        console::open(config, s);
        masked_paths::cover(config, s, self.opened.null, &self.kept);
        mounts::finish(config, s, &self.kept);
        process::enter_directory_early(config, s, true);
        rootfs::propagate(config, s);
        rootfs::make_readonly(config, s);
    }

    fn become_user(&mut self) {
        let (config, s) = (self.config, &mut self.steps);
        user::own_stdio(config, s);
        process::find_home(config, s);
        memory_policy::set(config, s);
        capabilities::limit_bounding(config, s);
        user::switch(config, self.host, s);
        capabilities::set_rest(config, s);
        process::find_program(config, s, true);
    }

    fn publish(&mut self) {
        let (config, s) = (self.config, &mut self.steps);
        s.phase("publish");
        console::send(config, s);
        scheduler::check_hooks(config, s);
        scheduler::by_runtime(config, self.host.may_schedule, s);
        s.runtime("", Task::Publish);
    }

    /// From here on init talks to whoever starts the container.
    fn start(&mut self) {
        let (config, s) = (self.config, &mut self.steps);
        let state = hooks::document(config, s, "startContainer");
        s.phase("start");
        s.init("", Step::AwaitStart { listener: self.opened.listener });
        if !config.has_process {
            return; // nobody starts it
        }
        notify::send(config, s, self.notify_socket);
        let [stdout, stderr] = self.opened.hook_streams;
        hooks::inside(config, s, "startContainer", [state, stdout, stderr]);
        landlock::restrict(config, s);
        descriptors::place(config, s, self.opened.preserved);
        limits::set(config, s);
        process::get_ready(config, s);
        seccomp::load(config, s);
        process::exec(s);
    }
}
