//! Masked and read-only paths: what of the kernel's file systems the container must not see or
//! change. A path that does not exist needs no protection.

use libcontainer_init::step::Step;
use libcontainer_init::sys::namespace::NEWNS;
use libcontainer_init::wire::Slot;

use super::Context;
use crate::config::{Config, Namespaces};
use crate::steps::Steps;

/// `/linux/maskedPaths` or `/linux/readonlyPaths`: absolute, and only in mounts of its own.
pub fn check(cx: &mut Context<'_>, namespaces: &Namespaces, field: &str) -> Vec<String> {
    let linux = cx.linux;
    let paths = if field == "maskedPaths" { &linux.masked_paths } else { &linux.readonly_paths };
    if !paths.is_empty() && !namespaces.has(NEWNS) {
        cx.fault(format!("/linux/{field}"), "these paths need a mount namespace");
    }
    for (i, path) in paths.iter().enumerate() {
        if !path.starts_with('/') {
            let message = format!("path \"{path}\" is not absolute");
            cx.fault(format!("/linux/{field}/{i}"), message);
        }
    }
    paths.clone()
}

/// The runtime copies the host's null device, which covers files.
pub fn open(config: &Config, steps: &mut Steps) -> Slot {
    if config.masked_paths.is_empty() {
        return Slot::NONE;
    }
    let into = steps.slot("the host's null device");
    steps.open_tree("/linux/maskedPaths", "/dev/null".into(), false, into);
    into
}

/// Init covers and protects. `kept` are mounts by their place: what lies in one is looked up from
/// the mount itself (CVE-2023-28642, CVE-2025-52881).
pub fn cover(config: &Config, steps: &mut Steps, null: Slot, kept: &[(String, Slot)]) {
    for (i, path) in config.readonly_paths.iter().enumerate() {
        let pointer = format!("/linux/readonlyPaths/{i}");
        let (base, path) = from_mount(path, kept);
        let path = steps.text(&pointer, &path);
        steps.init(pointer, Step::ReadonlyPath { base, path });
    }
    for (i, path) in config.masked_paths.iter().enumerate() {
        let pointer = format!("/linux/maskedPaths/{i}");
        let (base, path) = from_mount(path, kept);
        let path = steps.text(&pointer, &path);
        let label = steps.text(&pointer, config.mount_label.as_deref().unwrap_or_default());
        steps.init(pointer, Step::Mask { base, path, null, label });
    }
}

/// The kept mount that holds a path, and the path from there.
fn from_mount(path: &str, kept: &[(String, Slot)]) -> (Slot, String) {
    let path = super::mount_check::normal(path);
    let inside = |(target, slot): &(String, Slot)| {
        let rest = path.strip_prefix(target.as_str())?;
        rest.starts_with('/').then(|| (*slot, rest.to_owned()))
    };
    // A later mount on the same place lies on top.
    kept.iter().rev().find_map(inside).unwrap_or((Slot::NONE, path.clone()))
}
