//! `suite`: every check of this repository, one after the other, and one line that sums them up.
//!
//! `make test` calls it. Each step is a command; what it prints is passed on and read for the
//! totals of libtest and of the conformance tests. A step that is no test counts as one check. The
//! last line is `N passed, N failed, N skipped`, and the exit code tells whether anything failed.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use integration::cgroups::Layout;
use integration::{Need, Runtime};

/// How many of the slowest tests are shown.
const SLOWEST: usize = 10;

/// How long one step may take, as `timeout` takes it: a hang must not take the whole CI with it.
const LIMIT: &str = "1500";

/// What makes cargo and rustdoc take every warning for an error.
const STRICT: (&str, &str) = ("RUSTDOCFLAGS", "-D warnings");

/// The tests that also run in the machine (`integration/machine`), of this package and the library:
/// those to which cgroups, systemd or the kernel make a difference.
const IN_MACHINE: &[&str] = &[
    "lifecycle",
    "cgroups",
    "resources",
    "delegation",
    "exec",
    "pause",
    "update",
    "wait",
    "hot_mounts",
    "mount_ids",
    "mount_sources",
    "namespaces",
    "net_devices",
    "user_namespace",
    "scheduling",
    "clocks",
    "security_limits",
    "rootless",
    "engine_podman_rootless",
    "engine_podman_systemd",
    "subordinate_ids",
    "apparmor",
    "landlock",
    "keyring",
    "events",
    "ps",
    "systemd",
    "steps",
];

/// Those of them, of this package alone, that run where it has cgroup v1: of the controllers that the
/// library's own tests want, its kernel has some on v2.
const IN_MACHINE_V1: &[&str] = &["systemd", "resources", "cgroups", "update", "pause"];

/// Those that run where it has SELinux, with a policy that is enforced.
const WITH_SELINUX: &[&str] = &["selinux", "keyring"];

/// One step: its name, its command line, and what tells why it cannot be performed here.
struct Step {
    name: &'static str,
    words: Vec<String>,
    obstacle: fn() -> Option<String>,
}

impl Step {
    fn new(name: &'static str, line: &str) -> Self {
        let words = line.split_whitespace().map(str::to_owned).collect();
        Self { name, words, obstacle: || None }
    }
}

/// What came of everything so far.
#[derive(Default)]
struct Totals {
    passed: u64,
    failed: u64,
    skipped: u64,
    failures: Vec<String>,
    skips: Vec<String>,
    times: Vec<(f64, String)>,
    steps: Vec<(Duration, &'static str)>,
}

fn main() -> ExitCode {
    let notes = std::env::temp_dir().join(format!("keel-suite-{}", std::process::id()));
    fs::create_dir_all(&notes).expect("a directory for notes");
    let mut totals = Totals::default();
    for step in steps(&mut totals) {
        totals.perform(&step, &notes);
    }
    let _ = fs::remove_dir_all(&notes);
    totals.report();
    if totals.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The steps that make sense on this machine; the others are noted as skipped.
fn steps(totals: &mut Totals) -> Vec<Step> {
    let mut steps = vec![
        Step::new("format", "cargo fmt --all --check"),
        Step::new("lints", "cargo clippy --workspace --all-targets -- -D warnings"),
        Step::new("documentation", "cargo doc --workspace --no-deps"),
        Step::new("build", "cargo build --workspace"),
        Step::new(
            "unit and golden tests",
            "cargo test --workspace --exclude integration --no-fail-fast",
        ),
        Step::new("integration", "cargo test -p integration --no-fail-fast"),
    ];
    let root = nix::unistd::geteuid().is_root();
    if Layout::here().is_v2() || !root {
        let why = if root { "this machine has no cgroup v1" } else { "not run as root" };
        totals.skip(format!("integration on pure cgroup v1 and v2: {why}"));
    } else {
        let tests = "cargo test -p integration --no-fail-fast --test lifecycle --test cgroups \
                     --test resources --test delegation --test pause --test update \
                     --test exec --test events --test ps";
        for (name, layout) in [("cgroup v2", "v2"), ("cgroup v1", "v1")] {
            steps.push(Step::new(name, &format!("integration/with-cgroups {layout} {tests}")));
        }
    }
    for (name, begin, tests) in [
        (
            "machine with systemd and cgroup v2",
            "--cgroups v2 cargo test -p libcontainer",
            IN_MACHINE,
        ),
        ("machine with systemd and cgroup v1", "--cgroups v1 cargo test", IN_MACHINE_V1),
        ("machine with SELinux", "--security selinux cargo test", WITH_SELINUX),
    ] {
        let tests: String = tests.iter().map(|name| format!(" --test {name}")).collect();
        let line = format!("integration/in-machine {begin} -p integration --no-fail-fast{tests}");
        steps.push(Step { obstacle: no_machine, ..Step::new(name, &line) });
    }
    if root {
        let line = "cargo run -q -p conformance -- --expect conformance/expect/keel.txt";
        let results = "--results conformance/RESULTS.md --runtime";
        steps.push(Step::new("conformance", &format!("{line} {results}")));
        if !Layout::here().is_v2() {
            let line = format!("integration/with-cgroups v2 {line} --filter config-linux.md#");
            steps.push(Step::new("conformance on cgroup v2", &format!("{line} --runtime")));
        }
    } else {
        totals.skip("conformance: not run as root".to_owned());
    }
    steps
}

/// Builds the machine, or says why there is none.
fn no_machine() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("not run as root".to_owned());
    }
    let programs = ["qemu-system-x86_64", "mmdebstrap", "mkfs.ext4", "xz"];
    if let Some(need) = programs.map(Need::Program).iter().find(|need| !need.met()) {
        return Some(need.to_string());
    }
    let command = ["--kill-after=10", LIMIT, "integration/machine/machine", "build"];
    let built = match Command::new("timeout").args(command).stdin(Stdio::null()).output() {
        Ok(built) => built,
        Err(error) => return Some(format!("cannot build it: {error}")),
    };
    let said = String::from_utf8_lossy(&built.stderr);
    print!("{said}");
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no word why");
    (!built.status.success()).then(|| last.to_owned())
}

