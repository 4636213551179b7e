//! Words about ids: the mappings of a user namespace, and becoming a user.

use libcontainer_init::step::Step;

use super::Words;
use crate::config::Mappings;

/// Writing the mappings of a new user namespace.
pub(super) fn write_mappings(mappings: &Mappings) -> String {
    let (users, groups) = (mappings.uid.len(), mappings.gid.len());
    let programs: Vec<&str> =
        [(mappings.by_newuidmap, "newuidmap"), (mappings.by_newgidmap, "newgidmap")]
            .into_iter()
            .filter_map(|(needed, name)| needed.then_some(name))
            .collect();
    let mut text = format!("write {users} user and {groups} group mappings");
    if !programs.is_empty() {
        text += &format!(" by {}", programs.join(" and "));
    }
    if mappings.deny_setgroups {
        text += ", and forbid setgroups";
    }
    text
}

/// The switch to the container's user.
pub(super) fn user(words: &Words<'_>, step: &Step) -> String {
    let Step::User { uid, gid, groups, deniable, keep } = *step else { return String::new() };
    let numbers: Vec<String> = (0..groups.count)
        .filter_map(|i| words.bytes.as_ref()?.number(groups, i))
        .map(|group| group.to_string())
        .collect();
    let groups = match (numbers.is_empty(), deniable) {
        _ if keep => "the caller's groups".to_owned(),
        (true, true) => "no groups where setgroups is allowed".to_owned(),
        (true, false) => "no groups".to_owned(),
        (false, _) => format!("groups {}", numbers.join(" ")),
    };
    format!("become user {uid}, group {gid}, {groups}")
}
