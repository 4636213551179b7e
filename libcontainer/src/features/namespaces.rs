//! Namespaces: which are created with init, which are joined, and by whom.
//!
//! New ones come with clone3(2). Those of the host that are joined by path are joined by a thread
//! of the runtime before it, as only the host's root may; with a joined user namespace init joins
//! everything itself and creates the new ones inside it, or they would belong to the host's. Where
//! init joins others itself, it makes a new user namespace itself as well, after them.

use std::path::Path;

use libcontainer_init::step::Step;
use libcontainer_init::sys::namespace::{
    NEWCGROUP, NEWIPC, NEWNET, NEWNS, NEWPID, NEWTIME, NEWUSER, NEWUTS,
};

use super::Context;
use crate::config::{Config, Joined, Namespaces};
use crate::steps::Steps;
use crate::task::{Inherited, Task};

/// The names of the runtime-spec and their `CLONE_NEW*`.
pub const KINDS: [(&str, u32); 8] = [
    ("pid", NEWPID),
    ("network", NEWNET),
    ("mount", NEWNS),
    ("ipc", NEWIPC),
    ("uts", NEWUTS),
    ("user", NEWUSER),
    ("cgroup", NEWCGROUP),
    ("time", NEWTIME),
];
/// Those that init makes by itself: the cgroup namespace is rooted where init is when it is made, after
/// it entered its cgroups; and who makes a time namespace is not in it yet, see `time_offsets`.
const MADE_BY_INIT: u32 = NEWCGROUP | NEWTIME;

/// Those that init always joins by itself. A PID namespace is entered last, when init holds nothing of
/// the host (CVE-2016-9962). From inside a cgroup namespace, with `nsdelegate`, cgroups(7), nobody can
/// put init into a cgroup outside of it. And who joins a time namespace must have one thread.
const JOINED_BY_INIT: [u32; 3] = [NEWPID, NEWCGROUP, NEWTIME];

/// The names of all kinds.
pub fn names() -> impl Iterator<Item = &'static str> {
    KINDS.into_iter().map(|(name, _)| name)
}

/// The name of a kind of namespace.
pub fn name(kind: u32) -> &'static str {
    KINDS.iter().find(|(_, flag)| *flag == kind).map_or("unknown", |(name, _)| name)
}

/// `/linux/namespaces`: known types, each once, absolute paths.
pub fn check(cx: &mut Context<'_>) -> Namespaces {
    let mut namespaces = Namespaces::default();
    for (i, namespace) in cx.linux.namespaces.iter().enumerate() {
        let pointer = format!("/linux/namespaces/{i}");
        let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == namespace.kind) else {
            let message = format!("unknown namespace type \"{}\"", namespace.kind);
            cx.fault(format!("{pointer}/type"), message);
            continue;
        };
        if namespaces.has(*kind) {
            let message = format!("namespace type \"{}\" is there twice", namespace.kind);
            cx.fault(format!("{pointer}/type"), message);
            continue;
        }
        match namespace.path.as_deref().filter(|path| !path.is_empty()) {
            None => namespaces.created |= kind,
            Some(path) if Path::new(path).is_absolute() => {
                let written = is_written(cx, *kind);
                namespaces.joined.push(Joined { kind: *kind, path: path.into(), pointer, written });
            }
            Some(path) => {
                cx.fault(format!("{pointer}/path"), format!("path \"{path}\" is not absolute"));
            }
        }
    }
    if let Some(joined) = namespaces.joins(NEWNS)
        && namespaces.creates(NEWUSER)
    {
        let message =
            "a new user namespace has no right to change a mount namespace that is joined";
        cx.fault(joined.pointer.clone(), message);
    }
    if cx.linux.namespaces.is_empty() || namespaces.joins(NEWUSER).is_none() {
        check_rights(cx, &namespaces);
    }
    namespaces
}

/// Whether the configuration sets names or kernel parameters in a namespace of this kind.
fn is_written(cx: &Context<'_>, kind: u32) -> bool {
    let parameter = |test: fn(&str) -> bool| cx.linux.sysctl.keys().any(|name| test(name));
    match kind {
        NEWUTS => {
            let named = cx.spec.hostname.is_some() || cx.spec.domainname.is_some();
            named || parameter(|name| name.ends_with("name"))
        }
        NEWNET => parameter(|name| name.starts_with("net")),
        NEWIPC => parameter(|name| name.starts_with("kernel") || name.starts_with("fs")),
        _ => false,
    }
}

/// Without privileges, a new user namespace gives the right to everything else.
fn check_rights(cx: &mut Context<'_>, namespaces: &Namespaces) {
    if !cx.host.privileged && !namespaces.creates(NEWUSER) {
        cx.fault(
            "/linux/namespaces",
            "without root privileges a container needs a user namespace of its own",
        );
    }
}

/// Opens what init joins itself, and starts it.
pub fn spawn(
    config: &Config,
    steps: &mut Steps,
    into_cgroup: bool,
    keep_capabilities: bool,
    inherited: Inherited,
) {
    let namespaces = &config.namespaces;
    let by_init = made_by_init(namespaces);
    let with_clone = namespaces.created & !by_init & !late(config);
    let mut join = namespaces.joined.clone();
    join.retain(|joined| !joined_by_init(namespaces, joined));
    let task =
        Task::Spawn { namespaces: with_clone, join, into_cgroup, keep_capabilities, inherited };
    steps.runtime("", task);
}

