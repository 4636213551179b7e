//! The commands for what a container uses, and for the limits of it.

use std::fs;

use integration::cgroups::Layout;
use integration::{Container, Scene};
use serde_json::Value;

use crate::{Case, path};

pub(crate) const CASES: &[Case] = &[
    ("pause", "", |scene| {
        let container = running(scene);
        container.call(&["pause"]).ok();
        assert_eq!(container.status(), "paused");
    }),
    ("resume", "", |scene| {
        let container = running(scene);
        container.call(&["pause"]).ok();
        container.call(&["resume"]).ok();
        assert_eq!(container.status(), "running");
    }),
    ("ps", "", |scene| {
        let container = running(scene);
        let table = container.call(&["ps"]).ok().stdout;
        assert!(table.contains(&format!(" {} ", container.pid())), "{table}");
    }),
    ("ps", "--format", |scene| {
        let container = running(scene);
        let list = container.call(&["ps", "--format", "json"]).ok().stdout;
        let list: Value = serde_json::from_str(&list).expect("JSON");
        assert_eq!(list[0], container.pid());
    }),
    ("events", "", |scene| events(scene, &["--interval", "10ms"])),
    ("events", "--interval", |scene| events(scene, &["--interval=1ms"])),
    ("events", "--stats", |scene| {
        let container = running(scene);
        let line = container.call(&["events", "--stats"]).ok().stdout;
        let line: Value = serde_json::from_str(&line).expect("one line of JSON");
        assert_eq!((&line["type"], &line["id"]), (&"stats".into(), &container.id().into()));
    }),
    ("update", "", |scene| {
        let container = running(scene);
        container.call(&["update"]).ok();
        assert_eq!(container.status(), "running");
    }),
    ("update", "--resources", |scene| {
        let file = path(scene, "resources.json");
        integration::bundle::write(file.as_ref(), br#"{"pids":{"limit":12}}"#);
        update(scene, &["--resources", &file], "pids", ["pids.max", "pids.max"], ["12", "12"]);
    }),
    ("update", "--pids-limit", |scene| {
        update(scene, &["--pids-limit", "13"], "pids", ["pids.max", "pids.max"], ["13", "13"]);
    }),
    ("update", "--memory", |scene| {
        let files = ["memory.limit_in_bytes", "memory.max"];
        update(scene, &["--memory", "64m"], "memory", files, ["67108864", "67108864"]);
    }),
    ("update", "--memory-reservation", |scene| {
        let files = ["memory.soft_limit_in_bytes", "memory.low"];
        let flags = ["--memory-reservation", "32m"];
        update(scene, &flags, "memory", files, ["33554432", "33554432"]);
    }),
    ("update", "--memory-swap", |scene| {
        let files = ["memory.memsw.limit_in_bytes", "memory.swap.max"];
        let flags = ["--memory", "32m", "--memory-swap", "48m"];
        update(scene, &flags, "memory", files, ["50331648", "16777216"]);
    }),
    ("update", "--kernel-memory", |scene| {
        let outcome = running(scene).call(&["update", "--kernel-memory", "32m"]);
        let (controller, legacy) = (Layout::here().has("memory"), !Layout::here().is_v2());
        assert_eq!(outcome.code() == Some(0), controller && legacy, "{outcome:?}");
        assert!(outcome.stderr.contains("kernel"), "{outcome:?}");
    }),
    ("update", "--kernel-memory-tcp", |scene| {
        let files = ["memory.kmem.tcp.limit_in_bytes", ""];
        update(scene, &["--kernel-memory-tcp", "32m"], "memory", files, ["33554432", ""]);
    }),
    ("update", "--cpu-share", |scene| {
        update(scene, &["--cpu-share", "512"], "cpu", ["cpu.shares", "cpu.weight"], ["512", "59"]);
    }),
    ("update", "--cpu-period", |scene| {
        let files = ["cpu.cfs_period_us", "cpu.max"];
        update(scene, &["--cpu-period", "50000"], "cpu", files, ["50000", "max 50000"]);
    }),
    ("update", "--cpu-quota", |scene| {
        let files = ["cpu.cfs_quota_us", "cpu.max"];
        update(scene, &["--cpu-quota", "50000"], "cpu", files, ["50000", "50000 100000"]);
    }),
    ("update", "--cpu-burst", |scene| {
        let files = ["cpu.cfs_burst_us", "cpu.max.burst"];
        let flags = ["--cpu-quota", "50000", "--cpu-burst", "2000"];
        update(scene, &flags, "cpu", files, ["2000", "2000"]);
    }),
    ("update", "--cpu-idle", |scene| {
        update(scene, &["--cpu-idle", "1"], "cpu", ["cpu.idle", "cpu.idle"], ["1", "1"]);
    }),
    ("update", "--cpu-rt-period", |scene| {
        let files = ["cpu.rt_period_us", ""];
        update(scene, &["--cpu-rt-period", "900000"], "cpu", files, ["900000", ""]);
    }),
    ("update", "--cpu-rt-runtime", |scene| {
        // None, as the cgroups above have none to give.
        let files = ["cpu.rt_runtime_us", ""];
        update(scene, &["--cpu-rt-runtime", "0"], "cpu", files, ["0", ""]);
    }),
    ("update", "--cpuset-cpus", |scene| {
        update(scene, &["--cpuset-cpus", "0"], "cpuset", ["cpuset.cpus"; 2], ["0", "0"]);
    }),
    ("update", "--cpuset-mems", |scene| {
        update(scene, &["--cpuset-mems", "0"], "cpuset", ["cpuset.mems"; 2], ["0", "0"]);
    }),
    ("update", "--blkio-weight", |scene| {
        let bundle = scene.bundle().sleeping();
        let outcome = scene.start(&bundle).call(&["update", "--blkio-weight", "200"]);
        if !Layout::here().has("blkio") {
            return drop(outcome.refused().says(&["cannot set"]));
        }
        // The kernel has the file of one scheduler or of another, or none.
        let dir = Layout::here().dir("blkio", bundle.cgroup());
        let files = ["blkio.weight", "blkio.bfq.weight", "io.bfq.weight", "io.weight"];
        let mut values = files.iter().filter_map(|file| fs::read_to_string(dir.join(file)).ok());
        match values.next() {
            Some(value) => assert!(
                outcome.ok().stderr.is_empty()
                    && ["200", "1920"].iter().any(|weight| value.contains(weight))
            ),
            None => drop(outcome.refused().says(&["cannot set"])),
        }
    }),
    ("update", "--l3-cache-schema", |scene| {
        let outcome = running(scene).call(&["update", "--l3-cache-schema", "L3:0=f"]);
        outcome.refused().says(&["Intel RDT"]);
    }),
    ("update", "--mem-bw-schema", |scene| {
        let outcome = running(scene).call(&["update", "--mem-bw-schema", "MB:0=50"]);
        outcome.refused().says(&["Intel RDT"]);
    }),
];

fn running(scene: &Scene) -> Container<'_> {
    scene.start(&scene.bundle().sleeping())
}

