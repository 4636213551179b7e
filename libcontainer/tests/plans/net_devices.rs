//! Network devices that move into the container.

use libcontainer::spec::NetDevice;

use super::{Case, join};

/// Devices by their name on the host, and the one inside.
fn devices(case: &mut Case, names: &[(&str, &str)]) {
    let inside = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
    let all =
        names.iter().map(|(host, name)| ((*host).to_owned(), NetDevice { name: inside(name) }));
    case.spec.linux.as_mut().unwrap().net_devices = all.collect();
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("net-devices", |case| {
            devices(case, &[("eth1", ""), ("veth7", "eth%d"), ("wan", "eth0")]);
        }),
        Case::new("net-devices-in-a-joined-user-namespace", |case| {
            join(case, "user", "/proc/7/ns/user");
            devices(case, &[("eth1", "")]);
        }),
        Case::new("net-devices-with-faults", |case| {
            let names = [
                ("a", "eth0"),
                ("b", "eth0"),
                ("c", "eth%d"),
                ("d", "eth%d"),
                ("e", "lo"),
                ("f", "a/b"),
                ("g", "%d%d"),
                ("h%d", ""),
                ("i~ /", ""),
                ("eth0", ""),
            ];
            devices(case, &names);
            case.host.privileged = false;
        }),
        Case::new("net-devices-of-the-host", |case| {
            case.spec.linux.as_mut().unwrap().namespaces.retain(|n| n.kind != "network");
            devices(case, &[("eth1", "")]);
        }),
    ]
}
