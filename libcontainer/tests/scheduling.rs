//! What cannot stand in `/process/scheduler`, `/process/ioPriority`, `/linux/memoryPolicy`,
//! `/linux/personality` and `/linux/timeOffsets`: every fault and warning with its pointer.
//!
//! No root and no container: a configuration is compiled for a machine that exists nowhere.

use libcontainer::spec::{Namespace, Spec};
use libcontainer::{Bundle, Host, Options, Plan};
use serde_json::{Value, json};

/// What is said of a configuration in which one member is set.
fn told(host: &Host, pointer: &str, value: Value) -> Vec<String> {
    let mut config = serde_json::to_value(Spec::example()).unwrap();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    config.pointer_mut(parent).unwrap()[name] = value;
    compile(host, &config)
}

fn compile(host: &Host, config: &Value) -> Vec<String> {
    let spec = Spec::parse(config.to_string().as_bytes()).unwrap();
    let bundle = Bundle::from_spec("/", spec).unwrap();
    match Plan::create(&bundle, &"one".parse().unwrap(), &Options::default(), host) {
        Ok(plan) => plan.warnings().iter().map(|fault| format!("warning: {fault}")).collect(),
        Err(error) => error.faults().iter().map(ToString::to_string).collect(),
    }
}

/// Demands of each value what is said of it, without the member's pointer.
#[track_caller]
fn check(pointer: &str, cases: &[(Value, &[&str])]) {
    for (value, expected) in cases {
        let found = told(&Host::example(), pointer, value.clone());
        let expected: Vec<String> = expected
            .iter()
            .map(|text| text.replace("(config.json ", &format!("(config.json {pointer}")))
            .collect();
        assert_eq!(found, expected, "{value}");
    }
}

#[test]
fn every_policy_takes_what_the_kernel_takes() {
    check(
        "/process/scheduler",
        &[
            (json!({ "policy": "SCHED_OTHER", "nice": -20, "priority": 0, "runtime": 0 }), &[]),
            (json!({ "policy": "SCHED_IDLE", "nice": 19 }), &[]),
            (json!({ "policy": "SCHED_FIFO", "priority": 1 }), &[]),
            (
                json!({ "policy": "SCHED_RR", "priority": 99, "nice": 3 }),
                &["warning: a nice value has no effect under SCHED_RR (config.json /nice)"],
            ),
            (
                json!({ "nice": 30, "flags": ["SCHED_FLAG_MOON"] }),
                &[
                    "the policy is missing (config.json /policy)",
                    "unknown scheduling flag \"SCHED_FLAG_MOON\" (config.json /flags/0)",
                    "30 is not between -20 and 19 (config.json /nice)",
                ],
            ),
            (
                json!({ "policy": "SCHED_ISO" }),
                &["no kernel has the policy SCHED_ISO (config.json /policy)"],
            ),
            (
                json!({ "policy": "FIFO" }),
                &["unknown scheduling policy \"FIFO\" (config.json /policy)"],
            ),
            (
                json!({ "policy": "SCHED_BATCH", "nice": 20, "priority": -1 }),
                &[
                    "20 is not between -20 and 19 (config.json /nice)",
                    "SCHED_BATCH has no priority, only SCHED_FIFO and SCHED_RR have \
                     (config.json /priority)",
                ],
            ),
            (
                json!({ "policy": "SCHED_FIFO", "deadline": 1 }),
                &[
                    "0 is not between 1 and 99, as SCHED_FIFO wants it (config.json /priority)",
                    "SCHED_FIFO has none, only SCHED_DEADLINE has (config.json /deadline)",
                ],
            ),
        ],
    );
}

#[test]
fn the_times_of_a_deadline_are_in_their_order() {
    let with = |runtime: u64, deadline: u64, period: u64| {
        json!({
            "policy": "SCHED_DEADLINE", "runtime": runtime, "deadline": deadline, "period": period
        })
    };
    check(
        "/process/scheduler",
        &[
            (with(1024, 1024, 0), &[]),
            (with(5000, 6000, 6000), &[]),
            (
                with(1023, 5000, 6000),
                &["SCHED_DEADLINE needs a runtime of at least 1024 nanoseconds \
                   (config.json /runtime)"],
            ),
            (
                with(5000, 4000, 6000),
                &["the deadline 4000 is before the runtime 5000 is over (config.json /deadline)"],
            ),
            (
                with(5000, 6000, 5999),
                &["the period 5999 ends before the deadline 6000 (config.json /period)"],
            ),
            (
                with(5000, 6000, 1 << 63),
                &["more than 9223372036854775807 nanoseconds (config.json /period)"],
            ),
        ],
    );
}

