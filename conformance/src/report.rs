//! Turns results into text: a table for people, TAP, JSON, and the comparison of several runtimes.
//!
//! Pure: rows in, text out. The runner prints each row as soon as it is there.

use std::fmt;

use serde_json::{Value, json};

use crate::clause::Clause;

/// What became of a clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// The effect was seen.
    Pass,
    /// Something else was seen; `known` if a list of differences names the clause.
    Fail {
        /// What was seen.
        seen: String,
        /// Why that is known.
        known: Option<String>,
    },
    /// The machine lacks what the clause is about.
    Skip(String),
    /// No test is possible.
    Untestable(&'static str),
}

/// One clause with its result.
pub(crate) struct Row {
    /// The clause.
    pub(crate) clause: &'static Clause,
    /// Its result.
    pub(crate) status: Status,
    /// How long the test took.
    pub(crate) seconds: f64,
    /// Whether a list of differences names a clause that passed.
    pub(crate) outdated: bool,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One line a clause, for people.
    Table,
    /// The Test Anything Protocol, version 13.
    Tap,
    /// One JSON object.
    Json,
}

/// How many clauses passed, failed and were skipped.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pass: usize,
    fail: usize,
    skip: usize,
    /// Those of the failures that no list of differences names.
    pub(crate) unknown: usize,
}

impl Counts {
    /// Counts the results.
    pub(crate) fn of(rows: &[Row]) -> Self {
        let mut counts = Self::default();
        for row in rows {
            match &row.status {
                Status::Pass => counts.pass += 1,
                Status::Fail { known, .. } => {
                    counts.fail += 1;
                    counts.unknown += usize::from(known.is_none());
                }
                Status::Skip(_) => counts.skip += 1,
                Status::Untestable(_) => {}
            }
        }
        counts
    }
}

impl fmt::Display for Counts {
    /// A failure that a list names with its reason counts as skipped: it is neither news nor a pass.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.fail - self.unknown;
        write!(f, "{} passed, {} failed, {} skipped", self.pass, self.unknown, self.skip + known)
    }
}

impl Status {
    fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail { known: None, .. } => "FAIL",
            Self::Fail { .. } => "known",
            Self::Skip(_) => "skip",
            Self::Untestable(_) => "-",
        }
    }
}

/// What is printed before the first row.
pub(crate) fn head(format: Format, runtime: &str, rows: usize) -> String {
    match format {
        Format::Table => format!("{runtime}\n"),
        Format::Tap => format!("TAP version 13\n1..{rows}\n# {runtime}\n"),
        Format::Json => String::new(),
    }
}

/// What is printed for one row, counted from 1.
pub(crate) fn row(format: Format, number: usize, row: &Row) -> String {
    match format {
        Format::Table => table_row(row),
        Format::Tap => tap_row(number, row),
        Format::Json => String::new(),
    }
}

fn table_row(row: &Row) -> String {
    let Row { clause, status, .. } = row;
    let word = status.word();
    let mut text = format!("{word:<5} {:<6} {:<48} {}\n", clause.level, clause.id, clause.text);
    match status {
        Status::Pass if row.outdated => text += "      listed as a known difference: no longer\n",
        Status::Pass => {}
        Status::Fail { seen, known } => {
            text += &format!("      seen: {}\n", one_line(seen));
            if let Some(known) = known {
                text += &format!("      known: {known}\n");
            }
        }
        Status::Skip(reason) => text += &format!("      {}\n", one_line(reason)),
        Status::Untestable(reason) => text += &format!("      {reason}\n"),
    }
    text
}

