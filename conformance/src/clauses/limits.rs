//! The limits of `linux.resources`, one clause a field (`config-linux.md`).
//!
//! A table says how to give each limit and where the kernel tells it: in a file of cgroup v1 or of
//! v2, whichever hierarchy has the controller. A controller or a file the kernel lacks skips the
//! clause.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::case::Case;
use crate::clause::{Clause, Level, Outcome, ensure, equal, fail, skip};
use crate::clauses::cgroups::cgroup_dir;

macro_rules! limits {
    ($($section:literal: $($name:literal)+;)+) => {
        /// The rows.
        pub(crate) const CLAUSES: &[Clause] = &[$($(
            Clause::must(
                concat!("config-linux.md#", $section, "/", $name),
                concat!("the limit `", $name, "` is set as configured"),
                limit,
            ),
        )+)+ PIDS_ZERO, CHECK_BEFORE_UPDATE, BURST, LEAF_OR_WEIGHT, HCA];
    };
}

limits! {
    "memory": "limit" "reservation" "swap" "kernel" "kernelTCP" "swappiness" "disableOOMKiller"
        "useHierarchy" "unlimited";
    "cpu": "shares" "quota" "period" "burst" "cpus" "mems" "idle" "realtimeRuntime"
        "realtimePeriod";
    "pids": "limit" "unlimited";
    "block-io": "weight" "leafWeight" "weightDevice" "throttleReadBpsDevice"
        "throttleWriteBpsDevice" "throttleReadIOPSDevice" "throttleWriteIOPSDevice";
    "huge-page-limits": "limit";
    "network": "classID" "priorities";
    "rdma": "hcaHandles" "hcaObjects";
}

/// A limit that is easily taken for none.
const PIDS_ZERO: Clause = Clause::should(
    "config-linux.md#pids/zero",
    "0 is a limit of the number of tasks like any other",
    pids_zero,
);

/// What is about a change of limits.
const CHECK_BEFORE_UPDATE: Clause = Clause::untestable(
    "config-linux.md#memory/checkBeforeUpdate",
    Level::May,
    "with `checkBeforeUpdate` a limit below the present use is refused",
    "is about a later change of limits, for which the specification has no operation",
);

/// What is about the writer of a configuration.
const BURST: Clause = Clause::untestable(
    "config-linux.md#cpu/burst-above-quota",
    Level::May,
    "a `burst` above the `quota` may be an error",
    "a permission; beyond it this binds who writes the configuration",
);

/// What is about the writer of a configuration, too.
const LEAF_OR_WEIGHT: Clause = Clause::untestable(
    "config-linux.md#block-io/weightDevice-one",
    Level::Must,
    "an entry of `weightDevice` has `weight`, `leafWeight` or both",
    "binds who writes the configuration; what a runtime makes of another value is left open",
);

/// And this.
const HCA: Clause = Clause::untestable(
    "config-linux.md#rdma/one",
    Level::Must,
    "an entry of `rdma` has `hcaHandles`, `hcaObjects` or both",
    "binds who writes the configuration; what a runtime makes of another value is left open",
);

