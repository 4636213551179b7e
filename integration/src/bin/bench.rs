//! `bench`: keel beside runc, crun and the kernel's own cost.
//!
//! `make bench` calls it as root. All cases of a table are run in turn, one round after the other,
//! and the order is rotated, so that a busy moment of the machine hits all of them. Every command
//! is started and measured by a tiny C program, since the peak memory of a command is never less
//! than that of its parent. On a machine with hybrid cgroups everything runs where
//! `/sys/fs/cgroup` is pure v1, for crun refuses the hybrid form.
#![forbid(unsafe_code)]

use std::borrow::Borrow;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use integration::cgroups::Layout;
use integration::skip::program;
use integration::{Bundle, config};

/// How long the machine rests before an isolated sample: a cgroup that somebody has just entered
/// can be entered again at once, and hides the kernel's grace period.
const GAP: Duration = Duration::from_millis(60);

/// A limit whose lowest value that works is searched for.
struct Lowest {
    controller: &'static str,
    pointer: &'static str,
    /// By how much it is raised, in units.
    step: u64,
    unit: (u64, &'static str),
    /// More steps than anybody needs.
    most: u64,
}

const LOWEST: [Lowest; 2] = [
    Lowest {
        controller: "memory",
        pointer: "/linux/resources/memory/limit",
        step: 16,
        unit: (1024, "KiB"),
        most: 1024,
    },
    Lowest {
        controller: "pids",
        pointer: "/linux/resources/pids/limit",
        step: 1,
        unit: (1, "processes"),
        most: 64,
    },
];

/// One program that is compared.
struct Case {
    name: String,
    version: String,
    program: PathBuf,
    floor: bool,
}

/// One measured command.
#[derive(Clone, Copy, Default)]
struct Sample {
    wall: f64,
    cpu: f64,
    memory: f64,
}

/// Where everything of a run of the benchmark lies.
struct Ground {
    dir: PathBuf,
    tag: String,
    floor: PathBuf,
    rounds: usize,
}

fn main() -> ExitCode {
    match bench() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !nix::unistd::geteuid().is_root() {
        return Err("it must be run as root".to_owned());
    }
    if hybrid() && std::env::var_os("KEEL_BENCH_INSIDE").is_none() {
        return inside_v1(&arguments);
    }
    let (mut runtime, mut rounds) = (None, 20);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--runtime" => runtime = words.next().cloned(),
            "--rounds" => {
                let text = words.next().ok_or("--rounds needs a number")?;
                rounds = text.parse().map_err(|_| format!("--rounds: {text:?} is no number"))?;
            }
            other => return Err(format!("unknown option {other}: --runtime PATH, --rounds N")),
        }
    }
    let ground = Ground::prepare(rounds)?;
    let outcome = ground.compare(&ground.cases(runtime)?);
    ground.remove();
    outcome
}

/// Whether both versions of cgroups are mounted.
fn hybrid() -> bool {
    let layout = Layout::here();
    let points = layout.hierarchies();
    !layout.is_v2() && points.iter().any(|point| point.join("cgroup.controllers").is_file())
}

/// Runs this program again where only cgroup v1 is mounted.
fn inside_v1(arguments: &[String]) -> Result<(), String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("with-cgroups");
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let status = Command::new(script)
        .arg("v1")
        .arg(own)
        .args(arguments)
        .env("KEEL_BENCH_INSIDE", "1")
        .status()
        .map_err(|error| format!("cannot run with-cgroups: {error}"))?;
    if status.success() { Ok(()) } else { Err("it failed in the private mount namespace".into()) }
}

