//! The terminal of a process in the foreground, under trying conditions: for `run` and for `exec`.
//!
//! A caller that does not read, a process that is killed, output up to the last moment.

use std::fs::{self, File};
use std::io::{PipeReader, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use integration::console::Terminal;
use integration::runtime::{Call, Invocation, until};
use integration::{Container, Need, Scene};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The needs of a call on a terminal.
const NEEDS: [Need; 2] = [Need::Program("setsid"), Need::Program("stty")];

/// A command that stands for a process on a terminal of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Run,
    Exec,
}

/// A call under way in the foreground, and what it needs to live.
struct Foreground<'a> {
    /// What `exec` enters.
    container: Option<Container<'a>>,
    /// Where the process may write files, on the host.
    tmp: PathBuf,
    pid_file: PathBuf,
}

impl<'a> Foreground<'a> {
    /// The command for a script, and what goes with it.
    fn prepare(scene: &'a Scene, how: How, script: &str) -> (Self, Invocation) {
        let bundle = scene.bundle().writable();
        let tmp = bundle.rootfs().join("tmp");
        let pid_file = scene.dir().join(scene.id());
        let file = pid_file.display().to_string();
        let (container, call) = match how {
            How::Run => {
                let bundle = bundle.sh(script).set("/process/terminal", true);
                (None, scene.verb("run", &["--pid-file", &file], &bundle, &scene.id()))
            }
            How::Exec => {
                let container = scene.start(&bundle.sleeping());
                let words = ["exec", "--tty", "--pid-file", &file, container.id()];
                let call = scene.keel(words).args(["sh", "-c", script]);
                (Some(container), call)
            }
        };
        (Self { container, tmp, pid_file }, call)
    }

    /// The process it stands for.
    #[track_caller]
    fn pid(&self) -> Pid {
        until("the pid file", || fs::metadata(&self.pid_file).is_ok());
        let text = fs::read_to_string(&self.pid_file).expect("the pid file");
        Pid::from_raw(text.parse().expect("a pid"))
    }

    fn end(self) {
        if let Some(container) = self.container {
            container.end();
        }
    }
}

fn copy(slave: &OwnedFd) -> OwnedFd {
    slave.try_clone().expect("dup")
}

/// Starts a call on a terminal.
fn on(call: Invocation, slave: &OwnedFd) -> Call {
    let call = call.under(["setsid", "--ctty"]);
    call.stdin(copy(slave)).stdout(copy(slave)).stderr(copy(slave)).spawn()
}

fn settings(slave: &OwnedFd) -> String {
    let output = Command::new("stty").arg("-g").stdin(copy(slave)).output().expect("stty");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The processor time that a process has used, in ticks of a hundredth of a second.
fn ticks(pid: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
    let fields = stat.rsplit_once(')').expect("a name").1;
    // utime and stime, proc(5) fields 14 and 15; the state is field 3.
    let times = fields.split_whitespace().skip(11).take(2);
    times.map(|time| time.parse::<u64>().expect("a number")).sum()
}

/// A stream that nobody reads.
fn unread() -> (PipeReader, Stdio) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    (reader, writer.into())
}

/// Demands the numbers up to this one, each in a line of its own.
#[track_caller]
fn assert_numbers(text: &str, last: usize) {
    let mut lines = text.lines().map(|line| line.trim_end_matches('\r'));
    for number in 1..=last {
        assert_eq!(lines.next(), Some(number.to_string().as_str()), "bytes are lost or doubled");
    }
}

#[test]
fn the_callers_terminal_is_as_it_was_after_the_process_was_killed() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    for how in [How::Run, How::Exec] {
        let (mut terminal, slave) = Terminal::open(24, 80);
        let before = settings(&slave);
        let script = "echo ready; exec sleep 1000";
        let (foreground, call) = Foreground::prepare(&scene, how, script);
        let call = on(call, &slave);
        terminal.expect("ready");
        assert_ne!(settings(&slave), before, "raw while the process runs");
        kill(foreground.pid(), Signal::SIGKILL).expect("kill");
        call.wait().exits(137);
        assert_eq!(settings(&slave), before, "{how:?}");
        foreground.end();
    }
}

#[test]
fn the_callers_terminal_is_as_it_was_after_a_start_that_failed() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let (_terminal, slave) = Terminal::open(24, 80);
    let before = settings(&slave);
    let hook = "cat >/dev/null; exit 1";
    let bundle = scene.bundle().set("/process/terminal", true).hook("startContainer", hook);
    let call = scene.verb("run", &[], &bundle, &scene.id());
    assert!(!on(call, &slave).wait().status.success());
    assert_eq!(settings(&slave), before);
}

/// While nobody reads, the process writes numbers, and a helper beside it counts the time.
const WRITER: &str = "(i=0; while [ $i -lt 300 ]; do i=$((i + 1)); usleep 10000; \
    [ $i != 100 ] || touch /tmp/early; done; touch /tmp/late) </dev/null >/dev/null 2>&1 & \
    seq 1 100000; echo end";

/// Demands that the command sleeps once its output is full.
#[track_caller]
fn assert_idle_while_nobody_reads(call: &Call, tmp: &Path) {
    const MOST: u64 = 10;
    until("a full output", || fs::metadata(tmp.join("early")).is_ok());
    let before = ticks(call.pid());
    until("two seconds more", || fs::metadata(tmp.join("late")).is_ok());
    let used = ticks(call.pid()) - before;
    assert!(used < MOST, "it used {used} ticks of processor time for nothing");
}

