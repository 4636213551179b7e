//! `events`: what a container uses, against the kernel's files and against runc; memory that runs
//! out, told at once; the end.

use std::collections::BTreeMap;
use std::fs;

use integration::cgroups::Layout;
use integration::{Bundle, Container, Need, Outcome, Runtime, Scene};
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

/// A script that goes on after one of its processes was killed for the memory it took.
const HOG: &str = "sh -c 'x=a; while :; do x=$x$x; done'; echo hog ended with $?; exec sleep 1000";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// What `events --stats` has as its data.
#[track_caller]
fn data(container: &Container<'_>) -> Value {
    let text = container.call(&["events", "--stats"]).ok().stdout;
    assert_eq!(text.matches('\n').count(), 1, "one line: {text}");
    let mut line = json(&text);
    assert_eq!((&line["type"], &line["id"]), (&json!("stats"), &json!(container.id())));
    line["data"].take()
}

/// A limit of memory without swap.
fn limited(bundle: Bundle, limit: u64) -> Bundle {
    bundle.set("/linux/resources/memory", json!({"limit": limit, "swap": limit}))
}

#[test]
fn statistics_are_those_of_the_kernels_files() {
    let needs = ["memory", "pids", "cpuacct"].map(Need::Controller);
    let Some(scene) = Scene::needing(&needs) else { return };
    let script = "cat /bin/busybox >/dev/null; sleep 1000 & exec sleep 1000";
    let bundle =
        limited(scene.bundle(), 64 * MIB).set("/linux/resources/pids/limit", 50).sh(script);
    let container = scene.start(&bundle);
    let layout = Layout::here();
    let read = |controller: &str, file: &str| layout.read(controller, bundle.cgroup(), file);
    let number = |controller: &str, file: &str| read(controller, file).parse::<u64>().ok();
    let files = if layout.is_v2() {
        ["memory.max", "memory.current", "memory.peak"]
    } else {
        ["memory.limit_in_bytes", "memory.usage_in_bytes", "memory.max_usage_in_bytes"]
    };
    integration::runtime::until("two processes", || number("pids", "pids.current") == Some(2));
    // The kernel counts on while processes fall asleep: what is the same before and after counts.
    let memory = || files.map(|file| number("memory", file));
    let cpu = || if layout.is_v2() { None } else { number("cpuacct", "cpuacct.usage") };
    let (mut data, mut before) = (Value::Null, ([None; 3], None));
    integration::runtime::until("numbers that stay", || {
        before = (memory(), cpu());
        data = self::data(&container);
        before == (memory(), cpu())
    });
    let of = |pointer: &str| data.pointer(pointer).and_then(Value::as_u64);
    assert_eq!(of("/memory/usage/limit"), Some(64 * MIB));
    assert_eq!(of("/memory/usage/limit"), before.0[0]);
    assert_eq!(of("/memory/usage/usage"), before.0[1]);
    assert_eq!(of("/memory/usage/max"), before.0[2]);
    assert_eq!((of("/pids/current"), of("/pids/limit")), (Some(2), Some(50)));
    let mut stat = BTreeMap::new();
    for line in read("memory", "memory.stat").lines() {
        let (name, value) = line.split_once(' ').expect("a name and a number");
        stat.insert(name.to_owned(), value.to_owned());
    }
    let raw = data["memory"]["raw"].as_object().expect("memory.stat");
    assert!(raw.keys().eq(stat.keys()), "{raw:?} {stat:?}");
    if before.1.is_some() {
        assert_eq!(of("/cpu/usage/total"), before.1);
        let each: u64 = data["cpu"]["usage"]["percpu"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|time| time.as_u64().expect("a number"))
            .sum();
        assert_eq!(Some(each), before.1, "the sum of all processors");
    } else {
        assert!(of("/cpu/usage/total") > Some(0), "{data}");
    }
}

/// Every member with its type, by pointer; elements of a list count once.
fn members(value: &Value) -> BTreeMap<String, &'static str> {
    fn add(value: &Value, at: &str, into: &mut BTreeMap<String, &'static str>) {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        into.insert(at.to_owned(), kind);
        match value {
            Value::Array(items) => {
                items.iter().for_each(|item| add(item, &format!("{at}/*"), into));
            }
            Value::Object(map) => {
                map.iter().for_each(|(name, value)| add(value, &format!("{at}/{name}"), into));
            }
            _ => {}
        }
    }
    let mut all = BTreeMap::new();
    add(value, "", &mut all);
    all
}

/// The names of members in their order, up to those of devices.
fn order(line: &str) -> Vec<&str> {
    const PRESSURE: [&str; 7] = ["psi", "some", "full", "avg10", "avg60", "avg300", "total"];
    let (before, after) = line.split_once("\"blkio\"").expect("a member blkio");
    assert!(after.ends_with(",\"intel_rdt\":{},\"network_interfaces\":null}}\n"), "{after}");
    let parts: Vec<&str> = before.split('"').collect();
    let named = parts.windows(2).filter(|pair| pair[1].starts_with(':')).map(|pair| pair[0]);
    named.filter(|name| !PRESSURE.contains(name)).collect()
}

