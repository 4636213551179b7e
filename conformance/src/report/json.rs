//! One JSON object a runtime.

use serde_json::{Value, json};

use super::{Column, Counts, Row, Status};

/// The object of one runtime.
pub(super) fn report(column: &Column) -> String {
    format!("{:#}\n", json_of(&column.runtime, &column.rows))
}

/// An array of such objects.
pub(super) fn comparison(columns: &[Column]) -> String {
    let all: Vec<_> = columns.iter().map(|c| json_of(&c.runtime, &c.rows)).collect();
    format!("{:#}\n", Value::from(all))
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
        "id": row.item.id,
        "document": row.item.document,
        "level": row.item.level,
        "text": row.item.text,
        "result": result,
        "note": note,
        "known": known,
        "outdated": row.outdated,
        "seconds": (row.seconds * 1000.0).round() / 1000.0,
    })
}
