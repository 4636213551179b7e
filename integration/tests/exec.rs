//! Another process in a container: `exec` with flags, with a document, with a terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use integration::cgroups::Layout;
use integration::console::ConsoleSocket;
use integration::runtime::until;
use integration::{Container, Inside, Need, Outcome, Scene};
use serde_json::{Value, json};

/// Runs a script in a container.
fn sh(scene: &Scene, container: &Container<'_>, options: &[&str], script: &str) -> Outcome {
    scene.keel([&["exec"], options, &[container.id(), "sh", "-c", script]].concat()).run()
}

/// Writes a process document and returns its path.
fn document(scene: &Scene, process: &Value) -> String {
    let path = scene.dir().join(format!("process-{}.json", scene.id()));
    integration::bundle::write(&path, process.to_string().as_bytes());
    path.display().to_string()
}

#[test]
fn a_process_has_what_the_containers_own_process_has() {
    let Some(scene) = Scene::begin() else { return };
    let user = json!({"uid": 1000, "gid": 1001, "additionalGids": [7, 8]});
    let limits = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
    let bundle = scene
        .bundle()
        .set("/process/user", user)
        .set("/process/cwd", "/tmp")
        .set("/process/env", json!(["PATH=/bin", "COLOUR=red"]))
        .set("/process/rlimits", limits)
        .set("/process/oomScoreAdj", 321)
        .sleeping();
    let container = scene.start(&bundle);
    let script = "id -u; id -g; id -G; pwd; echo $COLOUR; ulimit -n; ulimit -Hn; \
                  cat /proc/self/oom_score_adj";
    let expected = "1000\n1001\n1001 7 8\n/tmp\nred\n100\n200\n321\n";
    assert_eq!(sh(&scene, &container, &[], script).ok().stdout, expected);
    let status = |pid: &str| {
        Inside(sh(&scene, &container, &[], &format!("cat /proc/{pid}/status")).ok().stdout)
    };
    let (first, own) = (status("1"), status("self"));
    for field in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"] {
        assert_eq!(first.field(field), own.field(field), "{field}");
    }
    let link = |pid: &str, kind: &str| {
        sh(&scene, &container, &[], &format!("readlink /proc/{pid}/ns/{kind}")).ok().stdout
    };
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "uts"] {
        assert_eq!(link("self", kind), link("1", kind), "{kind}");
    }
}

#[test]
fn flags_change_what_the_process_has() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().sleeping());
    let options = ["--cwd", "/etc", "-e", "A=1", "-e", "B=x y", "-u", "1000:1001"];
    let outcome = sh(&scene, &container, &options, "pwd; echo $A; echo $B; id -u; id -g");
    assert_eq!(outcome.ok().stdout, "/etc\n1\nx y\n1000\n1001\n");
    let outcome = sh(&scene, &container, &["-g", "5", "-g", "6"], "id -G");
    assert_eq!(outcome.ok().stdout, "0 5 6\n");
    // A user without a group keeps the container's.
    assert_eq!(sh(&scene, &container, &["--user", "5"], "id -u; id -g").ok().stdout, "5\n0\n");
    let status = sh(&scene, &container, &["--no-new-privs"], "cat /proc/self/status").ok();
    assert_eq!(Inside(status.stdout).field("NoNewPrivs"), "1");
}

// CVE-2026-30892
#[test]
fn a_user_that_is_no_number_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().sleeping());
    for user in ["root", "1:", ":1", "-1", "4294967295", "4294967296", "1:2:3", " 1", "+1"] {
        let outcome = sh(&scene, &container, &["--user", user], "id -u");
        assert_ne!(outcome.code(), Some(0), "{user}: {outcome:?}");
        assert_eq!(outcome.stdout, "", "{user}");
    }
}

// CVE-2022-29162
#[test]
fn a_capability_that_is_added_is_neither_inheritable_nor_ambient() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().capabilities(&["CAP_KILL"]);
    let bundle = bundle
        .set("/process/capabilities/inheritable", json!([]))
        .set("/process/capabilities/ambient", json!([]));
    let container = scene.start(&bundle.sleeping());
    let status = |options: &[&str]| {
        let words = [&["exec"], options, &[container.id(), "cat", "/proc/self/status"]].concat();
        Inside(scene.keel(words).run().ok().stdout)
    };
    let root = status(&["--cap", "CAP_NET_ADMIN"]);
    assert_eq!(root.field("CapEff"), "0000000000001020");
    for field in ["CapInh", "CapAmb"] {
        assert_eq!(root.field(field), "0000000000000000", "{field}");
    }
    let user = status(&["--cap", "CAP_NET_ADMIN", "--user", "1000"]);
    for field in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(user.field(field), "0000000000000000", "{field}");
    }
}

