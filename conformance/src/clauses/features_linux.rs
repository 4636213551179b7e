//! What the features document says of Linux (`features-linux.md`): each promise is put to the test.

use std::fs;

use serde_json::{Value, json};

use crate::case::Case;
use crate::clause::{Clause, Level, Outcome, Verdict, about, ensure, equal, fail, skip};
use crate::clauses::features::{linux, texts};
use crate::clauses::{cgroups, namespaces, scheduling, seccomp};

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must(
        "features-linux.md#namespaces/recognized",
        "every listed type of namespace can be asked for",
        every_namespace,
    ),
    Clause::must(
        "features-linux.md#capabilities/recognized",
        "every listed capability can be asked for",
        every_capability,
    ),
    Clause::may("features-linux.md#cgroup/v1", "`v1` says whether v1 is supported", cgroup),
    Clause::may("features-linux.md#cgroup/v2", "`v2` says whether v2 is supported", cgroup),
    Clause::untestable(
        "features-linux.md#cgroup/systemd",
        Level::May,
        "`systemd` says whether the system's manager can make the cgroups",
        "the specification has no operation, option or property that asks for it",
    ),
    Clause::untestable(
        "features-linux.md#cgroup/systemdUser",
        Level::May,
        "`systemdUser` says whether a user's manager can make the cgroups",
        "the specification has no operation, option or property that asks for it",
    ),
    Clause::may(
        "features-linux.md#cgroup/rdma",
        "`rdma` says whether the RDMA controller is supported",
        // Its effect is the clauses of config-linux.md#rdma.
        |case| flag_of(case, "/cgroup/rdma").map(drop),
    ),
    Clause::may(
        "features-linux.md#seccomp/enabled",
        "`enabled` says whether filters are supported",
        filters,
    ),
    Clause::must(
        "features-linux.md#seccomp/actions",
        "every listed action has its effect",
        |case| each(case, "seccomp", "actions", seccomp::action),
    ),
    Clause::must(
        "features-linux.md#seccomp/operators",
        "every listed comparison has its effect",
        |case| each(case, "seccomp", "operators", seccomp::operator),
    ),
    Clause::must(
        "features-linux.md#seccomp/archs",
        "every listed architecture of this machine's order of bytes can be named",
        architectures,
    ),
    Clause::must("features-linux.md#seccomp/knownFlags", "every known flag can be given", |case| {
        each(case, "seccomp", "knownFlags", seccomp::flag)
    }),
    Clause::must(
        "features-linux.md#seccomp/supportedFlags",
        "every supported flag can be given",
        |case| each(case, "seccomp", "supportedFlags", seccomp::flag),
    ),
    Clause::may(
        "features-linux.md#apparmor/enabled",
        "`enabled` says whether AppArmor is supported",
        |case| flag_of(case, "/apparmor/enabled").map(drop),
    ),
    Clause::may(
        "features-linux.md#selinux/enabled",
        "`enabled` says whether SELinux is supported",
        |case| flag_of(case, "/selinux/enabled").map(drop),
    ),
    Clause::must(
        "features-linux.md#memorypolicy/modes",
        "every listed memory policy can be asked for",
        |case| each(case, "memoryPolicy", "modes", scheduling::memory_mode),
    ),
    Clause::must(
        "features-linux.md#memorypolicy/flags",
        "every listed flag of a memory policy can be given",
        |case| each(case, "memoryPolicy", "flags", scheduling::memory_flag),
    ),
    Clause::may(
        "features-linux.md#intel-rdt/enabled",
        "`enabled` says whether resctrl is supported",
        |case| flag_of(case, "/intelRdt/enabled").map(drop),
    ),
    Clause::may(
        "features-linux.md#intel-rdt/schemata",
        "`schemata` says whether any line of schemata can be given",
        |case| flag_of(case, "/intelRdt/schemata").map(drop),
    ),
    Clause::may(
        "features-linux.md#intel-rdt/monitoring",
        "`monitoring` says whether monitoring groups are supported",
        |case| flag_of(case, "/intelRdt/monitoring").map(drop),
    ),
    Clause::must(
        "features-linux.md#mountextensions/idmap",
        "`enabled` is true where mappings of mounts are looked at",
        mapped_mounts,
    ),
    Clause::may(
        "features-linux.md#netdevices/enabled",
        "`enabled` is true where network devices are looked at",
        net_devices,
    ),
];

