//! Capabilities: five sets of names become five masks.

use libcontainer_init::step::Step;
use libcontainer_init::sys::namespace::NEWUSER;

use super::Context;
use crate::config::{Capabilities, Config, Namespaces};
use crate::steps::Steps;

/// Names by number, capabilities(7).
pub const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// `/process/capabilities`. What cannot be given is left out with a warning, as the spec says.
pub fn check(cx: &mut Context<'_>, namespaces: &Namespaces) -> Capabilities {
    let Some(sets) = &cx.process.capabilities else { return Capabilities::default() };
    // A new user namespace starts with all of them, whatever the host's bounding set.
    let available =
        if namespaces.has(NEWUSER) { cx.host.known_capabilities } else { cx.host.bounding };
    let mut mask = |field: &str, names: &[String]| set(cx, field, names, available);
    let bounding = mask("bounding", &sets.bounding);
    let permitted = mask("permitted", &sets.permitted);
    let effective = mask("effective", &sets.effective);
    let inheritable = mask("inheritable", &sets.inheritable);
    let ambient = mask("ambient", &sets.ambient);
    if effective & !permitted != 0 {
        let missing = list(effective & !permitted);
        let message = format!("{missing} must be permitted to be effective");
        cx.fault("/process/capabilities/effective", message);
    }
    let possible = ambient & permitted & inheritable;
    if possible != ambient {
        let message = format!(
            "{} left out: an ambient capability must be permitted and inheritable",
            list(ambient & !possible)
        );
        cx.warn("/process/capabilities/ambient", message);
    }
    // capset(2): an inheritable capability beyond the permitted ones must be in the bounding set.
    let addable = inheritable & (permitted | bounding);
    if addable != inheritable {
        let message = format!("{} left out: not in the bounding set", list(inheritable & !addable));
        cx.warn("/process/capabilities/inheritable", message);
    }
    let ambient = possible & addable;
    Capabilities { bounding, effective, permitted, inheritable: addable, ambient }
}

fn set(cx: &mut Context<'_>, field: &str, names: &[String], available: u64) -> u64 {
    let mut mask = 0;
    for (i, name) in names.iter().enumerate() {
        let pointer = || format!("/process/capabilities/{field}/{i}");
        match CAPABILITIES.iter().position(|known| known.eq_ignore_ascii_case(name)) {
            None => cx.warn(pointer(), format!("unknown capability \"{name}\" left out")),
            Some(number) if available >> number & 1 == 0 => {
                cx.warn(pointer(), format!("{name} left out: it is not in this process's reach"));
            }
            Some(number) => mask |= 1 << number,
        }
    }
    mask
}

/// The names in a set, for people.
pub fn list(mask: u64) -> String {
    let names = CAPABILITIES.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1);
    names.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
}

/// Before the user is switched: only then is the right to do it there.
pub fn limit_bounding(config: &Config, steps: &mut Steps) {
    let keep = config.process.capabilities.bounding;
    steps.init("/process/capabilities/bounding", Step::BoundingSet { keep });
}

/// After the user is switched.
pub fn set_rest(config: &Config, steps: &mut Steps) {
    /// CAP_SYS_ADMIN
    const ADMIN: u64 = 1 << 21;
    let Capabilities { effective, permitted, inheritable, ambient, .. } =
        config.process.capabilities;
    // Without no_new_privs, filters and rules of Landlock are for who has it; the program does not
    // get it.
    let restricts = config.seccomp.is_some() || config.landlock.is_some();
    let kept = if restricts && !config.process.no_new_privileges { ADMIN } else { 0 };
    let (effective, permitted) = (effective | kept, permitted | kept);
    let step = Step::Capabilities { effective, permitted, inheritable, ambient };
    steps.init("/process/capabilities", step);
    if config.process.no_new_privileges {
        steps.init("/process/noNewPrivileges", Step::NoNewPrivileges {});
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_those_of_the_caps_crate() {
        let known = caps::all();
        assert_eq!(known.len(), CAPABILITIES.len());
        for capability in known {
            assert_eq!(CAPABILITIES[usize::from(capability.index())], capability.to_string());
        }
    }

    #[test]
    fn a_set_reads_as_its_names() {
        assert_eq!(list(1 | 1 << 10), "CAP_CHOWN CAP_NET_BIND_SERVICE");
    }
}
