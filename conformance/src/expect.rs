//! Known differences of a runtime: clauses it is known to fail, each with the reason.
//!
//! One line a clause, `id: reason`; empty lines and lines that begin with `#` are passed over.
//! Such a failure is told and counted, but it does not make the whole run a failure. A list must
//! never excuse what it does not name.

use std::collections::HashMap;

use crate::clause::Clause;
use crate::official::PREFIX;

/// The differences of one runtime.
#[derive(Debug, Default)]
pub(crate) struct Expected(HashMap<String, String>);

/// The lists that come with this program.
const KNOWN: [(&str, &str); 2] =
    [("runc", include_str!("../expect/runc.txt")), ("crun", include_str!("../expect/crun.txt"))];

impl Expected {
    /// Reads a list; the error names the line.
    pub(crate) fn parse(text: &str, table: &[&Clause]) -> Result<Self, String> {
        let mut expected = HashMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (id, reason) = line
                .split_once(": ")
                .filter(|(_, reason)| !reason.trim().is_empty())
                .ok_or(format!("no `id: reason` in {line:?}"))?;
            // Nobody knows here which tests other programs have.
            if !id.starts_with(PREFIX) && !table.iter().any(|clause| clause.id == id) {
                return Err(format!("no clause has the id {id:?}"));
            }
            if expected.insert(id.to_owned(), reason.trim().to_owned()).is_some() {
                return Err(format!("{id} is listed twice"));
            }
        }
        Ok(Self(expected))
    }

    /// The list for one of the controls in the version the project tests with.
    pub(crate) fn of_control(name: &str, table: &[&Clause]) -> Result<Self, String> {
        let text = KNOWN.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text);
        Self::parse(text, table)
    }

    /// Why what has this id is known to fail.
    pub(crate) fn reason(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::{Expected, KNOWN};
    use crate::clause::{Check, table};

    #[test]
    fn the_lists_of_the_controls_name_clauses_that_are_tested() {
        for (name, text) in KNOWN {
            let expected = Expected::parse(text, &table()).unwrap();
            for clause in table() {
                let tested = matches!(clause.check, Check::Test(_));
                assert!(tested || expected.reason(clause.id).is_none(), "{name}: {}", clause.id);
            }
        }
    }

    #[test]
    fn a_line_needs_a_known_id_and_a_reason_and_comes_once() {
        let id = table()[0].id;
        let parse = |text: String| Expected::parse(&text, &table());
        assert!(parse(format!("# note\n\n{id}: because\n")).unwrap().reason(id).is_some());
        assert!(parse("official/create.t#3: because\n".to_owned()).is_ok());
        assert!(parse(format!("{id}:\n")).is_err());
        assert!(parse(format!("{id}: a\n{id}: b\n")).is_err());
        assert!(parse("runtime.md#no/such: because".to_owned()).is_err());
    }
}
