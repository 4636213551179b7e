//! Pods as Kubernetes has them made: containerd's service of the Container Runtime Interface, over
//! gRPC, with the runtime under test.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use integration::Inside;
use integration::bundle::write;
use integration::cri::messages::{
    Attach, Capability, ContainerConfig, ContainerStats, Device, Exec, ExecSync, Int64Value,
    LinuxContainerConfig, LinuxContainerResources, LinuxContainerSecurityContext, Mount,
    NamespaceOption, PodSandboxConfig, PodSandboxStatus, PortMapping, RemoveContainer,
    SecurityProfile, StartContainer, Status, StopContainer, UpdateContainerResources,
};
use integration::cri::pods::{NEEDS, Pod, Pods};
use integration::cri::streams::Streams;
use integration::cri::{CONTAINER, EXITED, NODE, POD, RUNNING};
use integration::engine::{EATER, SERVICE, cpu_quota, lives, memory_limit, parent_of, scene};
use integration::runtime::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A container's resources.
fn with_resources(
    mut config: ContainerConfig,
    resources: LinuxContainerResources,
) -> ContainerConfig {
    config.linux.get_or_insert_default().resources = Some(resources);
    config
}

/// A container with something changed in its security context.
fn with_security(
    mut config: ContainerConfig,
    edit: impl FnOnce(&mut LinuxContainerSecurityContext),
) -> ContainerConfig {
    let linux: &mut LinuxContainerConfig = config.linux.get_or_insert_default();
    edit(linux.security_context.get_or_insert_default());
    config
}

/// A pod with whose namespaces are whose.
fn with_namespaces(mut config: PodSandboxConfig, namespaces: NamespaceOption) -> PodSandboxConfig {
    let linux = config.linux.get_or_insert_default();
    linux.security_context.get_or_insert_default().namespace_options = Some(namespaces);
    config
}

/// What a container with this security context writes.
#[track_caller]
fn secured(
    pod: &Pod<'_>,
    name: &str,
    script: &str,
    edit: impl FnOnce(&mut LinuxContainerSecurityContext),
) -> String {
    let (output, code) = pod.output(with_security(pod.container(name, script), edit));
    assert_eq!(code, 0, "{output}");
    output
}

fn namespace(pid: i32, kind: &str) -> String {
    let link = fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a namespace");
    link.display().to_string()
}

#[test]
fn a_pod_has_an_address_and_its_containers_a_life() {
    let Some(scene) = scene(&NEEDS) else { return };
    let pods = Pods::start(&scene);
    let conditions = pods.cri.call(Status {}).status.expect("a status").conditions;
    let ready = |kind| conditions.iter().any(|c| c.kind == kind && c.status);
    assert!(ready("RuntimeReady") && ready("NetworkReady"), "{conditions:?}");

    let port = PortMapping { container_port: 80, host_port: 8080 };
    let config = PodSandboxConfig { port_mappings: vec![port], ..pods.sandbox("web") };
    let pod = pods.pod(config);
    let request = PodSandboxStatus { pod_sandbox_id: pod.id.clone() };
    let status = pods.cri.call(request).status.expect("a status");
    let address = status.network.expect("a network").ip;
    assert!(status.state == 0 && address.starts_with("10.124.0."), "{address}");

    let serve = "mkdir /www; hostname >/www/index.html; echo up; exec httpd -f -p 80 -h /www";
    let server = pod.run(pod.container("server", serve));
    assert_eq!(pod.containers(), [(server.clone(), RUNNING)]);
    until("the server's log", || pod.log("server.log").contains("up"));
    let busybox = scene.dir().with_file_name("busybox").display().to_string();
    for url in [format!("http://{address}/"), "http://127.0.0.1:8080/".to_owned()] {
        let script = format!("until {busybox} wget -q -O - {url}; do sleep 0.1; done");
        assert_eq!(pods.inside("sh").args(["-c", &script]).run().ok().stdout, "web\n", "{url}");
    }
    let (output, code) =
        pod.output(pod.container("client", "wget -q -O - http://127.0.0.1/; exit 3"));
    assert_eq!((output.as_str(), code), ("web\n", 3), "containers of a pod share its network");

    pods.cri.call(StopContainer { container_id: server.clone(), timeout: 1 });
    let status = pod.status(&server);
    assert_eq!(
        (status.state, status.exit_code),
        (EXITED, 137),
        "its first process ignores SIGTERM"
    );
    pods.cri.call(RemoveContainer { container_id: server.clone() });
    assert!(pod.containers().iter().all(|(id, _)| *id != server));
    let made = pod.try_create(ContainerConfig {
        command: vec!["/no/such/program".to_owned()],
        ..pod.container("none", "")
    });
    let error = made.and_then(|id| {
        let started = pods.cri.try_call(StartContainer { container_id: id });
        started.map(|_| String::new())
    });
    let said = error.expect_err("a refusal");
    assert!(said.contains("no such file or directory"), "{said}");
}

