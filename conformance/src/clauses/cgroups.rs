//! Cgroups: the path, the ownership and the device rules (`config-linux.md`).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::case::Case;
use crate::clause::{Clause, Level, Outcome, ensure, equal, fail, skip};
use crate::container::Container;

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::untestable(
        "config-linux.md#control-groups/fitness",
        Level::May,
        "the runtime may check whether the cgroup is fit for the container",
        "a permission: what makes a cgroup unfit is left to the runtime",
    ),
    Clause::untestable(
        "config-linux.md#control-groups/fitness-error",
        Level::Must,
        "a cgroup that a check finds unfit is an error",
        "which checks there are, if any, is left to the runtime",
    ),
    Clause::untestable(
        "config-linux.md#cgroups-path/form",
        Level::Must,
        "the path is absolute or relative",
        "every text is one or the other",
    ),
    Clause::untestable(
        "config-linux.md#cgroups-path/relative-place",
        Level::May,
        "a relative path starts where the runtime wants",
        "a permission; that it is always the same place is cgroups-path/relative",
    ),
    Clause::untestable(
        "config-linux.md#cgroups-path/invalid",
        Level::May,
        "some paths may be invalid, and are an error then",
        "which paths a runtime takes for invalid is left to it",
    ),
    Clause::untestable(
        "config-linux.md#cgroups-path/additional",
        Level::May,
        "the process may be in cgroups of further controllers",
        "a permission: being in them and not being in them are both right",
    ),
    Clause::must(
        "config-linux.md#cgroups-path/absolute",
        "an absolute path starts at the cgroup mount point",
        absolute_path,
    ),
    Clause::must(
        "config-linux.md#cgroups-path/relative",
        "the same relative path is always the same place",
        relative_path,
    ),
    Clause::must(
        "config-linux.md#cgroups-path/created",
        "cgroups that do not exist are created",
        created,
    ),
    Clause::must(
        "config-linux.md#cgroups-path/process",
        "the program is in the cgroup of every controller it needs",
        every_controller,
    ),
    Clause::untestable(
        "config-linux.md#cgroups-path/default",
        Level::May,
        "without a path the runtime may choose one",
        "a permission: any place, or none, follows it",
    ),
    Clause::should(
        "config-linux.md#cgroup-ownership/v1",
        "a v1 cgroup is not given to the container's user",
        ownership,
    ),
    Clause::must(
        "config-linux.md#allowed-device-list/order",
        "the rules are applied in the listed order",
        device_order,
    ),
    Clause::must(
        "config-linux.md#allowed-device-list/all",
        "a rule without numbers is for all devices of its type",
        device_wildcard,
    ),
    Clause::must(
        "config-linux.md#allowed-device-list/access",
        "read, write and mknod are told apart",
        device_access,
    ),
];

/// The directory of a controller's cgroup a container is in.
pub(crate) fn cgroup_dir(container: &Container<'_>, controller: &str) -> Outcome<PathBuf> {
    let unified = if controller == "blkio" { "io" } else { controller };
    let machine = container.machine();
    let hierarchy = machine.controller(controller).or_else(|| machine.controller(unified));
    let Some(hierarchy) = hierarchy else { return skip(format!("no controller {controller}")) };
    let groups = container.proc("cgroup")?;
    let mut lines = groups.lines().map(|line| line.splitn(3, ':').collect::<Vec<_>>());
    let is = |names: &str| match hierarchy.unified {
        true => names.is_empty(),
        false => names.split(',').any(|name| name == controller),
    };
    match lines.find(|fields| fields.len() == 3 && is(fields[1])) {
        Some(fields) => Ok(hierarchy.mount.join(fields[2].trim_start_matches('/'))),
        None => fail(format!("the process is in no cgroup of {controller}")),
    }
}

/// The paths of a container's cgroups, hierarchy by hierarchy, without those of other systems.
fn paths(container: &Container<'_>) -> Outcome<Vec<(String, String)>> {
    let text = container.proc("cgroup")?;
    let split = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1).map(str::to_owned);
        (fields.next().unwrap_or_default(), fields.next().unwrap_or_default())
    };
    Ok(text.lines().map(split).collect())
}

fn absolute_path(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    let path = format!("{}/deep/er", case.cgroup);
    bundle.config["linux"]["cgroupsPath"] = json!(path);
    let container = case.idle(&mut bundle)?;
    let machine = &case.ground.machine;
    for controller in ["memory", "pids", "cpu"] {
        if machine.controller(controller).is_some() {
            let dir = cgroup_dir(&container, controller)?;
            let hierarchy =
                machine.controller(controller).map(|h| h.mount.clone()).unwrap_or_default();
            equal(&format!("the cgroup of {controller}"), dir, hierarchy.join(&path[1..]))?;
        }
    }
    Ok(())
}

