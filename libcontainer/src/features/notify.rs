//! The notify socket: a container tells whoever started it that it is ready, sd_notify(3).
//!
//! Init makes the socket itself, in a small file system of its own at a fixed place, and hands over
//! the descriptor at the start: nothing of it is on the host, neither a path nor a file. What may
//! be sent, and what becomes of it, is `container::notify`'s.

use libcontainer_init::step::Step;
use libcontainer_init::sys::mount::{ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID};
use libcontainer_init::sys::namespace::NEWNS;
use libcontainer_init::wire::{List, Numbers, Slot, Str};

use super::Context;
use crate::config::{Config, Namespaces};
use crate::steps::Steps;

/// Where it lies inside, as with runc: in a directory that holds nothing else.
const DIRECTORY: &str = "/run/notify";
const NAME: &str = "notify.sock";
/// What the process has in its environment.
pub const VARIABLE: &str = "NOTIFY_SOCKET=/run/notify/notify.sock";

/// Whether the container gets one.
pub fn check(cx: &mut Context<'_>, namespaces: &Namespaces) -> bool {
    let wanted = cx.options.notify_socket && cx.spec.process.is_some();
    if wanted && !namespaces.has(NEWNS) {
        let message = "a notify socket needs a mount namespace of the container's own";
        cx.fault("/linux/namespaces", message);
    }
    wanted
}

/// Init makes it, after all other mounts; then nobody can make or remove anything beside it.
pub fn make(config: &Config, steps: &mut Steps) -> Slot {
    if !config.notify_socket {
        return Slot::NONE;
    }
    let mount = steps.slot(format!("the mount {DIRECTORY}"));
    let socket = steps.slot("the notify socket");
    let step = Step::Mount {
        fstype: steps.text("", "tmpfs"),
        source: steps.text("", "notify"),
        target: steps.text("", DIRECTORY),
        data: parameters(config, steps),
        label: Str::default(),
        attributes: ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC,
        propagation: Numbers::default(),
        flags: 0,
        server: Slot::NONE,
        otherwise: Slot::NONE,
        keep: mount,
    };
    steps.init("", step);
    let name = steps.text("", NAME);
    steps.init("", Step::NotifySocket { dir: mount, name, into: socket });
    steps.init("", Step::MakeReadonly { mount });
    socket
}

/// Room for the socket, and for no data; and the label of mounts.
fn parameters(config: &Config, steps: &mut Steps) -> List {
    let room = ["mode=755", "nr_inodes=4", "size=4k"].map(str::to_owned);
    steps.list("", room.into_iter().chain(config.mount_context()))
}

/// Whoever starts the container gets it.
pub fn send(config: &Config, steps: &mut Steps, socket: Slot) {
    if config.notify_socket {
        steps.init("", Step::SendNotifySocket { socket });
    }
}
