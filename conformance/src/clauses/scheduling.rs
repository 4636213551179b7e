//! When and on what the process runs: scheduler, I/O priority, memory policy, execution domain.

use std::fs;

use serde_json::{Value, json};

use crate::case::Case;
use crate::clause::{Clause, Outcome, equal, skip};
use crate::container::Container;

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must("config.md#linux-process/scheduler-policy", "a policy is required", no_policy),
    Clause::must(
        "config.md#linux-process/scheduler-unknown-policy",
        "a policy that is not listed is an error",
        unknown_policy,
    ),
    Clause::must("config.md#linux-process/SCHED_OTHER", "the policy is the configured one", policy),
    Clause::must("config.md#linux-process/SCHED_BATCH", "the policy is the configured one", policy),
    Clause::must("config.md#linux-process/SCHED_IDLE", "the policy is the configured one", policy),
    Clause::must("config.md#linux-process/SCHED_FIFO", "the policy is the configured one", policy),
    Clause::must("config.md#linux-process/SCHED_RR", "the policy is the configured one", policy),
    Clause::must(
        "config.md#linux-process/SCHED_DEADLINE",
        "the policy is the configured one",
        policy,
    ),
    Clause::must("config.md#linux-process/scheduler-nice", "`nice` is the nice value", nice),
    Clause::must(
        "config.md#linux-process/scheduler-nice-unset",
        "the nice value is 0 if nothing is said",
        nice_unset,
    ),
    Clause::must(
        "config.md#linux-process/scheduler-priority",
        "`priority` is the static priority",
        priority,
    ),
    Clause::must(
        "config.md#linux-process/IOPRIO_CLASS_RT",
        "class and level of I/O are the configured ones",
        io_priority,
    ),
    Clause::must(
        "config.md#linux-process/IOPRIO_CLASS_BE",
        "class and level of I/O are the configured ones",
        io_priority,
    ),
    Clause::must(
        "config.md#linux-process/IOPRIO_CLASS_IDLE",
        "class and level of I/O are the configured ones",
        io_priority,
    ),
    Clause::must(
        "config-linux.md#memory-policy/MPOL_BIND",
        "memory comes from the nodes, as the mode says",
        memory_policy,
    ),
    Clause::must(
        "config-linux.md#memory-policy/MPOL_INTERLEAVE",
        "memory comes from the nodes, as the mode says",
        memory_policy,
    ),
    Clause::must(
        "config-linux.md#memory-policy/MPOL_PREFERRED",
        "memory comes from the nodes, as the mode says",
        memory_policy,
    ),
    Clause::must(
        "config-linux.md#memory-policy/MPOL_LOCAL",
        "memory comes from the nodes, as the mode says",
        memory_policy,
    ),
    Clause::must(
        "config-linux.md#memory-policy/MPOL_F_STATIC_NODES",
        "flags go to set_mempolicy(2)",
        memory_policy,
    ),
    Clause::must(
        "config-linux.md#memory-policy/unknown-mode",
        "a mode that is not listed is an error",
        unknown_mode,
    ),
    Clause::must(
        "config-linux.md#personality/LINUX",
        "the execution domain is the configured one",
        personality,
    ),
    Clause::must(
        "config-linux.md#personality/LINUX32",
        "the execution domain is the configured one",
        personality,
    ),
    Clause::must(
        "config-linux.md#personality/unknown-domain",
        "a domain that is not listed is an error",
        unknown_domain,
    ),
    Clause::must("config-linux.md#personality/flags", "no flag is supported", domain_flag),
];

/// A running container with a scheduler.
fn scheduled<'c>(case: &'c Case<'_>, scheduler: Value) -> Outcome<Container<'c>> {
    let mut bundle = case.bundle()?;
    bundle.config["process"]["scheduler"] = scheduler;
    case.idle(&mut bundle)
}

/// A field of `/proc/PID/stat`, counted as proc_pid_stat(5) does; none of its own has a space.
fn stat(container: &Container<'_>, number: usize) -> Outcome<String> {
    let text = container.proc("stat")?;
    let after = text.rsplit_once(") ").map_or("", |(_, after)| after);
    Ok(after.split(' ').nth(number - 3).unwrap_or_default().to_owned())
}

