//! Turns results into text: for people, TAP, JSON, JUnit's XML, and the table of the documentation.
//!
//! Pure: rows in, text out. What can be printed row by row is, as soon as a row is there; the other
//! forms come at the end.

use std::fmt;

use crate::clause::Clause;

mod json;
mod junit;
mod markdown;
mod tap;
mod text;

pub(crate) use markdown::MACHINE;

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

/// What a row is about: a clause, or a test of a program that is not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its name, the same in every run.
    pub(crate) id: String,
    /// The document, or the program.
    pub(crate) document: String,
    /// The force of a clause.
    pub(crate) level: String,
    /// What it says.
    pub(crate) text: String,
}

impl From<&Clause> for Item {
    fn from(clause: &Clause) -> Self {
        Self {
            id: clause.id.to_owned(),
            document: clause.document().to_owned(),
            level: clause.level.to_string(),
            text: clause.text.to_owned(),
        }
    }
}

/// One clause with its result.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// The clause.
    pub(crate) item: Item,
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
    /// One JSON object, or an array of them.
    Json,
    /// The XML that JUnit's reporters write and CI systems read.
    Junit,
    /// The table of the documentation.
    Markdown,
}

impl Format {
    /// The name on the command line.
    pub(crate) const NAMES: [(&'static str, Self); 5] = [
        ("table", Self::Table),
        ("tap", Self::Tap),
        ("json", Self::Json),
        ("junit", Self::Junit),
        ("markdown", Self::Markdown),
    ];
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

impl Counts {
    /// The counts, with failures that are known among the failures.
    fn plain(self) -> String {
        let Self { pass, fail, skip, .. } = self;
        format!("{pass} passed, {fail} failed, {skip} skipped")
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

/// The results of one runtime.
pub(crate) struct Column {
    /// The runtime's name.
    pub(crate) name: String,
    /// Path and version.
    pub(crate) runtime: String,
    /// What it says of its version.
    pub(crate) version: String,
    /// Its results.
    pub(crate) rows: Vec<Row>,
}

impl Column {
    fn status(&self, id: &str) -> Option<&Status> {
        self.rows.iter().find(|row| row.item.id == id).map(|row| &row.status)
    }
}

/// What is printed before the first row.
pub(crate) fn head(format: Format, runtime: &str) -> String {
    match format {
        Format::Table => format!("{runtime}\n"),
        Format::Tap => tap::head(runtime),
        Format::Json | Format::Junit | Format::Markdown => String::new(),
    }
}

/// What is printed for one row, counted from 1.
pub(crate) fn row(format: Format, number: usize, row: &Row) -> String {
    match format {
        Format::Table => text::row(row),
        Format::Tap => tap::row(number, row),
        Format::Json | Format::Junit | Format::Markdown => String::new(),
    }
}

/// What is printed after the last row of a runtime, the counts last where they have a place.
pub(crate) fn tail(format: Format, machine: &str, column: &Column) -> String {
    let counts = Counts::of(&column.rows);
    match format {
        Format::Table => format!("{counts}\n"),
        Format::Tap => format!("1..{}\n{counts}\n", column.rows.len()),
        Format::Json => json::report(column),
        Format::Junit => junit::report(std::slice::from_ref(column)),
        Format::Markdown => markdown::document(machine, std::slice::from_ref(column)),
    }
}

/// Compares runtimes, clause by clause.
pub(crate) fn comparison(format: Format, machine: &str, columns: &[Column]) -> String {
    match format {
        Format::Table | Format::Tap => text::comparison(columns),
        Format::Json => json::comparison(columns),
        Format::Junit => junit::report(columns),
        Format::Markdown => markdown::document(machine, columns),
    }
}

/// The clauses that any of the runtimes has a result for, each once, in the order of the first.
fn items(columns: &[Column]) -> Vec<&Item> {
    let mut seen = std::collections::HashSet::new();
    let all = columns.iter().flat_map(|column| &column.rows).map(|row| &row.item);
    all.filter(|item| seen.insert(item.id.as_str())).collect()
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

/// A text in one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Column, Counts, Format, Item, Row, Status, comparison, head, row, tail};
    use crate::clause::table;

    fn rows() -> Vec<Row> {
        let results = [
            Status::Pass,
            Status::Fail { seen: "a\nb <&> \u{1}".into(), known: None },
            Status::Fail { seen: "c".into(), known: Some("too old".into()) },
            Status::Skip("no such controller".into()),
            Status::Untestable("a permission"),
        ];
        let items = table().into_iter().map(Item::from);
        let row = |(item, status)| Row { item, status, seconds: 0.1234, outdated: false };
        items.zip(results).map(row).collect()
    }

    fn column(name: &str) -> Column {
        let (name, runtime, version) = (name.into(), format!("/bin/{name} (1)"), "1".into());
        Column { name, runtime, version, rows: rows() }
    }

    fn whole(format: Format) -> String {
        let column = column("runc");
        let rows = column.rows.iter().enumerate();
        let body = rows.map(|(n, r)| row(format, n + 1, r)).collect::<String>();
        head(format, &column.runtime) + &body + &tail(format, "a machine", &column)
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
        assert!(text.contains("seen: a b <&> \u{1}\n"), "{text}");
        assert!(text.contains("known: too old\n"), "{text}");
        assert_eq!(text.lines().last(), Some("1 passed, 1 failed, 2 skipped"));
    }

    #[test]
    fn tap_numbers_the_rows_and_marks_known_failures_and_skips() {
        let text = whole(Format::Tap);
        assert!(text.starts_with("TAP version 13\n"), "{text}");
        assert!(text.contains("\nnot ok 2 - "), "{text}");
        assert!(text.contains(" # TODO too old\n"), "{text}");
        assert!(text.contains(" # SKIP no such controller\n"), "{text}");
        assert!(text.contains("\n1..5\n"), "{text}");
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
    fn junit_has_a_suite_a_runtime_and_no_character_that_xml_forbids() {
        let text = comparison(Format::Junit, "a machine", &[column("runc"), column("keel")]);
        assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"), "{text}");
        for wanted in [
            r#"<testsuite name="runc" tests="5" failures="1" errors="0" skipped="3" time="0.617">"#,
            r#"<failure message="a b &lt;&amp;&gt; "/>"#,
            r#"<skipped message="known: too old; seen: c"/>"#,
            r#"<skipped message="no test is possible: a permission"/>"#,
            r#"<testsuite name="keel""#,
        ] {
            assert!(text.contains(wanted), "{wanted} is missing: {text}");
        }
        assert_eq!(text.matches("<testcase ").count(), text.matches("</testcase>").count());
        assert!(text.ends_with("</testsuites>\n"), "{text}");
    }

    #[test]
    fn the_document_has_a_column_a_runtime_and_the_reasons() {
        let columns = [column("keel"), column("runc")];
        let text = comparison(Format::Markdown, "a machine", &columns);
        assert!(text.contains("\n| clause | level | keel | runc | what it says |\n"), "{text}");
        assert!(text.contains(" | fail | fail | "), "{text}");
        assert!(text.contains("\nMachine: a machine\n"), "{text}");
        assert!(text.contains(": too old\n"), "{text}");
        assert!(!text.contains("/bin/keel"), "{text}");
    }

    #[test]
    fn a_comparison_has_one_column_a_runtime() {
        let columns = [column("runc"), column("keel")];
        let text = comparison(Format::Table, "a machine", &columns);
        assert!(text.contains("FAIL   FAIL   "), "{text}");
        assert_eq!(text.lines().last(), Some("2 passed, 2 failed, 4 skipped"));
        let value: Value =
            serde_json::from_str(&comparison(Format::Json, "a machine", &columns)).unwrap();
        assert_eq!(value[1]["runtime"], "/bin/keel (1)");
    }
}