#[test]
fn flags_of_scheduling_are_known_and_of_their_policy() {
    let flags = |policy: &str, flags: &[&str]| json!({ "policy": policy, "flags": flags });
    let all = [
        "SCHED_FLAG_RESET_ON_FORK",
        "SCHED_FLAG_RECLAIM",
        "SCHED_FLAG_DL_OVERRUN",
        "SCHED_FLAG_KEEP_POLICY",
        "SCHED_FLAG_KEEP_PARAMS",
        "SCHED_FLAG_UTIL_CLAMP_MIN",
        "SCHED_FLAG_UTIL_CLAMP_MAX",
    ];
    let mut deadline = flags("SCHED_DEADLINE", &all);
    for name in ["runtime", "deadline"] {
        deadline[name] = 5000.into();
    }
    check(
        "/process/scheduler",
        &[
            (deadline, &[]),
            (
                flags("SCHED_OTHER", &["SCHED_FLAG_MOON", "SCHED_FLAG_RECLAIM"]),
                &["unknown scheduling flag \"SCHED_FLAG_MOON\" (config.json /flags/0)"],
            ),
            (
                flags("SCHED_OTHER", &["SCHED_FLAG_DL_OVERRUN"]),
                &["warning: SCHED_FLAG_DL_OVERRUN has no effect without SCHED_DEADLINE \
                   (config.json /flags/0)"],
            ),
        ],
    );
    let host = Host { may_schedule: false, ..Host::example() };
    let reset = flags("SCHED_OTHER", &["SCHED_FLAG_RESET_ON_FORK"]);
    assert_eq!(
        told(&host, "/process/scheduler", reset),
        ["SCHED_FLAG_RESET_ON_FORK needs the capability CAP_SYS_NICE \
          (config.json /process/scheduler/flags/0)"]
    );
}

#[test]
fn a_hook_that_would_be_a_child_of_a_process_with_a_deadline_is_refused() {
    let mut config = serde_json::to_value(Spec::example()).unwrap();
    config["hooks"] = json!({ "startContainer": [{ "path": "/bin/true" }] });
    let times = json!({ "policy": "SCHED_DEADLINE", "runtime": 5000, "deadline": 5000 });
    config["process"]["scheduler"] = times;
    assert_eq!(
        compile(&Host::example(), &config),
        ["startContainer hooks cannot run under SCHED_DEADLINE without SCHED_FLAG_RESET_ON_FORK \
          (config.json /process/scheduler)"]
    );
    config["process"]["scheduler"]["flags"] = json!(["SCHED_FLAG_RESET_ON_FORK"]);
    assert_eq!(compile(&Host::example(), &config), [""; 0]);
}

#[test]
fn io_priorities_have_a_class_and_a_level() {
    let with = |class: &str, level: i32| json!({ "class": class, "priority": level });
    check(
        "/process/ioPriority",
        &[
            (with("IOPRIO_CLASS_RT", 0), &[]),
            (with("IOPRIO_CLASS_BE", 7), &[]),
            (with("IOPRIO_CLASS_IDLE", 4), &[]),
            (with("", 0), &["the class is missing (config.json /class)"]),
            (
                with("IOPRIO_CLASS_NONE", 8),
                &[
                    "unknown class of I/O priorities \"IOPRIO_CLASS_NONE\" (config.json /class)",
                    "8 is not between 0 and 7 (config.json /priority)",
                ],
            ),
            (with("IOPRIO_CLASS_RT", -1), &["-1 is not between 0 and 7 (config.json /priority)"]),
        ],
    );
}

#[test]
fn execution_domains_are_known_and_have_no_flags() {
    check(
        "/linux/personality",
        &[
            (json!({ "domain": "LINUX" }), &[]),
            (json!({ "domain": "LINUX32", "flags": [] }), &[]),
            (json!({}), &["the domain is missing (config.json /domain)"]),
            (
                json!({ "domain": "linux", "flags": ["ADDR_NO_RANDOMIZE"] }),
                &[
                    "unknown flag \"ADDR_NO_RANDOMIZE\" of execution domains \
                     (config.json /flags/0)",
                    "unknown execution domain \"linux\" (config.json /domain)",
                ],
            ),
        ],
    );
}

