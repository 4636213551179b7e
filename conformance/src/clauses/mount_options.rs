//! The option strings of mounts, one clause an option (`config.md`, Linux mount options).
//!
//! The options are a table: how to ask for each and what the kernel's mount table says then. An
//! option that takes another back is given after the other. One that leaves no trace in the mount
//! table is given to a tmpfs, which refuses what a runtime passes on as unknown.

use std::path::{Path, PathBuf};

use nix::mount::MsFlags;
use serde_json::{Value, json};

use crate::case::{Around, Case};
use crate::clause::{Check, Clause, Level, Outcome, ensure, equal, fail, skip};
use crate::clauses::namespaces;
use crate::container::Container;
use crate::mountinfo::Mount;

macro_rules! options {
    ($($level:ident $test:ident: $($name:literal)+;)+) => {
        /// The rows.
        pub(crate) const CLAUSES: &[Clause] = &[$($(
            Clause::$level(
                concat!("config.md#linux-mount-options/", $name),
                concat!("the mount option `", $name, "`"),
                $test,
            ),
        )+)+ IDMAP_NEEDS_MAPPINGS, IDMAP_NO_DATA, IDMAP_OF_CONTAINER];
    };
}

options! {
    must on_tmpfs: "async" "atime" "defaults" "dev" "diratime" "dirsync" "exec" "iversion"
        "lazytime" "loud" "noatime" "nodev" "nodiratime" "noexec" "noiversion" "nolazytime"
        "norelatime" "nostrictatime" "nosuid" "relatime" "ro" "rw" "silent" "strictatime" "suid"
        "sync";
    must bind: "bind" "rbind";
    must remount: "remount";
    must propagation: "private" "rprivate" "shared" "rshared" "slave" "rslave" "unbindable"
        "runbindable";
    should on_tmpfs: "nosymfollow" "symfollow";
    should recursive: "rro" "rrw" "rnosuid" "rsuid" "rnodev" "rdev" "rnoexec" "rexec" "rnodiratime"
        "rdiratime" "rrelatime" "rnorelatime" "rnoatime" "ratime" "rstrictatime" "rnostrictatime"
        "rnosymfollow" "rsymfollow";
    should idmap: "idmap" "ridmap";
    may on_tmpfs: "mand" "nomand";
    may copy_up: "tmpcopyup";
}

/// A mount that is to be mapped, but by nothing.
const IDMAP_NEEDS_MAPPINGS: Clause = Clause {
    id: "config.md#linux-mount-options/idmap-without-mappings",
    level: Level::Must,
    text: "`idmap` without mappings and without a user namespace is an error",
    check: Check::Test(idmap_needs_mappings),
};

/// An option of the runtime's own.
const IDMAP_NO_DATA: Clause = Clause::should(
    "config.md#linux-mount-options/idmap-no-data",
    "`idmap` does not reach the file system",
    idmap_no_data,
);

/// A mount that is mapped by what its container has.
const IDMAP_OF_CONTAINER: Clause = Clause::may(
    "config.md#linux-mount-options/idmap-of-container",
    "`idmap` without mappings may use those of the user namespace",
    idmap_of_container,
);

/// Names of options.
type Names = &'static [&'static str];

/// What is given, what the mount table has to have then, and what it must not have.
type Effect = (Names, Names, Names);

