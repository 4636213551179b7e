//! Kernel parameters, of the container's namespaces only.

use libcontainer_init::step::Step;
use libcontainer_init::sys::namespace::{NEWIPC, NEWNET, NEWUTS};
use libcontainer_init::wire::Slot;

use super::Context;
use crate::config::{Config, Namespaces};
use crate::steps::Steps;
use crate::task::Task;

/// Parameters of the IPC namespace, besides `fs.mqueue.*`; ipc_namespaces(7).
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// `/linux/sysctl`: known to be of a namespace that the container has of its own.
pub fn check(cx: &mut Context<'_>, namespaces: &Namespaces) -> Vec<(String, String, String)> {
    let mut parameters = Vec::new();
    for (name, value) in &cx.linux.sysctl {
        let pointer = pointer(name);
        let parts = parts(name);
        if parts.iter().any(|part| part.is_empty() || part == ".." || part == ".") {
            cx.fault(pointer, format!("\"{name}\" is not a kernel parameter"));
            continue;
        }
        let dotted = parts.join(".");
        let needed = if IPC.contains(&dotted.as_str()) || dotted.starts_with("fs.mqueue.") {
            NEWIPC
        } else if dotted.starts_with("net.") {
            NEWNET
        } else if dotted == "kernel.domainname" || dotted == "kernel.hostname" {
            NEWUTS
        } else {
            cx.fault(pointer, format!("\"{name}\" is not a parameter of a namespace"));
            continue;
        };
        if dotted == "kernel.hostname" {
            cx.fault(pointer, "the host name is set by /hostname");
        } else if !namespaces.has(needed) {
            let kind = super::namespaces::name(needed);
            cx.fault(pointer, format!("\"{name}\" needs a {kind} namespace in /linux/namespaces"));
        } else {
            parameters.push((parts.join("/"), value.clone(), name.clone()));
        }
    }
    parameters
}

/// sysctl(8): the first separator decides. With `/` first, dots are part of names
/// (`net/ipv4/conf/eth0.100/forwarding`); with `.` first, slashes stand for such dots.
fn parts(name: &str) -> Vec<String> {
    let separator = name.find(['.', '/']).map_or(b'.', |i| name.as_bytes()[i]);
    if separator == b'/' {
        return name.split('/').map(str::to_owned).collect();
    }
    name.split('.').map(|part| part.replace('/', ".")).collect()
}

/// A parameter's name as a token of a JSON pointer, RFC 6901.
fn pointer(name: &str) -> String {
    format!("/linux/sysctl/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The runtime opens the host's procfs.
pub fn open(config: &Config, steps: &mut Steps) -> Slot {
    if config.sysctl.is_empty() {
        return Slot::NONE;
    }
    let into = steps.slot("the host's procfs");
    steps.runtime("/linux/sysctl", Task::OpenProcfs { into });
    into
}

/// Init writes them, in its namespaces.
pub fn write(config: &Config, steps: &mut Steps, procfs: Slot) {
    for (path, value, name) in &config.sysctl {
        let pointer = pointer(name);
        let path = steps.text(&pointer, &format!("sys/{path}"));
        let value = steps.text(&pointer, value);
        steps.init(pointer, Step::WriteProc { procfs, own: false, path, value });
    }
    if procfs != Slot::NONE {
        steps.init("/linux/sysctl", Step::Close { slot: procfs });
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn both_spellings_of_sysctl_8_name_the_same_file() {
        assert_eq!(
            parts("net.ipv4.conf.eth0/100.forwarding").join("/"),
            "net/ipv4/conf/eth0.100/forwarding"
        );
        assert_eq!(
            parts("net/ipv4/conf/eth0.100/forwarding").join("/"),
            "net/ipv4/conf/eth0.100/forwarding"
        );
        assert_eq!(parts("kernel.shm_rmid_forced").join("/"), "kernel/shm_rmid_forced");
    }
}
