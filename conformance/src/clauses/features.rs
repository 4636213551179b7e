//! The features document (`features.md`): what a runtime says of itself has to be so.
//!
//! A runtime without the command `features` skips these; to have none is its right.

use serde_json::{Map, Value, json};

use crate::bundle::Bundle;
use crate::case::Case;
use crate::clause::{Clause, Level, Outcome, about, ensure, equal, fail, skip};
use crate::clauses::recording;

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::may(
        "features.md#features-structure/provided",
        "a runtime gives a JSON object about its features",
        |case| document(case).map(drop),
    ),
    Clause::should(
        "features.md#features-structure/compilation",
        "the document does not depend on the machine at the time of the call",
        same_everywhere,
    ),
    Clause::untestable(
        "features.md#features-structure/absent",
        Level::May,
        "properties may be absent or null",
        "a permission: absence says nothing of the runtime",
    ),
    Clause::untestable(
        "features.md#features-structure/null",
        Level::Must,
        "null is not an empty value",
        "binds who reads the document",
    ),
    Clause::must(
        "features.md#specification-version/ociVersionMin",
        "a configuration with the least version is accepted",
        version,
    ),
    Clause::must(
        "features.md#specification-version/ociVersionMax",
        "a configuration with the greatest version is accepted",
        version,
    ),
    Clause::must(
        "features.md#specification-version/order",
        "the greatest version is not less than the least",
        order,
    ),
    Clause::must(
        "features.md#specification-version/defined",
        "there are no properties but those of the specification",
        defined,
    ),
    Clause::must("features.md#hooks/hooks", "every listed kind of hook is called", hooks),
    Clause::must(
        "features.md#mount-options/recognized",
        "every listed mount option is accepted",
        mount_options,
    ),
    Clause::should(
        "features.md#mount-options/data",
        "options of file systems are not listed",
        file_system_options,
    ),
    Clause::may(
        "features.md#platform-specific-features/linux",
        "what is special to Linux is an object",
        |case| linux(case).map(drop),
    ),
    Clause::must(
        "features.md#annotations/map",
        "annotations are a map of strings with non-empty keys",
        annotations,
    ),
    Clause::untestable(
        "features.md#annotations/structure",
        Level::May,
        "annotations may be structured or not",
        "a permission: any text is as good as another",
    ),
    Clause::may(
        "features.md#unsafe-annotations-in-configjson/list",
        "unsafe annotations of a configuration are a list of keys",
        unsafe_annotations,
    ),
];

/// The members of the document, of its object for Linux, and of the objects in that.
const DEFINED: [(&str, &[&str]); 11] = [
    (
        "",
        &[
            "ociVersionMin",
            "ociVersionMax",
            "hooks",
            "mountOptions",
            "linux",
            "annotations",
            "potentiallyUnsafeConfigAnnotations",
        ],
    ),
    (
        "/linux",
        &[
            "namespaces",
            "capabilities",
            "cgroup",
            "seccomp",
            "apparmor",
            "selinux",
            "memoryPolicy",
            "intelRdt",
            "mountExtensions",
            "netDevices",
        ],
    ),
    ("/linux/cgroup", &["v1", "v2", "systemd", "systemdUser", "rdma"]),
    (
        "/linux/seccomp",
        &["enabled", "actions", "operators", "archs", "knownFlags", "supportedFlags"],
    ),
    ("/linux/apparmor", &["enabled"]),
    ("/linux/selinux", &["enabled"]),
    ("/linux/memoryPolicy", &["modes", "flags"]),
    ("/linux/intelRdt", &["enabled", "schemata", "monitoring"]),
    ("/linux/mountExtensions", &["idmap"]),
    ("/linux/mountExtensions/idmap", &["enabled"]),
    ("/linux/netDevices", &["enabled"]),
];

/// The document of a runtime.
pub(crate) fn document(case: &Case<'_>) -> Outcome<Value> {
    document_in(case, "")
}

/// The same, asked for after some shell commands.
fn document_in(case: &Case<'_>, before: &str) -> Outcome<Value> {
    let answer = case.call_in(None, before, &["features"])?;
    if !answer.ok {
        return skip("the runtime gives no features document");
    }
    match serde_json::from_str(&answer.stdout()) {
        Ok(Value::Object(members)) => Ok(Value::Object(members)),
        _ => fail(format!("the document is no JSON object: {:?}", answer.stdout())),
    }
}

/// The object for Linux.
pub(crate) fn linux(case: &Case<'_>) -> Outcome<Map<String, Value>> {
    match &document(case)?["linux"] {
        Value::Null => skip("the document has nothing special to Linux"),
        Value::Object(members) => Ok(members.clone()),
        other => fail(format!("`linux` is {other}")),
    }
}

/// The texts of a list; a list that is absent says nothing.
pub(crate) fn texts(list: Option<&Value>) -> Outcome<Vec<String>> {
    match list {
        None | Some(Value::Null) => skip("the document has no such list"),
        Some(list) => match serde_json::from_value(list.clone()) {
            Ok(texts) => Ok(texts),
            Err(_) => fail(format!("{list} is no list of texts")),
        },
    }
}

fn same_everywhere(case: &Case<'_>) -> Outcome {
    let here = document(case)?;
    // Elsewhere: a mount table without cgroups, and without what the kernel tells of itself there.
    let busybox = case.ground.machine.busybox.display();
    let hide = format!(
        "for m in cgroup kernel; do {busybox} mount -t tmpfs none /sys/fs/cgroup; \
         {busybox} mount -t tmpfs none /sys/kernel; done; exec \"$@\""
    );
    let before = format!("set -- {busybox} unshare -m {busybox} sh -c '{hide}' elsewhere \"$@\"");
    let there = document_in(case, &before)?;
    ensure!(here == there, "without cgroups and /sys/kernel the document is another");
    Ok(())
}

