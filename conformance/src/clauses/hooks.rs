//! The six kinds of hooks: when and where they are called and what they are given (`config.md`).
//!
//! What the hooks record is in `recording.rs`; what follows when one fails in `hook_failures.rs`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use serde_json::json;

use crate::case::{Around, Case};
use crate::clause::{Clause, Level, Outcome, about, ensure, equal, same};
use crate::clauses::recording::{
    KINDS, NAMESPACES, lines, log_dir, observe, shell_hook, write_program,
};
use crate::clauses::state::check_form;

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must(
        "config.md#posix-platform-hooks/1",
        "hooks of a kind are called in the listed order",
        order,
    ),
    Clause::must(
        "config.md#posix-platform-hooks/2",
        "every hook gets the container's state on its standard input",
        state_on_stdin,
    ),
    Clause::must(
        "config.md#posix-platform-hooks/3",
        "a hook's path has to be absolute",
        relative_path,
    ),
    Clause::must(
        "config.md#posix-platform-hooks/4",
        "`args` is the hook's argv, its name included",
        args,
    ),
    Clause::must("config.md#posix-platform-hooks/5", "`env` is the hook's environment", env),
    Clause::must(
        "config.md#posix-platform-hooks/6",
        "a hook is aborted after `timeout` seconds",
        timeout,
    ),
    Clause::untestable(
        "config.md#posix-platform-hooks/7",
        Level::Must,
        "`timeout` is greater than zero",
        "binds who writes the configuration; what a runtime makes of another value is left open",
    ),
    Clause::must(
        "config.md#posix-platform-hooks/8",
        "a hook may leave the state unread",
        unread_state,
    ),
    Clause::must("config.md#prestart/1", "called by `create` when the environment exists", during),
    Clause::must(
        "config.md#prestart/2",
        "called before the container's root is changed",
        before_pivot,
    ),
    Clause::must("config.md#prestart/3", "called before the createRuntime hooks", sequence),
    Clause::must("config.md#prestart/4", "the path is one of the runtime's namespaces", place),
    Clause::must("config.md#prestart/5", "executed in the runtime's namespaces", namespaces),
    Clause::must(
        "config.md#createruntime-hooks/1",
        "called by `create` when the environment exists",
        during,
    ),
    Clause::must(
        "config.md#createruntime-hooks/2",
        "called before the container's root is changed",
        before_pivot,
    ),
    Clause::must(
        "config.md#createruntime-hooks/3",
        "the path is one of the runtime's namespaces",
        place,
    ),
    Clause::must(
        "config.md#createruntime-hooks/4",
        "executed in the runtime's namespaces",
        namespaces,
    ),
    Clause::must(
        "config.md#createcontainer-hooks/1",
        "called by `create` when the environment exists",
        during,
    ),
    Clause::must(
        "config.md#createcontainer-hooks/2",
        "called before the container's root is changed",
        before_pivot,
    ),
    Clause::must(
        "config.md#createcontainer-hooks/3",
        "called after the createRuntime hooks",
        sequence,
    ),
    Clause::must(
        "config.md#createcontainer-hooks/4",
        "the path is one of the runtime's namespaces",
        place,
    ),
    Clause::must(
        "config.md#createcontainer-hooks/5",
        "executed in the container's namespaces",
        namespaces,
    ),
    Clause::must(
        "config.md#startcontainer-hooks/1",
        "called by `start` before the program is executed",
        before_program,
    ),
    Clause::must(
        "config.md#startcontainer-hooks/2",
        "the path is one of the container's namespaces",
        place,
    ),
    Clause::must(
        "config.md#startcontainer-hooks/3",
        "executed in the container's namespaces",
        namespaces,
    ),
    Clause::must("config.md#poststart/1", "called when the program is executed", after_program),
    Clause::must("config.md#poststart/2", "called before `start` returns", during),
    Clause::must("config.md#poststart/3", "the path is one of the runtime's namespaces", place),
    Clause::must("config.md#poststart/4", "executed in the runtime's namespaces", namespaces),
    Clause::must("config.md#poststop/1", "called when the container is deleted", after_delete),
    Clause::must("config.md#poststop/2", "called before `delete` returns", during),
    Clause::must("config.md#poststop/3", "the path is one of the runtime's namespaces", place),
    Clause::must("config.md#poststop/4", "executed in the runtime's namespaces", namespaces),
];

