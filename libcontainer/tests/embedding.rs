//! The library inside a large, busy program: a thousand containers from several threads at once.
//!
//! While other threads allocate memory none of them hangs and none fails, and the program is
//! afterwards what it was before; what other threads rely on has not changed for a moment. Needs
//! root. There is one test here, as another in the same process would change what is looked at.

#[path = "steps/bundle.rs"]
mod bundle;
#[path = "embedding/facts.rs"]
mod facts;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hint::black_box;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use libcontainer::spec::{Hook, IdMapping, Namespace, Spec};
use libcontainer::{Attachments, Bundle, Console, Container, Options, Store};

/// How many containers.
const COUNT: usize = 1000;
/// Threads that make them.
const MAKERS: usize = 4;
/// Threads that allocate.
const BUSY: usize = 8;
/// Memory that is written to, in bytes.
const DIRTY: usize = 64 << 20;
/// How long no container may come to its end until one of them counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all threads share.
struct Work {
    tag: String,
    dir: PathBuf,
    store: Store,
    /// The container whose network namespace others join.
    neighbour: Option<i32>,
    next: AtomicUsize,
    under_way: Mutex<BTreeSet<usize>>,
    /// Where the allocating threads meet at the beginning.
    begun: Barrier,
    /// Tells the watcher, and then the allocating threads, to end.
    made: AtomicBool,
    done: AtomicBool,
}

#[test]
fn a_busy_program_makes_a_thousand_containers_and_is_what_it_was_before() {
    let busybox = match bundle::busybox() {
        Ok(busybox) => busybox,
        Err(reason) => return bundle::skip("embedding", reason),
    };
    let mut work = Work::new();
    bundle::make(&work.dir, &busybox);
    let dirty = black_box(vec![1_u8; DIRTY]);
    // The first container also places init's program in memory, where it stays for all others.
    let mut neighbour = work.create(0, &["/bin/sleep", "1000"]).unwrap();
    neighbour.start().unwrap();
    work.neighbour = neighbour.pid();

    let work = Arc::new(work);
    let busy: Vec<_> = (0..BUSY).map(|_| run(&work, churn)).collect();
    // A thread that has not begun yet has all signals blocked.
    work.begun.wait();
    let before = facts::all(&work.tag);
    let watcher = run(&work, watch);
    let (sender, results) = channel();
    let makers: Vec<_> = (0..MAKERS)
        .map(|_| {
            let sender = sender.clone();
            run(&work, move |work| make(work, &sender))
        })
        .collect();
    drop(sender);
    let (count, failures) = collect(&work, &results);
    let joined = makers.into_iter().filter_map(|maker| maker.join().ok()).count();
    work.made.store(true, Ordering::Relaxed);
    let meanwhile = watcher.join().unwrap();
    let after = facts::difference(&before, &work.tag);
    work.done.store(true, Ordering::Relaxed);
    for thread in busy {
        thread.join().unwrap();
    }
    work.clear();

    assert_eq!(dirty.iter().filter(|byte| **byte == 1).count(), DIRTY, "nobody wrote to it");
    assert_eq!(failures, Vec::<String>::new());
    assert_eq!((count, joined), (COUNT, MAKERS));
    assert_eq!(meanwhile, Vec::<String>::new(), "changed for a moment");
    assert_eq!(after, Vec::<String>::new(), "changed for good");
}

/// Starts a thread that has the work before it.
fn run<T: Send + 'static>(
    work: &Arc<Work>,
    task: impl FnOnce(&Work) -> T + Send + 'static,
) -> JoinHandle<T> {
    let work = Arc::clone(work);
    std::thread::spawn(move || task(&work))
}

/// Gathers what became of the containers; a thread that hangs is not waited for.
fn collect(work: &Work, results: &Receiver<Result<(), String>>) -> (usize, Vec<String>) {
    let (mut count, mut failures) = (0, Vec::new());
    loop {
        match results.recv_timeout(PATIENCE) {
            Ok(Ok(())) => count += 1,
            Ok(Err(failure)) => failures.push(failure),
            Err(RecvTimeoutError::Disconnected) => return (count, failures),
            Err(RecvTimeoutError::Timeout) => {
                let numbers = work.under_way.lock().unwrap().clone();
                work.clear();
                panic!("after {count} containers these hang: {numbers:?}; failed: {failures:?}");
            }
        }
    }
}