#[test]
fn commands_are_executed_with_and_without_their_streams() {
    let Some(scene) = scene(&NEEDS) else { return };
    let pods = Pods::start(&scene);
    let pod = pods.pod(pods.sandbox("pod"));
    let id = pod.run(pod.container("one", SERVICE));
    let sync = |script: &str, timeout| {
        let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
        pods.cri.try_call(ExecSync { container_id: id.clone(), cmd, timeout })
    };
    let answer = sync("echo out; echo err >&2; exit 3", 30).expect("an answer");
    assert_eq!(answer.stdout, b"out\n");
    assert_eq!((answer.stderr.as_slice(), answer.exit_code), (&b"err\n"[..], 3));
    let error = sync("echo $$ >/pid; exec sleep 1000", 1).expect_err("a time-out");
    assert!(error.contains("timeout"), "{error}");
    assert_eq!(pod.exec(&id, "test ! -d /proc/$(cat /pid) && echo ended"), "ended\n");

    let exec = |script: &str, tty: bool| {
        let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
        let (container_id, stderr) = (id.clone(), !tty);
        let request = Exec { container_id, cmd, tty, stdin: true, stdout: true, stderr };
        let url = pods.cri.call(request).url;
        pods.in_network(|| Streams::open(&url))
    };
    let mut streams = exec("read line; echo got $line; echo err >&2; exit 4", false);
    streams.write("something\n");
    let (stdout, stderr, outcome) = streams.end();
    assert_eq!((stdout.as_str(), stderr.as_str()), ("got something\n", "err\n"));
    let code = &outcome["details"]["causes"][0]["message"];
    assert_eq!((outcome["status"].as_str(), code.as_str()), (Some("Failure"), Some("4")));

    let mut streams = exec("tty; read line; stty size; echo end", true);
    streams.expect("/dev/pts/");
    streams.resize(33, 99);
    streams.write("\n");
    let (stdout, _, outcome) = streams.end();
    assert!(stdout.contains("33 99"), "{stdout:?}");
    assert_eq!(outcome["status"], "Success");
}

#[test]
fn streams_of_a_container_are_attached_to() {
    let Some(scene) = scene(&NEEDS) else { return };
    let pods = Pods::start(&scene);
    let pod = pods.pod(pods.sandbox("pod"));
    let attach = |id: &str, tty: bool| {
        let container_id = id.to_owned();
        let request = Attach { container_id, stdin: true, tty, stdout: true, stderr: !tty };
        let url = pods.cri.call(request).url;
        pods.in_network(|| Streams::open(&url))
    };
    let script = "while read line; do echo got $line; done; exit 5";
    let config = ContainerConfig { stdin: true, stdin_once: true, ..pod.container("one", script) };
    let id = pod.run(config);
    let mut streams = attach(&id, false);
    streams.write("something\n");
    streams.expect("got something\n");
    drop(streams);
    assert_eq!(pod.ended(&id).exit_code, 5, "what is written is read to its end");

    let script = "tty; stty -echo; while read line; do stty size; done";
    let id = pod.run(ContainerConfig { stdin: true, tty: true, ..pod.container("two", script) });
    until("the terminal", || pod.log("two.log").contains("/dev/pts/0"));
    let mut streams = attach(&id, true);
    streams.resize(33, 99);
    until("the size", || {
        streams.write("\n");
        pod.log("two.log").contains("33 99")
    });
    streams.expect("33 99");
}

