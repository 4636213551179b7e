//! Containers from a large, busy program: what a fork of it would copy, and could deadlock on, costs
//! nothing here, as the first process of a container is another program from its first instruction.
//!
//! ```text
//! cargo run --release --example threads -- BUNDLE [COUNT]
//! ```
//!
//! While eight threads allocate and free memory, and 64 MiB are dirty, four more create, start, wait
//! for and delete COUNT containers (1000 without it) of one bundle, all at once. Afterwards a fresh
//! small process does the same for some of them beside the busy threads, and the median times of a
//! create in both are shown. The bundle is any directory with a `config.json` and a root file
//! system; its process must end by itself. Needs root, unless the configuration does not.

use std::ffi::OsString;
use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use libcontainer::{Attachments, Bundle, ContainerId, Options, Store};

/// Threads that do nothing but allocate and free.
const BUSY: usize = 8;
/// Threads that make containers.
const MAKERS: usize = 4;
/// Memory that is written to, in bytes.
const DIRTY: usize = 64 << 20;
/// Containers of the small process.
const FEW: usize = 100;
/// The first argument that makes this program the small process.
const SMALL: &str = "--small";

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let small = args.first().is_some_and(|first| first == SMALL);
    if small {
        args.remove(0);
    }
    let count = args.get(1).map_or(Some(1000), |text| text.to_str()?.parse().ok());
    let (Some(bundle), Some(count), true) = (args.first(), count, args.len() <= 2) else {
        eprintln!("usage: threads BUNDLE [COUNT]");
        return ExitCode::from(2);
    };
    let bundle = Path::new(bundle);
    let done = if small { be_small(bundle, count) } else { compare(bundle, count) };
    done.unwrap_or_else(|error| {
        eprintln!("threads: {error}");
        ExitCode::FAILURE
    })
}

/// The large program, and the small one beside it.
fn compare(dir: &Path, count: usize) -> Outcome<ExitCode> {
    let dirty = black_box(vec![1_u8; DIRTY]);
    let stop = AtomicBool::new(false);
    let (large, time, small) = std::thread::scope(|threads| {
        for _ in 0..BUSY {
            threads.spawn(|| churn(&stop));
        }
        let begun = Instant::now();
        let large = make(dir, count);
        let time = begun.elapsed();
        let small = ask_small(dir, count.min(FEW));
        stop.store(true, Ordering::Relaxed);
        (large, time, small)
    });
    let (large, small) = (large?, small?);
    println!(
        "{} of {count} containers from {MAKERS} threads in {:.1} s, {} failed",
        large.times.len(),
        time.as_secs_f64(),
        large.failures.len()
    );
    for failure in large.failures.iter().take(10) {
        println!("  {failure}");
    }
    let what = format!("with {BUSY} busy threads and {} MiB", dirty.len() >> 20);
    println!("median of a create in this program, {what}: {:?}", median(large.times));
    println!("median of a create in a fresh small program beside it: {small:?}");
    Ok(if large.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The small process: prints its median, in microseconds.
fn be_small(dir: &Path, count: usize) -> Outcome<ExitCode> {
    let Made { times, failures } = make(dir, count)?;
    if let Some(failure) = failures.first() {
        return Err(failure.clone().into());
    }
    println!("{}", median(times).as_micros());
    Ok(ExitCode::SUCCESS)
}

fn ask_small(dir: &Path, count: usize) -> Outcome<Duration> {
    let program = std::env::current_exe()?;
    let output = Command::new(program).arg(SMALL).arg(dir).arg(count.to_string()).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().into());
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(Duration::from_micros(text.trim().parse()?))
}

/// Times of the creates that succeeded, and what those said that failed.
#[derive(Default)]
struct Made {
    times: Vec<Duration>,
    failures: Vec<String>,
}

/// Makes containers from several threads. The library needs nothing for that: a store is a path,
/// and a bundle that was read is plain data.
fn make(dir: &Path, count: usize) -> Outcome<Made> {
    let bundle = many_at_once(&Bundle::open(dir)?)?;
    let process = std::process::id();
    let root = std::env::temp_dir().join(format!("keel-threads-{process}"));
    let store = Store::at(&root);
    let (next, made) = (AtomicUsize::new(0), Mutex::new(Made::default()));
    std::thread::scope(|threads| {
        for _ in 0..MAKERS.min(count) {
            threads.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let done = live(&store, &bundle, &format!("threads-{process}-{number}"));
                    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
                    match done {
                        Ok(time) => made.times.push(time),
                        Err(error) => made.failures.push(error.to_string()),
                    }
                }
            });
        }
    });
    // Empty now, unless a container could not even be removed, and then worth a look.
    let _ = std::fs::remove_dir(root);
    Ok(made.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The bundle, without what only one container at a time can have.
fn many_at_once(bundle: &Bundle) -> libcontainer::Result<Bundle> {
    let mut spec = bundle.spec().clone();
    if let Some(process) = &mut spec.process {
        process.terminal = false;
    }
    if let Some(linux) = &mut spec.linux {
        // Then every container gets a cgroup of its id.
        linux.cgroups_path = None;
    }
    Bundle::from_spec(bundle.path(), spec)
}

/// The whole life of one container; returns how long its create took.
fn live(store: &Store, bundle: &Bundle, id: &str) -> Outcome<Duration> {
    let id: ContainerId = id.parse()?;
    let null = || File::options().read(true).write(true).open("/dev/null").map(Into::into);
    let stdio = [Some(null()?), Some(null()?), Some(null()?)];
    let attach = Attachments { stdio, ..Attachments::default() };
    let begun = Instant::now();
    let mut container = store.create(&id, bundle, &Options::default(), attach)?;
    let time = begun.elapsed();
    let ended = container.start().and_then(|()| container.wait()).and_then(|_| container.delete());
    if let Err(error) = ended {
        store.delete_forced(&id)?;
        return Err(error.into());
    }
    Ok(time)
}

/// Allocates and frees memory of many sizes until it is told to stop: in bursts, as with all the
/// processors' time gone the containers would do nothing but wait for their turn.
fn churn(stop: &AtomicBool) {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut size = 1;
    while !stop.load(Ordering::Relaxed) {
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

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
