//! When and on what a container's processes run: scheduling policies, I/O priorities, memory
//! policies and execution domains, of the first process and of further ones.

use std::fs;

use integration::cgroups::Layout;
use integration::{Bundle, Container, Edit, Need, Outcome, Scene, User};
use serde_json::{Value, json};

/// The first id of the user namespaces here, on the host.
const BASE: u32 = 100_000;

/// Nice value, real-time priority and policy of the process that reads them.
const SCHEDULING: &str = "cut -d ' ' -f 19,40,41 /proc/self/stat";

/// What the mounted memory of the process that reads it comes from.
const POLICY: &str = "head -n 1 /proc/self/numa_maps | cut -d ' ' -f 2";

fn exec(scene: &Scene, container: &Container<'_>, script: &str) -> Outcome {
    scene.keel(["exec", container.id(), "sh", "-c", script]).run()
}

/// Runs another process with a document in which one member is set.
fn exec_with(
    scene: &Scene,
    container: &Container<'_>,
    name: &str,
    value: Value,
    script: &str,
) -> Outcome {
    let mut process = json!({ "args": ["sh", "-c", script], "cwd": "/", "user": {} });
    process["env"] = json!(["PATH=/bin"]);
    process[name] = value;
    let path = scene.dir().join(scene.id());
    integration::bundle::write(&path, process.to_string().as_bytes());
    scene.keel(["exec", "--process", path.to_str().expect("UTF-8"), container.id()]).run()
}

/// A bundle whose cgroup has time for real-time processes, where cgroup v1 gives it away.
fn real_time(scene: &Scene) -> Bundle {
    let layout = Layout::here();
    let parent = layout.is_v1("cpu").then(|| layout.dir("cpu", &scene.cgroup()));
    let Some(parent) = parent.filter(|dir| has_real_time(dir.parent().expect("a root"))) else {
        return scene.bundle();
    };
    fs::create_dir_all(&parent).expect("a cgroup");
    integration::bundle::write(&parent.join("cpu.rt_runtime_us"), b"50000");
    scene.bundle().set("/linux/resources/cpu", json!({ "realtimeRuntime": 20_000 }))
}

fn has_real_time(cgroup: &std::path::Path) -> bool {
    fs::metadata(cgroup.join("cpu.rt_runtime_us")).is_ok()
}

#[test]
fn a_scheduling_policy_applies_to_the_first_process_and_to_those_that_are_added() {
    let Some(scene) = Scene::begin() else { return };
    for edit in [(|bundle| bundle) as Edit, |bundle| bundle.without_namespace("pid")] {
        let batch = json!({ "policy": "SCHED_BATCH", "nice": 5 });
        let script = format!("{SCHEDULING}; exec sleep 1000");
        let bundle = edit(scene.bundle()).set("/process/scheduler", batch).sh(script);
        let container = scene.start(&bundle);
        container.expect("\n");
        assert_eq!(container.output(), "5 0 3\n");
        assert_eq!(exec(&scene, &container, SCHEDULING).ok().stdout, "5 0 3\n");
        let with = |scheduler| exec_with(&scene, &container, "scheduler", scheduler, SCHEDULING);
        assert_eq!(with(json!({ "policy": "SCHED_IDLE" })).ok().stdout, "0 0 5\n");
        let other = json!({ "policy": "SCHED_OTHER", "nice": -7 });
        assert_eq!(with(other).ok().stdout, "-7 0 0\n");
        container.end();
    }
}

#[test]
fn real_time_needs_no_privilege_of_the_container() {
    let Some(scene) = Scene::begin() else { return };
    for edit in [(|bundle| bundle) as Edit, |bundle| bundle.mapped(BASE)] {
        let fifo = json!({ "policy": "SCHED_FIFO", "priority": 5 });
        let bundle = edit(real_time(&scene))
            .set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
            .set("/process/scheduler", fifo)
            .sh(format!("{SCHEDULING}; sleep 1000"));
        let container = scene.start(&bundle);
        container.expect("\n");
        assert_eq!(container.output(), "0 5 1\n");
        let rr = json!({ "policy": "SCHED_RR", "priority": 99 });
        assert_eq!(
            exec_with(&scene, &container, "scheduler", rr, SCHEDULING).ok().stdout,
            "0 99 2\n"
        );
        container.end();
    }
}

