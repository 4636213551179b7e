//! containerd's CRI plugin with the runtime under test, driven over gRPC as a kubelet does: pods on
//! a bridge of CNI, and containers in them. Everything lies below the scene and in a network
//! namespace of the test's.

#[path = "engine_cri/crashes.rs"]
mod crashes;
#[path = "engine_cri/messages.rs"]
mod messages;
#[path = "engine_cri/namespaces.rs"]
mod namespaces;
#[path = "engine_cri/node.rs"]
mod node;
#[path = "engine_cri/security.rs"]
mod security;
#[path = "engine_cri/stream.rs"]
mod stream;
#[path = "engine_cri/streams.rs"]
mod streams;
#[path = "engine_cri/volumes.rs"]
mod volumes;

use std::collections::BTreeMap;

use integration::cgroups::Layout;
use integration::engine::{EATER, NO_FILE, SERVICE, cpu_quota, lives, memory_limit};
use integration::runtime::until;
use messages::{
    CREATED, Containers, EXITED, Empty, ExecSync, Id, NOT_READY, Pods, READY, RUNNING, Resources,
    RuntimeStatus, StatsResponse, StatusResponse, StopContainer, Update, Variable, Version,
};
use node::Node;

#[test]
fn the_runtime_and_the_network_are_ready_in_both_versions_of_the_interface() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    for version in ["v1", "v1alpha2"] {
        let method = |name| format!("runtime.{version}.RuntimeService/{name}");
        let told: Version = node.call(&method("Version"), &Empty {});
        assert_eq!((&*told.runtime_name, &*told.runtime_api_version), ("containerd", version));
        // The plugin watches the directory of networks, and may not have seen it yet.
        until("the network", || {
            let answer: StatusResponse = node.call(&method("Status"), &Empty {});
            let RuntimeStatus { conditions } = answer.status.expect("a status");
            let told = conditions.iter().map(|one| (&*one.kind, one.status));
            let told: BTreeMap<_, _> = told.collect();
            assert!(told["RuntimeReady"]);
            told["NetworkReady"]
        });
    }
}

#[test]
fn a_container_is_created_started_listed_stopped_and_removed() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    let pod = node.run_pod("pod", |_| {});
    let status = node.pod_status(&pod);
    assert_eq!((status.state, &*status.metadata.expect("metadata").name), (READY, "pod"));
    let list = || -> Vec<(String, String, i32)> {
        let list: Containers = node.ask("ListContainers", &Empty {});
        list.containers.into_iter().map(|one| (one.id, one.pod, one.state)).collect()
    };
    let request = node.request(&pod, "service", &["sh", "-c", SERVICE], |container| {
        container.working_dir = "/tmp".to_owned();
        container.envs = vec![Variable { key: "ONE".into(), value: "1 and 2".into() }];
        container.resources().oom_score_adj = 500;
    });
    let Id { id } = node.ask("CreateContainer", &request);
    assert_eq!(list(), [(id.clone(), pod.id.clone(), CREATED)]);
    let _: Empty = node.ask("StartContainer", &Id { id: id.clone() });
    assert_eq!(list(), [(id.clone(), pod.id.clone(), RUNNING)]);
    until("the container's trap", || node.log("service") == "up\n");
    let script = "pwd; echo $ONE; hostname; cat /proc/1/cwd/../proc/self/oom_score_adj";
    assert_eq!(node.output(&id, script), "/tmp\n1 and 2\npod\n500\n");

    let pid = node.pid(&id);
    let _: Empty = node.ask("StopContainer", &StopContainer { id: id.clone(), timeout: 60 });
    let status = node.status(&id);
    assert_eq!((status.state, status.exit_code, &*status.reason), (EXITED, 9, "Error"));
    assert!(!lives(pid));
    node.end(&id);
    assert_eq!(list(), []);

    // The sandbox takes its containers along.
    let id = node.start_container(&pod, "other", &["sleep", "1000"], |_| {});
    node.end_pod(&pod);
    node.assert_gone(&id);
    let left: Pods = node.ask("ListPodSandbox", &Empty {});
    assert_eq!(left, Pods::default());
}

#[test]
fn the_end_of_a_container_is_told_with_its_code_and_its_log() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    let pod = node.run_pod("pod", |_| {});
    for (name, script, code, reason) in [
        ("zero", "echo out; echo err >&2", 0, "Completed"),
        ("seven", "echo out; echo err >&2; exit 7", 7, "Error"),
        ("killed", "echo out; echo err >&2; kill -9 $$", 137, "Error"),
    ] {
        // A process that is the first of its namespace cannot kill itself; that of a pod can.
        let id = node.start_container(&pod, name, &["sh", "-c", script], |_| {});
        let status = node.ended(&id);
        assert_eq!((status.exit_code, &*status.reason), (code, reason), "{name}");
        let log = node.path(&format!("logs/{name}.log"));
        let mut lines = String::new();
        until("both lines", || {
            lines = std::fs::read_to_string(&log).expect("a log");
            lines.lines().count() == 2
        });
        let mut lines: Vec<&str> =
            lines.lines().map(|line| &line[line.find(" std").unwrap()..]).collect();
        lines.sort_unstable();
        assert_eq!(lines, [" stderr F err", " stdout F out"]);
        node.end(&id);
    }
    let Id { id } = node.ask("CreateContainer", &node.request(&pod, "none", &["/none"], |_| {}));
    let said = node.refused("StartContainer", &Id { id: id.clone() });
    assert!(NO_FILE.iter().any(|text| said.contains(text)), "{said}");
    let status = node.status(&id);
    assert_eq!((status.state, &*status.reason), (EXITED, "StartError"));
    node.end(&id);
    node.end_pod(&pod);
}