#[test]
fn the_exit_status_is_that_of_the_process_and_255_when_there_is_none() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().sleeping());
    sh(&scene, &container, &[], "exit 7").exits(7);
    sh(&scene, &container, &[], "kill -9 $$").exits(137);
    let exec = |words: &[&str]| scene.keel([&["exec", container.id()], words].concat()).run();
    exec(&["moon"]).exits(255).says(&["executable file not found in $PATH"]);
    exec(&["/nothing"]).exits(255).says(&["stat /nothing: no such file or directory"]);
    exec(&["/etc/passwd"]).exits(255).says(&["permission denied"]);
    sh(&scene, &container, &["--cwd", "/nothing"], "true").exits(255);
}

#[test]
fn a_process_is_described_by_a_document() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().set("/process/cwd", "/etc").sleeping());
    let process = json!({
        "user": {"uid": 3, "gid": 4, "additionalGids": [5]},
        "args": ["sh", "-c", "id -u; id -G; pwd; echo $A; ulimit -n"],
        "env": ["PATH=/bin", "A=doc"],
        "cwd": "/tmp",
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 77}],
    });
    let path = document(&scene, &process);
    let outcome = scene.keel(["exec", "--process", &path, container.id()]).run().ok();
    assert_eq!(outcome.stdout, "3\n4 5\n/tmp\ndoc\n77\n");
}

#[test]
fn a_document_that_is_none_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().sleeping());
    let before = scene.snapshot();
    let bad = [
        json!({"args": [], "cwd": "/", "user": {"uid": 0, "gid": 0}}),
        json!({"args": ["true"], "cwd": "relative", "user": {"uid": 0, "gid": 0}}),
        json!({"args": "true", "cwd": "/", "user": {"uid": 0, "gid": 0}}),
        json!([]),
    ];
    for process in bad {
        let path = document(&scene, &process);
        let outcome = scene.keel(["exec", "-p", &path, container.id()]).run();
        assert!(outcome.code() != Some(0) && !outcome.stderr.is_empty(), "{process}: {outcome:?}");
    }
    let missing = scene.dir().join("missing.json").display().to_string();
    let outcome = scene.keel(["exec", "-p", &missing, container.id()]).run();
    outcome.refused().says(&["no such file or directory"]);
    before.assert_same();
}

// The configuration counts as it was at create (runtime.md, "Lifecycle").
#[test]
fn a_bundle_that_changed_since_has_no_effect() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().set("/process/env/1", "WHEN=before").sleeping();
    let container = scene.start(&bundle);
    let bundle = bundle.set("/process/env/1", "WHEN=after");
    bundle.save();
    assert_eq!(sh(&scene, &container, &[], "echo $WHEN").ok().stdout, "before\n");
    fs::remove_file(bundle.dir().join("config.json")).expect("remove");
    assert_eq!(sh(&scene, &container, &[], "echo $WHEN").ok().stdout, "before\n");
}

#[test]
fn the_process_is_in_the_containers_cgroups() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().without_namespace("cgroup").sleeping());
    let own = sh(&scene, &container, &[], "cat /proc/self/cgroup").ok().stdout;
    let first = sh(&scene, &container, &[], "cat /proc/1/cgroup").ok().stdout;
    assert_eq!(own, first);
    assert!(own.contains(scene.tag()), "{own}");
}

#[test]
fn a_sub_cgroup_is_joined_and_nothing_above_or_beside_it() {
    let Some(scene) = Scene::begin() else { return };
    let layout = Layout::here();
    let controller = if layout.is_v2() { "" } else { "pids" };
    if !layout.is_v2() && !layout.has("pids") {
        return integration::skip("no cgroup controller pids here");
    }
    let bundle = scene.bundle().without_namespace("cgroup").sleeping();
    let container = scene.start(&bundle);
    let dir = layout.dir(controller, bundle.cgroup());
    fs::create_dir(dir.join("part")).expect("a sub-cgroup");
    let beside = format!("{}x", dir.display());
    fs::create_dir(&beside).expect("a cgroup beside it");
    let option = |path: &str| match controller {
        "" => path.to_owned(),
        name => format!("{name}:{path}"),
    };
    let outcome =
        sh(&scene, &container, &["--cgroup", &option("/part")], "cat /proc/self/cgroup").ok();
    assert!(outcome.stdout.contains(&format!("{}/part\n", bundle.cgroup())), "{outcome:?}");
    let name = bundle.cgroup().rsplit('/').next().expect("a name").to_owned();
    for path in ["/missing", "../", "/part/../..", &format!("../{name}x")] {
        let outcome = sh(&scene, &container, &["--cgroup", &option(path)], "true");
        assert_ne!(outcome.code(), Some(0), "{path}: {outcome:?}");
    }
    fs::remove_dir(beside).expect("the cgroup beside it is empty");
    container.end();
}

