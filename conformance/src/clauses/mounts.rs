//! Mounts beyond the root file system: order, destination, source, type (`config.md`).

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::bundle::Bundle;
use crate::case::Case;
use crate::clause::{Clause, Level, Outcome, about, ensure, equal};
use crate::runtime::new_file;

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must("config.md#mounts/1", "mounts are made in the listed order", order),
    Clause::must(
        "config.md#mounts/2",
        "the destination is a path inside the container",
        destination,
    ),
    Clause::must(
        "config.md#mounts/3",
        "a relative destination starts at the container's root",
        relative_destination,
    ),
    Clause::must(
        "config.md#mounts/4",
        "no link inside the root file system leads a destination out of it",
        no_escape,
    ),
    Clause::must(
        "config.md#mounts/5",
        "the source of a bind mount may be an absolute path",
        absolute_source,
    ),
    Clause::must(
        "config.md#mounts/6",
        "a relative source of a bind mount starts at the bundle",
        relative_source,
    ),
    Clause::must("config.md#mounts/7", "the source of a bind mount may be a file", file_source),
    Clause::must(
        "config.md#mounts/8",
        "`bind` or `rbind` alone makes a bind mount, whatever the type",
        bind_by_option,
    ),
    Clause::must("config.md#mounts/9", "a source that does not exist is an error", missing_source),
    Clause::must("config.md#mounts/10", "mounts stay inside the container", private_to_container),
    Clause::untestable(
        "config.md#mounts/absolute",
        Level::Should,
        "a destination is absolute",
        "binds who writes the configuration; what a relative one means is mounts/3",
    ),
    Clause::untestable(
        "config.md#posix-platform-mounts/named",
        Level::Should,
        "mappings of a mount come with `idmap` or `ridmap`",
        "binds who writes the configuration; what a runtime does without them is left open",
    ),
    Clause::untestable(
        "config.md#posix-platform-mounts/call",
        Level::Should,
        "mappings of a mount are applied by mount_setattr(2)",
        "no other call of the kernel does what linux-mount-options/idmap shows",
    ),
    Clause::untestable(
        "config.md#linux-mount-options/custom",
        Level::May,
        "a runtime may know more options",
        "a permission: no option is known to be one of them",
    ),
    Clause::untestable(
        "config.md#linux-mount-options/custom-of-mount",
        Level::Should,
        "more options mean what they mean to mount(8)",
        "which more options a runtime knows is its own affair",
    ),
    Clause::must(
        "config.md#linux-mount-options/unknown",
        "other options go to the file system",
        data,
    ),
    Clause::must(
        "config.md#linux-mount-options/invalid",
        "an option the file system refuses is an error",
        bad_data,
    ),
    Clause::must(
        "config.md#posix-platform-mounts/1",
        "any file system of the kernel can be mounted",
        types,
    ),
    Clause::must(
        "config.md#posix-platform-mounts/2",
        "a type the kernel does not have is an error",
        bad_type,
    ),
    Clause::untestable(
        "config.md#posix-platform-mounts/3",
        Level::Must,
        "`uidMappings` and `gidMappings` of a mount come together",
        "binds who writes the configuration; config.md#linux-mount-options/idmap tests the effect",
    ),
];

/// A directory on the host with one file that tells which it is.
fn source(case: &Case<'_>, name: &str) -> Outcome<String> {
    let dir = case.make_dir(name)?;
    marked(&dir.join("which"), name)?;
    Ok(dir.display().to_string())
}

fn marked(path: &std::path::Path, text: &str) -> Outcome {
    use std::io::Write;
    Ok(writeln!(new_file(path)?, "{text}")?)
}

fn bind(bundle: &mut Bundle, destination: &str, source: &str) {
    bundle.mount(destination, "none", source, &["bind"]);
}

fn order(case: &Case<'_>) -> Outcome {
    let (first, second) = (source(case, "first")?, source(case, "second")?);
    let mut bundle = case.bundle()?;
    bind(&mut bundle, "/mnt", &first);
    bind(&mut bundle, "/mnt", &second);
    equal("what is on top", case.probe(&mut bundle, "cat /mnt/which")?, "second\n")?;
    let mut bundle = case.bundle()?;
    bundle.mount("/m", "tmpfs", "tmpfs", &[]);
    bind(&mut bundle, "/m/below", &first);
    equal("a mount in a mount", case.probe(&mut bundle, "cat /m/below/which")?, "first\n")?;
    let mut bundle = case.bundle()?;
    fs::create_dir(bundle.rootfs().join("m/below"))?;
    bind(&mut bundle, "/m/below", &first);
    bundle.mount("/m", "tmpfs", "tmpfs", &[]);
    equal("a covered mount", case.probe(&mut bundle, "ls /m; echo end")?, "end\n")
}

fn destination(case: &Case<'_>) -> Outcome {
    let first = source(case, "first")?;
    for path in ["/mnt", "/mnt/", "//mnt/../mnt/."] {
        let mut bundle = case.bundle()?;
        bind(&mut bundle, path, &first);
        equal(path, case.probe(&mut bundle, "cat /mnt/which")?, "first\n")?;
    }
    Ok(())
}