impl Ground {
    /// Makes a bundle and compiles the floor.
    fn prepare(rounds: usize) -> Result<Self, String> {
        let tag = format!("keel-bench-{}", std::process::id());
        let dir = std::env::temp_dir().join(&tag);
        let failed = |error: std::io::Error| format!("cannot prepare {}: {error}", dir.display());
        fs::create_dir_all(&dir).map_err(failed)?;
        let busybox = program("busybox").ok_or("no busybox is installed")?;
        fs::copy(busybox, dir.join("busybox")).map_err(failed)?;
        let config = config::base(&format!("/{tag}/container"));
        let bundle = Bundle::make(&dir.join("bundle"), &dir.join("busybox"), config);
        bundle.map_err(failed)?.save();
        let floor = dir.join("floor");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/floor.c");
        let compiler = program("musl-gcc").or_else(|| program("gcc")).ok_or("no C compiler")?;
        let mut command = Command::new(compiler);
        command.args(["-O2", "-static", "-o"]).arg(&floor).arg(&source);
        let status = command.status().map_err(failed)?;
        if !status.success() {
            return Err("cannot compile bench/floor.c".to_owned());
        }
        Ok(Self { dir, tag, floor, rounds })
    }

    fn remove(&self) {
        Layout::here().remove(&self.tag);
        let _ = fs::remove_dir_all(&self.dir);
    }

    /// The programs that are there.
    fn cases(&self, runtime: Option<String>) -> Result<Vec<Case>, String> {
        let floor = Case {
            name: "floor".into(),
            version: "the kernel's cost, no runtime".into(),
            program: self.floor.clone(),
            floor: true,
        };
        let mut cases = vec![floor];
        let own = runtime.unwrap_or_else(|| "keel".to_owned());
        let own = program(&own).ok_or_else(|| format!("{own} is not there"))?;
        for found in [Some(own), program("crun"), program("runc")].into_iter().flatten() {
            let output = Command::new(&found).arg("--version").output();
            let text = output.map_err(|error| format!("{}: {error}", found.display()))?.stdout;
            let text = String::from_utf8_lossy(&text);
            let version = text.lines().next().unwrap_or_default().to_owned();
            let name = version.split(' ').next().unwrap_or_default().to_owned();
            if !cases.iter().any(|case| case.name == name) {
                cases.push(Case { name, version, program: found, floor: false });
            }
        }
        Ok(cases)
    }

    /// Makes all the tables.
    fn compare(&self, cases: &[Case]) -> Result<(), String> {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        println!("kernel {}, {cpus} CPUs, load {}", kernel.trim(), load.trim());
        for case in cases {
            println!("{:<8}{}", case.name, case.version);
        }
        for (title, gap) in [("run, isolated", GAP), ("run, back to back", Duration::ZERO)] {
            let samples = self.rounds_of(cases, |case| {
                std::thread::sleep(gap);
                self.measure(&self.run_words(case))
            })?;
            table(title, cases, &samples);
        }
        let runtimes: Vec<&Case> = cases.iter().filter(|case| !case.floor).collect();
        self.lifecycle(&runtimes)?;
        println!("\nsystem calls of a run, the container's own included");
        self.system_calls(cases, |case| self.run_words(case));
        self.exec(&runtimes)?;
        for limit in &LOWEST {
            self.lowest(limit, &runtimes);
        }
        Ok(())
    }

    /// Runs a command of each case in every round, in rotated order.
    fn rounds_of<C: Borrow<Case>>(
        &self,
        cases: &[C],
        sample: impl Fn(&Case) -> Result<Sample, String>,
    ) -> Result<Vec<Vec<Sample>>, String> {
        let mut samples = vec![Vec::new(); cases.len()];
        for round in 0..=self.rounds {
            for turn in 0..cases.len() {
                let index = (turn + round) % cases.len();
                let one = sample(cases[index].borrow())?;
                // The first round only warms the caches.
                if round > 0 {
                    samples[index].push(one);
                }
            }
        }
        Ok(samples)
    }

    /// The command line that runs `/bin/true` in a container.
    fn run_words(&self, case: &Case) -> Vec<String> {
        let text = |path: &Path| path.display().to_string();
        if case.floor {
            let rootfs = text(&self.dir.join("bundle/rootfs"));
            let cgroup = format!("{}-floor", self.tag);
            return [text(&case.program), "run".into(), rootfs, cgroup, "/bin/true".into()].into();
        }
        let mut words = self.words(case, &["run", "--bundle"]);
        words.extend([text(&self.dir.join("bundle")), self.tag.clone()]);
        words
    }

