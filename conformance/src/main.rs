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
mod official;
mod options;
mod process;
mod received;
mod report;
mod results;
mod runner;
mod runtime;
mod sentences;
mod tap;
mod terminal;

use std::path::Path;
use std::process::ExitCode;

use clause::{Check, Clause};
use expect::Expected;
use machine::Machine;
use official::Suite;
use options::{Options, USAGE, value_for};
use report::{Column, Counts, Format, Status};
use results::Results;
use runner::{Runner, Subject, Tests};
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
    if let Some(dir) = &options.spec {
        let (report, complete) = sentences::compare(dir, &clause::table())?;
        print!("{report}");
        return Ok(complete);
    }
    if options.list {
        list(&clauses);
        return Ok(true);
    }
    let official = options.official.as_deref().map(|dir| Suite::find(dir, filter)).transpose()?;
    if clauses.is_empty() && official.as_ref().is_none_or(Suite::is_empty) {
        return Err(format!("no clause has {filter:?} in it"));
    }
    let tests = Tests { clauses, official };
    let machine = Machine::probe(options.busybox.as_deref())?;
    let runner = Runner::begin(machine, options.limit)?;
    if options.controls {
        return compare(&options, &runner, &tests);
    }
    let subject = find(&options, &options.runtimes[0], &runner.machine, None)?;
    let column = runner.report(&subject, &tests, options.format)?;
    Ok(Counts::of(&column.rows).unknown == 0)
}

/// Tests each runtime and prints one table: those that were asked for, then the controls.
fn compare(options: &Options, runner: &Runner, tests: &Tests) -> Result<bool, String> {
    let mut columns = Vec::new();
    let named = options.runtimes.iter().map(String::as_str);
    let others = named.filter(|name| !CONTROLS.contains(name));
    let subjects: Result<Vec<_>, _> = others
        .map(|name| find(options, name, &runner.machine, None))
        .chain(CONTROLS.into_iter().map(|name| find(options, name, &runner.machine, Some(name))))
        .collect();
    for subject in subjects? {
        let name = subject.runtime.name.clone();
        let (version, runtime) = runner.describe(&subject.runtime);
        eprintln!("conformance: {runtime}");
        // The table has no room for what was seen.
        let rows = runner.rows(&subject, tests, |row| {
            if matches!(row.status, Status::Fail { known: None, .. }) {
                eprint!("{}", report::row(Format::Table, 0, row));
            }
        })?;
        columns.push(Column { name, runtime, version, rows });
    }
    print!("{}", report::comparison(options.format, &runner.machine.kind(), &columns));
    Ok(report::total(&columns).unknown == 0)
}

/// Finds a runtime; a control brings its own list of differences, and its own wrapper.
fn find(
    options: &Options,
    name: &str,
    machine: &Machine,
    control: Option<&str>,
) -> Result<Subject, String> {
    let short = Path::new(name).file_name().unwrap_or_default().to_string_lossy();
    let built_in = (control == Some("crun") && machine.is_hybrid()).then_some(WITHOUT_UNIFIED);
    let wrap = value_for(&options.wrap, &short).or(built_in).map(str::to_owned);
    let table = clause::table();
    let read = |file: &str| {
        std::fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))
    };
    let expected = match (value_for(&options.expect, &short), control) {
        (Some(file), _) => {
            Expected::parse(&read(file)?, &table).map_err(|error| format!("{file}: {error}"))?
        }
        (None, Some(control)) => Expected::of_control(control, &table)?,
        (None, None) => Expected::default(),
    };
    let results = match &options.results {
        Some(file) => Results::parse(&read(file)?, &short, &machine.kind(), &table)
            .map_err(|error| format!("{file}: {error}"))?,
        None => Results::default(),
    };
    if results.is_from_elsewhere() {
        eprintln!("conformance: the results are from another kind of machine: skips do not count");
    }
    Ok(Subject { runtime: Runtime::find(name, wrap)?, expected, results })
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