/// Follows a container until it is killed.
fn events(scene: &Scene, flags: &[&str]) {
    if !Layout::here().has("memory") {
        return;
    }
    let container = running(scene);
    let call = scene.keel([&["events"], flags, &[container.id()]].concat()).spawn();
    call.expect("\n{\"type\":\"stats\"");
    container.kill("KILL").ok();
    call.wait().ok();
}

/// Calls `update` and looks at a file, of v1 or of v2. Where the kernel has no such file, or there
/// is no such controller, the call must fail and say so.
fn update(scene: &Scene, flags: &[&str], controller: &str, files: [&str; 2], values: [&str; 2]) {
    let bundle = scene.bundle().sleeping();
    let container = scene.start(&bundle);
    let layout = Layout::here();
    let version = usize::from(layout.is_v2());
    let outcome = container.call(&[&["update"], flags].concat());
    let file = files[version];
    let path = layout.has(controller).then(|| layout.dir(controller, bundle.cgroup()).join(file));
    match path.filter(|_| !file.is_empty()).map(fs::read_to_string) {
        Some(Ok(value)) => {
            outcome.ok();
            assert_eq!(value.trim_end(), values[version], "{file}");
        }
        _ if flags[0] == "--cpu-rt-runtime" => drop(outcome.ok()),
        _ => drop(outcome.refused().says(&["cannot set", "cgroup v2"])),
    }
}
