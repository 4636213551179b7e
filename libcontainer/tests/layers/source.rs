//! Rust sources as text: comments and literals blanked, tests cut out, and what remains as words.
//!
//! Enough of Rust's grammar to find paths, functions and modules, and no more; whatever it cannot
//! tell apart it must show rather than hide, as a rule that finds nothing proves nothing.

use std::fs;
use std::path::{Path, PathBuf};

/// A word of code, or one punctuation character, `::` being one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// Counted from 1.
    pub(crate) line: usize,
}

/// A function with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Where it begins, and how many lines it has with its signature.
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// A path such as `crate::config::Config`, as it stands in a `use` or in the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) parts: Vec<String>,
    pub(crate) line: usize,
}

/// One source file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Below the root of the workspace.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The code without comments, literals and tests; the lines are those of the file.
    pub(crate) tokens: Vec<Token>,
    /// How many lines it has without its tests.
    pub(crate) lines: usize,
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A file by its path below the root of the workspace.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All sources below a directory of the workspace, by path. There must be some.
pub(crate) fn below(dir: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join(dir), &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "no sources below {dir}");
    let name = |path: &PathBuf| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| Source::new(&name(path), &read(&name(path)))).collect()
}

fn collect(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let tokens = words(&blank(text));
        let (tokens, test_lines) = without_tests(&tokens);
        let lines = text.lines().count() - test_lines;
        Self { path: path.to_owned(), text: text.to_owned(), tokens, lines }
    }

    /// Whether the whole file is a test module.
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// The name of the module: of the file, or of the directory for `mod.rs`.
    pub(crate) fn module(&self) -> &str {
        let stem = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        stem.rsplit('/').next().unwrap_or_default()
    }

    /// Where something is, for messages.
    pub(crate) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }

    /// The lines in which these words follow each other.
    pub(crate) fn lines_with(&self, pattern: &[&str]) -> Vec<usize> {
        let matches =
            |window: &&[Token]| window.iter().zip(pattern).all(|(token, word)| token.text == *word);
        let found = self.tokens.windows(pattern.len()).filter(matches);
        found.map(|window| window[0].line).collect()
    }

    /// Every path of at least two parts, with the trees of `use` unfolded.
    pub(crate) fn paths(&self) -> Vec<Named> {
        let mut paths = Vec::new();
        let mut i = 0;
        while i + 1 < self.tokens.len() {
            let starts = is_word(&self.tokens[i].text)
                && self.tokens[i + 1].text == "::"
                && (i == 0 || self.tokens[i - 1].text != "::");
            if starts {
                i = self.unfold(i, &[], &mut paths);
            } else {
                i += 1;
            }
        }
        paths
    }

    /// Reads one path from a position on; returns the position behind it.
    fn unfold(&self, first: usize, before: &[String], into: &mut Vec<Named>) -> usize {
        let mut i = first;
        let text = |i: usize| self.tokens.get(i).map_or("", |token| token.text.as_str());
        let (mut parts, line) = (before.to_vec(), self.tokens[i].line);
        loop {
            if text(i) == "{" {
                i += 1;
                while !matches!(text(i), "}" | "") {
                    i = if text(i) == "," { i + 1 } else { self.unfold(i, &parts, into) };
                }
                return i + 1;
            }
            if is_word(text(i)) || text(i) == "*" {
                parts.push(text(i).to_owned());
                i += 1;
            }
            let goes_on = is_word(text(i + 1)) || matches!(text(i + 1), "{" | "*");
            if text(i) == "::" && goes_on {
                i += 1;
                continue;
            }
            if text(i) == "as" {
                i += 2;
            }
            into.push(Named { parts, line });
            // Whatever else stands here (generic arguments, a call) is no part of the path.
            return if is_word(text(i)) || text(i) == "::" { i + 1 } else { i.max(first + 1) };
        }
    }

    /// Every function that has a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut functions = Vec::new();
        for (i, token) in self.tokens.iter().enumerate() {
            let Some(name) = self.tokens.get(i + 1).filter(|next| is_word(&next.text)) else {
                continue;
            };
            if token.text != "fn" {
                continue;
            }
            let end = end_of_item(&self.tokens, i);
            if self.tokens[end].text == ";" {
                continue;
            }
            let end = self.tokens[end].line;
            let lines = end - token.line + 1;
            functions.push(Function { name: name.text.clone(), line: token.line, lines });
        }
        functions
    }

    /// The variants of an enum: the words that begin a line of its body, one level deep.
    pub(crate) fn variants(&self, name: &str) -> Vec<String> {
        let found = self.tokens.windows(2).position(|w| w[0].text == "enum" && w[1].text == name);
        let start = found.unwrap_or_else(|| panic!("no enum {name} in {}", self.path)) + 2;
        let end = closing(&self.tokens, start);
        let mut variants = Vec::new();
        let (mut depth, mut first) = (0, true);
        for token in &self.tokens[start + 1..end] {
            match token.text.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                "," if depth == 0 => first = true,
                word if depth == 0 && first && is_word(word) => {
                    variants.push(word.to_owned());
                    first = false;
                }
                _ => {}
            }
        }
        variants
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// The position of the bracket that closes the one at a position.
pub(crate) fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i;
        }
    }
    panic!("a bracket of line {} is not closed", tokens[open].line);
}

