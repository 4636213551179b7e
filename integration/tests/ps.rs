//! `ps`: every process of a container, wherever below its cgroup, as the host's ps shows them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use integration::bundle::write;
use integration::cgroups::Layout;
use integration::runtime::until;
use integration::{Container, Need, Scene};

/// The pids that `ps --format json` tells.
#[track_caller]
fn pids(container: &Container<'_>) -> BTreeSet<i32> {
    let text = container.call(&["ps", "--format", "json"]).ok().stdout;
    let list: Option<Vec<i32>> =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
    let list = list.unwrap_or_default();
    let set: BTreeSet<i32> = list.iter().copied().collect();
    assert_eq!(set.len(), list.len(), "twice: {text}");
    set
}

/// The directories of a cgroup in all hierarchies.
fn directories(cgroup: &str) -> Vec<PathBuf> {
    let layout = Layout::here();
    let below = |top: &std::path::Path| top.join(cgroup.trim_start_matches('/'));
    layout.hierarchies().into_iter().map(below).filter(|dir| dir.is_dir()).collect()
}

/// The pids in the cgroup of a container, as the kernel lists them.
fn listed(cgroup: &str) -> BTreeSet<i32> {
    let layout = Layout::here();
    let text = layout.read("pids", cgroup, "cgroup.procs");
    text.lines().map(|pid| pid.parse().expect("a pid")).collect()
}

#[test]
fn json_is_the_list_of_all_pids_on_the_host() {
    let Some(scene) = Scene::needing(&[Need::Controller("pids")]) else { return };
    let bundle = scene.bundle().sh("sleep 1000 & sleep 1000 & echo ready; exec sleep 1000");
    let container = scene.start(&bundle);
    container.expect("ready");
    scene.keel(["exec", "--detach", container.id(), "sleep", "1000"]).run().ok();
    let all = pids(&container);
    assert_eq!(all, listed(bundle.cgroup()));
    assert_eq!(all.len(), 4, "its own, two children, and one that joined");
    assert!(all.contains(&container.pid()));
}

#[test]
fn the_table_has_the_heading_and_the_rows_of_the_container() {
    let Some(scene) = Scene::needing(&[Need::Program("ps")]) else { return };
    let container = scene.start(&scene.bundle().sh("sleep 4711 & echo ready; exec sleep 1000"));
    container.expect("ready");
    let own = container.pid();
    let table = |options: &[&str]| {
        let words = [&["ps", container.id()], options].concat();
        scene.keel(words).run().ok().stdout
    };
    let full = table(&[]);
    let lines: Vec<&str> = full.lines().collect();
    assert!(lines[0].contains("UID") && lines[0].contains("PPID") && lines.len() == 3, "{full}");
    let shell = "the shell has become sleep";
    until(shell, || table(&["-e", "-o", "pid,args"]).contains(&format!("{own} sleep 1000")));
    let chosen = table(&["-e", "-o", "pid,args"]);
    let lines: Vec<&str> = chosen.lines().map(str::trim).collect();
    assert_eq!((lines[0], lines.len()), ("PID COMMAND", 3), "{chosen}");
    assert!(lines.contains(&format!("{own} sleep 1000").as_str()), "{chosen}");
    assert!(lines.iter().any(|line| line.ends_with("sleep 4711")), "{chosen}");
    // Options behind the id are those of ps, whatever this program calls its own.
    let words = table(&["-e", "--format", "pid,comm"]);
    assert_eq!(words.lines().next().map(str::trim), Some("PID COMMAND"));
    assert!(words.contains(&own.to_string()), "{words}");
}

#[test]
fn processes_in_cgroups_below_count() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sh("sleep 1000 & echo ready; exec sleep 1000");
    let container = scene.start(&bundle);
    container.expect("ready");
    let all = pids(&container);
    let child = all.iter().find(|pid| **pid != container.pid()).copied().expect("a child");
    for dir in directories(bundle.cgroup()) {
        let deep = dir.join("deep/er");
        fs::create_dir_all(&deep).expect("mkdir");
        // A new cpuset of v1 is empty, and takes no process.
        if deep.join("cpuset.cpus").is_file() {
            for (dir, above) in [(dir.join("deep"), dir.clone()), (deep.clone(), dir.join("deep"))]
            {
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    let value = fs::read_to_string(above.join(file)).expect("a cpuset");
                    write(&dir.join(file), value.as_bytes());
                }
            }
        }
        write(&deep.join("cgroup.procs"), child.to_string().as_bytes());
    }
    assert_eq!(pids(&container), all);
    if integration::skip::program("ps").is_some() {
        let table = container.call(&["ps"]).ok().stdout;
        assert_eq!(table.lines().count(), 3, "{table}");
    }
    container.end();
}

