//! Podman as root with the runtime under test: containers and pods without a network.

use std::fs;
use std::os::unix::fs::MetadataExt;

use integration::bundle::write;
use integration::cgroups::Layout;
use integration::docker_like::{DockerLike, four};
use integration::engine::{
    CATATONIT, EATER, IMAGE, SERVICE, cpu_quota, memory_limit, on_a_terminal, pids_limit, scene,
};
use integration::podman::Podman;
use integration::runtime::until;
use integration::{Inside, Need, debian};

/// It limits the processes of each container.
const NEEDS: [Need; 3] =
    [Need::Program("podman"), Need::Program("conmon"), Need::Controller("pids")];

/// On cgroup v2, Podman 4.3 with the `cgroupfs` manager forbids a pod every device.
const POD: [Need; 2] = [CATATONIT, Need::CgroupV1];

#[test]
fn containers_run_with_and_without_a_terminal_and_their_exit_codes_are_told() {
    let Some(scene) = scene(&NEEDS) else { return };
    let podman = Podman::new(&scene);
    let outcome = podman.run(&["--rm"], &["sh", "-c", "echo hi; id -u; exit 7"]).run().exits(7);
    assert_eq!(outcome.stdout, "hi\n0\n");
    podman.run(&["--rm"], &["/no/such/program"]).run().exits(127);
    podman.run(&["--rm"], &["/etc/passwd"]).run().exits(126);
    let script = "tty; stty size; echo terminal-end";
    let seen = on_a_terminal(podman.run(&["--rm", "-it"], &["sh", "-c", script]));
    assert!(seen.contains("/dev/pts/0"), "{seen}");
    assert_eq!(podman.output(&["--preserve-fds", "0", "--umask", "0027"], "umask"), "0027\n");
}

#[test]
fn a_service_is_entered_checked_paused_stopped_restarted_and_killed() {
    let Some(scene) = scene(&NEEDS) else { return };
    let podman = Podman::new(&scene);
    podman.serve("one", &["--health-cmd", "test -e /tmp/well", "--health-interval", "disable"]);
    let outcome = podman.exec(&["--user", "7", "one", "sh", "-c", "id -u; exit 3"]).run().exits(3);
    assert_eq!(outcome.stdout, "7\n");
    podman.exec(&["one", "/no/such/program"]).run().exits(127);
    let seen = on_a_terminal(podman.exec(&["-it", "one", "sh", "-c", "tty; echo terminal-end"]));
    assert!(seen.contains("/dev/pts/"), "{seen}");
    assert!(podman.call(&["top", "one", "hpid", "args"]).run().ok().stdout.contains("sleep 0.1"));

    podman.call(&["healthcheck", "run", "one"]).run().exits(1);
    podman.exec(&["one", "touch", "/tmp/well"]).run().ok();
    podman.call(&["healthcheck", "run", "one"]).run().ok();

    podman.call(&["pause", "one"]).run().ok();
    assert_eq!(podman.inspect("one", "State.Status"), "paused");
    podman.exec(&["one", "true"]).run().refused();
    podman.call(&["unpause", "one"]).run().ok();
    assert_eq!(podman.inspect("one", "State.Status"), "running");

    podman.call(&["restart", "--time", "20", "one"]).run().ok();
    until("the second life's output", || podman.call(&["logs", "one"]).run().stdout == "up\nup\n");
    podman.call(&["kill", "one"]).run().ok();
    assert_eq!(podman.call(&["wait", "one"]).run().ok().stdout, "137\n");
    podman.call(&["start", "one"]).run().ok();
    until("the third life's output", || {
        podman.call(&["logs", "one"]).run().stdout == "up\nup\nup\n"
    });
    podman.stop("one");
}