fn effect(option: &str) -> Option<Effect> {
    Some(match option {
        "async" => (&["sync", "async"], &[], &["sync"]),
        "atime" => (&["noatime", "atime"], &[], &["noatime"]),
        "defaults" => (&["defaults"], &["rw"], &["noexec", "nosuid", "nodev"]),
        "dev" => (&["nodev", "dev"], &[], &["nodev"]),
        "diratime" => (&["nodiratime", "diratime"], &[], &["nodiratime"]),
        "dirsync" => (&["dirsync"], &["dirsync"], &[]),
        "exec" => (&["noexec", "exec"], &[], &["noexec"]),
        "iversion" => (&["iversion"], &[], &[]),
        "lazytime" => (&["lazytime"], &["lazytime"], &[]),
        "loud" => (&["silent", "loud"], &[], &[]),
        "mand" => (&["mand"], &[], &[]),
        "noatime" => (&["noatime"], &["noatime"], &[]),
        "nodev" => (&["nodev"], &["nodev"], &[]),
        "nodiratime" => (&["nodiratime"], &["nodiratime"], &[]),
        "noexec" => (&["noexec"], &["noexec"], &[]),
        "noiversion" => (&["iversion", "noiversion"], &[], &[]),
        "nolazytime" => (&["lazytime", "nolazytime"], &[], &["lazytime"]),
        "nomand" => (&["mand", "nomand"], &[], &["mand"]),
        "norelatime" => (&["relatime", "norelatime"], &[], &["noatime"]),
        "nostrictatime" => (&["strictatime", "nostrictatime"], &["relatime"], &[]),
        "nosuid" => (&["nosuid"], &["nosuid"], &[]),
        "nosymfollow" => (&["nosymfollow"], &["nosymfollow"], &[]),
        "relatime" => (&["relatime"], &["relatime"], &["noatime"]),
        "ro" => (&["ro"], &["ro"], &["rw"]),
        "rw" => (&["ro", "rw"], &["rw"], &["ro"]),
        "silent" => (&["silent"], &[], &[]),
        "strictatime" => (&["strictatime"], &[], &["relatime", "noatime"]),
        "suid" => (&["nosuid", "suid"], &[], &["nosuid"]),
        "symfollow" => (&["nosymfollow", "symfollow"], &[], &["nosymfollow"]),
        "sync" => (&["sync"], &["sync"], &[]),
        _ => return None,
    })
}

fn judge(mount: &Mount, wanted: &[&str], unwanted: &[&str]) -> Outcome {
    for option in wanted {
        ensure!(mount.has(option), "{option} is missing: {}", mount.shown());
    }
    // `ro` and `rw` are said of the mount and of its file system; the mount counts.
    for option in unwanted {
        let set = match *option {
            "ro" | "rw" => mount.options.iter().any(|set| set == option),
            _ => mount.has(option),
        };
        ensure!(!set, "{option} is set: {}", mount.shown());
    }
    Ok(())
}

fn needs_kernel(case: &Case<'_>, version: (u32, u32)) -> Outcome {
    if case.ground.machine.kernel < version {
        return skip(format!("needs Linux {}.{}", version.0, version.1));
    }
    Ok(())
}

fn on_tmpfs(case: &Case<'_>) -> Outcome {
    if case.topic.ends_with("symfollow") {
        needs_kernel(case, (5, 10))?;
    }
    let Some((given, wanted, unwanted)) = effect(case.topic) else {
        return fail("the test knows no effect of this option");
    };
    let mut bundle = case.bundle()?;
    bundle.mount("/mnt", "tmpfs", "tmpfs", given);
    judge(&case.idle(&mut bundle)?.mount_on("/mnt")?, wanted, unwanted)
}

/// A tmpfs with another tmpfs in it, on the host; both with these flags.
fn tree(case: &Case<'_>, flags: MsFlags) -> Outcome<PathBuf> {
    let dir = case.make_dir("tree")?;
    case.mount("tmpfs", Path::new("tree"), &dir, flags & !MsFlags::MS_RDONLY)?;
    std::fs::create_dir(dir.join("sub"))?;
    case.mount("tmpfs", Path::new("sub"), &dir.join("sub"), flags & !MsFlags::MS_RDONLY)?;
    if flags.contains(MsFlags::MS_RDONLY) {
        for target in [dir.join("sub"), dir.clone()] {
            let again = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags;
            nix::mount::mount(None::<&str>, &target, None::<&str>, again, None::<&str>)?;
        }
    }
    Ok(dir)
}

/// A running container with the tree on `/mnt`.
fn with_tree<'c>(case: &'c Case<'_>, dir: &Path, options: &[&str]) -> Outcome<Container<'c>> {
    let mut bundle = case.bundle()?;
    bundle.mount("/mnt", "none", &dir.display().to_string(), options);
    case.idle(&mut bundle)
}

