//! Files of cgroup v2 by their names, limits of v1 where there is v2, and to whom a cgroup of v2
//! belongs (`config-linux.md`).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::case::Case;
use crate::clause::{Clause, Level, Outcome, ensure, equal, fail, skip};
use crate::clauses::namespaces;
use crate::container::Container;

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must(
        "config-linux.md#unified/set",
        "the value is in the file, whose controller is enabled",
        set,
    ),
    Clause::must(
        "config-linux.md#unified/unknown",
        "a file is written whether the runtime knows it or not",
        unknown_file,
    ),
    Clause::must(
        "config-linux.md#unified/missing-controller",
        "a controller that is not there is an error",
        missing_controller,
    ),
    Clause::may(
        "config-linux.md#unified/conversion",
        "a limit of v1 is converted for v2",
        conversion,
    ),
    Clause::must(
        "config-linux.md#unified/no-conversion",
        "a limit of v1 that v2 does not have is an error",
        no_conversion,
    ),
    Clause::may(
        "config-linux.md#cgroup-ownership/user",
        "the cgroup may be given to the user of the process",
        |case| owner(case, true, Some(&[])).map(drop),
    ),
    Clause::should(
        "config-linux.md#cgroup-ownership/no-namespace",
        "it is not given without a new cgroup namespace",
        |case| not_given(owner(case, false, Some(&[]))?),
    ),
    Clause::should(
        "config-linux.md#cgroup-ownership/writable",
        "it is given where it is mounted writable",
        given,
    ),
    Clause::should(
        "config-linux.md#cgroup-ownership/read-only",
        "it is not given where it is mounted read-only",
        |case| not_given(owner(case, true, Some(&["ro"]))?),
    ),
    Clause::should(
        "config-linux.md#cgroup-ownership/not-mounted",
        "it is not given where it is not mounted",
        |case| not_given(owner(case, true, None)?),
    ),
    Clause::should(
        "config-linux.md#cgroup-ownership/delegate",
        "the kernel's list says which files are given, and no others are",
        delegated_files,
    ),
    Clause::must(
        "config-linux.md#cgroup-ownership/listed-but-missing",
        "a file of the list that is not there is no failure",
        listed_but_missing,
    ),
    Clause::untestable(
        "config-linux.md#cgroup-ownership/no-list",
        Level::Must,
        "without the kernel's list three files are given",
        "every kernel that a container with a cgroup namespace on v2 runs on has the list",
    ),
];

/// The mount point of v2 if all hierarchies are of v2.
fn unified(case: &Case<'_>) -> Outcome<PathBuf> {
    let hierarchies = &case.ground.machine.hierarchies;
    match hierarchies.as_slice() {
        [one] if one.unified => Ok(one.mount.clone()),
        _ => skip("the machine does not have cgroup v2 alone"),
    }
}

/// The directory of a container's cgroup of v2.
fn dir(case: &Case<'_>, container: &Container<'_>) -> Outcome<PathBuf> {
    let groups = container.proc("cgroup")?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
    Ok(unified(case)?.join(path.trim_start_matches('/')))
}

/// A container with these resources, and a file of its cgroup.
fn file(case: &Case<'_>, resources: Value, name: &str) -> Outcome<String> {
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["resources"] = resources;
    let container = case.idle(&mut bundle)?;
    let path = dir(case, &container)?.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => fail(format!("cannot read {}: {error}", path.display())),
    }
}

/// A controller of v2 on this machine, with a file, a value, and how the file shows it.
fn any_controller(case: &Case<'_>) -> Outcome<(&'static str, &'static str)> {
    unified(case)?;
    let files = [
        ("pids", ("pids.max", "77")),
        ("memory", ("memory.max", "67108864")),
        ("hugetlb", ("hugetlb.2MB.max", "8388608")),
    ];
    let found = files.iter().find(|(name, _)| case.ground.machine.controller(name).is_some());
    found.map_or_else(|| skip("cgroup v2 has no controller here"), |(_, file)| Ok(*file))
}

