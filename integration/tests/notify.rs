//! A service manager that waits for a container to be ready: `NOTIFY_SOCKET`, sd_notify(3).
//!
//! The manager is a datagram socket of the test's. What a container says is sent by the test
//! through `/proc/PID/root`, to the container's own socket and as its processes would; one test
//! sends from inside.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;

use integration::runtime::{Call, Invocation, patience, until};
use integration::{Bundle, Edit, Need, Scene};
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use serde_json::{Value, json};

/// Where a container finds its socket.
const INSIDE: &str = "/run/notify/notify.sock";

/// A service manager.
struct Manager {
    address: String,
    socket: UnixDatagram,
}

impl Manager {
    /// One that listens at a path.
    fn begin(scene: &Scene) -> Self {
        let path = scene.dir().join(format!("manager-{}", scene.id()));
        let socket = UnixDatagram::bind(&path).expect("bind");
        Self { address: path.display().to_string(), socket }.patient()
    }

    /// One with an abstract socket.
    fn abstractly(scene: &Scene) -> Self {
        let name = format!("keel-test/{}", scene.id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("bind");
        Self { address: format!("@{name}"), socket }.patient()
    }

    fn patient(self) -> Self {
        self.socket.set_read_timeout(Some(patience())).expect("a timeout");
        self
    }

    /// The lines of messages up to this one; descriptors beside them are closed.
    #[track_caller]
    fn hears(&self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while !lines.iter().any(|line| line == last) {
            lines.extend(self.message().unwrap_or_else(|| panic!("no {last} after {lines:?}")));
        }
        lines
    }

    /// Lets a call end that waits until it was heard. runc 1.1 and crun do not.
    #[track_caller]
    fn releases(&self, scene: &Scene, call: Call) {
        if scene.is_keel() {
            self.hears("BARRIER=1");
        }
        call.wait().ok();
    }

    /// Demands that nothing more was said.
    #[track_caller]
    fn hears_nothing(&self) {
        self.socket.set_nonblocking(true).expect("non-blocking");
        assert_eq!(self.message(), None);
    }

    fn message(&self) -> Option<Vec<String>> {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned).collect())
    }
}

/// A call with the address of the manager.
fn under(manager: &Manager, call: Invocation) -> Invocation {
    call.env("NOTIFY_SOCKET", &manager.address)
}

/// The pid of a container, once it runs.
#[track_caller]
fn running(scene: &Scene, id: &str) -> i64 {
    let mut pid = None;
    until("a running container", || {
        let outcome = scene.keel(["state", id]).run();
        let state: Value = serde_json::from_str(&outcome.stdout).unwrap_or_default();
        pid = state["pid"].as_i64().filter(|_| state["status"] == "running");
        pid.is_some()
    });
    pid.expect("just seen")
}

/// The socket that a container's process was told of, seen from outside.
#[track_caller]
fn socket_of(pid: i64) -> PathBuf {
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).expect("environ");
    let path = environment.split('\0').find_map(|setting| setting.strip_prefix("NOTIFY_SOCKET="));
    format!("/proc/{pid}/root{}", path.expect("NOTIFY_SOCKET")).into()
}

/// Sends what a process of the container might.
#[track_caller]
fn say(pid: i64, message: &str) {
    let socket = UnixDatagram::unbound().expect("a socket");
    socket.send_to(message.as_bytes(), socket_of(pid)).expect("the container's socket");
}