    /// A command line of a runtime with a state root of its own.
    fn words(&self, case: &Case, words: &[&str]) -> Vec<String> {
        let root = self.dir.join("state").join(&case.name);
        let own = [case.program.display().to_string(), "--root".into(), root.display().to_string()];
        own.into_iter().chain(words.iter().map(|&word| word.to_owned())).collect()
    }

    /// Measures one command, which must succeed.
    fn measure(&self, words: &[String]) -> Result<Sample, String> {
        let output = Command::new(&self.floor).arg("measure").args(words).output();
        let output = output.map_err(|error| format!("cannot measure: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let numbers: Vec<f64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        match numbers[..] {
            [wall, user, system, memory, 0.0] => {
                Ok(Sample { wall: wall / 1e3, cpu: (user + system) / 1e3, memory: memory / 1024.0 })
            }
            _ => Err(format!("failed: {} ({text:?})", words.join(" "))),
        }
    }

    /// The tables of create, start and delete.
    fn lifecycle(&self, cases: &[&Case]) -> Result<(), String> {
        let verbs = ["create", "start", "delete"];
        let mut samples = vec![vec![Vec::new(); cases.len()]; verbs.len()];
        let bundle = self.dir.join("bundle").display().to_string();
        for round in 0..=self.rounds {
            for turn in 0..cases.len() {
                let index = (turn + round) % cases.len();
                for (verb, name) in verbs.iter().enumerate() {
                    // Before delete the process has ended by itself.
                    std::thread::sleep(GAP);
                    let options = if *name == "create" { &["--bundle", &bundle][..] } else { &[] };
                    let mut words = self.words(cases[index], &[name]);
                    words.extend(options.iter().map(|&option| option.to_owned()));
                    words.push(self.tag.clone());
                    let one = self.measure(&words)?;
                    if round > 0 {
                        samples[verb][index].push(one);
                    }
                }
            }
        }
        for (name, samples) in verbs.iter().zip(&samples) {
            table(&format!("{name}, isolated"), cases, samples);
        }
        Ok(())
    }

    /// The tables of exec: `/bin/true` in a container that sleeps, one for each runtime.
    fn exec(&self, cases: &[&Case]) -> Result<(), String> {
        let words = |case: &Case| self.words(case, &["exec", &self.tag, "/bin/true"]);
        let begun: Result<Vec<()>, String> =
            cases.iter().map(|case| self.begin_sleeping(case)).collect();
        let outcome = begun.and_then(|_| {
            for (title, gap) in [("exec, isolated", GAP), ("exec, back to back", Duration::ZERO)] {
                let samples = self.rounds_of(cases, |case| {
                    std::thread::sleep(gap);
                    self.measure(&words(case))
                })?;
                table(title, cases, &samples);
            }
            println!("\nsystem calls of an exec, the process's own included");
            self.system_calls(cases, words);
            Ok(())
        });
        for case in cases {
            let _ = self.measure(&self.words(case, &["delete", "--force", &self.tag]));
        }
        outcome
    }

    /// Starts a container that sleeps.
    fn begin_sleeping(&self, case: &Case) -> Result<(), String> {
        let dir = self.dir.join(format!("sleeping-{}", case.name));
        let cgroup = format!("/{}/sleeping-{}", self.tag, case.name);
        let made = Bundle::make(&dir, &self.dir.join("busybox"), config::base(&cgroup));
        let bundle = made.map_err(|error| format!("cannot make a bundle: {error}"))?;
        bundle.sleeping().save();
        let dir = dir.display().to_string();
        let words = ["run", "--detach", "--bundle", &dir, &self.tag];
        self.measure(&self.words(case, &words)).map(drop)
    }

    /// How many system calls a command makes, with all its processes.
    fn system_calls<C: Borrow<Case>>(&self, cases: &[C], words: impl Fn(&Case) -> Vec<String>) {
        let Some(strace) = program("strace") else {
            return println!("(strace is not installed)");
        };
        for case in cases.iter().map(Borrow::borrow) {
            let file = self.dir.join("calls");
            let status = Command::new(&strace)
                .args(["-f", "-c", "-o"])
                .arg(&file)
                .args(words(case))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .status();
            let text = fs::read_to_string(&file).unwrap_or_default();
            let total = text.lines().rfind(|line| line.ends_with(" total"));
            let count = total.and_then(|line| line.split_whitespace().nth(3));
            let failed = if status.is_ok_and(|status| status.success()) { "" } else { " (failed)" };
            println!("{:<8}{:>8}{failed}", case.name, count.unwrap_or("?"));
        }
    }

    /// The lowest limit with which a run succeeds three times out of three.
    fn lowest(&self, limit: &Lowest, cases: &[&Case]) {
        let Lowest { controller, pointer, step, unit: (unit, name), most } = limit;
        println!("\nlowest limit of {controller} with which a run of /bin/true works, {name}");
        if !Layout::here().has(controller) {
            return println!("(no such controller)");
        }
        let dir = self.dir.join(format!("limited-{controller}"));
        let made = Bundle::make(
            &dir,
            &self.dir.join("busybox"),
            config::base(&format!("/{}/container", self.tag)),
        );
        let Ok(bundle) = made else { return println!("(cannot make a bundle)") };
        for case in cases {
            let works = |steps: u64| {
                bundle.clone().set(pointer, steps * step * unit).save();
                (0..3).all(|_| {
                    let mut words = self.words(case, &["run", "--bundle"]);
                    words.extend([dir.display().to_string(), self.tag.clone()]);
                    let good = self.measure(&words).is_ok();
                    if !good {
                        let words = self.words(case, &["delete", "--force", &self.tag]);
                        let _ = self.measure(&words);
                    }
                    good
                })
            };
            let (mut low, mut high) = (0, *most);
            while high - low > 1 {
                let middle = u64::midpoint(low, high);
                if works(middle) { high = middle } else { low = middle }
            }
            println!("{:<8}{:>8}", case.name, high * step);
        }
    }
}

/// Prints one table; the last columns compare with crun.
fn table<C: Borrow<Case>>(title: &str, cases: &[C], samples: &[Vec<Sample>]) {
    println!("\n{title}, {} rounds", samples.first().map_or(0, Vec::len));
    println!(
        "{:<8}{:>10}{:>10}{:>10}{:>10}{:>10}{:>14}{:>14}",
        "", "wall min", "wall med", "cpu min", "cpu med", "peak MiB", "wall / crun", "cpu / crun"
    );
    let crun = cases.iter().position(|case| case.borrow().name == "crun");
    let median = |index: usize, part: fn(&Sample) -> f64| sorted(&samples[index], part).1;
    for (index, case) in cases.iter().enumerate() {
        let (wall_min, wall_med) = sorted(&samples[index], |sample| sample.wall);
        let (cpu_min, cpu_med) = sorted(&samples[index], |sample| sample.cpu);
        let peak = samples[index].iter().map(|sample| sample.memory).fold(0.0, f64::max);
        let ratio = |own: f64, part: fn(&Sample) -> f64| {
            crun.map_or("-".to_owned(), |crun| format!("{:.2}", own / median(crun, part)))
        };
        println!(
            "{:<8}{wall_min:>10.2}{wall_med:>10.2}{cpu_min:>10.2}{cpu_med:>10.2}{peak:>10.2}{:>14}{:>14}",
            case.borrow().name,
            ratio(wall_med, |sample| sample.wall),
            ratio(cpu_med, |sample| sample.cpu),
        );
    }
}

/// The least and the median of one part of some samples.
fn sorted(samples: &[Sample], part: fn(&Sample) -> f64) -> (f64, f64) {
    let mut values: Vec<f64> = samples.iter().map(part).collect();
    values.sort_by(f64::total_cmp);
    let min = values.first().copied().unwrap_or(f64::NAN);
    (min, values.get(values.len() / 2).copied().unwrap_or(f64::NAN))
}