#[test]
fn limits_are_set_measured_and_updated() {
    let Some(scene) = scene(&NEEDS) else { return };
    let pods = Pods::start(&scene);
    let pod = pods.pod(pods.sandbox("pod"));
    let limits = |quota, mib: i64| LinuxContainerResources {
        cpu_period: 100_000,
        cpu_quota: quota,
        memory_limit_in_bytes: mib << 20,
        oom_score_adj: 500,
    };
    let id = pod.run(with_resources(pod.container("one", SERVICE), limits(50_000, 128)));
    let cgroup = format!("{}/pod/{id}", scene.cgroup());
    assert_eq!(memory_limit(&cgroup), (128 << 20).to_string());
    assert_eq!(cpu_quota(&cgroup), "50000");
    assert_eq!(pod.exec(&id, "cat /proc/1/oom_score_adj"), "500\n");

    let usage =
        || pods.cri.call(ContainerStats { container_id: id.clone() }).stats.expect("statistics");
    let used = || usage().cpu.and_then(|cpu| cpu.usage_core_nano_seconds).map_or(0, |v| v.value);
    until("some use of the processor", || used() > 0);
    let memory = usage().memory.and_then(|memory| memory.working_set_bytes);
    let memory = memory.expect("use of memory").value;
    assert!(memory > 0 && memory < 128 << 20, "{memory}");

    let linux = Some(limits(20_000, 64));
    pods.cri.call(UpdateContainerResources { container_id: id.clone(), linux });
    assert_eq!(
        (memory_limit(&cgroup), cpu_quota(&cgroup)),
        ((64 << 20).to_string(), "20000".into())
    );
    assert_eq!(pod.exec(&id, "echo x >/dev/null && echo devices work"), "devices work\n");

    let id = pod.run(with_resources(pod.container("eater", EATER), limits(0, 32)));
    pod.exec(&id, "touch /go");
    let status = pod.ended(&id);
    assert_eq!((status.reason.as_str(), status.exit_code), ("OOMKilled", 137));
}

#[test]
fn namespaces_are_the_pods_the_containers_or_the_hosts() {
    let Some(scene) = scene(&NEEDS) else { return };
    let pods = Pods::start(&scene);
    let host = std::process::id().try_into().expect("a pid");
    let run = |name: &str, namespaces: NamespaceOption| {
        // A pod in the host's network has the host's name.
        let hostname = if namespaces.network == NODE { "" } else { name }.to_owned();
        let config = PodSandboxConfig { hostname, ..pods.sandbox(name) };
        let pod = pods.pod(with_namespaces(config, namespaces));
        let pids = ["one", "two"].map(|name| pod.pid(&pod.run(pod.container(name, SERVICE))));
        (pod, pids)
    };
    let shared = NamespaceOption { network: POD, pid: POD, ipc: POD };
    let (pod, [one, two]) = run("shared", shared);
    for kind in ["net", "ipc", "uts", "pid"] {
        assert_eq!(namespace(one, kind), namespace(two, kind), "{kind}");
        assert_ne!(namespace(one, kind), namespace(host, kind), "{kind}");
    }
    assert_ne!(namespace(one, "mnt"), namespace(two, "mnt"));
    drop(pod);

    let (pod, [one, two]) =
        run("single", NamespaceOption { pid: CONTAINER, ..NamespaceOption::default() });
    assert_eq!(namespace(one, "ipc"), namespace(two, "ipc"));
    assert_ne!(namespace(one, "pid"), namespace(two, "pid"));
    drop(pod);

    let (pod, [one, _]) = run("hosts", NamespaceOption { network: NODE, pid: NODE, ipc: NODE });
    let space = pods.inside("readlink").arg("/proc/self/ns/net").run().ok().stdout;
    assert_eq!(format!("{}\n", namespace(one, "net")), space);
    for kind in ["ipc", "pid", "uts"] {
        assert_eq!(namespace(one, kind), namespace(host, kind), "{kind}");
    }
    assert_eq!(pod.containers().len(), 2);
}

