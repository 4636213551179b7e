//! When and on what the process runs: scheduler, I/O priority, memory policy, execution domain.

use std::fs;

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::case::{Around, Case};
use crate::clause::{Clause, Outcome, ensure, equal, fail, skip};
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
        "config.md#linux-process/scheduler-flags",
        "`flags` are those of the scheduler: with SCHED_FLAG_RESET_ON_FORK a child has none of it",
        reset_on_fork,
    ),
    Clause::must(
        "config.md#linux-process/scheduler-unknown-flag",
        "a flag that is not listed is an error",
        unknown_flag,
    ),
    Clause::must(
        "config.md#linux-process/scheduler-times",
        "times the kernel refuses are an error: `runtime`, `deadline` and `period` are passed on",
        times,
    ),
    Clause::must(
        "config.md#linux-process/execCPUAffinity-final",
        "a process that is added runs on the CPUs of `final`",
        |case| affinity(case, &json!({"initial": "0", "final": "1"}), "1"),
    ),
    Clause::must(
        "config.md#linux-process/execCPUAffinity-init",
        "the container's own process is not bound by it",
        affinity_of_init,
    ),
    Clause::should(
        "config.md#linux-process/execCPUAffinity-final-unset",
        "without `final` the CPUs are not changed after the cgroup is entered",
        // The kernel leaves what `initial` has set: the cgroup allows that CPU.
        |case| affinity(case, &json!({"initial": "1"}), "1"),
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

fn reset_on_fork(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["process"]["scheduler"] =
        json!({"policy": "SCHED_BATCH", "nice": -3, "flags": ["SCHED_FLAG_RESET_ON_FORK"]});
    let policy = "cut -d ' ' -f 19,41";
    let script = format!("{policy} /proc/$$/stat; {policy} /proc/self/stat; true");
    // The second line is that of the child which reads it: for the last command there is none.
    equal("nice value and policy", case.probe(&mut bundle, &script)?.as_str(), "-3 3\n0 3\n")
}

fn unknown_flag(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["process"]["scheduler"] =
        json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_MOON"]});
    case.refused(&bundle)
}

fn times(case: &Case<'_>) -> Outcome {
    let millisecond = 1_000_000_u64;
    for (runtime, deadline, period) in [(0, 100, 100), (90, 80, 100), (10, 100, 50)] {
        let mut bundle = case.bundle()?;
        bundle.config["process"]["scheduler"] = json!({
            "policy": "SCHED_DEADLINE", "runtime": runtime * millisecond,
            "deadline": deadline * millisecond, "period": period * millisecond
        });
        // Whether `create` or `start` sets them is left open.
        let container = case.attempt(&bundle, &Around::default())?;
        if container.answer.ok {
            let what = format!("{runtime} of {period} ms, with a deadline of {deadline} ms,");
            let answer = container.operation("start")?;
            ensure!(!answer.ok, "{what} are accepted");
        }
    }
    Ok(())
}

/// Fails unless a process that is added to a container may run on these CPUs.
fn affinity(case: &Case<'_>, affinity: &Value, wanted: &str) -> Outcome {
    let allowed = "Cpus_allowed_list";
    let mut bundle = two_cpus(case)?;
    bundle.config["process"]["execCPUAffinity"] = affinity.clone();
    let container = case.idle(&mut bundle)?;
    let answer = case.call(&["exec", &container.id, "/bin/grep", allowed, "/proc/self/status"])?;
    let seen = answer.success()?.stdout();
    equal(allowed, seen.split_whitespace().last().unwrap_or_default(), wanted)
}

fn affinity_of_init(case: &Case<'_>) -> Outcome {
    let mut bundle = two_cpus(case)?;
    let free = case.idle(&mut bundle)?.status_field("Cpus_allowed_list")?;
    let mut bundle = two_cpus(case)?;
    bundle.config["process"]["execCPUAffinity"] = json!({"initial": "0", "final": "1"});
    let bound = case.idle(&mut bundle)?.status_field("Cpus_allowed_list")?;
    equal("the CPUs of the container's process", bound, free)
}

/// A bundle, where there are two CPUs to choose from.
fn two_cpus(case: &Case<'_>) -> Outcome<Bundle> {
    match fs::metadata("/sys/devices/system/cpu/cpu1") {
        Ok(_) => case.bundle(),
        Err(_) => skip("the machine has one CPU"),
    }
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
    match case.topic.starts_with("MPOL_F_") {
        true => memory_flag(case, case.topic),
        false => memory_mode(case, case.topic),
    }
}

/// Fails unless a mode has its effect.
pub(crate) fn memory_mode(case: &Case<'_>, mode: &str) -> Outcome {
    let shown = match mode {
        "MPOL_DEFAULT" => "default",
        "MPOL_BIND" => "bind:0",
        "MPOL_INTERLEAVE" => "interleave:0",
        "MPOL_WEIGHTED_INTERLEAVE" => "weighted interleave:0",
        "MPOL_PREFERRED" => "prefer:0",
        "MPOL_PREFERRED_MANY" => "prefer (many):0",
        "MPOL_LOCAL" => "local",
        _ => return fail(format!("the test knows no effect of {mode}")),
    };
    let mut policy = json!({"mode": mode});
    if !matches!(mode, "MPOL_DEFAULT" | "MPOL_LOCAL") {
        policy["nodes"] = json!("0-0");
    }
    // Modes that came later, each with the version of the kernel.
    let since = match mode {
        "MPOL_PREFERRED_MANY" => (5, 15),
        "MPOL_WEIGHTED_INTERLEAVE" => (6, 9),
        _ => (0, 0),
    };
    if case.ground.machine.kernel < since {
        return skip(format!("the kernel is older than {}.{}", since.0, since.1));
    }
    let seen = policy_of(case, policy)?;
    ensure!(seen.starts_with(shown), "the policy is {seen:?}, not {shown:?}");
    Ok(())
}

/// Fails unless a flag has its effect.
pub(crate) fn memory_flag(case: &Case<'_>, flag: &str) -> Outcome {
    let shown = match flag {
        "MPOL_F_STATIC_NODES" => "bind=static:0",
        "MPOL_F_RELATIVE_NODES" => "bind=relative:0",
        // A kernel without balancing knows no such flag.
        "MPOL_F_NUMA_BALANCING" if fs::metadata("/proc/sys/kernel/numa_balancing").is_err() => {
            return skip("the kernel does not balance memory among nodes");
        }
        "MPOL_F_NUMA_BALANCING" => "bind=balancing:0",
        _ => return fail(format!("the test knows no effect of {flag}")),
    };
    let seen = policy_of(case, json!({"mode": "MPOL_BIND", "nodes": "0", "flags": [flag]}))?;
    ensure!(seen.starts_with(shown), "the policy is {seen:?}, not {shown:?}");
    Ok(())
}

/// A container's policy as numa_maps(5) shows it, with what follows.
fn policy_of(case: &Case<'_>, policy: Value) -> Outcome<String> {
    if fs::metadata("/proc/self/numa_maps").is_err() {
        return skip("the kernel knows of no memory nodes");
    }
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["memoryPolicy"] = policy;
    let maps = case.idle(&mut bundle)?.proc("numa_maps")?;
    let first = maps.lines().next().and_then(|line| line.split_once(' '));
    Ok(first.map_or_else(String::new, |(_, policy)| policy.to_owned()))
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
