//! The relay with real terminals and pipes.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcsetattr};

use super::*;

/// A relay with the other ends of everything it joins.
struct Scene {
    relay: Relay,
    /// The container's side of the terminal.
    slave: Option<File>,
    /// The caller's side of its input and output.
    keys: Option<PipeWriter>,
    screen: Option<PipeReader>,
}

fn scene() -> Scene {
    let (input, keys) = pipe().unwrap();
    let (screen, output) = pipe().unwrap();
    let (master, slave) = terminal();
    Scene {
        relay: Relay::new(master, input.into(), output.into()).unwrap(),
        slave: Some(slave),
        keys: Some(keys),
        screen: Some(screen),
    }
}

/// A terminal that passes bytes on as they are.
fn terminal() -> (OwnedFd, File) {
    let pty = openpty(None, None).unwrap();
    let mut modes = tcgetattr(&pty.slave).unwrap();
    cfmakeraw(&mut modes);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &modes).unwrap();
    (pty.master, File::from(pty.slave))
}

/// A terminal that passes lines on.
fn cooked() -> (OwnedFd, File) {
    let pty = openpty(None, None).unwrap();
    (pty.master, File::from(pty.slave))
}

fn null() -> OwnedFd {
    File::options().read(true).write(true).open("/dev/null").unwrap().into()
}

/// Wait as `foreground` does; none if nothing happened in the time given.
fn wait(relay: &Relay, milliseconds: u16) -> Option<Ready> {
    let (sides, mut fds): (Vec<_>, Vec<_>) =
        relay.interests().map(|(side, fd, events)| (side, PollFd::new(fd, events))).unzip();
    let count = poll(&mut fds, PollTimeout::from(milliseconds)).unwrap();
    let at = |side| sides.iter().zip(&fds).any(|(s, fd)| *s == side && fd.any().unwrap());
    (count > 0).then(|| Ready {
        master: at(Side::Master),
        input: at(Side::Input),
        output: at(Side::Output),
    })
}

/// Copy until `enough`, for ten seconds at most.
fn copy_until(relay: &mut Relay, mut enough: impl FnMut(&Relay) -> bool) {
    let start = Instant::now();
    let mut more = relay.step(Ready::default());
    while !enough(relay) {
        assert!(start.elapsed() < Duration::from_secs(10), "nothing moves any more");
        let ready = if more { Ready::default() } else { wait(relay, 50).unwrap_or_default() };
        more = relay.step(ready);
    }
}

/// How often there is something to do within a quarter of a second.
fn wake_ups(relay: &mut Relay) -> usize {
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < Duration::from_millis(250) {
        if let Some(ready) = wait(relay, 50) {
            count += 1;
            relay.step(ready);
        }
    }
    count
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[test]
fn everything_a_container_wrote_arrives_though_the_reader_is_slow() {
    let mut scene = scene();
    let sent = pattern(300_000);
    let (mut slave, mut screen) = (scene.slave.take().unwrap(), scene.screen.take().unwrap());
    let container = thread::spawn({
        let sent = sent.clone();
        move || slave.write_all(&sent).unwrap()
    });
    let reader = thread::spawn(move || {
        let (mut all, mut piece) = (Vec::new(), [0; 3000]);
        loop {
            match screen.read(&mut piece).unwrap() {
                0 => return all,
                count => all.extend_from_slice(&piece[..count]),
            }
            thread::sleep(Duration::from_millis(1));
        }
    });
    copy_until(&mut scene.relay, |_| container.is_finished());
    scene.relay.end();
    copy_until(&mut scene.relay, Relay::is_done);
    drop(scene);
    container.join().unwrap();
    assert!(reader.join().unwrap() == sent, "bytes were lost or changed");
}

#[test]
fn what_was_written_just_before_the_end_arrives() {
    for round in 0..50 {
        let mut scene = scene();
        let sent = format!("the last words of {round}\n");
        copy_until(&mut scene.relay, |relay| !relay.readable);
        scene.slave.take().unwrap().write_all(sent.as_bytes()).unwrap();
        scene.relay.end();
        copy_until(&mut scene.relay, Relay::is_done);
        let mut screen = scene.screen.take().unwrap();
        drop(scene);
        let mut all = String::new();
        screen.read_to_string(&mut all).unwrap();
        assert_eq!(all, sent);
    }
}

#[test]
fn keys_reach_the_container_while_nobody_reads_its_output() {
    let mut scene = scene();
    let mut slave = scene.slave.take().unwrap();
    let mut writing = slave.try_clone().unwrap();
    // More than pipe and terminal hold: this writer stays blocked until the end.
    let writer = thread::spawn(move || writing.write_all(&pattern(1_000_000)).is_ok());
    copy_until(&mut scene.relay, |relay| !relay.to_caller.is_empty());
    copy_until(&mut scene.relay, |relay| wait(relay, 50).is_none());
    assert!(wake_ups(&mut scene.relay) < 5, "it must sleep while the output is full");
    scene.keys.as_mut().unwrap().write_all(b"keys").unwrap();
    copy_until(&mut scene.relay, |relay| wait(relay, 50).is_none());
    let mut typed = [0; 4];
    slave.read_exact(&mut typed).unwrap();
    assert_eq!(&typed, b"keys");
    // The reader goes away: the container can go on.
    drop(scene.screen.take());
    copy_until(&mut scene.relay, |_| writer.is_finished());
    assert!(writer.join().unwrap());
}

#[test]
fn a_container_that_does_not_read_holds_up_nothing_and_gets_everything_later() {
    let mut scene = scene();
    let typed = pattern(200_000);
    let (mut keys, mut slave) = (scene.keys.take().unwrap(), scene.slave.take().unwrap());
    let typist = thread::spawn({
        let typed = typed.clone();
        move || keys.write_all(&typed).unwrap()
    });
    copy_until(&mut scene.relay, |relay| !relay.to_container.is_empty());
    assert!(wake_ups(&mut scene.relay) < 5, "it must sleep while the terminal is full");
    slave.write_all(b"alive").unwrap();
    copy_until(&mut scene.relay, |relay| wait(relay, 50).is_none());
    let mut seen = [0; 5];
    scene.screen.as_mut().unwrap().read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"alive");
    let expected = typed.len();
    let container = thread::spawn(move || {
        let mut all = vec![0; expected];
        slave.read_exact(&mut all).map(|()| all)
    });
    copy_until(&mut scene.relay, |_| container.is_finished());
    typist.join().unwrap();
    assert!(container.join().unwrap().unwrap() == typed, "bytes were lost or changed");
}

