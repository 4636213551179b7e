//! Filters that ask a listener: an agent gets it, with the state of the container, and answers.

use integration::agent::{Agent, Answer};
use integration::{Bundle, Need, Scene};
use serde_json::{Value, json};

/// A bundle with a profile that asks about these calls, or about all others than those.
fn asking(scene: &Scene, agent: &str, names: &[&str]) -> Bundle {
    scene.bundle().set(
        "/linux/seccomp",
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": scene.dir().join(agent).display().to_string(),
            "listenerMetadata": "some words",
            "syscalls": [{ "names": names, "action": "SCMP_ACT_NOTIFY" }],
        }),
    )
}

#[test]
fn an_agent_answers_in_place_of_the_kernel() {
    let Some(scene) = Scene::begin() else { return };
    let agent = Agent::at(&scene.dir().join("agent"));
    let script = "mkdir /dev/shm/x && echo made; ls /dev/shm | wc -l";
    let bundle = asking(&scene, "agent", &["mkdir", "mkdirat"]).sh(script);
    let id = scene.id();
    let call = scene.verb("run", &[], &bundle, &id).spawn();
    let answering = agent.answer(Answer::Return(0));
    assert_eq!(call.wait().ok().stdout, "made\n0\n");
    let state = &answering.state;
    assert_eq!(state["fds"], json!(["seccompFd"]));
    assert_eq!(state["metadata"], "some words");
    assert_eq!(state["state"]["id"], Value::from(id));
    assert!(state["pid"].as_i64() > Some(0) && state["ociVersion"].is_string(), "{state}");
    assert_eq!(answering.questions(), 1);
}

#[test]
fn an_agent_may_refuse() {
    let Some(scene) = Scene::begin() else { return };
    let agent = Agent::at(&scene.dir().join("agent"));
    let bundle = asking(&scene, "agent", &["mkdir", "mkdirat"]).sh("mkdir /dev/shm/x 2>&1");
    let call = scene.verb("run", &[], &bundle, &scene.id()).spawn();
    let answering = agent.answer(Answer::Fail(28));
    assert!(call.wait().stdout.contains("No space left"), "it was refused as the agent said");
    assert_eq!(answering.questions(), 1);
}

/// Other runtimes make calls of their own after loading the filter, and would wait for an answer
/// before anybody can give one.
#[test]
fn an_agent_may_be_asked_about_every_call() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let agent = Agent::at(&scene.dir().join("agent"));
    // What is newer than all that a profile names does not exist: so it names something new.
    let mut bundle = asking(&scene, "agent", &["futex_waitv"]).args(["echo", "hello"]);
    bundle = bundle.set("/linux/seccomp/defaultAction", "SCMP_ACT_NOTIFY");
    for no_new_privileges in [true, false] {
        let bundle = bundle.clone().set("/process/noNewPrivileges", no_new_privileges);
        let call = scene.verb("run", &[], &bundle, &scene.id()).spawn();
        let answering = agent.answer(Answer::Continue);
        assert_eq!(call.wait().ok().stdout, "hello\n");
        assert!(answering.questions() > 5);
    }
}

#[test]
fn another_process_has_a_listener_of_its_own() {
    let Some(scene) = Scene::begin() else { return };
    let agent = Agent::at(&scene.dir().join("agent"));
    let bundle = asking(&scene, "agent", &["mkdir", "mkdirat"]).sleeping();
    let id = scene.id();
    let run = scene.verb("run", &["--detach"], &bundle, &id).spawn();
    let first = agent.answer(Answer::Fail(1));
    run.wait().ok();
    let call = scene.keel(["exec", &id, "mkdir", "/dev/shm/y"]).spawn();
    let second = agent.answer(Answer::Return(0));
    call.wait().ok();
    assert_eq!(second.state["state"]["status"], "running");
    assert_ne!(first.state["pid"], second.state["pid"]);
    assert_eq!(second.questions(), 1);
    scene.keel(["delete", "--force", &id]).run().ok();
    assert_eq!(first.questions(), 0);
}

#[test]
fn without_an_agent_the_program_does_not_run() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = asking(&scene, "nobody", &["mkdir"]).writable().sh("echo ran >/ran");
    let outcome = scene.run(&bundle).refused();
    assert!(outcome.stderr.contains("nobody"), "{outcome:?}");
    assert!(std::fs::metadata(bundle.rootfs().join("ran")).is_err(), "it ran");
}

#[test]
fn a_profile_that_asks_nobody_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = asking(&scene, "agent", &["mkdir"]).unset("/linux/seccomp/listenerPath");
    scene.refused(&bundle);
}

#[test]
fn an_annotation_may_say_where_the_agent_is() {
    let Some(scene) = Scene::begin() else { return };
    let agent = Agent::at(&scene.dir().join("agent"));
    let socket = scene.dir().join("agent").display().to_string();
    let bundle = asking(&scene, "agent", &["mkdir", "mkdirat"])
        .unset("/linux/seccomp/listenerPath")
        .set("/annotations/run.oci.seccomp.receiver", socket)
        .sh("mkdir /dev/shm/x 2>&1");
    let call = scene.verb("run", &[], &bundle, &scene.id()).spawn();
    let answering = agent.answer(Answer::Fail(28));
    assert!(call.wait().stdout.contains("No space left"), "it was refused as the agent said");
    assert_eq!(answering.questions(), 1);
}
