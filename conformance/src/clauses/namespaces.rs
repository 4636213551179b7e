//! Namespaces, id mappings and clock offsets (`config-linux.md`).

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::case::Case;
use crate::clause::{Clause, Level, Outcome, about, ensure, equal, fail, skip};
use crate::namespace::HeldNamespace;

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::should(
        "config-linux.md#namespaces/pid",
        "the container can have a pid namespace of its own",
        new,
    ),
    Clause::should(
        "config-linux.md#namespaces/network",
        "the container can have a network stack of its own",
        new,
    ),
    Clause::should(
        "config-linux.md#namespaces/mount",
        "the container can have a mount table of its own",
        new,
    ),
    Clause::should(
        "config-linux.md#namespaces/ipc",
        "the container can have System V IPC of its own",
        new,
    ),
    Clause::should(
        "config-linux.md#namespaces/uts",
        "the container can have a host name of its own",
        new,
    ),
    Clause::should("config-linux.md#namespaces/user", "the container can have ids of its own", new),
    Clause::should(
        "config-linux.md#namespaces/cgroup",
        "the container can have a view of the cgroups of its own",
        new,
    ),
    Clause::should(
        "config-linux.md#namespaces/time",
        "the container can have clocks of its own",
        new,
    ),
    Clause::must(
        "config-linux.md#namespaces/path-pid",
        "the container joins the pid namespace at `path`",
        join,
    ),
    Clause::must(
        "config-linux.md#namespaces/path-network",
        "the container joins the network namespace at `path`",
        join,
    ),
    Clause::must(
        "config-linux.md#namespaces/path-mount",
        "the container joins the mount namespace at `path`",
        join_mounts,
    ),
    Clause::must(
        "config-linux.md#namespaces/path-ipc",
        "the container joins the ipc namespace at `path`",
        join,
    ),
    Clause::must(
        "config-linux.md#namespaces/path-uts",
        "the container joins the uts namespace at `path`",
        join,
    ),
    Clause::must(
        "config-linux.md#namespaces/path-user",
        "the container joins the user namespace at `path`",
        join,
    ),
    Clause::must(
        "config-linux.md#namespaces/path-cgroup",
        "the container joins the cgroup namespace at `path`",
        join,
    ),
    Clause::must(
        "config-linux.md#namespaces/path-absolute",
        "`path` has to be absolute",
        path_absolute,
    ),
    Clause::must(
        "config-linux.md#namespaces/wrong-type",
        "a `path` of another type of namespace is an error",
        wrong_type,
    ),
    Clause::must(
        "config-linux.md#namespaces/no-namespace",
        "a `path` that is no namespace is an error",
        no_namespace,
    ),
    Clause::must(
        "config-linux.md#namespaces/inherited",
        "a type that is not listed is inherited from the runtime",
        inherited,
    ),
    Clause::must(
        "config-linux.md#namespaces/duplicates",
        "the same type twice is an error",
        duplicates,
    ),
    Clause::must("config-linux.md#namespaces/unknown", "an unknown type is an error", unknown),
    Clause::must(
        "config-linux.md#user-namespace-mappings/uidMappings",
        "user ids are mapped as configured",
        mappings,
    ),
    Clause::must(
        "config-linux.md#user-namespace-mappings/gidMappings",
        "group ids are mapped as configured",
        mappings,
    ),
    Clause::should(
        "config-linux.md#user-namespace-mappings/ownership",
        "the root file system keeps its owners",
        ownership,
    ),
    Clause::untestable(
        "config-linux.md#user-namespace-mappings/number",
        Level::May,
        "the kernel may limit the number of mappings",
        "says what the kernel may do, not what the runtime does",
    ),
    Clause::must(
        "config-linux.md#offset-for-time-namespace/monotonic",
        "the monotonic clock has the configured offset",
        time_offset,
    ),
    Clause::must(
        "config-linux.md#offset-for-time-namespace/boottime",
        "the boot time clock has the configured offset",
        time_offset,
    ),
];

