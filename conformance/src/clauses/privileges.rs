//! Limits and privileges of the process: rlimits, capabilities, no_new_privs, the OOM score.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::case::{Around, Case};
use crate::clause::{Clause, Level, Outcome, ensure, equal, fail, skip};
use crate::container::Container;

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must("config.md#posix-process/soft", "the soft limit is the configured one", soft),
    Clause::must("config.md#posix-process/hard", "the hard limit is the configured one", hard),
    Clause::must(
        "config.md#posix-process/type",
        "every resource of getrlimit(2) can be limited",
        every_type,
    ),
    Clause::must(
        "config.md#posix-process/unknown-type",
        "an unknown resource is an error",
        unknown_type,
    ),
    Clause::must(
        "config.md#posix-process/duplicates",
        "the same resource twice is an error",
        duplicates,
    ),
    Clause::must(
        "config.md#posix-process/unset",
        "limits that are not configured stay as they are",
        untouched,
    ),
    Clause::must(
        "config.md#linux-process/capabilities-bounding",
        "the bounding set is the configured one",
        bounding,
    ),
    Clause::must(
        "config.md#linux-process/capabilities-effective",
        "the effective set is the configured one",
        effective,
    ),
    Clause::must(
        "config.md#linux-process/capabilities-permitted",
        "the permitted set is the configured one",
        permitted,
    ),
    Clause::must(
        "config.md#linux-process/capabilities-inheritable",
        "the inheritable set is the configured one",
        inheritable,
    ),
    Clause::must(
        "config.md#linux-process/capabilities-ambient",
        "the ambient set is the configured one",
        ambient,
    ),
    Clause::must(
        "config.md#linux-process/capabilities-user",
        "another user than root keeps its ambient capabilities",
        ambient_user,
    ),
    Clause::untestable(
        "config.md#linux-process/capabilities-warning",
        Level::Must,
        "a capability that cannot be granted is logged as a warning",
        "how a warning is told is left to the runtime (runtime.md#warnings/1)",
    ),
    Clause::should(
        "config.md#linux-process/capabilities-unknown",
        "an unknown capability is no error",
        unknown_capability,
    ),
    Clause::should(
        "config.md#linux-process/capabilities-ungrantable",
        "a capability the runtime lacks is no error",
        ungrantable,
    ),
    Clause::must(
        "config.md#linux-process/noNewPrivileges",
        "`noNewPrivileges` is set as configured",
        no_new_privileges,
    ),
    Clause::must(
        "config.md#linux-process/oomScoreAdj",
        "`oomScoreAdj` is set as configured",
        oom_score,
    ),
    Clause::must(
        "config.md#linux-process/oomScoreAdj-unset",
        "without `oomScoreAdj` the value is not changed",
        oom_score_unset,
    ),
];

/// The resources, each with its line in `/proc/PID/limits`.
const RESOURCES: [(&str, &str); 16] = [
    ("RLIMIT_AS", "Max address space"),
    ("RLIMIT_CORE", "Max core file size"),
    ("RLIMIT_CPU", "Max cpu time"),
    ("RLIMIT_DATA", "Max data size"),
    ("RLIMIT_FSIZE", "Max file size"),
    ("RLIMIT_LOCKS", "Max file locks"),
    ("RLIMIT_MEMLOCK", "Max locked memory"),
    ("RLIMIT_MSGQUEUE", "Max msgqueue size"),
    ("RLIMIT_NICE", "Max nice priority"),
    ("RLIMIT_NOFILE", "Max open files"),
    ("RLIMIT_NPROC", "Max processes"),
    ("RLIMIT_RSS", "Max resident set"),
    ("RLIMIT_RTPRIO", "Max realtime priority"),
    ("RLIMIT_RTTIME", "Max realtime timeout"),
    ("RLIMIT_SIGPENDING", "Max pending signals"),
    ("RLIMIT_STACK", "Max stack size"),
];

/// The two values of a line of a limits file.
fn limits(file: &str, line: &str) -> Outcome<(String, String)> {
    let found = file.lines().find_map(|text| text.strip_prefix(line)).map(str::split_whitespace);
    let Some(mut words) = found else {
        return fail(format!("no line {line:?} in /proc/PID/limits"));
    };
    let mut next = || words.next().unwrap_or_default().to_owned();
    Ok((next(), next()))
}

