//! The table of the documentation, `RESULTS.md`: clause by runtime, with the reasons below it.
//!
//! `results` reads the table again. What is in it must not change from run to run by itself: no
//! times, no paths.

use super::{Column, Counts, Status, items, one_line};

/// What the command that writes the document is.
const COMMAND: &str = "cargo run -p conformance -- --runtime target/debug/keel --controls --format markdown \\\n    >conformance/RESULTS.md";

/// The line that says where the document was made begins with this.
pub(crate) const MACHINE: &str = "Machine: ";

/// The whole document.
pub(super) fn document(machine: &str, columns: &[Column]) -> String {
    let mut text = format!(
        "# The runtime-spec, clause by clause\n\n\
         Made by this command, as root; do not edit:\n\n```sh\n{COMMAND}\n```\n\n\
         `pass`: the effect was seen. `fail`: something else was, see below. `skip`: the machine \
         lacks what the\nclause is about. `-`: no test is possible, for the reason given.\n\n\
         {MACHINE}{machine}\n\n| runtime | version | result |\n|---|---|---|\n"
    );
    for column in columns {
        let (version, counts) = (escape(&column.version), Counts::of(&column.rows).plain());
        text += &format!("| {} | {version} | {counts} |\n", column.name);
    }
    let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    text += &format!("\n| clause | level | {} | what it says |\n", names.join(" | "));
    text += &format!("|---|---|{}---|\n", "---|".repeat(columns.len()));
    for item in items(columns) {
        let word = |column: &Column| column.status(&item.id).map_or("", word);
        let words: Vec<_> = columns.iter().map(word).collect();
        let reason = match columns.iter().find_map(|column| column.status(&item.id)) {
            Some(Status::Untestable(reason)) => format!(" (no test: {reason})"),
            _ => String::new(),
        };
        let says = escape(&one_line(&item.text));
        text +=
            &format!("| {} | {} | {} | {says}{reason} |\n", item.id, item.level, words.join(" | "));
    }
    columns.iter().fold(text, |text, column| text + &reasons(column))
}

/// Why a runtime fails or skips what it does.
fn reasons(column: &Column) -> String {
    let mut text = format!("\n## {}\n\n", column.name);
    for row in &column.rows {
        let why = match &row.status {
            Status::Fail { known: Some(known), .. } => known.clone(),
            Status::Fail { seen, known: None } => format!("not known before: {}", one_line(seen)),
            Status::Skip(reason) => format!("skipped: {}", one_line(reason)),
            Status::Pass | Status::Untestable(_) => continue,
        };
        text += &format!("* {}: {why}\n", row.item.id);
    }
    text
}

fn word(status: &Status) -> &'static str {
    match status {
        Status::Pass => "pass",
        Status::Fail { .. } => "fail",
        Status::Skip(_) => "skip",
        Status::Untestable(_) => "-",
    }
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}