#[test]
fn the_end_of_the_input_ends_a_program_that_reads_lines() {
    let (input, mut keys) = pipe().unwrap();
    let (master, mut slave) = cooked();
    let mut relay = Relay::new(master, input.into(), null()).unwrap();
    keys.write_all(b"one\ntwo\n").unwrap();
    drop(keys);
    let container = thread::spawn(move || {
        let mut all = String::new();
        slave.read_to_string(&mut all).map(|_| all)
    });
    copy_until(&mut relay, |_| container.is_finished());
    assert_eq!(container.join().unwrap().unwrap(), "one\ntwo\n");
}

#[test]
fn an_input_at_its_end_is_told_once_and_then_left_alone() {
    let (master, mut slave) = cooked();
    let mut relay = Relay::new(master, null(), null()).unwrap();
    copy_until(&mut relay, |relay| relay.input.is_none());
    assert_eq!(slave.read(&mut [0; 8]).unwrap(), 0);
    assert!(wake_ups(&mut relay) < 5, "an input at its end must not wake anybody");
    assert!(!relay.end_due);
}

#[test]
fn a_regular_file_is_copied_in_and_out() {
    let path = |name| -> PathBuf {
        std::env::temp_dir().join(format!("keel-relay-{name}-{}", std::process::id()))
    };
    let typed = pattern(50_000);
    File::create_new(path("in")).unwrap().write_all(&typed).unwrap();
    let (master, slave) = terminal();
    let output = File::options().append(true).create_new(true).open(path("out")).unwrap();
    let input = File::open(path("in")).unwrap();
    let mut relay = Relay::new(master, input.into(), output.into()).unwrap();
    // A container that echoes.
    let (mut reading, mut writing) = (slave.try_clone().unwrap(), slave);
    let echo = thread::spawn(move || {
        let mut piece = vec![0; 50_000];
        reading.read_exact(&mut piece).unwrap();
        writing.write_all(&piece).unwrap();
    });
    copy_until(&mut relay, |_| echo.is_finished());
    relay.end();
    copy_until(&mut relay, Relay::is_done);
    let written = std::fs::read(path("out")).unwrap();
    for name in ["in", "out"] {
        std::fs::remove_file(path(name)).unwrap();
    }
    echo.join().unwrap();
    assert!(written == typed, "bytes were lost or changed");
}

#[test]
fn a_container_may_close_its_terminal_and_open_it_again() {
    let mut scene = scene();
    let slave = scene.slave.take().unwrap();
    let path = std::fs::read_link(format!("/proc/self/fd/{}", slave.as_raw_fd())).unwrap();
    drop(slave);
    copy_until(&mut scene.relay, |relay| !relay.readable);
    assert!(wake_ups(&mut scene.relay) < 5, "a terminal that is closed must not wake anybody");
    let flags = OFlag::O_NOCTTY.bits();
    let mut again = OpenOptions::new().write(true).custom_flags(flags).open(path).unwrap();
    again.write_all(b"back").unwrap();
    let mut all = [0; 4];
    copy_until(&mut scene.relay, |relay| wait(relay, 50).is_none());
    scene.screen.as_mut().unwrap().read_exact(&mut all).unwrap();
    assert_eq!(&all, b"back");
}

#[test]
fn a_container_that_writes_without_end_does_not_keep_a_step_from_returning() {
    let mut scene = scene();
    drop(scene.screen.take());
    let mut slave = scene.slave.take().unwrap();
    let writer = thread::spawn(move || while slave.write_all(&[b'y'; 4096]).is_ok() {});
    copy_until(&mut scene.relay, |relay| relay.output.is_none());
    for _ in 0..1000 {
        let ready = wait(&scene.relay, 1000).expect("the writer never rests");
        scene.relay.step(ready);
    }
    // With the master gone the writer gets an error.
    drop(scene);
    writer.join().unwrap();
}

#[test]
fn the_caller_s_descriptors_stay_as_they_were() {
    let (input, _keys) = pipe().unwrap();
    let (_screen, output) = pipe().unwrap();
    let (master, _slave) = terminal();
    let (in_copy, out_copy) = (input.try_clone().unwrap(), output.try_clone().unwrap());
    let relay = Relay::new(master, input.into(), output.into()).unwrap();
    for (fd, name) in [(in_copy.as_fd(), "input"), (out_copy.as_fd(), "output")] {
        let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).unwrap());
        assert!(!flags.contains(OFlag::O_NONBLOCK), "{name} was made non-blocking");
    }
    let output = relay.output.as_ref().unwrap();
    assert!(output.nonblocking, "a pipe can be opened anew");
}
