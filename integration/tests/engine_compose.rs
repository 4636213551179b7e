//! docker-compose with the runtime under test: an application of three services, which are
//! PostgreSQL, a program in Python and nginx (`engine_compose/compose.yaml`).
//!
//! Docker's daemon, its bridges and its firewall are in namespaces of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use integration::bundle::write;
use integration::docker::{Docker, FIREWALL, LAYERS, LIMITS, PROGRAMS};
use integration::docker_like::DockerLike;
use integration::runtime::{Invocation, scaled, until};
use integration::{Need, Scene, debian};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The application's files.
const FILES: [(&str, &str); 5] = [
    ("compose.yaml", include_str!("engine_compose/compose.yaml")),
    ("database.sh", include_str!("engine_compose/database.sh")),
    ("web.py", include_str!("engine_compose/web.py")),
    ("gateway.conf", include_str!("engine_compose/gateway.conf")),
    ("client.py", include_str!("engine_compose/client.py")),
];

/// A scene and the image's archive, if everything is there.
fn scene() -> Option<(Scene, PathBuf)> {
    let programs = ["docker-compose", "unshare", "nsenter", "ip", "iptables"].map(Need::Program);
    debian::scene(&[&PROGRAMS[..], &LIMITS, &programs].concat())
}

/// The application, which is up.
struct Application<'a> {
    docker: Docker<'a>,
    dir: PathBuf,
}

impl<'a> Application<'a> {
    fn start(scene: &'a Scene, image: &Path) -> Self {
        let dir = scene.directory("notes");
        for (name, content) in FILES {
            write(&dir.join(name), content.as_bytes());
        }
        let docker = Docker::started(scene, |call| {
            let own = ["unshare", "--net", "--mount", "sh", "-c"];
            let call = call.under(["ip link set lo up && exec \"$@\"", "sh"]).under(own);
            call.args(FIREWALL).arg(LAYERS)
        });
        docker.load(image);
        let application = Self { docker, dir };
        application.compose(&["up", "--detach", "gateway"]).run().ok();
        application
    }

    fn compose(&self, words: &[&str]) -> Invocation {
        let call = self.docker.scene().call("docker-compose").cwd(&self.dir);
        let call = call.env("HOME", &self.dir).env("DOCKER_HOST", self.docker.host());
        // It waits for the database, which makes its files first.
        let call = call.patience(scaled(Duration::from_secs(180)));
        call.args(["--ansi", "never", "--file", "compose.yaml"]).args(words)
    }

    /// Asks through the published port, and gives the answer, if there is one.
    fn ask(&self, path: &str, options: &[&str]) -> Option<String> {
        let busybox = self.docker.scene().dir().with_file_name("busybox").display().to_string();
        let url = format!("http://127.0.0.1:8080{path}");
        let call = self.docker.near(&[&busybox, "wget", "-q", "-O", "-"]).args(options).arg(url);
        let outcome = call.run();
        outcome.status.success().then_some(outcome.stdout)
    }

    /// Waits until the whole application answers with this list of notes.
    #[track_caller]
    fn expect_notes(&self, notes: &str) {
        until("the notes", || self.ask("/", &[]).as_deref() == Some(notes));
    }

    /// Stops everything, and checks that nothing of it is there.
    #[track_caller]
    fn down(&self, options: &[&str]) {
        self.compose(&["down"]).args(options).run().ok();
        assert_eq!(self.docker.call(&["ps", "--all", "--quiet"]).run().ok().stdout, "");
    }
}

#[test]
fn services_wait_for_each_other_have_their_limits_and_data_outlives_them() {
    let Some((scene, image)) = scene() else { return };
    let application = Application::start(&scene, &image);
    let docker = &application.docker;
    application.expect_notes("");
    // Without the database it would have ended, and been restarted.
    assert_eq!(docker.inspect("notes_web_1", "RestartCount"), "0");
    assert_eq!(docker.inspect("notes_database_1", "State.Health.Status"), "healthy");
    assert_eq!(docker.limits("notes_database_1"), ["268435456", "150000", "100"]);
    assert_eq!(docker.limits("notes_web_1"), ["67108864", "50000", "20"]);
    for note in ["one", "two"] {
        let option = format!("--post-data={note}");
        assert_eq!(application.ask("/", &[&option]).as_deref(), Some("kept\n"));
    }
    application.expect_notes("one\ntwo\n");
    let database = docker.inspect("notes_database_1", "Id");
    application.down(&[]);

    application.compose(&["up", "--detach", "gateway"]).run().ok();
    assert_ne!(docker.inspect("notes_database_1", "Id"), database);
    application.expect_notes("one\ntwo\n");
    application.down(&["--volumes"]);
    assert_eq!(docker.call(&["volume", "ls", "--quiet"]).run().ok().stdout, "");
}

#[test]
fn a_service_that_is_killed_comes_back_can_be_many_and_tells_its_exit_code() {
    let Some((scene, image)) = scene() else { return };
    let application = Application::start(&scene, &image);
    let docker = &application.docker;
    application.expect_notes("");
    let pid = docker.inspect("notes_web_1", "State.Pid");
    kill(Pid::from_raw(pid.parse().expect("a pid")), Signal::SIGKILL).expect("kill");
    until("the restart", || docker.inspect("notes_web_1", "RestartCount") == "1");
    application.expect_notes("");
    assert_ne!(docker.inspect("notes_web_1", "State.Pid"), pid);

    application.compose(&["up", "--detach", "--scale", "web=3", "gateway"]).run().ok();
    let mut names = BTreeSet::new();
    until("answers of three containers", || {
        names.extend(application.ask("/name", &[]));
        names.len() == 3
    });
    let ids = (1..=3).map(|number| docker.inspect(&format!("notes_web_{number}"), "Id"));
    assert_eq!(names, ids.map(|id| id[..12].to_owned()).collect());

    assert_eq!(application.ask("/", &["--post-data=note"]).as_deref(), Some("kept\n"));
    let call = application.compose(&["up", "--exit-code-from", "client", "client"]);
    let outcome = call.run().exits(6);
    assert!(outcome.stdout.contains("the notes are ['note']"), "{outcome:?}");
    application.down(&["--volumes"]);
}
