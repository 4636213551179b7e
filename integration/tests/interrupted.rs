//! The runtime is killed at each of its effects, exactly there: by strace, which injects SIGKILL at
//! the n-th call of a system call that changes something, sends something or waits for something.
//!
//! Where `faults` kills at many instants and hopes to hit, here every state
//! that an interrupted command can leave is visited. Whatever is left must be described truthfully,
//! and `delete --force` must remove all of it. Only the runtime is traced: its init goes on
//! alone, and has to notice.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use integration::console::ConsoleSocket;
use integration::runtime::{Invocation, signal_of, until};
use integration::snapshot::waiting_inits;
use integration::{Bundle, HostSnapshot, Need, Scene, skip};
use serde_json::{Value, json};

/// System calls that can change something outside of the process, or wait for somebody.
const EFFECTS: [&str; 41] = [
    "bind",
    "bpf",
    "clone",
    "clone3",
    "connect",
    "exit_group",
    "fchmod",
    "flock",
    "kill",
    "linkat",
    "listen",
    "memfd_create",
    "mkdir",
    "mkdirat",
    "mknodat",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "openat",
    "pidfd_open",
    "pidfd_send_signal",
    "poll",
    "ppoll",
    "prlimit64",
    "pwrite64",
    "recvfrom",
    "recvmsg",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendmsg",
    "sendto",
    "setns",
    "socketpair",
    "symlinkat",
    "unlink",
    "unlinkat",
    "wait4",
    "waitid",
    "write",
];

/// At how many occurrences of one call, out of all, a command is killed.
const SAMPLES: usize = 20;

/// How long what a command leaves may take to come to rest: an init that ends by itself.
const SETTLING: Duration = Duration::from_secs(5);

/// What the container is like.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sort {
    Plain,
    /// In a user namespace, with hooks at all moments.
    Hooks,
    /// With a terminal, whose master goes to a socket.
    Terminal,
    /// With mounts whose ids are mapped, which takes another process.
    Ids,
}

/// The command that is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Victim {
    Create,
    Start,
    Delete,
    DeleteForce,
}

/// An occurrence of a system call: its name, and which one it is, from 1.
type Point = (String, usize);

/// A scene in which commands of one sort of container are killed.
struct Trial {
    scene: Scene,
    bundle: Bundle,
    sort: Sort,
    before: HostSnapshot,
}

impl Trial {
    /// A trial, unless it is not possible here, which is told.
    fn begin(sort: Sort) -> Option<Self> {
        let scene = Scene::needing(&[Need::Program("strace")])?;
        if !scene.is_keel() {
            skip("which system calls another runtime makes is not known");
            return None;
        }
        let injection = strace(scene.call("true"), "inject=exit_group:signal=KILL:when=1").run();
        if signal_of(injection.status) != Some(9) {
            skip(format!("strace cannot inject signals here: {}", injection.stderr.trim()));
            return None;
        }
        let bundle = scene.bundle().sleeping();
        let bundle = match sort {
            Sort::Plain => bundle,
            Sort::Hooks => with_hooks(bundle),
            Sort::Terminal => bundle.set("/process/terminal", true),
            Sort::Ids => with_mapped_mounts(bundle),
        };
        let before = scene.snapshot();
        let trial = Self { scene, bundle, sort, before };
        // The first create also makes the directories that all of them share.
        trial.with_victim(Victim::Create, |id, create| {
            create.run().ok();
            trial.scene.keel(["delete", "--force", id]).run().ok();
        });
        Some(trial)
    }

    /// Kills a command at each of its effects.
    fn kill_at_each_effect(&self, victim: Victim) {
        let all = self.effects(victim);
        let points = sample(&all);
        assert!(points.len() > 8, "too few effects of {victim:?} were seen: {all:?}");
        let mut killed = 0;
        for (name, number) in &points {
            let what = format!("{victim:?} of {:?}, killed at {name} {number}", self.sort);
            let injection = format!("inject={name}:signal=KILL:when={number}");
            let outcome = self.with_victim(victim, |id, call| {
                let outcome = strace(call, &injection).run();
                let hit = signal_of(outcome.status) == Some(9);
                assert!(hit || outcome.status.success(), "{what}: {outcome:#?}");
                self.examine(&what, victim, id, hit);
                hit
            });
            killed += usize::from(outcome);
        }
        // How often a call is made may differ a little from one time to the next.
        let total = points.len();
        assert!(killed * 10 >= total * 9, "{killed} of {total} calls were killed");
    }

