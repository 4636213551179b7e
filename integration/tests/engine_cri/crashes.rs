//! Crashes of containerd and of a shim under pods that run.

use std::fs;

use integration::engine::{lives, parent_of};
use integration::runtime::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::messages::{EXITED, NOT_READY, READY, RUNNING};
use crate::node::{self, Node};

#[test]
fn pods_outlive_a_crash_of_containerd() {
    let Some(scene) = node::scene() else { return };
    let mut node = Node::start(&scene);
    let pod = node.run_pod("pod", |_| {});
    let id = node.start_container(&pod, "one", &["sleep", "1000"], |_| {});
    let other = node.start_container(&pod, "two", &["sleep", "1000"], |_| {});
    let (pid, ended) = (node.pid(&id), node.pid(&other));
    node.crash();
    assert!(lives(pid));
    // One ends while nobody watches.
    kill(Pid::from_raw(ended), Signal::SIGKILL).expect("kill");
    until("the process's end", || !lives(ended));
    node.serve();
    assert_eq!(node.pod_status(&pod).state, READY);
    assert_eq!((node.status(&id).state, node.pid(&id)), (RUNNING, pid));
    assert_eq!(node.ended(&other).exit_code, 137);
    assert_eq!(node.output(&id, "echo inside"), "inside\n");
    let another = node.start_container(&pod, "three", &["sleep", "1000"], |_| {});
    node.end(&other);
    node.end(&id);
    node.end_pod(&pod);
    node.assert_gone(&another);
}

#[test]
fn a_crash_of_a_shim_ends_its_pod_and_leaves_nothing() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    let (pod, other) = (node.run_pod("pod", |_| {}), node.run_pod("other", |_| {}));
    let id = node.start_container(&pod, "one", &["sleep", "1000"], |_| {});
    let beside = node.start_container(&other, "two", &["sleep", "1000"], |_| {});
    let pid = node.pid(&id);
    // containerd leaves the socket of a shim that crashes.
    let socket = node.shim_socket(&pod);
    kill(Pid::from_raw(parent_of(pid).expect("a shim")), Signal::SIGKILL).expect("kill");
    until("the end of the container's process", || !lives(pid));
    until("the end of the container", || node.status(&id).state == EXITED);
    until("the end of the pod", || node.pod_status(&pod).state == NOT_READY);
    assert_eq!(node.status(&beside).state, RUNNING);
    node.remove(&id);
    node.remove_pod(&pod);
    // containerd does not have the runtime delete every container of such a shim.
    for id in [&id, &pod.id] {
        node.runtime(&["delete", "--force", id]).run().ok();
        node.assert_gone(id);
    }
    fs::remove_file(socket).expect("the socket");
    node.end_pod(&other);
}