/// The kind of hooks the clause's section is about.
fn kind(case: &Case<'_>) -> &'static str {
    KINDS.iter().find(|(_, section)| *section == case.section).map_or("", |(kind, _)| kind)
}

fn order(case: &Case<'_>) -> Outcome {
    for (kind, _) in KINDS {
        let hooks = ["sleep 0.1; echo 1 >> $D/lines", "echo 2 >> $D/lines", "echo 3 >> $D/lines"];
        let seen = lines(case, &hooks.map(|script| (kind, script)))?;
        let hooks: Vec<_> = seen.iter().filter(|line| *line != "program").collect();
        equal(
            &format!("the order of the {kind} hooks"),
            hooks,
            ["1", "2", "3"].iter().collect::<Vec<_>>(),
        )?;
    }
    Ok(())
}

fn state_on_stdin(case: &Case<'_>) -> Outcome {
    for (kind, _) in KINDS {
        let seen = observe(case, kind, "")?;
        let state = about(kind, seen.state())?;
        about(kind, check_form(&state))?;
        same(&format!("id in {kind}"), &state["id"], &json!(seen.id))?;
        let bundle = Path::new(state["bundle"].as_str().unwrap_or_default()).canonicalize()?;
        equal(&format!("bundle in {kind}"), bundle, seen.bundle.canonicalize()?)?;
    }
    Ok(())
}

fn relative_path(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    write_program(&bundle.dir.join("hook.sh"), "#!/bin/sh\n")?;
    bundle.hook("createRuntime", json!({"path": "hook.sh"}));
    bundle.save()?;
    let id = case.new_id();
    let dir = bundle.dir.display().to_string();
    case.call_in(Some(&bundle.dir), "", &["create", "--bundle", &dir, &id])?.error()?;
    case.nothing_left(&id, &bundle)
}

fn unread_state(case: &Case<'_>) -> Outcome {
    for (kind, _) in KINDS {
        let mut bundle = case.bundle()?;
        // More than a pipe holds: who writes it notices that nobody reads.
        bundle.config["annotations"] = json!({"org.example.long": "x".repeat(200_000)});
        let host = case.ground.machine.busybox.display().to_string();
        let path = if kind == "startContainer" { "/bin/busybox" } else { &host };
        bundle.hook(kind, json!({"path": path, "args": ["true"]}));
        let container = about(kind, case.idle(&mut bundle))?;
        container.stop()?;
        about(kind, container.delete())?;
    }
    Ok(())
}

fn args(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    let dir = log_dir(case, &mut bundle)?;
    // busybox is a shell only if its argv[0] says so.
    let script = format!(
        "cat > /dev/null; for a in \"$@\"; do echo \"<$a>\"; done > {}/args",
        dir.display()
    );
    let path = &case.ground.machine.busybox;
    bundle.hook(
        "createRuntime",
        json!({"path": path, "args": ["sh", "-c", script, "sh", "", "two words", "ü"]}),
    );
    case.create(&bundle)?;
    let seen = fs::read_to_string(dir.join("args"))?;
    equal("the arguments", seen.as_str(), "<>\n<two words>\n<ü>\n")
}

fn env(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    let dir = log_dir(case, &mut bundle)?;
    // Not the shell's last command: it would be executed in the shell's place.
    let script = format!(
        "cat > /dev/null; tr '\\0' '\\n' < /proc/$$/environ > {}/environ; true",
        dir.display()
    );
    let path = &case.ground.machine.busybox;
    let env = ["ONE=1", "TWO=two words", "EMPTY="];
    bundle.hook("createRuntime", json!({"path": path, "args": ["sh", "-c", script], "env": env}));
    let around = Around { before: "export LEAKED=yes", options: &[] };
    case.attempt(&bundle, &around)?.created()?;
    // The order of an environment means nothing.
    let seen = fs::read_to_string(dir.join("environ"))?;
    let mut settings: Vec<&str> = seen.lines().collect();
    settings.sort_unstable();
    equal("the environment", settings, ["EMPTY=", "ONE=1", "TWO=two words"])
}

fn timeout(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    let mut quick = shell_hook(case, "createRuntime", "sleep 0.2");
    quick["timeout"] = json!(30);
    bundle.hook("createRuntime", quick);
    let container = about("a hook that ends in time", case.create(&bundle))?;
    container.stop()?;
    container.delete()?;
    let mut bundle = case.bundle()?;
    let mut slow = shell_hook(case, "createRuntime", "exec sleep 60");
    slow["timeout"] = json!(1);
    bundle.hook("createRuntime", slow);
    let begin = Instant::now();
    case.refused(&bundle)?;
    let took = begin.elapsed();
    ensure!(took.as_millis() > 900, "the hook was aborted after {took:?} already");
    ensure!(took.as_secs() < 10, "the hook was aborted after {took:?} only");
    Ok(())
}

fn during(case: &Case<'_>) -> Outcome {
    let kind = kind(case);
    // Slow enough to be missed if the operation does not wait for it.
    let seen = observe(
        case,
        kind,
        "sleep 0.2; for n in net uts ipc; do readlink /proc/$P/ns/$n; done > $D/made
        grep ' tmpfs ' /proc/$P/mountinfo > $D/mounts",
    )?;
    let operation = match kind {
        "poststart" => "start",
        "poststop" => "delete",
        _ => "create",
    };
    equal(&format!("the operation that called the {kind} hook"), seen.during, operation)?;
    if operation == "create" && kind != "createContainer" {
        let made = seen.file("made");
        equal(
            "the namespaces when it was called",
            made.lines().collect::<Vec<_>>(),
            seen.namespaces[1..4].to_vec(),
        )?;
        ensure!(
            seen.file("mounts").contains("/mnt "),
            "the mounts were not made when it was called"
        );
    }
    Ok(())
}

fn before_pivot(case: &Case<'_>) -> Outcome {
    let kind = kind(case);
    let root = if kind == "createContainer" { "/" } else { "/proc/$P/root/." };
    let seen = observe(case, kind, &format!("stat -Lc %d:%i {root} > $D/root"))?;
    let rootfs = fs::metadata(seen.bundle.join("rootfs"))?;
    let there = seen.file("root");
    ensure!(!there.is_empty(), "the root cannot be looked at in {kind}");
    ensure!(
        there.trim() != format!("{}:{}", rootfs.dev(), rootfs.ino()),
        "the root is the container's already"
    );
    Ok(())
}

fn sequence(case: &Case<'_>) -> Outcome {
    let first: Vec<_> = KINDS[..3].iter().rev().map(|(kind, _)| *kind).collect();
    let scripts =
        first.iter().map(|kind| format!("sleep 0.05; echo {kind} >> $D/lines")).collect::<Vec<_>>();
    let hooks: Vec<_> = first.iter().copied().zip(scripts.iter().map(String::as_str)).collect();
    equal(
        "the sequence",
        lines(case, &hooks)?,
        ["prestart", "createRuntime", "createContainer", "program"],
    )
}

fn place(case: &Case<'_>) -> Outcome {
    let kind = kind(case);
    let wanted = if kind == "startContainer" { "container" } else { "host" };
    equal(
        "the place of the file that was executed",
        observe(case, kind, "")?.file("place").trim(),
        wanted,
    )
}

fn namespaces(case: &Case<'_>) -> Outcome {
    let kind = kind(case);
    let seen = observe(case, kind, "")?;
    let there = seen.file("namespaces");
    let there: Vec<_> = there.lines().collect();
    if matches!(kind, "createContainer" | "startContainer") {
        return equal("the hook's namespaces", there, seen.namespaces);
    }
    ensure!(
        there.first().is_some_and(|mnt| *mnt != seen.namespaces[0]),
        "the mount namespace is the container's"
    );
    let own: Vec<_> = NAMESPACES[1..]
        .iter()
        .map(|n| Ok(fs::read_link(format!("/proc/self/ns/{n}"))?.display().to_string()))
        .collect::<Outcome<_>>()?;
    equal("the hook's other namespaces", &there[1..], &own[..])
}

fn before_program(case: &Case<'_>) -> Outcome {
    let seen = observe(case, "startContainer", "")?;
    equal("the operation that called the hook", seen.during, "start")?;
    let seen = lines(case, &[("startContainer", "sleep 0.2; echo hook >> $D/lines")])?;
    equal("the sequence", seen, ["hook", "program"])
}

fn after_program(case: &Case<'_>) -> Outcome {
    // The program may need a moment for its first line; one that waits for the hook writes none.
    let wait =
        "n=0; while ! grep -q program $D/lines && [ $n -lt 20 ]; do sleep 0.1; n=$((n+1)); done";
    let seen =
        lines(case, &[("poststart", &format!("{wait} 2>/dev/null; echo hook >> $D/lines"))])?;
    equal("the sequence", seen, ["program", "hook"])
}

fn after_delete(case: &Case<'_>) -> Outcome {
    let mounts = case.ground.machine.hierarchies.iter().map(|hierarchy| hierarchy.mount.display());
    let members = mounts.map(|mount| format!("{mount}{}/*/cgroup.procs", case.cgroup));
    let members = members.collect::<Vec<_>>().join(" ");
    let seen = observe(case, "poststop", &format!("ls {members} > $D/left 2>/dev/null"))?;
    equal("the operation that called the hook", seen.during, "delete")?;
    equal("the cgroups that were left", seen.file("left").as_str(), "")
}