#[test]
fn children_begin_with_the_usual_policy_if_the_flag_says_so() {
    let Some(scene) = Scene::begin() else { return };
    let scheduler = json!({
        "policy": "SCHED_RR", "priority": 7, "flags": ["SCHED_FLAG_RESET_ON_FORK"]
    });
    // The shell is the process, and what it runs a child of it.
    let script = "cut -d ' ' -f 40,41 /proc/$$/stat; cut -d ' ' -f 40,41 /proc/self/stat; true";
    let bundle = real_time(&scene).set("/process/scheduler", scheduler.clone());
    let container = scene.start(&bundle.sh(format!("{script}; sleep 1000")));
    container.expect("\n0 0\n");
    assert_eq!(container.output(), "7 2\n0 0\n");
    assert_eq!(exec(&scene, &container, script).ok().stdout, "7 2\n0 0\n");
    container.end();
}

#[test]
fn a_deadline_is_kept_in_each_period() {
    let Some(scene) = Scene::needing(&[Need::Program("chrt")]) else { return };
    let told = |pid: i32| scene.call("chrt").args(["--pid", &pid.to_string()]).run().ok().stdout;
    let times = json!({
        "policy": "SCHED_DEADLINE", "runtime": 2_000_000, "deadline": 50_000_000,
        "period": 100_000_000
    });
    for edit in [(|bundle| bundle) as Edit, |bundle| bundle.mapped(BASE)] {
        let bundle = edit(scene.bundle()).set("/process/scheduler", times.clone());
        let container = scene.start(&bundle.sleeping());
        let first = told(container.pid());
        assert!(first.contains("SCHED_DEADLINE\n"), "{first}");
        assert!(first.contains("2000000/50000000/100000000"), "{first}");
        // A period is as long as the deadline if nothing else is said.
        let scheduler = json!({
            "policy": "SCHED_DEADLINE", "runtime": 2_000_000, "deadline": 70_000_000,
            "flags": ["SCHED_FLAG_RECLAIM", "SCHED_FLAG_RESET_ON_FORK"]
        });
        let script = "cut -d ' ' -f 41 /proc/$$/stat";
        let added = exec_with(&scene, &container, "scheduler", scheduler, script).ok().stdout;
        assert_eq!(added, "6\n");
        container.end();
    }
}

#[test]
fn scheduling_that_cannot_be_is_refused_and_leaves_nothing() {
    let Some(scene) = Scene::begin() else { return };
    fn with(bundle: Bundle, scheduler: Value) -> Bundle {
        bundle.set("/process/scheduler", scheduler)
    }
    scene.refused_each(&[
        ("no policy", |b| with(b, json!({ "nice": 1 }))),
        ("an unknown policy", |b| with(b, json!({ "policy": "SCHED_MOON" }))),
        ("a policy that no kernel has", |b| with(b, json!({ "policy": "SCHED_ISO" }))),
        ("a nice value", |b| with(b, json!({ "policy": "SCHED_OTHER", "nice": 20 }))),
        ("no priority", |b| with(b, json!({ "policy": "SCHED_FIFO" }))),
        ("a priority", |b| with(b, json!({ "policy": "SCHED_RR", "priority": 100 }))),
        ("a priority of none", |b| with(b, json!({ "policy": "SCHED_BATCH", "priority": 1 }))),
        ("a time of none", |b| with(b, json!({ "policy": "SCHED_OTHER", "runtime": 5000 }))),
        ("no time", |b| with(b, json!({ "policy": "SCHED_DEADLINE" }))),
        ("a flag", |b| with(b, json!({ "policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_MOON"] }))),
        // The host's limits of a period end at some seconds.
        ("a period", |b| {
            let (runtime, period) = (1_000_000_u64, 3_600_000_000_000_u64);
            let times = json!({ "runtime": runtime, "deadline": period, "period": period });
            let with = with(b, json!({ "policy": "SCHED_DEADLINE" }));
            ["runtime", "deadline", "period"].iter().fold(with, |bundle, name| {
                bundle.set(&format!("/process/scheduler/{name}"), times[name].clone())
            })
        }),
    ]);
}