#[test]
fn a_memory_policy_has_the_nodes_and_flags_of_its_mode() {
    let with = |mode: &str, nodes: &str, flags: &[&str]| json!({ "mode": mode, "nodes": nodes, "flags": flags });
    let (fixed, relative) = ("MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES");
    let balancing = "MPOL_F_NUMA_BALANCING";
    check(
        "/linux/memoryPolicy",
        &[
            (with("MPOL_DEFAULT", "", &[]), &[]),
            (with("MPOL_PREFERRED", "", &[]), &[]),
            (with("MPOL_BIND", "0-3,7", &[balancing, fixed]), &[]),
            (with("MPOL_PREFERRED_MANY", "0", &[balancing]), &[]),
            (with("MPOL_WEIGHTED_INTERLEAVE", "1023", &[relative]), &[]),
            (with("", "0", &[]), &["the mode is missing (config.json /mode)"]),
            (
                with("MPOL_MOON", "0", &[]),
                &["unknown mode of memory policies \"MPOL_MOON\" (config.json /mode)"],
            ),
            (with("MPOL_LOCAL", "0", &[]), &["MPOL_LOCAL has no nodes (config.json /nodes)"]),
            (with("MPOL_BIND", "", &[]), &["MPOL_BIND needs a node (config.json /nodes)"]),
            (
                with("MPOL_INTERLEAVE", "3-1", &[]),
                &["\"3-1\" is not a list of memory nodes such as 0-3,7 (config.json /nodes)"],
            ),
            (
                with("MPOL_INTERLEAVE", "1024", &[]),
                &["\"1024\" is not a list of memory nodes such as 0-3,7 (config.json /nodes)"],
            ),
            (
                with("MPOL_BIND", "0", &["MPOL_F_X"]),
                &["unknown flag of memory policies \"MPOL_F_X\" (config.json /flags/0)"],
            ),
            (
                with("MPOL_BIND", "0", &[fixed, relative]),
                &["MPOL_F_RELATIVE_NODES and MPOL_F_STATIC_NODES exclude each other \
                   (config.json /flags)"],
            ),
            (
                with("MPOL_INTERLEAVE", "0", &[balancing]),
                &["MPOL_F_NUMA_BALANCING is not for MPOL_INTERLEAVE (config.json /flags)"],
            ),
            (
                with("MPOL_PREFERRED", "", &[fixed]),
                &["MPOL_PREFERRED without nodes has no flag for them (config.json /flags)"],
            ),
            (
                with("MPOL_DEFAULT", "", &[fixed]),
                &["warning: flags have no effect under MPOL_DEFAULT (config.json /flags)"],
            ),
        ],
    );
}

#[test]
fn time_offsets_are_of_known_clocks_in_a_new_namespace() {
    let with = |path: Option<&str>, offsets: Value| {
        let mut config = serde_json::to_value(Spec::example()).unwrap();
        let namespace = Namespace { kind: "time".into(), path: path.map(str::to_owned) };
        let list = config["linux"]["namespaces"].as_array_mut().unwrap();
        list.push(serde_json::to_value(namespace).unwrap());
        config["linux"]["timeOffsets"] = offsets;
        compile(&Host::example(), &config)
    };
    let offset =
        json!({ "monotonic": { "secs": i64::MIN }, "boottime": { "nanosecs": 999_999_999 } });
    assert_eq!(with(None, offset.clone()), [""; 0]);
    assert_eq!(
        with(Some("/proc/7/ns/time"), offset.clone()),
        ["a joined time namespace keeps its own offsets (config.json /linux/timeOffsets)"]
    );
    assert_eq!(
        told(&Host::example(), "/linux/timeOffsets", offset),
        [
            "time offsets need a time namespace in /linux/namespaces (config.json /linux/timeOffsets)"
        ]
    );
    assert_eq!(
        with(None, json!({ "boottime": { "nanosecs": 1_000_000_000 }, "real/time": {} })),
        [
            "1000000000 nanoseconds are more than a second \
             (config.json /linux/timeOffsets/boottime/nanosecs)",
            "the clock \"real/time\" cannot be moved, only monotonic and boottime \
             (config.json /linux/timeOffsets/real~1time)",
        ]
    );
}
