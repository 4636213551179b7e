//! Bundle, specification version and root file system (`bundle.md`, `config.md`).

use std::fs;

use serde_json::json;

use crate::case::{Around, Case};
use crate::clause::{Clause, Level, Outcome, about, ensure, equal};

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must(
        "bundle.md#container-format/1",
        "a bundle has its configuration in `config.json`",
        config_json,
    ),
    Clause::must(
        "bundle.md#container-format/2",
        "a bundle has the directory `root.path` names",
        rootfs_there,
    ),
    Clause::must(
        "bundle.md#container-format/3",
        "the bundle's own directory may have any name",
        any_name,
    ),
    Clause::untestable(
        "bundle.md#container-format/4",
        Level::Must,
        "all artifacts are in a single directory",
        "binds who makes the bundle; an absolute `root.path` is allowed all the same",
    ),
    Clause::must(
        "config.md#specification-version/1",
        "every 1.x version up to this one is understood",
        versions,
    ),
    Clause::untestable(
        "config.md#specification-version/2",
        Level::Must,
        "`ociVersion` is a SemVer version",
        "binds who writes the configuration; what a runtime makes of another value is left open",
    ),
    Clause::must("config.md#root/1", "`root` is required on Linux", root_required),
    Clause::must("config.md#root/2", "`root.path` may be absolute", absolute),
    Clause::must("config.md#root/3", "a relative `root.path` starts at the bundle", relative),
    Clause::must("config.md#root/4", "a directory has to exist at `root.path`", missing),
    Clause::untestable(
        "config.md#root/5",
        Level::Should,
        "`root.path` is `rootfs`",
        "binds who writes the configuration; config.md#root/3 uses other names",
    ),
    Clause::must(
        "config.md#root/6",
        "`readonly: true` makes the root file system read-only",
        readonly,
    ),
    Clause::must(
        "config.md#root/7",
        "without `readonly` the root file system can be written",
        writable,
    ),
    Clause::untestable(
        "config.md#annotations/1",
        Level::Must,
        "annotations are a map of strings with non-empty keys",
        "binds who writes the configuration; runtime.md#state/14 tests where they come out",
    ),
];

fn config_json(case: &Case<'_>) -> Outcome {
    let bundle = case.bundle()?;
    bundle.save()?;
    fs::rename(bundle.dir.join("config.json"), bundle.dir.join("other.json"))?;
    let container = case.attempt_as(&case.new_id(), &bundle, &Around::default())?;
    about("without config.json", container.answer.error())?;
    case.nothing_left(&container.id, &bundle)?;
    fs::rename(bundle.dir.join("other.json"), bundle.dir.join("config.json"))?;
    about(
        "with config.json",
        case.attempt_as(&case.new_id(), &bundle, &Around::default())?.created().map(drop),
    )
}

fn rootfs_there(case: &Case<'_>) -> Outcome {
    let bundle = case.bundle()?;
    fs::rename(bundle.rootfs(), bundle.dir.join("other"))?;
    case.refused(&bundle)
}

fn any_name(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    let renamed = case.dir.join("a bundle, größer: than: most");
    fs::rename(&bundle.dir, &renamed)?;
    bundle.dir = renamed;
    equal("the output", case.probe(&mut bundle, "echo hello")?, "hello\n")
}

fn versions(case: &Case<'_>) -> Outcome {
    for version in ["1.0.0", "1.0.2", "1.1.0", "1.2.1", "1.3.0"] {
        let mut bundle = case.bundle()?;
        bundle.config["ociVersion"] = json!(version);
        let seen = about(version, case.probe(&mut bundle, "echo hello"))?;
        equal(&format!("the output with {version}"), seen, "hello\n")?;
    }
    Ok(())
}

fn root_required(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    if let Some(config) = bundle.config.as_object_mut() {
        config.remove("root");
    }
    case.refused(&bundle)
}

fn absolute(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    let elsewhere = case.dir.join("elsewhere");
    fs::rename(bundle.rootfs(), &elsewhere)?;
    bundle.config["root"]["path"] = json!(elsewhere);
    equal("the output", case.probe(&mut bundle, "echo hello")?, "hello\n")
}

fn relative(case: &Case<'_>) -> Outcome {
    // The directory of the same name where the runtime is called is not meant.
    case.make_dir("deep/files")?;
    for path in ["files", "./deep/files", "deep/../files"] {
        let mut bundle = case.bundle()?;
        fs::create_dir(bundle.dir.join("deep"))?;
        fs::rename(bundle.rootfs(), bundle.dir.join(path))?;
        bundle.config["root"]["path"] = json!(path);
        equal(path, case.probe(&mut bundle, "echo hello")?, "hello\n")?;
    }
    Ok(())
}

fn missing(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["root"]["path"] = json!("missing");
    about("a missing directory", case.refused(&bundle))?;
    let mut bundle = case.bundle()?;
    bundle.config["root"]["path"] = json!("rootfs/bin/busybox");
    about("a file", case.refused(&bundle))
}

fn readonly(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["root"]["readonly"] = json!(true);
    let script = "touch /file 2>&1 || echo refused; touch /tmp/file 2>&1 || echo refused";
    let seen = case.probe(&mut bundle, script)?;
    equal("how often writing was refused", seen.matches("refused").count(), 2)?;
    ensure!(seen.contains("Read-only file system"), "writing gave {seen:?}");
    ensure!(!bundle.rootfs().join("file").is_file(), "the file is there all the same");
    Ok(())
}

fn writable(case: &Case<'_>) -> Outcome {
    for value in [None, Some(false)] {
        let mut bundle = case.bundle()?;
        if let Some(value) = value {
            bundle.config["root"]["readonly"] = json!(value);
        }
        case.probe(&mut bundle, "echo written > /file")?;
        equal("the file", fs::read_to_string(bundle.rootfs().join("file"))?.as_str(), "written\n")?;
    }
    Ok(())
}