/// The types with their files below `/proc/PID/ns`.
const FILES: [(&str, &str); 8] = [
    ("pid", "pid"),
    ("network", "net"),
    ("mount", "mnt"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("user", "user"),
    ("cgroup", "cgroup"),
    ("time", "time"),
];

fn file_of(kind: &str) -> Outcome<&'static str> {
    let found = FILES.iter().find(|(known, _)| *known == kind).map(|(_, file)| *file);
    found.map_or_else(|| fail(format!("the test knows no namespace {kind}")), Ok)
}

/// The namespace this program is in.
fn own(file: &str) -> Outcome<String> {
    match fs::read_link(format!("/proc/self/ns/{file}")) {
        Ok(link) => Ok(link.display().to_string()),
        Err(_) => skip(format!("the kernel has no {file} namespaces")),
    }
}

/// Adds a new namespace of a kind, with the mappings a user namespace needs.
pub(crate) fn add(bundle: &mut Bundle, kind: &str) {
    bundle.namespace(kind, Some(json!({"type": kind})));
    if kind == "user" {
        bundle.config["linux"]["uidMappings"] = maps(&[(0, 100_000, 65536)]);
        bundle.config["linux"]["gidMappings"] = maps(&[(0, 200_000, 65536)]);
    }
}

fn maps(entries: &[(u32, u32, u32)]) -> Value {
    entries
        .iter()
        .map(|(inside, outside, size)| {
            json!({"containerID": inside, "hostID": outside, "size": size})
        })
        .collect()
}

fn new(case: &Case<'_>) -> Outcome {
    new_of(case, case.topic)
}

/// Fails unless two containers each have a new namespace of a kind.
pub(crate) fn new_of(case: &Case<'_>, kind: &str) -> Outcome {
    let file = file_of(kind)?;
    let own = own(file)?;
    // Each with a cgroup of its own: a runtime may refuse one that is in use.
    let (mut one, mut other) = (case.bundle()?, case.bundle()?);
    add(&mut one, kind);
    add(&mut other, kind);
    let (first, second) = (case.idle(&mut one)?, case.idle(&mut other)?);
    let (first, second) = (first.namespace(file)?, second.namespace(file)?);
    ensure!(first != own, "the namespace is the runtime's");
    ensure!(first != second, "two containers share it");
    Ok(())
}

fn join(case: &Case<'_>) -> Outcome {
    let kind = case.topic.trim_start_matches("path-");
    let file = file_of(kind)?;
    own(file)?;
    let mut bundle = case.bundle()?;
    add(&mut bundle, kind);
    let owner = case.idle(&mut bundle)?;
    let path = format!("/proc/{}/ns/{file}", owner.pid()?);
    let mut bundle = case.bundle()?;
    add(&mut bundle, kind);
    bundle.namespace(kind, Some(json!({"type": kind, "path": path})));
    let guest = case.idle(&mut bundle)?;
    equal("the namespace", guest.namespace(file)?, owner.namespace(file)?)
}

fn join_mounts(case: &Case<'_>) -> Outcome {
    // Not a container's: the bundle has to be in sight there.
    let thread = HeldNamespace::mounts()?;
    let mut bundle = case.bundle()?;
    bundle.namespace("mount", Some(json!({"type": "mount", "path": thread.path})));
    let guest = case.idle(&mut bundle)?;
    let wanted = fs::read_link(&thread.path)?.display().to_string();
    equal("the namespace", guest.namespace("mnt")?, wanted)
}

fn path_absolute(case: &Case<'_>) -> Outcome {
    let owner = case.idle(&mut case.bundle()?)?;
    let mut bundle = case.bundle()?;
    // From the directory of the test this leads to the namespace all the same.
    let up = "../".repeat(case.dir.components().count());
    let path = format!("{up}proc/{}/ns/net", owner.pid()?);
    bundle.namespace("network", Some(json!({"type": "network", "path": path})));
    let container = case.attempt(&bundle, &crate::case::Around::default())?;
    container.answer.error()
}

