//! Limits that change while a container is there.

use std::fs::{self, File};

use integration::cgroups::Layout;
use integration::{Bundle, Container, Need, Outcome, Scene};
use serde_json::{Value, json};

/// Calls `update` with flags.
fn update(container: &Container<'_>, flags: &[&str]) -> Outcome {
    container.call(&[&["update"], flags].concat())
}

/// Calls `update` with a document.
fn update_from(scene: &Scene, container: &Container<'_>, document: &Value) -> Outcome {
    let path = scene.dir().join(format!("resources-{}.json", scene.id()));
    integration::bundle::write(&path, document.to_string().as_bytes());
    update(container, &["--resources", &path.display().to_string()])
}

/// A limit: controller, its file and value on cgroup v1, and on v2.
type Limit = (&'static str, (&'static str, &'static str), (&'static str, &'static str));

/// Checks what the kernel's files hold; one without a name is not looked at.
fn holds(bundle: &Bundle, limits: &[Limit]) {
    let layout = Layout::here();
    for (controller, v1, v2) in limits {
        let (file, value) = if layout.is_v1(controller) { v1 } else { v2 };
        if !file.is_empty() {
            assert_eq!(&layout.read(controller, bundle.cgroup(), file), value, "{file}");
        }
    }
}

const EACH: [Need; 4] = [
    Need::Controller("memory"),
    Need::Controller("cpu"),
    Need::Controller("pids"),
    Need::Controller("cpuset"),
];

#[test]
fn every_flag_changes_its_limit_and_no_other() {
    let Some(scene) = Scene::needing(&EACH) else { return };
    let bundle = scene.bundle().sleeping();
    let container = scene.start(&bundle);
    let flags: &[(&[&str], Limit)] = &[
        (
            &["--memory", "64m"],
            ("memory", ("memory.limit_in_bytes", "67108864"), ("memory.max", "67108864")),
        ),
        (
            &["--memory-reservation=33554432"],
            ("memory", ("memory.soft_limit_in_bytes", "33554432"), ("memory.low", "33554432")),
        ),
        (&["--cpu-share", "262144"], ("cpu", ("cpu.shares", "262144"), ("cpu.weight", "10000"))),
        (
            &["--cpu-quota", "25000"],
            ("cpu", ("cpu.cfs_quota_us", "25000"), ("cpu.max", "25000 100000")),
        ),
        (
            &["--cpu-period", "50000"],
            ("cpu", ("cpu.cfs_period_us", "50000"), ("cpu.max", "25000 50000")),
        ),
        (&["--pids-limit", "20"], ("pids", ("pids.max", "20"), ("pids.max", "20"))),
        (&["--cpuset-cpus", "0"], ("cpuset", ("cpuset.cpus", "0"), ("cpuset.cpus", "0"))),
        (&["--cpuset-mems", "0"], ("cpuset", ("cpuset.mems", "0"), ("cpuset.mems", "0"))),
    ];
    let mut so_far: Vec<Limit> = Vec::new();
    for (words, limit) in flags {
        update(&container, words).ok();
        // On cgroup v2 the quota shares its file with the period.
        so_far.retain(|(_, _, (file, _))| *file != limit.2.0 || *file != "cpu.max");
        so_far.push(*limit);
        holds(&bundle, &so_far);
    }
    for (words, limit) in [
        (["--pids-limit", "-1"], ("pids", ("pids.max", "max"), ("pids.max", "max"))),
        (["--cpu-quota", "-1"], ("cpu", ("cpu.cfs_quota_us", "-1"), ("", ""))),
    ] {
        update(&container, &words).ok();
        holds(&bundle, &[limit]);
    }
    container.end();
}

#[test]
fn flags_of_newer_kernels_and_runtimes_change_their_limits() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Controller("cpu")]) else { return };
    let bundle = scene.bundle().sleeping();
    let container = scene.start(&bundle);
    let layout = Layout::here();
    let idle = "cpu.idle";
    if layout.dir("cpu", bundle.cgroup()).join(idle).is_file() {
        update(&container, &["--cpu-idle", "1"]).ok();
        assert_eq!(layout.read("cpu", bundle.cgroup(), idle), "1");
        update(&container, &["--cpu-idle=0"]).ok();
        assert_eq!(layout.read("cpu", bundle.cgroup(), idle), "0");
    }
    update(&container, &["--cpu-period", "50000"]).ok();
    holds(&bundle, &[("cpu", ("cpu.cfs_period_us", "50000"), ("cpu.max", "max 50000"))]);
    update(&container, &["--cpu-quota", "25000"]).ok();
    update(&container, &["--cpu-quota", "-1"]).ok();
    holds(&bundle, &[("cpu", ("cpu.cfs_period_us", "50000"), ("cpu.max", "max 50000"))]);
    update(&container, &["--cpu-quota", "50000", "--cpu-burst", "10000"]).ok();
    let burst = if layout.is_v2() { "cpu.max.burst" } else { "cpu.cfs_burst_us" };
    assert_eq!(layout.read("cpu", bundle.cgroup(), burst), "10000");
    // A burst larger than the quota is refused, and all is as before.
    update(&container, &["--cpu-quota", "5000"]).refused().says(&["larger than the quota"]);
    assert_eq!(layout.read("cpu", bundle.cgroup(), burst), "10000");
    let told = update(&container, &["--kernel-memory", "64m"]);
    if layout.is_v1("memory") {
        told.ok().says(&["no effect"]);
    } else {
        told.refused().says(&["kernel"]);
    }
    for flag in ["--l3-cache-schema", "--mem-bw-schema"] {
        update(&container, &[flag, "L3:0=f"]).refused().says(&["Intel RDT"]);
    }
    container.end();
}