/// `run --detach` and `create` with `start`: both wait, with what they were called with.
fn detached(scene: &Scene, manager: &Manager, edit: Edit) -> [(&'static str, String, Call); 2] {
    let (id, bundle) = (scene.id(), edit(scene.bundle()));
    let run = under(manager, scene.verb("run", &["--detach"], &bundle, &id)).spawn();
    let (other, bundle) = (scene.id(), edit(scene.bundle()));
    under(manager, scene.verb("create", &[], &bundle, &other)).run().ok();
    let start = under(manager, scene.keel(["start", &other])).spawn();
    [("run --detach", id, run), ("start", other, start)]
}

fn delete(scene: &Scene, id: &str) {
    scene.keel(["delete", "--force", id]).run().ok();
}

#[test]
fn a_foreground_run_passes_on_that_the_container_is_ready() {
    let Some(scene) = Scene::begin() else { return };
    let manager = Manager::begin(&scene);
    let id = scene.id();
    let call = scene.verb("run", &[], &scene.bundle().sleeping(), &id);
    let call = under(&manager, call).spawn();
    say(running(&scene, &id), "READY=1");
    let lines = manager.hears(&format!("MAINPID={}", call.pid()));
    assert_eq!(lines.iter().filter(|line| *line == "READY=1").count(), 1, "{lines:?}");
    scene.keel(["kill", &id, "KILL"]).run().ok();
    call.wait().exits(137);
}

#[test]
fn what_detaches_ends_when_the_container_is_ready_and_the_manager_knows() {
    let Some(scene) = Scene::begin() else { return };
    let manager = Manager::begin(&scene);
    for (how, id, mut call) in detached(&scene, &manager, Bundle::sleeping) {
        let pid = running(&scene, &id);
        assert_eq!(call.ended(), None, "{how} waits");
        say(pid, "STATUS=soon");
        say(pid, "READY=1");
        let lines = manager.hears(&format!("MAINPID={pid}"));
        assert!(lines.iter().any(|line| line == "READY=1"), "{how}: {lines:?}");
        assert!(!lines.iter().any(|line| line.contains("STATUS")), "{how}: {lines:?}");
        manager.releases(&scene, call);
        delete(&scene, &id);
    }
    manager.hears_nothing();
}

#[test]
fn a_manager_may_have_an_abstract_socket() {
    let Some(scene) = Scene::begin() else { return };
    let manager = Manager::abstractly(&scene);
    for (_, id, call) in detached(&scene, &manager, Bundle::sleeping) {
        let pid = running(&scene, &id);
        say(pid, "READY=1");
        manager.hears(&format!("MAINPID={pid}"));
        manager.releases(&scene, call);
        delete(&scene, &id);
    }
}

#[test]
fn a_container_that_ends_without_a_word_keeps_nobody_waiting() {
    let Some(scene) = Scene::begin() else { return };
    let manager = Manager::begin(&scene);
    for (_, id, call) in detached(&scene, &manager, |bundle| bundle.args(["/bin/true"])) {
        call.wait().exits(0);
        delete(&scene, &id);
    }
    let call = scene.verb("run", &[], &scene.bundle().sh("exit 3"), &scene.id());
    under(&manager, call).run().exits(3);
    manager.hears_nothing();
}

#[test]
fn a_process_inside_is_told_where_and_its_word_counts_up_to_its_end() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let manager = Manager::begin(&scene);
    // Busybox has no sd_notify, but its logger sends a datagram to /dev/log.
    const SCRIPT: &str = "echo $NOTIFY_SOCKET; ln -s $NOTIFY_SOCKET /dev/log; ls -A /run/notify; \
        touch /run/notify/x 2>/dev/null || echo read-only; logger 'x\nREADY=1'";
    let edit = |bundle: Bundle| {
        bundle.link("bin/logger", "busybox");
        bundle.sh(SCRIPT).set("/process/env/-", "NOTIFY_SOCKET=/elsewhere")
    };
    let call = scene.verb("run", &[], &edit(scene.bundle()), &scene.id());
    let outcome = under(&manager, call).run().ok();
    assert_eq!(outcome.stdout, format!("{INSIDE}\nnotify.sock\nread-only\n"));
    manager.hears("READY=1");
    for (_, id, call) in detached(&scene, &manager, edit) {
        manager.hears("READY=1");
        manager.releases(&scene, call);
        delete(&scene, &id);
    }
}

#[test]
fn only_that_it_is_ready_is_passed_on_whatever_a_container_sends() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let manager = Manager::begin(&scene);
    let too_long = format!("{}\nREADY=1", "x".repeat(5000));
    let garbage = [
        "",
        "\n\n\n",
        "READY=0",
        "READY=11",
        "STATUS=READY=1",
        "MAINPID=1",
        "BARRIER=1",
        "FDSTORE=1\nFDNAME=x",
        "STOPPING=1",
        "\0READY=1",
        too_long.as_str(),
    ];
    for (how, id, mut call) in detached(&scene, &manager, Bundle::sleeping) {
        let pid = running(&scene, &id);
        for message in garbage {
            say(pid, message);
        }
        assert_eq!(call.ended(), None, "{how} goes on waiting");
        say(pid, "STATUS=up\nREADY=1\nMAINPID=1\nFDSTORE=1");
        let lines = manager.hears("BARRIER=1");
        assert_eq!(lines, ["READY=1", &format!("MAINPID={pid}"), "BARRIER=1"], "{how}");
        call.wait().ok();
        delete(&scene, &id);
    }
    manager.hears_nothing();
}

