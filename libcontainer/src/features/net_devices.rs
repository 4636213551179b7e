//! `/linux/netDevices`: network devices that move into the container's network namespace.
//!
//! The runtime moves them as soon as that namespace exists, and before anything looks for them:
//! kernel parameters and hooks may be about them. What becomes of them in the container is not the
//! runtime's affair, and at its end the kernel sends physical ones back and destroys the others.

use libcontainer_init::sys::namespace::{NEWNET, NEWUSER};

use super::Context;
use crate::config::{Config, Namespaces, NetDevice};
use crate::steps::Steps;
use crate::task::Task;

/// The longest name of a device, in bytes: `IFNAMSIZ` less the zero at its end.
const LONGEST: usize = 15;
/// In its place the kernel puts the first number that is free.
const NUMBER: &str = "%d";

/// Names that a device can have, each once, in a network namespace other than the runtime's.
pub fn check(cx: &mut Context<'_>, namespaces: &Namespaces) -> Vec<NetDevice> {
    if cx.linux.net_devices.is_empty() {
        return Vec::new();
    }
    if !namespaces.has(NEWNET) {
        let message = "network devices need a network namespace in /linux/namespaces";
        cx.fault("/linux/netDevices", message);
    }
    if !cx.host.privileged {
        cx.fault("/linux/netDevices", "network devices cannot be moved without CAP_SYS_ADMIN");
    }
    let mut devices: Vec<NetDevice> = Vec::new();
    for (host, device) in &cx.linux.net_devices {
        let pointer = format!("/linux/netDevices/{}", host.replace('~', "~0").replace('/', "~1"));
        let renamed = device.name.as_ref().filter(|name| !name.is_empty());
        let (name, at) = match renamed {
            Some(name) => (name, format!("{pointer}/name")),
            None => (host, pointer.clone()),
        };
        if !is_name(host) || host.contains('%') {
            cx.fault(pointer.clone(), format!("\"{host}\" is not the name of a network device"));
        } else if !is_name(name) || !is_pattern(name) {
            let message = format!("\"{name}\" cannot be the name of a network device");
            cx.fault(at, message);
        } else if name == "lo" {
            cx.fault(at, "every network namespace has a device lo already");
        } else if let Some(other) =
            devices.iter().find(|other| other.name == *name && !name.contains(NUMBER))
        {
            let message = format!("{} is to have the name \"{name}\", too", other.host);
            cx.fault(at, message);
        } else {
            devices.push(NetDevice { host: host.clone(), name: name.clone(), pointer });
        }
    }
    devices
}

/// What the kernel takes for a name, byte by byte; 0xa0 is a space to it.
fn is_name(name: &str) -> bool {
    let refused = |byte: u8| matches!(byte, b'/' | b':' | b' ' | 0x09..=0x0d | 0xa0 | 0);
    let long = name.len() > LONGEST || name.is_empty();
    !long && name != "." && name != ".." && !name.bytes().any(refused)
}

/// A percent sign stands in a name for one number, or not at all.
fn is_pattern(name: &str) -> bool {
    let signs = name.matches('%').count();
    signs == 0 || (signs == 1 && name.contains(NUMBER))
}

/// The runtime moves them; whether there are any, and the two have met.
pub fn move_in(config: &Config, steps: &mut Steps) -> bool {
    if config.net_devices.is_empty() {
        return false;
    }
    if config.namespaces.joins(NEWUSER).is_some() {
        steps.phase("connect"); // init has to be in its network namespace first
    }
    for device in &config.net_devices {
        let task = Task::MoveNetDevice { device: device.clone() };
        steps.runtime(device.pointer.clone(), task);
    }
    steps.phase("connected");
    true
}

#[cfg(test)]
mod tests {
    use super::{is_name, is_pattern};

    #[test]
    fn names_are_what_the_kernel_takes() {
        for good in ["eth0", "a", "wl-p3s0.100", "123456789012345", "ä0", "e%d"] {
            assert!(is_name(good), "{good}");
        }
        let bad = ["", ".", "..", "a/b", "a:1", "a b", "a\tb", "1234567890123456", "à", "a\0"];
        for bad in bad {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_pattern_has_one_number() {
        for (name, good) in [
            ("eth0", true),
            ("eth%d", true),
            ("%dx", true),
            ("eth%", false),
            ("%d%d", false),
            ("e%s", false),
        ] {
            assert_eq!(is_pattern(name), good, "{name}");
        }
    }
}
