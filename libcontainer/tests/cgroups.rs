//! Cgroups for real: made, limited, entered, killed and removed in this machine's hierarchies.
//!
//! Needs root. What stands here needs hierarchies of cgroup v1; `v2` is the part for cgroup v2. Every
//! test makes its cgroups below one of its own, and one that cannot run says why.

#[path = "cgroups/scene.rs"]
mod scene;
#[path = "cgroups/v2.rs"]
mod v2;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use libcontainer::cgroup::Cgroup;
use libcontainer::task::cgroup::OnMissing;
use libcontainer::{Cgroups, ErrorKind};

use scene::{Guest, Top, not_root, read, skip, with_mounts, without_v1, write};

const LIMITS: &str = r#"{
    "memory": {"limit":33554432,"reservation":16777216,"swap":67108864,"swappiness":10,
               "disableOOMKiller":true},
    "cpu": {"shares":512,"quota":50000,"period":200000,"cpus":"0","idle":0},
    "pids": {"limit":20},
    "devices": [{"allow":false,"access":"rwm"},
                {"allow":true,"type":"c","major":10,"minor":229,"access":"rw"}]
}"#;

#[test]
fn limits_are_read_back_and_nothing_stays_behind() {
    if without_v1() {
        return;
    }
    let top = Top::new("limits");
    let plan = top.plan("a/b", LIMITS);
    let survey = Cgroup::survey(&plan).unwrap();
    assert_eq!(top.left(), Vec::<PathBuf>::new(), "a survey makes nothing");
    let recorded = Cgroup::from_json(&survey.cgroup().to_json()).unwrap();
    let open = survey.prepare().unwrap();
    assert_eq!(open.cgroup(), &recorded, "what was recorded before is what was made");
    assert_eq!(open.apply(&plan).unwrap(), []);
    let expected = [
        ("memory", "memory.limit_in_bytes", "33554432"),
        ("memory", "memory.memsw.limit_in_bytes", "67108864"),
        ("memory", "memory.soft_limit_in_bytes", "16777216"),
        ("memory", "memory.swappiness", "10"),
        ("cpu", "cpu.shares", "512"),
        ("cpu", "cpu.cfs_quota_us", "50000"),
        ("cpu", "cpu.cfs_period_us", "200000"),
        ("cpuset", "cpuset.cpus", "0"),
        ("pids", "pids.max", "20"),
    ];
    for (controller, file, value) in expected {
        assert_eq!(top.read(controller, "a/b", file), value, "{file}");
    }
    assert!(top.read("memory", "a/b", "memory.oom_control").starts_with("oom_kill_disable 1"));
    assert_ne!(top.read("cpuset", "a/b", "cpuset.mems"), "", "from the parent");
    assert_ne!(top.read("cpuset", "a", "cpuset.cpus"), "", "from its parent");
    let devices = top.read("devices", "a/b", "devices.list");
    assert!(devices.contains("c 10:229 rw") && devices.contains("c 136:* rwm"), "{devices}");
    assert!(!devices.contains("a *:*"), "{devices}");
    recorded.remove().unwrap();
    assert_eq!(top.left(), Vec::<PathBuf>::new());
    recorded.remove().unwrap();
}

#[test]
fn a_process_enters_every_hierarchy_and_is_found_killed_and_gone() {
    if without_v1() {
        return;
    }
    let top = Top::new("enter");
    let (open, _) = Cgroup::create(&top.plan("c", "{}")).unwrap();
    let mut guest = Guest::enter(&open, "sleep 100 & exec sleep 100");
    let entered = read(Path::new(&format!("/proc/{}/cgroup", guest.pid())));
    let path = format!("{}/c", top.path);
    assert!(entered.lines().all(|line| line.ends_with(&path)), "{entered}");
    let mut pids = Vec::new();
    while pids.len() < 2 {
        pids = open.cgroup().pids().unwrap();
    }
    assert!(pids.contains(&guest.pid()));
    assert!(!open.cgroup().frozen());
    open.cgroup().kill().unwrap();
    assert_eq!(guest.killed_by(), Some(9));
    open.cgroup().remove().unwrap();
    assert!(open.cgroup().pids().unwrap().is_empty());
    open.cgroup().kill().unwrap();
    assert_eq!(top.left(), Vec::<PathBuf>::new());
}

#[test]
fn cpu_is_entered_last() {
    if without_v1() {
        return;
    }
    let top = Top::new("order");
    let (open, _) = Cgroup::create(&top.plan("c", "{}")).unwrap();
    let files = open.entry_files().unwrap();
    let last = files.last().unwrap().as_raw_fd();
    let path = fs::read_link(format!("/proc/self/fd/{last}")).unwrap();
    assert_eq!(path, top.dir("cpu", "c").join("tasks"));
    assert_eq!(files.len(), open.cgroup().dirs().count());
    open.cgroup().remove().unwrap();
}

