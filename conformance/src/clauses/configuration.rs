//! The configuration as a whole: unknown properties, invalid values, annotations, labels.

use std::fs;
use std::io::{self, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::case::Case;
use crate::clause::{Clause, Level, Outcome, about, ensure, equal, same, skip};

/// Why a clause about a value has no test.
const WRITER: &str =
    "binds who writes the configuration; what a runtime makes of another value is left open";

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must(
        "config.md#extensibility/unknown",
        "unknown properties are ignored",
        unknown_properties,
    ),
    Clause::untestable(
        "config.md#extensibility/log",
        Level::May,
        "unknown properties may be logged",
        "a permission; how a warning is told is left to the runtime",
    ),
    Clause::must("config.md#valid-values/invalid", "invalid values are an error", invalid_values),
    Clause::untestable(
        "config.md#valid-values/subset",
        Level::May,
        "a runtime may support some of the valid values",
        "a permission: each value that has to be supported is a clause of its own",
    ),
    Clause::must(
        "config.md#valid-values/optional",
        "a configuration may lack every optional property",
        least_configuration,
    ),
    Clause::untestable(
        "glossary.md#json/utf-8",
        Level::Must,
        "configurations are encoded in UTF-8",
        WRITER,
    ),
    Clause::untestable(
        "glossary.md#json/duplicates",
        Level::Must,
        "JSON objects have no duplicate names",
        WRITER,
    ),
    Clause::untestable(
        "config.md#platform-specific-configuration/linux",
        Level::May,
        "`linux` may be set; objects for other platforms are not for this one",
        "binds who writes the configuration",
    ),
    Clause::may(
        "config.md#annotations/structure",
        "annotations may be structured or not",
        |case| annotated(case, &json!({"com.example.json": "{\"a\": [1]}", "plain": "a word"})),
    ),
    Clause::may("config.md#annotations/empty", "there may be no annotations", no_annotations),
    Clause::may(
        "config.md#annotations/empty-value",
        "the value of an annotation may be empty",
        |case| annotated(case, &json!({"com.example.empty": ""})),
    ),
    Clause::untestable(
        "config.md#annotations/reverse-domain",
        Level::Should,
        "keys are in reverse domain notation",
        "binds who writes the configuration; other keys are as good",
    ),
    Clause::untestable(
        "config.md#annotations/reserved",
        Level::Must,
        "keys of the specification's own name space are as it says",
        WRITER,
    ),
    Clause::untestable(
        "config.md#annotations/image-values",
        Level::Must,
        "annotations about the image have the values of the image specification",
        WRITER,
    ),
    Clause::untestable(
        "config.md#annotations/image-use",
        Level::Should,
        "annotations about the image are used as the image specification says",
        "binds who converts images to bundles",
    ),
    Clause::untestable(
        "config.md#annotations/stopSignal",
        Level::Should,
        "the stop signal of the annotation is the one to end the container with",
        "binds who calls `kill`, which is told its signal",
    ),
    Clause::untestable(
        "config.md#annotations/reserved-later",
        Level::Must,
        "other reserved keys are not used by later specifications",
        "binds who writes specifications",
    ),
    Clause::must("config.md#annotations/unknown", "unknown annotations are ignored", |case| {
        let key = "org.opencontainers.image.no-such-key";
        annotated(case, &json!({key: "value", "com.example.unknown": "value"}))
    }),
    Clause::must(
        "config.md#linux-process/apparmorProfile",
        "the process is under the AppArmor profile",
        app_armor,
    ),
    Clause::must(
        "config.md#linux-process/selinuxLabel",
        "the process has the SELinux label",
        selinux_label,
    ),
    Clause::must("config-linux.md#mount-label/label", "mounts have the SELinux label", mount_label),
    Clause::untestable(
        "config.md#process/15",
        Level::Must,
        "`consoleSize` has a height and a width",
        WRITER,
    ),
];

fn unknown_properties(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    let unknown = || json!({"deep": ["unknown", {"er": null}]});
    for parent in ["/process", "/process/user", "/root", "/linux", "/mounts/0"] {
        if let Some(parent) = bundle.config.pointer_mut(parent) {
            parent["comExampleUnknown"] = unknown();
        }
    }
    bundle.config["comExampleUnknown"] = unknown();
    bundle.config["linux"]["namespaces"][0]["comExampleUnknown"] = unknown();
    equal("the output", case.probe(&mut bundle, "echo hello")?.as_str(), "hello\n")
}