#[test]
fn threads_of_a_process_are_that_process() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Path("/sys/fs/cgroup/unified")]) else {
        return;
    };
    let bundle = scene.bundle().sleeping();
    let container = scene.start(&bundle);
    // A threaded cgroup below: its processes are listed at the top of the threaded tree alone.
    let dir = PathBuf::from("/sys/fs/cgroup/unified").join(bundle.cgroup().trim_start_matches('/'));
    let threaded = dir.join("threads");
    fs::create_dir(&threaded).expect("mkdir");
    write(&threaded.join("cgroup.type"), b"threaded");
    let pid = container.pid();
    write(&threaded.join("cgroup.threads"), pid.to_string().as_bytes());
    assert_eq!(pids(&container), BTreeSet::from([pid]));
    container.end();
}

#[test]
fn a_container_that_has_stopped_has_none() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().args(["true"]));
    container.until("stopped");
    assert_eq!(container.call(&["ps", "--format", "json"]).ok().stdout, "null\n");
    if integration::skip::program("ps").is_some() {
        assert_eq!(container.call(&["ps"]).ok().stdout.lines().count(), 1);
    }
    container.delete();
    container.call(&["ps"]).refused().says(&["does not exist"]);
}

#[test]
fn without_the_hosts_ps_there_is_no_table() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().sleeping());
    let empty = scene.directory("empty");
    let outcome = scene.keel(["ps", container.id()]).env("PATH", &empty).run();
    outcome.refused().says(&["cannot run ps: no such file or directory", "not found in $PATH"]);
    let outcome = scene.keel(["ps", "-f", "json", container.id()]).env("PATH", &empty).run();
    assert_eq!(outcome.ok().stdout, format!("[{}]\n", container.pid()));
}

#[test]
fn what_ps_cannot_tell_is_an_error() {
    let Some(scene) = Scene::needing(&[Need::Program("ps")]) else { return };
    let container = scene.start(&scene.bundle().sleeping());
    let ps = |options: &[&str]| scene.keel([&["ps", container.id()], options].concat()).run();
    ps(&["-e", "-o", "comm"]).refused().says(&["PID"]);
    ps(&["-e", "-o", "pid="]).refused().says(&["PID"]);
    ps(&["--no-such-option"]).refused().says(&["unknown gnu long option"]);
}

#[test]
fn without_a_cgroup_they_are_those_of_the_pid_namespace() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let own = scene.bundle().unset("/linux/cgroupsPath");
    let script = "sleep 1000 & echo ready; exec sleep 1000";
    let run = |bundle: &integration::Bundle, id: &str| {
        bundle.save();
        let dir = bundle.dir().display().to_string();
        let words = ["--cgroup-manager", "disabled", "run", "-d", "--bundle", &dir, id];
        scene.keel(words).run().ok();
    };
    let (bundle, id) = (own.sh(script), scene.id());
    run(&bundle, &id);
    scene.keel(["exec", "--detach", &id, "sleep", "1000"]).run().ok();
    let list = || -> Vec<i32> {
        let text = scene.keel(["ps", "--format", "json", &id]).run().ok().stdout;
        serde_json::from_str(&text).expect("a list")
    };
    until("three processes", || list().len() == 3);
    for pid in list() {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
        let inside = status.lines().find(|line| line.starts_with("NSpid:")).expect("NSpid");
        assert_eq!(inside.split_whitespace().count(), 3, "in one namespace below: {inside}");
    }
    scene.keel(["delete", "--force", &id]).run().ok();

    let bundle = scene.bundle().unset("/linux/cgroupsPath").without_namespace("pid").sleeping();
    let id = scene.id();
    run(&bundle, &id);
    let outcome = scene.keel(["ps", "--format", "json", &id]).run();
    outcome.refused().says(&["neither a cgroup nor a PID namespace"]);
    scene.keel(["delete", "--force", &id]).run().ok();
}