fn relative_path(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["cgroupsPath"] = json!(&format!("{}/relative", case.cgroup)[1..]);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let container = case.idle(&mut bundle)?;
        seen.push(paths(&container)?);
        container.stop()?;
        container.delete()?;
    }
    equal("the place of the second container", &seen[1], &seen[0])
}

fn created(case: &Case<'_>) -> Outcome {
    let Some(hierarchy) = case.ground.machine.controller("pids") else {
        return skip("no cgroup hierarchy has the controller pids");
    };
    let dir = hierarchy.mount.join(&case.cgroup[1..]);
    ensure!(!dir.is_dir(), "{} was there before", dir.display());
    let container = case.idle(&mut case.bundle()?)?;
    let members = fs::read_to_string(cgroup_dir(&container, "pids")?.join("cgroup.procs"))?;
    equal("the members", members.trim(), container.pid()?.to_string())
}

fn every_controller(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    for (controller, limit) in [
        ("memory", json!({"limit": 1 << 26})),
        ("pids", json!({"limit": 99})),
        ("cpu", json!({"shares": 512})),
    ] {
        if case.ground.machine.controller(controller).is_some() {
            bundle.config["linux"]["resources"][controller] = limit;
        }
    }
    let container = case.idle(&mut bundle)?;
    for controller in ["memory", "pids", "cpu", "devices", "freezer"] {
        if case.ground.machine.controller(controller).is_some() {
            let dir = cgroup_dir(&container, controller)?;
            ensure!(
                dir.starts_with(hierarchy_dir(case, controller)),
                "{controller} is at {}",
                dir.display()
            );
        }
    }
    Ok(())
}

/// Where the test's cgroups are in the hierarchy of a controller.
fn hierarchy_dir(case: &Case<'_>, controller: &str) -> PathBuf {
    let mount = case.ground.machine.controller(controller).map(|h| h.mount.clone());
    mount.unwrap_or_default().join(&case.cgroup[1..])
}

fn ownership(case: &Case<'_>) -> Outcome {
    if case.ground.machine.controller("pids").is_none_or(|h| h.unified) {
        return skip("the machine has no v1 hierarchy");
    }
    let mut bundle = case.bundle()?;
    bundle.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    let container = case.idle(&mut bundle)?;
    for controller in ["pids", "memory", "cpu"] {
        let dir = cgroup_dir(&container, controller)?;
        for path in [dir.clone(), dir.join("cgroup.procs"), dir.join("tasks")] {
            equal(&format!("the owner of {}", path.display()), fs::metadata(&path)?.uid(), 0)?;
        }
    }
    Ok(())
}

/// Which ways of opening a device the rules allow. No driver has its number, so an open that is
/// allowed fails too, but not with EPERM.
fn device_rules(case: &Case<'_>, rules: Value) -> Outcome<String> {
    let mut bundle = case.bundle()?;
    bundle.push(
        "linux",
        "devices",
        json!({"path": "/dev/extra", "type": "c", "major": 1, "minor": 99, "fileMode": 0o666}),
    );
    bundle.config["linux"]["resources"]["devices"] = rules;
    let open = |how: &str, name: &str| {
        format!("(exec 3{how} /dev/extra) 2>&1 | grep -q 'Operation not permitted' || echo {name};")
    };
    let script = open("<", "read") + &open(">>", "write") + "echo end";
    case.probe(&mut bundle, &script)
}

fn device_order(case: &Case<'_>) -> Outcome {
    let all = json!({"allow": false, "access": "rwm"});
    let one = json!({"allow": true, "type": "c", "major": 1, "minor": 99, "access": "rwm"});
    equal(
        "what is allowed after `none, then this one`",
        device_rules(case, json!([all, one]))?.as_str(),
        "read\nwrite\nend\n",
    )?;
    equal(
        "what is allowed after `this one, then none`",
        device_rules(case, json!([one, all]))?.as_str(),
        "end\n",
    )
}

fn device_wildcard(case: &Case<'_>) -> Outcome {
    let all = json!({"allow": false, "access": "rwm"});
    for (kind, wanted) in [("c", "read\nwrite\nend\n"), ("b", "end\n")] {
        let rule = json!({"allow": true, "type": kind, "access": "rwm"});
        let what = format!("what a rule for every {kind} allows");
        equal(&what, device_rules(case, json!([all, rule]))?.as_str(), wanted)?;
    }
    Ok(())
}

fn device_access(case: &Case<'_>) -> Outcome {
    let all = json!({"allow": false, "access": "rwm"});
    for (access, wanted) in
        [("r", "read\nend\n"), ("w", "write\nend\n"), ("rw", "read\nwrite\nend\n"), ("m", "end\n")]
    {
        let one = json!({"allow": true, "type": "c", "major": 1, "minor": 99, "access": access});
        equal(
            &format!("what {access} allows"),
            device_rules(case, json!([all, one]))?.as_str(),
            wanted,
        )?;
    }
    Ok(())
}
