//! The features document as engines get it, beside that of runc.

use std::process::Command;

use integration::{Need, Scene, skip};
use serde_json::Value;

fn document(program: &std::path::Path) -> Value {
    let output = Command::new(program).arg("features").output().expect("the runtime runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn names(document: &Value, pointer: &str) -> Vec<String> {
    let list = document.pointer(pointer).and_then(Value::as_array).expect("a list");
    list.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

/// The members of an object and of those in it, with the kind of their values.
fn shape(value: &Value, pointer: &str) -> Vec<(String, &'static str)> {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    let below = value.as_object().into_iter().flatten();
    let below = below.flat_map(|(name, member)| shape(member, &format!("{pointer}/{name}")));
    std::iter::once((pointer.to_owned(), kind)).chain(below).collect()
}

#[test]
fn the_document_is_the_same_without_privileges_input_or_a_state_root() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Program("setpriv")]) else { return };
    let program = scene.runtime().program();
    let plain = scene.call(program).arg("features").run().ok().stdout;
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"];
    let call = scene.call("setpriv").args(nobody).arg("env").arg("-i").arg(program);
    assert_eq!(call.arg("features").run().ok().stdout, plain);
    let document: Value = serde_json::from_str(&plain).expect("JSON");
    assert_eq!(document["annotations"]["org.opencontainers.runc.checkpoint.enabled"], "false");
    let version = scene.call(program).arg("--version").run().ok().stdout;
    let number = document["annotations"]["keel.version"].as_str().expect("a version");
    assert!(version.starts_with(&format!("keel version {number}\n")), "{version}");
    let spec = document["ociVersionMax"].as_str().expect("a version");
    assert!(version.contains(&format!("\nspec: {spec}\n")), "{version}");
}

#[test]
fn what_runc_announces_is_announced_in_the_same_shape() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let Some(runc) = skip::program("runc") else {
        skip("the program runc is not installed");
        return;
    };
    let (ours, theirs) = (document(scene.runtime().program()), document(&runc));
    let ours_shape = shape(&ours, "");
    // Free text is each runtime's own.
    let missing: Vec<_> = shape(&theirs, "")
        .into_iter()
        .filter(|(pointer, _)| !pointer.starts_with("/annotations/"))
        .filter(|member| !ours_shape.contains(member))
        .map(|(pointer, _)| pointer)
        .collect();
    assert_eq!(missing, [""; 0]);
    for pointer in ["/hooks", "/mountOptions", "/linux/namespaces", "/linux/capabilities"] {
        let ours = names(&ours, pointer);
        let mut missing = names(&theirs, pointer);
        missing.retain(|name| !ours.contains(name));
        assert_eq!(missing, [""; 0], "{pointer}");
    }
}

#[test]
fn a_cgroup_manager_that_is_announced_is_asked() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let document = document(scene.runtime().program());
    let bundle = scene.bundle();
    bundle.save();
    let call = scene.keel(["--systemd-cgroup", "create", "--bundle"]).arg(bundle.dir());
    let outcome = call.arg(scene.id()).run();
    // The path of the bundle's cgroup names no scope.
    assert_eq!(document["linux"]["cgroup"]["systemd"], true);
    outcome.refused().says(&["slice:prefix:name"]);
}
