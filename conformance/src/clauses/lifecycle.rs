//! The life of a container as a whole: its steps, errors and warnings (`runtime.md`).

use serde_json::{Value, json};

use crate::case::Case;
use crate::clause::{Clause, Level, Outcome, about, ensure, equal};
use crate::process::Exit;

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must(
        "runtime.md#scope-of-a-container/1",
        "who creates a container can use every operation on it",
        all_operations,
    ),
    Clause::must(
        "runtime.md#lifecycle/1",
        "`create` makes the environment of the configuration",
        environment,
    ),
    Clause::must(
        "runtime.md#lifecycle/2",
        "an environment that cannot be made is an error",
        impossible,
    ),
    Clause::must("runtime.md#lifecycle/3", "the program does not run before `start`", not_yet),
    Clause::must(
        "runtime.md#lifecycle/4",
        "changes of `config.json` after `create` change nothing",
        frozen,
    ),
    Clause::must("runtime.md#lifecycle/5", "`start` runs the program of the configuration", runs),
    Clause::may(
        "runtime.md#lifecycle/6",
        "the process ends by itself, by a crash or by `kill`",
        ends,
    ),
    Clause::must("runtime.md#lifecycle/7", "`delete` undoes what `create` did", undone),
    Clause::untestable(
        "runtime.md#errors/1",
        Level::May,
        "how an error is told is left to the runtime",
        "a permission: the tests take an exit status other than 0 as an error",
    ),
    Clause::must("runtime.md#errors/2", "an error leaves everything as it was before", atomic),
    Clause::untestable(
        "runtime.md#warnings/1",
        Level::May,
        "how a warning is told, or whether, is left to the runtime",
        "a permission: nothing has to be seen",
    ),
    Clause::must(
        "runtime.md#warnings/2",
        "a warning does not change the flow of the operation",
        warning,
    ),
    Clause::must(
        "runtime.md#operations/1",
        "state, create, start, kill and delete are supported",
        all_operations,
    ),
];

fn all_operations(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.args(&["/bin/sleep", "1000"]);
    let container = case.create(&bundle)?;
    equal("the status after create", container.status()?, "created")?;
    container.begin(&bundle)?;
    equal("the status after start", container.status()?, "running")?;
    container.kill("KILL")?.success()?;
    equal("the end of the program", container.wait()?, Exit::Signal(9))?;
    equal("the status after kill", container.status()?, "stopped")?;
    container.delete()?;
    container.operation("state")?.error()
}

fn environment(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.mount("/mnt", "tmpfs", "tmpfs", &["ro"]);
    let container = case.create(&bundle)?;
    for (file, kind) in
        [("mnt", "mount"), ("net", "network"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid")]
    {
        let own = std::fs::read_link(format!("/proc/self/ns/{file}"))?.display().to_string();
        ensure!(container.namespace(file)? != own, "the {kind} namespace is not made yet");
    }
    ensure!(container.mount_on("/mnt")?.has("ro"), "the mount is not made yet");
    Ok(())
}

fn impossible(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.mount("/mnt", "no-such-file-system", "none", &[]);
    case.refused(&bundle)?;
    let bundle = case.bundle()?;
    std::fs::rename(bundle.rootfs(), bundle.dir.join("elsewhere"))?;
    case.refused(&bundle)
}

fn not_yet(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.args(&["/bin/touch", "/mark"]);
    let container = case.create(&bundle)?;
    std::thread::sleep(std::time::Duration::from_millis(100));
    ensure!(!bundle.rootfs().join("mark").is_file(), "the program ran");
    equal("the status", container.status()?, "created")
}

fn frozen(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.script("echo $VALUE; id -u; pwd");
    bundle.config["process"]["env"] = json!(["PATH=/bin", "VALUE=first"]);
    let container = case.create(&bundle)?;
    bundle.config["process"]["env"] = json!(["PATH=/bin", "VALUE=second"]);
    bundle.config["process"]["user"] = json!({"uid": 5, "gid": 5});
    bundle.config["process"]["cwd"] = json!("/tmp");
    bundle.save()?;
    container.start()?;
    container.wait()?;
    equal("what the program sees", container.answer.stdout(), "first\n0\n/\n")
}

fn runs(case: &Case<'_>) -> Outcome {
    equal("the output", case.probe(&mut case.bundle()?, "echo hello")?, "hello\n")
}

fn ends(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.script("exit 3");
    let container = case.create(&bundle)?;
    container.start()?;
    equal("the end of a program that fails", container.wait()?, Exit::Code(3))?;
    let container = case.idle(&mut case.bundle()?)?;
    container.kill("KILL")?.success()?;
    equal("the end of a program that is killed", container.wait()?, Exit::Signal(9))
}

fn undone(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.mount("/mnt", "tmpfs", "tmpfs", &[]);
    let container = case.idle(&mut bundle)?;
    container.stop()?;
    container.delete()?;
    case.nothing_left(&container.id, &bundle)
}

fn atomic(case: &Case<'_>) -> Outcome {
    for (what, change) in [
        (
            "a hook that cannot be executed",
            json!({"hooks": {"createRuntime": [{"path": "/no/such/hook"}]}}),
        ),
        ("a limit the kernel refuses", json!({"linux": {"resources": {"cpu": {"period": 1}}}})),
    ] {
        let mut bundle = case.bundle()?;
        merge(&mut bundle.config, change);
        about(what, case.refused(&bundle))?;
    }
    Ok(())
}

/// Puts the members of one object into another, deep.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

fn warning(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.capabilities(&["CAP_KILL", "CAP_NO_SUCH_CAPABILITY"]);
    equal("the output", case.probe(&mut bundle, "echo hello")?, "hello\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::merge;

    #[test]
    fn merging_keeps_what_is_not_named() {
        let mut into = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        merge(&mut into, json!({"a": {"c": 3}, "d": [2], "e": null}));
        assert_eq!(into, json!({"a": {"b": 1, "c": 3}, "d": [2], "e": null}));
    }
}
