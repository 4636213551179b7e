//! Races and traps for security tests: a directory that must not change, and a swapper of names.
//!
//! A [`Canary`] is a directory of the host with known content, outside every root file system; an
//! attack succeeded when it changed. An [`Exchanger`] swaps two names as fast as the kernel allows,
//! which is how a hostile container races against the runtime in a volume they share.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crate::bundle::write;

/// What is known of one file of a canary.
type Fingerprint = (u64, u32, u32, u32, u64, u64, Vec<u8>);

/// A directory of the host that a container must never reach.
pub struct Canary {
    dir: PathBuf,
    before: BTreeMap<PathBuf, Fingerprint>,
}

impl Canary {
    /// Fills a directory with files worth attacking.
    pub fn plant(dir: PathBuf) -> Self {
        for name in ["secret", "ptmx", "null", "console", "config", "etc/passwd", "fd", "stdin"] {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().expect("a directory")).expect("mkdir");
            write(&path, format!("canary {name}\n").as_bytes());
        }
        let before = fingerprints(&dir);
        Self { dir, before }
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Demands that nothing in it has changed: names, inodes, owners, modes, content.
    #[track_caller]
    pub fn assert_untouched(&self) {
        let now = fingerprints(&self.dir);
        let paths = self.before.keys().chain(now.keys());
        let changed: BTreeSet<_> = paths.filter(|p| self.before.get(*p) != now.get(*p)).collect();
        assert!(changed.is_empty(), "a container changed files of the host: {changed:?}");
    }
}

/// Everything about the files below a directory that an attacker could change.
fn fingerprints(dir: &Path) -> BTreeMap<PathBuf, Fingerprint> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = fs::symlink_metadata(&path).expect("the canary is there");
        let content = if meta.is_file() { fs::read(&path).expect("read") } else { Vec::new() };
        let print =
            (meta.ino(), meta.mode(), meta.uid(), meta.gid(), meta.rdev(), meta.nlink(), content);
        if meta.is_dir() {
            let entries = fs::read_dir(&path).expect("read the canary");
            todo.extend(entries.flatten().map(|entry| entry.path()));
        }
        found.insert(path, print);
    }
    found
}

/// Swaps two names over and over, until dropped.
pub struct Exchanger {
    stop: Arc<AtomicBool>,
    swaps: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Exchanger {
    /// Begins to swap.
    pub fn between(one: PathBuf, other: PathBuf) -> Self {
        let (stop, swaps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&swaps));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if exchange(&one, &other) {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { stop, swaps, thread: Some(thread) }
    }

    /// How often it has swapped so far.
    pub fn swaps(&self) -> u64 {
        self.swaps.load(Ordering::Relaxed)
    }
}

impl Drop for Exchanger {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Swaps two names in one step.
#[cfg(target_env = "gnu")]
fn exchange(one: &Path, other: &Path) -> bool {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).is_ok()
}

/// Swaps two names in three steps, where nix does not know how to do it in one.
#[cfg(not(target_env = "gnu"))]
fn exchange(one: &Path, other: &Path) -> bool {
    let aside = one.with_extension("aside");
    let moves = [(one, aside.as_path()), (other, one), (&aside, other)];
    moves.iter().all(|(from, to)| fs::rename(from, to).is_ok())
}