fn tap_row(number: usize, row: &Row) -> String {
    let Row { clause, status, .. } = row;
    let name = format!("{number} - {} {}", clause.id, clause.text.replace('#', "\\#"));
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

/// What is printed after the last row, the counts last.
pub(crate) fn tail(format: Format, runtime: &str, rows: &[Row]) -> String {
    let counts = Counts::of(rows);
    match format {
        Format::Table | Format::Tap => format!("{counts}\n"),
        Format::Json => format!("{:#}\n", json_of(runtime, rows)),
    }
}

fn json_of(runtime: &str, rows: &[Row]) -> Value {
    let results: Vec<_> = rows.iter().map(json_row).collect();
    let Counts { pass, fail, skip, unknown } = Counts::of(rows);
    json!({
        "runtime": runtime,
        "results": results,
        "summary": {"passed": pass, "failed": fail, "skipped": skip, "unexpected": unknown},
    })
}

fn json_row(row: &Row) -> Value {
    let (result, note, known) = match &row.status {
        Status::Pass => ("pass", None, None),
        Status::Fail { seen, known } => ("fail", Some(seen.as_str()), known.as_deref()),
        Status::Skip(reason) => ("skip", Some(reason.as_str()), None),
        Status::Untestable(reason) => ("untestable", Some(*reason), None),
    };
    json!({
        "id": row.clause.id,
        "document": row.clause.document(),
        "level": row.clause.level.to_string(),
        "text": row.clause.text,
        "result": result,
        "note": note,
        "known": known,
        "outdated": row.outdated,
        "seconds": (row.seconds * 1000.0).round() / 1000.0,
    })
}

/// The results of one runtime among several.
pub(crate) struct Column {
    /// The runtime's name.
    pub(crate) name: String,
    /// Path and version.
    pub(crate) runtime: String,
    /// The same clauses in every column.
    pub(crate) rows: Vec<Row>,
}

/// Compares runtimes, clause by clause: a Markdown table, or a JSON array of reports.
pub(crate) fn comparison(format: Format, columns: &[Column]) -> String {
    if format == Format::Json {
        let all: Vec<_> = columns.iter().map(|c| json_of(&c.runtime, &c.rows)).collect();
        return format!("{:#}\n", Value::from(all));
    }
    let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    let mut text = format!("| clause | level | {} | what it says |\n", names.join(" | "));
    text += &format!("|---|---|{}---|\n", "---|".repeat(columns.len()));
    for (n, row) in columns.first().map_or(&[][..], |column| &column.rows).iter().enumerate() {
        let words: Vec<_> = columns.iter().map(|column| column.rows[n].status.word()).collect();
        let Clause { id, level, text: says, .. } = row.clause;
        text += &format!("| {id} | {level} | {} | {} |\n", words.join(" | "), escape(says));
    }
    text += "\n";
    for column in columns {
        text += &format!("{}: {}\n", column.runtime, Counts::of(&column.rows));
    }
    text + &format!("{}\n", total(columns))
}

/// The counts of all columns together.
pub(crate) fn total(columns: &[Column]) -> Counts {
    columns.iter().map(|column| Counts::of(&column.rows)).fold(Counts::default(), |sum, c| Counts {
        pass: sum.pass + c.pass,
        fail: sum.fail + c.fail,
        skip: sum.skip + c.skip,
        unknown: sum.unknown + c.unknown,
    })
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Column, Counts, Format, Row, Status, comparison, head, row, tail};
    use crate::clause::table;

    fn rows() -> Vec<Row> {
        let results = [
            Status::Pass,
            Status::Fail { seen: "a\nb".into(), known: None },
            Status::Fail { seen: "c".into(), known: Some("too old".into()) },
            Status::Skip("no such controller".into()),
            Status::Untestable("a permission"),
        ];
        table()
            .into_iter()
            .zip(results)
            .map(|(clause, status)| Row { clause, status, seconds: 0.1234, outdated: false })
            .collect()
    }

    fn whole(format: Format) -> String {
        let rows = rows();
        let body = rows.iter().enumerate().map(|(n, r)| row(format, n + 1, r)).collect::<String>();
        head(format, "runc 1", rows.len()) + &body + &tail(format, "runc 1", &rows)
    }

    #[test]
    fn the_counts_leave_out_what_cannot_be_tested_and_know_the_known() {
        let counts = Counts::of(&rows());
        assert_eq!(counts.to_string(), "1 passed, 1 failed, 2 skipped");
        assert_eq!(counts.unknown, 1);
    }

    #[test]
    fn the_table_says_what_was_seen_and_ends_with_the_counts() {
        let text = whole(Format::Table);
        assert!(text.contains("seen: a b\n"), "{text}");
        assert!(text.contains("known: too old\n"), "{text}");
        assert_eq!(text.lines().last(), Some("1 passed, 1 failed, 2 skipped"));
    }

    #[test]
    fn tap_numbers_the_rows_and_marks_known_failures_and_skips() {
        let text = whole(Format::Tap);
        assert!(text.starts_with("TAP version 13\n1..5\n"), "{text}");
        assert!(text.contains("\nnot ok 2 - "), "{text}");
        assert!(text.contains(" # TODO too old\n"), "{text}");
        assert!(text.contains(" # SKIP no such controller\n"), "{text}");
        assert_eq!(text.lines().last(), Some("1 passed, 1 failed, 2 skipped"));
    }

    #[test]
    fn json_holds_every_row_and_the_summary() {
        let value: Value = serde_json::from_str(&whole(Format::Json)).unwrap();
        assert_eq!(value["results"].as_array().unwrap().len(), 5);
        assert_eq!(value["results"][2]["known"], "too old");
        assert_eq!(value["results"][4]["result"], "untestable");
        assert_eq!(value["results"][0]["seconds"], 0.123);
        assert_eq!(value["summary"]["unexpected"], 1);
    }

    #[test]
    fn a_comparison_has_one_column_a_runtime() {
        let column =
            |name: &str| Column { name: name.into(), runtime: format!("{name} 1"), rows: rows() };
        let columns = [column("runc"), column("keel")];
        let text = comparison(Format::Table, &columns);
        assert!(text.starts_with("| clause | level | runc | keel | what it says |\n"), "{text}");
        assert!(text.contains(" | FAIL | FAIL | "), "{text}");
        assert_eq!(text.lines().last(), Some("2 passed, 2 failed, 4 skipped"));
        let value: Value = serde_json::from_str(&comparison(Format::Json, &columns)).unwrap();
        assert_eq!(value[1]["runtime"], "keel 1");
    }
}