#[test]
fn memory_and_swap_together_are_limited() {
    let Some(scene) = Scene::needing(&EACH) else { return };
    let bundle = scene.bundle().sleeping();
    let container = scene.start(&bundle);
    let (v1, v2) = ("memory.memsw.limit_in_bytes", "memory.swap.max");
    let dir = Layout::here().dir("memory", bundle.cgroup());
    if ![v1, v2].iter().any(|file| dir.join(file).is_file()) {
        container.end();
        return integration::skip("the kernel does not limit swap");
    }
    update(&container, &["--memory", "64m", "--memory-swap", "96m"]).ok();
    holds(&bundle, &[("memory", (v1, "100663296"), (v2, "33554432"))]);
    update(&container, &["--memory", "64m", "--memory-swap", "64m"]).ok();
    holds(&bundle, &[("memory", (v1, "67108864"), (v2, "0"))]);
    update(&container, &["--memory-swap", "-1"]).ok();
    holds(&bundle, &[("memory", ("", ""), (v2, "max"))]);
    container.end();
}

#[test]
fn a_limit_below_what_is_used_is_refused_if_that_is_to_be_checked() {
    let Some(scene) = Scene::needing(&EACH) else { return };
    let memory = json!({ "limit": 67_108_864, "checkBeforeUpdate": true });
    let bundle = scene.bundle().set("/linux/resources/memory", memory);
    let container = scene.start(&bundle.clone().sh("echo runs; sleep 1000"));
    container.expect("runs\n");
    let document = json!({ "memory": { "limit": 4096, "checkBeforeUpdate": true } });
    update_from(&scene, &container, &document).refused();
    let kept = ("memory", ("memory.limit_in_bytes", "67108864"), ("memory.max", "67108864"));
    holds(&bundle, &[kept]);
    assert_eq!(container.status(), "running");
    let document = json!({ "memory": { "limit": 33_554_432, "checkBeforeUpdate": true } });
    update_from(&scene, &container, &document).ok();
    container.end();
}

#[test]
fn what_only_cgroup_v1_has_is_refused_on_v2() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Controller("cpu")]) else { return };
    if !Layout::here().is_v2() {
        return integration::skip("no pure cgroup v2 here");
    }
    let container = scene.start(&scene.bundle().sleeping());
    for flags in [
        ["--cpu-rt-period", "1000000"],
        ["--cpu-rt-runtime", "1000"],
        ["--kernel-memory", "64m"],
        ["--kernel-memory-tcp", "64m"],
    ] {
        update(&container, &flags).refused().says(&["cgroup v2"]);
    }
    container.end();
}

#[test]
fn a_weight_for_block_devices_is_changed() {
    let Some(scene) = Scene::needing(&[Need::Controller("blkio")]) else { return };
    let bundle = scene.bundle().sleeping();
    let container = scene.start(&bundle);
    let dir = Layout::here().dir("blkio", bundle.cgroup());
    // The scale of io.weight ends at 10000, the others' at 1000.
    let files = [
        ("blkio.bfq.weight", "200"),
        ("blkio.weight", "200"),
        ("io.bfq.weight", "200"),
        ("io.weight", "1920"),
    ];
    let Some((file, expected)) = files.iter().find(|(file, _)| dir.join(file).is_file()) else {
        update(&container, &["--blkio-weight", "200"]).refused();
        container.end();
        return integration::skip("the kernel has no weights for block devices");
    };
    update(&container, &["--blkio-weight", "200"]).ok();
    let weight = fs::read_to_string(dir.join(file)).expect("the weight");
    assert!(weight.contains(expected), "{weight}");
    container.end();
}

