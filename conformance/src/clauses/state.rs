//! The state of a container: its members, its statuses, its form (`runtime.md`, State).

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::case::Case;
use crate::clause::{Clause, Level, Outcome, ensure, equal, fail, same};
use crate::clauses::recording;
use crate::process::{self, Exit};

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must(
        "runtime.md#state/1",
        "the state names the version of the specification it follows",
        oci_version,
    ),
    Clause::must("runtime.md#state/2", "the state has the id the container was created with", id),
    Clause::untestable(
        "runtime.md#state/3",
        Level::Must,
        "an id is unique across the host",
        "a runtime sees the containers of its own records only; runtime.md#create/3 tests those",
    ),
    Clause::may(
        "runtime.md#state/4",
        "while it is being created the status is `creating`",
        creating,
    ),
    Clause::may("runtime.md#state/5", "after `create` the status is `created`", created),
    Clause::may("runtime.md#state/6", "while the program runs the status is `running`", running),
    Clause::may("runtime.md#state/7", "after the program's end the status is `stopped`", stopped),
    Clause::must(
        "runtime.md#state/8",
        "no status of the runtime's own stands for one of the four",
        only_four,
    ),
    Clause::must(
        "runtime.md#state/9",
        "a created container's state has the pid of its process",
        pid_created,
    ),
    Clause::must(
        "runtime.md#state/10",
        "a running container's state has the pid of its program",
        pid_running,
    ),
    Clause::must(
        "runtime.md#state/11",
        "hooks in the runtime's namespaces get the pid the runtime sees",
        pid_outside,
    ),
    Clause::must(
        "runtime.md#state/12",
        "hooks in the container's namespaces get the pid seen there",
        pid_inside,
    ),
    Clause::must("runtime.md#state/13", "`bundle` is the absolute path of the bundle", bundle),
    Clause::must("runtime.md#state/14", "configured annotations are in the state", annotations),
    Clause::may(
        "runtime.md#state/15",
        "without annotations the member is absent or an empty map",
        no_annotations,
    ),
    Clause::untestable(
        "runtime.md#state/16",
        Level::May,
        "the state may have more members",
        "a permission: a runtime with more members and one without both follow it",
    ),
    Clause::must(
        "runtime.md#state/17",
        "as JSON the state has the form of the state schema",
        schema,
    ),
    Clause::must("runtime.md#query-state/1", "`state` without an id is an error", no_id),
    Clause::must(
        "runtime.md#query-state/2",
        "`state` of a container that does not exist is an error",
        unknown_id,
    ),
    Clause::must(
        "runtime.md#query-state/3",
        "`state` returns the state of the container asked for",
        right_one,
    ),
];

/// Whether a text is a version as SemVer 2.0.0 defines it.
fn is_semver(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let rest = &text[core.len()..];
    core.split('.').count() == 3
        && core.split('.').all(number)
        && (rest.is_empty() || rest.len() > 1)
        && rest.chars().all(|c| c.is_ascii_alphanumeric() || "-.+".contains(c))
}

/// Checks a state against the schema of the specification.
pub(crate) fn check_form(state: &Value) -> Outcome {
    let text = |name: &str| {
        state[name].as_str().map_or_else(|| fail(format!("{name} is {}", state[name])), Ok)
    };
    ensure!(is_semver(text("ociVersion")?), "ociVersion is {}", state["ociVersion"]);
    text("id")?;
    text("bundle")?;
    let status = text("status")?;
    ensure!(
        ["creating", "created", "running", "stopped"].contains(&status),
        "the status is {status:?}"
    );
    let pid = state.get("pid");
    ensure!(pid.is_none_or(Value::is_u64), "pid is {}", state["pid"]);
    if let Some(annotations) = state.get("annotations") {
        let strings = annotations.as_object().is_some_and(|map| map.values().all(Value::is_string));
        ensure!(strings, "annotations is {annotations}");
    }
    Ok(())
}

fn oci_version(case: &Case<'_>) -> Outcome {
    let state = case.create(&case.bundle()?)?.state()?;
    let version = state["ociVersion"].as_str().unwrap_or_default();
    ensure!(is_semver(version), "ociVersion is {}", state["ociVersion"]);
    Ok(())
}

fn id(case: &Case<'_>) -> Outcome {
    let container = case.create(&case.bundle()?)?;
    same("id", &container.state()?["id"], &json!(container.id))
}

fn creating(case: &Case<'_>) -> Outcome {
    let state = recording::state_of_hook(case, "createRuntime")?;
    same("the status in createRuntime", &state["status"], &json!("creating"))
}

fn created(case: &Case<'_>) -> Outcome {
    equal("the status", case.create(&case.bundle()?)?.status()?, "created")
}

fn running(case: &Case<'_>) -> Outcome {
    equal("the status", case.idle(&mut case.bundle()?)?.status()?, "running")
}

fn stopped(case: &Case<'_>) -> Outcome {
    for (script, end) in [
        ("exit 0", Exit::Code(0)),
        ("exit 7", Exit::Code(7)),
        ("kill -SEGV $$; sleep 1", Exit::Code(139)),
    ] {
        let mut bundle = case.bundle()?;
        // The first process of a pid namespace is immune to its own signals: a second shell dies.
        bundle.script(&format!("(sh -c '{script}'); exit $?"));
        let container = case.create(&bundle)?;
        container.start()?;
        equal("the end of the program", container.wait()?, end)?;
        equal(&format!("the status after `{script}`"), container.status()?, "stopped")?;
    }
    let container = case.idle(&mut case.bundle()?)?;
    container.stop()?;
    equal("the status after `kill`", container.status()?, "stopped")
}