#[test]
fn what_the_kernel_refuses_is_told_with_its_reason() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let before = scene.snapshot();
    let deadline = json!({
        "policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 3_600_000_000_000_u64
    });
    let bundle = scene.bundle().set("/process/scheduler", deadline.clone());
    scene.refused(&bundle).says(&[
        "cannot run under SCHED_DEADLINE, 1000000 ns of each 3600000000000 ns within \
         3600000000000 ns (outside of the limits in /proc/sys/kernel/sched_deadline_period_*): \
         invalid argument (config.json /process/scheduler)",
    ]);
    let deadline =
        json!({ "policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 9_000_000 });
    let bundle = scene.bundle().set("/process/scheduler", deadline);
    let bundle = bundle.hook("startContainer", "true");
    scene.refused(&bundle).says(&["startContainer hooks cannot run under SCHED_DEADLINE"]);
    if !Need::Path("/proc/sys/kernel/sched_util_clamp_min").met() {
        let clamped = json!({ "policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_UTIL_CLAMP_MAX"] });
        let bundle = scene.bundle().set("/process/scheduler", clamped);
        scene.refused(&bundle).says(&["without utilization clamping in the kernel"]);
    }
    before.assert_same();
    if Layout::here().is_v1("cpu") && has_real_time(&Layout::here().dir("cpu", "/")) {
        let fifo = json!({ "policy": "SCHED_FIFO", "priority": 1 });
        let bundle = scene.bundle().set("/process/scheduler", fifo);
        scene.refused(&bundle).says(&[
            "cannot run under SCHED_FIFO at priority 1 (on cgroup v1, without a realtimeRuntime in \
             /linux/resources/cpu): operation not permitted",
        ]);
    }
}

#[test]
fn an_io_priority_applies_to_the_first_process_and_to_those_that_are_added() {
    let Some(scene) = Scene::begin() else { return };
    for edit in [(|bundle| bundle) as Edit, |bundle| bundle.mapped(BASE)] {
        let user = json!({ "uid": 1000, "gid": 1000 });
        let bundle = edit(scene.bundle()).set("/process/user", user);
        bundle.link("bin/ionice", "busybox");
        let real_time = json!({ "class": "IOPRIO_CLASS_RT", "priority": 3 });
        let bundle = bundle.set("/process/ioPriority", real_time);
        let container = scene.start(&bundle.sh("ionice -p $$; exec sleep 1000"));
        container.expect("\n");
        assert_eq!(container.output(), "realtime: prio 3\n");
        assert_eq!(exec(&scene, &container, "ionice -p $$").ok().stdout, "realtime: prio 3\n");
        container.end();
    }
    let idle = json!({ "class": "IOPRIO_CLASS_IDLE", "priority": 0 });
    let bundle = scene.bundle().set("/process/ioPriority", idle).sh("ionice -p $$");
    bundle.link("bin/ionice", "busybox");
    assert!(scene.output(&bundle).starts_with("idle"));
}

#[test]
fn an_io_priority_that_is_none_is_refused_and_leaves_nothing() {
    let Some(scene) = Scene::begin() else { return };
    fn with(bundle: Bundle, priority: Value) -> Bundle {
        bundle.set("/process/ioPriority", priority)
    }
    scene.refused_each(&[
        ("a class", |b| with(b, json!({ "class": "IOPRIO_CLASS_NONE", "priority": 1 }))),
        ("a level", |b| with(b, json!({ "class": "IOPRIO_CLASS_BE", "priority": 8 }))),
        ("a level below all", |b| with(b, json!({ "class": "IOPRIO_CLASS_BE", "priority": -1 }))),
    ]);
}

#[test]
fn memory_comes_from_the_nodes_of_the_policy() {
    let Some(scene) = Scene::needing(&[Need::Path("/proc/self/numa_maps")]) else { return };
    for (policy, shown) in [
        (json!({ "mode": "MPOL_DEFAULT" }), "default"),
        (json!({ "mode": "MPOL_LOCAL" }), "local"),
        (json!({ "mode": "MPOL_BIND", "nodes": "0" }), "bind:0"),
        (json!({ "mode": "MPOL_PREFERRED", "nodes": "0" }), "prefer:0"),
        (json!({ "mode": "MPOL_PREFERRED" }), "local"),
        (json!({ "mode": "MPOL_PREFERRED_MANY", "nodes": "0-0" }), "prefer (many):0"),
        (
            json!({ "mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"] }),
            "interleave=static:0",
        ),
        (
            json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"] }),
            "bind=relative:0",
        ),
    ] {
        let script = "head -n 1 /proc/self/numa_maps | cut -d ' ' -f 2-; sleep 1000";
        let bundle = scene.bundle().set("/linux/memoryPolicy", policy.clone()).sh(script);
        let container = scene.start(&bundle);
        container.expect("\n");
        let first = container.output();
        assert!(first.starts_with(shown), "{policy}: {first}");
        let again = exec(&scene, &container, script.trim_end_matches("; sleep 1000")).ok().stdout;
        assert!(again.starts_with(shown), "{policy}: {again}");
        container.end();
    }
    let bind = json!({ "mode": "MPOL_BIND", "nodes": "0" });
    let bundle = scene.bundle().mapped(BASE).set("/linux/memoryPolicy", bind).sh(POLICY);
    assert_eq!(scene.output(&bundle), "bind:0\n");
}