/// The capabilities in the order of their numbers, capabilities(7).
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Tests every name of a list.
fn each(
    case: &Case<'_>,
    object: &str,
    list: &str,
    test: fn(&Case<'_>, &str) -> Outcome,
) -> Outcome {
    let object = linux(case)?.remove(object).unwrap_or_default();
    let mut skipped = Vec::new();
    for name in texts(object.get(list))? {
        match about(&name, test(case, &name)) {
            Err(Verdict::Skip(reason)) => skipped.push(format!("{name}: {reason}")),
            other => other?,
        }
    }
    match skipped.len() {
        0 => Ok(()),
        _ => skip(format!("the others hold; {}", skipped.join("; "))),
    }
}

/// A flag of the document, which says nothing if it is absent.
fn flag_of(case: &Case<'_>, pointer: &str) -> Outcome<bool> {
    match Value::Object(linux(case)?).pointer(pointer) {
        None | Some(Value::Null) => skip("the document says nothing of it"),
        Some(Value::Bool(value)) => Ok(*value),
        Some(other) => fail(format!("{pointer} is {other}")),
    }
}

fn every_namespace(case: &Case<'_>) -> Outcome {
    let own = fs::read_link("/proc/self/ns/time").is_ok();
    for kind in texts(linux(case)?.get("namespaces"))? {
        if kind == "time" && !own {
            continue;
        }
        about(&kind, namespaces::new_of(case, &kind))?;
    }
    Ok(())
}

fn every_capability(case: &Case<'_>) -> Outcome {
    let status = fs::read_to_string("/proc/self/status")?;
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap_or_default();
    let held = u64::from_str_radix(bounding.trim(), 16).unwrap_or(0);
    let (mut asked, mut wanted) = (Vec::new(), 0);
    for name in texts(linux(case)?.get("capabilities"))? {
        let place = CAPABILITIES.iter().position(|known| name == format!("CAP_{known}"));
        let Some(place) = place else { return fail(format!("there is no capability {name}")) };
        // One that the runtime does not hold may be refused for that.
        if held & (1 << place) != 0 {
            wanted |= 1_u64 << place;
            asked.push(name);
        }
    }
    let mut bundle = case.bundle()?;
    bundle.config["process"]["capabilities"] = json!({"bounding": asked});
    let seen = case.idle(&mut bundle)?.status_field("CapBnd")?;
    equal("the bounding set", u64::from_str_radix(&seen, 16).unwrap_or(0), wanted)
}

fn cgroup(case: &Case<'_>) -> Outcome {
    let supported = flag_of(case, &format!("/cgroup/{}", case.topic))?;
    // On a machine with both, v1 comes first.
    match case.ground.machine.controller("pids") {
        None => skip("no cgroup hierarchy has the controller pids"),
        Some(hierarchy) if hierarchy.unified != (case.topic == "v2") => {
            skip(format!("the machine does not have its limits in cgroup {}", case.topic))
        }
        Some(_) => limited(case, supported),
    }
}

fn limited(case: &Case<'_>, supported: bool) -> Outcome {
    ensure!(
        supported,
        "the document says that it is not, yet the other clauses are tested with it"
    );
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["resources"] = json!({"pids": {"limit": 77}});
    let container = case.idle(&mut bundle)?;
    let seen = fs::read_to_string(cgroups::cgroup_dir(&container, "pids")?.join("pids.max"))?;
    equal("pids.max", seen.trim(), "77")
}

fn filters(case: &Case<'_>) -> Outcome {
    let enabled = flag_of(case, "/seccomp/enabled")?;
    let works = seccomp::action(case, "SCMP_ACT_ERRNO").is_ok();
    equal("what works", works, enabled)
}

fn architectures(case: &Case<'_>) -> Outcome {
    let object = linux(case)?.remove("seccomp").unwrap_or_default();
    let names = texts(object.get("archs"))?;
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    seccomp::with_architectures(case, &names)
}

fn mapped_mounts(case: &Case<'_>) -> Outcome {
    let document = Value::Object(linux(case)?);
    let enabled = match document.pointer("/mountExtensions/idmap/enabled") {
        None | Some(Value::Null) => return skip("the document says nothing of it"),
        Some(value) => value == &json!(true),
    };
    // A mapping that no kernel takes: whoever looks at it cannot create the container.
    let source = case.make_dir("source")?;
    let mut bundle = case.bundle()?;
    let map = json!([{"containerID": 0, "hostID": u32::MAX, "size": 5}]);
    bundle.push(
        "",
        "mounts",
        json!({"destination": "/mnt", "type": "none", "source": source, "options": ["bind"],
               "uidMappings": map, "gidMappings": map}),
    );
    let looked_at = !case.attempt(&bundle, &crate::case::Around::default())?.answer.ok;
    equal("whether mappings are looked at", looked_at, enabled)
}

fn net_devices(case: &Case<'_>) -> Outcome {
    let enabled = flag_of(case, "/netDevices/enabled")?;
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["netDevices"] = json!({"no-such-device": {}});
    let looked_at = !case.attempt(&bundle, &crate::case::Around::default())?.answer.ok;
    equal("whether devices are looked at", looked_at, enabled)
}
