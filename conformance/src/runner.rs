//! Performs the tests of a list of clauses with one runtime, one after the other.
//!
//! A test that fails, hangs or panics ends alone: its place is removed and the next one begins.
//! Only this file decides what a result of a clause is; only `main` calls it.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, umask};

use crate::case::{Case, Ground};
use crate::clause::{Check, Clause, Outcome, Test, Verdict};
use crate::expect::Expected;
use crate::machine::Machine;
use crate::official::Suite;
use crate::process;
use crate::report::{self, Column, Format, Item, Row, Status};
use crate::results::Results;
use crate::runtime::Runtime;

/// What is tested.
pub(crate) struct Tests {
    /// The clauses.
    pub(crate) clauses: Vec<&'static Clause>,
    /// Programs that are not ours.
    pub(crate) official: Option<Suite>,
}

/// A runtime to test, with what is known of it.
pub(crate) struct Subject {
    /// The runtime.
    pub(crate) runtime: Runtime,
    /// What it is known to do otherwise.
    pub(crate) expected: Expected,
    /// What it must not lose.
    pub(crate) results: Results,
}

/// Where and how the tests run.
pub(crate) struct Runner {
    /// The machine they run on.
    pub(crate) machine: Machine,
    dir: PathBuf,
    limit: Duration,
}

impl Runner {
    /// Prepares this process and a directory for the tests.
    pub(crate) fn begin(machine: Machine, limit: Duration) -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("the tests make containers: run them as root".to_owned());
        }
        umask(Mode::from_bits_truncate(0o022));
        process::adopt_orphans().map_err(|error| format!("cannot adopt orphans: {error}"))?;
        leave_mounts().map_err(|error| format!("cannot leave the host's mounts: {error}"))?;
        let dir = std::env::temp_dir().join(format!("conformance-{}", std::process::id()));
        fs::create_dir(&dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
        Ok(Self { machine, dir, limit })
    }

    /// Tests a runtime and prints each row as soon as it is there.
    pub(crate) fn report(
        &self,
        subject: &Subject,
        tests: &Tests,
        format: Format,
    ) -> Result<Column, String> {
        let (version, shown) = self.describe(&subject.runtime);
        print!("{}", report::head(format, &shown));
        let mut number = 0;
        let rows = self.rows(subject, tests, |row| {
            number += 1;
            print!("{}", report::row(format, number, row));
        })?;
        let column = Column { name: subject.runtime.name.clone(), runtime: shown, version, rows };
        print!("{}", report::tail(format, &self.machine.kind(), &column));
        if !matches!(format, Format::Table | Format::Tap) {
            eprintln!("{}", report::Counts::of(&column.rows));
        }
        Ok(column)
    }

    /// The version of a runtime, and its path and version.
    pub(crate) fn describe(&self, runtime: &Runtime) -> (String, String) {
        let dir = self.dir.join("version");
        let version = fs::create_dir(&dir).map(|()| runtime.version(&dir, self.limit));
        let _ = fs::remove_dir_all(&dir);
        let version = version.unwrap_or_default();
        let shown = format!("{} ({version})", runtime.program.display());
        (version, shown)
    }

    /// Tests a runtime; `each` sees every row.
    pub(crate) fn rows(
        &self,
        subject: &Subject,
        tests: &Tests,
        mut each: impl FnMut(&Row),
    ) -> Result<Vec<Row>, String> {
        let runtime = subject.runtime.clone();
        let dir = self.dir.join(&runtime.name);
        fs::create_dir(&dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
        let ground =
            Ground { runtime, machine: self.machine.clone(), dir: dir.clone(), limit: self.limit };
        let mut rows = Vec::new();
        for (serial, clause) in tests.clauses.iter().enumerate() {
            let row = test(&ground, clause, serial, subject);
            each(&row);
            rows.push(row);
        }
        if let Some(suite) = &tests.official {
            let Subject { runtime, expected, .. } = subject;
            rows.extend(suite.rows(runtime, expected, &dir, self.limit, each)?);
        }
        Ok(rows)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // Only empty directories: what a test could not remove is kept to be looked at.
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(entry.path());
        }
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Moves this process into a mount namespace of its own: what the tests mount is nobody else's,
/// and gone when the tests are, however they end.
fn leave_mounts() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
}

/// Tests one clause.
fn test(ground: &Ground, clause: &'static Clause, serial: usize, subject: &Subject) -> Row {
    let begin = Instant::now();
    let lost = subject.results.lost(clause.id);
    // No list excuses what the table has as passed.
    let known = subject.expected.reason(clause.id).filter(|_| !lost).map(str::to_owned);
    let mut outdated = false;
    let status = match &clause.check {
        Check::Untestable(reason) => Status::Untestable(reason),
        Check::Test(test) => match perform(ground, clause, serial, *test) {
            Ok(()) => {
                outdated = known.is_some();
                Status::Pass
            }
            Err(Verdict::Fail(seen)) => Status::Fail { seen, known },
            Err(Verdict::Skip(reason)) if lost => {
                let seen = format!("skipped, but it passed when RESULTS.md was made: {reason}");
                Status::Fail { seen, known: None }
            }
            Err(Verdict::Skip(reason)) => Status::Skip(reason),
        },
    };
    let seconds = begin.elapsed().as_secs_f64();
    Row { item: Item::from(clause), status, seconds, outdated }
}

fn perform(ground: &Ground, clause: &Clause, serial: usize, test: Test) -> Outcome {
    let case = Case::make(ground, clause, serial)?;
    catch_unwind(AssertUnwindSafe(|| test(&case)))
        .unwrap_or_else(|_| Err(Verdict::Fail("the test itself panicked".to_owned())))
}
