//! Which sentence of the specification is which clause (`sentences.txt`), compared with the text.
//!
//! The text is not part of the repository: who has it names its directory. A key word is one of
//! RFC 2119 in capital letters, outside of examples.

use std::fmt::Write;
use std::path::Path;

use crate::clause::{Clause, DOCUMENTS};

/// The list that comes with this program.
const LIST: &str = include_str!("../sentences.txt");

/// The key words; where one is the beginning of another, the longer one comes first.
const KEY_WORDS: [&str; 10] = [
    "MUST NOT",
    "MUST",
    "SHALL NOT",
    "SHALL",
    "SHOULD NOT",
    "SHOULD",
    "MAY",
    "REQUIRED",
    "RECOMMENDED",
    "OPTIONAL",
];

/// A line of the specification with key words.
#[derive(Debug, PartialEq, Eq)]
struct Sentence<'a> {
    /// Document and number of the line.
    place: String,
    /// Its key words, with a comma between them and `_` for a blank.
    words: String,
    /// The clauses, or `-` and why there is none; empty in what is read from the text.
    clauses: Vec<&'a str>,
}

/// Compares the list with the documents in a directory: a line of counts a document, and what is
/// missing. Whether nothing is.
pub(crate) fn compare(dir: &Path, table: &[&Clause]) -> Result<(String, bool), String> {
    let listed = listed(LIST)?;
    let (mut report, mut complete) = (String::new(), true);
    for document in DOCUMENTS {
        let path = dir.join(document);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let found = found(document, &text);
        let of_document = |place: &str| place.rsplit_once(':').is_some_and(|(d, _)| d == document);
        let own: Vec<_> = listed.iter().filter(|sentence| of_document(&sentence.place)).collect();
        for sentence in &found {
            let same = |other: &&&Sentence<'_>| {
                other.place == sentence.place && other.words == sentence.words
            };
            if !own.iter().any(|other| same(&other)) {
                let _ = writeln!(report, "not listed: {} {}", sentence.place, sentence.words);
                complete = false;
            }
        }
        for sentence in own.iter().filter(|own| !found.iter().any(|f| f.place == own.place)) {
            let _ = writeln!(report, "not in the text: {}", sentence.place);
            complete = false;
        }
        let words = |list: &mut dyn Iterator<Item = &Sentence<'_>>| {
            list.map(|sentence| sentence.words.split(',').count()).sum::<usize>()
        };
        let without = words(&mut own.iter().copied().filter(|s| s.clauses[0] == "-"));
        let clauses = table.iter().filter(|clause| clause.document() == document);
        let _ = writeln!(
            report,
            "{document}: {} key words in {} lines, {without} without a clause; {} clauses",
            words(&mut found.iter()),
            found.len(),
            clauses.count(),
        );
    }
    Ok((report, complete))
}

/// Reads the list.
fn listed(text: &str) -> Result<Vec<Sentence<'_>>, String> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split(' ');
            match (words.next(), words.next(), words.collect::<Vec<_>>()) {
                (Some(place), Some(key_words), clauses) if !clauses.is_empty() => {
                    Ok(Sentence { place: place.to_owned(), words: key_words.to_owned(), clauses })
                }
                _ => Err(format!("sentences.txt: no place, key words and clauses in {line:?}")),
            }
        })
        .collect()
}

/// Finds the lines with key words in a document.
fn found(document: &str, text: &str) -> Vec<Sentence<'static>> {
    let (mut sentences, mut example) = (Vec::new(), false);
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            example = !example;
        }
        let words = if example || line.starts_with('#') { Vec::new() } else { key_words(line) };
        if !words.is_empty() {
            let place = format!("{document}:{number}");
            let words = words.join(",").replace(' ', "_");
            sentences.push(Sentence { place, words, clauses: Vec::new() });
        }
    }
    sentences
}

/// The key words of a line in their order.
fn key_words(line: &str) -> Vec<&'static str> {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let (mut words, mut at) = (Vec::new(), 0);
    while let Some(rest) = line.get(at..) {
        let Some(first) = rest.chars().next() else { break };
        let whole = |word: &&&str| {
            rest.starts_with(**word)
                && !letter(rest[word.len()..].chars().next())
                && !letter(line[..at].chars().next_back())
        };
        match KEY_WORDS.iter().find(whole) {
            Some(word) => {
                words.push(*word);
                at += word.len();
            }
            None => at += first.len_utf8(),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{LIST, found, key_words, listed};
    use crate::clause::{DOCUMENTS, table};

    #[test]
    fn every_sentence_names_clauses_that_there_are_or_says_why_none() {
        let table = table();
        for sentence in listed(LIST).unwrap() {
            let document = sentence.place.split(':').next().unwrap();
            assert!(DOCUMENTS.contains(&document), "{}", sentence.place);
            if sentence.clauses[0] == "-" {
                assert!(sentence.clauses.len() > 1, "{}", sentence.place);
                continue;
            }
            for id in sentence.clauses {
                assert!(table.iter().any(|clause| clause.id == id), "{}: {id}", sentence.place);
            }
        }
    }

    #[test]
    fn key_words_are_whole_words_in_capital_letters() {
        assert_eq!(key_words("It MUST NOT, and SHOULD; (MAY) must"), ["MUST NOT", "SHOULD", "MAY"]);
        assert!(key_words("MUSTARD `ç` SCMP_MAY DISMAY").is_empty());
    }

    #[test]
    fn examples_and_headings_are_passed_over() {
        let text = "# MAY\n```json\nMUST\n```\n    * it MUST be, and MAY\n";
        let found = found("a.md", text);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].place.as_str(), found[0].words.as_str()), ("a.md:5", "MUST,MAY"));
    }
}