fn invalid_values(case: &Case<'_>) -> Outcome {
    let wrong: [(&str, Value); 8] = [
        ("/process/cwd", json!(7)),
        ("/process/args", json!("true")),
        ("/process/user/uid", json!("root")),
        ("/root/path", json!(["rootfs"])),
        ("/mounts/0/destination", json!({})),
        ("/linux/namespaces/0/type", json!(1)),
        ("/linux/rootfsPropagation", json!("sideways")),
        ("/hostname", json!(["a", "b"])),
    ];
    for (pointer, value) in wrong {
        let mut bundle = case.bundle()?;
        bundle.config["linux"]["rootfsPropagation"] = json!("private");
        if let Some(place) = bundle.config.pointer_mut(pointer) {
            *place = value;
        }
        about(pointer, case.refused(&bundle))?;
    }
    Ok(())
}

fn least_configuration(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    let cgroup = bundle.config["linux"]["cgroupsPath"].clone();
    bundle.config = json!({
        "ociVersion": "1.0.0",
        "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/"},
        "root": {"path": "rootfs"},
        // Without a path a runtime makes a cgroup somewhere, which the tests would not find.
        "linux": {"cgroupsPath": cgroup, "namespaces": [{"type": "pid"}, {"type": "mount"}]},
    });
    equal("the output", case.probe(&mut bundle, "echo hello")?.as_str(), "hello\n")
}

/// Fails unless a container with these annotations has them in its state.
fn annotated(case: &Case<'_>, annotations: &Value) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["annotations"] = annotations.clone();
    let state = case.idle(&mut bundle)?.state()?;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        same(key, &state["annotations"][key], value)?;
    }
    Ok(())
}

fn no_annotations(case: &Case<'_>) -> Outcome {
    for annotations in [None, Some(json!({}))] {
        let mut bundle = case.bundle()?;
        if let Some(annotations) = annotations {
            bundle.config["annotations"] = annotations;
        }
        equal("the output", case.probe(&mut bundle, "echo hello")?.as_str(), "hello\n")?;
    }
    Ok(())
}

/// A profile of AppArmor that forbids nothing, loaded until it is dropped.
struct Profile(String);

impl Profile {
    fn load() -> Outcome<Self> {
        if fs::metadata("/sys/kernel/security/apparmor/profiles").is_err() {
            return skip("the machine has no AppArmor");
        }
        let profile = Self(format!("conformance-{}", std::process::id()));
        match profile.parser("--replace") {
            Ok(true) => Ok(profile),
            _ => skip("apparmor_parser(8) is not installed, or loads no profile"),
        }
    }

    fn parser(&self, action: &str) -> io::Result<bool> {
        let mut parser = Command::new("apparmor_parser")
            .args(["--skip-cache", action])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let text = format!("profile {} flags=(attach_disconnected, complain) {{}}\n", self.0);
        if let Some(mut input) = parser.stdin.take() {
            input.write_all(text.as_bytes())?;
        }
        Ok(parser.wait()?.success())
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        let _ = self.parser("--remove");
    }
}

fn app_armor(case: &Case<'_>) -> Outcome {
    let profile = Profile::load()?;
    let mut bundle = case.bundle()?;
    bundle.config["process"]["apparmorProfile"] = json!(profile.0);
    let seen = case.idle(&mut bundle)?.proc("attr/current")?;
    equal("the profile", seen.trim_end_matches(['\0', '\n']), format!("{} (complain)", profile.0))
}

/// A label of SELinux that a container may have: the one of this program.
fn own_label() -> Outcome<String> {
    if fs::metadata("/sys/fs/selinux/enforce").is_err() {
        return skip("the machine has no SELinux");
    }
    let label = fs::read_to_string("/proc/self/attr/current")?;
    Ok(label.trim_end_matches(['\0', '\n']).to_owned())
}

fn selinux_label(case: &Case<'_>) -> Outcome {
    let label = own_label()?;
    let mut bundle = case.bundle()?;
    bundle.config["process"]["selinuxLabel"] = json!(label);
    let seen = case.idle(&mut bundle)?.proc("attr/current")?;
    equal("the label", seen.trim_end_matches(['\0', '\n']), label.as_str())
}

fn mount_label(case: &Case<'_>) -> Outcome {
    own_label()?;
    // Whatever the policy calls its labels: one that files have here.
    let said = Command::new("stat").args(["-c", "%C"]).arg(&case.dir).output()?;
    let label = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    ensure!(label.contains(':'), "the test's own stat(1) tells no label of {}", case.dir.display());
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["mountLabel"] = json!(label);
    let mount = case.idle(&mut bundle)?.mount_on("/dev/shm")?;
    ensure!(mount.shown().contains(&label), "the mount has no label {label}: {}", mount.shown());
    Ok(())
}