/// A value below the limit this program has itself: to raise one needs a privilege.
fn lower(own: &str, wanted: u64) -> u64 {
    own.parse().unwrap_or(u64::MAX).min(wanted)
}

fn limited<'c>(case: &'c Case<'_>, entries: Value) -> Outcome<Container<'c>> {
    let mut bundle = case.bundle()?;
    bundle.config["process"]["rlimits"] = entries;
    case.idle(&mut bundle)
}

fn soft(case: &Case<'_>) -> Outcome {
    let container = limited(case, json!([{"type": "RLIMIT_NOFILE", "soft": 321, "hard": 654}]))?;
    equal("the soft limit", limits(&container.proc("limits")?, "Max open files")?.0, "321")
}

fn hard(case: &Case<'_>) -> Outcome {
    let container = limited(case, json!([{"type": "RLIMIT_NOFILE", "soft": 321, "hard": 654}]))?;
    equal("the hard limit", limits(&container.proc("limits")?, "Max open files")?.1, "654")
}

fn every_type(case: &Case<'_>) -> Outcome {
    let own = fs::read_to_string("/proc/self/limits")?;
    let mut wanted = BTreeMap::new();
    for (number, (name, line)) in (1_u64..).zip(RESOURCES) {
        // Enough for a small program to run under, and different for each resource.
        let hard = lower(&limits(&own, line)?.1, (64 << 20) + number * 4096);
        wanted.insert(name, (hard - hard.min(1), hard));
    }
    let entries: Vec<_> = wanted
        .iter()
        .map(|(name, (soft, hard))| json!({"type": name, "soft": soft, "hard": hard}))
        .collect();
    let container = limited(case, json!(entries))?;
    let seen = container.proc("limits")?;
    for (name, line) in RESOURCES {
        let (soft, hard) = wanted[name];
        equal(name, limits(&seen, line)?, (soft.to_string(), hard.to_string()))?;
    }
    Ok(())
}

fn unknown_type(case: &Case<'_>) -> Outcome {
    for name in ["RLIMIT_NO_SUCH_RESOURCE", "NOFILE", ""] {
        let mut bundle = case.bundle()?;
        bundle.config["process"]["rlimits"] = json!([{"type": name, "soft": 1, "hard": 1}]);
        crate::clause::about(&format!("{name:?}"), case.refused(&bundle))?;
    }
    Ok(())
}

fn duplicates(case: &Case<'_>) -> Outcome {
    let entry = json!({"type": "RLIMIT_NOFILE", "soft": 321, "hard": 654});
    let mut bundle = case.bundle()?;
    bundle.config["process"]["rlimits"] = json!([entry, entry]);
    case.refused(&bundle)
}

fn untouched(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.args(&["/bin/sleep", "1000"]);
    let around = Around { before: "ulimit -c 0; ulimit -s 4096; ulimit -n 777", options: &[] };
    let container = case.attempt(&bundle, &around)?.created()?;
    container.begin(&bundle)?;
    let seen = container.proc("limits")?;
    for (line, value) in
        [("Max core file size", "0"), ("Max stack size", "4194304"), ("Max open files", "777")]
    {
        equal(line, limits(&seen, line)?, (value.to_owned(), value.to_owned()))?;
    }
    Ok(())
}

const CHOWN: u64 = 1 << 0;
const KILL: u64 = 1 << 5;
const NET_RAW: u64 = 1 << 13;
const CHROOT: u64 = 1 << 18;

/// One set of a container whose configured sets differ, as another user than root.
fn capability(case: &Case<'_>, field: &str, wanted: u64) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["process"]["capabilities"] = json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SYS_CHROOT"],
        "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
        "effective": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
        "inheritable": ["CAP_CHOWN", "CAP_KILL"],
        "ambient": ["CAP_KILL"],
    });
    // User 0 would get every capability of the bounding set from execve(2).
    bundle.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    let container = case.idle(&mut bundle)?;
    let seen = u64::from_str_radix(&container.status_field(field)?, 16).unwrap_or(u64::MAX);
    ensure!(seen == wanted, "{field} is {seen:#x}, not {wanted:#x}");
    Ok(())
}

fn bounding(case: &Case<'_>) -> Outcome {
    capability(case, "CapBnd", CHOWN | KILL | NET_RAW | CHROOT)
}

fn inheritable(case: &Case<'_>) -> Outcome {
    capability(case, "CapInh", CHOWN | KILL)
}

