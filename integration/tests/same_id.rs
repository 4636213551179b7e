//! Several commands for one id at the same time: none may act on what it read before another
//! changed it, take another's directory for its own, or leave anything behind.

use std::time::{Duration, Instant};

use integration::runtime::Invocation;

use integration::{Bundle, Need, Scene};

/// Runs a command whose first call of a system call is held up for a second and a half.
fn delayed(call: Invocation, name: &str) -> Invocation {
    let (trace, inject) =
        (format!("trace={name}"), format!("inject={name}:delay_enter=1500000:when=1"));
    call.under(["strace", "-f", "-o", "/dev/null", "-e", &trace, "-e", &inject])
}

fn bundle(scene: &Scene) -> Bundle {
    scene.bundle().sleeping()
}

#[test]
fn a_delete_that_waited_does_not_remove_a_later_container() {
    let Some(scene) = Scene::needing(&[Need::Program("strace")]) else { return };
    let before = scene.snapshot();
    let (bundle, id) = (bundle(&scene), scene.id());
    scene.verb("create", &[], &bundle, &id).run().ok();
    scene.keel(["kill", &id, "KILL"]).run().ok();
    integration::runtime::until("it is stopped", || {
        scene.keel(["state", &id]).run().stdout.contains("\"stopped\"")
    });
    let stale = delayed(scene.keel(["delete", &id]), "flock").spawn();
    std::thread::sleep(Duration::from_millis(500));
    scene.keel(["delete", &id]).run().ok();
    scene.verb("create", &[], &bundle, &id).run().ok();
    scene.keel(["start", &id]).run().ok();
    stale.wait().refused();
    assert!(scene.keel(["state", &id]).run().ok().stdout.contains("\"running\""));
    scene.keel(["delete", "--force", &id]).run().ok();
    before.assert_same();
}

#[test]
fn a_create_that_lost_the_id_touches_nothing_of_the_winner() {
    let Some(scene) = Scene::needing(&[Need::Program("strace")]) else { return };
    let before = scene.snapshot();
    let (bundle, id) = (bundle(&scene), scene.id());
    let loser = delayed(scene.verb("create", &[], &bundle, &id), "renameat2").spawn();
    std::thread::sleep(Duration::from_millis(500));
    scene.verb("create", &[], &bundle, &id).run().ok();
    loser.wait().refused();
    assert!(scene.keel(["state", &id]).run().ok().stdout.contains("\"created\""));
    scene.keel(["delete", "--force", &id]).run().ok();
    before.assert_same();
}

#[test]
fn commands_at_random_on_one_id_leave_nothing() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let (bundle, id) = (bundle(&scene), scene.id());
    let end = Instant::now() + Duration::from_secs(6);
    std::thread::scope(|threads| {
        for seed in 1..=6_u32 {
            let (scene, bundle, id) = (&scene, &bundle, &id);
            threads.spawn(move || {
                let mut random = seed.wrapping_mul(2_654_435_761);
                while Instant::now() < end {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let call = match random >> 29 {
                        0 | 1 => scene.verb("create", &[], bundle, id),
                        2 => scene.keel(["start", id]),
                        3 => scene.keel(["kill", id, "KILL"]),
                        4 => scene.keel(["delete", id]),
                        5 => scene.keel(["state", id]),
                        6 => scene.keel(["list"]),
                        _ => scene.keel(["delete", "--force", id]),
                    };
                    let outcome = call.run();
                    assert!(outcome.code().is_some(), "it died of a signal: {outcome:?}");
                    assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
                }
            });
        }
    });
    scene.keel(["delete", "--force", &id]).run().ok();
    before.assert_same();
}

#[test]
fn a_runtime_killed_in_a_hook_leaves_nothing_even_without_cgroups() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let id = scene.id();
    let bundle = bundle(&scene)
        .hook("createContainer", "echo here >&2; sleep 300")
        .without_mount("/sys/fs/cgroup")
        .unset("/linux/cgroupsPath")
        .unset("/linux/resources");
    let dir = bundle.dir().display().to_string();
    bundle.save();
    let words = ["--cgroup-manager", "disabled", "create", "--bundle", &dir, &id];
    let create = scene.keel(words).spawn();
    std::thread::sleep(Duration::from_millis(400));
    create.signal(nix::sys::signal::Signal::SIGKILL);
    create.wait();
    scene.keel(["delete", "--force", &id]).run().ok();
    before.assert_same();
}

#[test]
fn hooks_and_exit_codes_are_right_when_the_caller_ignores_sigchld() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let bundle =
        scene.bundle().hook("createRuntime", "true").hook("createContainer", "true").sh("exit 7");
    let call = scene.verb("run", &[], &bundle, &scene.id());
    call.under(["bash", "-c", "trap '' CHLD; exec \"$0\" \"$@\""]).run().exits(7);
}

#[test]
fn names_and_parameters_of_the_hosts_namespaces_are_not_set_through_their_paths() {
    let Some(scene) = Scene::begin() else { return };
    let (net, uts) = ("/proc/self/ns/net", "/proc/self/ns/uts");
    let name = nix::sys::utsname::uname().expect("uname").nodename().to_owned();
    scene.refused(&scene.bundle().namespace("uts", Some(uts)).set("/hostname", "taken"));
    let parameter = "/linux/sysctl/net.ipv4.ip_default_ttl";
    scene.refused(&scene.bundle().namespace("network", Some(net)).set(parameter, "63"));
    assert_eq!(nix::sys::utsname::uname().expect("uname").nodename(), name);
}
