//! The table of clauses: what the runtime-spec asks of a runtime, one sentence a row.
//!
//! A clause names its place in the text (`runtime.md#state/3`, or the listed item itself, as in
//! `config-linux.md#namespaces/pid`), the force it has there, what it says in our own words, and
//! either the test that shows it or the reason why none can. Ids are stable: a new clause gets a
//! new id and no id is ever used again for something else.
//!
//! The files below `clauses/` hold the rows; this one must never know a single one of them.

use std::fmt;
use std::io;

use serde_json::Value;

use crate::case::Case;
use crate::clauses;

/// The force of a clause, in the words of RFC 2119.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// An absolute requirement (or prohibition).
    Must,
    /// A recommendation: there may be reasons to differ.
    Should,
    /// A permission.
    May,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
        })
    }
}

/// Why a test ended without having seen what it looks for.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The runtime does something else: what was seen.
    Fail(String),
    /// The kernel or the machine lacks what the clause is about.
    Skip(String),
}

/// What a test, or a part of one, comes to.
pub(crate) type Outcome<T = ()> = Result<T, Verdict>;

impl From<io::Error> for Verdict {
    fn from(error: io::Error) -> Self {
        Self::Fail(format!("the test cannot go on: {error}"))
    }
}

impl From<nix::Error> for Verdict {
    fn from(error: nix::Error) -> Self {
        io::Error::from(error).into()
    }
}

/// Fails a test with a sentence that says what was seen.
pub(crate) fn fail<T>(seen: impl Into<String>) -> Outcome<T> {
    Err(Verdict::Fail(seen.into()))
}

/// Ends a test that this machine cannot perform.
pub(crate) fn skip<T>(reason: impl Into<String>) -> Outcome<T> {
    Err(Verdict::Skip(reason.into()))
}

/// Ends the test with what was seen unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($seen:tt)+) => {
        if !$condition {
            return $crate::clause::fail(format!($($seen)+));
        }
    };
}
pub(crate) use ensure;

/// Ends the test unless both values are the same.
pub(crate) fn equal<A, B>(what: &str, seen: A, wanted: B) -> Outcome
where
    A: PartialEq<B> + fmt::Debug,
    B: fmt::Debug,
{
    ensure!(seen == wanted, "{what} is {seen:?}, not {wanted:?}");
    Ok(())
}

/// Ends the test unless a member of a JSON text is the one wanted.
pub(crate) fn same(what: &str, seen: &Value, wanted: &Value) -> Outcome {
    ensure!(seen == wanted, "{what} is {seen}, not {wanted}");
    Ok(())
}

/// Says what an outcome is about, if it is a failure.
pub(crate) fn about<T>(what: &str, outcome: Outcome<T>) -> Outcome<T> {
    outcome.map_err(|verdict| match verdict {
        Verdict::Fail(seen) => Verdict::Fail(format!("{what}: {seen}")),
        skip @ Verdict::Skip(_) => skip,
    })
}