fn relative_destination(case: &Case<'_>) -> Outcome {
    let first = source(case, "first")?;
    let mut bundle = case.bundle()?;
    bundle.config["process"]["cwd"] = json!("/tmp");
    bind(&mut bundle, "mnt", &first);
    equal("the mount", case.probe(&mut bundle, "cat /mnt/which")?, "first\n")
}

fn no_escape(case: &Case<'_>) -> Outcome {
    let first = source(case, "first")?;
    let outside = case.make_dir("outside")?;
    for (name, target) in
        [("absolute", outside.clone()), ("climbing", "../../../../../../tmp".into())]
    {
        let mut bundle = case.bundle()?;
        symlink(&target, bundle.rootfs().join("opt/link"))?;
        bind(&mut bundle, "/opt/link", &first);
        bundle.script("cat /opt/link/which");
        // A runtime may refuse; one that mounts does so inside.
        let container = case.attempt(&bundle, &crate::case::Around::default())?;
        if container.answer.ok {
            container.start()?;
            container.wait()?;
            equal(name, container.answer.stdout().as_str(), "first\n")?;
        }
    }
    ensure!(fs::read_dir(&outside)?.next().is_none(), "something was made outside");
    Ok(())
}

fn absolute_source(case: &Case<'_>) -> Outcome {
    let first = source(case, "first")?;
    let mut bundle = case.bundle()?;
    bind(&mut bundle, "/mnt", &first);
    case.probe(&mut bundle, "echo written > /mnt/new")?;
    equal("the file on the host", fs::read_to_string(format!("{first}/new"))?.as_str(), "written\n")
}

fn relative_source(case: &Case<'_>) -> Outcome {
    // The directory of the same name where the runtime is called is not meant.
    source(case, "data")?;
    let mut bundle = case.bundle()?;
    fs::create_dir(bundle.dir.join("data"))?;
    marked(&bundle.dir.join("data/which"), "the bundle's")?;
    bind(&mut bundle, "/mnt", "data");
    equal("the mount", case.probe(&mut bundle, "cat /mnt/which")?, "the bundle's\n")
}

fn file_source(case: &Case<'_>) -> Outcome {
    let first = source(case, "first")?;
    let mut bundle = case.bundle()?;
    bundle.file("etc/which", "covered\n")?;
    bind(&mut bundle, "/etc/which", &format!("{first}/which"));
    equal("the file", case.probe(&mut bundle, "cat /etc/which")?, "first\n")
}

fn bind_by_option(case: &Case<'_>) -> Outcome {
    let first = source(case, "first")?;
    for option in ["bind", "rbind"] {
        for kind in [None, Some("none"), Some("bind"), Some("")] {
            let mut bundle = case.bundle()?;
            let mut mount = json!({"destination": "/mnt", "source": first, "options": [option]});
            if let Some(kind) = kind {
                mount["type"] = json!(kind);
            }
            bundle.push("", "mounts", mount);
            let seen = about(&format!("type {kind:?}"), case.probe(&mut bundle, "cat /mnt/which"))?;
            equal(&format!("{option} with type {kind:?}"), seen, "first\n")?;
        }
    }
    Ok(())
}

fn missing_source(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bind(&mut bundle, "/mnt", &case.dir.join("missing").display().to_string());
    case.refused(&bundle)
}

fn private_to_container(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.mount("/mnt", "tmpfs", "tmpfs", &[]);
    let container = case.idle(&mut bundle)?;
    let inside = bundle.rootfs().join("mnt");
    let host = crate::mountinfo::read(std::path::Path::new("/proc/self/mountinfo"))?;
    ensure!(!host.iter().any(|mount| mount.point == inside), "the host has the mount too");
    container.mount_on("/mnt").map(drop)
}

fn data(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.mount("/mnt", "tmpfs", "tmpfs", &["nosuid", "size=64k", "mode=0711", "noexec"]);
    let container = case.idle(&mut bundle)?;
    let mount = container.mount_on("/mnt")?;
    for option in ["size=64k", "mode=711", "nosuid", "noexec"] {
        ensure!(mount.has(option), "{option} is missing: {}", mount.shown());
    }
    Ok(())
}

fn bad_data(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.mount("/mnt", "tmpfs", "tmpfs", &["no-such-option"]);
    case.refused(&bundle)
}

fn types(case: &Case<'_>) -> Outcome {
    let known = fs::read_to_string("/proc/filesystems")?;
    for kind in ["tmpfs", "ramfs", "proc", "sysfs", "devpts", "mqueue"] {
        if !known.lines().any(|line| line == format!("nodev\t{kind}")) {
            continue;
        }
        let mut bundle = case.bundle()?;
        bundle.mount("/mnt", kind, kind, &[]);
        let container = case.idle(&mut bundle)?;
        equal("the type of the mount", container.mount_on("/mnt")?.kind, kind)?;
    }
    Ok(())
}

fn bad_type(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.mount("/mnt", "no-such-file-system", "none", &[]);
    case.refused(&bundle)
}
