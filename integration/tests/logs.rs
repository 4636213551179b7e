//! Where the log goes: a file, the journal, or syslog, each a real one that the test reads.
//!
//! The sockets of the journal and of syslog have fixed paths. The runtime is called in a mount
//! namespace in which those paths lead to sockets of the test; the host's are never touched.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use integration::runtime::{Invocation, patience};
use integration::{Need, Scene};
use serde_json::Value;

const NEEDS: &[Need] = &[Need::Keel, Need::Program("unshare")];

/// Makes a `/run` and a `/dev` of its own with the test's socket at one path, if there is one, and
/// calls the rest of the words.
const SCRIPT: &str = r#"
set -e
socket=$1 path=$2 dev=$3; shift 3
mkdir "$dev"
mount -t tmpfs tmpfs "$dev"
for node in null zero full random urandom tty ptmx; do
    touch "$dev/$node"
    mount --bind "/dev/$node" "$dev/$node"
done
mount --move "$dev" /dev
mount -t tmpfs tmpfs /run
if [ -n "$socket" ]; then
    mkdir -p "$(dirname "$path")"
    touch "$path"
    mount --bind "$socket" "$path"
fi
exec "$@"
"#;

const JOURNAL: &str = "/run/systemd/journal/socket";
const SYSLOG: &str = "/dev/log";

/// A receiver of datagrams, at a path of the host.
struct Receiver(UnixDatagram, PathBuf);

impl Receiver {
    fn at(scene: &Scene) -> Self {
        let path = scene.dir().join("socket");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(patience())).expect("a timeout");
        Self(socket, path)
    }

    fn next(&self) -> Vec<u8> {
        let mut buffer = vec![0; 1 << 20];
        let length = self.0.recv(&mut buffer).expect("a datagram");
        buffer.truncate(length);
        buffer
    }

    fn text(&self) -> String {
        String::from_utf8(self.next()).expect("UTF-8")
    }

    fn is_empty(&self) -> bool {
        self.0.set_read_timeout(Some(Duration::from_millis(1))).expect("a timeout");
        self.0.recv(&mut [0]).is_err()
    }
}

/// A call of the runtime with the receiver at `path`.
fn call(scene: &Scene, receiver: Option<&Receiver>, path: &str, words: &[&str]) -> Invocation {
    let socket = receiver.map_or("", |receiver| receiver.1.to_str().expect("UTF-8"));
    let dev = scene.dir().join(format!("dev-{}", scene.id()));
    scene
        .call("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", SCRIPT, "sh", socket, path])
        .arg(dev)
        .arg(scene.runtime().program())
        .arg("--root")
        .arg(scene.state_root())
        .args(words)
}

const MISSING: &str = "container \"web\" does not exist";

#[test]
fn the_journal_gets_an_error_with_its_fields() {
    let Some(scene) = Scene::needing(NEEDS) else { return };
    let receiver = Receiver::at(&scene);
    for (log, name) in [("journald:", "keel"), ("journald:engine", "engine")] {
        let outcome = call(&scene, Some(&receiver), JOURNAL, &["--log", log, "state", "web"]).run();
        outcome.exits(1).says(&[&format!("keel: {MISSING}\n")]);
        let entry = receiver.text();
        let fields: Vec<&str> = entry.lines().collect();
        let identifier = format!("SYSLOG_IDENTIFIER={name}");
        let message = format!("MESSAGE={MISSING}");
        assert_eq!(fields, ["PRIORITY=3", &identifier, &message, "KEEL_KIND=not-found"]);
    }
    let words = ["--log=journald:", "--log-format=json", "state", "web"];
    call(&scene, Some(&receiver), JOURNAL, &words).run().exits(1);
    let entry = receiver.text();
    let json = entry.lines().find_map(|line| line.strip_prefix("MESSAGE=")).expect("a message");
    let json: Value = serde_json::from_str(json).expect("JSON");
    assert_eq!((&json["msg"], &json["kind"]), (&MISSING.into(), &"not-found".into()));
    assert!(receiver.is_empty());
}