/// A container of runc beside the scene's own, deleted at the end.
struct Theirs<'a> {
    scene: &'a Scene,
    runc: Runtime,
    id: String,
}

impl<'a> Theirs<'a> {
    #[track_caller]
    fn run(scene: &'a Scene, bundle: &Bundle) -> Self {
        bundle.save();
        let runc = Runtime::named("runc").expect("it is installed");
        let theirs = Self { scene, runc, id: scene.id() };
        let dir = bundle.dir().display().to_string();
        theirs.call(&["run", "--detach", "--bundle", &dir]).ok();
        theirs
    }

    #[track_caller]
    fn call(&self, words: &[&str]) -> Outcome {
        let root = self.scene.directory("runc");
        self.scene.call(self.runc.program()).arg("--root").arg(root).args(words).arg(&self.id).run()
    }
}

impl Drop for Theirs<'_> {
    fn drop(&mut self) {
        self.call(&["delete", "--force"]);
    }
}

/// A line of statistics that has everything that is left out while it is 0.
#[track_caller]
fn full_line(ask: impl Fn() -> Outcome) -> String {
    let mut line = String::new();
    integration::runtime::until("a quota that is used up", || {
        line = ask().ok().stdout;
        line.contains("throttledTime") && line.contains("\"cache\"")
    });
    line
}

/// Whether a member need not be in both: it is left out while it is 0, or the machine counts it
/// where this runc does not look.
fn may_differ(pointer: &str) -> bool {
    let beyond = ["/data/hugetlb/", "/data/blkio/"].iter().any(|start| pointer.starts_with(start));
    beyond || pointer.contains("/psi") || pointer == "/data/memory/kernelTCP/max"
}

#[test]
fn the_line_of_statistics_is_that_of_runc() {
    let needs = [Need::Keel, Need::CgroupV1, Need::Program("runc"), Need::Controller("memory")];
    let Some(scene) = Scene::needing(&needs) else { return };
    let resources = json!({
        "memory": {"limit": 64 * MIB, "swap": 96 * MIB}, "pids": {"limit": 50},
        "cpu": {"quota": 20000, "period": 100_000, "cpus": "0"},
        "devices": [{"allow": false, "access": "rwm"}],
    });
    let script = "while :; do cat /bin/busybox >/dev/null; done";
    let bundle = || scene.bundle().set("/linux/resources", resources.clone()).sh(script);
    let container = scene.start(&bundle());
    let ours = full_line(|| container.call(&["events", "--stats"]));
    container.end();
    let theirs = Theirs::run(&scene, &bundle());
    let theirs = full_line(|| theirs.call(&["events", "--stats"]));

    let (our, their) = (json(&ours), json(&theirs));
    let (our_members, their_members) = (members(&our), members(&their));
    for (pointer, kind) in &their_members {
        let same = our_members.get(pointer) == Some(kind);
        assert!(same || may_differ(pointer), "{pointer} is missing or no {kind}: {ours}");
    }
    for pointer in our_members.keys() {
        let known = their_members.contains_key(pointer);
        assert!(known || may_differ(pointer), "{pointer} is not runc's: {theirs}");
    }
    for pointer in [
        "/type",
        "/data/cpuset",
        "/data/memory/usage/limit",
        "/data/memory/swap/limit",
        "/data/memory/kernel/limit",
        "/data/memory/raw/hierarchical_memory_limit",
        "/data/pids/limit",
        "/data/intel_rdt",
        "/data/network_interfaces",
    ] {
        assert!(our.pointer(pointer).is_some());
        assert_eq!(our.pointer(pointer), their.pointer(pointer), "{pointer}");
    }
    assert_eq!(order(&ours), order(&theirs));
}

#[test]
fn memory_that_runs_out_is_told_at_once() {
    let Some(scene) = Scene::needing(&[Need::Controller("memory")]) else { return };
    let container = scene.create(&limited(scene.bundle(), 16 * MIB).sh(HOG));
    let events = scene.keel(["events", "--interval", "50ms", container.id()]).spawn();
    // It watches once it has told statistics.
    events.expect("\"stats\"");
    container.start();
    events.expect(&format!("{{\"type\":\"oom\",\"id\":\"{}\"}}\n", container.id()));
    container.expect("hog ended with 137");
    assert_eq!(container.status(), "running");
    container.end();
    let outcome = events.wait().ok();
    for line in outcome.stdout.lines() {
        let line = json(line);
        assert!(["stats", "oom"].contains(&line["type"].as_str().expect("a type")), "{line}");
    }
}

