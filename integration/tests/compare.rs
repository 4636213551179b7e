//! The same unchanged bundle under runc and under the runtime under test, field by field.
//!
//! What a container can see of itself must be the same, unless it stands in [`DIFFERENCES`].

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use integration::runtime::Invocation;
use integration::{Need, Runtime, Scene};
use serde_json::Value;

/// What may differ: the beginning of a field's name, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("state.created", "the time"),
    ("state.pid", "another process"),
    ("state.ociVersion", "the version of the specification that each implements"),
    ("mount /proc/keys", "runc 1.1 binds the container's /dev/null, which CVE-2025-31133 is about"),
    ("mount /proc/timer_list", "as /proc/keys"),
    ("mount /proc/sched_debug", "as /proc/keys"),
    ("mount /proc/kcore", "as /proc/keys"),
    ("mount /proc/latency_stats", "as /proc/keys"),
    ("mount /proc/timer_stats", "as /proc/keys"),
    ("mount /proc/acpi", "a mask's own file system; its size and options are the runtime's matter"),
    ("mount /proc/asound", "as /proc/acpi"),
    ("mount /proc/scsi", "as /proc/acpi"),
    ("mount /sys/firmware", "as /proc/acpi"),
    ("mount /sys/fs/cgroup ", "the directory above the v1 hierarchies is the runtime's own"),
    (
        "mount /sys/fs/cgroup/unified",
        "beside v1 the v2 hierarchy limits nothing and may be left out",
    ),
    ("mount /sys/fs/cgroup/systemd", "the source of the named hierarchy is only a name"),
    ("cgroup 0:", "as the mount of it"),
    ("fd", "runc gives pipes in a foreground run, and copies what goes through them"),
    ("limits Max pending signals", "the caller's"),
    ("status State", "chance"),
    ("status voluntary", "chance"),
    ("status nonvoluntary", "chance"),
    ("status Vm", "chance"),
    ("status Rss", "chance"),
    ("status SigQ", "chance"),
    ("status FDSize", "how many descriptors the process ever had"),
    ("status SigIgn", "runc keeps what the caller ignores"),
    ("status Cpus_allowed", "the same CPUs, in another form after a move between cgroups"),
];

