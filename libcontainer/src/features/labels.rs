//! `/process/apparmorProfile` and `/process/selinuxLabel`: under which label the program runs.
//!
//! Init writes it to an attribute of its own, and the next execve(2) gives it to the program. It does
//! so by the host's procfs, which the runtime opened and knows to be one: another in its place could
//! swallow the label (CVE-2019-16884). The startContainer hooks, which are programs of the image, are
//! under it too. Where the kernel has no such module, or the module no such label, there is no
//! container.

use libcontainer_init::step::Step;
use libcontainer_init::wire::Slot;

use super::Context;
use crate::config::{Config, Labels};
use crate::steps::Steps;
use crate::task::Task;

const APPARMOR: &str = "/process/apparmorProfile";
const SELINUX: &str = "/process/selinuxLabel";

/// The attribute of SELinux may be another module's: only what has the form of a context goes there.
pub fn check(cx: &mut Context<'_>) -> Labels {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let apparmor = given(&cx.process.apparmor_profile);
    let selinux = given(&cx.process.selinux_label);
    if apparmor.as_ref().is_some_and(|profile| profile.contains(char::is_control)) {
        cx.fault(APPARMOR, "the name of a profile has no control characters");
    }
    let is_context = |label: &String| {
        !label.contains(|c: char| c.is_whitespace() || c.is_control())
            && label.matches(':').count() >= 2
    };
    if selinux.as_ref().is_some_and(|label| !is_context(label)) {
        cx.fault(SELINUX, "a label has the form USER:ROLE:TYPE, or USER:ROLE:TYPE:LEVEL");
    }
    Labels { apparmor, selinux }
}

/// The runtime opens the host's procfs.
pub fn open(config: &Config, steps: &mut Steps) -> Slot {
    let Labels { apparmor, selinux } = &config.process.labels;
    let pointer = match (apparmor, selinux) {
        (Some(_), _) => APPARMOR,
        (None, Some(_)) => SELINUX,
        (None, None) => return Slot::NONE,
    };
    let into = steps.slot("the host's procfs, for the label");
    steps.runtime(pointer, Task::OpenProcfs { into });
    into
}

/// Init writes them.
pub fn write(config: &Config, steps: &mut Steps, procfs: Slot) {
    let Labels { apparmor, selinux } = &config.process.labels;
    let mut attribute = |pointer: &str, path: &str, value: &str| {
        let (path, value) = (steps.text(pointer, path), steps.text(pointer, value));
        steps.init(pointer, Step::WriteProc { procfs, own: true, path, value });
    };
    if let Some(label) = selinux {
        attribute(SELINUX, "attr/exec", label);
    }
    if let Some(profile) = apparmor {
        attribute(APPARMOR, "attr/apparmor/exec", &format!("exec {profile}"));
    }
    if procfs != Slot::NONE {
        steps.init("", Step::Close { slot: procfs });
    }
}