#[test]
fn syslog_gets_an_error_as_one_line() {
    let Some(scene) = Scene::needing(NEEDS) else { return };
    let receiver = Receiver::at(&scene);
    for (log, name) in [("syslog:", "keel"), ("syslog:engine", "engine")] {
        let outcome = call(&scene, Some(&receiver), SYSLOG, &["--log", log, "state", "web"]).run();
        outcome.exits(1).says(&[MISSING]);
        let line = receiver.text();
        let rest = line.strip_prefix(&format!("<11>{name}[")).unwrap_or_else(|| panic!("{line}"));
        let (pid, message) = rest.split_once("]: ").expect("a pid");
        assert!(pid.parse::<u32>().is_ok(), "{line}");
        assert_eq!(message, MISSING);
    }
    assert!(receiver.is_empty());
}

#[test]
fn a_container_is_made_though_the_journal_does_not_read_all_that_is_done() {
    let Some(scene) = Scene::needing(NEEDS) else { return };
    let receiver = Receiver::at(&scene);
    let bundle = scene.bundle();
    bundle.save();
    let id = scene.id();
    let dir = bundle.dir().to_str().expect("UTF-8");
    let words = ["--log=journald:", "--log-level=debug", "run", "--bundle", dir, &id];
    call(&scene, Some(&receiver), JOURNAL, &words).run().ok();
    let entry = receiver.text();
    assert!(entry.starts_with("PRIORITY=7\nSYSLOG_IDENTIFIER=keel\nMESSAGE="), "{entry}");
}

#[test]
fn a_log_that_nobody_receives_is_refused_before_anything_is_done() {
    let Some(scene) = Scene::needing(NEEDS) else { return };
    let bundle = scene.bundle();
    bundle.save();
    let dir = bundle.dir().to_str().expect("UTF-8");
    for (log, path) in [("journald:", JOURNAL), ("syslog:", SYSLOG)] {
        let words = ["--log", log, "create", "--bundle", dir, "web"];
        let outcome = call(&scene, None, path, &words).run().exits(1).refused();
        let what = if log == "syslog:" { "syslog" } else { "the journal" };
        let expected = format!("keel: cannot log to {what}, {path}: no such file or directory\n");
        assert_eq!(outcome.stderr, expected);
        assert!(!scene.state_root().is_dir());
    }
}

#[test]
fn a_file_may_be_named_as_one() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    // A name that would mean something else without its prefix.
    let call = scene.keel(["--log"]).arg("x").args(["list"]);
    call.cwd(scene.directory("plain")).run().ok();
    let dir = scene.directory("named");
    let program = scene.runtime().program();
    let call = scene.call(program).args(["--log", "file:syslog:one", "state", "web"]).cwd(&dir);
    call.run().exits(1);
    let text = fs::read_to_string(dir.join("syslog:one")).expect("the log");
    assert!(text.contains("level=error msg=\"container \\\"web\\\" does not exist\""), "{text}");
}

#[test]
fn the_level_decides_what_is_logged() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    // Tolerated with a warning.
    let bundle = scene.bundle().set("/process/capabilities/bounding/-", "CAP_MOON");
    bundle.save();
    for (flags, warning, debug) in [
        (&["--log-level", "error"][..], false, false),
        (&[], true, false),
        (&["--log-level", "warning"], true, false),
        (&["--log-level", "debug"], true, true),
        (&["--debug"], true, true),
    ] {
        let call = scene.keel(flags).args(["run", "--bundle"]).arg(bundle.dir()).arg(scene.id());
        let said = call.run().ok().stderr;
        assert_eq!(said.contains("keel: warning: "), warning, "{flags:?}: {said}");
        assert_eq!(said.contains("keel: debug: "), debug, "{flags:?}: {said}");
    }
}
