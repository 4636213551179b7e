//! `keel list`: the containers below the state root, as a table, as JSON, or their ids alone.
//!
//! Columns, members and the layout are runc's, as scripts cut them apart.

use std::fs;
use std::process::ExitCode;

use libcontainer::spec::State;
use libcontainer::{Error, ErrorKind};

use crate::args::Invocation;
use crate::args::table::{Command, Example, Flag, Takes, flag, short};
use crate::report::{self, Failure};

const HEADING: [&str; 6] = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];

pub(crate) static LIST_FORMAT: Flag = short(
    'f',
    flag("format", Takes::OneOf(&["table", "json"]), "how to write the list (default: table)"),
);
pub(crate) static QUIET: Flag = short('q', flag("quiet", Takes::Nothing, "write the ids alone"));

static STATUS: Flag = flag(
    "status",
    Takes::OneOf(&["creating", "created", "running", "paused", "stopped"]),
    "only containers with this status",
);

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "list",
    about: "list the containers below --root",
    details: "",
    operands: &[],
    rest: None,
    flags: &[&LIST_FORMAT, &QUIET, &STATUS],
    examples: &[
        Example { line: "keel list", does: "as a table" },
        Example { line: "keel --root /run/other list --format json", does: "as JSON" },
        Example { line: "keel list --quiet --status stopped", does: "the ids of those that ended" },
    ],
    run,
};

/// List the containers.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let mut containers = super::store(&invocation.globals)?.list()?;
    if let Some(wanted) = invocation.flags.word(&STATUS) {
        containers.retain(|found| found.status().is_ok_and(|status| status.to_string() == wanted));
    }
    if invocation.flags.on(&QUIET) {
        let ids: String =
            containers.iter().map(|container| format!("{}\n", container.id())).collect();
        return report::print(&ids);
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut states = Vec::with_capacity(containers.len());
    for container in containers {
        match container.state() {
            Ok(state) => {
                let owner = Some(user_name(container.owner(), &users));
                states.push(State { owner, ..state });
            }
            // Deleted since the list was made.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => log::warn!("container {} is left out: {error}", container.id()),
        }
    }
    match invocation.flags.word(&LIST_FORMAT) {
        Some("json") => report::print(&json(&states)?),
        _ => report::print(&table(&states)),
    }
}

/// The name of a user in the text of passwd(5), or `#` and the number. Other databases of names
/// are left out: asking them would load code into this program.
fn user_name(uid: u32, users: &str) -> String {
    let uid = uid.to_string();
    let of = |line: &str| line.split(':').nth(2) == Some(&uid);
    let name = users.lines().find(|line| of(line)).and_then(|line| line.split(':').next());
    name.map_or_else(|| format!("#{uid}"), str::to_owned)
}

/// As Go writes a list that may be nil.
fn json(states: &[State]) -> Result<String, Error> {
    if states.is_empty() {
        return Ok("null\n".to_owned());
    }
    serde_json::to_string(states)
        .map(|text| text + "\n")
        .map_err(|error| Error::new(ErrorKind::Record, format!("cannot write states: {error}")))
}

/// Columns of at least twelve letters with three blanks between them; the last one is not filled.
fn table(states: &[State]) -> String {
    let mut rows = vec![HEADING.map(str::to_owned)];
    rows.extend(states.iter().map(|state| {
        [
            state.id.clone(),
            state.pid.unwrap_or(0).to_string(),
            state.status.clone(),
            state.bundle.clone(),
            state.created.clone().unwrap_or_default(),
            state.owner.clone().unwrap_or_default(),
        ]
    }));
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count() + 3).max().unwrap_or(0).max(12)
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(widths) {
            text.push_str(&format!("{cell:width$}"));
        }
        text.push_str(&row[5]);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> State {
        State {
            id: "web".into(),
            pid: Some(42),
            status: "running".into(),
            bundle: "/srv/long-name".into(),
            created: Some("2026-11-20T19:33:39.5Z".into()),
            owner: Some("root".into()),
            ..State::default()
        }
    }

    #[test]
    fn the_table_is_laid_out_as_runc_s() {
        assert_eq!(
            table(&[]),
            "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
        );
        assert_eq!(
            table(&[web()]),
            "ID          PID         STATUS      BUNDLE           CREATED                  OWNER\n\
             web         42          running     /srv/long-name   2026-11-20T19:33:39.5Z   root\n"
        );
    }

    #[test]
    fn an_owner_is_named_as_the_user_database_does() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(user_name(0, users), "root");
        assert_eq!(user_name(1000, users), "ann");
        assert_eq!(user_name(100, users), "#100");
    }

    #[test]
    fn a_list_of_nothing_is_null_in_json_as_runc_writes_it() {
        assert_eq!(json(&[]).unwrap(), "null\n");
        let text = json(&[web()]).unwrap();
        let back: Vec<State> = serde_json::from_str(&text).unwrap();
        assert_eq!(back, [web()]);
        assert!(text.ends_with("]\n"));
    }
}