#[test]
fn a_document_changes_what_it_gives_and_zeros_leave_the_rest() {
    let Some(scene) = Scene::needing(&EACH) else { return };
    let resources = json!({ "memory": { "limit": 33_554_432 }, "cpu": { "shares": 262_144 } });
    let bundle = scene.bundle().sleeping().set("/linux/resources", resources);
    let container = scene.start(&bundle);
    let document = json!({
        "memory": { "limit": 67_108_864, "reservation": 0, "swap": 0, "kernel": 0, "kernelTCP": 0 },
        "cpu": { "shares": 0, "quota": 0, "period": 0, "realtimeRuntime": 0,
                 "realtimePeriod": 0, "cpus": "", "mems": "" },
        "blockIO": { "weight": 0 },
    });
    update_from(&scene, &container, &document).ok();
    let limits: [Limit; 2] = [
        ("memory", ("memory.limit_in_bytes", "67108864"), ("memory.max", "67108864")),
        ("cpu", ("cpu.shares", "262144"), ("cpu.weight", "10000")),
    ];
    holds(&bundle, &limits);
    container.end();
}

#[test]
fn a_document_may_come_from_standard_input() {
    let Some(scene) = Scene::needing(&EACH) else { return };
    let bundle = scene.bundle().sleeping();
    let container = scene.start(&bundle);
    let path = scene.dir().join("stdin.json");
    integration::bundle::write(&path, br#"{"pids":{"limit":33}}"#);
    let words = ["update", "--resources", "-", container.id()];
    scene.keel(words).stdin(File::open(&path).expect("the document")).run().ok();
    holds(&bundle, &[("pids", ("pids.max", "33"), ("pids.max", "33"))]);
    container.end();
}

#[test]
fn limits_are_raised_and_lowered_in_the_order_that_the_kernel_accepts() {
    let Some(scene) = Scene::needing(&EACH) else { return };
    let resources = json!({
        "memory": { "limit": 33_554_432, "swap": 33_554_432 },
        "cpu": { "quota": 20_000, "period": 100_000 },
    });
    let bundle = scene.bundle().sleeping().set("/linux/resources", resources);
    let container = scene.start(&bundle);
    let dir = Layout::here().dir("memory", bundle.cgroup());
    let swap = ["memory.memsw.limit_in_bytes", "memory.swap.max"];
    let swap = swap.iter().any(|file| dir.join(file).is_file());
    for (memory, period, quota) in [
        ("134217728", "1000000", "900000"),
        ("16777216", "10000", "5000"),
        ("67108864", "100000", "99000"),
    ] {
        let mut flags = vec!["--memory", memory, "--cpu-period", period, "--cpu-quota", quota];
        if swap {
            flags.extend(["--memory-swap", memory]);
        }
        update(&container, &flags).ok();
        let (layout, cgroup) = (Layout::here(), bundle.cgroup());
        let v1 = layout.is_v1("memory");
        let limit = if v1 { "memory.limit_in_bytes" } else { "memory.max" };
        assert_eq!(layout.read("memory", cgroup, limit), memory);
        if layout.is_v1("cpu") {
            assert_eq!(layout.read("cpu", cgroup, "cpu.cfs_quota_us"), quota);
        } else {
            assert_eq!(layout.read("cpu", cgroup, "cpu.max"), format!("{quota} {period}"));
        }
    }
    container.end();
}

#[test]
fn an_update_is_remembered_by_the_next() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Controller("memory")]) else { return };
    let bundle = scene.bundle().sleeping();
    let container = scene.start(&bundle);
    update(&container, &["--memory", "64m", "--memory-swap", "96m"]).ok();
    // The sum would be less than its part.
    update(&container, &["--memory", "128m"]).refused().says(&["/linux/resources/memory/swap"]);
    holds(
        &bundle,
        &[("memory", ("memory.limit_in_bytes", "67108864"), ("memory.max", "67108864"))],
    );
    update(&container, &["--memory", "80m"]).ok();
    update(&container, &["--memory", "-1"]).ok();
    update(&container, &["--memory", "128m"]).ok();
    container.end();
}

