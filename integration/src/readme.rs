//! The code blocks of README.md, for the tests that run them.
//!
//! A block is given as it stands: a test may change where keel and its own directories are, and
//! nothing else. [`Section::end`] fails if a test has left out a block of its section, and
//! `tests/readme.rs` if there is a section that no test runs.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;

/// Where the sections about engines are.
const CHAPTER: &str = "## Under a container engine";

/// Where a user of README.md has keel.
pub const KEEL: &str = "/usr/local/bin/keel";

/// A section about an engine, with the blocks that were not taken yet.
pub struct Section {
    name: String,
    blocks: VecDeque<Block>,
}

/// A code block.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    language: String,
    text: String,
}

impl Section {
    /// The section about an engine.
    ///
    /// # Panics
    /// There is none.
    pub fn of(name: &str) -> Self {
        let found = all(&text()).into_iter().find(|section| section.name == name);
        found.unwrap_or_else(|| panic!("README.md has no section {name}"))
    }

    /// The next block, which has to be of this language.
    ///
    /// # Panics
    /// It is not, or there is none.
    #[track_caller]
    pub fn next(&mut self, language: &str) -> String {
        let block = self.blocks.pop_front();
        let block = block.unwrap_or_else(|| panic!("{}: no block of {language} left", self.name));
        assert_eq!(block.language, language, "{}: the next block is {}", self.name, block.text);
        block.text
    }

    /// The end of the section.
    ///
    /// # Panics
    /// There is a block that nobody took.
    #[track_caller]
    pub fn end(self) {
        assert!(self.blocks.is_empty(), "{}: nothing runs {:?}", self.name, self.blocks);
    }
}

/// The names of the sections that have blocks to run.
pub fn names() -> Vec<String> {
    let sections = all(&text()).into_iter().filter(|section| !section.blocks.is_empty());
    sections.map(|section| section.name).collect()
}

fn text() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    fs::read_to_string(path).expect("README.md")
}

/// The sections of the chapter; what comes before the first is one without a name.
fn all(text: &str) -> Vec<Section> {
    let mut sections = vec![Section { name: String::new(), blocks: VecDeque::new() }];
    let mut block: Option<Block> = None;
    for line in text.lines().skip_while(|line| *line != CHAPTER).skip(1) {
        let section = sections.last_mut().expect("the first");
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(language)) => {
                block = Some(Block { language: language.to_owned(), text: String::new() });
            }
            (Some(_), Some(_)) => section.blocks.extend(block.take()),
            (Some(block), None) => {
                block.text += line;
                block.text.push('\n');
            }
            (None, None) if line.starts_with("## ") => break,
            (None, None) => {
                if let Some(name) = line.strip_prefix("### ") {
                    sections.push(Section { name: name.to_owned(), blocks: VecDeque::new() });
                }
            }
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::all;

    #[test]
    fn blocks_belong_to_the_section_they_stand_in() {
        let text = "## Before\n```sh\nno\n```\n## Under a container engine\n### A\n```sh\n### not\n\
                    one\n```\ntext\n```toml\ntwo\n```\n### B\n## After\n```sh\nno\n```\n";
        let mut sections = all(text);
        let names: Vec<_> = sections.iter().map(|section| section.name.as_str()).collect();
        assert_eq!(names, ["", "A", "B"]);
        assert_eq!(sections[1].next("sh"), "### not\none\n");
        assert_eq!(sections[1].next("toml"), "two\n");
        assert!(sections.into_iter().all(|section| section.blocks.is_empty()));
    }
    #[test]
    #[should_panic(expected = "A: nothing runs")]
    fn a_block_that_nobody_took_is_a_failure() {
        let text = "## Under a container engine\n### A\n```sh\none\n```\n```sh\ntwo\n```\n";
        let mut section = all(text).remove(1);
        section.next("sh");
        section.end();
    }
}