#[test]
fn a_cgroup_in_use_is_refused_and_left_alone() {
    if without_v1() {
        return;
    }
    let top = Top::new("used");
    let plan = top.plan("c", LIMITS);
    let (open, _) = Cgroup::create(&plan).unwrap();
    let guest = Guest::enter(&open, "exec sleep 100");
    let error = Cgroup::create(&plan).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.to_string().contains("a process is in it (config.json /linux/cgroupsPath)"));
    assert_eq!(open.cgroup().pids().unwrap(), [guest.pid()]);
    let parent = top.plan(".", "{}");
    let error = Cgroup::create(&parent).unwrap_err().to_string();
    assert!(error.contains("a process is in it"), "in a cgroup below: {error}");
    drop(guest);
    open.cgroup().remove().unwrap();
}

#[test]
fn an_empty_cgroup_is_used_and_a_frozen_one_is_not() {
    if without_v1() {
        return;
    }
    let top = Top::new("frozen");
    let plan = top.plan("c", "{}");
    let (first, _) = Cgroup::create(&plan).unwrap();
    let (second, _) = Cgroup::create(&plan).unwrap();
    assert!(second.cgroup().directories.iter().all(|directory| directory.made == 0));
    write(&top.dir("freezer", "c").join("freezer.state"), "FROZEN");
    assert!(first.cgroup().frozen());
    let error = Cgroup::create(&plan).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.to_string().contains("it is frozen"), "{error}");
    first.cgroup().thaw().unwrap();
    assert!(!first.cgroup().frozen());
    write(&top.dir("freezer", "").join("freezer.state"), "FROZEN");
    let error = Cgroup::create(&top.plan("d", "{}")).unwrap_err().to_string();
    assert!(error.contains("it is frozen"), "by the one above: {error}");
    assert!(!top.dir("freezer", "d").is_dir(), "and what was made is gone");
    write(&top.dir("freezer", "").join("freezer.state"), "THAWED");
    first.cgroup().remove().unwrap();
    assert_eq!(top.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_limit_that_cannot_be_set_leaves_nothing() {
    if not_root() {
        return;
    }
    let top = Top::new("fail");
    let plan = top.plan("a/b", r#"{"pids":{"limit":3},"cpu":{"cpus":"0-99999"}}"#);
    let error = Cgroup::create(&plan).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("cannot set cpuset.cpus to 0-99999: "), "{text}");
    assert!(text.ends_with("(config.json /linux/resources/cpu/cpus)"), "{text}");
    assert_eq!(top.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_failure_leaves_what_was_there_before() {
    if not_root() {
        return;
    }
    let top = Top::new("keep");
    let (first, _) = Cgroup::create(&top.plan("a", "{}")).unwrap();
    let bad = r#"{"cpu":{"cpus":"nonsense"}}"#;
    assert!(Cgroup::create(&top.plan("b", bad)).is_err());
    assert!(Cgroup::create(&top.plan("a", bad)).is_err());
    assert!(!top.dir("memory", "b").is_dir());
    assert!(top.dir("memory", "a").is_dir());
    first.cgroup().remove().unwrap();
    assert_eq!(top.left(), Vec::<PathBuf>::new());
}

#[test]
fn limits_that_depend_on_each_other_need_no_order() {
    if without_v1() {
        return;
    }
    let top = Top::new("order2");
    let memory = |limit: u32, swap: u32| {
        let resources = format!(r#"{{"memory":{{"limit":{limit},"swap":{swap}}}}}"#);
        Cgroup::create(&top.plan("c", &resources)).unwrap().0
    };
    let open = memory(4 << 20, 8 << 20);
    // The new limit is more than the old one of memory and swap, and the other way round.
    for (limit, swap) in [(16 << 20, 32 << 20), (4 << 20, 8 << 20)] {
        memory(limit, swap);
        assert_eq!(top.read("memory", "c", "memory.limit_in_bytes"), limit.to_string());
        assert_eq!(top.read("memory", "c", "memory.memsw.limit_in_bytes"), swap.to_string());
    }
    open.cgroup().remove().unwrap();
}

#[test]
fn files_that_the_kernel_lacks_are_replaced_or_told() {
    if without_v1() {
        return;
    }
    let top = Top::new("missing");
    let mut plan = top.plan("c", r#"{"blockIO":{"weight":500}}"#);
    let index = plan.writes.iter().position(|write| write.file == "blkio.weight").unwrap();
    let mut unknown = plan.writes[index].clone();
    unknown.file = "blkio.no_such_file".to_owned();
    unknown.missing = OnMissing::Warn;
    plan.writes.push(unknown.clone());
    let (open, warnings) = Cgroup::create(&plan).unwrap();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].pointer, "/linux/resources/blockIO/weight");
    let dir = top.dir("blkio", "c");
    let file = ["blkio.weight", "blkio.bfq.weight"].map(|name| dir.join(name));
    let file = file.iter().find(|path| path.is_file()).unwrap();
    assert!(read(file).contains("500"));
    open.cgroup().remove().unwrap();
    unknown.missing = OnMissing::Fail;
    plan.writes.push(unknown);
    let error = Cgroup::create(&plan).unwrap_err().to_string();
    assert!(error.contains("blkio.no_such_file to 500: no such file or directory"), "{error}");
}

#[test]
fn stragglers_and_cgroups_below_go_with_the_container() {
    if without_v1() {
        return;
    }
    let top = Top::new("below");
    let (open, _) = Cgroup::create(&top.plan("c", "{}")).unwrap();
    let mut guest = Guest::enter(&open, "exec sleep 100");
    for controller in ["memory", "pids", "freezer"] {
        let deep = top.dir(controller, "c").join("x/y/z");
        fs::create_dir_all(&deep).unwrap();
        fs::create_dir_all(top.dir(controller, "c/w")).unwrap();
        write(&deep.join("cgroup.procs"), &guest.pid().to_string());
    }
    write(&top.dir("freezer", "c").join("freezer.state"), "FROZEN");
    write(&top.dir("freezer", "c/x/y").join("freezer.state"), "FROZEN");
    open.cgroup().remove().unwrap();
    assert_eq!(guest.killed_by(), Some(9));
    assert_eq!(top.left(), Vec::<PathBuf>::new());
}

#[test]
fn without_v2_even_what_forks_all_the_time_is_killed() {
    let test = "without_v2_even_what_forks_all_the_time_is_killed";
    let script = "mountpoint -q /sys/fs/cgroup/unified && umount /sys/fs/cgroup/unified || true";
    if without_v1() || !with_mounts(test, script) {
        return;
    }
    let top = Top::new("forks");
    assert_eq!(top.facts.unified, None);
    let (open, _) = Cgroup::create(&top.plan("c", r#"{"pids":{"limit":60}}"#)).unwrap();
    assert!(open.unified_dir().unwrap().is_none());
    let forks = "for i in 1 2 3 4; do while :; do sleep 0.01; done & done; wait";
    for frozen in [false, true] {
        let mut guest = Guest::enter(&open, forks);
        while open.cgroup().pids().unwrap().len() < 6 {}
        if frozen {
            write(&top.dir("freezer", "c").join("freezer.state"), "FROZEN");
        }
        open.cgroup().kill().unwrap();
        assert_eq!(guest.killed_by(), Some(9));
        assert!(!open.cgroup().frozen());
        std::thread::sleep(Duration::from_millis(100));
        assert!(open.cgroup().pids().unwrap().is_empty(), "nothing was born meanwhile");
    }
    open.cgroup().remove().unwrap();
    assert_eq!(top.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_tree_deeper_than_there_are_descriptors_is_removed() {
    if without_v1() {
        return;
    }
    let top = Top::new("deep");
    let (open, _) = Cgroup::create(&top.plan("c", "{}")).unwrap();
    let script = "cd \"$1\" && i=0 && while [ $i -lt 1500 ]; do mkdir d && cd -P d || exit 1; \
                  i=$((i+1)); done";
    let systemd = top.facts.legacy.iter().find(|h| h.name.starts_with("name="));
    let Some(named) = systemd else {
        skip("no hierarchy without controllers");
        return;
    };
    let dir = named.mount.join(top.path.trim_start_matches('/')).join("c");
    let made = Command::new("/bin/sh").args(["-c", script, "sh"]).arg(&dir).status().unwrap();
    assert!(made.success());
    assert!(open.cgroup().pids().unwrap().is_empty());
    open.cgroup().remove().unwrap();
    assert_eq!(top.left(), Vec::<PathBuf>::new());
}

#[test]
fn directories_above_go_with_the_last_container_below() {
    if not_root() {
        return;
    }
    let top = Top::new("shared");
    let (first, _) = Cgroup::create(&top.plan("p/a", "{}")).unwrap();
    let (second, _) = Cgroup::create(&top.plan("p/b", "{}")).unwrap();
    assert!(first.cgroup().directories.iter().all(|directory| directory.made == 3));
    assert!(second.cgroup().directories.iter().all(|directory| directory.made == 1));
    first.cgroup().remove().unwrap();
    assert!(top.dir("memory", "p/b").is_dir());
    second.cgroup().remove().unwrap();
    assert!(top.dir("memory", "p").is_dir(), "the second found it there");
}

#[test]
fn containers_come_and_go_at_once_below_one_parent() {
    if not_root() {
        return;
    }
    let top = Top::new("race");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let top = &top;
            scope.spawn(move || {
                for _ in 0..10 {
                    let plan = top.plan(&format!("p/q/c{thread}"), r#"{"pids":{"limit":9}}"#);
                    let (open, _) = Cgroup::create(&plan).unwrap();
                    open.cgroup().remove().unwrap();
                }
            });
        }
    });
}

#[test]
fn a_symbolic_link_in_place_of_a_hierarchy_is_not_taken_for_it() {
    let script = "cd /sys/fs/cgroup && mkdir /dev/shm/keel-$$ && mount --move . /dev/shm/keel-$$ && \
                  mount -t tmpfs none /sys/fs/cgroup && cd /sys/fs/cgroup && mkdir other devices && \
                  mount --bind /dev/shm/keel-$$/memory other && ln -s other memory && \
                  mount --bind /dev/shm/keel-$$/devices devices && \
                  umount -l /dev/shm/keel-$$ && rmdir /dev/shm/keel-$$";
    if without_v1()
        || !with_mounts("a_symbolic_link_in_place_of_a_hierarchy_is_not_taken_for_it", script)
    {
        return;
    }
    let facts = Cgroups::probe().unwrap();
    let mount = |name: &str| {
        let hierarchy = facts.legacy.iter().find(|hierarchy| hierarchy.name == name);
        hierarchy.map(|hierarchy| hierarchy.mount.clone())
    };
    assert_eq!(mount("memory"), Some("/sys/fs/cgroup/other".into()));
    assert_eq!(mount("devices"), Some("/sys/fs/cgroup/devices".into()));
    assert_eq!(mount("pids"), None, "not mounted here");
    let top = Top::new("link");
    let plan = top.plan("c", r#"{"memory":{"limit":33554432}}"#);
    let (open, _) = Cgroup::create(&plan).unwrap();
    assert_eq!(top.read("memory", "c", "memory.limit_in_bytes"), "33554432");
    open.cgroup().remove().unwrap();
}

#[test]
fn the_outcome_is_that_of_runc() {
    if without_v1() {
        return;
    }
    let busybox = Path::new("/bin/busybox");
    if Command::new("runc").arg("--version").output().is_err() || !busybox.is_file() {
        skip("runc and a static busybox are needed");
        return;
    }
    let top = Top::new("runc");
    let bundle = std::env::temp_dir().join(format!("keel-runc-{}", std::process::id()));
    fs::create_dir_all(bundle.join("rootfs/bin")).unwrap();
    fs::copy(busybox, bundle.join("rootfs/bin/true")).unwrap();
    let run = |args: &[&str]| {
        let status =
            Command::new("runc").args(args).current_dir(&bundle).stdout(Stdio::null()).status();
        assert!(status.unwrap().success(), "runc {args:?}");
    };
    run(&["spec"]);
    let config = bundle.join("config.json");
    let mut json: serde_json::Value = serde_json::from_str(&read(&config)).unwrap();
    json["process"]["args"] = serde_json::json!(["/bin/true"]);
    json["process"]["terminal"] = false.into();
    json["linux"]["cgroupsPath"] = format!("{}/runc", top.path).into();
    json["linux"]["resources"] = serde_json::from_str(LIMITS).unwrap();
    fs::remove_file(&config).unwrap();
    let mut file = OpenOptions::new().write(true).create_new(true).open(&config).unwrap();
    file.write_all(json.to_string().as_bytes()).unwrap();
    let id = format!("keel-test-{}", std::process::id());
    run(&["create", &id]);
    let (open, _) = Cgroup::create(&top.plan("keel", LIMITS)).unwrap();
    let files = [
        ("memory", "memory.limit_in_bytes"),
        ("memory", "memory.memsw.limit_in_bytes"),
        ("memory", "memory.soft_limit_in_bytes"),
        ("memory", "memory.swappiness"),
        ("memory", "memory.kmem.tcp.limit_in_bytes"),
        ("cpu", "cpu.shares"),
        ("cpu", "cpu.cfs_quota_us"),
        ("cpu", "cpu.cfs_period_us"),
        ("cpuset", "cpuset.cpus"),
        ("cpuset", "cpuset.mems"),
        ("pids", "pids.max"),
        ("devices", "devices.list"),
    ];
    let values = |name: &str| files.map(|(controller, file)| top.read(controller, name, file));
    let (ours, theirs) = (values("keel"), values("runc"));
    run(&["delete", "--force", &id]);
    open.cgroup().remove().unwrap();
    fs::remove_dir_all(&bundle).unwrap();
    assert_eq!(ours, theirs);
}