impl Totals {
    fn skip(&mut self, reason: String) {
        self.skipped += 1;
        self.skips.push(reason);
    }

    fn fail(&mut self, what: String) {
        self.failed += 1;
        self.failures.push(what);
    }

    /// Runs one step and adds what came of it.
    fn perform(&mut self, step: &Step, notes: &Path) {
        println!("\n== {}: {}", step.name, step.words.join(" "));
        let begun = Instant::now();
        if let Some(reason) = (step.obstacle)() {
            return self.skip(format!("{}: {reason}", step.name));
        }
        let mut words = step.words.clone();
        if step.name.starts_with("conformance") {
            match Runtime::under_test() {
                Ok(runtime) => words.push(runtime.program().display().to_string()),
                Err(reason) => return self.fail(format!("conformance: {reason}")),
            }
        }
        let (skips, times) = (notes.join("skips"), notes.join("times"));
        for old in [&skips, &times] {
            let _ = fs::remove_file(old);
        }
        let spawned = Command::new("timeout")
            .args(["--kill-after=10", LIMIT])
            .args(&words)
            .envs([STRICT])
            .env("KEEL_SKIPS", &skips)
            .env("KEEL_TIMES", &times)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => return self.fail(format!("{}: cannot start: {error}", step.name)),
        };
        let mut output = Counts::default();
        for line in BufReader::new(child.stdout.take().expect("piped")).split(b'\n') {
            let line = String::from_utf8_lossy(&line.unwrap_or_default()).into_owned();
            println!("{line}");
            output.read(&line);
        }
        let good = child.wait().is_ok_and(|status| status.success());
        self.add(step.name, &output, good);
        self.read_notes(step.name, &skips, &times);
        self.steps.push((begun.elapsed(), step.name));
    }

    /// Adds the counts of one step.
    fn add(&mut self, step: &'static str, counts: &Counts, good: bool) {
        self.passed += counts.passed;
        self.skipped += counts.skipped;
        self.failed += counts.failed;
        self.failures.extend(counts.failures.iter().map(|name| format!("{step}: {name}")));
        if counts.failed > 0 && counts.failures.is_empty() {
            self.failures.push(format!("{step}: {} failed, its output says which", counts.failed));
        }
        self.skips.extend(counts.ignored.iter().map(|name| format!("{step}: {name}: ignored")));
        let unnamed = counts.skipped.saturating_sub(counts.ignored.len() as u64);
        if unnamed > 0 {
            self.skips.push(format!("{step}: {unnamed} skipped, its output says which"));
        }
        match (good, counts.failed, counts.total()) {
            (true, _, 0) => self.passed += 1,
            (false, 0, _) => self.fail(format!("{step}: the command failed")),
            _ => {}
        }
    }

    /// Reads what the tests of one step wrote down: libtest took the skipped ones for passed.
    fn read_notes(&mut self, step: &str, skips: &PathBuf, times: &PathBuf) {
        for line in fs::read_to_string(skips).unwrap_or_default().lines() {
            self.passed = self.passed.saturating_sub(1);
            self.skip(format!("{step}: {}", line.trim_start_matches("SKIP ")));
        }
        for line in fs::read_to_string(times).unwrap_or_default().lines() {
            if let Some((seconds, name)) = line.split_once(' ') {
                self.times.push((seconds.parse().unwrap_or(0.0), format!("{step}: {name}")));
            }
        }
    }

    /// Prints the summary.
    fn report(&mut self) {
        println!("\n== steps");
        for (time, name) in &self.steps {
            println!("{:8.1} s  {name}", time.as_secs_f64());
        }
        self.times.sort_by(|a, b| b.0.total_cmp(&a.0));
        println!("\n== slowest tests");
        for (seconds, name) in self.times.iter().take(SLOWEST) {
            println!("{seconds:8.1} s  {name}");
        }
        let engines = self.times.iter().filter(|(_, name)| name.contains(": engine_"));
        let mut engines: Vec<_> = engines.map(|(seconds, name)| (name, seconds)).collect();
        engines.sort_by_key(|(name, _)| *name);
        println!("\n== tests with container engines");
        for (name, seconds) in engines {
            println!("{seconds:8.1} s  {name}");
        }
        if !self.skips.is_empty() {
            println!("\n== skipped");
        }
        let mut skips: BTreeMap<&str, u32> = BTreeMap::new();
        for line in &self.skips {
            *skips.entry(line).or_default() += 1;
        }
        for (line, count) in skips {
            println!(
                "{line}{}",
                if count > 1 { format!(" ({count} times)") } else { String::new() }
            );
        }
        if !self.failures.is_empty() {
            println!("\n== failed");
        }
        for line in &self.failures {
            println!("{line}");
        }
        println!("\n{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
    }
}