/// How a limit is given and where it comes out.
struct Limit {
    controller: &'static str,
    resources: Value,
    v1: (&'static str, String),
    v2: Option<(&'static str, String)>,
}

fn memory(name: &str) -> Option<Limit> {
    const MIB: u64 = 1 << 20;
    let limit = 64 * MIB;
    let (memory, v1, v2): (Value, (&str, String), Option<(&str, String)>) = match name {
        "limit" => (
            json!({"limit": limit}),
            ("memory.limit_in_bytes", limit.to_string()),
            Some(("memory.max", limit.to_string())),
        ),
        "reservation" => (
            json!({"reservation": limit}),
            ("memory.soft_limit_in_bytes", limit.to_string()),
            Some(("memory.low", limit.to_string())),
        ),
        "swap" => (
            json!({"limit": limit, "swap": 3 * limit}),
            ("memory.memsw.limit_in_bytes", (3 * limit).to_string()),
            Some(("memory.swap.max", (2 * limit).to_string())),
        ),
        "kernelTCP" => (
            json!({"kernelTCP": limit}),
            ("memory.kmem.tcp.limit_in_bytes", limit.to_string()),
            None,
        ),
        "kernel" => (
            json!({"limit": limit, "kernel": limit / 2}),
            ("memory.kmem.limit_in_bytes", (limit / 2).to_string()),
            None,
        ),
        "useHierarchy" => {
            (json!({"useHierarchy": true}), ("memory.use_hierarchy", "1".to_owned()), None)
        }
        "swappiness" => (json!({"swappiness": 7}), ("memory.swappiness", "7".to_owned()), None),
        "disableOOMKiller" => (
            json!({"disableOOMKiller": true}),
            ("memory.oom_control", "oom_kill_disable 1".to_owned()),
            None,
        ),
        "unlimited" => (
            json!({"limit": -1}),
            ("memory.limit_in_bytes", "9223372036854771712".to_owned()),
            Some(("memory.max", "max".to_owned())),
        ),
        _ => return None,
    };
    Some(Limit { controller: "memory", resources: json!({"memory": memory}), v1, v2 })
}

fn cpu(name: &str) -> Option<Limit> {
    let (cpu, v1, v2): (Value, (&str, &str), Option<(&str, &str)>) = match name {
        "shares" => (json!({"shares": 512}), ("cpu.shares", "512"), None),
        "quota" => (
            json!({"quota": 70000, "period": 90000}),
            ("cpu.cfs_quota_us", "70000"),
            Some(("cpu.max", "70000 90000")),
        ),
        "period" => (
            json!({"quota": 70000, "period": 90000}),
            ("cpu.cfs_period_us", "90000"),
            Some(("cpu.max", "70000 90000")),
        ),
        "burst" => (
            json!({"quota": 70000, "period": 90000, "burst": 5000}),
            ("cpu.cfs_burst_us", "5000"),
            Some(("cpu.max.burst", "5000")),
        ),
        "idle" => (json!({"idle": 1}), ("cpu.idle", "1"), Some(("cpu.idle", "1"))),
        "realtimeRuntime" => (
            json!({"realtimeRuntime": 0, "realtimePeriod": 800_000}),
            ("cpu.rt_runtime_us", "0"),
            None,
        ),
        "realtimePeriod" => {
            (json!({"realtimePeriod": 800_000}), ("cpu.rt_period_us", "800000"), None)
        }
        "cpus" => (json!({"cpus": "0"}), ("cpuset.cpus", "0"), Some(("cpuset.cpus", "0"))),
        "mems" => (json!({"mems": "0"}), ("cpuset.mems", "0"), Some(("cpuset.mems", "0"))),
        _ => return None,
    };
    let controller = if matches!(name, "cpus" | "mems") { "cpuset" } else { "cpu" };
    let own = |(file, value): (&'static str, &str)| (file, value.to_owned());
    Some(Limit { controller, resources: json!({"cpu": cpu}), v1: own(v1), v2: v2.map(own) })
}

fn pids(name: &str) -> Option<Limit> {
    let (limit, text) = match name {
        "limit" => (json!(77), "77"),
        "unlimited" => (json!(-1), "max"),
        _ => return None,
    };
    let place = ("pids.max", text.to_owned());
    Some(Limit {
        controller: "pids",
        resources: json!({"pids": {"limit": limit}}),
        v1: place.clone(),
        v2: Some(place),
    })
}

/// The numbers of a block device of this machine.
fn block_device() -> Outcome<(u64, u64)> {
    for device in fs::read_dir("/sys/block")?.flatten() {
        let text = fs::read_to_string(device.path().join("dev"))?;
        let Some((major, minor)) = text.trim().split_once(':') else { continue };
        if let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) {
            return Ok((major, minor));
        }
    }
    skip("the machine has no block device")
}

fn block_io(name: &str) -> Outcome<Option<Limit>> {
    let weight = |resources: Value, file, text: &str| {
        let v1 = (file, text.to_owned());
        Ok(Some(Limit {
            controller: "blkio",
            resources: json!({"blockIO": resources}),
            v1,
            v2: None,
        }))
    };
    match name {
        "weight" => return weight(json!({"weight": 321}), "blkio.bfq.weight", "321"),
        "leafWeight" => return weight(json!({"leafWeight": 321}), "blkio.leaf_weight", "321"),
        _ => {}
    }
    let (major, minor) = block_device()?;
    if name == "weightDevice" {
        let entry = json!([{"major": major, "minor": minor, "weight": 321}]);
        let text = format!("{major}:{minor} 321");
        return weight(json!({"weightDevice": entry}), "blkio.bfq.weight_device", &text);
    }
    let (v1, v2) = match name {
        "throttleReadBpsDevice" => ("blkio.throttle.read_bps_device", "rbps"),
        "throttleWriteBpsDevice" => ("blkio.throttle.write_bps_device", "wbps"),
        "throttleReadIOPSDevice" => ("blkio.throttle.read_iops_device", "riops"),
        "throttleWriteIOPSDevice" => ("blkio.throttle.write_iops_device", "wiops"),
        _ => return Ok(None),
    };
    Ok(Some(Limit {
        controller: "blkio",
        resources: json!({"blockIO": {name: [{"major": major, "minor": minor, "rate": 654_321}]}}),
        v1: (v1, format!("{major}:{minor} 654321")),
        v2: Some(("io.max", format!("{v2}=654321"))),
    }))
}

/// The limit of the smallest huge pages, by reservation where the kernel counts that.
fn huge_pages() -> Outcome<Limit> {
    let sizes = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    let kib = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse::<u64>().ok()
    };
    // A cgroup has files for the sizes of the machine alone; 2 MiB is the one of most.
    if !sizes.filter_map(kib).any(|size| size == 2048) {
        return skip("the machine has no huge pages of 2 MiB");
    }
    let bytes = (8_u64 << 20).to_string();
    Ok(Limit {
        controller: "hugetlb",
        resources: json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 8 << 20}]}),
        v1: ("hugetlb.2MB.rsvd.limit_in_bytes", bytes.clone()),
        v2: Some(("hugetlb.2MB.rsvd.max", bytes)),
    })
}