#[test]
fn limits_are_set_measured_and_updated() {
    let controllers = ["memory", "cpu", "pids"].map(Need::Controller);
    let Some(scene) = scene(&[&NEEDS[..], &controllers].concat()) else { return };
    let podman = Podman::new(&scene);
    podman.serve("one", &["--memory", "64m", "--cpus", "0.5", "--pids-limit", "50"]);
    let cgroup = podman.cgroup("one");
    let seen = || [memory_limit(&cgroup), cpu_quota(&cgroup), pids_limit(&cgroup)];
    assert_eq!(seen(), ["67108864", "50000", "50"]);
    let format = "{{.PIDs}} {{.MemUsage}}";
    let stats = podman.call(&["stats", "--no-stream", "--format", format, "one"]).run().ok().stdout;
    assert!(stats.starts_with(['1', '2']) && stats.ends_with("/ 67.11MB\n"), "{stats}");
    podman.call(&["update", "--memory", "32m", "--cpus", "0.3", "one"]).run().ok();
    assert_eq!(seen(), ["33554432", "30000", "50"]);
    podman.exec(&["one", "true"]).run().ok();
    podman.stop("one");

    let limits = ["--detach", "--name", "two", "--memory", "16m", "--memory-swap", "16m"];
    podman.run(&limits, &["sh", "-c", EATER]).run().ok();
    podman.exec(&["two", "touch", "/go"]).run().ok();
    assert_eq!(podman.call(&["wait", "two"]).run().ok().stdout, "137\n");
    podman.call(&["rm", "two"]).run().ok();
}

#[test]
fn volumes_and_read_only_roots_hold_what_they_should() {
    let Some(scene) = scene(&NEEDS) else { return };
    Podman::new(&scene).check_volumes();
}

#[test]
fn a_web_server_and_a_database_do_their_work() {
    let Some((scene, image)) = debian::scene(&NEEDS) else { return };
    let podman = Podman::new(&scene);
    podman.call(&["load", "--quiet", "--input"]).arg(image).run().ok();
    podman.check_web_server();
    podman.check_database();
}

#[test]
fn privileges_are_those_that_podman_is_told() {
    let Some(scene) = scene(&NEEDS) else { return };
    let podman = Podman::new(&scene);
    let inside = |options: &[&str]| Inside(podman.output(options, "cat /proc/self/status"));
    podman.check_privileges();
    let added = inside(&["--user", "1000", "--cap-drop", "ALL", "--cap-add", "CHOWN"]);
    assert_eq!(added.field("CapAmb"), "0000000000000001");
}

#[test]
fn root_of_a_container_can_be_nobody_outside() {
    let Some(scene) = scene(&NEEDS) else { return };
    let podman = Podman::new(&scene);
    let map = ["--uidmap", "0:200000:65536", "--gidmap", "0:200000:65536"];
    let words =
        |seen: String| -> Vec<String> { seen.split_whitespace().map(str::to_owned).collect() };
    let seen = podman.output(&map, "id -u; cat /proc/self/uid_map");
    assert_eq!(words(seen), ["0", "0", "200000", "65536"]);
    podman.serve("one", &[&map[..], &["--volume", "named:/data:U"]].concat());
    podman.exec(&["one", "touch", "/data/file"]).run().ok();
    let pid = podman.inspect("one", "State.Pid");
    assert_eq!(fs::metadata(format!("/proc/{pid}")).expect("the process").uid(), 200_000);
    let file = scene.dir().join("root/volumes/named/_data/file");
    assert_eq!(fs::metadata(&file).expect("the file").uid(), 200_000);
    podman.stop("one");

    // The ids are taken from /etc/subuid; podman sees another one than the machine.
    let ids = scene.dir().join("ids");
    write(&ids, b"containers:300000:131072\n");
    let script =
        "mount --bind \"$0\" /etc/subuid && mount --bind \"$0\" /etc/subgid && exec \"$@\"";
    let ids = ids.display().to_string();
    let call = podman.run(&["--rm", "--userns", "auto:size=4096"], &["cat", "/proc/self/uid_map"]);
    let seen = call.under(["unshare", "--mount", "sh", "-c", script, &ids]).run().ok().stdout;
    assert_eq!(words(seen), ["0", "300000", "4096"]);
}

#[test]
fn an_init_collects_the_dead() {
    let Some(scene) = scene(&[&NEEDS[..], &[CATATONIT]].concat()) else { return };
    let podman = Podman::new(&scene);
    assert_eq!(podman.output(&["--init"], "cat /proc/1/comm"), "podman-init\n");
}

