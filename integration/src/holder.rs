//! Namespaces for a test, held by a process that does nothing.
//!
//! They are joined through their files in `/proc`, or entered with nsenter(1), and end with the
//! holder. It needs unshare(1), and a test that enters them nsenter(1).

use std::io::Read;
use std::process::{Child, Command, Stdio};

/// A process with namespaces of its own; killed when dropped.
pub struct Holder(Child);

impl Holder {
    /// Namespaces as these options of unshare(1) say.
    #[track_caller]
    pub fn with(options: &[&str]) -> Self {
        let mut command = Command::new("unshare");
        // The input ends with the test, however that ends.
        command.args(options).args(["sh", "-c", "echo ready; exec cat"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare");
        let mut ready = [0; 6];
        let output = child.stdout.as_mut().expect("piped");
        output.read_exact(&mut ready).expect("the holder is ready");
        Self(child)
    }

    /// The holder's process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The file of a namespace, by its name in `/proc/PID/ns`.
    pub fn path(&self, name: &str) -> String {
        format!("/proc/{}/ns/{name}", self.pid())
    }

    /// The words that have a program run in some of the namespaces, by nsenter(1)'s options.
    pub fn enter(&self, kinds: &[&str]) -> Vec<String> {
        let pid = self.pid().to_string();
        ["nsenter", "--target", &pid].iter().chain(kinds).map(|&word| word.to_owned()).collect()
    }

    /// Runs a script in its network, which must succeed, and gives what it wrote.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let words = self.enter(&["--net"]);
        let output = Command::new(&words[0]).args(&words[1..]).args(["sh", "-ec", script]).output();
        let output = output.expect("nsenter");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
