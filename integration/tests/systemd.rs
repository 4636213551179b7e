//! Cgroups that systemd makes: scopes, their properties, and what is left of them.
//!
//! systemd must be the first process, so these run in the machine (`integration/machine`).

use std::fs::{self, File};

use integration::cgroups::Layout;
use integration::{Bundle, Container, Need, Scene, skip};
use serde_json::{Value, json};

fn scene() -> Option<Scene> {
    Scene::needing(&[Need::Systemd])
}

/// The name of a container's scope.
fn unit(container: &Container<'_>) -> String {
    format!("keel-{}.scope", container.id())
}

/// A bundle whose scope will be named after the next container.
fn bundle(scene: &Scene, id: &str) -> Bundle {
    scene.bundle().set("/linux/cgroupsPath", format!("system.slice:keel:{id}"))
}

/// Creates a container by systemd and starts it.
#[track_caller]
fn start<'a>(scene: &'a Scene, edit: impl FnOnce(Bundle) -> Bundle) -> Container<'a> {
    let id = scene.id();
    let bundle = edit(bundle(scene, &id).sleeping());
    let output = scene.dir().join(format!("output-{id}"));
    bundle.save();
    let call = scene.keel(["--systemd-cgroup", "create", "--bundle"]).arg(bundle.dir()).arg(&id);
    call.stdout(File::create_new(&output).expect("a file")).run().ok();
    let container = Container::new(scene, id, output);
    container.start();
    container
}

/// What systemctl says. Another test lets systemd execute itself anew, and meanwhile nobody answers.
#[track_caller]
fn systemctl(scene: &Scene, words: &[&str]) -> String {
    let silence = ["disconnected from message bus", "Connection reset by peer"];
    loop {
        let outcome = scene.call("systemctl").args(words).run();
        if !silence.iter().any(|text| outcome.stderr.contains(text)) {
            return outcome.ok().stdout;
        }
    }
}

/// A property as systemd knows it.
fn property(scene: &Scene, container: &Container<'_>, name: &str) -> String {
    let words = ["show", "--value", "--property", name, &unit(container)];
    systemctl(scene, &words).trim_end().to_owned()
}

/// A file of the scope, in the hierarchy of a controller.
fn file(container: &Container<'_>, controller: &str, file: &str) -> String {
    Layout::here().read(controller, &format!("system.slice/{}", unit(container)), file)
}

/// Whether systemd knows the scope at all.
fn known(scene: &Scene, unit: &str) -> bool {
    let words = ["list-units", "--all", "--plain", "--no-legend", unit];
    !systemctl(scene, &words).is_empty()
}

fn end(scene: &Scene, container: &Container<'_>) {
    container.end();
    assert!(!known(scene, &unit(container)), "the scope is left");
}

#[test]
fn limits_are_properties_of_the_scope_and_values_in_its_files() {
    let Some(scene) = scene() else { return };
    let resources = json!({
        "memory": { "limit": 67_108_864, "reservation": 33_554_432 },
        "cpu": { "shares": 512, "quota": 25_000, "period": 50_000, "cpus": "0", "mems": "0" },
        "pids": { "limit": 33 },
        "devices": [{ "allow": false, "access": "rwm" }],
    });
    let container = start(&scene, |bundle| bundle.set("/linux/resources", resources));
    let v1 = Layout::here().is_v1("cpu");
    for (name, value) in [
        ("MemoryMax", "67108864"),
        ("MemoryLow", "33554432"),
        if v1 { ("CPUShares", "512") } else { ("CPUWeight", "59") },
        ("CPUQuotaPerSecUSec", "500ms"),
        ("AllowedCPUs", "0"),
        ("AllowedMemoryNodes", "0"),
        ("TasksMax", "33"),
        ("Slice", "system.slice"),
        ("Delegate", "yes"),
        ("DevicePolicy", "strict"),
    ] {
        assert_eq!(property(&scene, &container, name), value, "{name}");
    }
    if v1 {
        assert_eq!(file(&container, "cpu", "cpu.shares"), "512");
        assert_eq!(file(&container, "cpu", "cpu.cfs_quota_us"), "25000");
        assert_eq!(file(&container, "cpu", "cpu.cfs_period_us"), "50000");
    } else {
        assert_eq!(file(&container, "cpu", "cpu.max"), "25000 50000");
    }
    assert_eq!(file(&container, "memory", "memory.max"), "67108864");
    assert_eq!(file(&container, "pids", "pids.max"), "33");
    assert_eq!(file(&container, "cpuset", "cpuset.cpus"), "0");
    let pid = container.pid().to_string();
    assert!(file(&container, "pids", "cgroup.procs").lines().any(|line| line == pid));
    end(&scene, &container);
}