/// The test of a clause: it gets a place of its own and looks at real containers.
pub(crate) type Test = fn(&Case<'_>) -> Outcome;

/// How a clause is checked.
pub(crate) enum Check {
    /// By this test.
    Test(Test),
    /// By nothing, for this reason.
    Untestable(&'static str),
}

/// One row of the table.
pub(crate) struct Clause {
    /// Document, section, and number or listed item.
    pub(crate) id: &'static str,
    /// Its force.
    pub(crate) level: Level,
    /// What it says, in our own words.
    pub(crate) text: &'static str,
    /// How it is checked.
    pub(crate) check: Check,
}

impl Clause {
    /// A requirement with its test.
    pub(crate) const fn must(id: &'static str, text: &'static str, test: Test) -> Self {
        Self { id, level: Level::Must, text, check: Check::Test(test) }
    }

    /// A recommendation with its test.
    pub(crate) const fn should(id: &'static str, text: &'static str, test: Test) -> Self {
        Self { id, level: Level::Should, text, check: Check::Test(test) }
    }

    /// A permission whose effect can be seen where a runtime makes use of it.
    pub(crate) const fn may(id: &'static str, text: &'static str, test: Test) -> Self {
        Self { id, level: Level::May, text, check: Check::Test(test) }
    }

    /// A clause no test can show.
    pub(crate) const fn untestable(
        id: &'static str,
        level: Level,
        text: &'static str,
        reason: &'static str,
    ) -> Self {
        Self { id, level, text, check: Check::Untestable(reason) }
    }

    /// The document the clause stands in.
    pub(crate) fn document(&self) -> &'static str {
        self.id.split_once('#').map_or(self.id, |(document, _)| document)
    }

    /// The last part of the id: the listed item of a clause that is one of a list.
    pub(crate) fn topic(&self) -> &'static str {
        self.id.rsplit_once('/').map_or(self.id, |(_, topic)| topic)
    }

    /// The section of the document the clause stands in.
    pub(crate) fn section(&self) -> &'static str {
        let after = self.id.split_once('#').map_or("", |(_, after)| after);
        after.split_once('/').map_or(after, |(section, _)| section)
    }

    /// Whether a filter's text is part of the id or of the sentence.
    pub(crate) fn matches(&self, filter: &str) -> bool {
        self.id.contains(filter) || self.text.contains(filter)
    }
}

/// The documents in the order a reader takes them.
pub(crate) const DOCUMENTS: [&str; 8] = [
    "glossary.md",
    "bundle.md",
    "runtime.md",
    "runtime-linux.md",
    "config.md",
    "config-linux.md",
    "features.md",
    "features-linux.md",
];

/// Every clause, document by document.
pub(crate) fn table() -> Vec<&'static Clause> {
    let mut table: Vec<&Clause> = clauses::ALL.iter().copied().flatten().collect();
    table.sort_by_key(|clause| DOCUMENTS.iter().position(|known| *known == clause.document()));
    table
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Check, DOCUMENTS, table};

    #[test]
    fn no_id_is_used_twice() {
        let mut seen = HashSet::new();
        for clause in table() {
            assert!(seen.insert(clause.id), "{}", clause.id);
        }
    }

    #[test]
    fn every_clause_has_a_test_or_a_reason_and_a_sentence() {
        for clause in table() {
            assert!(clause.text.len() > 10, "{}: {:?}", clause.id, clause.text);
            if let Check::Untestable(reason) = clause.check {
                assert!(reason.len() > 10, "{}: {reason:?}", clause.id);
            }
        }
    }

    #[test]
    fn every_id_is_a_document_a_section_and_an_item() {
        for clause in table() {
            assert!(DOCUMENTS.contains(&clause.document()), "{}", clause.id);
            let (section, item) = clause.id[clause.document().len() + 1..]
                .split_once('/')
                .unwrap_or_else(|| panic!("{}", clause.id));
            assert!(
                !section.is_empty() && !item.is_empty() && !item.contains('/'),
                "{}",
                clause.id
            );
            assert!(!clause.id.contains(char::is_whitespace), "{}", clause.id);
        }
    }

    #[test]
    fn the_table_is_grouped_by_document_and_big_enough() {
        let documents: Vec<_> = table().iter().map(|clause| clause.document()).collect();
        let mut groups = documents.clone();
        groups.dedup();
        assert_eq!(groups, DOCUMENTS);
        let tested = table().iter().filter(|c| matches!(c.check, Check::Test(_))).count();
        assert!(tested >= 70, "{tested}");
    }

    #[test]
    fn a_filter_finds_ids_and_sentences() {
        let hits = |filter: &str| table().iter().filter(|clause| clause.matches(filter)).count();
        assert!(hits("runtime.md#state/") > 5);
        assert!(hits("nothing speaks of this") == 0);
    }
}
