//! `exec`.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

use integration::cgroups::Layout;
use integration::console::ConsoleSocket;
use integration::runtime::until;
use integration::{Container, Inside, Scene, skip};
use serde_json::json;

use crate::{Case, path};

pub(crate) const CASES: &[Case] = &[
    ("exec", "", |scene| assert_eq!(said(scene, &[], "hostname"), "test\n")),
    ("exec", "--process", |scene| {
        let file = path(scene, "process.json");
        let user = json!({ "uid": 5, "gid": 6 });
        let process = json!({ "args": ["/bin/id", "-u"], "cwd": "/", "user": user });
        integration::bundle::write(file.as_ref(), process.to_string().as_bytes());
        let container = running(scene);
        let outcome = scene.keel(["exec", "--process", &file, container.id()]).run();
        assert_eq!(outcome.ok().stdout, "5\n");
    }),
    ("exec", "--tty", |scene| {
        let outcome = said(scene, &["--tty"], "tty");
        assert!(outcome.starts_with("/dev/pts/"), "{outcome}");
    }),
    ("exec", "--console-socket", |scene| {
        let socket = path(scene, "console");
        let listening = ConsoleSocket::at(socket.as_ref());
        said(scene, &["--detach", "--tty", "--console-socket", &socket], "tty; read line");
        listening.receive().expect("/dev/pts/");
    }),
    ("exec", "--detach", |scene| {
        let container = running(scene);
        let script = "echo up; exec sleep 1000";
        let words = ["exec", "--detach", container.id(), "sh", "-c", script];
        let call = scene.keel(words).spawn();
        let output = call.stdout_path().to_owned();
        call.wait().ok();
        until("the process", || fs::read_to_string(&output).is_ok_and(|text| text == "up\n"));
        container.end();
    }),
    ("exec", "--pid-file", |scene| {
        let file = path(scene, "pid");
        let inside = said(scene, &["--pid-file", &file], "readlink /proc/self/ns/pid");
        let pid = fs::read_to_string(file).expect("the pid");
        assert!(pid.parse::<u32>().is_ok() && inside.starts_with("pid:"), "{pid} {inside}");
    }),
    ("exec", "--pidfd-socket", |scene| {
        let (socket, file) = (path(scene, "pidfd"), path(scene, "pid"));
        let listening = ConsoleSocket::at(socket.as_ref());
        let options = ["--detach", "--pidfd-socket", &socket, "--pid-file", &file];
        said(scene, &options, "exec sleep 1000");
        let pid = pid_of(&listening.receive_descriptor());
        assert_eq!(fs::read_to_string(file).expect("the pid"), pid);
    }),
    ("exec", "--cwd", |scene| assert_eq!(said(scene, &["--cwd", "/etc"], "pwd"), "/etc\n")),
    ("exec", "--env", |scene| {
        assert_eq!(said(scene, &["--env", "A=1", "-e", "B=2"], "echo $A$B"), "12\n");
    }),
    ("exec", "--user", |scene| {
        assert_eq!(said(scene, &["--user", "7:8"], "id -u; id -g"), "7\n8\n");
    }),
    ("exec", "--additional-gids", |scene| {
        assert_eq!(said(scene, &["--additional-gids", "9"], "id -G"), "0 9\n");
    }),
    ("exec", "--cap", |scene| {
        let effective = |options: &[&str]| {
            let status = Inside(said(scene, options, "cat /proc/self/status"));
            u64::from_str_radix(&status.field("CapEff"), 16).expect("a mask")
        };
        let net_admin = 1 << 12;
        assert_eq!(effective(&[]) & net_admin, 0);
        assert_eq!(effective(&["--cap", "CAP_NET_ADMIN"]) & net_admin, net_admin);
    }),
    ("exec", "--no-new-privs", |scene| {
        let bundle = scene.bundle().set("/process/noNewPrivileges", false);
        let container = scene.start(&bundle.sleeping());
        for (options, expected) in [(&[][..], "0"), (&["--no-new-privs"], "1")] {
            let words = [&["exec"], options, &[container.id(), "cat", "/proc/self/status"]];
            let status = Inside(scene.keel(words.concat()).run().ok().stdout);
            assert_eq!(status.field("NoNewPrivs"), expected);
        }
    }),
    // That they are applied where there is such a profile: tests/apparmor.rs.
    ("exec", "--apparmor", |scene| {
        refused(scene, &["--apparmor", "keel-no-such-profile"], "/process/apparmorProfile");
    }),
    ("exec", "--process-label", |scene| {
        refused(scene, &["--process-label", "keel:no:such"], "/process/selinuxLabel");
    }),
    ("exec", "--preserve-fds", |scene| {
        let container = running(scene);
        let script = "read line <&3; echo $line";
        let words = ["exec", "--preserve-fds", "1", container.id(), "sh", "-c", script];
        let outcome = scene.keel(words).with_descriptors("3</etc/passwd").run().ok();
        assert!(outcome.stdout.starts_with("root:"), "{outcome:?}");
    }),
    ("exec", "--cgroup", |scene| {
        let layout = Layout::here();
        let controller = if layout.is_v2() { "" } else { "pids" };
        if !layout.is_v2() && !layout.has(controller) {
            return skip("no cgroup controller pids here");
        }
        let bundle = scene.bundle().sleeping();
        let container = scene.start(&bundle);
        let dir = layout.dir(controller, bundle.cgroup());
        fs::create_dir(dir.join("part")).expect("a cgroup");
        let option =
            if layout.is_v2() { "/part".to_owned() } else { format!("{controller}:/part") };
        let words = ["exec", "--cgroup", &option, container.id(), "cat", "/proc/self/cgroup"];
        let cgroups = scene.keel(words).run().ok().stdout;
        assert!(cgroups.contains("/part\n"), "{cgroups}");
        container.end();
    }),
    ("exec", "--ignore-paused", |scene| {
        let layout = Layout::here();
        if !layout.is_v2() && !layout.has("freezer") {
            return skip("no cgroup controller freezer here");
        }
        let bundle = scene.bundle().sleeping();
        let container = scene.start(&bundle);
        let dir = layout.dir("freezer", bundle.cgroup());
        let (file, stop, go) = match layout.is_v2() {
            true => ("cgroup.freeze", "1", "0"),
            false => ("freezer.state", "FROZEN", "THAWED"),
        };
        integration::bundle::write(&dir.join(file), stop.as_bytes());
        container.until("paused");
        scene.keel(["exec", container.id(), "true"]).run().refused();
        let words = ["exec", "--ignore-paused", container.id(), "echo", "late"];
        let call = scene.keel(words).spawn();
        // It is in the frozen cgroup as well, and goes on with it.
        let procs = || fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        until("the second process", || procs().lines().count() == 2);
        integration::bundle::write(&dir.join(file), go.as_bytes());
        assert_eq!(call.wait().ok().stdout, "late\n");
    }),
];

fn running(scene: &Scene) -> Container<'_> {
    scene.start(&scene.bundle().sleeping())
}

/// What a script prints in a container of its own.
fn said(scene: &Scene, options: &[&str], script: &str) -> String {
    let container = running(scene);
    let words = [&["exec"], options, &[container.id(), "sh", "-c", script]].concat();
    scene.keel(words).run().ok().stdout
}

fn refused(scene: &Scene, options: &[&str], pointer: &str) {
    let container = running(scene);
    let words = [&["exec"], options, &[container.id(), "true"]].concat();
    scene.keel(words).run().exits(255).refused().says(&[pointer]);
}

/// The process that a pidfd is of.
pub(crate) fn pid_of(pidfd: &OwnedFd) -> String {
    let info = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let info = fs::read_to_string(info).expect("what is known about the descriptor");
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:"));
    pid.expect("a pidfd").trim().to_owned()
}