#[test]
fn a_value_that_is_refused_takes_those_before_it_along() {
    let Some(scene) = Scene::needing(&[
        Need::Keel,
        Need::Controller("cpu"),
        Need::Controller("cpuset"),
        Need::Controller("pids"),
    ]) else {
        return;
    };
    let resources = json!({ "cpu": { "cpus": "0", "shares": 300 }, "pids": { "limit": 9 } });
    let bundle = scene.bundle().sleeping().set("/linux/resources", resources);
    let container = scene.start(&bundle);
    let before: [Limit; 3] = [
        ("cpuset", ("cpuset.cpus", "0"), ("cpuset.cpus", "0")),
        ("cpu", ("cpu.shares", "300"), ("cpu.weight", "39")),
        ("pids", ("pids.max", "9"), ("pids.max", "9")),
    ];
    // A period of two seconds is too long.
    let flags = [
        "--cpu-share",
        "400",
        "--cpuset-cpus",
        "0",
        "--cpu-period",
        "2000000",
        "--pids-limit",
        "4",
    ];
    update(&container, &flags).refused().says(&["2000000", "/linux/resources/cpu/period"]);
    holds(&bundle, &before);
    update(&container, &["--cpuset-cpus", "4000", "--pids-limit", "4"]).refused();
    holds(&bundle, &before);
    update(&container, &["--pids-limit", "7"]).ok();
    container.end();
}

/// Tells whether a device may be opened, which need not be there for that, and whether null is lost.
const OPENS: &str = "while :; do \
                     (: </dev/odd) 2>&1 | grep -q 'not permitted' && echo closed || echo open; \
                     (: >/dev/null) 2>/dev/null || echo lost; sleep 0.05; done";

#[test]
fn device_rules_are_changed_and_the_default_devices_stay() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Controller("devices")]) else { return };
    let device = json!([{ "path": "/dev/odd", "type": "c", "major": 10, "minor": 229 }]);
    let bundle = scene.bundle().set("/linux/devices", device);
    let container = scene.start(&bundle.sh(OPENS));
    container.expect("closed\n");
    let deny = json!({ "allow": false, "access": "rwm" });
    let odd = json!({ "allow": true, "type": "c", "major": 10, "minor": 229, "access": "r" });
    update_from(&scene, &container, &json!({ "devices": [deny, odd] })).ok();
    container.expect("open\n");
    // What an engine sends that knows of no device does not lock the container out.
    update_from(&scene, &container, &json!({ "devices": [deny] })).ok();
    let seen = container.output().len();
    integration::runtime::until("that it is closed again", || {
        container.output()[seen..].contains("closed")
    });
    update_from(&scene, &container, &json!({ "devices": [{ "allow": true, "access": "rwm" }] }))
        .ok();
    let seen = container.output().len();
    integration::runtime::until("that all is open", || container.output()[seen..].contains("open"));
    update_from(&scene, &container, &json!({ "devices": [deny] })).ok();
    let seen = container.output().len();
    integration::runtime::until("that it is closed again", || {
        container.output()[seen..].contains("closed")
    });
    assert!(!container.output().contains("lost"), "{}", container.output());
    let bad = json!({ "devices": [{ "allow": true, "type": "x", "access": "r" }] });
    update_from(&scene, &container, &bad).refused().says(&["/linux/resources/devices/0"]);
    container.end();
}

#[test]
fn what_is_no_limit_is_refused_and_changes_nothing() {
    let Some(scene) = Scene::needing(&EACH) else { return };
    let bundle = scene.bundle().sleeping();
    let container = scene.start(&bundle);
    for flags in [
        &["--memory", "lots"][..],
        &["--memory", "1x"],
        &["--cpu-quota", "fast"],
        &["--pids-limit", "many"],
        &["--resources", "/nothing/such"],
        &["--cpuset-cpus", "none"],
    ] {
        update(&container, flags).refused();
    }
    let limits: [Limit; 1] = [("pids", ("pids.max", "max"), ("pids.max", "max"))];
    holds(&bundle, &limits);
    container.end();
    update(&container, &["--pids-limit", "5"]).refused().says(&["does not exist"]);
}

#[test]
fn a_container_that_stopped_or_has_no_cgroup_cannot_be_updated() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let container = scene.start(&scene.bundle().args(["true"]));
    container.until("stopped");
    update(&container, &["--pids-limit", "5"]).refused().says(&["container not running"]);
    container.delete();
    let bundle = scene.bundle().sleeping().unset("/linux/resources").unset("/linux/cgroupsPath");
    let id = scene.id();
    let words = ["--cgroup-manager", "disabled", "run", "--detach", "--bundle"];
    let dir = bundle.dir().display().to_string();
    bundle.save();
    scene.keel(words.iter().copied().chain([dir.as_str(), id.as_str()])).run().ok();
    scene
        .keel(["update", "--pids-limit", "5", &id])
        .run()
        .refused()
        .says(&["no cgroup of its own"]);
    scene.keel(["pause", &id]).run().refused().says(&["no cgroup of its own"]);
    scene.keel(["delete", "--force", &id]).run().ok();
}
