//! The root file system: opened by the runtime, attached as a copy, and made `/`.

use std::path::Path;

use libcontainer_init::step::Step;
use libcontainer_init::sys::mount::{PRIVATE, SHARED, SLAVE, UNBINDABLE};
use libcontainer_init::sys::namespace::NEWNS;
use libcontainer_init::wire::Slot;

use super::Context;
use crate::config::{Config, Entry, Namespaces, Propagation, Rootfs};
use crate::steps::Steps;

/// The values of `/linux/rootfsPropagation` and of mount options.
pub const PROPAGATIONS: [(&str, Propagation); 8] = [
    ("private", Propagation { kind: PRIVATE, recursive: false }),
    ("rprivate", Propagation { kind: PRIVATE, recursive: true }),
    ("shared", Propagation { kind: SHARED, recursive: false }),
    ("rshared", Propagation { kind: SHARED, recursive: true }),
    ("slave", Propagation { kind: SLAVE, recursive: false }),
    ("rslave", Propagation { kind: SLAVE, recursive: true }),
    ("unbindable", Propagation { kind: UNBINDABLE, recursive: false }),
    ("runbindable", Propagation { kind: UNBINDABLE, recursive: true }),
];

/// `/root` and `/linux/rootfsPropagation`.
pub fn check(cx: &mut Context<'_>, namespaces: &Namespaces) -> Rootfs {
    let own_mounts = namespaces.creates(NEWNS);
    let root = cx.spec.root.as_ref();
    let path = root.map_or("", |root| &root.path);
    if path.is_empty() {
        cx.fault(if root.is_none() { "/root" } else { "/root/path" }, "the root path is missing");
    }
    let readonly = root.is_some_and(|root| root.readonly);
    if readonly && !namespaces.has(NEWNS) {
        cx.fault("/root/readonly", "a read-only root needs a mount namespace");
    }
    let entry = match (own_mounts, cx.options.no_pivot) {
        (false, _) => Entry::ChangeRoot,
        (true, true) => Entry::Move,
        (true, false) => Entry::Pivot,
    };
    let propagation = propagation(cx, namespaces);
    Rootfs { path: absolute(cx.bundle, path), readonly, propagation, entry }
}

fn propagation(cx: &mut Context<'_>, namespaces: &Namespaces) -> Option<Propagation> {
    let pointer = "/linux/rootfsPropagation";
    let name = cx.linux.rootfs_propagation.as_deref().filter(|name| !name.is_empty())?;
    let known = PROPAGATIONS.iter().find(|(known, _)| *known == name);
    if known.is_none() {
        cx.fault(pointer, format!("unknown propagation type \"{name}\""));
    } else if !namespaces.has(NEWNS) {
        cx.fault(pointer, "propagation needs a mount namespace");
    }
    known.map(|(_, propagation)| *propagation)
}

/// A path of the configuration, which is relative to the bundle unless absolute.
pub fn absolute(bundle: &Path, path: &str) -> std::path::PathBuf {
    let joined = bundle.join(path);
    // Components normalise `./` and doubled slashes; `..` stays, as it means what the file system
    // says at a link.
    joined.components().collect()
}

/// The runtime opens the rootfs.
pub fn open(config: &Config, steps: &mut Steps) -> Slot {
    let path = config.rootfs.path.clone();
    let into = steps.slot(format!("rootfs {}", path.display()));
    let tree = config.namespaces.has(NEWNS);
    steps.open_rootfs("/root/path", path, tree, into);
    into
}

/// Init attaches it in its own mount namespace, or works below the directory itself.
pub fn attach(config: &Config, steps: &mut Steps, rootfs: Slot) {
    if !config.namespaces.has(NEWNS) {
        steps.init("/root/path", Step::UseRoot { dir: rootfs });
        return;
    }
    if config.namespaces.creates(NEWNS) {
        steps.init("", Step::SlaveMounts {});
    }
    let path = steps.text("/root/path", &config.rootfs.path.to_string_lossy());
    // The copy is a peer of the host's mount if that is shared: then it becomes a slave, so that
    // nothing mounted inside comes out.
    steps.init("/root/path", Step::AttachRoot { tree: rootfs, path, propagation: SLAVE });
}

/// The rootfs becomes `/`.
pub fn enter(config: &Config, steps: &mut Steps) {
    let step = match config.rootfs.entry {
        Entry::Pivot => Step::PivotRoot {},
        Entry::Move => Step::MoveRoot {},
        Entry::ChangeRoot => Step::ChangeRoot {},
    };
    steps.init("/root/path", step);
}

/// Its propagation type, when everything is mounted: what is unbindable cannot be copied to be made
/// read-only, and pivot_root(2) refuses what is shared.
pub fn propagate(config: &Config, steps: &mut Steps) {
    if let Some(Propagation { kind, recursive }) = config.rootfs.propagation {
        // A mount keeps the type that it names. (Those that name none are shared from the start.)
        let recursive = recursive && kind == UNBINDABLE;
        let step = Step::RootPropagation { propagation: kind, recursive };
        steps.init("/linux/rootfsPropagation", step);
    }
}

/// Last of all that writes below it.
pub fn make_readonly(config: &Config, steps: &mut Steps) {
    if config.rootfs.readonly {
        steps.init("/root/readonly", Step::ReadonlyRoot {});
    }
}