#[test]
fn a_memory_policy_that_cannot_be_is_refused_and_leaves_nothing() {
    let Some(scene) = Scene::needing(&[Need::Path("/proc/self/numa_maps")]) else { return };
    fn with(bundle: Bundle, policy: Value) -> Bundle {
        bundle.set("/linux/memoryPolicy", policy)
    }
    scene.refused_each(&[
        ("a mode", |b| with(b, json!({ "mode": "MPOL_MOON" }))),
        ("no mode", |b| with(b, json!({ "nodes": "0" }))),
        ("a flag", |b| {
            with(b, json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_X"] }))
        }),
        ("a list", |b| with(b, json!({ "mode": "MPOL_BIND", "nodes": "0-" }))),
        ("no node", |b| with(b, json!({ "mode": "MPOL_BIND" }))),
        ("a node of none", |b| with(b, json!({ "mode": "MPOL_LOCAL", "nodes": "0" }))),
        ("a node that is not there", |b| with(b, json!({ "mode": "MPOL_BIND", "nodes": "1000" }))),
    ]);
    if scene.is_keel() {
        let bundle = with(scene.bundle(), json!({ "mode": "MPOL_BIND", "nodes": "1000" }));
        scene.refused(&bundle).says(&[
            "cannot set the memory policy MPOL_BIND of nodes 1000: invalid argument (config.json \
             /linux/memoryPolicy)",
        ]);
    }
}

#[test]
fn the_execution_domain_applies_to_the_first_process_and_to_those_that_are_added() {
    let Some(scene) = Scene::begin() else { return };
    let machine = scene.output(&scene.bundle().args(["/bin/uname", "-m"]));
    for (domain, expected) in [("LINUX", machine.as_str()), ("LINUX32", "i686\n")] {
        for edit in [(|bundle| bundle) as Edit, |bundle| bundle.mapped(BASE)] {
            let bundle = edit(scene.bundle()).set("/linux/personality/domain", domain);
            let container = scene.start(&bundle.sh("uname -m; sleep 1000"));
            container.expect("\n");
            let said = container.output();
            assert!(said == expected || (domain == "LINUX32" && said == "armv8l\n"), "{said}");
            assert_eq!(exec(&scene, &container, "uname -m").ok().stdout, said);
            container.end();
        }
    }
    scene.refused_each(&[
        ("a domain", |b| b.set("/linux/personality/domain", "MOON")),
        ("no domain", |b| b.set("/linux/personality", json!({}))),
        ("a flag", |b| {
            b.set("/linux/personality", json!({ "domain": "LINUX", "flags": ["SHORT_INODE"] }))
        }),
    ]);
}

#[test]
fn a_user_without_privileges_has_what_a_process_may_do_to_itself() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Program("unshare")]) else { return };
    let Some(user) = User::anybody(&scene) else {
        return integration::skip("a user without privileges cannot make namespaces here");
    };
    let bundle = user.bundle(&scene);
    bundle.link("bin/ionice", "busybox");
    let run = |bundle: &Bundle| {
        bundle.save();
        let words = ["--cgroup-manager", "disabled", "run", "--bundle"];
        user.call(scene.keel(words).arg(bundle.dir()).arg(scene.id())).run()
    };
    let allowed = bundle
        .clone()
        .set("/process/scheduler", json!({ "policy": "SCHED_BATCH", "nice": 9 }))
        .set("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_BE", "priority": 6 }))
        .set("/linux/personality/domain", "LINUX32")
        .sh(format!("{SCHEDULING}; ionice -p $$; uname -m"));
    let said = run(&allowed).ok().stdout;
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(said[..2], ["9 0 3", "best-effort: prio 6"]);
    assert!(["i686", "armv8l"].contains(&said[2]), "{said:?}");
    for (pointer, value, sentence) in [
        (
            "/process/scheduler",
            json!({ "policy": "SCHED_FIFO", "priority": 1 }),
            "cannot run under SCHED_FIFO at priority 1 (without CAP_SYS_NICE)",
        ),
        (
            "/process/scheduler",
            json!({ "policy": "SCHED_OTHER", "nice": -1 }),
            "cannot run under SCHED_OTHER at nice -1 (without CAP_SYS_NICE)",
        ),
        (
            "/process/ioPriority",
            json!({ "class": "IOPRIO_CLASS_RT", "priority": 1 }),
            "cannot set the I/O priority IOPRIO_CLASS_RT 1",
        ),
    ] {
        let said = format!("{sentence}: operation not permitted (config.json {pointer})");
        run(&bundle.clone().set(pointer, value)).refused().says(&[&said]);
    }
}
