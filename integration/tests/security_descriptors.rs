//! Descriptors, directories and environment that must not reach a container.

use std::fs;

use integration::race::Canary;
use integration::{Bundle, Need, Outcome, Scene};

/// Shell redirections that leave descriptors 3 to 20 open on directories of the host.
fn leaks(scene: &Scene) -> String {
    let dirs = ["/", "/etc", "/proc", "/sys/fs/cgroup", scene.dir().to_str().expect("UTF-8")];
    let words: Vec<String> = (3..=20).map(|n| format!("{n}<{}", dirs[n % dirs.len()])).collect();
    words.join(" ")
}

fn run_leaking(scene: &Scene, options: &[&str], bundle: &Bundle) -> Outcome {
    let call = scene.verb("run", options, bundle, &scene.id());
    call.with_descriptors(&leaks(scene)).run()
}

#[test]
fn a_container_gets_no_descriptor_of_the_caller_but_stdio() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let bundle = scene.bundle().sh("cd /proc/self/fd && for f in *; do readlink $f; done; true");
    let outcome = run_leaking(&scene, &[], &bundle).ok();
    for line in outcome.stdout.lines() {
        let stdio = line.starts_with("pipe:") || line == "/dev/null" || line.contains("/out/");
        assert!(stdio || line.starts_with("/proc/"), "{line} leaked: {outcome:?}");
    }
    let bundle = scene
        .bundle()
        .sh("for n in 3 4 5 6 7 8 9; do [ -e /proc/1/fd/$n ] && echo $n; done; echo end");
    assert_eq!(run_leaking(&scene, &[], &bundle).ok().stdout, "end\n");
}

#[test]
fn exactly_as_many_descriptors_are_preserved_as_was_asked() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let script = "for n in 3 4 5 6 7 8; do [ -e /proc/1/fd/$n ] && echo $n; done; cat <&3";
    let bundle = scene.bundle().sh(script);
    let file = scene.dir().join("given");
    integration::bundle::write(&file, b"given\n");
    let call = scene.verb("run", &["--preserve-fds=2"], &bundle, &scene.id());
    let redirections = format!("3<{} 4</dev/null 5</etc 6</", file.display());
    let outcome = call.with_descriptors(&redirections).run().ok();
    assert_eq!(outcome.stdout, "3\n4\ngiven\n");
}

#[test]
fn descriptors_for_socket_activation_are_preserved_and_told() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let bundle =
        scene.bundle().sh("echo $LISTEN_FDS $LISTEN_PID; cat <&3; cat <&4; ls /proc/1/fd; true");
    let file = scene.dir().join("given");
    integration::bundle::write(&file, b"given\n");
    let redirections = format!("3<{0} 4<{0} 5</etc && export LISTEN_PID=$$", file.display());
    let call = scene.verb("run", &[], &bundle, &scene.id()).env("LISTEN_FDS", "2");
    let outcome = call.with_descriptors(&redirections).run().ok();
    let expected = "2 1\ngiven\ngiven\n0\n1\n2\n3\n4\n";
    assert_eq!(outcome.stdout, expected);
}

// CVE-2024-21626
#[test]
fn a_working_directory_behind_a_descriptor_is_refused() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let canary = Canary::plant(scene.directory("canary"));
    for number in 3..=20 {
        for tail in ["", "/", "/../"] {
            let cwd = format!("/proc/self/fd/{number}{tail}");
            let bundle = scene.bundle().set("/process/cwd", cwd).sh("cat secret; ls; pwd");
            run_leaking(&scene, &[], &bundle).refused();
        }
    }
    canary.assert_untouched();
}

#[test]
fn a_working_directory_that_is_a_link_to_a_descriptor_is_refused() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    for number in [3, 7, 12, 20] {
        let bundle = scene.bundle().set("/process/cwd", "/work").sh("ls; pwd");
        bundle.link("work", format!("/proc/self/fd/{number}"));
        run_leaking(&scene, &[], &bundle).refused();
    }
}

#[test]
fn a_program_behind_a_descriptor_is_refused() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    for number in 3..=20 {
        let program = format!("/proc/self/fd/{number}/../../../../bin/bash");
        let bundle = scene.bundle().args([program.as_str(), "-c", "echo escaped"]);
        let outcome = run_leaking(&scene, &[], &bundle);
        assert!(!outcome.stdout.contains("escaped"), "{outcome:?}");
    }
}

