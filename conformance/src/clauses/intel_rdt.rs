//! Shares of caches and memory bandwidth (`config-linux.md`, IntelRdt).
//!
//! What happens on a machine without resctrl is tested. The rest is not: an untried test is no
//! test, and neither the project nor its CI has a CPU with the technology.

use std::fs;

use serde_json::json;

use crate::case::Case;
use crate::clause::{Clause, Level, Outcome, skip};

macro_rules! untried {
    ($($name:literal $text:literal;)+) => {
        /// The rows that want the hardware.
        pub(crate) const UNTRIED: &[Clause] = &[$(Clause::untestable(
            concat!("config-linux.md#intelrdt/", $name),
            Level::Must,
            $text,
            "takes a CPU with resource director technology, where no test of it was ever tried",
        ),)+];
    };
}

untried! {
    "tasks" "the process is in the tasks of its class";
    "closID-root" "the class `/` is the default one";
    "l3-and-bandwidth" "`l3CacheSchema` is written first and `memBwSchema` last";
    "one-schema" "one of the two alone is written";
    "schemata" "`schemata` is written, after the other two";
    "no-schema" "without any of the three no schemata are written";
    "closID-unset" "without `closID` the class has the container's id";
    "closID-new" "a class that does not exist is made";
    "closID-mismatch" "a class that exists with other schemata is an error";
    "closID-existing" "without schemata the class has to exist, and is joined";
    "removed" "a class with the container's id is removed with it";
    "kept" "any other class is not removed";
    "monitoring" "`enableMonitoring` makes a monitoring group, which is removed with the container";
    "monitoring-error" "a monitoring group that cannot be made is an error";
}

/// The other rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must(
        "config-linux.md#intelrdt/unmounted",
        "without a mounted resctrl a configuration that wants it is an error",
        unmounted,
    ),
    Clause::untestable(
        "config-linux.md#intelrdt/unset",
        Level::Must,
        "without `intelRdt` no resctrl is changed",
        "takes a CPU with resource director technology, where no test of it was ever tried",
    ),
    Clause::untestable(
        "config-linux.md#intelrdt/values",
        Level::Must,
        "schemas begin with `L3:` or `MB:` and are one line each",
        "binds who writes the configuration; what a runtime makes of another value is left open",
    ),
];

fn unmounted(case: &Case<'_>) -> Outcome {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    if mounts.contains(" - resctrl ") {
        return skip("the machine has a mounted resctrl");
    }
    for rdt in [json!({"closID": "guests"}), json!({"l3CacheSchema": "L3:0=f"})] {
        let mut bundle = case.bundle()?;
        bundle.config["linux"]["intelRdt"] = rdt;
        case.refused(&bundle)?;
    }
    Ok(())
}
