//! Terminals: the console that an engine gets over a socket, and the one of a foreground run.

use std::os::fd::OwnedFd;
use std::process::Command;

use integration::console::{ConsoleSocket, Terminal};
use integration::runtime::Call;
use integration::{Bundle, Container, Need, Scene};
use nix::sys::signal::Signal;
use serde_json::json;

/// A container with a terminal, created, and the terminal.
fn create(scene: &Scene, bundle: Bundle) -> (Container<'_>, Terminal) {
    let path = scene.dir().join(scene.id());
    let socket = ConsoleSocket::at(&path);
    let options = ["--console-socket", path.to_str().expect("UTF-8")];
    let container = scene.create_with(&options, &bundle.set("/process/terminal", true));
    let terminal = socket.receive();
    (container, terminal)
}

/// A foreground run in a session of its own on a terminal of the test's.
fn run(scene: &Scene, bundle: Bundle, rows: u16, columns: u16) -> (Call, Terminal) {
    let (terminal, slave) = Terminal::open(rows, columns);
    let bundle = bundle.set("/process/terminal", true);
    let call = scene.verb("run", &[], &bundle, &scene.id()).under(["setsid", "--ctty"]);
    let copy = |fd: &OwnedFd| fd.try_clone().expect("dup");
    let call = call.stdin(copy(&slave)).stdout(copy(&slave)).stderr(copy(&slave)).spawn();
    (call, terminal)
}

#[test]
fn a_created_container_sends_its_console_over_the_socket() {
    let Some(scene) = Scene::begin() else { return };
    let script = "tty; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo terminal; read l; echo got $l";
    let (container, mut terminal) = create(&scene, scene.bundle().sh(script));
    container.start();
    terminal.expect("terminal");
    terminal.send("typed\n");
    let seen = terminal.expect("got typed");
    assert!(seen.contains("/dev/pts/0"), "{seen}");
    container.until("stopped");
    container.delete();
}

#[test]
fn a_detached_run_sends_its_console_too() {
    let Some(scene) = Scene::begin() else { return };
    let path = scene.dir().join("socket");
    let socket = ConsoleSocket::at(&path);
    let bundle = scene.bundle().set("/process/terminal", true).sh("echo hello; sleep 1000");
    let id = scene.id();
    let options = ["--detach", "--console-socket", path.to_str().expect("UTF-8")];
    scene.verb("run", &options, &bundle, &id).run().ok();
    socket.receive().expect("hello");
    scene.keel(["delete", "--force", &id]).run().ok();
}

#[test]
fn a_socket_with_a_long_path_works() {
    let Some(scene) = Scene::begin() else { return };
    let long = scene.directory(&"long".repeat(50));
    // An address holds 107 bytes, so the test itself goes through a descriptor of the directory.
    let dir = std::fs::File::open(&long).expect("open");
    let short = format!("/proc/self/fd/{}/socket", std::os::fd::AsRawFd::as_raw_fd(&dir));
    let socket = ConsoleSocket::at(short.as_ref());
    let bundle = scene.bundle().set("/process/terminal", true).sh("echo hello");
    let path = long.join("socket");
    let options = ["--console-socket", path.to_str().expect("UTF-8")];
    let container = scene.create_with(&options, &bundle);
    let mut terminal = socket.receive();
    container.start();
    terminal.expect("hello");
    container.until("stopped");
    container.delete();
}

#[test]
fn the_console_is_the_controlling_terminal_and_belongs_to_the_user() {
    let Some(scene) = Scene::begin() else { return };
    let script = "echo tty >/dev/tty; stat -c '%u %g %a' /dev/pts/0; \
        stat -c '%t:%T' /dev/console /dev/pts/0; echo console >/dev/console; echo end";
    let bundle = scene.bundle().set("/process/user/uid", 1000).sh(script);
    let (container, mut terminal) = create(&scene, bundle);
    container.start();
    let seen = terminal.expect("end").replace('\r', "");
    assert!(seen.starts_with("tty\n1000 5 620\n88:0\n88:0\nconsole\n"), "{seen}");
    container.until("stopped");
    container.delete();
}

#[test]
fn the_size_of_the_console_is_what_the_configuration_says() {
    let Some(scene) = Scene::begin() else { return };
    let size = json!({ "height": 33, "width": 101 });
    let bundle = scene.bundle().set("/process/consoleSize", size).sh("stty size; echo end");
    let (container, mut terminal) = create(&scene, bundle);
    container.start();
    let seen = terminal.expect("end");
    assert!(seen.contains("33 101"), "{seen}");
    container.until("stopped");
    container.delete();
}

