//! Churn: containers of containerd come and go while keel and shims are killed at random instants.
//!
//! Where nobody was killed everything succeeds. Whatever happened, what keel tells is so at any time,
//! and what containerd has forgotten `keel delete --force` removes, so that nothing is left.
//! It goes on for `CHURN_SECONDS` (60); `CHURN_SEED` repeats a choice of instants, though not what
//! they hit.

#[path = "engine_churn/killers.rs"]
mod killers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fmt, fs};

use integration::cgroups::Layout;
use integration::ctr::{Containerd, NEEDS};
use integration::dice::Dice;
use integration::engine::{image, scene};
use integration::runtime::{Invocation, Outcome, signal_of, until};
use integration::snapshot::waiting_inits;
use integration::{Need, Scene, Witness};

/// How many containers come and go at the same time.
const WORKERS: u64 = 4;

/// How long a command of ctr may take, in seconds. Where something was killed it may wait for ever.
const PATIENCE: &str = "30";

/// How much of everything there was.
#[derive(Default)]
struct Tally {
    created: AtomicU64,
    processes_added: AtomicU64,
    /// Of containers for which something was killed: all others must succeed.
    failures: AtomicU64,
    /// Likewise, and they had to be ended.
    hung: AtomicU64,
    questions: AtomicU64,
    shims_killed: AtomicU64,
    /// By the command.
    keels_killed: Mutex<BTreeMap<String, u64>>,
    forgotten: AtomicU64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let keels = self.keels_killed.lock().expect("no panic");
        let each: Vec<_> = keels.iter().map(|(verb, times)| format!("{verb} {times}")).collect();
        writeln!(f, "{} containers created", number(&self.created))?;
        writeln!(f, "{} processes added", number(&self.processes_added))?;
        writeln!(f, "{} keels killed: {}", keels.values().sum::<u64>(), each.join(", "))?;
        writeln!(f, "{} shims killed", number(&self.shims_killed))?;
        writeln!(f, "{} commands of ctr failed", number(&self.failures))?;
        writeln!(f, "{} of all commands of ctr hung", number(&self.hung))?;
        writeln!(f, "{} times everything told was so", number(&self.questions))?;
        write!(f, "{} containers that containerd had forgotten removed", number(&self.forgotten))
    }
}

/// Adds one.
fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The sockets of shims that were killed: containerd leaves them, outside of the scene.
#[derive(Default)]
struct Sockets(Mutex<BTreeSet<PathBuf>>);

impl Drop for Sockets {
    fn drop(&mut self) {
        for socket in self.0.get_mut().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = fs::remove_file(socket);
        }
    }
}

/// What all threads share.
struct Churn<'a> {
    scene: &'a Scene,
    containerd: Containerd<'a>,
    sockets: Sockets,
    snapshotter: &'static str,
    witness: Witness<'a>,
    tally: Tally,
    /// All containers there ever were, and whether something was killed that worked for them.
    disturbed: Mutex<BTreeMap<String, bool>>,
    over: AtomicBool,
}

/// Ends the churn when its thread panics.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

impl<'a> Churn<'a> {
    fn new(scene: &'a Scene) -> Self {
        image(scene);
        let containerd = Containerd::start(scene);
        let snapshotter = containerd.snapshotter();
        let witness = Witness::new(scene, containerd.runtime_root());
        let (sockets, tally) = (Sockets::default(), Tally::default());
        let (disturbed, over) = (Mutex::default(), AtomicBool::new(false));
        Self { scene, containerd, sockets, snapshotter, witness, tally, disturbed, over }
    }

    /// Does something with dice of its own until all is over.
    fn until_over(&self, seed: u64, mut act: impl FnMut(&mut Dice)) {
        let _alarm = Alarm(&self.over);
        let mut dice = Dice(seed | 1);
        while !self.over.load(Ordering::Relaxed) {
            act(&mut dice);
        }
    }

    fn disturbed(&self, id: &str) -> bool {
        let disturbed = self.disturbed.lock().unwrap_or_else(PoisonError::into_inner);
        disturbed.get(id).copied().unwrap_or_default()
    }

    /// Notes that something is about to be killed that works for a container.
    fn disturb(&self, id: &str) {
        self.sockets.0.lock().expect("no panic").extend(self.containerd.shim_socket(id));
        self.disturbed.lock().expect("no panic").insert(id.to_owned(), true);
    }

    /// Has ctr do something for a container; whether it exits with a code. It may do otherwise only
    /// if the container was disturbed. What a process writes is not looked at: with any runtime, ctr
    /// loses that now and then if the process ends at once.
    #[track_caller]
    fn exits(&self, code: i32, id: &str, call: Invocation) -> bool {
        let outcome = self.attempt(call);
        if outcome.code() == Some(code) {
            return true;
        }
        assert!(self.disturbed(id), "nothing was killed, and yet: {outcome:?}");
        count(&self.tally.failures);
        false
    }

    fn attempt(&self, call: Invocation) -> Outcome {
        let outcome = call.under(["timeout", "--foreground", "-s", "KILL", PATIENCE]).run();
        if outcome.code() == Some(137) || signal_of(outcome.status) == Some(9) {
            count(&self.tally.hung);
        }
        outcome
    }

