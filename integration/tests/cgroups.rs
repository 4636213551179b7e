//! Cgroups: limits as the kernel has them, paths, removal. On v1, on both, and on v2.

use std::fs;

use integration::cgroups::{Layout, disk};
use integration::{Bundle, Container, Need, Scene};
use serde_json::{Value, json};

/// One file of a cgroup and what it must hold.
struct Expected {
    controller: &'static str,
    v1: (&'static str, &'static str),
    v2: (&'static str, &'static str),
}

/// Checks what a running container with these resources has in its cgroup.
fn check(scene: &Scene, resources: &Value, expected: &[Expected]) {
    let bundle = scene.bundle().sleeping().set("/linux/resources", resources.clone());
    let container = scene.start(&bundle);
    let layout = Layout::here();
    for Expected { controller, v1, v2 } in expected {
        let (file, value) = if layout.is_v1(controller) { v1 } else { v2 };
        if !file.is_empty() {
            assert_eq!(&layout.read(controller, bundle.cgroup(), file), value, "{file}");
        }
    }
    container.end();
}

/// Whether a container's process is in a cgroup, in every hierarchy.
fn is_in(container: &Container<'_>, cgroup: &str) -> bool {
    let text = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("cgroups");
    text.lines().filter(|line| in_use(line)).all(|line| line.ends_with(&format!(":{cgroup}")))
}

/// Whether a line of a cgroup file is about a hierarchy that is mounted here. Beside v1 the v2
/// hierarchy limits nothing, and a runtime may leave it alone.
fn in_use(line: &str) -> bool {
    line.starts_with("0::") == Layout::here().is_v2()
}

#[test]
fn memory_limits_are_what_the_configuration_says() {
    let Some(scene) = Scene::needing(&[Need::Controller("memory")]) else { return };
    check(
        &scene,
        &json!({ "memory": { "limit": 67_108_864, "reservation": 33_554_432 } }),
        &[
            Expected {
                controller: "memory",
                v1: ("memory.limit_in_bytes", "67108864"),
                v2: ("memory.max", "67108864"),
            },
            Expected {
                controller: "memory",
                v1: ("memory.soft_limit_in_bytes", "33554432"),
                v2: ("memory.low", "33554432"),
            },
        ],
    );
}

#[test]
fn cpu_shares_quota_and_period_are_what_the_configuration_says() {
    let Some(scene) = Scene::needing(&[Need::Controller("cpu")]) else { return };
    check(
        &scene,
        &json!({ "cpu": { "shares": 2048, "quota": 25_000, "period": 50_000 } }),
        &[
            Expected { controller: "cpu", v1: ("cpu.shares", "2048"), v2: ("", "") },
            Expected {
                controller: "cpu",
                v1: ("cpu.cfs_quota_us", "25000"),
                v2: ("cpu.max", "25000 50000"),
            },
            Expected { controller: "cpu", v1: ("cpu.cfs_period_us", "50000"), v2: ("", "") },
        ],
    );
}

#[test]
fn the_cpus_and_memory_nodes_are_what_the_configuration_says() {
    let Some(scene) = Scene::needing(&[Need::Controller("cpuset")]) else { return };
    check(
        &scene,
        &json!({ "cpu": { "cpus": "0", "mems": "0" } }),
        &[
            Expected { controller: "cpuset", v1: ("cpuset.cpus", "0"), v2: ("cpuset.cpus", "0") },
            Expected { controller: "cpuset", v1: ("cpuset.mems", "0"), v2: ("cpuset.mems", "0") },
        ],
    );
    let cpus = json!({ "cpu": { "cpus": "0" } });
    let bundle = scene.bundle().set("/linux/resources", cpus);
    let status = scene.output(&bundle.args(["/bin/cat", "/proc/self/status"]));
    assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
}

#[test]
fn a_limit_of_processes_is_what_the_configuration_says_and_holds() {
    let Some(scene) = Scene::needing(&[Need::Controller("pids")]) else { return };
    check(
        &scene,
        &json!({ "pids": { "limit": 20 } }),
        &[Expected { controller: "pids", v1: ("pids.max", "20"), v2: ("pids.max", "20") }],
    );
    check(
        &scene,
        &json!({ "pids": { "limit": -1 } }),
        &[Expected { controller: "pids", v1: ("pids.max", "max"), v2: ("pids.max", "max") }],
    );
    let few = json!({ "pids": { "limit": 4 } });
    let bundle = scene.bundle().set("/linux/resources", few);
    let outcome = scene.run(&bundle.sh("for i in 1 2 3 4 5 6; do sleep 0.2 & done; wait"));
    assert!(outcome.stderr.contains("can't fork"), "{outcome:?}");
}