#[test]
fn a_foreground_run_has_a_terminal_of_its_own_and_not_the_callers() {
    let Some(scene) = Scene::needing(&[Need::Program("setsid")]) else { return };
    let script = "tty; stat -c %t:%T /dev/pts/0; stty -a | grep -c speed; echo end";
    let (call, mut terminal) = run(&scene, scene.bundle().sh(script), 24, 80);
    let seen = terminal.expect("end");
    assert!(seen.contains("/dev/pts/0"), "{seen}");
    call.wait().exits(0);
}

#[test]
fn a_foreground_run_copies_what_is_typed_and_what_is_written() {
    let Some(scene) = Scene::needing(&[Need::Program("setsid")]) else { return };
    let script = "echo ready; read line; echo \"got $line\"; exit 9";
    let (call, mut terminal) = run(&scene, scene.bundle().sh(script), 24, 80);
    terminal.expect("ready");
    terminal.send("typed\n");
    terminal.expect("got typed");
    call.wait().exits(9);
}

#[test]
fn keys_that_send_signals_reach_the_container_and_not_the_runtime() {
    let Some(scene) = Scene::needing(&[Need::Program("setsid")]) else { return };
    let script = "trap 'echo interrupted; exit 12' INT; echo ready; while :; do sleep 0.01; done";
    let (call, mut terminal) = run(&scene, scene.bundle().sh(script), 24, 80);
    terminal.expect("ready");
    terminal.send("\u{3}");
    terminal.expect("interrupted");
    call.wait().exits(12);
}

#[test]
fn the_size_of_the_callers_terminal_is_taken_over_and_followed() {
    let Some(scene) = Scene::needing(&[Need::Program("setsid"), Need::Program("stty")]) else {
        return;
    };
    let script = "stty size; trap 'stty size; echo changed' WINCH; echo ready; \
        while :; do sleep 0.01; done";
    let (terminal, slave) = Terminal::open(31, 99);
    let bundle = scene.bundle().sh(script).set("/process/terminal", true);
    let call = scene.verb("run", &[], &bundle, &scene.id()).under(["setsid", "--ctty"]);
    let copy = || slave.try_clone().expect("dup");
    let call = call.stdin(copy()).stdout(copy()).stderr(copy()).spawn();
    let mut terminal = terminal;
    let seen = terminal.expect("ready");
    // runc sets the size after it has started the process, so what is seen there is chance.
    assert!(seen.contains("31 99") || !scene.is_keel(), "{seen}");
    let resized = Command::new("stty").args(["rows", "40", "cols", "120"]).stdin(copy()).status();
    assert!(resized.expect("stty").success());
    call.signal(Signal::SIGWINCH);
    terminal.expect("40 120");
    call.signal(Signal::SIGKILL);
}

#[test]
fn the_callers_terminal_is_as_it_was_after_a_foreground_run() {
    let Some(scene) = Scene::needing(&[Need::Program("setsid"), Need::Program("stty")]) else {
        return;
    };
    let (mut terminal, slave) = Terminal::open(24, 80);
    let copy = || slave.try_clone().expect("dup");
    let settings = || {
        let output = Command::new("stty").arg("-g").stdin(copy()).output().expect("stty");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let before = settings();
    let bundle = scene.bundle().sh("echo ready; read line").set("/process/terminal", true);
    let call = scene.verb("run", &[], &bundle, &scene.id()).under(["setsid", "--ctty"]);
    let call = call.stdin(copy()).stdout(copy()).stderr(copy()).spawn();
    terminal.expect("ready");
    assert_ne!(settings(), before, "raw while the container runs");
    terminal.send("\n");
    call.wait().exits(0);
    assert_eq!(settings(), before);
}

#[test]
fn nothing_that_was_written_to_a_terminal_is_lost_at_the_end() {
    let Some(scene) = Scene::needing(&[Need::Program("setsid")]) else { return };
    let (call, mut terminal) = run(&scene, scene.bundle().sh("seq 1 20000"), 24, 80);
    let seen = terminal.expect("20000");
    call.wait().exits(0);
    let lines: Vec<&str> = seen.lines().map(str::trim_end).collect();
    assert_eq!(lines.len(), 20_000);
    assert_eq!((lines[0], lines[19_999]), ("1", "20000"));
}

#[test]
fn hanging_up_the_console_ends_the_container() {
    let Some(scene) = Scene::begin() else { return };
    let (container, mut terminal) = create(&scene, scene.bundle().sh("echo ready; sleep 1000"));
    container.start();
    terminal.expect("ready");
    assert_eq!(container.status(), "running");
    drop(terminal);
    // Process 1 of a pid namespace is not ended by SIGHUP unless it wants to be.
    container.kill("KILL").ok();
    container.until("stopped");
    container.delete();
}
