//! The process: what is run, where, as whom, and with which limits and rights.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use integration::{Bundle, Inside, Scene};
use serde_json::json;

/// The status file of a container's process.
fn status(scene: &Scene, bundle: Bundle) -> Inside {
    Inside(scene.output(&bundle.args(["/bin/cat", "/proc/self/status"])))
}

/// A capability set as the status file prints it.
fn mask(numbers: &[u32]) -> String {
    format!("{:016x}", numbers.iter().fold(0_u64, |mask, bit| mask | 1 << bit))
}

#[test]
fn a_program_is_looked_up_in_the_path_of_the_container() {
    let Some(scene) = Scene::begin() else { return };
    assert_eq!(scene.output(&scene.bundle().args(["echo", "found"])), "found\n");
    let bundle = scene.bundle().args(["tool"]).set("/process/env/0", "PATH=/nothing:/opt/tools");
    bundle.file("opt/tools/tool", "#!/bin/sh\necho tool\n");
    let tool = bundle.rootfs().join("opt/tools/tool");
    fs::set_permissions(tool, fs::Permissions::from_mode(0o755)).expect("chmod");
    assert_eq!(scene.output(&bundle), "tool\n");
}

#[test]
fn a_relative_program_is_looked_up_in_the_working_directory() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().set("/process/cwd", "/bin").args(["./echo", "found"]);
    assert_eq!(scene.output(&bundle), "found\n");
}

// Engines map these texts to the exit codes 127 and 126.
#[test]
fn a_program_that_cannot_be_run_is_told_in_the_words_engines_know() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let run = |program: &str| scene.refused(&scene.bundle().args([program]));
    run("moon").says(&["exec: \"moon\": executable file not found in $PATH"]);
    run("/nothing").says(&["exec: \"/nothing\": stat /nothing: no such file or directory"]);
    run("/etc/passwd").says(&["exec: \"/etc/passwd\": permission denied"]);
    before.assert_same();
}

#[test]
fn create_already_refuses_a_program_that_is_not_there() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let outcome = scene.verb("create", &[], &scene.bundle().args(["moon"]), &scene.id()).run();
    outcome.refused().says(&["executable file not found in $PATH"]);
    before.assert_same();
}

#[test]
fn a_program_that_only_root_may_run_is_run_by_root() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().args(["/opt/tool"]);
    bundle.file("opt/tool", "#!/bin/sh\necho tool\n");
    let tool = bundle.rootfs().join("opt/tool");
    fs::set_permissions(tool, fs::Permissions::from_mode(0o700)).expect("chmod");
    assert_eq!(scene.output(&bundle), "tool\n");
}

#[test]
fn the_environment_is_exactly_what_the_configuration_says_and_a_home() {
    let Some(scene) = Scene::begin() else { return };
    let env = json!(["PATH=/bin", "B=2", "A=1", "EMPTY=", "NL=a\nb", "EQ=a=b"]);
    let bundle = scene.bundle().set("/process/env", env);
    let output = scene.output(&bundle.args(["/bin/cat", "/proc/self/environ"]));
    let mut lines: Vec<&str> = output.split_terminator('\0').collect();
    assert_eq!(lines.pop(), Some("HOME=/root"));
    assert_eq!(lines, ["PATH=/bin", "B=2", "A=1", "EMPTY=", "NL=a\nb", "EQ=a=b"]);
}

#[test]
fn home_comes_from_the_image_unless_the_configuration_sets_it() {
    let Some(scene) = Scene::begin() else { return };
    let echo = |bundle: Bundle| scene.output(&bundle.sh("echo $HOME"));
    assert_eq!(echo(scene.bundle()), "/root\n");
    assert_eq!(echo(scene.bundle().set("/process/user/uid", 1000)), "/home\n");
    assert_eq!(echo(scene.bundle().set("/process/user/uid", 4242)), "/\n");
    assert_eq!(echo(scene.bundle().set("/process/env/-", "HOME=/mine")), "/mine\n");
}

#[test]
fn a_variable_given_twice_has_the_last_value() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().set("/process/env/-", "A=1").set("/process/env/-", "A=2");
    assert_eq!(scene.output(&bundle.sh("env | grep ^A=")), "A=2\n");
}

