//! The subordinate ids of a user: those that newuidmap(1) and newgidmap(1) map for it, subuid(5).
//!
//! Read to fill in mappings that a configuration leaves out, and to say in an error what is missing.
//! Whether a mapping is allowed is never decided here: the two programs do that, and may know ids
//! from elsewhere.

use std::fs;
use std::path::Path;

use nix::unistd::{Uid, User};

/// `/etc/subuid`: the user ids.
pub const USERS: &str = "/etc/subuid";
/// `/etc/subgid`: the group ids, of users as well.
pub const GROUPS: &str = "/etc/subgid";

/// A range: the first id, and how many.
pub type Range = (u32, u32);

/// The subordinate ids of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubordinateIds {
    /// Ranges of user ids: the first, and how many.
    pub users: Vec<Range>,
    /// Ranges of group ids.
    pub groups: Vec<Range>,
}

impl SubordinateIds {
    /// Those that `/etc/subuid` and `/etc/subgid` give to a user.
    pub fn of(uid: u32) -> Self {
        Self { users: ranges(USERS, uid), groups: ranges(GROUPS, uid) }
    }
}

/// The ranges that a file gives to a user; none where it cannot be read.
pub fn ranges(file: impl AsRef<Path>, uid: u32) -> Vec<Range> {
    let Ok(text) = fs::read_to_string(file) else { return Vec::new() };
    let name = User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
    parse(&text, uid, name.as_deref())
}

/// Lines of `USER:FIRST:COUNT`, where USER is a name or a number; other lines give nothing.
fn parse(text: &str, uid: u32, name: Option<&str>) -> Vec<Range> {
    let number = uid.to_string();
    let range = |line: &str| {
        let (user, range) = line.trim().split_once(':')?;
        let (first, count) = range.split_once(':')?;
        let (first, count): (u32, u32) = (first.parse().ok()?, count.parse().ok()?);
        let usable = count > 0 && first.checked_add(count).is_some();
        (usable && (user == number || Some(user) == name)).then_some((first, count))
    };
    text.lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_user_has_what_stands_behind_its_name_or_number() {
        let text = "ann:100000:65536\n# ann:1:1\nbob:200000:10\n\n1000:300000:5\nann:400000:7\n";
        let ann = [(100_000, 65_536), (300_000, 5), (400_000, 7)];
        assert_eq!(parse(text, 1000, Some("ann")), ann);
        assert_eq!(parse(text, 1000, None), [(300_000, 5)]);
        assert_eq!(parse(text, 7, Some("an")), []);
    }

    #[test]
    fn a_range_that_is_none_gives_nothing() {
        for line in ["ann:x:1", "ann:1", "ann:1:0", "ann:4294967295:1", "ann:1:2:3", "ann:-1:5"] {
            assert_eq!(parse(line, 1000, Some("ann")), [], "{line}");
        }
    }
}