#[test]
fn containers_of_a_pod_share_what_the_pod_shares() {
    let Some(scene) = scene(&[&NEEDS[..], &POD].concat()) else { return };
    let podman = Podman::new(&scene);
    let create =
        ["pod", "create", "--name", "pod", "--network", "none", "--share", "net,ipc,uts,pid"];
    podman.call(&create).args(["--cgroup-parent", &scene.cgroup()]).run().ok();
    for name in ["one", "two"] {
        let run = ["run", "--detach", "--pod", "pod", "--name", name, IMAGE, "sh", "-c", SERVICE];
        podman.call(&run).run().ok();
        until("the container's output", || {
            podman.call(&["logs", name]).run().stdout.contains("up")
        });
    }
    let spaces = |name: &str| {
        let links = "for n in net ipc uts pid mnt; do readlink /proc/self/ns/$n; done";
        let seen = podman.exec(&[name, "sh", "-c", links]).run().ok().stdout;
        seen.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (one, two) = (spaces("one"), spaces("two"));
    assert_eq!(one[..4], two[..4]);
    assert_ne!(one[4], two[4]);
    let list = podman.exec(&["one", "ps"]).run().ok().stdout;
    assert!(list.contains("catatonit") && list.matches("trap").count() >= 2, "{list}");

    for (verb, status) in [("pause", "Paused"), ("unpause", "Running")] {
        podman.call(&["pod", verb, "pod"]).run().ok();
        let format = ["pod", "inspect", "--format", "{{.State}}", "pod"];
        assert_eq!(podman.call(&format).run().ok().stdout.trim_end(), status);
    }
    // With the pod's first process all others end, so the question is about one alone.
    podman.stop("one");
    podman.call(&["pod", "stop", "--time", "20", "pod"]).run().ok();
    podman.call(&["pod", "rm", "pod"]).run().ok();
    let left = podman.call(&["ps", "--all", "--quiet"]).run().ok().stdout;
    assert_eq!(left, "");
}

#[test]
fn a_pod_of_kubernetes_is_played() {
    let controllers = ["memory", "cpu"].map(Need::Controller);
    let needs = [&NEEDS[..], &POD, &controllers].concat();
    let Some(scene) = scene(&needs) else { return };
    let podman = Podman::new(&scene);
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: pod}}\nspec:\n  containers:\n  - name: one\n    \
         image: {IMAGE}\n    imagePullPolicy: Never\n    command: [sh, -c, \"{SERVICE}\"]\n    \
         resources: {{limits: {{memory: 64Mi, cpu: \"0.5\"}}}}\n    securityContext: \
         {{readOnlyRootFilesystem: true, runAsUser: 7, capabilities: {{drop: [ALL]}}}}\n"
    );
    let file = scene.dir().join("pod.yaml");
    write(&file, pod.as_bytes());
    let file = file.display().to_string();
    podman.call(&["play", "kube", "--network", "none", &file]).run().ok();
    until("the container's output", || {
        podman.call(&["logs", "pod-one"]).run().stdout.contains("up")
    });
    let pid = podman.inspect("pod-one", "State.Pid");
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroups");
    let line = table.lines().find(|line| line.contains("memory")).or(table.lines().next());
    let cgroup = line.and_then(|line| line.rsplit(':').next()).expect("a cgroup");
    assert_eq!((memory_limit(cgroup), cpu_quota(cgroup)), ("67108864".into(), "50000".into()));
    let inside = Inside(podman.exec(&["pod-one", "cat", "/proc/self/status"]).run().ok().stdout);
    assert_eq!((inside.field("Uid"), inside.field("CapBnd")), (four("7"), "0".repeat(16)));
    let outcome = podman.exec(&["pod-one", "touch", "/x"]).run().exits(1);
    assert!(outcome.stderr.contains("Read-only file system"), "{outcome:?}");
    podman.call(&["play", "kube", "--down", &file]).run().ok();
    assert_eq!(podman.call(&["ps", "--all", "--quiet"]).run().ok().stdout, "");
    let layout = Layout::here();
    let left = layout.dir("memory", cgroup);
    assert!(fs::metadata(&left).is_err(), "{} is left", left.display());
    // Such a pod cannot be told its parent cgroup, and podman leaves it where it knows no
    // controller. The usual parent stays if others use it.
    layout.remove(cgroup.split('/').nth(2).expect("the pod's cgroup"));
    for top in layout.hierarchies() {
        let _ = fs::remove_dir(top.join("libpod_parent/conmon"));
        let _ = fs::remove_dir(top.join("libpod_parent"));
    }
}