fn bind(case: &Case<'_>) -> Outcome {
    let dir = tree(case, MsFlags::empty())?;
    let container = with_tree(case, &dir, &[case.topic])?;
    equal("the type of the mount", container.mount_on("/mnt")?.kind.as_str(), "tmpfs")?;
    let sub = container.mount_on("/mnt/sub").is_ok();
    equal("whether the mount below came along", sub, case.topic == "rbind")
}

fn remount(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.mount("/mnt", "tmpfs", "tmpfs", &["size=64k"]);
    bundle.mount("/mnt", "tmpfs", "tmpfs", &["remount", "ro", "size=128k"]);
    let container = case.idle(&mut bundle)?;
    let all = container.mounts()?.iter().filter(|m| m.point == Path::new("/mnt")).count();
    equal("the number of mounts", all, 1)?;
    judge(&container.mount_on("/mnt")?, &["ro", "size=128k"], &["rw"])
}

fn propagation(case: &Case<'_>) -> Outcome {
    let dir = tree(case, MsFlags::empty())?;
    let flags = MsFlags::MS_REC | MsFlags::MS_SHARED;
    nix::mount::mount(None::<&str>, &dir, None::<&str>, flags, None::<&str>)?;
    let container = with_tree(case, &dir, &["rbind", case.topic])?;
    let all = ["runbindable", "rprivate", "rslave", "rshared"].contains(&case.topic);
    let kind = if all { &case.topic[1..] } else { case.topic };
    for (point, counts) in [("/mnt", true), ("/mnt/sub", all)] {
        if !counts {
            continue;
        }
        let mount = container.mount_on(point)?;
        let is = match kind {
            "shared" => mount.propagates("shared"),
            "slave" => mount.propagates("master") && !mount.propagates("shared"),
            "unbindable" => mount.propagates("unbindable"),
            _ => mount.propagation.is_empty(),
        };
        ensure!(is, "{point} is not {kind}: {}", mount.shown());
    }
    Ok(())
}

/// The flags the source has before, and what the copy has to have and not to have, everywhere.
fn recursive_effect(option: &str) -> Option<(MsFlags, Names, Names)> {
    let none = MsFlags::empty();
    Some(match option {
        "rro" => (none, &["ro"], &["rw"]),
        "rrw" => (MsFlags::MS_RDONLY, &["rw"], &["ro"]),
        "rnosuid" => (none, &["nosuid"], &[]),
        "rsuid" => (MsFlags::MS_NOSUID, &[], &["nosuid"]),
        "rnodev" => (none, &["nodev"], &[]),
        "rdev" => (MsFlags::MS_NODEV, &[], &["nodev"]),
        "rnoexec" => (none, &["noexec"], &[]),
        "rexec" => (MsFlags::MS_NOEXEC, &[], &["noexec"]),
        "rnodiratime" => (none, &["nodiratime"], &[]),
        "rdiratime" => (MsFlags::MS_NODIRATIME, &[], &["nodiratime"]),
        "rrelatime" => (MsFlags::MS_NOATIME, &["relatime"], &["noatime"]),
        "rnorelatime" => (none, &[], &["noatime"]),
        "rnoatime" => (none, &["noatime"], &[]),
        "ratime" => (MsFlags::MS_NOATIME, &[], &["noatime"]),
        "rstrictatime" => (none, &[], &["noatime", "relatime"]),
        "rnostrictatime" => (MsFlags::MS_STRICTATIME, &["relatime"], &[]),
        "rnosymfollow" => (none, &["nosymfollow"], &[]),
        "rsymfollow" => (MsFlags::from_bits_retain(256), &[], &["nosymfollow"]),
        _ => return None,
    })
}

fn recursive(case: &Case<'_>) -> Outcome {
    needs_kernel(case, (5, 12))?;
    let Some((flags, wanted, unwanted)) = recursive_effect(case.topic) else {
        return fail("the test knows no effect of this option");
    };
    let dir = tree(case, flags)?;
    let container = with_tree(case, &dir, &["rbind", case.topic])?;
    for point in ["/mnt", "/mnt/sub"] {
        judge(&container.mount_on(point)?, wanted, unwanted)?;
    }
    Ok(())
}

