//! The committed table of results (`RESULTS.md`), read again: what a runtime had and must not lose.
//!
//! It is for what would vanish in silence: a test that is skipped, or excused by a list of differences,
//! where it used to pass; a clause that is no longer there; one that never got into the table.

use std::collections::HashMap;

use crate::clause::Clause;
use crate::report::MACHINE;

/// One runtime's column of the table.
#[derive(Debug, Default)]
pub(crate) struct Results {
    words: HashMap<String, String>,
    same_machine: bool,
}

impl Results {
    /// Reads the column of a runtime. Clauses, and none of other runs, have to be those of `table`.
    pub(crate) fn parse(
        text: &str,
        runtime: &str,
        machine: &str,
        table: &[&Clause],
    ) -> Result<Self, String> {
        let made_on = text.lines().find_map(|line| line.strip_prefix(MACHINE));
        let made_on = made_on.ok_or(format!("no line begins with {MACHINE:?}"))?;
        let mut rows = text.lines().map(cells).skip_while(|cells| cells[0] != "clause");
        let head = rows.next().ok_or("there is no table of clauses")?;
        let place = head.iter().position(|name| *name == runtime);
        let place = place.ok_or(format!("the table has no column {runtime}"))?;
        let mut words = HashMap::new();
        for cells in rows.skip(1).take_while(|cells| cells.len() == head.len()) {
            words.insert(cells[0].to_owned(), cells[place].to_owned());
        }
        let new = table.iter().find(|clause| !words.contains_key(clause.id));
        if let Some(clause) = new {
            return Err(format!("the clause {} is not in the table: make it anew", clause.id));
        }
        let gone = words.keys().find(|id| !table.iter().any(|clause| clause.id == **id));
        if let Some(id) = gone {
            return Err(format!("the table has a clause {id} that is no longer tested"));
        }
        Ok(Self { words, same_machine: made_on == machine })
    }

    /// Whether a clause that does not pass now did when the table was made, on such a machine.
    pub(crate) fn lost(&self, id: &str) -> bool {
        self.same_machine && self.words.get(id).is_some_and(|word| word == "pass")
    }

    /// Whether the table was made on another kind of machine, which may lack other things.
    pub(crate) fn is_from_elsewhere(&self) -> bool {
        !self.same_machine && !self.words.is_empty()
    }
}

/// The cells of a row. A bar in a text is escaped: it has no blank before it.
fn cells(line: &str) -> Vec<&str> {
    line.trim().trim_matches('|').split(" | ").map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::Results;
    use crate::clause::{Clause, table};

    fn text(clauses: &[&Clause], word: &str) -> String {
        let rows: String = clauses
            .iter()
            .map(|clause| format!("| {} | {} | {word} | skip | text |\n", clause.id, clause.level))
            .collect();
        format!(
            "Machine: here\n\n| clause | level | keel | runc | what it says |\n\
             |---|---|---|---|---|\n{rows}\n## keel\n"
        )
    }

    #[test]
    fn a_clause_that_passed_is_lost_when_it_is_skipped() {
        let table = table();
        let results = Results::parse(&text(&table, "pass"), "keel", "here", &table).unwrap();
        assert!(results.lost(table[0].id) && !results.is_from_elsewhere());
        let results = Results::parse(&text(&table, "pass"), "runc", "here", &table).unwrap();
        assert!(!results.lost(table[0].id));
    }

    #[test]
    fn another_kind_of_machine_may_lack_other_things() {
        let table = table();
        let results = Results::parse(&text(&table, "pass"), "keel", "there", &table).unwrap();
        assert!(!results.lost(table[0].id) && results.is_from_elsewhere());
    }

    #[test]
    fn the_table_has_the_clauses_of_the_program_and_no_others() {
        let table = table();
        let parse = |text: &str, table: &[&Clause]| Results::parse(text, "keel", "here", table);
        assert!(parse(&text(&table[1..], "pass"), &table).unwrap_err().contains(table[0].id));
        assert!(parse(&text(&table, "pass"), &table[1..]).unwrap_err().contains(table[0].id));
        assert!(Results::parse(&text(&table, "pass"), "crun", "here", &table).is_err());
        assert!(parse("", &table).is_err());
    }
}
