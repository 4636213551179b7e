//! Masked and read-only paths, the root's propagation, kernel parameters (`config-linux.md`).

use std::path::Path;
use std::time::Duration;

use nix::mount::MsFlags;
use serde_json::json;

use crate::case::Case;
use crate::clause::{Clause, Level, Outcome, about, ensure, equal};
use crate::process::poll;

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must("config-linux.md#masked-paths/file", "a masked file cannot be read", masked_file),
    Clause::must(
        "config-linux.md#masked-paths/directory",
        "a masked directory shows nothing",
        masked_directory,
    ),
    Clause::untestable(
        "config-linux.md#masked-paths/absolute",
        Level::Must,
        "masked paths are absolute",
        "binds who writes the configuration; what a runtime makes of another value is left open",
    ),
    Clause::must(
        "config-linux.md#readonly-paths/file",
        "a read-only file cannot be written",
        readonly_file,
    ),
    Clause::must(
        "config-linux.md#readonly-paths/directory",
        "nothing below a read-only directory can be written",
        readonly_directory,
    ),
    Clause::untestable(
        "config-linux.md#readonly-paths/absolute",
        Level::Must,
        "read-only paths are absolute",
        "binds who writes the configuration; what a runtime makes of another value is left open",
    ),
    Clause::must(
        "config-linux.md#rootfs-mount-propagation/shared",
        "the root is in a peer group",
        propagation,
    ),
    Clause::must(
        "config-linux.md#rootfs-mount-propagation/slave",
        "the root gets the host's mounts and not the reverse",
        slave,
    ),
    Clause::must(
        "config-linux.md#rootfs-mount-propagation/private",
        "the root gets no mounts of the host",
        private,
    ),
    Clause::must(
        "config-linux.md#rootfs-mount-propagation/unbindable",
        "the root cannot be bind mounted",
        propagation,
    ),
    Clause::must("config-linux.md#sysctl/network", "a network parameter is set", sysctl),
    Clause::must("config-linux.md#sysctl/ipc", "an IPC parameter is set", sysctl),
    Clause::must("config-linux.md#sysctl/uts", "a UTS parameter is set", sysctl),
    Clause::must(
        "config-linux.md#sysctl/missing",
        "a parameter that does not exist is an error",
        sysctl_missing,
    ),
    Clause::must(
        "config-linux.md#sysctl/refused-value",
        "a value the kernel refuses is an error",
        sysctl_refused,
    ),
    Clause::should(
        "config-linux.md#sysctl/host",
        "a parameter of the whole host is not changed",
        sysctl_host,
    ),
];

fn masked_file(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.file("etc/secret", "secret\n")?;
    bundle.config["linux"]["maskedPaths"] = json!(["/etc/secret", "/no/such/path", "/proc/uptime"]);
    let seen = case.probe(&mut bundle, "cat /etc/secret /proc/uptime 2>/dev/null; echo end")?;
    equal("what was read", seen.as_str(), "end\n")
}

fn masked_directory(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.file("opt/secret/below", "secret\n")?;
    bundle.config["linux"]["maskedPaths"] = json!(["/opt/secret", "/proc/bus"]);
    let script = "ls /opt/secret /proc/bus | grep -v :; cat /opt/secret/below 2>/dev/null;
        touch /opt/secret/new 2>/dev/null; echo end";
    equal("what was read", case.probe(&mut bundle, script)?.trim(), "end")?;
    let written = bundle.rootfs().join("opt/secret/new").is_file();
    ensure!(!written, "a file could be made below the masked directory");
    Ok(())
}

fn readonly_file(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.file("etc/kept", "kept\n")?;
    bundle.config["linux"]["readonlyPaths"] = json!(["/etc/kept", "/no/such/path"]);
    let seen = case.probe(&mut bundle, "(echo new > /etc/kept) 2>&1; cat /etc/kept")?;
    ensure!(seen.contains("Read-only file system"), "writing gave {seen:?}");
    ensure!(seen.ends_with("kept\n"), "the file is {seen:?}");
    Ok(())
}

fn readonly_directory(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.file("opt/kept/below/file", "kept\n")?;
    bundle.config["linux"]["readonlyPaths"] = json!(["/opt/kept", "/proc/sys"]);
    let script = "for f in /opt/kept/new /opt/kept/below/file /proc/sys/net/ipv4/ip_forward; do
        (echo 1 > $f) 2>&1 | grep -c 'Read-only file system'; done; cat /opt/kept/below/file";
    equal("what became of writing", case.probe(&mut bundle, script)?.as_str(), "1\n1\n1\nkept\n")
}

fn propagation(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["rootfsPropagation"] = json!(case.topic);
    let root = case.idle(&mut bundle)?.mount_on("/")?;
    ensure!(root.propagates(case.topic), "the root is not {}: {}", case.topic, root.shown());
    Ok(())
}

/// Whether a mount that the host makes in the root file system later comes to the container.
fn gets_mounts(case: &Case<'_>, propagation: &str) -> Outcome<bool> {
    let mut bundle = case.bundle()?;
    let rootfs = bundle.rootfs();
    case.share_mounts()?;
    bundle.config["linux"]["rootfsPropagation"] = json!(propagation);
    let container = case.idle(&mut bundle)?;
    case.mount("tmpfs", Path::new("later"), &rootfs.join("mnt"), MsFlags::empty())?;
    let there = poll(Duration::from_millis(200), || Ok(container.mount_on("/mnt").ok()))?;
    let root = container.mount_on("/")?;
    ensure!(!root.propagates("shared"), "the root is shared: {}", root.shown());
    Ok(there.is_some())
}

fn slave(case: &Case<'_>) -> Outcome {
    ensure!(gets_mounts(case, "slave")?, "a mount of the host did not come to the container");
    Ok(())
}

fn private(case: &Case<'_>) -> Outcome {
    ensure!(!gets_mounts(case, "private")?, "a mount of the host came to the container");
    Ok(())
}

fn sysctl(case: &Case<'_>) -> Outcome {
    let (name, value) = match case.topic {
        "network" => ("net.ipv4.ip_default_ttl", "77"),
        "ipc" => ("kernel.shmmni", "1234"),
        _ => ("kernel.domainname", "example.test"),
    };
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["sysctl"] = json!({name: value});
    let file = format!("/proc/sys/{}", name.replace('.', "/"));
    let before = std::fs::read_to_string(&file)?;
    equal(name, case.probe(&mut bundle, &format!("cat {file}"))?.trim(), value)?;
    equal("the host's value", std::fs::read_to_string(&file)?, before)
}

fn sysctl_missing(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["sysctl"] = json!({"net.ipv4.no_such_parameter": "1"});
    case.refused(&bundle)
}

fn sysctl_refused(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["sysctl"] = json!({"net.ipv4.ip_default_ttl": "nonsense"});
    case.refused(&bundle)
}

fn sysctl_host(case: &Case<'_>) -> Outcome {
    let file = "/proc/sys/vm/swappiness";
    let before = std::fs::read_to_string(file)?;
    let mut bundle = case.bundle()?;
    // The value that is set already: a runtime that writes it does no harm to the host.
    bundle.config["linux"]["sysctl"] = json!({"vm.swappiness": before.trim()});
    about("vm.swappiness", case.refused(&bundle))
}