    /// The effects of a command from the first on that tells of the container, in order.
    fn effects(&self, victim: Victim) -> Vec<Point> {
        let log = self.scene.dir().join(format!("trace-{victim:?}"));
        let path = log.to_str().expect("UTF-8").to_owned();
        let id = self.with_victim(victim, |id, call| {
            call.under(["strace", "-s", "4096", "-o", path.as_str()]).run().ok();
            self.scene.keel(["delete", "--force", id]).run().ok();
            id.to_owned()
        });
        let text = fs::read(&log).expect("the trace");
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut points, mut begun) = (Vec::new(), false);
        let text = String::from_utf8_lossy(&text).into_owned();
        for line in text.lines().skip(1) {
            let Some((name, _)) = line.split_once('(') else { continue };
            let Some(name) = EFFECTS.iter().find(|known| **known == name) else { continue };
            let count = counts.entry(name).or_default();
            *count += 1;
            // Before, nothing has happened that could be left; the command line is skipped.
            begun |= line.contains(&id);
            if begun {
                points.push(((*name).to_owned(), *count));
            }
        }
        points
    }

    /// Prepares a container for a command, and calls `act` with its id and the command.
    fn with_victim<T>(&self, victim: Victim, act: impl FnOnce(&str, Invocation) -> T) -> T {
        let (scene, id) = (&self.scene, self.scene.id());
        let path = scene.dir().join(format!("{id}.socket"));
        let socket = (self.sort == Sort::Terminal).then(|| ConsoleSocket::at(&path));
        let socket_option = ["--console-socket", path.to_str().expect("UTF-8")];
        let options = if socket.is_some() { &socket_option[..] } else { &[] };
        let create = scene.verb("create", options, &self.bundle, &id);
        if victim == Victim::Create {
            return act(&id, create);
        }
        create.run().ok();
        // The terminal lives as long as somebody has its master.
        let _terminal = socket.map(|socket| socket.receive());
        if victim == Victim::Start {
            return act(&id, scene.keel(["start", &id]));
        }
        scene.keel(["start", &id]).run().ok();
        if victim == Victim::DeleteForce {
            return act(&id, scene.keel(["delete", "--force", &id]));
        }
        scene.keel(["kill", &id, "KILL"]).run().ok();
        until("a stopped container", || self.state(&id).is_some_and(|s| s["status"] == "stopped"));
        act(&id, scene.keel(["delete", &id]))
    }

    /// What `state` says of a container, if there is one; otherwise it must say so.
    fn state(&self, id: &str) -> Option<Value> {
        let outcome = self.scene.keel(["state", id]).run();
        if outcome.status.success() {
            let state = serde_json::from_str(&outcome.stdout);
            return Some(state.unwrap_or_else(|error| panic!("{error}: {outcome:#?}")));
        }
        outcome.refused().says(&["does not exist", "was not created completely"]);
        None
    }

    /// Looks at what a command has left that was killed, and has it removed.
    fn examine(&self, what: &str, victim: Victim, id: &str, hit: bool) {
        let possible: &[&str] = match victim {
            Victim::Create => &["created", "stopped"],
            Victim::Start => &["created", "running", "stopped"],
            Victim::Delete => &["stopped"],
            Victim::DeleteForce => &["running", "stopped"],
        };
        let state = self.truth(what, id, possible);
        let status = state.as_ref().and_then(|state| state["status"].as_str());
        if !hit && victim == Victim::Create {
            assert_eq!(status, Some("created"), "{what}: it was not killed");
        }
        if victim == Victim::Create && status == Some("created") {
            // It can be started, or is just ending, as nobody tells its init to go on any more.
            let started = self.scene.keel(["start", id]).run().status.success();
            assert!(started || hit, "{what}: what was created cannot be started");
            self.truth(what, id, if started { &["running"] } else { &["stopped"] });
        }
        self.scene.keel(["delete", "--force", id]).run().ok();
        assert_eq!(self.state(id), None, "{what}: it is still there");
        until(&format!("the end of init after {what}"), || {
            waiting_inits(self.scene.dir()).is_empty()
        });
        if let Some(difference) = self.before.difference_now() {
            panic!("{what}: the host has changed:\n{difference}");
        }
    }

    /// The state of a container, once `state` and `list` say what is possible and what is the case.
    fn truth(&self, what: &str, id: &str, possible: &[&str]) -> Option<Value> {
        let deadline = Instant::now() + SETTLING;
        loop {
            let list = self.scene.keel(["list"]).run().ok().stdout;
            let row = list.lines().find(|line| line.split_whitespace().next() == Some(id));
            let listed = row.and_then(|line| line.split_whitespace().nth(2));
            let state = self.state(id);
            let told = state.as_ref().map(|state| state["status"].as_str().unwrap_or_default());
            let all_possible = [told, listed].iter().flatten().all(|s| possible.contains(s));
            if all_possible && state.as_ref().is_none_or(is_true) {
                return state;
            }
            assert!(
                Instant::now() < deadline,
                "{what}: not {possible:?} in truth: {state:?}\n{list}"
            );
        }
    }
}