#[test]
fn it_ends_with_the_container_and_not_with_its_deletion() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Controller("memory")]) else { return };
    let container = scene.start(&scene.bundle().sleeping());
    let events = scene.keel(["events", "--interval", "20ms", container.id()]).spawn();
    integration::runtime::until("three lines", || events.stdout().lines().count() >= 3);
    container.kill("KILL").ok();
    let outcome = events.wait().ok();
    assert!(outcome.stdout.lines().all(|line| json(line)["type"] == "stats"), "{outcome:?}");
    container.until("stopped");
    container.delete();
}

#[test]
fn the_kill_of_the_first_process_is_told_before_the_end() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Controller("memory")]) else { return };
    let script = "x=a; while :; do x=$x$x; done";
    let container = scene.create(&limited(scene.bundle(), 16 * MIB).sh(script));
    let events = scene.keel(["events", "--interval", "20ms", container.id()]).spawn();
    events.expect("\"stats\"");
    container.start();
    let outcome = events.wait().ok();
    // Statistics may come between the two: the kernel tells before it kills.
    let told = json!({"type": "oom", "id": container.id()});
    assert!(outcome.stdout.lines().any(|line| json(line) == told), "{outcome:?}");
    container.until("stopped");
}

#[test]
fn a_paused_container_and_one_that_waits_have_statistics_too() {
    let Some(scene) = Scene::needing(&[Need::Controller("memory"), Need::Controller("freezer")])
    else {
        return;
    };
    let bundle = scene.bundle().sleeping();
    let container = scene.create(&bundle);
    let limit = |data: &Value| data["memory"]["usage"]["limit"].as_u64();
    assert!(limit(&data(&container)) > Some(0), "it waits to be started");
    container.start();
    let dir = Layout::here().dir("freezer", bundle.cgroup());
    let (file, frozen, thawed) = match Layout::here().is_v2() {
        true => ("cgroup.freeze", "1", "0"),
        false => ("freezer.state", "FROZEN", "THAWED"),
    };
    integration::bundle::write(&dir.join(file), frozen.as_bytes());
    container.until("paused");
    assert!(limit(&data(&container)) > Some(0), "it is frozen");
    integration::bundle::write(&dir.join(file), thawed.as_bytes());
    container.until("running");
}

#[test]
fn an_interval_is_a_duration_that_is_more_than_nothing() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().sleeping());
    for interval in ["0", "0s", "-1s", "5", "x", "1d", "5 s", "99999999h"] {
        let outcome = scene.keel(["events", "--interval", interval, container.id()]).run();
        assert_eq!(outcome.code(), Some(1), "{interval}: {outcome:?}");
        outcome.says(&["greater than 0", "invalid value", "parse error"]);
    }
}

#[test]
fn what_does_not_run_has_no_events() {
    let Some(scene) = Scene::begin() else { return };
    scene.keel(["events", "nobody"]).run().refused().says(&["does not exist"]);
    let container = scene.start(&scene.bundle().args(["true"]));
    container.until("stopped");
    for words in [&["events"][..], &["events", "--stats"]] {
        let outcome = container.call(words).refused().says(&["is not running"]);
        assert_eq!(outcome.stdout, "");
    }
    container.delete();
}

#[test]
fn without_a_cgroup_nothing_is_counted() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let (bundle, id) = (scene.bundle().unset("/linux/cgroupsPath").sleeping(), scene.id());
    bundle.save();
    let dir = bundle.dir().display().to_string();
    let words = ["--cgroup-manager", "disabled", "create", "--bundle", &dir, &id];
    scene.keel(words).run().ok();
    for words in [&["events"][..], &["events", "--stats"]] {
        scene.keel([words, &[id.as_str()]].concat()).run().refused().says(&["has no cgroup"]);
    }
    scene.keel(["delete", "--force", &id]).run().ok();
}

#[test]
fn a_reader_that_goes_away_ends_it_without_a_word() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Controller("memory")]) else { return };
    let container = scene.start(&scene.bundle().sleeping());
    let (reader, writer) = std::io::pipe().expect("pipe");
    drop(reader);
    let call = scene.keel(["events", "--interval", "10ms", container.id()]).stdout(writer);
    let outcome = call.run();
    assert_eq!((outcome.code(), outcome.stderr.as_str()), (Some(141), ""));
}

#[test]
fn whoever_watches_leaves_nothing_behind() {
    let Some(scene) = Scene::needing(&[Need::Controller("memory")]) else { return };
    let bundle = scene.bundle().sleeping();
    let container = scene.start(&bundle);
    let events = scene.keel(["events", "--interval", "20ms", container.id()]).spawn();
    events.expect("\"stats\"");
    events.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(integration::runtime::signal_of(events.wait().status), Some(15));
    assert_eq!(container.status(), "running");
    let dir = Layout::here().dir("memory", bundle.cgroup());
    assert!(fs::metadata(dir).is_ok_and(|dir| dir.is_dir()));
    container.end();
}