fn version(case: &Case<'_>) -> Outcome {
    let document = document(case)?;
    ensure!(document[case.topic].is_string(), "{} is {}", case.topic, document[case.topic]);
    let mut bundle = case.bundle()?;
    bundle.config["ociVersion"] = document[case.topic].clone();
    equal("the output", case.probe(&mut bundle, "echo hello")?.as_str(), "hello\n")
}

fn order(case: &Case<'_>) -> Outcome {
    let document = document(case)?;
    let read = |name: &str| {
        let text = document[name].as_str().unwrap_or_default();
        let number = text.split(['-', '+']).next().unwrap_or_default();
        let parts: Option<Vec<u64>> = number.split('.').map(|part| part.parse().ok()).collect();
        parts.filter(|parts| parts.len() == 3).ok_or(format!("{name} is {text:?}, not a version"))
    };
    match (read("ociVersionMin"), read("ociVersionMax")) {
        (Ok(least), Ok(greatest)) => {
            ensure!(least <= greatest, "{least:?} is more than {greatest:?}");
            Ok(())
        }
        (Err(error), _) | (_, Err(error)) => fail(error),
    }
}

fn defined(case: &Case<'_>) -> Outcome {
    let document = document(case)?;
    for (place, names) in DEFINED {
        let Some(Value::Object(members)) = document.pointer(place) else { continue };
        for name in members.keys() {
            ensure!(names.contains(&name.as_str()), "{place}/{name} is not defined");
        }
    }
    Ok(())
}

fn hooks(case: &Case<'_>) -> Outcome {
    for kind in texts(document(case)?.get("hooks"))? {
        let known = recording::KINDS.iter().find(|(name, _)| *name == kind);
        let Some((kind, _)) = known else {
            return fail(format!("the specification knows no hook {kind}"));
        };
        let told = recording::lines(case, &[(kind, "echo called >> $D/lines")])?;
        ensure!(told.iter().any(|line| line == "called"), "the {kind} hook was not called");
    }
    Ok(())
}

/// Adds a mount, in a directory of its own, with an option in the surroundings it is made for.
fn mount_with(bundle: &mut Bundle, number: usize, option: &str, source: &str) {
    let (destination, covered) = (format!("/m/{number}"), format!("/m/{number}-first"));
    match option {
        "bind" | "rbind" => bundle.mount(&destination, "none", source, &[option]),
        "remount" => {
            bundle.mount(&covered, "tmpfs", "tmpfs", &[]);
            bundle.mount(&covered, "tmpfs", "tmpfs", &["remount", "nosuid"]);
        }
        "idmap" | "ridmap" => {
            let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
            let mount = json!({
                "destination": destination, "type": "none", "source": source,
                "options": ["rbind", option], "uidMappings": map, "gidMappings": map
            });
            bundle.push("", "mounts", mount);
        }
        "src-nofollow" | "dest-nofollow" | "copy-symlink" => {
            bundle.mount(&destination, "none", source, &["bind", option]);
        }
        _ => bundle.mount(&destination, "tmpfs", "tmpfs", &[option]),
    }
}

fn mount_options(case: &Case<'_>) -> Outcome {
    let options = texts(document(case)?.get("mountOptions"))?;
    let source = case.make_dir("source")?.display().to_string();
    let mut bundle = case.bundle()?;
    for (number, option) in options.iter().enumerate() {
        mount_with(&mut bundle, number, option, &source);
    }
    if case.probe(&mut bundle, "true").is_ok() {
        return Ok(());
    }
    // One after the other, to name those that are refused.
    let mut refused = Vec::new();
    for (number, option) in options.iter().enumerate() {
        let mut bundle = case.bundle()?;
        mount_with(&mut bundle, number, option, &source);
        if about(option, case.probe(&mut bundle, "true")).is_err() {
            refused.push(option.as_str());
        }
    }
    ensure!(refused.is_empty(), "refused: {}", refused.join(", "));
    fail("each option is accepted, but not all in one configuration")
}

fn file_system_options(case: &Case<'_>) -> Outcome {
    // Of tmpfs, overlay, devpts, proc, ext4 and btrfs, and labels of SELinux.
    let data = [
        "size",
        "nr_blocks",
        "nr_inodes",
        "mode",
        "uid",
        "gid",
        "huge",
        "lowerdir",
        "upperdir",
        "workdir",
        "newinstance",
        "ptmxmode",
        "hidepid",
        "subset",
        "data",
        "barrier",
        "errors",
        "subvol",
        "compress",
        "context",
        "fscontext",
        "defcontext",
        "rootcontext",
    ];
    let options = texts(document(case)?.get("mountOptions"))?;
    let found = options.iter().find(|option| data.contains(&option.trim_end_matches('=')));
    ensure!(found.is_none(), "{found:?} is an option of file systems");
    Ok(())
}

fn annotations(case: &Case<'_>) -> Outcome {
    match &document(case)?["annotations"] {
        Value::Null => skip("the document has no annotations"),
        Value::Object(members) => {
            for (key, value) in members {
                ensure!(!key.is_empty() && value.is_string(), "{key:?} is {value}");
            }
            Ok(())
        }
        other => fail(format!("the annotations are {other}")),
    }
}

fn unsafe_annotations(case: &Case<'_>) -> Outcome {
    let keys = texts(document(case)?.get("potentiallyUnsafeConfigAnnotations"))?;
    ensure!(keys.iter().all(|key| !key.is_empty()), "a key is empty: {keys:?}");
    Ok(())
}