/// What the output of one step says.
#[derive(Default)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
    failures: Vec<String>,
    ignored: Vec<String>,
}

impl Counts {
    fn total(&self) -> u64 {
        self.passed + self.failed + self.skipped
    }

    /// Reads a line: `test NAME ... FAILED`, `test result: …` or `N passed, N failed, N skipped`.
    fn read(&mut self, line: &str) {
        if let Some(totals) = line.strip_prefix("test result: ") {
            self.passed += number_before(totals, " passed");
            self.failed += number_before(totals, " failed");
            self.skipped += number_before(totals, " ignored");
        } else if let Some((name, end)) =
            line.strip_prefix("test ").and_then(|l| l.split_once(" ... "))
        {
            if end.starts_with("FAILED") {
                self.failures.push(name.to_owned());
            } else if end.starts_with("ignored") {
                self.ignored.push(name.to_owned());
            }
        } else if let [passed, failed, skipped] = line.split(", ").collect::<Vec<_>>()[..] {
            let numbers = [(passed, " passed"), (failed, " failed"), (skipped, " skipped")]
                .map(|(part, word)| part.strip_suffix(word).and_then(|n| n.parse::<u64>().ok()));
            if let [Some(passed), Some(failed), Some(skipped)] = numbers {
                self.passed += passed;
                self.failed += failed;
                self.skipped += skipped;
            }
        }
    }
}

/// The number that stands before a word.
fn number_before(text: &str, word: &str) -> u64 {
    let front = text.split(word).next().unwrap_or_default();
    front.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn totals_are_read_from_libtest_and_from_the_conformance_tests() {
        let mut counts = Counts::default();
        for line in [
            "test a ... ok",
            "test b ... FAILED",
            "test c ... ignored, needs a network",
            "test result: FAILED. 10 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out",
            "5 passed, 3 failed, 4 skipped",
            "one, two, three",
        ] {
            counts.read(line);
        }
        assert_eq!((counts.passed, counts.failed, counts.skipped), (15, 4, 6));
        assert_eq!((counts.failures, counts.ignored), (vec!["b".into()], vec!["c".into()]));
    }
}
