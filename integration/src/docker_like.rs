//! What Docker and Podman have in common: their commands have the same words.
//!
//! Containers have no network. How the engine itself is started is not known here.

use crate::bundle::write;
use crate::engine::{IMAGE, SERVICE};
use crate::inside::Inside;
use crate::runtime::{Invocation, until};
use crate::scene::Scene;

/// A command such as `docker`.
pub trait DockerLike {
    /// Where its state is.
    fn scene(&self) -> &Scene;

    /// A call with what leads to the engine's state.
    fn call(&self, words: &[&str]) -> Invocation;

    /// `run` without a network.
    fn run(&self, options: &[&str], words: &[&str]) -> Invocation {
        self.call(&["run", "--network", "none"]).args(options).arg(IMAGE).args(words)
    }

    /// What a container that must succeed writes.
    #[track_caller]
    fn output(&self, options: &[&str], script: &str) -> String {
        self.run(&[&["--rm"], options].concat(), &["sh", "-c", script]).run().ok().stdout
    }

    /// Starts a container that says `up` and ends with 9 when it is told to.
    #[track_caller]
    fn serve(&self, name: &str, options: &[&str]) {
        let options = [&["--detach", "--name", name], options].concat();
        self.run(&options, &["sh", "-c", SERVICE]).run().ok();
        until("the container's output", || self.call(&["logs", name]).run().stdout.contains("up"));
    }

    /// A call of `exec`.
    fn exec(&self, words: &[&str]) -> Invocation {
        self.call(&["exec"]).args(words)
    }

    /// A property of a container.
    #[track_caller]
    fn inspect(&self, name: &str, what: &str) -> String {
        let format = format!("{{{{.{what}}}}}");
        let said = self.call(&["inspect", "--format", &format, name]).run().ok();
        said.stdout.trim_end().to_owned()
    }

    /// Volumes, mounts of the host's directories and a read-only root.
    #[track_caller]
    fn check_volumes(&self) {
        self.call(&["volume", "create", "named"]).run().ok();
        self.output(&["--volume", "named:/data"], "echo kept >/data/file");
        let host = self.scene().directory("shared");
        write(&host.join("file"), b"of the host\n");
        let bind = format!("{}:/mnt:ro", host.display());
        let options = ["--rm", "--volume", "named:/data", "--volume", &bind, "--read-only"];
        let options = [&options[..], &["--tmpfs", "/scratch:size=1m,mode=0700"]].concat();
        let script = "cat /data/file /mnt/file; touch /mnt/x || touch /x || echo refused; \
                      touch /scratch/x && stat -c %a /scratch; echo more >>/data/file";
        let outcome = self.run(&options, &["sh", "-c", script]).run().ok();
        assert_eq!(outcome.stdout, "kept\nof the host\nrefused\n700\n");
        assert_eq!(outcome.stderr.matches("Read-only file system").count(), 2, "{outcome:?}");
        let seen = self.output(&["--volume", "named:/data:ro"], "cat /data/file; touch /data/x; :");
        assert_eq!(seen, "kept\nmore\n");
        self.call(&["volume", "rm", "named"]).run().ok();
    }

    /// Users, capabilities, no new privileges, and profiles of seccomp.
    #[track_caller]
    fn check_privileges(&self) {
        let inside = |options: &[&str]| Inside(self.output(options, "cat /proc/self/status"));
        let usual = inside(&[]);
        assert_eq!((usual.field("Seccomp"), usual.field("NoNewPrivs")), ("2".into(), "0".into()));
        let options = ["--user", "1000:1001", "--group-add", "7", "--cap-drop", "ALL"];
        let options = [&options[..], &["--security-opt", "no-new-privileges"]].concat();
        let other = inside(&options);
        assert_eq!((other.field("Uid"), other.field("Gid")), (four("1000"), four("1001")));
        assert_eq!(
            (other.field("CapBnd"), other.field("NoNewPrivs")),
            ("0".repeat(16), "1".into())
        );
        assert!(other.field("Groups").contains('7'), "{}", other.field("Groups"));
        assert_eq!(inside(&["--security-opt", "seccomp=unconfined"]).field("Seccomp"), "0");
        let profile = self.scene().dir().join("profile.json");
        let refuse = br#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls":
            [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}"#;
        write(&profile, refuse);
        let option = format!("seccomp={}", profile.display());
        let options = ["--rm", "--security-opt", &option];
        let outcome = self.run(&options, &["mkdir", "/tmp/new"]).run().exits(1);
        assert!(outcome.stderr.contains("Operation not supported"), "{outcome:?}");
    }
}

/// The four ids of a process when all are the same, as the status file has them.
pub fn four(id: &str) -> String {
    [id; 4].join("\t")
}
