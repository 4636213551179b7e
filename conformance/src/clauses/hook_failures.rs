//! What follows when a hook fails (`runtime.md`, Lifecycle).

use std::fs;

use crate::case::{Around, Case};
use crate::clause::{Clause, Outcome, ensure, equal};
use crate::clauses::recording::{log_for, shell_hook};

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must(
        "runtime.md#lifecycle/failing-prestart",
        "an error; the container is stopped and destroyed",
        create_fails,
    ),
    Clause::must(
        "runtime.md#lifecycle/failing-createRuntime",
        "an error; the container is stopped and destroyed",
        create_fails,
    ),
    Clause::must(
        "runtime.md#lifecycle/failing-createContainer",
        "an error; the container is stopped and destroyed",
        create_fails,
    ),
    Clause::must(
        "runtime.md#lifecycle/failing-startContainer",
        "an error; the program does not run",
        start_container_fails,
    ),
    Clause::must(
        "runtime.md#lifecycle/failing-startContainer-destroys",
        "the container is destroyed",
        start_destroys,
    ),
    Clause::must(
        "runtime.md#lifecycle/failing-poststart",
        "an error; the container is stopped",
        poststart_fails,
    ),
    Clause::must(
        "runtime.md#lifecycle/failing-poststart-destroys",
        "the container is destroyed",
        start_destroys,
    ),
    Clause::must(
        "runtime.md#lifecycle/failing-hook-then-poststop",
        "the poststop hooks follow a failed hook of `create`",
        then_poststop,
    ),
    Clause::must(
        "runtime.md#lifecycle/failing-hook-ends-its-kind",
        "the hooks after a failed one are not called",
        ends_kind,
    ),
    Clause::must(
        "runtime.md#lifecycle/failing-poststop",
        "a warning; the other hooks and the deletion go on",
        poststop_fails,
    ),
];

fn create_fails(case: &Case<'_>) -> Outcome {
    let kind = case.topic.trim_start_matches("failing-");
    let mut bundle = case.bundle()?;
    bundle.hook(kind, shell_hook(case, kind, "exit 1"));
    case.refused(&bundle)
}

fn start_container_fails(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.hook("startContainer", shell_hook(case, "startContainer", "exit 1"));
    bundle.args(&["/bin/touch", "/mark"]);
    let container = case.create(&bundle)?;
    let answer = container.operation("start")?;
    container.wait()?;
    ensure!(!bundle.rootfs().join("mark").is_file(), "the program ran");
    answer.error()
}

fn poststart_fails(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.hook("poststart", shell_hook(case, "poststart", "exit 1"));
    bundle.args(&["/bin/sleep", "1000"]);
    let container = case.create(&bundle)?;
    container.operation("start")?.error()?;
    container.wait().map(drop)
}

fn start_destroys(case: &Case<'_>) -> Outcome {
    let kind = case.topic.trim_start_matches("failing-").trim_end_matches("-destroys");
    let mut bundle = case.bundle()?;
    bundle.hook(kind, shell_hook(case, kind, "exit 1"));
    bundle.args(&["/bin/sleep", "1000"]);
    let container = case.create(&bundle)?;
    container.operation("start")?;
    container.wait()?;
    case.nothing_left(&container.id, &bundle)
}

fn then_poststop(case: &Case<'_>) -> Outcome {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let mut bundle = case.bundle()?;
        let dir = case.make_dir(kind)?;
        bundle.hook(kind, shell_hook(case, kind, "exit 1"));
        let mark = format!("echo called > {}/poststop", log_for("poststop", &dir));
        bundle.hook("poststop", shell_hook(case, "poststop", &mark));
        case.attempt(&bundle, &Around::default())?.answer.error()?;
        ensure!(
            dir.join("poststop").is_file(),
            "no poststop hook was called after a failed {kind}"
        );
    }
    Ok(())
}

fn ends_kind(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    let dir = case.make_dir("log")?;
    let mark = format!("echo called > {}/next", dir.display());
    for script in ["exit 1", &mark] {
        bundle.hook("createRuntime", shell_hook(case, "createRuntime", script));
    }
    bundle.hook("createContainer", shell_hook(case, "createContainer", &mark));
    case.attempt(&bundle, &Around::default())?.answer.error()?;
    ensure!(!dir.join("next").is_file(), "a later hook was called");
    Ok(())
}

fn poststop_fails(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    let dir = case.make_dir("log")?;
    let mark = format!("echo called >> {}/lines", dir.display());
    for script in [&*mark, "exit 1", &mark] {
        bundle.hook("poststop", shell_hook(case, "poststop", script));
    }
    let container = case.create(&bundle)?;
    container.start()?;
    container.wait()?;
    let answer = container.operation("delete")?;
    equal(
        "the calls",
        fs::read_to_string(dir.join("lines")).unwrap_or_default().as_str(),
        "called\ncalled\n",
    )?;
    case.nothing_left(&container.id, &bundle)?;
    answer.success().map(drop)
}