// cgroups(7), "no internal processes": nobody can join the top of such a container.
#[test]
fn a_process_joins_the_first_one_where_that_has_divided_its_cgroup() {
    let Some(scene) = Scene::begin() else { return };
    if !Layout::here().is_v2() {
        return integration::skip("no pure cgroup v2 here");
    }
    let script = "cd /sys/fs/cgroup && mkdir -p a/init && echo 0 >a/init/cgroup.procs &&
        for c in $(cat cgroup.controllers); do echo +$c >cgroup.subtree_control; done
        echo divided; exec sleep 1000";
    let bundle = scene
        .bundle()
        .namespace("cgroup", None)
        .without_mount("/sys/fs/cgroup")
        .mount("cgroup", "cgroup", "/sys/fs/cgroup", &["rw"])
        .sh(script);
    let container = scene.start(&bundle);
    container.expect("divided");
    let told = sh(&scene, &container, &[], "cat /proc/self/cgroup").ok().stdout;
    assert!(told.ends_with("::/a/init\n"), "{told}");
    // Whoever asks for the top is told, and is put nowhere else.
    let asked = sh(&scene, &container, &["--cgroup", "/"], "true");
    assert!(asked.code() != Some(0) && !asked.stderr.is_empty(), "{asked:?}");
    container.end();
}

#[test]
fn a_detached_process_goes_on_and_its_pid_is_written() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().sleeping());
    let file = scene.dir().join("exec.pid");
    let path = file.display().to_string();
    let options = ["--detach", "--pid-file", path.as_str()];
    sh(&scene, &container, &options, "exec sleep 1000").ok();
    let pid = fs::read_to_string(&file).expect("the pid file");
    assert!(pid.parse::<i32>().is_ok(), "{pid:?}");
    let comm = format!("/proc/{pid}/comm");
    until("that the shell has become sleep", || {
        fs::read_to_string(&comm).expect("the process is there") == "sleep\n"
    });
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let session = Inside(status).field("NSsid");
    assert!(!session.ends_with("\t0"), "it leads a session of its own: {session}");
    container.end();
}

#[test]
fn a_process_can_be_given_a_terminal_by_a_console_socket() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().sleeping());
    let path = scene.dir().join("console.sock");
    let socket = ConsoleSocket::at(&path);
    let process = json!({
        "terminal": true,
        "consoleSize": {"height": 33, "width": 101},
        "user": {"uid": 0, "gid": 0},
        "args": ["sh", "-c", "tty; stty size; read line; echo got $line"],
        "env": ["PATH=/bin", "TERM=xterm"],
        "cwd": "/",
    });
    let file = document(&scene, &process);
    let socket_path = path.display().to_string();
    let words = ["exec", "--detach", "--console-socket", &socket_path, "-p", &file, container.id()];
    scene.keel(words).run().ok();
    let mut terminal = socket.receive();
    terminal.expect("/dev/pts/");
    terminal.expect("33 101");
    terminal.send("words\n");
    terminal.expect("got words");
    container.end();
}

#[test]
fn a_terminal_that_nobody_takes_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().sleeping());
    sh(&scene, &container, &["--detach", "--tty"], "true").refused();
    let socket = scene.dir().join("none.sock").display().to_string();
    sh(&scene, &container, &["--detach", "--tty", "--console-socket", &socket], "true").refused();
}

#[test]
fn a_container_that_does_not_run_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().args(["true"]));
    container.until("stopped");
    sh(&scene, &container, &[], "true").refused().says(&["cannot exec"]);
    scene.keel(["exec", "nobody", "true"]).run().refused().says(&["does not exist"]);
}

#[test]
fn a_created_container_takes_a_process_too() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.create(&scene.bundle().sleeping());
    assert_eq!(sh(&scene, &container, &[], "echo early; hostname").ok().stdout, "early\ntest\n");
    assert_eq!(container.status(), "created");
}