fn ambient(case: &Case<'_>) -> Outcome {
    capability(case, "CapAmb", KILL)
}

fn ambient_user(case: &Case<'_>) -> Outcome {
    capability(case, "CapEff", KILL)
}

/// What user 0 has in a set when the same capabilities are configured everywhere.
fn as_root(case: &Case<'_>, field: &str) -> Outcome {
    let mut bundle = case.bundle()?;
    let names = ["CAP_CHOWN", "CAP_NET_RAW"];
    bundle.config["process"]["capabilities"] =
        json!({"bounding": names, "permitted": names, "effective": names});
    let container = case.idle(&mut bundle)?;
    let seen = u64::from_str_radix(&container.status_field(field)?, 16).unwrap_or(u64::MAX);
    ensure!(seen == CHOWN | NET_RAW, "{field} is {seen:#x}, not {:#x}", CHOWN | NET_RAW);
    Ok(())
}

fn effective(case: &Case<'_>) -> Outcome {
    as_root(case, "CapEff")
}

fn permitted(case: &Case<'_>) -> Outcome {
    as_root(case, "CapPrm")
}

fn unknown_capability(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    let names = ["CAP_CHOWN", "CAP_NO_SUCH_CAPABILITY"];
    bundle.config["process"]["capabilities"] =
        json!({"bounding": names, "permitted": names, "effective": names});
    let container = case.idle(&mut bundle)?;
    equal("the effective set", container.status_field("CapEff")?.as_str(), "0000000000000001")
}

fn ungrantable(case: &Case<'_>) -> Outcome {
    const SYS_RESOURCE: u64 = 1 << 24;
    let own = fs::read_to_string("/proc/self/status")?;
    let own = own.lines().find_map(|line| line.strip_prefix("CapPrm:")).unwrap_or_default();
    if u64::from_str_radix(own.trim(), 16).unwrap_or(u64::MAX) & SYS_RESOURCE != 0 {
        return skip("this program has every capability the test could take away");
    }
    let mut bundle = case.bundle()?;
    let names = ["CAP_CHOWN", "CAP_SYS_RESOURCE"];
    bundle.config["process"]["capabilities"] =
        json!({"bounding": names, "permitted": names, "effective": names});
    let container = case.idle(&mut bundle)?;
    equal("the effective set", container.status_field("CapEff")?.as_str(), "0000000000000001")
}

fn no_new_privileges(case: &Case<'_>) -> Outcome {
    for (value, wanted) in [(Some(true), "1"), (Some(false), "0"), (None, "0")] {
        let mut bundle = case.bundle()?;
        if let Some(value) = value {
            bundle.config["process"]["noNewPrivileges"] = json!(value);
        }
        let container = case.idle(&mut bundle)?;
        equal(&format!("NoNewPrivs for {value:?}"), container.status_field("NoNewPrivs")?, wanted)?;
    }
    Ok(())
}

fn oom_score(case: &Case<'_>) -> Outcome {
    for value in [517, 0, 1000] {
        let mut bundle = case.bundle()?;
        bundle.config["process"]["oomScoreAdj"] = json!(value);
        let container = case.idle(&mut bundle)?;
        equal("oom_score_adj", container.proc("oom_score_adj")?.trim(), value.to_string())?;
    }
    Ok(())
}

fn oom_score_unset(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.args(&["/bin/sleep", "1000"]);
    let around = Around { before: "echo 77 > /proc/self/oom_score_adj", options: &[] };
    let container = case.attempt(&bundle, &around)?.created()?;
    container.begin(&bundle)?;
    equal("oom_score_adj", container.proc("oom_score_adj")?.trim(), "77")
}

#[cfg(test)]
mod tests {
    use super::{RESOURCES, limits, lower};

    #[test]
    fn a_line_of_limits_has_two_values() {
        let file = std::fs::read_to_string("/proc/self/limits").unwrap();
        for (name, line) in RESOURCES {
            let (soft, hard) = limits(&file, line).unwrap();
            assert!(!soft.is_empty() && !hard.is_empty(), "{name}");
        }
        assert!(limits(&file, "Max nonsense").is_err());
    }

    #[test]
    fn a_wanted_limit_never_exceeds_the_own_one() {
        assert_eq!(lower("unlimited", 7), 7);
        assert_eq!(lower("3", 7), 3);
    }
}