#[test]
fn processes_are_added_to_a_container() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    let pod = node.run_pod("pod", |_| {});
    let id = node.start_container(&pod, "one", &["sleep", "1000"], |_| {});
    let executed = node.exec(&id, "echo out; echo err >&2; exit 3");
    assert_eq!((&*executed.stdout, &*executed.stderr), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(executed.exit_code, 3);
    // More than a pipe holds.
    let many = node.output(&id, "head -c 1000000 /dev/zero | tr '\\0' x");
    assert_eq!(many.len(), 1_000_000);
    let call = |cmd: &[&str], timeout| {
        let cmd = cmd.iter().map(|&word| word.to_owned()).collect();
        node.refused("ExecSync", &ExecSync { id: id.clone(), cmd, timeout })
    };
    let said = call(&["sleep", "2000"], 1);
    assert!(said.contains("timeout 1s exceeded"), "{said}");
    assert_eq!(node.output(&id, "ps | grep -c '[s]leep 2000' || true"), "0\n");
    let said = call(&["/none"], 0);
    assert!(NO_FILE.iter().any(|text| said.contains(text)), "{said}");
    node.end_pod(&pod);
    node.assert_gone(&id);
}

#[test]
fn limits_are_set_measured_and_updated() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    let pod = node.run_pod("pod", |_| {});
    let id = node.start_container(&pod, "one", &["sleep", "1000"], |container| {
        let limits = container.resources();
        (limits.cpu_period, limits.cpu_quota, limits.cpu_shares) = (100_000, 50_000, 512);
        limits.memory_limit = 128 << 20;
    });
    let cgroup = node.cgroup(&id);
    let limits = || (memory_limit(&cgroup), cpu_quota(&cgroup));
    let shares = || {
        let layout = Layout::here();
        layout.is_v1("cpu").then(|| layout.read("cpu", &cgroup, "cpu.shares"))
    };
    assert_eq!(limits(), ("134217728".into(), "50000".into()));
    assert!(shares().is_none_or(|shares| shares == "512"));
    let stats = || node.ask::<_, StatsResponse>("ContainerStats", &Id { id: id.clone() }).stats;
    let value =
        |usage: Option<messages::Usage>| usage.and_then(|usage| usage.value).map(|v| v.value);
    until("a measurement", || {
        let stats = stats().expect("statistics");
        value(stats.cpu).is_some_and(|cpu| cpu > 0) && value(stats.memory).is_some_and(|m| m > 0)
    });

    let linux = Resources {
        cpu_period: 100_000,
        cpu_quota: 20_000,
        cpu_shares: 256,
        memory_limit: 64 << 20,
        ..Resources::default()
    };
    let _: Empty =
        node.ask("UpdateContainerResources", &Update { id: id.clone(), linux: Some(linux) });
    assert_eq!(limits(), ("67108864".into(), "20000".into()));
    assert!(shares().is_none_or(|shares| shares == "256"));
    // The document also has a rule on devices; they are as before.
    assert_eq!(node.output(&id, "head -c 2 /dev/zero | wc -c; echo x >/dev/null"), "2\n");
    node.end_pod(&pod);
}

#[test]
fn a_container_that_used_too_much_memory_is_told_to_be_oom_killed() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    let pod = node.run_pod("pod", |_| {});
    let id = node.start_container(&pod, "one", &["sh", "-c", EATER], |container| {
        container.resources().memory_limit = 16 << 20;
    });
    node.output(&id, "touch /go");
    let status = node.ended(&id);
    assert_eq!(status.exit_code, 137);
    until("the reason", || node.status(&id).reason == "OOMKilled");
    node.end_pod(&pod);
}

#[test]
fn a_pod_is_reached_by_its_address() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    let pod = node.run_pod("server", |_| {});
    let address = node.pod_status(&pod).network.expect("a network").ip;
    assert!(address.starts_with("10.123.0."), "{address}");
    let script = "while :; do echo hello | nc -l -p 8080; done";
    let server = node.start_container(&pod, "server", &["sh", "-c", script], |_| {});
    let client = node.run_pod("client", |_| {});
    // Another container of the pod has the same network, another pod is beside it.
    for (name, pod, address) in [("inside", &pod, "127.0.0.1"), ("beside", &client, &*address)] {
        let script = format!("until nc {address} 8080 </dev/null; do :; done 2>/dev/null");
        assert_eq!(node.script(pod, name, &script, |_| {}), "hello\n");
    }
    until("an answer", || {
        let netns = format!("--net={}", node.netns());
        let call = scene.call("nsenter").args([&netns, "busybox", "nc", &address, "8080"]);
        call.run().stdout == "hello\n"
    });
    assert!(node.output(&server, "ip addr show eth0").contains(&address));
    let _: Empty = node.ask("StopPodSandbox", &Id { id: pod.id.clone() });
    let status = node.pod_status(&pod);
    assert_eq!((status.state, status.network.unwrap_or_default().ip), (NOT_READY, String::new()));
    node.end_pod(&pod);
    node.end_pod(&client);
}
