//! Who kills: commands of keel at random instants, and shims.
//!
//! Only what has the scene's directory in its command line is looked at, and it is looked at once more
//! right before it is killed.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::sync::atomic::Ordering;
use std::time::Duration;

use integration::dice::Dice;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Churn, count};

/// A process that may be killed.
struct Victim {
    pid: i32,
    /// Its command line. Once the process is gone nothing can be read from it.
    file: File,
    words: Vec<String>,
}

impl Victim {
    fn of(pid: i32) -> Option<Self> {
        let file = File::open(format!("/proc/{pid}/cmdline")).ok()?;
        let mut victim = Self { pid, file, words: Vec::new() };
        victim.words = victim.read()?;
        Some(victim)
    }

    fn read(&mut self) -> Option<Vec<String>> {
        let mut line = Vec::new();
        self.file.rewind().ok()?;
        self.file.read_to_end(&mut line).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        Some(line.split_terminator('\0').map(str::to_owned).collect())
    }

    /// Kills it if it is still the same program; a container is warned before.
    fn kill(mut self, churn: &Churn<'_>, id: &str) -> bool {
        if self.read().as_ref() != Some(&self.words) {
            return false;
        }
        churn.disturb(id);
        self.read().as_ref() == Some(&self.words)
            && kill(Pid::from_raw(self.pid), Signal::SIGKILL).is_ok()
    }
}

/// The processes whose command line is of a kind.
fn victims(mut of_the_kind: impl FnMut(&[String]) -> bool) -> Vec<Victim> {
    let pids = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Victim::of).filter(|victim| of_the_kind(&victim.words)).collect()
}

/// Looks for commands of keel that a shim has called, and kills some: the longer one takes the likelier.
pub(crate) fn runtimes(churn: &Churn<'_>, dice: &mut Dice) {
    let program = churn.scene.runtime().program().display().to_string();
    let root = churn.containerd.runtime_root().display().to_string();
    let by_a_shim = |words: &[String]| {
        let has = |word: &str| words.iter().any(|other| other == word);
        words.first() == Some(&program) && has(&root) && has("--log")
    };
    for victim in victims(by_a_shim) {
        if !dice.chance(20) {
            continue;
        }
        // Most commands take few milliseconds, and some take many.
        let longest = dice.of(&[1, 3, 10, 30]);
        std::thread::sleep(Duration::from_micros(dice.below(longest * 1000)));
        let verbs = ["create", "start", "exec", "kill", "delete", "pause", "resume", "ps"];
        let verb = victim.words.iter().find(|word| verbs.contains(&word.as_str())).cloned();
        let name = |word: &&String| word.starts_with(&format!("{}-", churn.scene.tag()));
        let id = victim.words.iter().find(name).cloned();
        if let (Some(verb), Some(id)) = (verb, id)
            && victim.kill(churn, &id)
        {
            *churn.tally.keels_killed.lock().expect("no panic").entry(verb).or_default() += 1;
        }
    }
    std::thread::sleep(Duration::from_micros(500));
}

/// Kills a shim now and then.
pub(crate) fn shims(churn: &Churn<'_>, dice: &mut Dice) {
    std::thread::sleep(Duration::from_millis(dice.below(1500)));
    let address = churn.containerd.path("socket");
    let serves = |words: &[String]| {
        let has = |word: &str| words.iter().any(|other| other == word);
        let helps = ["start", "delete"].iter().any(|verb| words.last().is_some_and(|w| w == verb));
        words.first().is_some_and(|word| word.ends_with("containerd-shim-runc-v2"))
            && has(&address)
            && !helps
    };
    let mut serving = victims(serves);
    if serving.is_empty() || churn.over.load(Ordering::Relaxed) {
        return;
    }
    let victim = serving.swap_remove(dice.below(serving.len() as u64) as usize);
    let id = victim.words.iter().skip_while(|word| *word != "-id").nth(1).cloned();
    if let Some(id) = id
        && victim.kill(churn, &id)
    {
        count(&churn.tally.shims_killed);
    }
}