fn set(case: &Case<'_>) -> Outcome {
    let (name, value) = any_controller(case)?;
    equal(name, file(case, json!({"unified": {name: value}}), name)?.as_str(), value)
}

fn unknown_file(case: &Case<'_>) -> Outcome {
    unified(case)?;
    // A file of every cgroup, which belongs to no controller.
    let name = "cgroup.max.depth";
    equal(name, file(case, json!({"unified": {name: "3"}}), name)?.as_str(), "3")
}

fn missing_controller(case: &Case<'_>) -> Outcome {
    unified(case)?;
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["resources"] = json!({"unified": {"moon.max": "1"}});
    case.refused(&bundle)
}

fn conversion(case: &Case<'_>) -> Outcome {
    unified(case)?;
    if case.ground.machine.controller("cpu").is_none() {
        return skip("cgroup v2 has no controller cpu here");
    }
    let weight = file(case, json!({"cpu": {"shares": 8192}}), "cpu.weight")?;
    // 100 is what a cgroup has that nobody has changed; 8192 shares are eight times the usual.
    let number: u32 = weight.parse().unwrap_or(0);
    ensure!(number > 100 && number <= 10_000, "cpu.weight is {weight:?}");
    Ok(())
}

fn no_conversion(case: &Case<'_>) -> Outcome {
    unified(case)?;
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["resources"] = json!({"memory": {"swappiness": 7}});
    case.refused(&bundle)
}

/// The user and group that containers of these tests run as, on the host.
const OWNER: (u32, u32) = (100_000, 200_000);

/// A cgroup as it was while its container ran.
struct Owned {
    dir: PathBuf,
    uid: u32,
    /// Its files, each with its owner.
    files: Vec<(String, u32)>,
}

/// Runs a container in a user namespace, with a cgroup mount that has these options: its cgroup.
fn owner(case: &Case<'_>, namespace: bool, mount: Option<&[&str]>) -> Outcome<Owned> {
    unified(case)?;
    let mut bundle = case.bundle()?;
    namespaces::add(&mut bundle, "user");
    if namespace {
        namespaces::add(&mut bundle, "cgroup");
    }
    if let Some(options) = mount {
        let options: Vec<_> =
            ["nosuid", "noexec", "nodev"].iter().chain(options).copied().collect();
        bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &options);
    }
    let container = case.idle(&mut bundle)?;
    let dir = dir(case, &container)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(&dir)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        files.push((name, entry.metadata()?.uid()));
    }
    Ok(Owned { uid: fs::metadata(&dir)?.uid(), dir, files })
}

fn not_given(Owned { uid, dir, .. }: Owned) -> Outcome {
    equal(&format!("the owner of {}", dir.display()), uid, 0)
}

fn given(case: &Case<'_>) -> Outcome {
    let Owned { uid, dir, .. } = owner(case, true, Some(&[]))?;
    equal(&format!("the owner of {}", dir.display()), uid, OWNER.0)
}

/// The kernel's list of files by which a cgroup is divided.
fn kernel_list() -> Outcome<Vec<String>> {
    match fs::read_to_string("/sys/kernel/cgroup/delegate") {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(_) => skip("the kernel has no such list"),
    }
}

fn delegated_files(case: &Case<'_>) -> Outcome {
    let Owned { uid, files, .. } = owner(case, true, Some(&[]))?;
    let list = kernel_list()?;
    equal("the directory's owner", uid, OWNER.0)?;
    for (name, uid) in files {
        let wanted = if list.contains(&name) { OWNER.0 } else { 0 };
        equal(&format!("the owner of {name}"), uid, wanted)?;
    }
    Ok(())
}

fn listed_but_missing(case: &Case<'_>) -> Outcome {
    let Owned { files, .. } = owner(case, true, Some(&[]))?;
    let missing =
        kernel_list()?.into_iter().find(|name| !files.iter().any(|(file, _)| file == name));
    match missing {
        Some(_) => Ok(()),
        None => skip("this kernel's cgroups have every file of its list"),
    }
}