fn wrong_type(case: &Case<'_>) -> Outcome {
    let owner = case.idle(&mut case.bundle()?)?;
    for (kind, file) in [("network", "uts"), ("ipc", "net"), ("uts", "mnt"), ("pid", "ipc")] {
        let mut bundle = case.bundle()?;
        let path = format!("/proc/{}/ns/{file}", owner.pid()?);
        bundle.namespace(kind, Some(json!({"type": kind, "path": path})));
        about(kind, case.attempt(&bundle, &crate::case::Around::default())?.answer.error())?;
    }
    Ok(())
}

fn no_namespace(case: &Case<'_>) -> Outcome {
    let missing = case.dir.join("missing").display().to_string();
    for path in ["/etc/passwd", "/proc/self/status", "/", &missing] {
        let mut bundle = case.bundle()?;
        bundle.namespace("network", Some(json!({"type": "network", "path": path})));
        about(path, case.refused(&bundle))?;
    }
    Ok(())
}

fn inherited(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    if let Some(config) = bundle.config.as_object_mut() {
        config.remove("hostname");
    }
    for kind in ["network", "ipc", "uts", "pid"] {
        bundle.namespace(kind, None);
    }
    if let Some(mounts) = bundle.config["mounts"].as_array_mut() {
        // The kernel mounts these only for who owns the namespaces they show.
        mounts.retain(|mount| mount["type"] != "sysfs" && mount["type"] != "mqueue");
    }
    let container = case.idle(&mut bundle)?;
    for file in ["net", "ipc", "uts", "pid", "user", "cgroup"] {
        equal(&format!("the {file} namespace"), container.namespace(file)?, own(file)?)?;
    }
    Ok(())
}

fn duplicates(case: &Case<'_>) -> Outcome {
    for kind in ["network", "uts", "pid"] {
        let mut bundle = case.bundle()?;
        bundle.push("linux", "namespaces", json!({"type": kind}));
        about(kind, case.refused(&bundle))?;
    }
    Ok(())
}

fn unknown(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.push("linux", "namespaces", json!({"type": "no-such-namespace"}));
    case.refused(&bundle)
}

fn mappings(case: &Case<'_>) -> Outcome {
    own("user")?;
    let mut bundle = case.bundle()?;
    add(&mut bundle, "user");
    bundle.config["linux"]["uidMappings"] = maps(&[(0, 100_000, 1000), (1000, 300_000, 2)]);
    bundle.config["linux"]["gidMappings"] = maps(&[(0, 200_000, 1000), (5000, 400_000, 1)]);
    let container = case.idle(&mut bundle)?;
    let (file, wanted) = match case.topic {
        "uidMappings" => ("uid_map", ["0 100000 1000", "1000 300000 2"]),
        _ => ("gid_map", ["0 200000 1000", "5000 400000 1"]),
    };
    let map = container.proc(file)?;
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    equal(file, map.lines().map(words).collect::<Vec<_>>(), wanted)?;
    let owner = fs::metadata(format!("/proc/{}", container.pid()?))?;
    equal("the process's owner on the host", (owner.uid(), owner.gid()), (100_000, 200_000))
}

fn ownership(case: &Case<'_>) -> Outcome {
    own("user")?;
    let mut bundle = case.bundle()?;
    add(&mut bundle, "user");
    std::os::unix::fs::chown(bundle.rootfs().join("opt"), Some(7), Some(8))?;
    case.idle(&mut bundle)?;
    for (path, wanted) in [("", (0, 0)), ("opt", (7, 8)), ("bin/busybox", (0, 0))] {
        let meta = fs::metadata(bundle.rootfs().join(path))?;
        equal(&format!("the owner of /{path}"), (meta.uid(), meta.gid()), wanted)?;
    }
    Ok(())
}

fn time_offset(case: &Case<'_>) -> Outcome {
    own("time")?;
    let mut bundle = case.bundle()?;
    add(&mut bundle, "time");
    bundle.config["linux"]["timeOffsets"] = json!({case.topic: {"secs": 7654, "nanosecs": 321}});
    let container = case.idle(&mut bundle)?;
    let offsets = container.proc("timens_offsets")?;
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let found = offsets.lines().map(words).find(|line| line[0] == case.topic).unwrap_or_default();
    equal("the offset", found, [case.topic, "7654", "321"])
}
