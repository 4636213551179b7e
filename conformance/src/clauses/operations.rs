//! The five operations: what each needs, what it does and when it refuses (`runtime.md`).

use std::time::Duration;

use serde_json::json;

use crate::case::{Around, Case};
use crate::clause::{Clause, Level, Outcome, ensure, equal, same};
use crate::process::{self, Exit};

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must("runtime.md#create/1", "`create` without an id is an error", create_no_id),
    Clause::must("runtime.md#create/2", "`create` without a bundle is an error", create_no_bundle),
    Clause::must(
        "runtime.md#create/3",
        "`create` with an id in use is an error and spares its owner",
        create_used_id,
    ),
    Clause::must(
        "runtime.md#create/4",
        "`create` with an invalid id is an error and creates nothing",
        create_bad_id,
    ),
    Clause::must("runtime.md#create/5", "`create` makes a new container", create_new),
    Clause::must(
        "runtime.md#create/6",
        "`create` applies everything but the process",
        create_applies,
    ),
    Clause::must(
        "runtime.md#create/7",
        "`create` does not apply the args before `start`",
        create_no_args,
    ),
    Clause::untestable(
        "runtime.md#create/8",
        Level::May,
        "`create` may apply the other properties of the process",
        "a permission: when they are applied cannot be seen before the program runs",
    ),
    Clause::must(
        "runtime.md#create/9",
        "a property that cannot be applied is an error; nothing is created",
        create_fails,
    ),
    Clause::untestable(
        "runtime.md#create/10",
        Level::May,
        "the configuration may be validated before",
        "a permission: runtime.md#create/9 tests that a failure is found in time",
    ),
    Clause::must(
        "runtime.md#create/11",
        "later changes of `config.json` have no effect",
        later_changes,
    ),
    Clause::must("runtime.md#start/1", "`start` without an id is an error", start_no_id),
    Clause::must(
        "runtime.md#start/2",
        "`start` of a running container is an error without effect",
        start_running,
    ),
    Clause::must(
        "runtime.md#start/3",
        "`start` of a stopped container is an error without effect",
        start_stopped,
    ),
    Clause::must("runtime.md#start/4", "`start` runs the configured program", start_runs),
    Clause::must(
        "runtime.md#start/5",
        "`start` is an error if no process is configured",
        start_no_process,
    ),
    Clause::must("runtime.md#kill/1", "`kill` without an id is an error", kill_no_id),
    Clause::must(
        "runtime.md#kill/2",
        "`kill` of a stopped container is an error without effect",
        kill_stopped,
    ),
    Clause::must("runtime.md#kill/3", "`kill` sends the given signal to the program", kill_signals),
    Clause::must("runtime.md#kill/4", "`kill` works on a created container", kill_created),
    Clause::must("runtime.md#delete/1", "`delete` without an id is an error", delete_no_id),
    Clause::must(
        "runtime.md#delete/2",
        "`delete` of a created container is an error without effect",
        delete_created,
    ),
    Clause::must(
        "runtime.md#delete/3",
        "`delete` of a running container is an error without effect",
        delete_running,
    ),
    Clause::must("runtime.md#delete/4", "`delete` removes what `create` made", delete_removes),
    Clause::must(
        "runtime.md#delete/5",
        "`delete` spares what the container did not create",
        delete_spares,
    ),
    Clause::may(
        "runtime.md#delete/6",
        "the id of a deleted container is free again",
        delete_frees_id,
    ),
];

fn create_no_id(case: &Case<'_>) -> Outcome {
    let bundle = case.bundle()?;
    bundle.save()?;
    case.call(&["create", "--bundle", &bundle.dir.display().to_string()])?.error()
}

fn create_no_bundle(case: &Case<'_>) -> Outcome {
    let id = case.new_id();
    // Where the working directory stands in for a bundle, it is one without a configuration.
    let empty = case.make_dir("empty")?;
    case.call_in(Some(&empty), "", &["create", &id])?.error()?;
    case.call(&["state", &id])?.error()
}

fn create_used_id(case: &Case<'_>) -> Outcome {
    let first = case.idle(&mut case.bundle()?)?;
    let before = first.state()?;
    let second = case.bundle()?;
    second.save()?;
    case.attempt_as(&first.id, &second, &Around::default())?.answer.error()?;
    same("the state of the first", &first.state()?, &before)?;
    equal("its program", first.proc("cmdline")?, "/bin/sleep\x001000\0")
}

