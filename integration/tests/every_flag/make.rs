//! `create`, `start` and `run`.

use std::fs;

use integration::console::ConsoleSocket;
use integration::runtime::until;
use integration::{Bundle, Scene, skip};

use crate::{Case, path};

pub(crate) const CASES: &[Case] = &[
    ("create", "", |scene| {
        assert_eq!(scene.create(&scene.bundle()).status(), "created");
    }),
    ("create", "--bundle", |scene| {
        // Given by every other case, and not by this one.
        let bundle = scene.bundle().sleeping();
        bundle.save();
        let id = scene.id();
        scene.keel(["create", &id]).cwd(bundle.dir()).run().ok();
        scene.keel(["create", &scene.id()]).cwd(scene.dir()).run().refused();
    }),
    ("create", "--config", |scene| config(scene, "create")),
    ("create", "--console-socket", |scene| console_socket(scene, "create")),
    ("create", "--pid-file", |scene| pid_file(scene, "create")),
    ("create", "--pidfd-socket", |scene| pidfd_socket(scene, "create")),
    ("create", "--no-subreaper", |scene| {
        let container = scene.create_with(&["--no-subreaper"], &scene.bundle().sleeping());
        assert_eq!(container.status(), "created");
        let words = ["create", "--no-subreaper=false", "web"];
        scene.keel(words).run().refused().says(&["create cannot adopt orphans"]);
    }),
    ("create", "--no-pivot", |scene| no_pivot(scene, "create")),
    ("create", "--no-new-keyring", |scene| no_new_keyring(scene, "create")),
    ("create", "--preserve-fds", |scene| preserve_fds(scene, "create")),
    ("create", "--strict", |scene| strict(scene, "create")),
    ("start", "", |scene| {
        let container = scene.create(&scene.bundle().sleeping());
        container.start();
        assert_eq!(container.status(), "running");
    }),
    ("run", "", |scene| {
        scene.run(&scene.bundle().sh("echo out; exit 3")).exits(3);
        assert_eq!(scene.keel(["list", "-q"]).run().ok().stdout, "");
    }),
    ("run", "--bundle", |scene| {
        let bundle = scene.bundle().sh("echo here");
        bundle.save();
        let called = scene.keel(["run", &scene.id()]).cwd(bundle.dir()).run();
        assert_eq!(called.ok().stdout, "here\n");
        let call = scene.keel(["run", "-b"]).arg(bundle.dir()).arg(scene.id());
        assert_eq!(call.run().ok().stdout, "here\n");
    }),
    ("run", "--config", |scene| config(scene, "run")),
    ("run", "--console-socket", |scene| console_socket(scene, "run")),
    ("run", "--detach", |scene| {
        let id = scene.id();
        scene.verb("run", &["--detach"], &scene.bundle().sleeping(), &id).run().ok();
        assert!(scene.keel(["state", &id]).run().ok().stdout.contains("\"running\""));
    }),
    ("run", "--keep", |scene| {
        let id = scene.id();
        scene.verb("run", &["--keep"], &scene.bundle(), &id).run().ok();
        assert!(scene.keel(["state", &id]).run().ok().stdout.contains("\"stopped\""));
    }),
    ("run", "--pid-file", |scene| pid_file(scene, "run")),
    ("run", "--pidfd-socket", |scene| pidfd_socket(scene, "run")),
    ("run", "--no-subreaper", |scene| {
        for (options, adopts) in [(&[][..], true), (&["--no-subreaper"], false)] {
            assert_eq!(adopts_an_orphan(scene, options), adopts, "{options:?}");
        }
    }),
    ("run", "--no-pivot", |scene| no_pivot(scene, "run")),
    ("run", "--no-new-keyring", |scene| no_new_keyring(scene, "run")),
    ("run", "--preserve-fds", |scene| preserve_fds(scene, "run")),
    ("run", "--strict", |scene| strict(scene, "run")),
];

/// `create` and `start`, or `run` in the background: the container is under way.
fn make(scene: &Scene, verb: &str, options: &[&str], bundle: &Bundle) -> (String, String) {
    let id = scene.id();
    let detach = if verb == "run" { &["--detach"][..] } else { &[] };
    let call = scene.verb(verb, &[detach, options].concat(), bundle, &id);
    let call = call.with_descriptors("3</etc/passwd").spawn();
    let output = call.stdout_path().to_str().expect("UTF-8").to_owned();
    call.wait().ok();
    if verb == "create" {
        scene.keel(["start", &id]).run().ok();
    }
    (id, output)
}

/// What a script in a container writes, to its end; and the container's id.
fn output(scene: &Scene, verb: &str, options: &[&str], script: &str) -> (String, String) {
    let bundle = scene.bundle().set("/linux/maskedPaths", Vec::<String>::new());
    let (id, output) = make(scene, verb, options, &bundle.sh(script));
    stopped(scene, &id);
    (fs::read_to_string(output).expect("the output"), id)
}

fn stopped(scene: &Scene, id: &str) {
    let status = || scene.keel(["state", id]).run().ok().stdout;
    until("the container's end", || status().contains("\"stopped\""));
}

