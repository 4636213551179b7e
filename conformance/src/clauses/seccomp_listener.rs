//! What a runtime sends to the listener of a filter (`config-linux.md`, seccomp and the container
//! process state).
//!
//! The program of these containers makes none of the calls that are asked about: nobody answers.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::case::{Around, Case};
use crate::clause::{Clause, Level, Outcome, ensure, equal, fail, same, skip};
use crate::container::Container;
use crate::process::poll;
use crate::received::{self, Received};

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must(
        "config-linux.md#seccomp/listenerPath",
        "the state is sent to a stream socket of the Unix domain",
        |case| notified(case).map(drop),
    ),
    Clause::must(
        "config-linux.md#seccomp/listenerPath-once",
        "one connection carries exactly one state",
        once,
    ),
    Clause::must(
        "config-linux.md#seccomp/listenerPath-closed",
        "the connection is closed after that",
        // `receive` reads to the end of the connection, while the container runs.
        |case| notified(case).map(drop),
    ),
    Clause::must(
        "config-linux.md#seccomp/listenerPath-error",
        "a state that cannot be sent is an error",
        unreachable_listener,
    ),
    Clause::must(
        "config-linux.md#seccomp/listenerPath-unused",
        "without the action SCMP_ACT_NOTIFY the path is ignored",
        unused,
    ),
    Clause::untestable(
        "config-linux.md#seccomp/listenerMetadata-alone",
        Level::Must,
        "there is no metadata without a path",
        "binds who writes the configuration; what a runtime makes of it is left open",
    ),
    Clause::must(
        "config-linux.md#the-container-process-state/payload",
        "the state is JSON, and descriptors come with SCM_RIGHTS",
        payload,
    ),
    Clause::untestable(
        "config-linux.md#the-container-process-state/sendmsg",
        Level::May,
        "the state may be sent by several calls",
        "a permission: a stream does not tell how often it was written to",
    ),
    Clause::must(
        "config-linux.md#the-container-process-state/first",
        "the descriptors come with the first bytes and with no others",
        first,
    ),
    Clause::must(
        "config-linux.md#the-container-process-state/ociVersion",
        "the version of the specification is in the state",
        |case| member(case, "ociVersion", Value::is_string),
    ),
    Clause::must(
        "config-linux.md#the-container-process-state/fds",
        "the names are in the order of the descriptors; one is `seccompFd`",
        names,
    ),
    Clause::must(
        "config-linux.md#the-container-process-state/pid",
        "the process id is the one the runtime sees",
        pid,
    ),
    Clause::must(
        "config-linux.md#the-container-process-state/metadata",
        "`listenerMetadata` is the metadata of the state",
        metadata,
    ),
    Clause::must(
        "config-linux.md#the-container-process-state/state",
        "the container's state is in the state of its process",
        state,
    ),
];

/// What came through the connection.
pub(crate) struct Sent {
    /// The JSON text.
    state: Value,
    /// The descriptors.
    descriptors: Vec<Received>,
    /// Whether all descriptors came with the first bytes.
    with_first: bool,
    /// The pid of the container's process.
    pid: i32,
    /// The container's id.
    id: String,
    /// Whether there was a further connection.
    again: bool,
}

/// Configures a filter that asks a listener about fsync(2).
fn ask(bundle: &mut Bundle, path: &Path) {
    bundle.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": path,
        "listenerMetadata": "some metadata",
        "syscalls": [{"names": ["fsync"], "action": "SCMP_ACT_NOTIFY"}],
    });
}

/// Runs a container whose filter has a listener; what was sent to it.
pub(crate) fn notified(case: &Case<'_>) -> Outcome<Sent> {
    notified_with(case, &[])
}

/// Fails unless a filter with a listener can have this flag.
pub(crate) fn with_flag(case: &Case<'_>, flag: &str) -> Outcome {
    notified_with(case, &[flag]).map(drop)
}

fn notified_with(case: &Case<'_>, flags: &[&str]) -> Outcome<Sent> {
    if case.ground.machine.kernel < (5, 9) {
        return skip("the kernel is older than 5.9");
    }
    let path = case.dir.join("listener.sock");
    let listener = UnixListener::bind(&path)?;
    listener.set_nonblocking(true)?;
    let mut bundle = case.bundle()?;
    ask(&mut bundle, &path);
    if !flags.is_empty() {
        bundle.config["linux"]["seccomp"]["flags"] = json!(flags);
    }
    let container = case.idle(&mut bundle)?;
    let stream = poll(case.ground.limit, || Ok(listener.accept().ok()))?;
    let Some((stream, _)) = stream else { return fail("nobody connected to the listener") };
    let mut sent = receive(&stream, &container)?;
    sent.again = listener.accept().is_ok();
    Ok(sent)
}

