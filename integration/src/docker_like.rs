//! What Docker and Podman have in common: their commands have the same words.
//!
//! Containers have no network. How the engine itself is started is not known here.

use crate::bundle::write;
use crate::debian::DEBIAN;
use crate::engine::{IMAGE, SERVICE};
use crate::inside::Inside;
use crate::runtime::{Invocation, until};
use crate::scene::Scene;

/// Asks the server in the container so many times, and tells how often it gave its last answer.
const REQUESTS: &str = "\
import sys, urllib.request
pages = [urllib.request.urlopen('http://127.0.0.1/').read() for _ in range(int(sys.argv[1]))]
print(pages.count(pages[-1]), pages[-1].decode(), end='')
";

/// The users of the processes whose parent is the first one, those that were entered aside.
const WORKERS: &str = "for dir in /proc/[2-9]* /proc/1?*; do \
                       grep -qs '^PPid:.1$' $dir/status && stat -c %u $dir; done; :";

/// A command such as `docker`.
pub trait DockerLike {
    /// Where its state is.
    fn scene(&self) -> &Scene;

    /// A call with what leads to the engine's state.
    fn call(&self, words: &[&str]) -> Invocation;

    /// `run` of an image without a network.
    fn run_image(&self, image: &str, options: &[&str], words: &[&str]) -> Invocation {
        self.call(&["run", "--network", "none"]).args(options).arg(image).args(words)
    }

    /// `run` of the image of busybox without a network.
    fn run(&self, options: &[&str], words: &[&str]) -> Invocation {
        self.run_image(IMAGE, options, words)
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

    /// nginx with workers of another user, many requests, a new configuration, and an orderly end.
    #[track_caller]
    fn check_web_server(&self) {
        let options = ["--detach", "--name", "web", "--volume", "site:/var/www/html"];
        self.run_image(DEBIAN, &options, &["nginx", "-g", "daemon off;"]).run().ok();
        let fill = "echo first >/var/www/html/index.html";
        until("a page in the volume", || {
            self.exec(&["web", "sh", "-c", fill]).run().status.success()
        });
        let ask = |count: &str| {
            let outcome = self.exec(&["web", "python3", "-c", REQUESTS, count]).run();
            outcome.status.success().then_some(outcome.stdout)
        };
        until("the server", || ask("1").is_some());
        assert_eq!(ask("500").as_deref(), Some("500 first\n"));
        let workers = self.exec(&["web", "sh", "-c", WORKERS]).run().ok().stdout;
        assert!(!workers.is_empty() && workers.lines().all(|user| user == "33"), "{workers}");

        let redirect = "echo 'server { listen 80; return 200 \"second\\n\"; }' \
                        >/etc/nginx/sites-enabled/default && nginx -s reload";
        self.exec(&["web", "sh", "-c", redirect]).run().ok();
        until("the new configuration", || ask("1").as_deref() == Some("1 second\n"));
        self.call(&["stop", "--time", "20", "web"]).run().ok();
        assert_eq!(self.inspect("web", "State.ExitCode"), "0");
        self.remove("web");
        self.call(&["volume", "rm", "site"]).run().ok();
    }

    /// Redis as another user, whose data in a volume outlives a crash and the container.
    #[track_caller]
    fn check_database(&self) {
        let start = |name: &str| {
            let options = ["--detach", "--name", name, "--volume", "kept:/var/lib/redis"];
            let limits = ["--memory", "128m", "--user", "redis"];
            let server = ["redis-server", "--dir", "/var/lib/redis", "--appendonly", "yes"];
            let words = [&server[..], &["--appendfsync", "always"]].concat();
            self.run_image(DEBIAN, &[&options[..], &limits].concat(), &words).run().ok();
        };
        let ask = |name: &str, words: &[&str]| {
            self.exec(&[&[name, "redis-cli"], words].concat()).run().stdout
        };
        start("one");
        until("the database", || ask("one", &["ping"]) == "PONG\n");
        assert_eq!(ask("one", &["set", "key", "value"]), "OK\n");
        let many = ["redis-benchmark", "-q", "-n", "2000", "-t", "incr,lpush"];
        let told = self.exec(&[&["one"], &many[..]].concat()).run().ok().stdout;
        assert_eq!(told.matches("requests per second").count(), 2, "{told}");
        self.call(&["kill", "one"]).run().ok();
        self.call(&["wait", "one"]).run().ok();
        self.call(&["start", "one"]).run().ok();
        until("the database's return", || ask("one", &["get", "key"]) == "value\n");
        self.call(&["stop", "--time", "20", "one"]).run().ok();
        assert_eq!(self.inspect("one", "State.ExitCode"), "0");
        self.remove("one");

        start("two");
        until("the other database", || ask("two", &["get", "counter:__rand_int__"]) == "2000\n");
        assert_eq!(ask("two", &["get", "key"]), "value\n");
        self.call(&["stop", "--time", "20", "two"]).run().ok();
        self.remove("two");
        self.call(&["volume", "rm", "kept"]).run().ok();
    }

    /// Removes a container that has stopped.
    #[track_caller]
    fn remove(&self, name: &str) {
        self.call(&["rm", name]).run().ok();
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