fn only_four(case: &Case<'_>) -> Outcome {
    let container = case.idle(&mut case.bundle()?)?;
    let first = container.status()?;
    equal("the status of a running program", &*first, "running")?;
    container.kill("STOP")?.success()?;
    // A program stopped by a signal is still a program that has not exited.
    equal("the status after SIGSTOP", container.status()?, "running")
}

fn pid_created(case: &Case<'_>) -> Outcome {
    let container = case.create(&case.bundle()?)?;
    same("pid", &container.state()?["pid"], &json!(container.pid()?))?;
    let own = std::fs::read_link("/proc/self/ns/pid")?.display().to_string();
    ensure!(container.namespace("pid")? != own, "the process is not in the container");
    Ok(())
}

fn pid_running(case: &Case<'_>) -> Outcome {
    let container = case.idle(&mut case.bundle()?)?;
    let state = container.state()?;
    let path = format!("/proc/{}/cmdline", state["pid"]);
    let command = std::fs::read_to_string(&path)?;
    equal("the program of the pid", command.as_str(), "/bin/sleep\x001000\0")
}

fn pid_outside(case: &Case<'_>) -> Outcome {
    for kind in ["prestart", "createRuntime", "poststart"] {
        let seen = recording::observe(case, kind, "")?;
        same(&format!("pid in {kind}"), &seen.state()?["pid"], &json!(seen.pid))?;
    }
    Ok(())
}

fn pid_inside(case: &Case<'_>) -> Outcome {
    for kind in ["createContainer", "startContainer"] {
        let state = recording::state_of_hook(case, kind)?;
        same(&format!("pid in {kind}"), &state["pid"], &json!(1))?;
    }
    Ok(())
}

fn bundle(case: &Case<'_>) -> Outcome {
    let bundle = case.bundle()?;
    bundle.save()?;
    let id = case.new_id();
    let name = bundle.dir.file_name().unwrap_or_default().to_string_lossy();
    case.call_in(bundle.dir.parent(), "", &["create", "--bundle", &name, &id])?.success()?;
    let state: Value = serde_json::from_str(&case.call(&["state", &id])?.success()?.stdout())
        .or_else(|error| fail(format!("the state is no JSON: {error}")))?;
    let path = Path::new(state["bundle"].as_str().unwrap_or_default());
    ensure!(path.is_absolute(), "bundle is {}", state["bundle"]);
    equal("bundle", path.canonicalize()?, bundle.dir.canonicalize()?)
}

fn annotations(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["annotations"] = json!({"org.example.key": "värde", "org.example.empty": ""});
    let state = case.create(&bundle)?.state()?;
    for (key, value) in [("org.example.key", "värde"), ("org.example.empty", "")] {
        same(key, &state["annotations"][key], &json!(value))?;
    }
    Ok(())
}

fn no_annotations(case: &Case<'_>) -> Outcome {
    let state = case.create(&case.bundle()?)?.state()?;
    let annotations = state.get("annotations");
    let empty =
        annotations.is_none_or(|map| map.as_object().is_some_and(serde_json::Map::is_empty));
    ensure!(empty, "annotations is {}", state["annotations"]);
    Ok(())
}

fn schema(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.args(&["/bin/sleep", "1000"]);
    bundle.config["annotations"] = json!({"org.example.key": "value"});
    let container = case.create(&bundle)?;
    check_form(&container.state()?)?;
    container.start()?;
    check_form(&container.state()?)?;
    container.stop()?;
    check_form(&container.state()?)
}

fn no_id(case: &Case<'_>) -> Outcome {
    case.call(&["state"])?.error()
}

fn unknown_id(case: &Case<'_>) -> Outcome {
    case.call(&["state", &case.new_id()])?.error()
}

fn right_one(case: &Case<'_>) -> Outcome {
    let first = case.idle(&mut case.bundle()?)?;
    let second = case.create(&case.bundle()?)?;
    let limit = Duration::from_secs(5);
    let told = process::poll(limit, || {
        let (a, b) = (first.state()?, second.state()?);
        let wanted =
            |state: &Value, id: &str, status: &str| state["id"] == id && state["status"] == status;
        Ok((wanted(&a, &first.id, "running") && wanted(&b, &second.id, "created")).then_some(()))
    })?;
    ensure!(told.is_some(), "the states are {} and {}", first.state()?, second.state()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{check_form, is_semver};

    #[test]
    fn versions_are_three_numbers_with_additions() {
        for good in ["1.0.2", "1.0.2-dev", "1.3.0+x.y", "0.2.0"] {
            assert!(is_semver(good), "{good}");
        }
        for bad in ["1.0", "01.0.0", "1.0.0-", "v1.0.0", "", "1.0.0 x"] {
            assert!(!is_semver(bad), "{bad}");
        }
    }

    #[test]
    fn a_state_is_held_against_the_schema() {
        let good = json!({"ociVersion": "1.0.2", "id": "a", "status": "stopped", "bundle": "/b"});
        assert!(check_form(&good).is_ok());
        for (name, value) in [
            ("pid", json!(-1)),
            ("status", json!("paused")),
            ("annotations", json!({"a": 1})),
            ("id", json!(7)),
        ] {
            let mut bad = good.clone();
            bad[name] = value;
            assert!(check_form(&bad).is_err(), "{name}");
        }
    }
}
