//! A namespace of the tests' own, held by a thread for as long as the test wants it.
//!
//! Tests of namespaces that are joined, and of devices that move, make one. Nobody else lives there;
//! with the thread's end it is gone.

use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use nix::sched::{CloneFlags, unshare};

use crate::clause::{Outcome, ensure, fail};
use crate::machine::Machine;

/// A thread in a namespace of its own, until it is dropped.
pub(crate) struct HeldNamespace {
    /// The namespace's file.
    pub(crate) path: String,
    hold: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HeldNamespace {
    /// A new mount namespace, a copy of this program's.
    pub(crate) fn mounts() -> Outcome<Self> {
        Self::start(CloneFlags::CLONE_NEWNS, "mnt")
    }

    /// A new network namespace, with nothing but its loopback device.
    pub(crate) fn network() -> Outcome<Self> {
        Self::start(CloneFlags::CLONE_NEWNET, "net")
    }

    fn start(flag: CloneFlags, file: &str) -> Outcome<Self> {
        let (hold, held) = channel::<()>();
        let (tell, told) = channel();
        let thread = std::thread::spawn(move || {
            let made = unshare(flag).map(|()| nix::unistd::gettid());
            let _ = tell.send(made);
            // Ends when the other side is dropped.
            let _ = held.recv();
        });
        let Ok(made) = told.recv() else { return fail("the thread of the test ended") };
        let path = format!("/proc/{}/task/{}/ns/{file}", std::process::id(), made?);
        Ok(Self { path, hold: Some(hold), thread: Some(thread) })
    }

    /// Shell that makes what follows, with all its arguments, run in this network namespace.
    pub(crate) fn enter_network(&self, machine: &Machine) -> String {
        format!("set -- {} nsenter --net={} \"$@\"", machine.busybox.display(), self.path)
    }

    /// Runs an applet of busybox in this network namespace; what it has written.
    pub(crate) fn applet(&self, machine: &Machine, words: &str) -> Outcome<String> {
        let mut command = Command::new(&machine.busybox);
        command.arg("nsenter").arg(format!("--net={}", self.path)).arg(&machine.busybox);
        let output = command.args(words.split_whitespace()).output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the test's own `{words}` failed: {}", error.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for HeldNamespace {
    fn drop(&mut self) {
        self.hold.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
