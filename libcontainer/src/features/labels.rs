//! Labels of security modules: `/process/apparmorProfile`, `/process/selinuxLabel` and
//! `/linux/mountLabel`.
//!
//! Init writes the process's label to an attribute of its own, and the next execve(2) gives it to
//! the program. It does so by the host's procfs, which the runtime opened and knows to be one:
//! another in its place could swallow the label (CVE-2019-16884). The startContainer hooks, which
//! are programs of the image, are under it too. Where the kernel has no such module, or the module
//! no such label, there is no container.
//!
//! **AppArmor under `no_new_privs`.** The kernel judges the change when it happens, at execve(2);
//! the order in which label and flag were set is all the same. From `unconfined` (or a profile of
//! that mode) any change is allowed. From a profile that restricts, only one that restricts further
//! is: a change to another profile would fail there, or, if the old one is in complain mode, not
//! happen. So a confined runtime *stacks* the container's profile on its own (`RUNTIME//&PROFILE`
//! in the container, both must allow what it does). Otherwise the profile replaces the runtime's,
//! which has to allow that (`change_profile`).
//!
//! **SELinux** judges likewise at execve(2), and its policy says which changes `no_new_privs` leaves
//! (`nnp_transition`). Keys and sockets that init makes for the container get its label as well.
//! How mounts get theirs is said in `mounts`; the host's files that are bound keep what they have.

use libcontainer_init::step::Step;
use libcontainer_init::wire::Slot;

use super::Context;
use crate::config::{Config, Labels};
use crate::host::is_context;
use crate::steps::Steps;
use crate::task::Task;

const APPARMOR: &str = "/process/apparmorProfile";
const SELINUX: &str = "/process/selinuxLabel";
const MOUNTS: &str = "/linux/mountLabel";

/// The labels of the process.
pub fn check(cx: &mut Context<'_>) -> Labels {
    let security = cx.host.security;
    let apparmor = given(&cx.process.apparmor_profile);
    if apparmor.is_some() && !security.apparmor {
        cx.fault(APPARMOR, "there is no AppArmor on this machine");
    }
    if apparmor.as_ref().is_some_and(|profile| profile.contains(char::is_control)) {
        cx.fault(APPARMOR, "the name of a profile has no control characters");
    }
    let selinux = given(&cx.process.selinux_label);
    check_context(cx, SELINUX, selinux.as_deref());
    let no_new_privileges = cx.process.no_new_privileges || security.no_new_privileges;
    Labels { apparmor, selinux, stacked: security.confined && no_new_privileges }
}

/// The label of mounts.
pub fn check_mounts(cx: &mut Context<'_>) -> Option<String> {
    let label = given(&cx.linux.mount_label);
    check_context(cx, MOUNTS, label.as_deref());
    label
}

fn given(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

/// The attributes of SELinux may be another module's: only what has the form of a context goes there.
fn check_context(cx: &mut Context<'_>, pointer: &str, label: Option<&str>) {
    let Some(label) = label else { return };
    if !is_context(label) {
        cx.fault(pointer, "a label has the form USER:ROLE:TYPE, or USER:ROLE:TYPE:LEVEL");
    } else if !cx.host.security.selinux {
        cx.fault(pointer, "there is no SELinux on this machine, or it has no policy");
    }
}

/// The runtime opens the host's procfs.
pub fn open(config: &Config, steps: &mut Steps) -> Slot {
    let Labels { apparmor, selinux, .. } = &config.process.labels;
    let pointer = match (apparmor, selinux) {
        (Some(_), _) => APPARMOR,
        (None, Some(_)) => SELINUX,
        (None, None) => return Slot::NONE,
    };
    let into = steps.slot("the host's procfs, for the label");
    steps.runtime(pointer, Task::OpenProcfs { into });
    into
}

/// From here on the keys and sockets that init makes have the process's label: the session keyring,
/// and the notify socket, to which the program sends. execve(2) ends it.
pub fn cover_keys_and_sockets(config: &Config, steps: &mut Steps, procfs: Slot) {
    let Some(label) = &config.process.labels.selinux else { return };
    if config.process.keyring.is_some() {
        attribute(steps, procfs, SELINUX, ["attr/keycreate", label]);
    }
    if config.notify_socket {
        attribute(steps, procfs, SELINUX, ["attr/sockcreate", label]);
    }
}

/// The next program has the process's labels.
pub fn write(config: &Config, steps: &mut Steps, procfs: Slot) {
    let Labels { apparmor, selinux, stacked } = &config.process.labels;
    if let Some(label) = selinux {
        attribute(steps, procfs, SELINUX, ["attr/exec", label]);
    }
    if let Some(profile) = apparmor {
        let how = if *stacked { "stack" } else { "exec" };
        attribute(steps, procfs, APPARMOR, ["attr/apparmor/exec", &format!("{how} {profile}")]);
    }
    if procfs != Slot::NONE {
        steps.init("", Step::Close { slot: procfs });
    }
}

/// Init writes an attribute of its own.
fn attribute(steps: &mut Steps, procfs: Slot, pointer: &str, [path, value]: [&str; 2]) {
    let (path, value) = (steps.text(pointer, path), steps.text(pointer, value));
    steps.init(pointer, Step::WriteProc { procfs, own: true, path, value });
}