fn config(scene: &Scene, verb: &str) {
    let other = path(scene, "other.json");
    let bundle = scene.bundle().sh("echo other");
    integration::bundle::write(other.as_ref(), bundle.config().to_string().as_bytes());
    let (id, output) = make(scene, verb, &["--config", &other], &bundle.sh("echo the bundle's"));
    stopped(scene, &id);
    assert_eq!(fs::read_to_string(output).expect("the output"), "other\n");
}

fn console_socket(scene: &Scene, verb: &str) {
    let socket = path(scene, "console");
    let listening = ConsoleSocket::at(socket.as_ref());
    let bundle = scene.bundle().set("/process/terminal", true).sh("tty; read line; echo $line");
    make(scene, verb, &["--console-socket", &socket], &bundle);
    let mut terminal = listening.receive();
    terminal.expect("/dev/");
}

fn pid_file(scene: &Scene, verb: &str) {
    let file = path(scene, "pid");
    let (id, _) = make(scene, verb, &["--pid-file", &file], &scene.bundle().sleeping());
    let pid = fs::read_to_string(file).expect("the pid");
    assert!(scene.keel(["state", &id]).run().ok().stdout.contains(&format!("\"pid\": {pid},")));
}

fn pidfd_socket(scene: &Scene, verb: &str) {
    let socket = path(scene, "pidfd");
    let listening = ConsoleSocket::at(socket.as_ref());
    let (id, _) = make(scene, verb, &["--pidfd-socket", &socket], &scene.bundle().sleeping());
    let pid = crate::exec::pid_of(&listening.receive_descriptor());
    assert!(scene.keel(["state", &id]).run().ok().stdout.contains(&format!("\"pid\": {pid},")));
}

fn no_pivot(scene: &Scene, verb: &str) {
    let Some(strace) = skip::program("strace") else {
        // Without it nobody sees the difference, which is in how the root is entered.
        assert_eq!(output(scene, verb, &["--no-pivot"], "echo works").0, "works\n");
        return;
    };
    for (options, pivots) in [(&[][..], true), (&["--no-pivot"], false)] {
        let bundle = scene.bundle();
        bundle.save();
        let trace = path(scene, &scene.id());
        let call = scene.call(&strace).args(["-f", "-e", "trace=pivot_root", "-o", &trace]);
        let call = call.arg(scene.runtime().program()).arg("--root").arg(scene.state_root());
        let call = call.arg(verb).args(options).arg("--bundle").arg(bundle.dir());
        let id = scene.id();
        let call = call.arg(&id).spawn();
        if verb == "create" {
            // The trace ends with the container's process; start waits until create is done.
            let created = || scene.keel(["state", &id]).run().stdout.contains("\"created\"");
            until("the container", created);
            scene.keel(["start", &id]).run().ok();
        }
        call.wait().ok();
        let calls = fs::read_to_string(trace).expect("the trace");
        assert_eq!(calls.contains("pivot_root("), pivots, "{verb} {options:?}: {calls}");
    }
}

fn no_new_keyring(scene: &Scene, verb: &str) {
    if !std::path::Path::new("/proc/keys").is_file() {
        return skip("/proc/keys is not there");
    }
    for (options, own) in [(&[][..], true), (&["--no-new-keyring"], false)] {
        let (keys, id) = output(scene, verb, options, "cat /proc/keys");
        assert_eq!(keys.contains(&format!("_ses.{id}")), own, "{options:?}: {keys}");
    }
}

fn preserve_fds(scene: &Scene, verb: &str) {
    let script = "[ -e /proc/self/fd/3 ] && read line <&3 && echo $line; true";
    assert_eq!(output(scene, verb, &[], script).0, "");
    let (given, _) = output(scene, verb, &["--preserve-fds", "1"], script);
    assert!(given.starts_with("root:"), "{given}");
}

fn strict(scene: &Scene, verb: &str) {
    let bundle = scene.bundle().set("/moon", 1);
    let call = |options: &[&str]| scene.verb(verb, options, &bundle, &scene.id()).run();
    call(&["--strict"]).refused().says(&["/moon"]);
    call(&[]).ok();
}

/// Whether a process that a container leaves behind becomes the command's child.
fn adopts_an_orphan(scene: &Scene, options: &[&str]) -> bool {
    let script = "sh -c 'sleep 1000 & echo $! >/tmp/orphan'; read pid </tmp/orphan; \
                  grep PPid /proc/$pid/status; sleep 1000";
    let bundle = scene.bundle().without_namespace("pid").writable().sh(script);
    let id = scene.id();
    let call = scene.verb("run", options, &bundle, &id).spawn();
    call.expect("PPid:");
    until("a whole line", || call.stdout().ends_with('\n'));
    let parent = call.stdout().trim_start_matches("PPid:").trim().to_owned();
    let adopted = parent == call.pid().to_string();
    scene.keel(["kill", "--all", &id, "KILL"]).run().ok();
    call.wait().exits(137);
    adopted
}
