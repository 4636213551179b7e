//! The XML of JUnit's reporters, which CI systems read: a suite a runtime, a case a clause.

use super::{Column, Row, Status, one_line};

/// All suites.
pub(super) fn report(columns: &[Column]) -> String {
    let suites: String = columns.iter().map(suite).collect();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n{suites}</testsuites>\n")
}

fn suite(column: &Column) -> String {
    let rows = &column.rows;
    let failures =
        rows.iter().filter(|row| matches!(row.status, Status::Fail { known: None, .. })).count();
    let passed = rows.iter().filter(|row| row.status == Status::Pass).count();
    let seconds: f64 = rows.iter().map(|row| row.seconds).sum();
    let cases: String = rows.iter().map(case).collect();
    format!(
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{}\" \
         time=\"{seconds:.3}\">\n{cases}</testsuite>\n",
        escape(&column.name),
        rows.len(),
        rows.len() - failures - passed,
    )
}

/// A failure that a list names with its reason is told as skipped: it is neither news nor a pass.
fn case(row: &Row) -> String {
    let element =
        |name: &str, message: &str| format!("<{name} message=\"{}\"/>", escape(&one_line(message)));
    let result = match &row.status {
        Status::Pass => String::new(),
        Status::Fail { seen, known: None } => element("failure", seen),
        Status::Fail { seen, known: Some(known) } => {
            element("skipped", &format!("known: {known}; seen: {seen}"))
        }
        Status::Skip(reason) => element("skipped", reason),
        Status::Untestable(reason) => element("skipped", &format!("no test is possible: {reason}")),
    };
    format!(
        "<testcase classname=\"{}\" name=\"{} {}\" time=\"{:.3}\">{result}</testcase>\n",
        escape(&row.item.document),
        escape(&row.item.id),
        escape(&one_line(&row.item.text)),
        row.seconds,
    )
}

/// Text for an attribute. XML has no way at all to write most control characters.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => escaped.push(c),
        }
    }
    escaped
}