#[test]
fn a_limit_of_one_process_lets_one_run() {
    let Some(scene) = Scene::needing(&[Need::Controller("pids")]) else { return };
    // Others take 0 for no limit.
    for limit in if scene.is_keel() { 0..2 } else { 1..2 } {
        let bundle = scene.bundle().set("/linux/resources/pids/limit", limit);
        let outcome = scene.run(&bundle.sh("echo alone; (echo another); echo end"));
        assert_eq!(outcome.stdout, "alone\n", "{outcome:?}");
        assert!(outcome.stderr.contains("can't fork"), "{outcome:?}");
    }
}

#[test]
fn throttles_of_block_devices_are_what_the_configuration_says() {
    let Some(scene) = Scene::needing(&[Need::Controller("blkio")]) else { return };
    let Some(number) = disk() else { return integration::skip("no block device here") };
    let (major, minor) = number.split_once(':').expect("two numbers");
    let (major, minor): (u32, u32) = (major.parse().expect("one"), minor.parse().expect("one"));
    let layout = Layout::here();
    if !layout.is_v2() {
        let root = layout.dir("blkio", "/");
        if fs::metadata(root.join("blkio.throttle.read_bps_device")).is_err() {
            return integration::skip("the kernel cannot throttle block devices");
        }
    }
    let entry = json!([{ "major": major, "minor": minor, "rate": 1_048_576 }]);
    let line = format!("{number} 1048576");
    let bundle = scene.bundle().sleeping();
    let throttle = json!({ "blockIO": { "throttleReadBpsDevice": entry } });
    let bundle = bundle.set("/linux/resources", throttle);
    let container = scene.start(&bundle);
    let file = if layout.is_v2() { "io.max" } else { "blkio.throttle.read_bps_device" };
    let value = layout.read("blkio", bundle.cgroup(), file);
    assert!(value.contains(&line) || value.contains("rbps=1048576"), "{value}");
    container.end();
}

#[test]
fn keys_of_cgroup_v2_are_written_as_they_are() {
    let Some(scene) = Scene::begin() else { return };
    if !Layout::here().is_v2() {
        return integration::skip("no pure cgroup v2 here");
    }
    let unified = json!({ "unified": { "cgroup.max.descendants": "7" } });
    let bundle = scene.bundle().sleeping().set("/linux/resources", unified);
    let container = scene.start(&bundle);
    let value = Layout::here().read("pids", bundle.cgroup(), "cgroup.max.descendants");
    assert_eq!(value, "7");
    container.end();
    let unknown = json!({ "unified": { "moon.max": "7" } });
    scene.refused(&scene.bundle().set("/linux/resources", unknown));
}

#[test]
fn pages_of_a_size_are_limited() {
    let Some(scene) = Scene::needing(&[Need::Controller("hugetlb")]) else { return };
    let limit = json!({ "hugepageLimits": [{ "pageSize": "2MB", "limit": 4_194_304 }] });
    check(
        &scene,
        &limit,
        &[Expected {
            controller: "hugetlb",
            v1: ("hugetlb.2MB.limit_in_bytes", "4194304"),
            v2: ("hugetlb.2MB.max", "4194304"),
        }],
    );
}

#[test]
fn an_absolute_path_is_where_the_container_is_in_every_hierarchy() {
    let Some(scene) = Scene::begin() else { return };
    let path = format!("/{}/a/b c/d", scene.tag());
    let bundle = scene.bundle().set("/linux/cgroupsPath", path.as_str()).sleeping();
    let container = scene.start(&bundle);
    assert!(is_in(&container, &path));
    container.end();
    let left = Layout::here().dir("pids", &path);
    assert!(fs::metadata(left).is_err(), "the cgroup is removed");
    for parent in [format!("/{}/a/b c", scene.tag()), format!("/{}/a", scene.tag())] {
        for top in Layout::here().hierarchies() {
            let _ = fs::remove_dir(top.join(parent.trim_start_matches('/')));
        }
    }
}

#[test]
fn without_a_path_the_cgroup_bears_the_containers_id() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sleeping().unset("/linux/cgroupsPath");
    let container = scene.start(&bundle);
    let text = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("cgroups");
    for line in text.lines().filter(|line| in_use(line)) {
        assert!(line.ends_with(&format!("/{}", container.id())), "{text}");
    }
    container.end();
}

#[test]
fn the_cgroup_is_there_from_create_to_delete() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle();
    let dir = Layout::here().dir("pids", bundle.cgroup());
    let container = scene.create(&bundle);
    assert!(fs::metadata(&dir).is_ok(), "created");
    let procs = fs::read_to_string(dir.join("cgroup.procs")).expect("processes");
    assert_eq!(procs.trim(), container.pid().to_string(), "the process and nobody else");
    container.start();
    container.until("stopped");
    container.delete();
    assert!(fs::metadata(&dir).is_err(), "deleted");
}

