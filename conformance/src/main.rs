//! `conformance`: tests any OCI runtime binary against the runtime-spec 1.3, clause by clause.
//!
//! The path of a run: [`options`] reads the command line, [`machine`] looks at the machine,
//! [`clause::table`] gives the clauses, and [`runner`] performs each test in a [`case::Case`] of
//! its own, which has a fresh bundle, fresh ids and a cgroup and removes them all. [`report`]
//! prints. A test reads its effect from inside a real container or from the kernel, never from
//! what the runtime says it did, unless what it says is the clause.

#![forbid(unsafe_code)]

mod bundle;
mod case;
mod clause;
mod clauses;
mod container;
mod expect;
mod machine;
mod mountinfo;
mod namespace;
mod options;
mod process;
mod received;
mod report;
mod runner;
mod runtime;
mod terminal;

use std::path::Path;
use std::process::ExitCode;

use clause::{Check, Clause};
use expect::Expected;
use machine::Machine;
use options::{Options, USAGE, value_for};
use report::{Column, Counts, Format, Status};
use runner::Runner;
use runtime::Runtime;

/// The runtimes that show whether a test asks what the text says.
const CONTROLS: [&str; 2] = ["runc", "crun"];

/// What lets a crun that knows no hybrid cgroups see the v1 hierarchies alone. It makes its
/// directories at the place of the other one too: in a file system that ends with the call.
const WITHOUT_UNIFIED: &str = "unshare --mount --propagation slave sh -c \
    'umount /sys/fs/cgroup/unified && mount -t tmpfs none /sys/fs/cgroup/unified && exec \"$@\"' \
    without-unified";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            eprintln!("conformance: {message}");
            ExitCode::from(2)
        }
    }
}

/// Whether nothing failed that was not known to fail.
fn run() -> Result<bool, String> {
    let options = Options::parse(std::env::args().skip(1))?;
    if options.help {
        print!("{USAGE}");
        return Ok(true);
    }
    let filter = options.filter.as_deref().unwrap_or_default();
    let clauses: Vec<_> = clause::table().into_iter().filter(|c| c.matches(filter)).collect();
    if options.list {
        list(&clauses);
        return Ok(true);
    }
    if clauses.is_empty() {
        return Err(format!("no clause has {filter:?} in it"));
    }
    let machine = Machine::probe(options.busybox.as_deref())?;
    let runner = Runner::begin(machine, options.limit)?;
    if options.controls {
        return compare(&options, &runner, &clauses);
    }
    let subject = Subject::find(&options, &options.runtimes[0], &runner.machine, None)?;
    let rows = runner.report(subject.runtime, &subject.expected, &clauses, options.format)?;
    Ok(Counts::of(&rows).unknown == 0)
}

/// Runs the clauses with each runtime and prints one table.
fn compare(
    options: &Options,
    runner: &Runner,
    clauses: &[&'static Clause],
) -> Result<bool, String> {
    let mut columns = Vec::new();
    let named = options.runtimes.iter().map(String::as_str);
    let others = named.filter(|name| !CONTROLS.contains(name));
    let subjects: Result<Vec<_>, _> = CONTROLS
        .into_iter()
        .map(|name| Subject::find(options, name, &runner.machine, Some(name)))
        .chain(others.map(|name| Subject::find(options, name, &runner.machine, None)))
        .collect();
    for subject in subjects? {
        let (name, runtime) = (subject.runtime.name.clone(), runner.describe(&subject.runtime));
        eprintln!("conformance: {runtime}");
        // The table has no room for what was seen.
        let rows = runner.rows(subject.runtime, &subject.expected, clauses, |row| {
            if matches!(row.status, Status::Fail { known: None, .. }) {
                eprint!("{}", report::row(Format::Table, 0, row));
            }
        })?;
        columns.push(Column { name, runtime, rows });
    }
    print!("{}", report::comparison(options.format, &columns));
    Ok(report::total(&columns).unknown == 0)
}

/// A runtime to test, with what is known of it.
struct Subject {
    runtime: Runtime,
    expected: Expected,
}

impl Subject {
    /// Finds a runtime; a control brings its own list of differences, and its own wrapper.
    fn find(
        options: &Options,
        name: &str,
        machine: &Machine,
        control: Option<&str>,
    ) -> Result<Self, String> {
        let short = Path::new(name).file_name().unwrap_or_default().to_string_lossy();
        let built_in = (control == Some("crun") && machine.is_hybrid()).then_some(WITHOUT_UNIFIED);
        let wrap = value_for(&options.wrap, &short).or(built_in).map(str::to_owned);
        let table = clause::table();
        let expected = match (value_for(&options.expect, &short), control) {
            (Some(file), _) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| format!("cannot read {file}: {error}"))?;
                Expected::parse(&text, &table).map_err(|error| format!("{file}: {error}"))?
            }
            (None, Some(control)) => Expected::of_control(control, &table)?,
            (None, None) => Expected::default(),
        };
        Ok(Self { runtime: Runtime::find(name, wrap)?, expected })
    }
}

/// Prints how each clause is checked.
fn list(clauses: &[&Clause]) {
    let mut tests = 0;
    for clause in clauses {
        println!("{:<6} {:<48} {}", clause.level, clause.id, clause.text);
        match clause.check {
            Check::Test(_) => tests += 1,
            Check::Untestable(reason) => println!("       no test: {reason}"),
        }
    }
    println!("{} clauses, {tests} tested", clauses.len());
}
