//! The table for people: a line a clause, with what was seen below it.

use super::{Column, Counts, Row, Status, items, one_line, total};

/// One clause of one runtime.
pub(super) fn row(row: &Row) -> String {
    let Row { item, status, .. } = row;
    let word = status.word();
    let mut text = format!("{word:<5} {:<6} {:<48} {}\n", item.level, item.id, item.text);
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

/// A line a clause, with a word for each runtime.
pub(super) fn comparison(columns: &[Column]) -> String {
    let cells = |cells: &mut dyn Iterator<Item = &str>| {
        cells.map(|cell| format!("{cell:<6} ")).collect::<String>()
    };
    let mut text = cells(&mut columns.iter().map(|column| column.name.as_str())) + "\n";
    for item in items(columns) {
        let word = |column: &Column| column.status(&item.id).map_or("", Status::word);
        let words: Vec<_> = columns.iter().map(word).collect();
        text += &cells(&mut words.into_iter());
        text += &format!("{:<6} {:<48} {}\n", item.level, item.id, item.text);
    }
    text += "\n";
    for column in columns {
        text += &format!("{}: {}\n", column.runtime, Counts::of(&column.rows));
    }
    text + &format!("{}\n", total(columns))
}