fn copy_up(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.file("opt/below/file", "content\n")?;
    bundle.mount("/opt", "tmpfs", "tmpfs", &["tmpcopyup"]);
    let seen = case.probe(&mut bundle, "cat /opt/below/file; stat -f -c %T /opt")?;
    equal("the copy", seen.as_str(), "content\ntmpfs\n")
}

fn idmap(case: &Case<'_>) -> Outcome {
    needs_kernel(case, (5, 12))?;
    // A tmpfs can be mapped since Linux 6.3 only: the directory is one of the tests' own.
    let dir = case.make_dir("owned")?;
    std::os::unix::fs::chown(&dir, Some(1000), Some(1001))?;
    let mut bundle = case.bundle()?;
    let map = |from: u32, to: u32| json!([{"containerID": from, "hostID": to, "size": 1}]);
    let bind = if case.topic == "ridmap" { "rbind" } else { "bind" };
    bundle.push(
        "",
        "mounts",
        mapped(&dir, &[bind, case.topic], Some((map(1000, 2000), map(1001, 2001)))),
    );
    equal("the owner", case.probe(&mut bundle, "stat -c %u:%g /mnt")?.as_str(), "2000:2001\n")
}

fn idmap_needs_mappings(case: &Case<'_>) -> Outcome {
    let dir = case.make_dir("owned")?;
    let mut bundle = case.bundle()?;
    bundle.push("", "mounts", mapped(&dir, &["bind", "idmap"], None));
    case.refused(&bundle)
}

fn idmap_no_data(case: &Case<'_>) -> Outcome {
    // A tmpfs refuses an option that it does not know.
    needs_kernel(case, (6, 3))?;
    let map = json!([{"containerID": 0, "hostID": 2000, "size": 1}]);
    let mut bundle = case.bundle()?;
    let mut mount = mapped(Path::new("tmpfs"), &["idmap"], Some((map.clone(), map)));
    mount["type"] = json!("tmpfs");
    bundle.push("", "mounts", mount);
    equal("the file system", case.probe(&mut bundle, "stat -f -c %T /mnt")?.as_str(), "tmpfs\n")
}

fn idmap_of_container(case: &Case<'_>) -> Outcome {
    needs_kernel(case, (5, 12))?;
    let dir = case.make_dir("owned")?;
    std::os::unix::fs::chown(&dir, Some(7), Some(8))?;
    let mut bundle = case.bundle()?;
    namespaces::add(&mut bundle, "user");
    bundle.push("", "mounts", mapped(&dir, &["bind", "idmap"], None));
    bundle.script("stat -c %u:%g /mnt");
    let container = case.attempt(&bundle, &Around::default())?;
    if !container.answer.ok {
        return skip("a permission that the runtime makes no use of: it is an error");
    }
    container.start()?;
    container.wait()?;
    equal("the owner", container.answer.stdout().as_str(), "7:8\n")
}

fn mapped(source: &Path, options: &[&str], mappings: Option<(Value, Value)>) -> Value {
    let mut mount =
        json!({"destination": "/mnt", "type": "none", "source": source, "options": options});
    if let Some((uids, gids)) = mappings {
        mount["uidMappings"] = uids;
        mount["gidMappings"] = gids;
    }
    mount
}

#[cfg(test)]
mod tests {
    use super::{CLAUSES, effect, recursive_effect};

    #[test]
    fn every_option_that_is_read_from_the_mount_table_has_its_effect_there() {
        let others = ["bind", "remount", "idmap", "tmpcopyup", "private", "shared", "slave"];
        let read = CLAUSES.iter().map(super::Clause::topic);
        for option in read.filter(|name| !others.iter().any(|other| name.contains(other))) {
            let once = effect(option).is_some() != recursive_effect(option).is_some();
            assert!(once, "{option}");
        }
    }
}