#[test]
fn descriptors_that_a_container_sends_are_closed() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let manager = Manager::begin(&scene);
    let id = scene.id();
    let call = scene.verb("run", &[], &scene.bundle().sleeping(), &id);
    let call = under(&manager, call).spawn();
    let pid = running(&scene, &id);
    let held = || fs::read_dir(format!("/proc/{}/fd", call.pid())).expect("fd").count();
    let before = held();
    let (ours, theirs) = nix::unistd::pipe().expect("pipe");
    let socket = UnixDatagram::unbound().expect("a socket");
    let address = UnixAddr::new(&socket_of(pid)).expect("an address");
    let descriptors = [theirs.as_raw_fd(); 200];
    for _ in 0..20 {
        let rights = [ControlMessage::ScmRights(&descriptors)];
        let message = [std::io::IoSlice::new(b"FDSTORE=1")];
        let flags = MsgFlags::empty();
        sendmsg(socket.as_raw_fd(), &message, &rights, flags, Some(&address)).expect("sendmsg");
    }
    drop(theirs);
    // The last copy is closed when the last message was taken; else this would wait for ever.
    assert_eq!(nix::unistd::read(&ours, &mut [0; 1]), Ok(0));
    assert_eq!(held(), before);
    scene.keel(["kill", &id, "KILL"]).run().ok();
    call.wait().exits(137);
    manager.hears_nothing();
}

#[test]
fn in_the_foreground_nobody_who_sends_on_has_to_wait() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let manager = Manager::begin(&scene);
    let id = scene.id();
    let call = scene.verb("run", &[], &scene.bundle().sleeping(), &id);
    let call = under(&manager, call).spawn();
    let pid = running(&scene, &id);
    let socket = UnixDatagram::unbound().expect("a socket");
    socket.connect(socket_of(pid)).expect("connect");
    socket.set_write_timeout(Some(patience())).expect("a timeout");
    // Far more than the kernel queues.
    for _ in 0..3000 {
        socket.send(b"READY=1\nWATCHDOG=1").expect("send");
    }
    assert_eq!(manager.hears(&format!("MAINPID={}", call.pid())).len(), 2);
    scene.keel(["kill", &id, "KILL"]).run().ok();
    call.wait().exits(137);
    manager.hears_nothing();
}

#[test]
fn without_a_manager_there_is_no_socket() {
    let Some(scene) = Scene::begin() else { return };
    let script = "echo .$NOTIFY_SOCKET; ls /run/notify 2>/dev/null; echo end";
    assert_eq!(scene.output(&scene.bundle().sh(script)), ".\nend\n");
}

#[test]
fn another_process_in_the_container_is_not_told_of_it() {
    let Some(scene) = Scene::begin() else { return };
    let manager = Manager::begin(&scene);
    let container = scene.start(&scene.bundle().sleeping());
    let call = scene.keel(["exec", container.id(), "sh", "-c", "echo .$NOTIFY_SOCKET"]);
    assert_eq!(under(&manager, call).run().ok().stdout, ".\n");
    container.end();
}

#[test]
fn the_environment_of_start_decides_who_is_told() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let (one, two) = (Manager::begin(&scene), Manager::begin(&scene));
    let (id, bundle) = (scene.id(), scene.bundle().sleeping());
    under(&one, scene.verb("create", &[], &bundle, &id)).run().ok();
    let call = under(&two, scene.keel(["start", &id])).spawn();
    say(running(&scene, &id), "READY=1");
    two.hears("BARRIER=1");
    call.wait().ok();
    one.hears_nothing();
    delete(&scene, &id);
    // A start of nobody's waits for nobody, and who sends is told that nobody listens.
    under(&one, scene.verb("create", &[], &bundle, &id)).run().ok();
    scene.keel(["start", &id]).run().ok();
    let socket = UnixDatagram::unbound().expect("a socket");
    let refused = socket.send_to(b"READY=1", socket_of(running(&scene, &id))).expect_err("nobody");
    assert_eq!(refused.raw_os_error(), Some(nix::errno::Errno::ECONNREFUSED as i32));
    delete(&scene, &id);
    // A container without a socket has nothing to say.
    scene.verb("create", &[], &bundle, &id).run().ok();
    under(&one, scene.keel(["start", &id])).run().ok();
    delete(&scene, &id);
    one.hears_nothing();
}