/// Reads a connection to its end.
fn receive(stream: &UnixStream, container: &Container<'_>) -> Outcome<Sent> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let (mut text, mut descriptors, mut with_first) = (Vec::new(), Vec::new(), true);
    loop {
        let Ok((bytes, fresh)) = received::receive(stream) else {
            return fail("the connection was not closed after the state");
        };
        with_first &= text.is_empty() || fresh.is_empty();
        descriptors.extend(fresh);
        if bytes.is_empty() {
            break;
        }
        text.extend(bytes);
    }
    let shown = String::from_utf8_lossy(&text).into_owned();
    let Ok(state) = serde_json::from_str(&shown) else {
        return fail(format!("what was sent is not one JSON text: {shown:?}"));
    };
    let (pid, id) = (container.pid()?, container.id.clone());
    Ok(Sent { state, descriptors, with_first, pid, id, again: false })
}

fn once(case: &Case<'_>) -> Outcome {
    ensure!(!notified(case)?.again, "there was a second connection");
    Ok(())
}

fn unreachable_listener(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    ask(&mut bundle, &case.dir.join("nobody-listens.sock"));
    bundle.script("echo ran > /tmp/ran");
    let container = case.attempt(&bundle, &Around::default())?;
    if container.answer.ok {
        container.operation("start")?.error()?;
    }
    ensure!(!bundle.rootfs().join("tmp/ran").is_file(), "the program ran");
    Ok(())
}

fn unused(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    ask(&mut bundle, &case.dir.join("nobody-listens.sock"));
    bundle.config["linux"]["seccomp"]["syscalls"][0]["action"] = json!("SCMP_ACT_ERRNO");
    if let Some(seccomp) = bundle.config["linux"]["seccomp"].as_object_mut() {
        seccomp.remove("listenerMetadata");
    }
    equal("the output", case.probe(&mut bundle, "echo hello")?.as_str(), "hello\n")
}

fn payload(case: &Case<'_>) -> Outcome {
    let sent = notified(case)?;
    ensure!(sent.state.is_object(), "the state is {}", sent.state);
    ensure!(!sent.descriptors.is_empty(), "no descriptor was sent");
    Ok(())
}

fn first(case: &Case<'_>) -> Outcome {
    ensure!(notified(case)?.with_first, "descriptors came after the first bytes");
    Ok(())
}

fn member(case: &Case<'_>, name: &str, is: fn(&Value) -> bool) -> Outcome {
    let sent = notified(case)?;
    ensure!(is(&sent.state[name]), "{name} is {}", sent.state[name]);
    Ok(())
}

fn names(case: &Case<'_>) -> Outcome {
    let sent = notified(case)?;
    let names = sent.state["fds"].as_array().cloned().unwrap_or_default();
    equal("the number of descriptors", sent.descriptors.len(), names.len())?;
    let Some(place) = names.iter().position(|name| name == "seccompFd") else {
        return fail(format!("the names are {}", sent.state["fds"]));
    };
    let target = sent.descriptors[place].target()?;
    ensure!(target.contains("seccomp notify"), "the descriptor called seccompFd is {target}");
    Ok(())
}

fn pid(case: &Case<'_>) -> Outcome {
    let sent = notified(case)?;
    same("pid", &sent.state["pid"], &json!(sent.pid))
}

fn metadata(case: &Case<'_>) -> Outcome {
    same("metadata", &notified(case)?.state["metadata"], &json!("some metadata"))
}

fn state(case: &Case<'_>) -> Outcome {
    let sent = notified(case)?;
    let state = &sent.state["state"];
    same("the id of the state", &state["id"], &json!(sent.id))?;
    same("the pid of the state", &state["pid"], &json!(sent.pid))?;
    ensure!(state["ociVersion"].is_string(), "the version of the state is {}", state["ociVersion"]);
    let bundle = state["bundle"].as_str().unwrap_or_default();
    ensure!(bundle.starts_with('/'), "the bundle of the state is {bundle:?}");
    let status = state["status"].as_str().unwrap_or_default();
    ensure!(["creating", "created", "running"].contains(&status), "the status is {status:?}");
    Ok(())
}
