//! Cgroup v2, on any machine: these tests run this program again in a mount namespace of their own,
//! where cgroup v2 is mounted over everything else, so that the machine looks like one without v1.
//! What can be limited there depends on which controllers v1 has left over.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use libcontainer::cgroup::{Cgroup, Open};
use libcontainer::task::cgroup::CgroupUpdate;

use crate::scene::{Guest, Top, on_v2, skip, write};

#[test]
fn alone_it_has_one_place_with_its_limits() {
    if !on_v2("v2::alone_it_has_one_place_with_its_limits") {
        return;
    }
    let top = Top::new("v2");
    let unified = top.facts.unified.as_ref().unwrap();
    assert!(top.facts.legacy.is_empty());
    if !unified.controllers.iter().any(|c| c == "hugetlb") {
        skip("cgroup v2 has no controller hugetlb here");
        return;
    }
    let plan = top.plan("a/b", r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#);
    let (open, warnings) = Cgroup::create(&plan).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(open.entry_files().unwrap().len(), 0);
    assert_eq!(top.read("", "a/b", "hugetlb.2MB.max"), "4194304");
    assert_eq!(top.read("", "a/b", "hugetlb.2MB.rsvd.max"), "4194304");
    open.cgroup().remove().unwrap();
    assert_eq!(top.left(), Vec::<PathBuf>::new());
    let plan = top.plan("a", r#"{"hugepageLimits":[{"pageSize":"3KB","limit":1}]}"#);
    let error = Cgroup::create(&plan).unwrap_err().to_string();
    assert!(error.contains("hugetlb.3KB.max to 1: no such file or directory"), "{error}");
    assert_eq!(top.left(), Vec::<PathBuf>::new());
}

#[test]
fn it_kills_and_removes_frozen_trees() {
    if !on_v2("v2::it_kills_and_removes_frozen_trees") {
        return;
    }
    let top = Top::new("v2kill");
    let plan = top.plan("c", "{}");
    let (open, _) = Cgroup::create(&plan).unwrap();
    let mut guest = Guest::enter(&open, "sleep 100 & exec sleep 100");
    let error = Cgroup::create(&plan).unwrap_err().to_string();
    assert!(error.contains("in it (config.json /linux/cgroupsPath)"), "{error}");
    fs::create_dir_all(top.dir("", "c/x/y")).unwrap();
    write(&top.dir("", "c").join("cgroup.freeze"), "1");
    assert!(open.cgroup().frozen());
    open.cgroup().remove().unwrap();
    assert_eq!(guest.killed_by(), Some(9));
    assert_eq!(top.left(), Vec::<PathBuf>::new());
}

#[test]
fn it_refuses_what_no_process_can_enter() {
    if !on_v2("v2::it_refuses_what_no_process_can_enter") {
        return;
    }
    let top = Top::new("v2bad");
    let (open, _) = Cgroup::create(&top.plan("c", "{}")).unwrap();
    write(&top.dir("", "").join("cgroup.freeze"), "1");
    let error = Cgroup::create(&top.plan("c", "{}")).unwrap_err().to_string();
    assert!(error.contains("it is frozen"), "{error}");
    write(&top.dir("", "").join("cgroup.freeze"), "0");
    open.cgroup().remove().unwrap();
    fs::create_dir_all(top.dir("", "t")).unwrap();
    write(&top.dir("", "t").join("cgroup.type"), "threaded");
    let error = Cgroup::create(&top.plan("d", "{}")).unwrap_err().to_string();
    assert!(error.contains("its type is \"domain invalid\""), "{error}");
    assert!(!top.dir("", "d").is_dir());
}

#[test]
fn it_says_who_keeps_a_controller_from_a_container() {
    if !on_v2("v2::it_says_who_keeps_a_controller_from_a_container") {
        return;
    }
    let top = Top::new("v2busy");
    if !top.facts.unified.as_ref().unwrap().controllers.iter().any(|c| c == "hugetlb") {
        skip("cgroup v2 has no controller hugetlb here");
        return;
    }
    let (open, _) = Cgroup::create(&top.plan("p", "{}")).unwrap();
    let guest = Guest::enter(&open, "exec sleep 100");
    let limit = r#"{"hugepageLimits":[{"pageSize":"2MB","limit":0}]}"#;
    let error = Cgroup::create(&top.plan("p/c", limit)).unwrap_err().to_string();
    assert!(error.contains("cannot enable controller hugetlb in cgroup"), "{error}");
    assert!(error.contains("which holds processes"), "{error}");
    assert!(!top.dir("", "p/c").is_dir());
    let (below, _) = Cgroup::create(&top.plan("p/c", "{}")).unwrap();
    assert_eq!(top.read("", "p/c", "cgroup.type"), "domain", "and it can be entered");
    drop(Guest::enter(&below, "exec sleep 100"));
    below.cgroup().remove().unwrap();
    drop(guest);
    open.cgroup().remove().unwrap();
}

/// What a process in the cgroup can open for reading and writing, and whether it can make a node.
fn access(open: &Open, nodes: &Path) -> String {
    let script = format!(
        "cd {} && for n in null kmsg full; do (: <>$n) 2>/dev/null && echo $n; done; \
         mknod made b 240 99 && echo made; rm -f made; echo end",
        nodes.display()
    );
    let mut guest = Guest::enter(open, &script);
    let mut text = String::new();
    guest.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn programs_decide_about_devices_and_replace_each_other() {
    if !on_v2("v2::programs_decide_about_devices_and_replace_each_other") {
        return;
    }
    let top = Top::new("v2dev");
    let nodes = std::env::temp_dir().join(format!("keel-nodes-{}", std::process::id()));
    fs::create_dir_all(&nodes).unwrap();
    let script = "cd \"$1\" && mknod null c 1 3 && mknod kmsg c 1 11 && mknod full c 1 7";
    let made = Command::new("/bin/sh").args(["-c", script, "sh"]).arg(&nodes).status().unwrap();
    assert!(made.success());
    let create = |rules: &str| {
        let plan = top.plan("c", &format!(r#"{{"devices":[{rules}]}}"#));
        assert!(plan.device_program.is_some());
        Cgroup::create(&plan).unwrap().0
    };
    let open = create("");
    assert_eq!(access(&open, &nodes), "null full made end");
    let all = r#"{"allow":true,"access":"rwm"}"#;
    create(all);
    assert_eq!(access(&open, &nodes), "null kmsg full made end", "instead of, not beside");
    create(&format!(r#"{all},{{"allow":false,"type":"c","major":1,"minor":11,"access":"w"}}"#));
    assert_eq!(access(&open, &nodes), "null full made end");
    create(r#"{"allow":true,"type":"c","major":1,"minor":11,"access":"r"}"#);
    assert_eq!(access(&open, &nodes), "null full made end", "read is not read and write");
    for _ in 0..100 {
        create(r#"{"allow":true,"type":"c","major":1,"minor":11,"access":"rw"}"#);
    }
    assert_eq!(access(&open, &nodes), "null kmsg full made end", "after more than can be attached");
    open.cgroup().remove().unwrap();
    fs::remove_dir_all(&nodes).unwrap();
}

/// How many eBPF programs the kernel has loaded: each has memory of its own.
fn loaded_programs() -> usize {
    let text = crate::scene::read(Path::new("/proc/vmallocinfo"));
    text.lines().filter(|line| line.contains("bpf_prog_alloc")).count()
}

#[test]
fn ten_thousand_updates_leave_no_program_behind() {
    /// What tests beside this one may have loaded meanwhile.
    const OTHERS: usize = 100;
    if !on_v2("v2::ten_thousand_updates_leave_no_program_behind") {
        return;
    }
    let top = Top::new("v2many");
    let rules = [
        r#"{"devices":[{"allow":false,"access":"rwm"}]}"#,
        r#"{"devices":[{"allow":true,"type":"c","major":1,"minor":11,"access":"r"}]}"#,
    ];
    let plans = rules.map(|rules| top.plan("c", rules));
    let before = loaded_programs();
    let (open, _) = Cgroup::create(&plans[0]).unwrap();
    let create = |i| Cgroup::create(&top.plan(&format!("seen-{i}"), rules[0])).unwrap().0;
    let many: Vec<Open> = (0..3 * OTHERS).map(create).collect();
    assert!(loaded_programs() > before + OTHERS, "those that are loaded are seen");
    many.iter().for_each(|open| open.cgroup().remove().unwrap());
    for plan in plans.iter().cycle().take(10_000) {
        let update = CgroupUpdate { plan: plan.clone(), ..CgroupUpdate::default() };
        open.cgroup().update(&update).unwrap();
    }
    let patience = Instant::now() + Duration::from_secs(30);
    // The kernel frees a program some time after its last user is gone.
    while loaded_programs() > before + OTHERS && Instant::now() < patience {
        sleep(Duration::from_millis(50));
    }
    let after = loaded_programs();
    assert!(after <= before + OTHERS, "{before} programs before, {after} after");
    open.cgroup().remove().unwrap();
}

#[test]
fn every_controller_that_is_there_gets_its_limits() {
    if !on_v2("v2::every_controller_that_is_there_gets_its_limits") {
        return;
    }
    let top = Top::new("v2all");
    let parts = [
        ("memory", r#""memory":{"limit":33554432,"swap":67108864,"reservation":16777216}"#),
        ("cpu", r#""cpu":{"shares":512,"quota":50000,"period":200000,"burst":1000}"#),
        ("pids", r#""pids":{"limit":0}"#),
        ("io", r#""blockIO":{"weight":500}"#),
    ];
    let there =
        |name: &str| top.facts.unified.as_ref().unwrap().controllers.iter().any(|c| c == name);
    let (known, absent): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(name, _)| there(name));
    let members: Vec<_> = known.iter().map(|(_, part)| *part).collect();
    if !absent.is_empty() {
        let absent: Vec<_> = absent.iter().map(|(name, _)| *name).collect();
        skip(&format!("cgroup v2 has no controllers {} here", absent.join(", ")));
    }
    let (open, warnings) =
        Cgroup::create(&top.plan("a/b", &format!("{{{}}}", members.join(",")))).unwrap();
    let expected = [
        ("memory.max", "33554432"),
        ("memory.swap.max", "33554432"),
        ("memory.low", "16777216"),
        ("cpu.weight", "59"),
        ("cpu.max", "50000 200000"),
        ("cpu.max.burst", "1000"),
        ("pids.max", "1"),
    ];
    for (file, value) in expected.iter().filter(|(file, _)| there(file.split('.').next().unwrap()))
    {
        assert_eq!(top.read("", "a/b", file), *value, "{file}");
    }
    if there("io") {
        let file = ["io.bfq.weight", "io.weight"].map(|name| top.dir("", "a/b").join(name));
        let file = file.iter().find(|path| path.is_file()).unwrap();
        let weight = crate::scene::read(file);
        assert!(weight == "default 500" || weight == "default 4950", "{weight}");
    }
    assert_eq!(warnings, []);
    open.cgroup().remove().unwrap();
    assert_eq!(top.left(), Vec::<PathBuf>::new());
}

#[test]
fn limits_that_depend_on_each_other_are_set_in_an_old_cgroup_too() {
    if !on_v2("v2::limits_that_depend_on_each_other_are_set_in_an_old_cgroup_too") {
        return;
    }
    let top = Top::new("v2old");
    if !top.facts.unified.as_ref().unwrap().controllers.iter().any(|c| c == "cpu") {
        skip("cgroup v2 has no controller cpu here");
        return;
    }
    let create =
        |cpu: &str| Cgroup::create(&top.plan("c", &format!(r#"{{"cpu":{cpu}}}"#))).unwrap().0;
    let open = create(r#"{"idle":1,"quota":5000,"period":100000,"burst":5000}"#);
    create(r#"{"idle":0,"shares":2048,"quota":2000,"period":100000,"burst":2000}"#);
    assert_eq!(top.read("", "c", "cpu.weight"), "174");
    assert_eq!(top.read("", "c", "cpu.max"), "2000 100000");
    assert_eq!(top.read("", "c", "cpu.max.burst"), "2000");
    open.cgroup().remove().unwrap();
}