fn create_bad_id(case: &Case<'_>) -> Outcome {
    let bundle = case.bundle()?;
    bundle.save()?;
    for id in ["", "../outside", "a/b", "/", ".."] {
        case.attempt_as(id, &bundle, &Around::default())?.answer.error()?;
    }
    ensure!(!case.dir.join("outside").is_dir(), "a state was made outside of the state root");
    case.nothing_left("outside", &bundle)
}

fn create_new(case: &Case<'_>) -> Outcome {
    let bundle = case.bundle()?;
    let (first, second) = (case.create(&bundle)?, case.bundle()?);
    let second = case.create(&second)?;
    ensure!(first.pid()? != second.pid()?, "both containers have the process {}", first.pid()?);
    ensure!(first.namespace("mnt")? != second.namespace("mnt")?, "both share a mount namespace");
    Ok(())
}

fn create_applies(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.mount("/mnt", "tmpfs", "tmpfs", &["noexec"]);
    bundle.config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    bundle.config["linux"]["maskedPaths"] = json!(["/opt"]);
    let container = case.create(&bundle)?;
    ensure!(container.mount_on("/mnt")?.has("noexec"), "the mount has other options");
    container.mount_on("/opt")?;
    let own = std::fs::read_link("/proc/self/ns/net")?.display().to_string();
    ensure!(container.namespace("net")? != own, "the network namespace is the runtime's");
    let root = std::fs::read_link(format!("/proc/{}/root", container.pid()?))?;
    let there = container.proc("root/bin/busybox").is_ok();
    ensure!(there, "the root file system of the created container is {}", root.display());
    let at = format!("/{}", bundle.config["linux"]["cgroupsPath"].as_str().unwrap_or_default());
    let at = at.trim_start_matches('/');
    ensure!(container.proc("cgroup")?.contains(at), "the cgroup is {}", container.proc("cgroup")?);
    Ok(())
}

fn create_no_args(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.script("echo run > /mark; sleep 1000");
    let container = case.create(&bundle)?;
    std::thread::sleep(Duration::from_millis(200));
    let mark = bundle.rootfs().join("mark");
    ensure!(!mark.is_file(), "the program ran before `start`");
    ensure!(!container.proc("cmdline")?.contains("/mark"), "the program is executed already");
    container.start()?;
    let ran = process::poll(case.ground.limit, || Ok(mark.is_file().then_some(())))?;
    ensure!(ran.is_some(), "the program did not run after `start`");
    Ok(())
}

fn create_fails(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["sysctl"] = json!({"net.no_such_parameter": "1"});
    case.refused(&bundle)?;
    let mut bundle = case.bundle()?;
    bundle.mount("/mnt", "none", "/no/such/source", &["bind"]);
    case.refused(&bundle)
}

fn later_changes(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.script("echo first $(hostname)");
    let container = case.create(&bundle)?;
    bundle.script("echo second");
    bundle.config["hostname"] = json!("changed");
    bundle.save()?;
    container.start()?;
    container.wait()?;
    equal("the program's output", container.answer.stdout(), "first conformance\n")
}

fn start_no_id(case: &Case<'_>) -> Outcome {
    case.call(&["start"])?.error()
}

fn start_running(case: &Case<'_>) -> Outcome {
    let container = case.idle(&mut case.bundle()?)?;
    let before = container.state()?;
    container.operation("start")?.error()?;
    same("the state", &container.state()?, &before)?;
    equal("the program", container.proc("cmdline")?, "/bin/sleep\x001000\0")
}

fn start_stopped(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.script("echo run >> /mark");
    let container = case.create(&bundle)?;
    container.start()?;
    container.wait()?;
    container.operation("start")?.error()?;
    equal("the status", container.status()?, "stopped")?;
    std::thread::sleep(Duration::from_millis(50));
    equal("what was run", std::fs::read_to_string(bundle.rootfs().join("mark"))?, "run\n")
}

fn start_runs(case: &Case<'_>) -> Outcome {
    let container = case.idle(&mut case.bundle()?)?;
    equal("the program", container.proc("cmdline")?, "/bin/sleep\x001000\0")?;
    equal("its name", container.proc("comm")?.trim(), "sleep")
}

