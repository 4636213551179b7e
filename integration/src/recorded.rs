//! Configurations that engines really wrote, made to fit a bundle of a scene.
//!
//! They are the ones that the library's tests read (`libcontainer/tests/spec/engines`). Changed is
//! only what names things of the machine they were recorded on: paths, cgroups, joined namespaces,
//! the engine as its own hook.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::bundle::{Bundle, write};

/// The bundle with the configuration of an engine.
#[must_use]
pub fn recorded(bundle: Bundle, engine: &str) -> Bundle {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../libcontainer/tests/spec/engines");
    let text = fs::read(Path::new(dir).join(format!("{engine}.json"))).expect("a recorded one");
    let mut config: Value = serde_json::from_slice(&text).expect("JSON");
    config["root"]["path"] = bundle.rootfs().display().to_string().into();
    let linux = config["linux"].as_object_mut().expect("a Linux part");
    if linux.contains_key("cgroupsPath") {
        linux.insert("cgroupsPath".to_owned(), bundle.cgroup().into());
    }
    for namespace in list(&mut config, "/linux/namespaces") {
        namespace.as_object_mut().expect("an object").remove("path");
    }
    for mount in list(&mut config, "/mounts") {
        if is_bind(mount) {
            mount["source"] = source(&bundle, mount).into();
        }
    }
    // Not every machine lets root raise these.
    if let Some(limits) = config["process"]["rlimits"].as_array_mut() {
        limits.retain(|limit| limit["type"] != "RLIMIT_NPROC");
    }
    for hook in list(&mut config, "/hooks/prestart") {
        // The engine calls itself by another name; a shell takes that as well.
        let script = format!("cat >{}", hook_file(&bundle));
        let name = hook["args"][0].clone();
        *hook = json!({ "path": "/bin/sh", "args": [name, "-c", script] });
    }
    bundle.with_config(config)
}

/// Where the prestart hook of [`recorded`] writes what it is told.
pub fn hook_file(bundle: &Bundle) -> String {
    bundle.dir().join("told").display().to_string()
}

/// The process document of an `exec`: the container's own process with another program, as engines
/// write it.
pub fn process_document(bundle: &Bundle, args: &[&str], terminal: bool) -> Value {
    let mut process = bundle.config()["process"].clone();
    process["args"] = json!(args);
    process["terminal"] = json!(terminal);
    process
}

fn list<'a>(config: &'a mut Value, pointer: &str) -> Vec<&'a mut Value> {
    let found = config.pointer_mut(pointer).and_then(Value::as_array_mut);
    found.map(|list| list.iter_mut().collect()).unwrap_or_default()
}

fn is_bind(mount: &Value) -> bool {
    let options = mount["options"].as_array().cloned().unwrap_or_default();
    mount["type"] == "bind" || options.iter().any(|option| option == "bind" || option == "rbind")
}

/// A file or directory in place of one of the machine that was recorded.
fn source(bundle: &Bundle, mount: &Value) -> String {
    let name = mount["destination"].as_str().expect("a destination").replace('/', "_");
    let path = bundle.dir().join("engine").join(&name);
    fs::create_dir_all(path.parent().expect("a directory")).expect("mkdir");
    if name == "_dev_shm" {
        fs::create_dir_all(&path).expect("mkdir");
    } else {
        write(&path, name.as_bytes());
    }
    path.display().to_string()
}