#[test]
fn the_working_directory_is_made_where_it_is_missing() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().writable().set("/process/cwd", "/new/work/dir");
    assert_eq!(scene.output(&bundle.args(["/bin/pwd"])), "/new/work/dir\n");
    let bundle =
        scene.bundle().mount("tmpfs", "tmpfs", "/mnt", &[]).set("/process/cwd", "/mnt/dir");
    assert_eq!(scene.output(&bundle.args(["/bin/pwd"])), "/mnt/dir\n");
}

#[test]
fn a_working_directory_that_only_the_user_may_enter_is_entered() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().set("/process/user/uid", 1000).set("/process/cwd", "/private");
    let dir = bundle.directory("private");
    nix::unistd::chown(&dir, Some(1000.into()), Some(1000.into())).expect("chown");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("chmod");
    assert_eq!(scene.output(&bundle.args(["/bin/pwd"])), "/private\n");
}

#[test]
fn user_group_and_additional_groups_are_what_the_configuration_says() {
    let Some(scene) = Scene::begin() else { return };
    let user = json!({ "uid": 1000, "gid": 1001, "additionalGids": [7, 5, 1001] });
    let inside = status(&scene, scene.bundle().set("/process/user", user));
    assert_eq!(inside.field("Uid"), "1000\t1000\t1000\t1000");
    assert_eq!(inside.field("Gid"), "1001\t1001\t1001\t1001");
    assert_eq!(inside.field("Groups"), "5 7 1001");
    let inside = status(&scene, scene.bundle());
    assert_eq!(inside.field("Groups"), "", "no groups are left of the caller");
}

#[test]
fn the_file_creation_mask_is_the_callers_unless_the_configuration_sets_it() {
    let Some(scene) = Scene::begin() else { return };
    let call = |bundle: Bundle| {
        let bundle = bundle.args(["/bin/cat", "/proc/self/status"]);
        let call = scene.verb("run", &[], &bundle, &scene.id());
        let outcome = call.under(["sh", "-c", "umask 077; exec \"$0\" \"$@\""]).run();
        Inside(outcome.ok().stdout).field("Umask")
    };
    assert_eq!(call(scene.bundle()), "0077");
    assert_eq!(call(scene.bundle().set("/process/user/umask", 0o027)), "0027");
}

#[test]
fn limits_are_set_and_the_others_stay() {
    let Some(scene) = Scene::begin() else { return };
    let limits = json!([
        { "type": "RLIMIT_NOFILE", "soft": 100, "hard": 200 },
        { "type": "RLIMIT_CORE", "soft": 0, "hard": 1024 },
        { "type": "RLIMIT_STACK", "soft": 1_048_576, "hard": 2_097_152 },
    ]);
    let bundle = scene.bundle().set("/process/rlimits", limits);
    let output = scene.output(&bundle.args(["/bin/cat", "/proc/self/limits"]));
    let outside = fs::read_to_string("/proc/self/limits").expect("limits");
    let value = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a limit");
        line.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(value(&output, "Max open files"), ["100", "200"]);
    assert_eq!(value(&output, "Max core file size"), ["0", "1024"]);
    assert_eq!(value(&output, "Max stack size"), ["1048576", "2097152"]);
    for name in ["Max cpu time", "Max processes", "Max file locks", "Max address space"] {
        assert_eq!(value(&output, name), value(&outside, name), "{name}");
    }
}

#[test]
fn the_capability_sets_of_root_are_what_the_configuration_says() {
    let Some(scene) = Scene::begin() else { return };
    let caps = json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN", "CAP_SYS_CHROOT"],
        "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN"],
        "effective": ["CAP_CHOWN", "CAP_KILL"],
        "inheritable": ["CAP_CHOWN"],
        "ambient": []
    });
    let bundle = scene.bundle().set("/process/capabilities", caps);
    let inside = status(&scene, bundle.set("/process/noNewPrivileges", false));
    // For root, execve fills permitted and effective from inheritable and bounding.
    assert_eq!(inside.field("CapBnd"), mask(&[0, 5, 12, 18]));
    assert_eq!(inside.field("CapPrm"), mask(&[0, 5, 12, 18]));
    assert_eq!(inside.field("CapEff"), mask(&[0, 5, 12, 18]));
    assert_eq!(inside.field("CapInh"), mask(&[0]));
    assert_eq!(inside.field("CapAmb"), mask(&[]));
}