/// Kinds that init makes when it has its ids in the user namespace. The root directory of mqueue, which
/// comes with an IPC namespace, belongs to who makes that: it can be labelled only if its owner is
/// somebody inside.
fn late(config: &Config) -> u32 {
    let namespaces = &config.namespaces;
    let labelled = config.mount_label.is_some() && namespaces.has(NEWUSER);
    if labelled { namespaces.created & NEWIPC } else { 0 }
}

/// Init makes those.
pub fn create_late(config: &Config, steps: &mut Steps) {
    if late(config) != 0 {
        steps.init("/linux/namespaces", Step::Unshare { namespaces: late(config) });
    }
}

/// Beside a joined user namespace everything is init's to join.
fn joined_by_init(namespaces: &Namespaces, joined: &Joined) -> bool {
    JOINED_BY_INIT.contains(&joined.kind) || namespaces.joins(NEWUSER).is_some()
}

/// The new namespaces that do not come with clone3(2).
fn made_by_init(namespaces: &Namespaces) -> u32 {
    let in_joined_user = namespaces.joins(NEWUSER).is_some();
    if in_joined_user || makes_user(namespaces) { u32::MAX } else { MADE_BY_INIT }
}

/// Whether init makes the user namespace itself: born in it, it would have no right to join others of
/// the host.
fn makes_user(namespaces: &Namespaces) -> bool {
    let joined = |kind: &u32| namespaces.joins(*kind).is_some();
    namespaces.creates(NEWUSER) && JOINED_BY_INIT.iter().any(joined)
}

/// Whether the mappings can be written only after init has joined and made namespaces.
pub fn user_comes_late(config: &Config) -> bool {
    makes_user(&config.namespaces)
}

/// Opens the namespaces that init joins. The host's other namespaces come before the user
/// namespace, after which init has no power over them; without privileges it has none before.
pub fn open(
    config: &Config,
    privileged: bool,
    steps: &mut Steps,
) -> Vec<(Joined, libcontainer_init::wire::Slot)> {
    let namespaces = &config.namespaces;
    let mut joined: Vec<_> =
        namespaces.joined.iter().filter(|joined| joined_by_init(namespaces, joined)).collect();
    joined.sort_by_key(|joined| ((joined.kind == NEWUSER) == privileged, joined.kind == NEWPID));
    let mut opened = Vec::new();
    for joined in joined {
        let into = steps.slot(format!("{} namespace {}", name(joined.kind), joined.path.display()));
        let task = Task::OpenNamespace { namespace: joined.clone(), into };
        steps.runtime(joined.pointer.clone(), task);
        opened.push((joined.clone(), into));
    }
    opened
}

/// Joins what was opened but the PID namespace, and creates what did not come with clone3(2). For a
/// user namespace that is made here the PID namespace comes first; init itself is not in it yet.
pub fn join(
    config: &Config,
    steps: &mut Steps,
    opened: &[(Joined, libcontainer_init::wire::Slot)],
) {
    let now = |joined: &Joined| joined.kind != NEWPID || makes_user(&config.namespaces);
    for (joined, slot) in opened.iter().filter(|(joined, _)| now(joined)) {
        let keep_groups = config.keeps_groups();
        let step = Step::JoinNamespace { namespace: *slot, kind: joined.kind, keep_groups };
        steps.init(joined.pointer.clone(), step);
    }
    let by_init = made_by_init(&config.namespaces) & !NEWCGROUP & !late(config);
    let created = config.namespaces.created & by_init;
    if created != 0 {
        steps.init("/linux/namespaces", Step::Unshare { namespaces: created });
    }
}

/// Every kind of namespace in which the container is not the runtime's neighbour.
pub fn all(config: &Config) -> u32 {
    let joined = config.namespaces.joined.iter().map(|joined| joined.kind);
    joined.fold(config.namespaces.created, |all, kind| all | kind)
}

/// Whether init has to go on in another process to be in the container's PID namespace.
pub fn forks(config: &Config) -> bool {
    let namespaces = &config.namespaces;
    let created = namespaces.created & made_by_init(namespaces) & NEWPID != 0;
    created || namespaces.joins(NEWPID).is_some()
}

/// Joins the PID namespace, if it is an existing one, and goes on inside.
pub fn enter_pid(
    config: &Config,
    steps: &mut Steps,
    opened: &[(Joined, libcontainer_init::wire::Slot)],
) {
    if !forks(config) {
        return;
    }
    let now = |joined: &Joined| joined.kind == NEWPID && !makes_user(&config.namespaces);
    for (joined, slot) in opened.iter().filter(|(joined, _)| now(joined)) {
        let step = Step::JoinNamespace { namespace: *slot, kind: NEWPID, keep_groups: false };
        steps.init(joined.pointer.clone(), step);
    }
    steps.init("/linux/namespaces", Step::EnterPidNamespace {});
    steps.phase("adopt");
    steps.runtime("/linux/namespaces", Task::AdoptInit);
    steps.phase("inside");
}

/// A new network namespace gets its loopback device up, as every container program expects.
pub fn loopback(config: &Config, steps: &mut Steps) {
    if config.namespaces.creates(NEWNET) {
        steps.init("/linux/namespaces", Step::LoopbackUp {});
    }
}

/// A cgroup namespace rooted in the cgroups that init is in now.
pub fn cgroup_namespace(config: &Config, steps: &mut Steps) {
    if config.namespaces.creates(NEWCGROUP) {
        steps.init("/linux/namespaces", Step::Unshare { namespaces: NEWCGROUP });
    }
}
