//! Reads what a test program prints in the Test Anything Protocol, versions 12 to 14.
//!
//! Pure: text in, points out. Whether the whole of it is a pass is decided here too, as the protocol
//! says: the plan has to be kept and the program has to end well.

/// One test point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point {
    /// `ok` or `not ok`.
    pub(crate) ok: bool,
    /// Its description.
    pub(crate) text: String,
    /// What stands behind the mark.
    pub(crate) directive: Option<Directive>,
    /// The diagnostics that follow it.
    pub(crate) notes: Vec<String>,
}

/// A mark that takes the weight from a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Directive {
    /// The test was not performed.
    Skip(String),
    /// The test is known to fail.
    Todo(String),
}

/// What a program printed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    /// The test points in their order.
    pub(crate) points: Vec<Point>,
    /// How many were promised, and why if there are none.
    plan: Option<(usize, String)>,
    /// More than one plan.
    plans: usize,
    /// Why the program gave up.
    bail: Option<String>,
}

impl Output {
    /// Reads the text. Lines that are none of the protocol's, and those that are indented, such as
    /// YAML and subtests, are notes of the point before.
    pub(crate) fn parse(text: &str) -> Self {
        let mut output = Self::default();
        for line in text.lines() {
            if let Some(reason) = line.strip_prefix("Bail out!") {
                output.bail = Some(reason.trim().to_owned());
            } else if let Some(plan) = plan(line) {
                output.plan = Some(plan);
                output.plans += 1;
            } else if let Some(point) = point(line) {
                output.points.push(point);
            } else if let Some(point) = output.points.last_mut() {
                let note = line.trim().trim_start_matches('#').trim();
                if !matches!(note, "" | "---" | "...") {
                    point.notes.push(note.to_owned());
                }
            }
        }
        output
    }

    /// Why there are no tests, if the plan says so.
    pub(crate) fn skipped(&self) -> Option<&str> {
        match &self.plan {
            Some((0, reason)) if self.points.is_empty() && self.bail.is_none() => Some(reason),
            _ => None,
        }
    }

    /// What is wrong with the output as a whole.
    pub(crate) fn fault(&self) -> Option<String> {
        if let Some(reason) = &self.bail {
            return Some(format!("it gave up: {reason}"));
        }
        let count = self.points.len();
        match &self.plan {
            None if count == 0 => Some("it printed no test".to_owned()),
            None => Some(format!("it printed {count} tests and no plan")),
            Some(_) if self.plans > 1 => Some(format!("it printed {} plans", self.plans)),
            Some((planned, _)) if *planned != count => {
                Some(format!("it printed {count} tests of {planned} that were planned"))
            }
            Some(_) => None,
        }
    }
}

/// `1..N`, perhaps with a reason why there are none.
fn plan(line: &str) -> Option<(usize, String)> {
    let rest = line.strip_prefix("1..")?;
    let (number, reason) = rest.split_once('#').unwrap_or((rest, ""));
    let reason = reason.trim();
    let reason = match reason.get(..4).filter(|word| word.eq_ignore_ascii_case("skip")) {
        Some(_) => reason[4..].trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == ':'),
        None => reason,
    };
    Some((number.trim().parse().ok()?, reason.trim().to_owned()))
}

/// `ok` or `not ok`, perhaps with a number, a description and a directive.
fn point(line: &str) -> Option<Point> {
    let (ok, rest) = match line.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok")?),
    };
    if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
        return None;
    }
    let rest = rest.trim().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    let rest = rest.strip_prefix("- ").unwrap_or(rest);
    let (text, directive) = split_directive(rest);
    Some(Point { ok, text: unescape(text.trim()), directive, notes: Vec::new() })
}

/// The description and what follows an unescaped `#`, if that is a directive.
fn split_directive(text: &str) -> (&str, Option<Directive>) {
    let marks = text.match_indices('#').map(|(at, _)| at);
    for at in marks.filter(|at| !text[..*at].ends_with('\\')) {
        let after = text[at + 1..].trim_start();
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let reason = after[end..].trim_start_matches(':').trim().to_owned();
        let directive = match after[..end].to_ascii_lowercase().as_str() {
            "skip" | "skipped" => Directive::Skip(reason),
            "todo" => Directive::Todo(reason),
            _ => continue,
        };
        return (&text[..at], Some(directive));
    }
    (text, None)
}

fn unescape(text: &str) -> String {
    text.replace("\\#", "#").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::{Directive, Output};

    #[test]
    fn points_have_descriptions_directives_and_notes() {
        let output = Output::parse(
            "TAP version 13\nok 1 - first \\# one\n  ---\n  {\"error\": \"none\"}\n  ...\nnot ok 2 second\n\
             # seen: nothing\nok # SKIP no such thing\nnot ok 4 - d # todo: later\nokay\n1..4\n",
        );
        let texts: Vec<_> = output.points.iter().map(|point| point.text.as_str()).collect();
        assert_eq!(texts, ["first # one", "second", "", "d"]);
        assert_eq!(output.points[0].notes, ["{\"error\": \"none\"}"]);
        assert_eq!(output.points[1].notes, ["seen: nothing"]);
        assert!(output.points[0].ok && !output.points[1].ok);
        assert_eq!(output.points[2].directive, Some(Directive::Skip("no such thing".into())));
        assert_eq!(output.points[3].directive, Some(Directive::Todo("later".into())));
        assert_eq!(output.fault(), None);
    }

    #[test]
    fn the_plan_has_to_be_kept() {
        for (text, fault) in [
            ("1..2\nok 1\n", "1 tests of 2"),
            ("ok 1\n", "no plan"),
            ("", "no test"),
            ("1..1\nok 1\n1..1\n", "2 plans"),
            ("1..3\nok 1\nBail out! no runtime\n", "gave up: no runtime"),
        ] {
            let found = Output::parse(text).fault().unwrap_or_default();
            assert!(found.contains(fault), "{text:?}: {found:?}");
        }
    }

    #[test]
    fn a_program_may_have_nothing_to_test() {
        let output = Output::parse("TAP version 13\n1..0 # SKIP needs a TPM\n");
        assert_eq!((output.skipped(), output.fault()), (Some("needs a TPM"), None));
        assert_eq!(Output::parse("1..0 # skipped: no\n").skipped(), Some("no"));
        assert_eq!(Output::parse("1..1\nok\n").skipped(), None);
    }
}
