//! What a library could change of the process it works in, so that a test can prove it did not.
//!
//! Two kinds of facts: those that must never change, not for a moment, as other threads rely on them
//! all the time; and those that must be the same again afterwards. Nothing here knows of containers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Facts by name.
pub(crate) type Facts = BTreeMap<String, String>;

/// How long threads and children may take to be gone that have ended.
const GRACE: Duration = Duration::from_secs(5);

/// The lines of /proc/PID/status that belong to the process, or to the thread asked for.
const STATUS: [&str; 14] = [
    "Umask",
    "Uid",
    "Gid",
    "Groups",
    "SigBlk",
    "SigIgn",
    "SigCgt",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
];
/// Files of /proc/self whose whole text counts.
const FILES: [&str; 5] = ["cgroup", "limits", "oom_score_adj", "personality", "timerslack_ns"];

/// What must not change at any time.
pub(crate) fn constant() -> Facts {
    let mut facts = Facts::new();
    facts.insert("environment".into(), format!("{:?}", std::env::vars_os().collect::<Vec<_>>()));
    let process = nix::sys::prctl::get_dumpable().unwrap();
    facts.insert("dumpable".into(), process.to_string());
    let subreaper = nix::sys::prctl::get_child_subreaper().unwrap();
    facts.insert("subreaper".into(), subreaper.to_string());
    for name in FILES {
        facts.insert(name.into(), fs::read_to_string(format!("/proc/self/{name}")).unwrap());
    }
    links(Path::new("/proc/self"), "process", &mut facts);
    let session = nix::unistd::getsid(None).unwrap();
    facts.insert("session".into(), format!("{session} {}", nix::unistd::getpgrp()));
    status("/proc/self/status", "process", &mut facts);
    facts
}

/// What must be the same afterwards: besides the constant facts descriptors, threads, children and
/// mounts. What contains `tag` among the mounts, or nothing of another test's, counts.
pub(crate) fn all(tag: &str) -> Facts {
    let mut facts = constant();
    descriptors(&mut facts);
    for entry in fs::read_dir("/proc/self/task").unwrap() {
        let (path, id) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        let thread = format!("thread {}", id.to_string_lossy());
        // One that has just ended is not told apart from one that was not there.
        let Ok(children) = fs::read_to_string(path.join("children")) else { continue };
        facts.insert(format!("{thread}: children"), children);
        status(&path.join("status").to_string_lossy(), &thread, &mut facts);
        links(&path, &thread, &mut facts);
    }
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let foreign = |line: &&str| line.contains("keel-") && !line.contains(tag);
    for line in table.lines().filter(|line| !foreign(line)) {
        facts.insert(format!("mount {line}"), String::new());
    }
    facts
}

/// How all facts differ from what they were, and still do after a time.
pub(crate) fn difference(before: &Facts, tag: &str) -> Vec<String> {
    let deadline = Instant::now() + GRACE;
    loop {
        let found = compare(before, &all(tag));
        if found.is_empty() || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Every fact that is new, gone or different.
pub(crate) fn compare(before: &Facts, now: &Facts) -> Vec<String> {
    let gone = before.iter().filter(|(name, _)| !now.contains_key(*name));
    let gone = gone.map(|(name, value)| format!("- {name} {value}"));
    let other = now.iter().filter(|(name, value)| before.get(*name) != Some(*value));
    let other = other.map(|(name, value)| match before.get(name) {
        Some(old) => format!("{name}: {old:?} has become {value:?}"),
        None => format!("+ {name} {value}"),
    });
    gone.chain(other).collect()
}

/// Numbers, flags and targets of the open descriptors.
fn descriptors(facts: &mut Facts) {
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        let (path, number) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        let number = number.to_string_lossy();
        let Ok(target) = fs::read_link(&path) else { continue };
        if target.ends_with(format!("{}/fd", std::process::id())) {
            continue; // the listing itself
        }
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
        let flags = info.lines().find(|line| line.starts_with("flags:")).unwrap_or_default();
        facts.insert(format!("descriptor {number}"), format!("{} {flags}", target.display()));
    }
}

/// Root, working directory and namespaces.
fn links(dir: &Path, of: &str, facts: &mut Facts) {
    let names = fs::read_dir(dir.join("ns")).into_iter().flatten().flatten();
    let names = names.map(|entry| format!("ns/{}", entry.file_name().to_string_lossy()));
    for name in names.chain(["cwd".into(), "root".into()]) {
        if let Ok(target) = fs::read_link(dir.join(&name)) {
            facts.insert(format!("{of}: {name}"), target.display().to_string());
        }
    }
}

fn status(path: &str, of: &str, facts: &mut Facts) {
    let text = fs::read_to_string(path).unwrap_or_default();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(":\t") else { continue };
        if STATUS.contains(&name) {
            facts.insert(format!("{of}: {name}"), value.to_owned());
        }
    }
}