#[test]
fn a_process_right_after_start_finds_the_container() {
    let Some(scene) = Scene::begin() else { return };
    for _ in 0..20 {
        let container = scene.create(&scene.bundle().sleeping());
        container.start();
        assert_eq!(sh(&scene, &container, &[], "echo here").ok().stdout, "here\n");
        container.end();
    }
}

#[test]
fn preserved_descriptors_reach_the_process_and_no_others() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let container = scene.start(&scene.bundle().sleeping());
    let script = "for n in 3 4 5 6 7 8 9; do [ -e /proc/self/fd/$n ] && echo $n; done; cat <&3";
    let file = scene.dir().join("given");
    integration::bundle::write(&file, b"given\n");
    let words = ["exec", "--preserve-fds=1", container.id(), "sh", "-c", script];
    let call = scene.keel(words).with_descriptors(&format!("3<{} 4</etc 5</", file.display()));
    let outcome = call.run().ok();
    assert!(
        outcome.stdout.starts_with("3\n") && outcome.stdout.ends_with("given\n"),
        "{outcome:?}"
    );
    assert!(!outcome.stdout.contains("4\n"), "{outcome:?}");
}

#[test]
fn a_process_joins_a_container_with_a_user_namespace() {
    let Some(scene) = Scene::begin() else { return };
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    let bundle = scene
        .bundle()
        .namespace("user", None)
        .set("/linux/uidMappings", mapping.clone())
        .set("/linux/gidMappings", mapping)
        .sleeping();
    let rootfs = bundle.rootfs();
    fs::set_permissions(scene.dir(), fs::Permissions::from_mode(0o755)).expect("chmod");
    fs::set_permissions(rootfs, fs::Permissions::from_mode(0o755)).expect("chmod");
    let container = scene.start(&bundle);
    let script =
        "id -u; cat /proc/self/uid_map; readlink /proc/self/ns/user; readlink /proc/1/ns/user";
    let outcome = sh(&scene, &container, &[], script).ok();
    let words: Vec<&str> = outcome.stdout.split_whitespace().collect();
    assert_eq!(words[..4], ["0", "0", "100000", "65536"]);
    assert_eq!(words[4], words[5]);
    assert_eq!(sh(&scene, &container, &["--user", "7:8"], "id -u; id -g").ok().stdout, "7\n8\n");
}

#[test]
fn a_process_joins_a_container_that_shares_the_hosts_pids() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().without_namespace("pid").sleeping());
    let outcome = sh(&scene, &container, &[], "readlink /proc/self/ns/pid; echo $$").ok();
    let host = fs::read_link("/proc/self/ns/pid").expect("a link");
    assert_eq!(outcome.stdout.lines().next(), host.to_str());
    container.end();
}

#[test]
fn a_process_joins_a_container_in_anothers_pid_namespace() {
    let Some(scene) = Scene::begin() else { return };
    let one = scene.start(&scene.bundle().sleeping());
    let path = format!("/proc/{}/ns/pid", one.pid());
    let two = scene.start(&scene.bundle().namespace("pid", Some(&path)).sleeping());
    let kind = |container: &Container<'_>| {
        sh(&scene, container, &[], "readlink /proc/self/ns/pid").ok().stdout
    };
    assert_eq!(kind(&one), kind(&two));
    two.end();
    one.end();
}

#[test]
fn a_process_starts_on_the_cpus_that_the_configuration_says() {
    let Some(scene) = Scene::begin() else { return };
    let bundle =
        scene.bundle().set("/process/execCPUAffinity", json!({"initial": "0", "final": "0"}));
    let container = scene.start(&bundle.sleeping());
    let status = sh(&scene, &container, &[], "cat /proc/self/status").ok().stdout;
    assert_eq!(Inside(status).field("Cpus_allowed_list"), "0");
    let first = sh(&scene, &container, &[], "cat /proc/1/status").ok().stdout;
    assert_ne!(Inside(first).field("Cpus_allowed_list"), "", "the first process has its own");
}

#[test]
fn a_list_of_cpus_that_is_none_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    for list in ["a", "3-1", "0,,1", "-1"] {
        let bundle = scene.bundle().set("/process/execCPUAffinity", json!({"initial": list}));
        scene.refused(&bundle);
    }
}

#[test]
fn a_signal_to_the_command_reaches_the_process() {
    let Some(scene) = Scene::begin() else { return };
    let container = scene.start(&scene.bundle().sleeping());
    let call = scene.keel([
        "exec",
        container.id(),
        "sh",
        "-c",
        "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done",
    ]);
    let call = call.spawn();
    call.expect("up");
    call.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(call.wait().code(), Some(9), "the signal is passed on");
}