/// A policy as the configuration has it, and its number, sched(7).
fn setting(policy: &str) -> Outcome<(Value, &'static str)> {
    let real_time = |number| match real_time_by_cgroup() {
        true => skip("cgroup v1 gives the container's cgroup no time for it here"),
        false => Ok((json!({"policy": policy, "priority": 7}), number)),
    };
    match policy {
        "SCHED_FIFO" => real_time("1"),
        "SCHED_RR" => real_time("2"),
        "SCHED_BATCH" => Ok((json!({"policy": policy}), "3")),
        "SCHED_IDLE" => Ok((json!({"policy": policy}), "5")),
        "SCHED_DEADLINE" => {
            let (runtime, period) = (1_000_000, 100_000_000);
            let times = json!({
                "policy": policy, "runtime": runtime, "deadline": period, "period": period
            });
            Ok((times, "6"))
        }
        _ => Ok((json!({"policy": policy, "nice": 1}), "0")),
    }
}

/// Whether cgroup v1 shares out the time of real-time processes: a new cgroup has none.
fn real_time_by_cgroup() -> bool {
    let paths = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"];
    paths.iter().any(|path| fs::metadata(format!("{path}/cpu.rt_runtime_us")).is_ok())
}

fn policy(case: &Case<'_>) -> Outcome {
    let (scheduler, number) = setting(case.topic)?;
    equal("the policy", stat(&scheduled(case, scheduler)?, 41)?, number)
}

fn no_policy(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["process"]["scheduler"] = json!({"nice": 1});
    case.refused(&bundle)
}

fn unknown_policy(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["process"]["scheduler"] = json!({"policy": "SCHED_MOON"});
    case.refused(&bundle)
}

fn nice(case: &Case<'_>) -> Outcome {
    let container = scheduled(case, json!({"policy": "SCHED_OTHER", "nice": -4}))?;
    equal("the nice value", stat(&container, 19)?, "-4")
}

fn nice_unset(case: &Case<'_>) -> Outcome {
    let container = scheduled(case, json!({"policy": "SCHED_BATCH"}))?;
    equal("the policy", stat(&container, 41)?, "3")?;
    equal("the nice value", stat(&container, 19)?, "0")
}

fn priority(case: &Case<'_>) -> Outcome {
    let (scheduler, _) = setting("SCHED_RR")?;
    equal("the priority", stat(&scheduled(case, scheduler)?, 40)?, "7")
}

fn io_priority(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    let level = 5;
    bundle.config["process"]["ioPriority"] = json!({"class": case.topic, "priority": level});
    let told = case.probe(&mut bundle, "/bin/busybox ionice -p $$")?;
    let expected = match case.topic {
        "IOPRIO_CLASS_RT" => "realtime: prio 5\n",
        "IOPRIO_CLASS_BE" => "best-effort: prio 5\n",
        _ => "idle: prio 5\n",
    };
    // The idle class has no levels that ionice(1) would have to tell.
    let told = if told == "idle\n" { expected.to_owned() } else { told };
    equal("the I/O priority", told, expected)
}

fn memory_policy(case: &Case<'_>) -> Outcome {
    if fs::metadata("/proc/self/numa_maps").is_err() {
        return skip("the kernel knows of no memory nodes");
    }
    let (policy, shown) = match case.topic {
        "MPOL_BIND" => (json!({"mode": "MPOL_BIND", "nodes": "0"}), "bind:0"),
        "MPOL_INTERLEAVE" => (json!({"mode": "MPOL_INTERLEAVE", "nodes": "0"}), "interleave:0"),
        "MPOL_PREFERRED" => (json!({"mode": "MPOL_PREFERRED", "nodes": "0-0"}), "prefer:0"),
        "MPOL_LOCAL" => (json!({"mode": "MPOL_LOCAL"}), "local"),
        flag => (json!({"mode": "MPOL_BIND", "nodes": "0", "flags": [flag]}), "bind=static:0"),
    };
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["memoryPolicy"] = policy;
    let maps = case.idle(&mut bundle)?.proc("numa_maps")?;
    equal("the policy", maps.split_whitespace().nth(1).unwrap_or_default(), shown)
}

fn unknown_mode(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_MOON", "nodes": "0"});
    case.refused(&bundle)
}

fn personality(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["personality"] = json!({"domain": case.topic});
    let number = if case.topic == "LINUX" { "00000000" } else { "00000008" };
    equal("the domain", case.idle(&mut bundle)?.proc("personality")?.trim_end(), number)
}

fn unknown_domain(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["personality"] = json!({"domain": "MOON"});
    case.refused(&bundle)
}

fn domain_flag(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    let flags = ["ADDR_NO_RANDOMIZE"];
    bundle.config["linux"]["personality"] = json!({"domain": "LINUX", "flags": flags});
    case.refused(&bundle)
}
