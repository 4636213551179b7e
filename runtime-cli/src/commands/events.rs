//! `keel events`: what happens to a container and what it uses, as JSON, one line each.

mod document;

use std::process::ExitCode;
use std::time::Duration;

use libcontainer::{Event, EventOptions};

use crate::args::Invocation;
use crate::args::table::{Command, Example, Flag, ID, Takes, flag};
use crate::report::{self, Failure};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);

static INTERVAL: Flag = flag(
    "interval",
    Takes::Duration("DURATION"),
    "how often statistics are written: 5s, 100ms, 1m30s (default: 5s)",
);
static STATS: Flag = flag("stats", Takes::Nothing, "write statistics once, now, and end");

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "events",
    about: "show what a container uses, and when its memory runs out",
    details: "\
Every line is a JSON object with the members type and id. The type stats has what the cgroups count \
as its data, in the form that runc has; times are nanoseconds, sizes bytes. The type oom says that \
memory ran out; it is written at once. It ends with the container.",
    operands: &[ID],
    rest: None,
    flags: &[&INTERVAL, &STATS],
    examples: &[
        Example { line: "keel events web", does: "every five seconds, until the container ends" },
        Example { line: "keel events --stats web", does: "what it uses now" },
        Example { line: "keel events --interval 500ms web", does: "twice a second" },
    ],
    run,
};

/// Write events until the container ends.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let container = super::container(invocation)?;
    let id = container.id().as_str();
    if invocation.flags.on(&STATS) {
        return report::print(&document::statistics(id, &container.statistics()?));
    }
    let interval = invocation.flags.duration(&INTERVAL).unwrap_or(DEFAULT_INTERVAL);
    let options = EventOptions { interval: Some(interval), ..EventOptions::default() };
    for event in container.events(&options)? {
        match event? {
            Event::Oom => report::print(&document::out_of_memory(id))?,
            Event::Statistics(numbers) => report::print(&document::statistics(id, &numbers))?,
            _ => continue,
        };
    }
    Ok(ExitCode::SUCCESS)
}