/// What the payload prints: one `== name` line, then the lines of that part.
const PAYLOAD: &str = r#"
part() { echo "== $1"; }
part mount; cat /proc/self/mountinfo
part dev; stat -c '%n %F %t:%T %a %u %g' /dev /dev/* /dev/pts/ptmx
part link; for l in fd stdin stdout stderr ptmx core; do echo "$l $(readlink /dev/$l)"; done
part status; cat /proc/1/status
part limits; cat /proc/1/limits
part fd; for f in /proc/1/fd/*; do echo "$f $(readlink $f)"; done
part cgroup; cat /proc/self/cgroup
part env; env | sort
part id; id
part pwd; pwd
part uname; uname -n; cat /proc/sys/kernel/domainname
part map; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups
part net; ip addr
part oom; cat /proc/self/oom_score_adj
part session; cut -d ' ' -f 5,6,7 /proc/1/stat
part umask; umask
part args; tr '\0' ' ' </proc/1/cmdline; echo
part devices; cat /sys/fs/cgroup/devices/devices.list | sort
part root; stat -c '%n %F %a %u %g' / /*
part write; touch /new; echo x >/proc/sys/kernel/domainname; echo $?
exit 23
"#;

/// Everything that was seen of one container, by name.
type Fields = BTreeMap<String, String>;

/// Runs the bundle under one runtime and takes apart what the payload printed.
fn run(scene: &Scene, runtime: &Runtime, bundle: &Path) -> Fields {
    let id = "compared";
    let root = scene.directory(&format!("state-{}", runtime.kind().name()));
    let command = || {
        let files = scene.directory("out");
        Invocation::new(runtime.program(), files).arg("--root").arg(&root)
    };
    let outcome = command().args(["run", "--bundle"]).arg(bundle).arg(id).run();
    let mut fields = Fields::new();
    fields.insert("exit code".into(), format!("{:?}", outcome.code()));
    // A warning about the configuration is the runtime's own, and no part of the container.
    let said = outcome.stderr.lines().filter(|line| !line.starts_with("keel: warning: "));
    fields.insert("stderr".into(), said.collect::<Vec<_>>().join("\n"));
    let mut part = "";
    let mut number = 0;
    for line in outcome.stdout.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            (part, number) = (name, 0);
            continue;
        }
        number += 1;
        let (name, value) = field(part, line, number);
        fields.insert(name, value);
    }
    command().args(["create", "--bundle"]).arg(bundle).arg(id).run().ok();
    let state = command().args(["state", id]).run().ok().stdout;
    let state: Value = serde_json::from_str(&state).expect("JSON");
    for (name, value) in state.as_object().expect("an object") {
        fields.insert(format!("state.{name}"), value.to_string());
    }
    command().args(["delete", "--force", id]).run().ok();
    fields
}

/// The name and the value of a line in one part of the payload's output.
fn field(part: &str, line: &str, number: u32) -> (String, String) {
    match part {
        // Without the ids of the mount, of its parent and of its device.
        "mount" => {
            let words: Vec<&str> = line.split(' ').collect();
            let [_, _, _, root, point, rest @ ..] = &words[..] else {
                return (format!("mount {number}"), line.to_owned());
            };
            (format!("mount {point} "), format!("{root} {}", rest.join(" ")))
        }
        "status" => {
            let (name, value) = line.split_once(":\t").unwrap_or((line, ""));
            (format!("status {name}"), value.to_owned())
        }
        "limits" => {
            let name = line.split("  ").next().unwrap_or(line);
            (format!("limits {name}"), line.split_whitespace().collect::<Vec<_>>().join(" "))
        }
        "dev" | "link" | "cgroup" => {
            let name = line.split(' ').next().unwrap_or(line);
            (format!("{part} {name}"), line.to_owned())
        }
        _ => (format!("{part} {number}"), line.to_owned()),
    }
}

/// Fields that differ and are not explained.
fn unexplained(expected: &Fields, found: &Fields) -> Vec<String> {
    let names = expected.keys().chain(found.keys().filter(|name| !expected.contains_key(*name)));
    names
        .filter(|name| expected.get(*name) != found.get(*name))
        .filter(|name| !DIFFERENCES.iter().any(|(start, _why)| name.starts_with(start)))
        .map(|name| {
            format!("{name}:\n  runc: {:?}\n  here: {:?}", expected.get(name), found.get(name))
        })
        .collect()
}

/// Compares both runtimes on the bundle that `runc spec` writes, changed a little.
fn compare(change: impl FnOnce(&mut Value)) {
    let Some(scene) = Scene::needing(&[Need::Program("runc")]) else { return };
    let runc = Runtime::named("runc").expect("runc");
    let bundle = scene.bundle();
    bundle.save();
    let path = bundle.dir().join("config.json");
    fs::remove_file(&path).expect("remove");
    scene.call("runc").args(["spec", "--bundle"]).arg(bundle.dir()).run().ok();
    let mut config: Value =
        serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON from runc spec");
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = serde_json::json!(["sh", "-c", PAYLOAD]);
    config["linux"]["cgroupsPath"] = format!("{}/compared", scene.cgroup()).into();
    change(&mut config);
    integration::bundle::write(&path, config.to_string().as_bytes());
    let expected = run(&scene, &runc, bundle.dir());
    let found = run(&scene, scene.runtime(), bundle.dir());
    assert_eq!(expected["exit code"], "Some(23)", "{expected:#?}");
    assert!(expected.len() > 100, "the payload ran to its end: {expected:#?}");
    let differences = unexplained(&expected, &found);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn a_container_of_the_default_configuration_looks_the_same_as_under_runc() {
    compare(|_| ());
}

#[test]
fn a_container_of_another_user_looks_the_same_as_under_runc() {
    compare(|config| {
        config["process"]["user"] =
            serde_json::json!({ "uid": 1000, "gid": 1000, "additionalGids": [5, 6], "umask": 63 });
        config["process"]["cwd"] = "/tmp".into();
        config["process"]["oomScoreAdj"] = 100.into();
        config["root"]["readonly"] = false.into();
    });
}

#[test]
fn a_container_in_a_user_namespace_looks_the_same_as_under_runc() {
    compare(|config| {
        let map = serde_json::json!([{ "containerID": 0, "hostID": 0, "size": 65_536 }]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.push(serde_json::json!({ "type": "user" }));
        namespaces.push(serde_json::json!({ "type": "cgroup" }));
    });
}

#[test]
fn a_container_with_limits_looks_the_same_as_under_runc() {
    compare(|config| {
        config["linux"]["resources"] = serde_json::json!({
            "devices": [
                { "allow": false, "access": "rwm" },
                { "allow": true, "type": "c", "major": 10, "minor": 200, "access": "rw" }
            ],
            "memory": { "limit": 67_108_864 }, "pids": { "limit": 100 },
            "cpu": { "shares": 512, "cpus": "0" }
        });
        config["process"]["rlimits"] = serde_json::json!([
            { "type": "RLIMIT_NOFILE", "soft": 64, "hard": 128 },
            { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 }
        ]);
    });
}