#[test]
fn privileges_are_those_of_the_security_context() {
    let Some(scene) = scene(&NEEDS) else { return };
    let pods = Pods::start(&scene);
    let pod = pods.pod(pods.sandbox("pod"));
    let plain = Inside(secured(&pod, "plain", "cat /proc/self/status", |_| {}));
    assert_eq!((plain.field("Seccomp"), plain.field("NoNewPrivs")), ("0".into(), "0".into()));
    let capabilities =
        |inside: &Inside| u64::from_str_radix(&inside.field("CapEff"), 16).expect("hex");
    let (net_admin, chown) = (1 << 12, 1);
    assert_eq!(capabilities(&plain) & (net_admin | chown), chown);

    let seen = Inside(secured(&pod, "context", "cat /proc/self/status; id -G", |security| {
        let capability = Capability {
            add_capabilities: vec!["NET_ADMIN".to_owned()],
            drop_capabilities: vec!["CHOWN".to_owned()],
        };
        security.capabilities = Some(capability);
        security.no_new_privs = true;
        security.seccomp = Some(SecurityProfile::default());
        security.supplemental_groups = vec![33, 44];
    }));
    assert_eq!(capabilities(&seen) & (net_admin | chown), net_admin);
    assert_eq!((seen.field("Seccomp"), seen.field("NoNewPrivs")), ("2".into(), "1".into()));
    assert!(seen.0.ends_with("0 33 44\n"), "{}", seen.0);

    let script = "id -u; id -g; touch /x 2>&1; cat /proc/cpuinfo | wc -c; echo 1 2>&1 >/proc/sys/vm/swappiness";
    let seen = secured(&pod, "user", &format!("{script}; true"), |security| {
        security.run_as_user = Some(Int64Value { value: 7 });
        security.run_as_group = Some(Int64Value { value: 8 });
        security.readonly_rootfs = true;
        security.masked_paths = vec!["/proc/cpuinfo".to_owned()];
        security.readonly_paths = vec!["/proc/sys".to_owned()];
    });
    assert!(seen.starts_with("7\n8\ntouch: /x: Read-only file system\n0\n"), "{seen}");
    assert!(seen.contains("swappiness: Read-only file system"), "{seen}");

    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"],
        "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}"#;
    write(&scene.dir().join("profile.json"), profile.as_bytes());
    let seen = secured(&pod, "localhost", "mkdir /new 2>&1; true", |security| {
        let localhost_ref = format!("localhost/{}", scene.dir().join("profile.json").display());
        security.seccomp = Some(SecurityProfile { profile_type: 2, localhost_ref });
    });
    assert!(seen.contains("not supported"), "{seen}");
}

/// A file system that is mounted on the host while a container runs.
const MOUNTED: &str = "mount -t tmpfs none \"$0/later\" && echo new >\"$0/later/file\"";