#[test]
fn a_manager_that_is_not_there_is_an_error_and_nothing_is_made() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let bundle = scene.bundle().sleeping();
    let before = scene.snapshot();
    let missing = scene.dir().join("missing").display().to_string();
    let cases = [
        (missing.as_str(), "no such file or directory"),
        ("@keel-test/nobody", "connection refused"),
        ("relative", "is not the address of a notify socket"),
        ("vsock:2:1234", "is not the address of a notify socket"),
    ];
    for (address, words) in cases {
        for (verb, options) in [("create", &[][..]), ("run", &[]), ("run", &["--detach"])] {
            let call = scene.verb(verb, options, &bundle, &scene.id());
            call.env("NOTIFY_SOCKET", address).run().refused().says(&[words]);
        }
    }
    before.assert_same();
    let container = scene.create(&bundle);
    let call = scene.keel(["start", container.id()]).env("NOTIFY_SOCKET", "relative");
    call.run().refused();
    assert_eq!(container.status(), "created", "it was not started");
}

#[test]
fn a_start_that_is_killed_while_it_waits_leaves_what_delete_removes() {
    let Some(scene) = Scene::begin() else { return };
    let manager = Manager::begin(&scene);
    let before = scene.snapshot();
    for (_, id, call) in detached(&scene, &manager, Bundle::sleeping) {
        let pid = running(&scene, &id);
        call.signal(Signal::SIGKILL);
        assert!(!call.wait().status.success());
        let socket = UnixDatagram::unbound().expect("a socket");
        assert!(socket.send_to(b"READY=1", socket_of(pid)).is_err(), "nobody listens any more");
        assert_eq!(running(&scene, &id), pid, "the container runs on");
        delete(&scene, &id);
    }
    before.assert_same();
    manager.hears_nothing();
}

#[test]
fn a_container_with_a_user_namespace_has_a_socket_of_its_own_root() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let manager = Manager::begin(&scene);
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    let script = "stat -c '%u %g %a' /run/notify /run/notify/notify.sock; exec sleep 1000";
    let bundle = scene
        .bundle()
        .namespace("user", None)
        .set("/linux/uidMappings", mapping.clone())
        .set("/linux/gidMappings", mapping)
        .set("/process/user/uid", 1000)
        .sh(script);
    bundle.directory("run/notify");
    let id = scene.id();
    let call = scene.verb("run", &["--detach"], &bundle, &id);
    let call = under(&manager, call).spawn();
    say(running(&scene, &id), "READY=1");
    manager.hears("BARRIER=1");
    assert_eq!(call.wait().ok().stdout, "0 0 755\n0 0 777\n");
    delete(&scene, &id);
}

#[test]
fn a_container_without_a_mount_namespace_cannot_have_one() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let manager = Manager::begin(&scene);
    let bundle = scene
        .bundle()
        .without_namespace("mount")
        .writable()
        .set("/mounts", json!([]))
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]));
    let call = under(&manager, scene.verb("create", &[], &bundle, &scene.id()));
    call.run().refused().says(&["a notify socket needs a mount namespace"]);
}

// A link of the image must not lead the mount or the socket to the host.
#[test]
fn a_directory_that_is_a_link_leads_nowhere_outside_the_image() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let manager = Manager::begin(&scene);
    let outside = scene.directory("outside");
    let bundle = scene.bundle().args(["/bin/true"]);
    bundle.link("run", &outside);
    let call = scene.verb("run", &[], &bundle, &scene.id());
    under(&manager, call).run().ok();
    assert_eq!(fs::read_dir(&outside).expect("outside").count(), 0);
}
