//! Podman as root with the runtime under test, and cgroups that systemd makes.
//!
//! systemd must be the first process, so these run in the machine (`integration/machine`).

use integration::cgroups::Layout;
use integration::docker_like::DockerLike;
use integration::engine::{CATATONIT, IMAGE, SERVICE, cpu_quota, memory_limit, pids_limit};
use integration::podman::Podman;
use integration::runtime::until;
use integration::{Need, Scene};

fn scene(needs: &[Need]) -> Option<Scene> {
    let controllers = ["memory", "cpu", "pids"].map(Need::Controller);
    let programs = ["podman", "conmon", "systemctl"].map(Need::Program);
    Scene::needing(&[&programs[..], &controllers, &[Need::Systemd], needs].concat())
}

/// A property of a unit.
#[track_caller]
fn property(scene: &Scene, unit: &str, name: &str) -> String {
    let call = scene.call("systemctl").args(["show", "--value", "--property", name, unit]);
    call.run().ok().stdout.trim_end().to_owned()
}

#[test]
fn a_container_is_a_scope_with_limits_that_are_measured_and_updated() {
    let Some(scene) = scene(&[]) else { return };
    let podman = Podman::with_systemd(&scene);
    podman.serve("one", &["--memory", "64m", "--cpus", "0.5", "--pids-limit", "50"]);
    let cgroup = podman.cgroup("one");
    let unit = cgroup.rsplit('/').next().expect("a name");
    let seen = || [memory_limit(&cgroup), cpu_quota(&cgroup), pids_limit(&cgroup)];
    let told =
        || ["MemoryMax", "CPUQuotaPerSecUSec", "TasksMax"].map(|name| property(&scene, unit, name));
    assert_eq!(seen(), ["67108864", "50000", "50"]);
    assert_eq!(told(), ["67108864", "500ms", "50"]);
    let pid = podman.inspect("one", "State.Pid");
    let procs = Layout::here().read("pids", &cgroup, "cgroup.procs");
    assert!(procs.lines().any(|line| line == pid), "{procs}");

    let script = "cat /proc/self/cgroup; exit 3";
    assert_eq!(podman.exec(&["one", "sh", "-c", script]).run().exits(3).stdout, "0::/\n");
    let stats = ["stats", "--no-stream", "--format", "{{.MemUsage}}", "one"];
    let stats = podman.call(&stats).run().ok().stdout;
    assert!(stats.ends_with("/ 67.11MB\n"), "{stats}");
    podman.call(&["update", "--memory", "32m", "--cpus", "0.3", "one"]).run().ok();
    assert_eq!(seen(), ["33554432", "30000", "50"]);
    assert_eq!(told(), ["33554432", "300ms", "50"]);

    podman.call(&["pause", "one"]).run().ok();
    assert_eq!(podman.inspect("one", "State.Status"), "paused");
    podman.call(&["unpause", "one"]).run().ok();
    podman.stop("one");
    until("the end of the scope", || property(&scene, unit, "LoadState") == "not-found");
}

#[test]
fn containers_of_a_pod_are_scopes_in_its_slice() {
    let Some(scene) = scene(&[CATATONIT]) else { return };
    let podman = Podman::with_systemd(&scene);
    podman.call(&["pod", "create", "--name", "pod", "--network", "none"]).run().ok();
    let run = ["run", "--detach", "--pod", "pod", "--name", "one", IMAGE, "sh", "-c", SERVICE];
    podman.call(&run).run().ok();
    let (pod, id) = (podman.inspect("one", "Pod"), podman.inspect("one", "Id"));
    let slice = format!("machine-libpod_pod_{pod}.slice");
    let unit = format!("libpod-{id}.scope");
    assert_eq!(property(&scene, &unit, "Slice"), slice);
    let pid = podman.inspect("one", "State.Pid");
    let cgroup = format!("/machine.slice/{slice}/{unit}");
    assert_eq!(Layout::here().read("pids", &cgroup, "cgroup.procs").lines().next(), Some(&*pid));
    podman.call(&["pod", "rm", "--force", "--time", "0", "pod"]).run().ok();
    until("the end of the scope", || property(&scene, &unit, "LoadState") == "not-found");
}