fn start_no_process(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    if let Some(config) = bundle.config.as_object_mut() {
        config.remove("process");
    }
    let container = case.attempt(&bundle, &Around::default())?;
    container.operation("start")?.error()
}

fn kill_no_id(case: &Case<'_>) -> Outcome {
    case.call(&["kill"])?.error()
}

fn kill_stopped(case: &Case<'_>) -> Outcome {
    let container = case.create(&case.bundle()?)?;
    container.start()?;
    container.wait()?;
    let before = container.state()?;
    container.kill("TERM")?.error()?;
    same("the state", &container.state()?, &before)
}

fn kill_signals(case: &Case<'_>) -> Outcome {
    for (given, caught) in [("TERM", "TERM"), ("USR1", "USR1"), ("HUP", "HUP"), ("12", "USR2")] {
        let mut bundle = case.bundle()?;
        bundle.script(&format!(
            "for s in TERM USR1 USR2 HUP; do trap \"echo $s; exit 0\" $s; done; echo > /ready
             while true; do sleep 0.01; done; echo {caught}"
        ));
        let container = case.run(&bundle)?;
        let ready = bundle.rootfs().join("ready");
        let set = process::poll(case.ground.limit, || Ok(ready.is_file().then_some(())))?;
        ensure!(set.is_some(), "the program did not begin");
        container.kill(given)?.success()?;
        equal("the end of the program", container.wait()?, Exit::Code(0))?;
        equal("the signal caught", container.answer.stdout().trim(), caught)?;
    }
    Ok(())
}

fn kill_created(case: &Case<'_>) -> Outcome {
    let container = case.create(&case.bundle()?)?;
    container.kill("KILL")?.success()?;
    equal("the end of the process", container.wait()?, Exit::Signal(9))?;
    equal("the status", container.status()?, "stopped")
}

fn delete_no_id(case: &Case<'_>) -> Outcome {
    case.call(&["delete"])?.error()
}

fn delete_created(case: &Case<'_>) -> Outcome {
    let container = case.create(&case.bundle()?)?;
    let answer = container.operation("delete")?;
    answer.error()?;
    equal("the status", container.status()?, "created")?;
    container.start()
}

fn delete_running(case: &Case<'_>) -> Outcome {
    let container = case.idle(&mut case.bundle()?)?;
    let before = container.state()?;
    container.operation("delete")?.error()?;
    same("the state", &container.state()?, &before)?;
    equal("the program", container.proc("cmdline")?, "/bin/sleep\x001000\0")
}

fn delete_removes(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.mount("/mnt", "tmpfs", "tmpfs", &[]);
    let container = case.idle(&mut bundle)?;
    container.stop()?;
    container.delete()?;
    case.nothing_left(&container.id, &bundle)?;
    let state = case.dir.join("state").join(&container.id);
    ensure!(!state.is_dir(), "the record {} is left", state.display());
    Ok(())
}

fn delete_spares(case: &Case<'_>) -> Outcome {
    let source = case.make_dir("source")?;
    std::fs::create_dir(source.join("kept"))?;
    let mut bundle = case.bundle()?;
    bundle.mount("/mnt", "none", &source.display().to_string(), &["bind"]);
    let owner = case.idle(&mut case.bundle()?)?;
    let joined = format!("/proc/{}/ns/net", owner.pid()?);
    bundle.namespace("network", Some(json!({"type": "network", "path": joined})));
    let container = case.idle(&mut bundle)?;
    container.stop()?;
    container.delete()?;
    ensure!(source.join("kept").is_dir(), "the source of a bind mount was emptied");
    ensure!(bundle.rootfs().join("bin/busybox").is_file(), "the root file system is damaged");
    ensure!(bundle.dir.join("config.json").is_file(), "config.json is gone");
    equal("the owner of the joined namespace", owner.status()?, "running")
}

fn delete_frees_id(case: &Case<'_>) -> Outcome {
    let bundle = case.bundle()?;
    let container = case.create(&bundle)?;
    container.start()?;
    container.wait()?;
    container.delete()?;
    let again = case.attempt_as(&container.id, &bundle, &Around::default())?.created()?;
    equal("the status of the second", again.status()?, "created")
}
