//! The Test Anything Protocol, version 13.

use super::{Row, Status, one_line};

/// What comes first; the plan comes last, as it may be that nobody knows the number before.
pub(super) fn head(runtime: &str) -> String {
    format!("TAP version 13\n# {runtime}\n")
}

/// One clause, counted from 1.
pub(super) fn row(number: usize, row: &Row) -> String {
    let Row { item, status, .. } = row;
    let name = format!("{number} - {} {}", item.id, item.text.replace('#', "\\#"));
    match status {
        Status::Pass if row.outdated => format!("ok {name}\n# listed as a known difference\n"),
        Status::Pass => format!("ok {name}\n"),
        Status::Fail { seen, known: None } => format!("not ok {name}\n# {}\n", one_line(seen)),
        Status::Fail { seen, known: Some(known) } => {
            format!("not ok {name} # TODO {known}\n# {}\n", one_line(seen))
        }
        Status::Skip(reason) => format!("ok {name} # SKIP {}\n", one_line(reason)),
        Status::Untestable(reason) => format!("ok {name} # SKIP no test is possible: {reason}\n"),
    }
}