fn network(name: &str) -> Option<Limit> {
    let (controller, network, place) = match name {
        "classID" => ("net_cls", json!({"classID": 0x10_0001}), ("net_cls.classid", "1048577")),
        "priorities" => (
            "net_prio",
            json!({"priorities": [{"name": "lo", "priority": 7}]}),
            ("net_prio.ifpriomap", "lo 7"),
        ),
        _ => return None,
    };
    let v1 = (place.0, place.1.to_owned());
    Some(Limit { controller, resources: json!({"network": network}), v1, v2: None })
}

fn rdma(name: &str) -> Outcome<Option<Limit>> {
    let devices = fs::read_dir("/sys/class/infiniband").into_iter().flatten().flatten();
    let Some(device) = devices.filter_map(|d| d.file_name().into_string().ok()).next() else {
        return skip("the machine has no RDMA device");
    };
    let (key, text) = match name {
        "hcaHandles" => ("hcaHandles", "hca_handle=3"),
        "hcaObjects" => ("hcaObjects", "hca_object=3"),
        _ => return Ok(None),
    };
    let place = ("rdma.max", text.to_owned());
    let resources = json!({"rdma": {device: {key: 3}}});
    Ok(Some(Limit { controller: "rdma", resources, v1: place.clone(), v2: Some(place) }))
}

/// Tests the limit the clause is about.
fn limit(case: &Case<'_>) -> Outcome {
    let limit = match case.section {
        "memory" => memory(case.topic),
        "cpu" => cpu(case.topic),
        "pids" => pids(case.topic),
        "huge-page-limits" => Some(huge_pages()?),
        "network" => network(case.topic),
        "rdma" => rdma(case.topic)?,
        _ => block_io(case.topic)?,
    };
    let Some(limit) = limit else { return fail("the test knows no file of this limit") };
    let name = limit.controller;
    let unified = if name == "blkio" { "io" } else { name };
    let machine = &case.ground.machine;
    let Some(hierarchy) = machine.controller(name).or_else(|| machine.controller(unified)) else {
        return skip(format!("no cgroup hierarchy has the controller {name}"));
    };
    let (file, wanted) = match (hierarchy.unified, limit.v2) {
        (false, _) => limit.v1,
        (true, Some(place)) => place,
        (true, None) => return skip("cgroup v2 has no such limit"),
    };
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["resources"] = limit.resources;
    if name == "hugetlb" {
        // On v2 a cgroup has the files only where somebody wants them, and then it has them all.
        return written(case, &mut bundle, name, file, &wanted);
    }
    // Some files are in every cgroup but the root of their hierarchy: a plain container has them.
    let plain = case.idle(&mut case.bundle()?)?;
    let place = cgroup_dir(&plain, name)?.join(file);
    if !place.is_file() {
        return skip(format!("the kernel has no {file}"));
    }
    if matches!(case.topic, "kernel" | "weightDevice") && !takes(&place, &wanted) {
        return skip(format!("the kernel does not keep what is written to {file}"));
    }
    written(case, &mut bundle, name, file, &wanted)
}

/// Fails unless a file of the container's cgroup has a line, or a word, as it is wanted.
fn written(
    case: &Case<'_>,
    bundle: &mut Bundle,
    controller: &str,
    file: &str,
    wanted: &str,
) -> Outcome {
    let container = case.idle(bundle)?;
    let seen = fs::read_to_string(cgroup_dir(&container, controller)?.join(file))?;
    let found =
        seen.lines().any(|line| line == wanted || line.split(' ').any(|word| word == wanted));
    ensure!(found, "{file} is {:?}, not {wanted:?}", seen.trim());
    Ok(())
}

/// Whether a file of a cgroup of the test's own takes a value: the kernel has given up limits of its
/// own memory, and a device may have a scheduler without weights.
fn takes(file: &Path, value: &str) -> bool {
    let written = fs::OpenOptions::new().write(true).open(file);
    written.and_then(|mut file| file.write_all(value.as_bytes())).is_ok()
        && fs::read_to_string(file).is_ok_and(|text| text.lines().any(|line| line == value))
}

fn pids_zero(case: &Case<'_>) -> Outcome {
    if case.ground.machine.controller("pids").is_none() {
        return skip("no cgroup hierarchy has the controller pids");
    }
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["resources"] = json!({"pids": {"limit": 0}});
    let container = case.idle(&mut bundle)?;
    let seen = fs::read_to_string(cgroup_dir(&container, "pids")?.join("pids.max"))?;
    equal("pids.max", seen.trim(), "0")
}