#[test]
fn cgroups_that_the_container_made_are_removed_with_its_own() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sleeping();
    let container = scene.start(&bundle);
    for top in Layout::here().hierarchies() {
        let own = top.join(bundle.cgroup().trim_start_matches('/'));
        if own.is_dir() {
            fs::create_dir_all(own.join("below/deeper")).expect("mkdir");
        }
    }
    container.delete_force();
    assert_eq!(Layout::here().holding(container.id()).len(), 0);
}

#[test]
fn a_cgroup_that_holds_a_process_is_refused_and_the_process_lives_on() {
    let Some(scene) = Scene::begin() else { return };
    let first = scene.start(&scene.bundle().sleeping());
    let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", first.pid())).expect("cgroups");
    let path = cgroup.lines().find_map(|l| l.rsplit_once(':')).expect("a cgroup").1.to_owned();
    let before = scene.snapshot();
    let bundle = scene.bundle().set("/linux/cgroupsPath", path);
    scene.verb("create", &[], &bundle, &scene.id()).run().refused();
    before.assert_same();
    assert_eq!(first.status(), "running");
    first.end();
}

// A mount of cgroup v2 from the first cgroup namespace sets the options of all: `nsdelegate`, on
// which delegation to users rests, would be lost.
#[test]
fn a_mount_of_cgroups_changes_no_option_of_the_hosts() {
    let Some(scene) = Scene::begin() else { return };
    let hosts = || {
        let table = fs::read_to_string("/proc/self/mountinfo").expect("the mount table");
        let lines = table.lines().filter(|line| line.contains(" - cgroup2 "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = hosts();
    if before.is_empty() {
        return integration::skip("no cgroup v2 here");
    }
    let script = "cat /proc/self/mountinfo";
    for bundle in [scene.bundle(), scene.bundle().namespace("cgroup", None)] {
        let inside = integration::Inside(scene.output(&bundle.sh(script)));
        assert!(inside.mounted("/sys/fs/cgroup"), "{}", inside.0);
        assert_eq!(hosts(), before);
    }
}

#[test]
fn an_empty_cgroup_that_exists_is_taken() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sh("echo works");
    fs::create_dir_all(Layout::here().dir("pids", bundle.cgroup())).expect("mkdir");
    assert_eq!(scene.output(&bundle), "works\n");
}

#[test]
fn limits_that_are_zero_or_absent_are_left_alone() {
    let Some(scene) = Scene::begin() else { return };
    let resources = json!({
        "memory": { "kernel": 0 }, "cpu": { "shares": 0, "quota": 0, "period": 0 },
        "blockIO": { "weight": 0 }, "network": {}, "hugepageLimits": []
    });
    let bundle = scene.bundle().set("/linux/resources", resources).sh("echo works");
    assert_eq!(scene.output(&bundle), "works\n");
}

#[test]
fn a_memory_limit_that_is_too_low_is_told_as_such() {
    let Some(scene) = Scene::needing(&[Need::Controller("memory")]) else { return };
    let before = scene.snapshot();
    let resources = json!({ "memory": { "limit": 8192 } });
    let bundle = scene.bundle().set("/linux/resources", resources);
    let outcome = scene.verb("create", &[], &bundle, &scene.id()).run();
    outcome.refused().says(&["memory"]);
    before.assert_same();
}

#[test]
fn a_container_that_uses_too_much_memory_is_killed_and_the_next_is_fine() {
    let Some(scene) = Scene::needing(&[Need::Controller("memory")]) else { return };
    let resources = json!({ "memory": { "limit": 16_777_216, "swap": 16_777_216 } });
    let eat = |bundle: Bundle| bundle.args(["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=64M"]);
    let bundle = eat(scene.bundle().set("/linux/resources", resources.clone()));
    scene.run(&bundle).exits(137);
    let bundle = scene.bundle().set("/linux/resources", resources).sh("echo works");
    assert_eq!(scene.output(&bundle), "works\n");
}

#[test]
fn a_controller_that_is_not_there_is_refused_when_a_limit_needs_it() {
    let Some(scene) = Scene::begin() else { return };
    if Layout::here().has("rdma") {
        return integration::skip("this machine has the rdma controller");
    }
    let before = scene.snapshot();
    let resources = json!({ "rdma": { "mlx5_1": { "hcaHandles": 3 } } });
    scene.refused(&scene.bundle().set("/linux/resources", resources)).says(&["rdma"]);
    before.assert_same();
}