/// The position of the bracket or semicolon with which an item ends.
fn end_of_item(tokens: &[Token], start: usize) -> usize {
    let mut i = start;
    loop {
        match tokens[i].text.as_str() {
            ";" => return i,
            "{" => return closing(tokens, i),
            "(" | "[" => i = closing(tokens, i) + 1,
            _ => i += 1,
        }
    }
}

/// Cuts out every item below `#[cfg(test)]`; also tells how many lines these have.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, usize) {
    let (mut kept, mut lines, mut i) = (Vec::new(), 0, 0);
    let attribute = ["#", "[", "cfg", "(", "test", ")", "]"];
    while i < tokens.len() {
        let here = tokens[i..].iter().map(|token| token.text.as_str());
        if !here.take(attribute.len()).eq(attribute) {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        }
        let end = end_of_item(tokens, i + attribute.len());
        lines += tokens[end].line - tokens[i].line + 1;
        i = end + 1;
    }
    (kept, lines)
}

fn words(code: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for (line, text) in code.lines().enumerate().map(|(i, text)| (i + 1, text)) {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let len = if is_word(rest) {
                rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push(Token { text: rest[..len].to_owned(), line });
            rest = rest[len..].trim_start();
        }
    }
    tokens
}

/// The same text with comments and literals replaced by blanks; every line stays where it is.
fn blank(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let after_word = out.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let hidden = hidden_len(rest, after_word);
        let len = if hidden > 0 { hidden } else { first.len_utf8() };
        for c in rest[..len].chars() {
            out.push(if hidden == 0 || c == '\n' { c } else { ' ' });
        }
        rest = &rest[len..];
    }
    out
}

/// How many bytes of a comment or literal the text starts with.
fn hidden_len(text: &str, after_word: bool) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return text.find("*/").map_or(text.len(), |end| end + 2);
    }
    let literal = if after_word { text } else { text.trim_start_matches(['b', 'c']) };
    let prefix = text.len() - literal.len();
    if let Some(raw) = literal.strip_prefix('r').filter(|_| !after_word) {
        let fences = raw.len() - raw.trim_start_matches('#').len();
        if raw[fences..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(fences));
            let body = &raw[fences + 1..];
            let len = body.find(&end).map_or(body.len(), |at| at + end.len());
            return prefix + 1 + fences + 1 + len;
        }
    }
    if literal.starts_with('"') && prefix < 2 {
        return prefix + quoted(literal, '"');
    }
    // A letter between two quotes is a character, a word behind one quote is a lifetime.
    let mut letters = literal.chars();
    let is_char = letters.next() == Some('\'')
        && letters.next().is_some_and(|c| c == '\\' || letters.next() == Some('\''));
    if is_char && prefix < 2 { prefix + quoted(literal, '\'') } else { 0 }
}

/// The length of a literal between quotes, in which a backslash protects what follows it.
fn quoted(literal: &str, quote: char) -> usize {
    let mut protected = false;
    for (i, c) in literal.char_indices().skip(1) {
        if c == quote && !protected {
            return i + 1;
        }
        protected = c == '\\' && !protected;
    }
    literal.len()
}
