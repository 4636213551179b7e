//! Rules of Landlock in words, for `explain`.

use libcontainer_init::step::Step;

use super::Words;
use crate::features::landlock;

impl Words<'_> {
    pub(super) fn landlock(&self, step: &Step) -> String {
        let Step::Landlock { handled, paths, allowed } = *step else { return String::new() };
        let rights = |i| self.bytes.as_ref()?.number(allowed, i);
        let (paths, rights) = (self.items(paths), (0..allowed.count).filter_map(rights));
        let rules: Vec<_> = paths.iter().map(String::as_str).zip(rights).collect();
        landlock::describe(handled, &rules)
    }
}
