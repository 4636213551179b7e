//! What containers share: with each other in a pod, and with the node.

use std::fs;

use crate::messages::{CONTAINER, ContainerConfig, LinuxPod, NODE, Namespaces, PodSecurity};
use crate::node::{self, Node, Pod};

/// Kinds of namespaces, and the number of each that a container is in.
const KINDS: [&str; 5] = ["net", "ipc", "uts", "pid", "mnt"];

/// A change of both requests: the sandbox and its containers have the same namespaces.
fn both(namespaces: Namespaces) -> (impl FnOnce(&mut LinuxPod), impl Fn(&mut ContainerConfig)) {
    let security = PodSecurity { namespaces: Some(namespaces.clone()), ..PodSecurity::default() };
    let pod = |pod: &mut LinuxPod| pod.security = Some(security);
    (pod, move |one: &mut ContainerConfig| one.security().namespaces = Some(namespaces.clone()))
}

/// The namespaces of a running container's processes.
fn namespaces_of(node: &Node<'_>, id: &str) -> [String; 5] {
    KINDS.map(|kind| node.output(id, &format!("readlink /proc/self/ns/{kind}")).trim().to_owned())
}

/// Two containers of a pod and the namespaces of each.
fn two(
    node: &Node<'_>,
    pod: &Pod,
    edit: &impl Fn(&mut ContainerConfig),
) -> ([String; 2], [[String; 5]; 2]) {
    let ids = ["one", "two"].map(|name| node.start_container(pod, name, &["sleep", "1000"], edit));
    let seen = [namespaces_of(node, &ids[0]), namespaces_of(node, &ids[1])];
    (ids, seen)
}

#[test]
fn containers_of_a_pod_share_what_the_pod_says() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    let host = KINDS.map(|kind| link(&format!("/proc/self/ns/{kind}")));
    for (name, pid, shared) in [("shared", 0, 4), ("own", CONTAINER, 3)] {
        let (edit_pod, edit) = both(Namespaces { pid, ..Namespaces::default() });
        let pod = node.run_pod(name, edit_pod);
        let (ids, [one, two]) = two(&node, &pod, &edit);
        for (i, kind) in KINDS.iter().enumerate() {
            assert_eq!(one[i] == two[i], i < shared, "{name}: {kind}: {one:?} {two:?}");
            assert_ne!(one[i], host[i], "{name}: {kind}");
        }
        // A file in /dev/shm is part of what ipc means here.
        node.output(&ids[0], "echo shared >/dev/shm/file");
        assert_eq!(
            node.output(&ids[1], "cat /dev/shm/file; hostname"),
            format!("shared\n{name}\n")
        );
        let first = node.output(&ids[0], "cat /proc/1/cmdline | tr '\\0' ' '");
        assert_eq!(first, if pid == CONTAINER { "sleep 1000 " } else { "sleep 1000000 " });
        node.end_pod(&pod);
    }
}

#[test]
fn a_pod_can_have_the_namespaces_of_its_node() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    let network = link(&node.netns());
    let host = |kind: &str| link(&format!("/proc/self/ns/{kind}"));
    // Without a network of its own a pod has the node's name, too.
    let expected = [network, host("ipc"), host("uts"), host("pid")];
    for (name, namespaces, same) in [
        ("network", Namespaces { network: NODE, ..Namespaces::default() }, &[0, 2][..]),
        ("pid", Namespaces { pid: NODE, ..Namespaces::default() }, &[3]),
        ("ipc", Namespaces { ipc: NODE, ..Namespaces::default() }, &[1]),
        ("all", Namespaces { network: NODE, pid: NODE, ipc: NODE }, &[0, 1, 2, 3]),
    ] {
        let (edit_pod, edit) = both(namespaces);
        let pod = node.run_pod(name, edit_pod);
        let id = node.start_container(&pod, "one", &["sleep", "1000"], edit);
        let seen = namespaces_of(&node, &id);
        for (i, expected) in expected.iter().enumerate() {
            assert_eq!(seen[i] == *expected, same.contains(&i), "{name}: {}: {seen:?}", KINDS[i]);
        }
        node.end_pod(&pod);
    }
}

#[test]
fn kernel_parameters_of_a_pod_are_those_of_its_containers() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    let pairs = [("net.ipv4.ip_unprivileged_port_start", "80"), ("kernel.msgmax", "4096")];
    let pod = node.run_pod("pod", |pod| {
        pod.sysctls = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    });
    let files = pairs.map(|(name, _)| format!("/proc/sys/{}", name.replace('.', "/")));
    let seen = node.script(&pod, "one", &format!("cat {} {}", files[0], files[1]), |_| {});
    assert_eq!(seen, "80\n4096\n");
    assert_ne!(fs::read_to_string(&files[1]).expect("a parameter"), "4096\n");
    node.end_pod(&pod);
}

/// Where a link of the kernel's leads.
fn link(path: &str) -> String {
    fs::read_link(path).expect("a namespace").display().to_string()
}
