//! Filters beside libseccomp's: how long the compiler takes for the profiles of engines, how long the
//! programs are, and how many instructions the fifty commonest calls take. `make bench` calls it.
//!
//! A time is the least of many rounds. libseccomp is called through its bindings for Python, which
//! costs about half a microsecond for each of the calls that add a rule; level 2 of its
//! optimisation, which runc asks for, searches by halves.

#[path = "../tests/seccomp/oracle.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod oracle;

use std::path::Path;
use std::time::{Duration, Instant};

use libcontainer::seccomp::{Arch, COMMONEST, Call, compile, run};
use libcontainer::spec::{Seccomp, Spec};
use oracle::Oracle;

/// The profiles: what engines wrote, below `tests/spec/engines`.
const PROFILES: [&str; 3] = ["docker", "podman", "cri"];
const ROUNDS: u32 = 300;
const ROUNDS_OF_LIBSECCOMP: u32 = 20;

fn main() {
    println!(
        "seccomp: ms to compile, instructions, path of the {} commonest calls",
        COMMONEST.len()
    );
    println!(
        "{:<12}{:<22}{:>8}{:>8}{:>8}{:>7}{:>9}",
        "profile", "by", "ms", "length", "mean", "worst", "times"
    );
    let Some(mut oracle) = Oracle::begin() else { return };
    for name in PROFILES {
        let Some(profile) = profile(name) else { continue };
        let (ours, program) = keels(&profile);
        row(name, "keel", ours, &program, ours);
        for (title, level) in [("libseccomp", 1), ("libseccomp, level 2", 2)] {
            match oracle.timed(&profile, level, ROUNDS_OF_LIBSECCOMP) {
                Ok((theirs, program)) => row(name, title, theirs, &program, ours),
                Err(why) => println!("{name:<12}{title:<22} {why}"),
            }
        }
    }
}

/// The profile in a configuration of an engine.
fn profile(name: &str) -> Option<Seccomp> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec/engines");
    let text = std::fs::read(dir.join(format!("{name}.json"))).ok()?;
    Spec::parse(&text).ok()?.linux?.seccomp
}

/// The least time in which a profile is compiled, and the program.
fn keels(profile: &Seccomp) -> (Duration, Vec<u32>) {
    let mut least = Duration::MAX;
    let mut program = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let filter = compile(profile, "", &mut Vec::new()).expect("a profile of an engine");
        least = least.min(start.elapsed());
        program = filter.program;
    }
    (least, program)
}

fn row(name: &str, by: &str, time: Duration, program: &[u32], ours: Duration) {
    let (mean, worst) = paths(program);
    println!(
        "{name:<12}{by:<22}{:>8.3}{:>8}{mean:>8.1}{worst:>7}{:>9.1}",
        time.as_secs_f64() * 1e3,
        program.len() / 2,
        time.as_secs_f64() / ours.as_secs_f64(),
    );
}

/// The instructions that the commonest calls take: the mean, and the most.
fn paths(program: &[u32]) -> (f64, usize) {
    let Some(arch) = Arch::native() else { return (0.0, 0) };
    let call = |number| Call { number, arch: arch.audit(), args: [0; 6] };
    let numbers = COMMONEST.iter().filter_map(|name| arch.number(name));
    let paths: Vec<usize> =
        numbers.filter_map(|number| Some(run(program, &call(number))?.1)).collect();
    let worst = paths.iter().copied().max().unwrap_or_default();
    (paths.iter().sum::<usize>() as f64 / paths.len().max(1) as f64, worst)
}