    /// A container's whole life.
    fn life(&self, dice: &mut Dice) {
        let id = self.scene.id();
        self.disturbed.lock().expect("no panic").insert(id.clone(), false);
        let options = ["--detach", "--null-io", "--snapshotter", self.snapshotter];
        if self.exits(0, &id, self.containerd.run(&options, &id, &["sleep", "1000"])) {
            count(&self.tally.created);
            for number in 0..dice.below(4) {
                self.something(dice, &id, number);
            }
        }
        if !self.death(&id) {
            // What this cannot remove stays until all is over.
            for words in [["tasks", "rm", "--force"].as_slice(), &["containers", "rm"]] {
                self.attempt(self.containerd.ctr(words).arg(&id));
            }
        }
    }

    /// One of the things that happen to a container that runs.
    fn something(&self, dice: &mut Dice, id: &str, number: u64) {
        let process = format!("process-{number}");
        let tasks = |verb: &str| self.containerd.ctr(&["tasks", verb, id]);
        match dice.below(5) {
            0 => {
                if self.exits(0, id, tasks("pause")) {
                    self.exits(0, id, tasks("resume"));
                }
            }
            1 => {
                let words = ["sleep", "2000"];
                let call = self.containerd.exec(id, &process, &["--detach"], &words);
                if self.exits(0, id, call) {
                    count(&self.tally.processes_added);
                }
            }
            2 => _ = self.exits(0, id, tasks("ps")),
            _ => {
                let words = ["sh", "-c", "exit 3"];
                if self.exits(3, id, self.containerd.exec(id, &process, &[], &words)) {
                    count(&self.tally.processes_added);
                }
            }
        }
    }

    /// Kills a container and has it removed; whether that succeeded.
    fn death(&self, id: &str) -> bool {
        let ctr = |words: &[&str]| self.containerd.ctr(words).arg(id);
        if !self.exits(0, id, ctr(&["tasks", "kill", "--all", "--signal", "SIGKILL"])) {
            return false;
        }
        until("the end of the task, or a reason to go on", || {
            let status = self.containerd.task(id).map(|(_, status)| status);
            status.is_none_or(|status| status == "STOPPED") || self.disturbed(id)
        });
        self.exits(0, id, ctr(&["tasks", "rm"])) && self.exits(0, id, ctr(&["containers", "rm"]))
    }

    /// Asks for everything that there is, and for something that there may be.
    fn ask(&self, dice: &mut Dice) {
        let told: Vec<String> = self.witness.check().into_keys().collect();
        if !told.is_empty() {
            self.witness.check_one(&told[dice.below(told.len() as u64) as usize]);
        }
        count(&self.tally.questions);
        std::thread::sleep(Duration::from_millis(dice.below(50)));
    }

    /// Has everything removed, first by containerd, then by keel.
    fn clear(&self) {
        let ctr = |words: &[&str]| self.attempt(self.containerd.ctr(words));
        let list = ctr(&["containers", "list", "--quiet"]).ok().stdout;
        for id in list.lines() {
            ctr(&["tasks", "kill", "--all", "--signal", "SIGKILL", id]);
            ctr(&["tasks", "rm", "--force", id]);
            ctr(&["containers", "rm", id]);
        }
        let known = ctr(&["containers", "list", "--quiet"]).ok().stdout;
        assert_eq!(known, "", "containerd does not let go of these");
        let forgotten = self.witness.check();
        self.tally.forgotten.store(forgotten.len() as u64, Ordering::Relaxed);
        // Also of a creation that was killed before the container got its name something is left.
        for id in self.disturbed.lock().expect("no panic").keys() {
            self.witness.runtime(&["delete", "--force", id]).run().ok();
        }
    }

    /// Demands that nothing is left of any container.
    fn assert_nothing_left(&self) {
        assert_eq!(self.witness.check(), BTreeMap::new());
        let state = fs::read_dir(self.containerd.runtime_root()).into_iter().flatten().flatten();
        let mut left: Vec<PathBuf> = state.map(|entry| entry.path()).collect();
        left.extend(Layout::here().holding(&format!("{}/", self.scene.tag())));
        let bundles = fs::read_dir(self.containerd.bundle("")).into_iter().flatten().flatten();
        left.extend(bundles.map(|entry| entry.path()));
        assert!(left.is_empty(), "{left:?} are left");
        until("the end of every init", || waiting_inits(self.scene.dir()).is_empty());
    }
}

/// A number that an environment variable gives.
fn given(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn nothing_is_left_and_nothing_untrue_is_told_whatever_is_killed() {
    let Some(scene) = scene(&[&NEEDS[..], &[Need::Keel, Need::Program("timeout")]].concat()) else {
        return;
    };
    let seconds = given("CHURN_SECONDS").unwrap_or(60);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let seed = given("CHURN_SEED").unwrap_or(now);
    println!("churn for {seconds} s with CHURN_SEED={seed}");
    let churn = Churn::new(&scene);
    let end = Instant::now() + Duration::from_secs(seconds);
    std::thread::scope(|threads| {
        let churn = &churn;
        for worker in 1..=WORKERS {
            threads.spawn(move || churn.until_over(seed << worker, |dice| churn.life(dice)));
        }
        threads.spawn(move || churn.until_over(seed << 16, |dice| churn.ask(dice)));
        threads.spawn(move || churn.until_over(seed << 17, |dice| killers::runtimes(churn, dice)));
        threads.spawn(move || churn.until_over(seed << 18, |dice| killers::shims(churn, dice)));
        while Instant::now() < end && !churn.over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
        churn.over.store(true, Ordering::Relaxed);
    });
    churn.clear();
    println!("{}", churn.tally);
    churn.assert_nothing_left();
}
