//! Device nodes: the default ones, those of the configuration, and the usual links in /dev.
//!
//! In a user namespace mknod(2) is impossible, as it is without CAP_MKNOD; there the host's nodes are
//! bound.

use libcontainer_init::step::Step;
use libcontainer_init::sys::namespace::{NEWNS, NEWUSER};
use libcontainer_init::wire::{Numbers, Slot, Str};

use super::Context;
use crate::config::{Config, Device, Devices, MountKind, Namespaces};
use crate::spec;
use crate::steps::Steps;

const CHAR: u32 = 0o020_000;
const BLOCK: u32 = 0o060_000;
const FIFO: u32 = 0o010_000;

/// config-linux.md, "Default Devices".
const DEFAULT: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];
/// runtime-linux.md, "Dev symbolic links": made when what they point to exists.
const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
];

/// `/linux/devices`, and the defaults where /dev is the container's own.
pub fn check(cx: &mut Context<'_>, namespaces: &Namespaces) -> Devices {
    let own_dev = namespaces.has(NEWNS) && !host_dev(cx);
    let mut nodes = Vec::new();
    if own_dev {
        nodes.extend(DEFAULT.map(|(path, major, minor)| Device {
            path: path.to_owned(),
            mode: CHAR | 0o666,
            major,
            minor,
            uid: 0,
            gid: 0,
            pointer: String::new(),
        }));
    }
    for (i, device) in cx.linux.devices.iter().enumerate() {
        let pointer = format!("/linux/devices/{i}");
        let Some(node) = check_one(cx, &pointer, device) else { continue };
        // What the container always has need not be made twice: engines list all of the host's.
        let redundant = own_dev
            && (["/dev/ptmx", "/dev/console"].contains(&node.path.as_str())
                || nodes.iter().any(|n| n.path == node.path && same_device(n, &node)));
        if !redundant {
            nodes.push(node);
        }
    }
    let host = cx.host;
    let bind = namespaces.has(NEWUSER) || host.user_namespace || !host.may_make_devices;
    Devices { nodes, links: own_dev, bind }
}

/// Whether the configuration brings the host's /dev: then nothing is made in it.
fn host_dev(cx: &Context<'_>) -> bool {
    cx.spec.mounts.iter().any(|mount| {
        super::mount_check::normal(&mount.destination) == "/dev"
            && mount.options.iter().any(|option| option == "bind" || option == "rbind")
    })
}

fn same_device(a: &Device, b: &Device) -> bool {
    (a.mode & !0o7777, a.major, a.minor) == (b.mode & !0o7777, b.major, b.minor)
}

fn check_one(cx: &mut Context<'_>, pointer: &str, device: &spec::Device) -> Option<Device> {
    let path = super::mount_check::normal(&device.path);
    if !device.path.starts_with('/') || path == "/" {
        cx.fault(format!("{pointer}/path"), format!("path \"{}\" is not absolute", device.path));
        return None;
    }
    let kind = match device.kind.as_str() {
        "c" | "u" => CHAR,
        "b" => BLOCK,
        "p" => FIFO,
        other => {
            cx.fault(format!("{pointer}/type"), format!("unknown device type \"{other}\""));
            return None;
        }
    };
    let numbers = if kind == FIFO { (0, 0) } else { (device.major, device.minor) };
    // The kernel has 12 bits for the major and 20 for the minor number, makedev(3).
    let (Ok(major @ 0..=0xfff), Ok(minor @ 0..=0xf_ffff)) =
        (u32::try_from(numbers.0), u32::try_from(numbers.1))
    else {
        cx.fault(pointer, format!("no device can have the numbers {}:{}", numbers.0, numbers.1));
        return None;
    };
    let permissions = device.file_mode.unwrap_or(0o666) & 0o7777;
    let (uid, gid) = (device.uid.unwrap_or(0), device.gid.unwrap_or(0));
    Some(Device { path, mode: kind | permissions, major, minor, uid, gid, pointer: pointer.into() })
}

/// Where nodes are bound, the runtime copies the host's; a FIFO is always made.
pub fn open(config: &Config, steps: &mut Steps) -> Vec<Slot> {
    let bound = |node: &Device| config.devices.bind && node.mode & !0o7777 != FIFO;
    let mut open = |node: &Device| {
        if !bound(node) {
            return Slot::NONE;
        }
        let into = steps.slot(format!("device {}", node.path));
        let path = node.path.clone().into();
        steps.open_tree(&node.pointer, path, false, into);
        into
    };
    config.devices.nodes.iter().map(&mut open).collect()
}

/// Init makes or binds them, and the links.
pub fn create(config: &Config, steps: &mut Steps, sources: &[Slot]) {
    for (node, source) in config.devices.nodes.iter().zip(sources) {
        let path = steps.text(&node.pointer, &node.path);
        let step = if *source == Slot::NONE {
            let Device { mode, major, minor, uid, gid, .. } = *node;
            Step::Device { path, mode, major, minor, uid, gid }
        } else {
            bind(*source, path)
        };
        steps.init(node.pointer.clone(), step);
    }
    if !config.devices.links {
        return;
    }
    for (content, path) in LINKS {
        let step = Step::Link {
            content: steps.text("", content),
            path: steps.text("", path),
            only_if: steps.text("", content),
            replace: false,
        };
        steps.init("", step);
    }
    let ptmx = Step::Link {
        content: steps.text("", "pts/ptmx"),
        path: steps.text("", "/dev/ptmx"),
        only_if: Str::default(),
        replace: true,
    };
    if config.mounts.iter().any(|mount| is_devpts(&mount.kind)) {
        steps.init("", ptmx);
    }
}

fn is_devpts(kind: &MountKind) -> bool {
    matches!(kind, MountKind::New { fstype, .. } if fstype == "devpts")
        || matches!(kind, MountKind::Bind { .. })
}

fn bind(tree: Slot, target: Str) -> Step {
    Step::Bind {
        tree,
        target,
        set: 0,
        clear: 0,
        set_all: 0,
        clear_all: 0,
        slave: true,
        propagation: Numbers::default(),
        flags: 0,
        keep: Slot::NONE,
    }
}