#[test]
fn nobody_reads_a_pipe_and_the_command_sleeps_and_nothing_is_lost() {
    let Some(scene) = Scene::begin() else { return };
    for how in [How::Run, How::Exec] {
        let (foreground, call) = Foreground::prepare(&scene, how, WRITER);
        let (mut reader, writer) = unread();
        let call = call.stdout(writer).spawn();
        assert_idle_while_nobody_reads(&call, &foreground.tmp);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("read");
        assert_numbers(&text, 100_000);
        call.wait().exits(0);
        foreground.end();
    }
}

#[test]
fn nobody_reads_the_callers_terminal_and_the_command_sleeps_and_nothing_is_lost() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    for how in [How::Run, How::Exec] {
        let (mut terminal, slave) = Terminal::open(24, 80);
        let (foreground, call) = Foreground::prepare(&scene, how, WRITER);
        let call = on(call, &slave);
        assert_idle_while_nobody_reads(&call, &foreground.tmp);
        assert_numbers(&terminal.expect("end"), 100_000);
        call.wait().exits(0);
        foreground.end();
    }
}

#[test]
fn what_is_written_right_before_the_end_arrives_whole() {
    let Some(scene) = Scene::begin() else { return };
    const SIZE: usize = 1 << 20;
    let script = format!("head -c {SIZE} /dev/zero | tr '\\0' x; exit 5");
    for how in [How::Run, How::Exec] {
        // Into a file.
        let (foreground, call) = Foreground::prepare(&scene, how, &script);
        let outcome = call.run().exits(5);
        assert_eq!(outcome.stdout.len(), SIZE, "{how:?} into a file");
        foreground.end();
        // Into a pipe whose reader begins when the process has ended.
        let (foreground, call) = Foreground::prepare(&scene, how, &script);
        let (mut reader, writer) = unread();
        let call = call.stdout(writer).spawn();
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).expect("read");
        assert_eq!(bytes.len(), SIZE, "{how:?} into a pipe");
        assert!(bytes.iter().all(|byte| *byte == b'x'));
        call.wait().exits(5);
        foreground.end();
    }
}

#[test]
fn a_reader_that_comes_after_the_end_finds_everything() {
    let Some(scene) = Scene::begin() else { return };
    // More than a pipe takes, and less than a pipe and the kernel's buffers of a terminal.
    const SIZE: usize = 66_000;
    let script = format!("head -c {SIZE} /dev/zero | tr '\\0' x; exit 5");
    for how in [How::Run, How::Exec] {
        let (foreground, call) = Foreground::prepare(&scene, how, &script);
        let (mut reader, writer) = unread();
        let call = call.stdout(writer).spawn();
        let pid = foreground.pid();
        until("the end of the process", || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(')').is_none_or(|(_, rest)| rest.starts_with(" Z"))
        });
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).expect("read");
        assert_eq!(bytes.len(), SIZE, "{how:?}");
        call.wait().exits(5);
        foreground.end();
    }
}

#[test]
fn a_reader_that_is_gone_stops_nobody() {
    let Some(scene) = Scene::begin() else { return };
    for how in [How::Run, How::Exec] {
        let script = "seq 1 100000; exit 6";
        let (foreground, call) = Foreground::prepare(&scene, how, script);
        let (reader, writer) = unread();
        drop(reader);
        call.stdout(writer).run().exits(6);
        foreground.end();
    }
}

#[test]
fn a_resize_of_the_callers_terminal_is_followed() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let script = "stty size; trap 'stty size; echo changed' WINCH; echo ready; \
        while :; do sleep 0.01; done";
    for how in [How::Run, How::Exec] {
        let (mut terminal, slave) = Terminal::open(31, 99);
        let (foreground, call) = Foreground::prepare(&scene, how, script);
        let call = on(call, &slave);
        let seen = terminal.expect("ready");
        // runc sets the size after it has started the process, so what is seen there is chance.
        assert!(seen.contains("31 99") || !scene.is_keel(), "{how:?}: {seen}");
        let resized =
            Command::new("stty").args(["rows", "40", "cols", "120"]).stdin(copy(&slave)).status();
        assert!(resized.expect("stty").success());
        call.signal(Signal::SIGWINCH);
        terminal.expect("40 120");
        kill(foreground.pid(), Signal::SIGKILL).expect("kill");
        call.wait().exits(137);
        foreground.end();
    }
}

#[test]
fn input_reaches_the_process_whole_and_its_end_is_told() {
    let Some(scene) = Scene::begin() else { return };
    // Lines that are no longer than a terminal takes.
    let lines: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
    let path = scene.dir().join("input");
    integration::bundle::write(&path, lines.as_bytes());
    for how in [How::Run, How::Exec] {
        let script = "stty -echo; cat >/tmp/got; cmp /tmp/got /tmp/got && wc -c </tmp/got";
        let (foreground, call) = Foreground::prepare(&scene, how, script);
        let call = call.stdin(File::open(&path).expect("open"));
        let outcome = call.run().exits(0);
        assert!(outcome.stdout.ends_with(&format!("{}\n", lines.len())), "{how:?}: {outcome:?}");
        assert_eq!(fs::read_to_string(foreground.tmp.join("got")).expect("got"), lines, "{how:?}");
        foreground.end();
    }
}