#[test]
fn an_update_changes_both_and_outlasts_a_reload() {
    let Some(scene) = scene() else { return };
    let container = start(&scene, |bundle| bundle);
    container.call(&["update", "--memory", "80m", "--pids-limit", "44"]).ok();
    let holds = || {
        assert_eq!(property(&scene, &container, "MemoryMax"), "83886080");
        assert_eq!(property(&scene, &container, "TasksMax"), "44");
        assert_eq!(file(&container, "memory", "memory.max"), "83886080");
        assert_eq!(file(&container, "pids", "pids.max"), "44");
    };
    holds();
    systemctl(&scene, &["daemon-reload"]);
    holds();
    container.call(&["update", "--memory=-1", "--pids-limit=-1"]).ok();
    assert_eq!(property(&scene, &container, "MemoryMax"), "infinity");
    assert_eq!(file(&container, "memory", "memory.max"), "max");
    end(&scene, &container);
}

#[test]
fn device_rules_outlast_a_reload_and_a_new_systemd() {
    let Some(scene) = scene() else { return };
    let device = json!([{ "path": "/dev/odd", "type": "c", "major": 10, "minor": 229 }]);
    let container = start(&scene, |bundle| bundle.set("/linux/devices", device));
    let opens = |word: &str| {
        let script = "(: </dev/odd) 2>&1 | grep -q 'not permitted' && echo closed || echo open; \
                      : >/dev/null && : </dev/zero && echo usual";
        let said = scene.keel(["exec", container.id(), "sh", "-c", script]).run().ok().stdout;
        assert_eq!(said, format!("{word}\nusual\n"));
    };
    let deny = json!({ "allow": false, "access": "rwm" });
    let odd = json!({ "allow": true, "type": "c", "major": 10, "minor": 229, "access": "r" });
    opens("closed");
    for verb in ["daemon-reload", "daemon-reexec"] {
        systemctl(&scene, &[verb]);
        opens("closed");
    }
    update_from(&scene, &container, &json!({ "devices": [deny, odd] }));
    opens("open");
    systemctl(&scene, &["daemon-reload"]);
    opens("open");
    update_from(&scene, &container, &json!({ "devices": [deny] }));
    opens("closed");
    end(&scene, &container);
}

fn update_from(scene: &Scene, container: &Container<'_>, document: &Value) {
    let path = scene.dir().join(format!("resources-{}.json", scene.id()));
    integration::bundle::write(&path, document.to_string().as_bytes());
    container.call(&["update", "--resources", &path.display().to_string()]).ok();
}

#[test]
fn another_process_joins_the_scope() {
    let Some(scene) = scene() else { return };
    let container = start(&scene, |bundle| bundle.without_namespace("cgroup"));
    let said = scene.keel(["exec", container.id(), "cat", "/proc/self/cgroup"]).run().ok().stdout;
    let line = said.lines().find(|line| line.starts_with("0::")).expect("a line of v2");
    assert!(line.ends_with(&format!("/system.slice/{}", unit(&container))), "{said}");
    container.call(&["pause"]).ok();
    assert_eq!(container.status(), "paused");
    container.call(&["resume"]).ok();
    end(&scene, &container);
}

#[test]
fn annotations_are_properties() {
    let Some(scene) = scene() else { return };
    let annotations = json!({
        "org.systemd.property.TimeoutStopSec": "7",
        "org.systemd.property.CollectMode": "'inactive-or-failed'",
        "org.systemd.property.Description": "'a web server'",
    });
    let container = start(&scene, |bundle| bundle.set("/annotations", annotations));
    assert_eq!(property(&scene, &container, "TimeoutStopUSec"), "7s");
    assert_eq!(property(&scene, &container, "CollectMode"), "inactive-or-failed");
    assert_eq!(property(&scene, &container, "Description"), "a web server");
    end(&scene, &container);
}

