//! What mounts are told by, in words: attributes, propagation types, ids.
//!
//! Used by `explain` for its steps, and for the sentence about attributes that are locked.

use libcontainer_init::step::flag;
use libcontainer_init::sys::mount;

use crate::config::{IdSource, MountIds};

/// Changes of mount attributes, as mount options after a blank.
pub(super) fn changes([set, clear, set_all, clear_all]: [u32; 4]) -> String {
    const NAMES: [(u32, &str, &str); 8] = [
        (mount::ATTR_RDONLY, "ro", "rw"),
        (mount::ATTR_NOSUID, "nosuid", "suid"),
        (mount::ATTR_NODEV, "nodev", "dev"),
        (mount::ATTR_NOEXEC, "noexec", "exec"),
        (mount::ATTR_NOATIME, "noatime", ""),
        (mount::ATTR_STRICTATIME, "strictatime", ""),
        (mount::ATTR_NODIRATIME, "nodiratime", "diratime"),
        (mount::ATTR_NOSYMFOLLOW, "nosymfollow", "symfollow"),
    ];
    let mut words = Vec::new();
    for (prefix, set, clear) in [("", set, clear), ("r", set_all, clear_all)] {
        for (bit, on, off) in NAMES {
            if set & bit != 0 {
                words.push(format!("{prefix}{on}"));
            } else if clear & bit != 0 && !off.is_empty() {
                words.push(format!("{prefix}{off}"));
            }
        }
        let times = mount::ATTR_NOATIME | mount::ATTR_STRICTATIME;
        if clear & mount::ATTR_ATIME != 0 && set & times == 0 {
            words.push(format!("{prefix}relatime"));
        }
    }
    if words.is_empty() { String::new() } else { format!(" {}", words.join(",")) }
}

/// What the flags of a step add to it.
pub(super) fn flagged(flags: u32) -> &'static str {
    const WORDS: [(u32, &str); 5] = [
        (flag::COPY_UP, ", starting with what is there"),
        (flag::COPY_LINK, ", or make a link like it"),
        (flag::ON_LINK, ", not where a link there leads"),
        (flag::COUNT_CHANGES, ", counting changes"),
        (flag::NO_COUNT, ", not counting changes"),
    ];
    WORDS.iter().find(|(flag, _)| flags & flag != 0).map_or("", |(_, words)| words)
}

/// What a mount of this propagation type is.
pub(super) fn propagation_name(kind: u32) -> &'static str {
    match kind {
        mount::SHARED => "shared",
        mount::SLAVE => "a slave",
        mount::UNBINDABLE => "unbindable",
        _ => "private",
    }
}

/// Which ids a mount shows.
pub(super) fn ids(ids: &MountIds) -> String {
    let depth = if ids.recursive { ", and of the mounts below" } else { "" };
    match &ids.source {
        IdSource::Mappings(mappings) => {
            let (uid, gid) = (mappings.uid.len(), mappings.gid.len());
            format!("by {uid} user and {gid} group mappings{depth}")
        }
        IdSource::Namespace(joined) => {
            format!("by the user namespace {}{depth}", joined.path.display())
        }
    }
}

/// Those attributes that a change of `step`'s attributes would alter, of those that a mount has.
pub(crate) fn locked(has: u32, [set, clear, set_all, clear_all]: [u32; 4]) -> String {
    let (set, clear) = (set | set_all, clear | clear_all);
    let access_time = clear & mount::ATTR_ATIME != 0 && (has ^ set) & mount::ATTR_ATIME != 0;
    let flags = has & clear & !mount::ATTR_ATIME;
    let mut words = changes([flags, 0, 0, 0]).trim_start().to_owned();
    if access_time {
        let kept = [mount::ATTR_NOATIME, mount::ATTR_STRICTATIME]
            .into_iter()
            .find(|attribute| has & attribute != 0);
        let kept = kept.map_or("relatime".to_owned(), |kept| changes([kept, 0, 0, 0]));
        words = format!("{words},{}", kept.trim_start());
    }
    words.trim_matches(',').to_owned()
}

#[cfg(test)]
mod tests {
    use super::locked;
    use libcontainer_init::sys::mount::{
        ATTR_ATIME, ATTR_NOATIME, ATTR_NODEV, ATTR_NOSUID, ATTR_RDONLY,
    };

    #[test]
    fn what_is_locked_is_what_the_mount_has_and_the_change_would_take() {
        let has = ATTR_RDONLY | ATTR_NOSUID;
        assert_eq!(locked(has, [0, ATTR_RDONLY | ATTR_NODEV, 0, 0]), "ro");
        assert_eq!(locked(has, [0, 0, 0, ATTR_RDONLY | ATTR_NOSUID]), "ro,nosuid");
        assert_eq!(locked(has, [ATTR_NOATIME, ATTR_ATIME, 0, 0]), "relatime");
        assert_eq!(locked(has, [0, ATTR_ATIME, 0, 0]), "");
    }
}