/// A call under strace, which traces nothing but what it injects into.
fn strace(call: Invocation, injection: &str) -> Invocation {
    let name = injection.split(['=', ':']).nth(1).expect("the name of a system call");
    let trace = format!("trace={name}");
    call.under(["strace", "-o", "/dev/null", "-e", trace.as_str(), "-e", injection])
}

/// At most [`SAMPLES`] occurrences of each call, the first and the last among them.
fn sample(points: &[Point]) -> Vec<Point> {
    let mut chosen = Vec::new();
    for name in EFFECTS {
        let same: Vec<&Point> = points.iter().filter(|(known, _)| known == name).collect();
        let count = same.len().min(SAMPLES);
        let at = |i: usize| if count < 2 { 0 } else { i * (same.len() - 1) / (count - 1) };
        chosen.extend((0..count).map(|i| same[at(i)].clone()));
    }
    chosen
}

/// Whether the process of a state is what the status says.
fn is_true(state: &Value) -> bool {
    let pid = &state["pid"];
    let exe = fs::read_link(format!("/proc/{pid}/exe"));
    let is_init = exe.as_ref().is_ok_and(|exe| exe.to_string_lossy().contains("keel-init"));
    match state["status"].as_str() {
        Some("created") => is_init,
        Some("running") => exe.is_ok() && !is_init,
        Some("stopped") => pid == 0,
        _ => false,
    }
}

fn with_hooks(bundle: Bundle) -> Bundle {
    let mapping = json!([{ "containerID": 0, "hostID": 200_000, "size": 65_536 }]);
    let bundle = bundle
        .namespace("user", None)
        .set("/linux/uidMappings", mapping.clone())
        .set("/linux/gidMappings", mapping);
    let kinds = ["prestart", "createRuntime", "createContainer", "startContainer"];
    let kinds = kinds.into_iter().chain(["poststart", "poststop"]);
    kinds.fold(bundle, |bundle, kind| bundle.hook(kind, "cat >/dev/null"))
}

fn with_mapped_mounts(bundle: Bundle) -> Bundle {
    let mounts = [1000, 2000].map(|first| {
        let mapping = json!([{ "containerID": 0, "hostID": first, "size": 10 }]);
        json!({
            "destination": format!("/mnt/{first}"), "type": "tmpfs", "options": ["idmap"],
            "uidMappings": mapping, "gidMappings": mapping
        })
    });
    mounts.into_iter().fold(bundle, |bundle, mount| bundle.set("/mounts/-", mount))
}

/// A test for each victim and sort.
macro_rules! trials {
    ($($name:ident: $victim:ident of $sort:ident;)*) => {$(
        #[test]
        fn $name() {
            let Some(trial) = Trial::begin(Sort::$sort) else { return };
            trial.kill_at_each_effect(Victim::$victim);
        }
    )*};
}

trials! {
    a_create_killed_at_any_effect_leaves_what_can_be_deleted: Create of Plain;
    a_create_with_hooks_killed_at_any_effect_leaves_what_can_be_deleted: Create of Hooks;
    a_create_with_a_terminal_killed_at_any_effect_leaves_what_can_be_deleted: Create of Terminal;
    a_create_with_mapped_mounts_killed_at_any_effect_leaves_what_can_be_deleted: Create of Ids;
    a_start_killed_at_any_effect_leaves_what_can_be_deleted: Start of Plain;
    a_start_with_hooks_killed_at_any_effect_leaves_what_can_be_deleted: Start of Hooks;
    a_start_with_a_terminal_killed_at_any_effect_leaves_what_can_be_deleted: Start of Terminal;
    a_delete_killed_at_any_effect_can_be_repeated: Delete of Plain;
    a_forced_delete_killed_at_any_effect_can_be_repeated: DeleteForce of Plain;
    a_forced_delete_with_hooks_killed_at_any_effect_can_be_repeated: DeleteForce of Hooks;
    a_forced_delete_with_a_terminal_killed_at_any_effect_can_be_repeated: DeleteForce of Terminal;
}