/// Makes containers as long as there are some to make.
fn make(work: &Work, results: &Sender<Result<(), String>>) {
    loop {
        let number = work.next.fetch_add(1, Ordering::Relaxed);
        if number > COUNT {
            return;
        }
        work.under_way.lock().unwrap().insert(number);
        let done = work.live(number).map_err(|error| format!("container {number}: {error}"));
        work.under_way.lock().unwrap().remove(&number);
        results.send(done).unwrap();
    }
}

/// Allocates and frees memory of many sizes, in bursts.
fn churn(work: &Work) {
    work.begun.wait();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut size = 1;
    while !work.done.load(Ordering::Relaxed) {
        for _ in 0..200 {
            size = size * 7 % 4099;
            kept.push(black_box(vec![1; size]));
            if kept.len() > 64 {
                kept.swap_remove(size % 64);
            }
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// Looks all the time at what must not change even for a moment.
fn watch(work: &Work) -> Vec<String> {
    let before = facts::constant();
    let mut found = Vec::new();
    while found.is_empty() && !work.made.load(Ordering::Relaxed) {
        found = facts::compare(&before, &facts::constant());
        std::thread::sleep(Duration::from_micros(500));
    }
    found
}

impl Work {
    fn new() -> Self {
        let tag = format!("keel-embedding-{}", std::process::id());
        let dir = std::env::temp_dir().join(&tag);
        Self {
            store: Store::at(dir.join("state")),
            tag,
            dir,
            neighbour: None,
            next: AtomicUsize::new(1),
            under_way: Mutex::default(),
            begun: Barrier::new(BUSY + 1),
            made: AtomicBool::new(false),
            done: AtomicBool::new(false),
        }
    }

    /// The whole life of one container.
    fn live(&self, number: usize) -> Result<(), String> {
        let mut container = self.create(number, &["/bin/true"]).map_err(|e| e.to_string())?;
        container.start().map_err(|e| e.to_string())?;
        let exit = container.wait().map_err(|e| e.to_string())?;
        container.delete().map_err(|e| e.to_string())?;
        if exit.code == Some(0) { Ok(()) } else { Err(format!("it ended with {exit:?}")) }
    }

    /// Containers of several sorts, by their number.
    fn create(&self, number: usize, args: &[&str]) -> libcontainer::Result<Container> {
        let mut spec = Spec::example();
        let mut options = Options::default();
        let mut attach = Attachments {
            stdio: [Some(null()), Some(null()), Some(null())],
            ..Attachments::default()
        };
        let process = spec.process.get_or_insert_default();
        (process.terminal, process.args) = (false, texts(args));
        let linux = spec.linux.get_or_insert_default();
        linux.cgroups_path = Some(format!("/{}/{number}", self.tag));
        match number % 5 {
            1 => {
                linux.namespaces.push(Namespace { kind: "user".into(), path: None });
                let all = IdMapping { container_id: 0, host_id: 100_000, size: 65_536 };
                (linux.uid_mappings, linux.gid_mappings) = (vec![all.clone()], vec![all]);
            }
            // A thread of its own joins it.
            2 => {
                let path = self.neighbour.map(|pid| format!("/proc/{pid}/ns/net"));
                linux.namespaces.retain(|namespace| namespace.kind != "network");
                linux.namespaces.push(Namespace { kind: "network".into(), path });
            }
            3 => (process.terminal, attach.console) = (true, Console::Keep),
            4 => (options.preserved_fds, attach.preserved) = (1, vec![null()]),
            _ => {}
        }
        // A program of the host, which is forked from this one.
        if number % 50 == 7 {
            let args = texts(&["sh", "-c", "cat >/dev/null"]);
            let hook = Hook { path: "/bin/sh".into(), args, ..Hook::default() };
            spec.hooks.get_or_insert_default().create_runtime.push(hook);
        }
        let bundle = Bundle::from_spec(self.dir.join("bundle"), spec)?;
        let id = format!("{}-{number}", self.tag).parse()?;
        self.store.create(&id, &bundle, &options, attach)
    }

    /// Removes everything that was made.
    fn clear(&self) {
        for container in self.store.list().unwrap_or_default() {
            let _ = self.store.delete_forced(container.id());
        }
        bundle::remove_cgroup(&format!("/{}", self.tag));
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

fn null() -> OwnedFd {
    File::options().read(true).write(true).open("/dev/null").unwrap().into()
}