#[test]
fn a_created_container_holds_no_descriptor_of_the_host_but_what_it_will_run_with() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    use std::os::unix::fs::MetadataExt;
    let id = scene.id();
    let bundle = scene.bundle().sleeping();
    let root = fs::metadata(bundle.rootfs()).expect("metadata");
    // The devices of everything the host has mounted.
    let table = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    let devices: Vec<u64> =
        points.filter_map(|point| Some(fs::metadata(point).ok()?.dev())).collect();
    let call = scene.verb("create", &[], &bundle, &id);
    call.with_descriptors(&leaks(&scene)).run().ok();
    let state = scene.keel(["state", &id]).run().ok().stdout;
    let state: serde_json::Value = serde_json::from_str(&state).expect("JSON");
    for entry in fs::read_dir(format!("/proc/{}/fd", state["pid"])).expect("fd").flatten() {
        let target = fs::read_link(entry.path()).unwrap_or_default();
        let Ok(meta) = fs::metadata(entry.path()) else { continue };
        let own = (meta.dev(), meta.ino()) == (root.dev(), root.ino());
        let host = meta.is_dir() && devices.contains(&meta.dev());
        assert!(!host || own, "a directory of the host is open: {}", target.display());
    }
    scene.keel(["start", &id]).run().ok();
    scene.keel(["delete", "--force", &id]).run().ok();
}

#[test]
fn the_callers_environment_does_not_reach_the_container() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().args(["/bin/env"]);
    let call = scene.verb("run", &[], &bundle, &scene.id()).env("SECRET", "of-the-host");
    let outcome = call.run().ok();
    let mut names: Vec<_> = outcome.stdout.lines().filter_map(|l| l.split('=').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["HOME", "PATH", "TERM"]);
}

#[test]
fn the_callers_groups_do_not_reach_the_container() {
    let Some(scene) = Scene::needing(&[Need::Program("setpriv")]) else { return };
    let bundle = scene.bundle().sh("id -G; grep Groups /proc/self/status");
    let call = scene.verb("run", &[], &bundle, &scene.id());
    let outcome = call.under(["setpriv", "--groups", "0,44,100"]).run().ok();
    assert!(outcome.stdout.starts_with("0\n"), "{outcome:?}");
    assert!(!outcome.stdout.contains("44"), "{outcome:?}");
}

#[test]
fn the_callers_signal_mask_and_ignored_signals_do_not_reach_the_container() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().args(["/bin/cat", "/proc/self/status"]);
    let call = scene.verb("run", &[], &bundle, &scene.id());
    let script = "trap '' HUP USR1 PIPE; exec \"$0\" \"$@\"";
    let inside = integration::Inside(call.under(["sh", "-c", script]).run().ok().stdout);
    assert_eq!(inside.field("SigBlk"), "0000000000000000");
}

#[test]
fn a_container_has_a_session_keyring_of_its_own_unless_told_otherwise() {
    let Some(scene) = Scene::needing(&[Need::Path("/proc/keys")]) else { return };
    let masked = serde_json::json!([]);
    let bundle = scene.bundle().set("/linux/maskedPaths", masked).sh("cat /proc/keys");
    for (options, own) in [(&[][..], true), (&["--no-new-keyring"], false)] {
        let id = scene.id();
        let keys = scene.verb("run", options, &bundle, &id).run().ok().stdout;
        assert_eq!(keys.contains(&format!("_ses.{id}")), own, "{keys}");
    }
}

// CVE-2020-15257: such sockets can be reached by every container in the host's network namespace.
#[test]
fn no_abstract_socket_is_opened() {
    let Some(scene) = Scene::begin() else { return };
    let sockets = || {
        let table = fs::read_to_string("/proc/net/unix").expect("sockets");
        table.lines().filter(|line| line.contains(" @")).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = sockets();
    let container = scene.create(&scene.bundle().sleeping());
    let created = sockets();
    container.start();
    let running = sockets();
    container.end();
    assert_eq!((&created, &running), (&before, &before));
}