#[test]
fn processes_are_in_cgroups_below_the_scope_that_annotations_name() {
    let Some(scene) = scene() else { return };
    if Layout::here().is_v1("cpu") {
        return skip("no pure cgroup v2 here");
    }
    let annotations = json!({
        "run.oci.systemd.subgroup": "inner",
        "run.oci.delegate-cgroup": "payload",
    });
    let resources = json!({ "pids": { "limit": 33 } });
    let container = start(&scene, |bundle| {
        let bundle = bundle.set("/annotations", annotations).namespace("cgroup", None);
        bundle.set("/linux/resources", resources)
    });
    let cgroup = format!("/{}/inner/payload\n", unit(&container));
    let seen = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("cgroup");
    assert!(seen.ends_with(&cgroup), "{seen}");
    assert_eq!(file(&container, "pids", "pids.max"), "33");
    let script = "cat /proc/1/cgroup /proc/self/cgroup";
    let exec = scene.keel(["exec", container.id(), "sh", "-c", script]).run().ok();
    assert_eq!(exec.stdout, "0::/payload\n0::/\n");
    end(&scene, &container);
}

#[test]
fn slices_are_made_and_nested() {
    let Some(scene) = scene() else { return };
    let slice = format!("keel{}", std::process::id());
    let id = scene.id();
    let path = format!("{slice}-inner.slice:keel:{id}");
    let bundle = scene.bundle().sleeping().set("/linux/cgroupsPath", path);
    bundle.save();
    let call = scene.keel(["--systemd-cgroup", "run", "--detach", "--bundle"]);
    call.arg(bundle.dir()).arg(&id).run().ok();
    let cgroup = format!("{slice}.slice/{slice}-inner.slice/keel-{id}.scope");
    assert!(!Layout::here().read("pids", &cgroup, "cgroup.procs").is_empty());
    scene.keel(["delete", "--force", &id]).run().ok();
    assert!(!known(&scene, &format!("keel-{id}.scope")));
    for slice in [format!("{slice}-inner.slice"), format!("{slice}.slice")] {
        systemctl(&scene, &["stop", &slice]);
    }
}

#[test]
fn a_creation_that_fails_leaves_no_scope() {
    let Some(scene) = scene() else { return };
    let id = scene.id();
    let unit = format!("keel-{id}.scope");
    for edit in [
        (|bundle: Bundle| bundle.args(["moon"])) as fn(Bundle) -> Bundle,
        |bundle| bundle.set("/annotations", json!({ "org.systemd.property.Moon": "1" })),
        |bundle| bundle.set("/linux/resources/unified", json!({ "memory.max": "much" })),
    ] {
        let bundle = edit(bundle(&scene, &id));
        bundle.save();
        let call = scene.keel(["--systemd-cgroup", "create", "--bundle"]).arg(bundle.dir());
        call.arg(&id).run().refused();
        assert!(!known(&scene, &unit));
    }
}

#[test]
fn a_scope_of_somebody_else_is_left_alone() {
    let Some(scene) = scene() else { return };
    let first = start(&scene, |bundle| bundle);
    let path = format!("system.slice:keel:{}", first.id());
    let bundle = scene.bundle().set("/linux/cgroupsPath", path);
    bundle.save();
    let call = scene.keel(["--systemd-cgroup", "create", "--bundle"]).arg(bundle.dir());
    call.arg(scene.id()).run().refused();
    assert_eq!(first.status(), "running");
    assert_eq!(property(&scene, &first, "ActiveState"), "active");
    end(&scene, &first);
}

#[test]
fn a_container_that_ended_by_itself_leaves_no_scope_after_delete() {
    let Some(scene) = scene() else { return };
    for script in ["exit 0", "sleep 1000 & exit 3", "kill -9 1"] {
        let container = start(&scene, |bundle| bundle.sh(script));
        container.until("stopped");
        container.delete();
        assert!(!known(&scene, &unit(&container)), "{script}");
    }
}

#[test]
fn a_scope_that_was_stopped_by_hand_is_no_hindrance() {
    let Some(scene) = scene() else { return };
    let container = start(&scene, |bundle| bundle);
    systemctl(&scene, &["kill", "--signal=KILL", &unit(&container)]);
    container.until("stopped");
    let stop = scene.call("systemctl").args(["stop", &unit(&container)]).run();
    assert!(matches!(stop.code(), Some(0 | 5)), "{stop:?}");
    container.delete();
}

#[test]
fn what_names_no_scope_is_refused() {
    let Some(scene) = scene() else { return };
    for path in ["/a/b", "a:b", "system.slice:keel:a/b", "a/b.slice:keel:c", "a--b.slice:x:y"] {
        let bundle = scene.bundle().set("/linux/cgroupsPath", path);
        bundle.save();
        let call = scene.keel(["--systemd-cgroup", "create", "--bundle"]).arg(bundle.dir());
        call.arg(scene.id()).run().refused().says(&["cgroupsPath", "scope", "slice"]);
    }
    assert!(fs::metadata("/sys/fs/cgroup/a").is_err());
}
