//! What a container runtime could change on the host, so that a test can prove it did not.
//!
//! A snapshot holds the mount table with its propagation, the cgroups and processes that belong to
//! a scene, the containers below its state root, the test's own descriptors on the scene's files,
//! and a few kernel settings that attacks aim at. What belongs to other scenes is left out, since
//! tests run side by side.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cgroups::Layout;
use crate::runtime::scaled;

/// How long things that end by themselves, such as processes, may take to be gone.
const GRACE: Duration = Duration::from_secs(3);

/// Kernel settings that a broken runtime could change.
const SETTINGS: [&str; 4] = [
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/domainname",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
];

/// The part of the host that a scene could have changed.
#[derive(Debug, Clone)]
pub struct HostSnapshot {
    tag: String,
    state: PathBuf,
    facts: BTreeSet<String>,
}

impl HostSnapshot {
    /// Looks at the host on behalf of the scene named `tag` with the state root `state`.
    pub fn take(tag: &str, state: &Path) -> Self {
        let mut facts = BTreeSet::new();
        facts.extend(mounts(tag));
        // The scene's own parent is made on the way to a container's cgroup, and stays.
        let cgroups = Layout::here().holding(tag).into_iter().filter(|dir| !dir.ends_with(tag));
        facts.extend(cgroups.map(|dir| format!("cgroup {}", dir.display())));
        facts.extend(processes(tag));
        facts.extend(containers(state));
        facts.extend(descriptors(tag));
        for path in SETTINGS {
            facts.insert(format!("{path} is {:?}", fs::read(path).unwrap_or_default()));
        }
        Self { tag: tag.to_owned(), state: state.to_owned(), facts }
    }

    /// How the host differs now from this snapshot; processes that are just ending are awaited.
    pub fn difference_now(&self) -> Option<String> {
        self.difference_within(scaled(GRACE))
    }

    /// How the host differs from this snapshot, and still does after a time.
    pub fn difference_within(&self, grace: Duration) -> Option<String> {
        let deadline = Instant::now() + grace;
        loop {
            let now = Self::take(&self.tag, &self.state).facts;
            if now == self.facts {
                return None;
            }
            if Instant::now() > deadline {
                let new = now.difference(&self.facts).map(|fact| format!("+ {}\n", named(fact)));
                let gone = self.facts.difference(&now).map(|fact| format!("- {fact}\n"));
                return Some(new.chain(gone).collect());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Demands that the host is as it was.
    #[track_caller]
    pub fn assert_same(&self) {
        if let Some(difference) = self.difference_now() {
            panic!("the host has changed:\n{difference}");
        }
    }
}

/// A fact with the name of the process, if it is about one. The name is no part of the fact: it
/// changes when the process executes another program.
fn named(fact: &str) -> String {
    let pid = fact.strip_prefix("process ");
    let name = pid.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok());
    name.map_or(fact.to_owned(), |name| format!("{fact} ({})", name.trim()))
}

/// The mount table, without the ids that change when a mount is made again.
///
/// What others mount and unmount meanwhile is left out: a line counts if it is about the scene, or
/// about a place that belongs to the system itself.
fn mounts(tag: &str) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let own = format!("{tag}/");
    let of_the_system = |line: &str| {
        let point = line.split(' ').nth(4).unwrap_or_default();
        let below = |top: &str| point.starts_with(top);
        point.matches('/').count() == 1 || below("/proc/") || below("/sys/") || below("/dev/")
    };
    let facts = table.lines().filter(|line| line.contains(&own) || of_the_system(line));
    facts.map(|line| format!("mount {}", line.splitn(3, ' ').last().unwrap_or_default())).collect()
}

/// The processes that belong to a scene's containers, by cgroup, command line or mounts.
fn processes(tag: &str) -> Vec<String> {
    let own_mounts = fs::read_link("/proc/self/ns/mnt").ok();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let dir = entry.path();
        let is_pid = entry.file_name().to_string_lossy().parse::<u32>().is_ok();
        if !is_pid || !belongs(&dir, tag, own_mounts.as_deref()) {
            continue;
        }
        let status = fs::read_to_string(dir.join("status")).unwrap_or_default();
        if status.is_empty() || status.contains("\nState:\tZ") || status.contains("\nState:\tX") {
            continue;
        }
        found.push(format!("process {}", entry.file_name().to_string_lossy()));
    }
    found
}

/// Whether the process of a directory in `/proc` belongs to the scene.
fn belongs(dir: &Path, tag: &str, own_mounts: Option<&Path>) -> bool {
    let read = |file: &str| {
        String::from_utf8_lossy(&fs::read(dir.join(file)).unwrap_or_default()).into_owned()
    };
    if read("cgroup").contains(tag) || read("cmdline").contains(tag) {
        return true;
    }
    // A root file system of the scene as the root of another mount namespace.
    let elsewhere = fs::read_link(dir.join("ns/mnt")).ok().as_deref() != own_mounts;
    elsewhere
        && read("mountinfo").lines().any(|line| {
            let mut fields = line.split(' ').skip(3);
            fields.next().is_some_and(|root| root.contains(tag)) && fields.next() == Some("/")
        })
}

/// What lies in the state root. A file with a dot in front, such as a lock, is no container.
fn containers(state: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(state) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with('.')).map(|name| format!("state of {name}")).collect()
}

/// The descriptors of this process on the scene's files.
fn descriptors(tag: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let targets = entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    let mine = targets.filter(|target| target.to_string_lossy().contains(tag));
    mine.map(|target| format!("descriptor on {}", target.display())).collect()
}

/// The processes of keel's init that work in a directory or have a file below it open, as each has
/// that was started there. Their cgroup and their mounts may not tell yet whose they are.
pub fn waiting_inits(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let process = entry.path();
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        let mut links = descriptors.map(|fd| fd.path()).chain([process.join("cwd")]);
        let below = |link: PathBuf| fs::read_link(link).is_ok_and(|target| target.starts_with(dir));
        if name.trim_end() == "keel-init" && links.any(below) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}