#[test]
fn devices_mounts_and_settings_are_those_that_are_told() {
    let Some(scene) = scene(&NEEDS) else { return };
    let pods = Pods::start(&scene);
    let mut config = pods.sandbox("pod");
    let sysctls = [("kernel.shm_rmid_forced", "1"), ("net.ipv4.ip_unprivileged_port_start", "7")];
    let sysctls = sysctls.map(|(name, value)| (name.to_owned(), value.to_owned()));
    config.linux.get_or_insert_default().sysctls = HashMap::from(sysctls);
    let pod = pods.pod(config);
    let shared = pods.path("shared");
    fs::create_dir_all(Path::new(&shared).join("later")).expect("mkdir");
    // Mounts reach a container from a mount that is shared.
    pods.inside("mount").args(["--bind", &shared, &shared]).run().ok();
    pods.inside("mount").args(["--make-shared", &shared]).run().ok();
    let mount = |container_path: &str, readonly, propagation| {
        let (container_path, host_path) = (container_path.to_owned(), shared.clone());
        Mount { container_path, host_path, readonly, propagation }
    };
    let device = Device {
        container_path: "/dev/other-null".to_owned(),
        host_path: "/dev/null".to_owned(),
        permissions: "rw".to_owned(),
    };
    let config = ContainerConfig {
        mounts: vec![
            mount("/slave", false, 1),
            mount("/read-only", true, 0),
            mount("/peer", false, 2),
        ],
        devices: vec![device],
        ..pod.container("one", SERVICE)
    };
    let id = pod.run(config);
    pods.inside("sh").args(["-c", MOUNTED, &shared]).run().ok();
    assert_eq!(pod.exec(&id, "cat /slave/later/file /peer/later/file"), "new\nnew\n");
    assert_eq!(pod.exec(&id, "ls /read-only/later"), "", "it is private");
    assert_eq!(pod.exec(&id, "touch /read-only/x 2>/dev/null || echo refused"), "refused\n");
    assert_eq!(pod.exec(&id, "echo x >/dev/other-null && echo works"), "works\n");
    let script =
        "cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_unprivileged_port_start";
    assert_eq!(pod.exec(&id, script), "1\n7\n");
    pods.inside("umount").arg(format!("{shared}/later")).run().ok();
    assert_eq!(pod.exec(&id, "ls /slave/later /peer/later"), "/peer/later:\n\n/slave/later:\n");
    drop(pod);

    let mut config = pods.sandbox("privileged");
    config.linux.get_or_insert_default().security_context.get_or_insert_default().privileged = true;
    let pod = pods.pod(config);
    let config =
        with_security(pod.container("two", SERVICE), |security| security.privileged = true);
    let id = pod.run(config);
    let seen = pod.exec(
        &id,
        "mount -t tmpfs none /mnt 2>&1 || mkdir /mnt && mount -t tmpfs none /mnt; ls /dev/kmsg",
    );
    assert_eq!(seen.lines().last(), Some("/dev/kmsg"), "{seen}");
}

#[test]
fn pods_outlive_a_crash_of_containerd_and_no_shim_is_missed() {
    let Some(scene) = scene(&NEEDS) else { return };
    let mut pods = Pods::start(&scene);
    let id = {
        let pod = std::mem::ManuallyDrop::new(pods.pod(pods.sandbox("pod")));
        pod.run(pod.container("one", SERVICE));
        pod.id.clone()
    };
    pods.crash();
    pods.serve();
    let pod = pods.adopt("pod", id);
    let [(one, RUNNING)] = &pod.containers()[..] else { panic!("{:?}", pod.containers()) };
    assert_eq!(pod.exec(one, "echo inside"), "inside\n");

    // All of a pod have one shim: if it is killed, so are they.
    let pid = pod.pid(one);
    kill(Pid::from_raw(parent_of(pid).expect("a shim")), Signal::SIGKILL).expect("kill");
    until("the end of the container", || !lives(pid));
    assert_eq!(pod.ended(one).exit_code, 255);
    let left = || fs::read_dir(pods.path("runtime-root/k8s.io")).map_or(0, Iterator::count);
    until("the removal of the containers", || left() == 0);
}
