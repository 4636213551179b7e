//! The word somebody meant: the nearest of those that exist.
//!
//! Used by the parser for mistyped commands and flags, and by the commands for ids of containers.

/// How many mistakes a long word may have.
const MISTAKES: usize = 3;

/// The candidate that is few enough typing mistakes away: one for every three letters. Of two that
/// are as near, the one that only needs to be completed.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(mistakes, candidate)| *mistakes <= (candidate.len() / 3).min(MISTAKES))
        .min_by_key(|(mistakes, candidate)| (*mistakes, !candidate.starts_with(word)))
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, left out, replaced, or swapped with the next one to make one
/// word from the other (the optimal string alignment distance); at least so many when they are too
/// many anyway.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    // Whatever is done, the words must become equally long.
    if from.len().abs_diff(to.len()) > MISTAKES {
        return from.len().abs_diff(to.len());
    }
    let mut before = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let other = usize::from(from[i - 1] != to[j - 1]);
            let mut least = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + other);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn a_swap_an_omission_an_insertion_and_a_replacement_are_one_mistake_each() {
        for (from, to) in
            [("lits", "list"), ("kil", "kill"), ("startt", "start"), ("stade", "state")]
        {
            assert_eq!(distance(from, to), 1, "{from} {to}");
        }
        assert_eq!(distance("", "kill"), 4);
        assert_eq!(distance("spec", "spec"), 0);
    }

    #[test]
    fn only_a_word_that_is_near_is_suggested() {
        let words = ["create", "delete", "kill", "state", "spec"];
        assert_eq!(nearest("crate", words.into_iter()), Some("create"));
        assert_eq!(nearest("stat", words.into_iter()), Some("state"));
        assert_eq!(nearest("checkpoint", words.into_iter()), None);
        assert_eq!(nearest("x", words.into_iter()), None);
        assert_eq!(nearest("", words.into_iter()), None);
        assert_eq!(nearest("b", ["a"].into_iter()), None, "nothing of it is the same");
    }
}