#[test]
fn a_user_that_is_not_root_keeps_ambient_capabilities_and_no_others() {
    let Some(scene) = Scene::begin() else { return };
    let all = json!(["CAP_NET_RAW", "CAP_KILL"]);
    let caps = json!({
        "bounding": all, "permitted": all, "effective": all,
        "inheritable": ["CAP_NET_RAW"], "ambient": ["CAP_NET_RAW"]
    });
    let bundle = scene.bundle().set("/process/capabilities", caps).set("/process/user/uid", 1000);
    let inside = status(&scene, bundle);
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_eq!(inside.field(set), mask(&[13]), "{set}");
    }
    assert_eq!(inside.field("CapBnd"), mask(&[5, 13]));
}

#[test]
fn a_process_without_capabilities_has_none() {
    let Some(scene) = Scene::begin() else { return };
    for bundle in [
        scene.bundle().capabilities(&[]),
        scene.bundle().set("/process/capabilities", json!({})),
        scene.bundle().unset("/process/capabilities"),
    ] {
        let inside = status(&scene, bundle);
        for set in ["CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"] {
            assert_eq!(inside.field(set), mask(&[]), "{set}");
        }
    }
}

#[test]
fn an_unknown_capability_is_no_reason_to_refuse() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().set("/process/capabilities/bounding/-", "CAP_MOON");
    let outcome = scene.run(&bundle.sh("echo ran"));
    assert_eq!(outcome.ok().stdout, "ran\n");
}

#[test]
fn no_new_privileges_is_set_when_asked() {
    let Some(scene) = Scene::begin() else { return };
    for (value, expected) in [(true, "1"), (false, "0")] {
        let inside = status(&scene, scene.bundle().set("/process/noNewPrivileges", value));
        assert_eq!(inside.field("NoNewPrivs"), expected);
    }
    let inside = status(&scene, scene.bundle().unset("/process/noNewPrivileges"));
    assert_eq!(inside.field("NoNewPrivs"), "0");
}

#[test]
fn the_out_of_memory_score_is_set_inside_and_not_on_the_runtime() {
    let Some(scene) = Scene::begin() else { return };
    let read =
        |bundle: Bundle| scene.output(&bundle.args(["/bin/cat", "/proc/self/oom_score_adj"]));
    assert_eq!(read(scene.bundle().set("/process/oomScoreAdj", 321)), "321\n");
    let own = fs::read_to_string("/proc/self/oom_score_adj").expect("a score");
    assert_eq!(read(scene.bundle()), own, "without a value it is the caller's");
}

#[test]
fn the_process_leads_a_session_of_its_own() {
    let Some(scene) = Scene::begin() else { return };
    let output = scene.output(&scene.bundle().sh("cut -d ' ' -f 1,5,6 /proc/self/stat; true"));
    let fields: Vec<&str> = output.split_whitespace().collect();
    assert_eq!(&fields[1..], ["1", "1"], "process group and session: {output}");
}

#[test]
fn a_container_starts_with_default_signals() {
    let Some(scene) = Scene::begin() else { return };
    let inside = status(&scene, scene.bundle());
    assert_eq!(inside.field("SigBlk"), mask(&[]));
    // The C library keeps signals 32 and 33 for itself, and no program can reset them.
    let ignored = u64::from_str_radix(&inside.field("SigIgn"), 16).expect("a mask");
    assert_eq!(ignored & !(3 << 31), 0, "{ignored:x}");
}

#[test]
fn arguments_reach_the_program_unchanged() {
    let Some(scene) = Scene::begin() else { return };
    let long = "x".repeat(100_000);
    let args = ["/bin/printf", "[%s]", "", " a b ", "ä\n\"'\\", "-n", "$HOME", &long];
    let output = scene.output(&scene.bundle().args(args));
    assert_eq!(output, format!("[][ a b ][ä\n\"'\\][-n][$HOME][{long}]"));
}
