//! The id mappings of a user namespace that a container joins: those of the configuration must be the
//! same, or it would say of files and users what is not so.
//!
//! A namespace tells its mappings through a process in it: init, which has just joined it.

use super::mappings;
use crate::config::JoinedMappings;
use crate::error::{Error, ErrorKind, Result};
use crate::spec::IdMapping;

/// Compares the mappings of the user namespace that a process is in, as this process sees them.
pub(super) fn compare(pid: i32, expected: &JoinedMappings) -> Result<()> {
    let both = [
        ("user", "uid_map", "/linux/uidMappings", &expected.uid),
        ("group", "gid_map", "/linux/gidMappings", &expected.gid),
    ];
    for (ids, file, pointer, list) in both {
        let path = format!("/proc/{pid}/{file}");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Error::io(format!("cannot read {path}"), &error))?;
        if !same(list, &parse(&text)) {
            let there = mappings::shown(&text);
            let message =
                format!("the user namespace maps other {ids} ids than these: \"{there}\"");
            return Err(Error::new(ErrorKind::Config, message).pointer_is(pointer));
        }
    }
    Ok(())
}

/// Lines of three numbers, as the kernel shows mappings.
fn parse(text: &str) -> Vec<IdMapping> {
    let line = |line: &str| {
        let numbers: Vec<u32> =
            line.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
        let &[container_id, host_id, size] = numbers.as_slice() else { return None };
        Some(IdMapping { container_id, host_id, size })
    };
    text.lines().filter_map(line).collect()
}

/// Whether two lists map the same, in whatever order and however cut.
fn same(one: &[IdMapping], other: &[IdMapping]) -> bool {
    within(one, other) && within(other, one)
}

/// Whether the other list maps each id of a list, and to the same id of the host.
fn within(list: &[IdMapping], other: &[IdMapping]) -> bool {
    list.iter().all(|mapping| {
        let mut done = 0;
        while done < mapping.size {
            let (inside, host) = (mapping.container_id + done, mapping.host_id + done);
            let Some(rest) = other.iter().find_map(|range| rest(range, inside, host)) else {
                return false;
            };
            done += rest.min(mapping.size - done);
        }
        true
    })
}

/// How many ids of a range are left from one on that it maps to this id of the host.
fn rest(range: &IdMapping, inside: u32, host: u32) -> Option<u32> {
    let at = inside.checked_sub(range.container_id)?;
    (at < range.size && host.checked_sub(range.host_id) == Some(at)).then(|| range.size - at)
}

#[cfg(test)]
mod tests {
    use super::{parse, same};

    #[test]
    fn mappings_are_the_same_however_they_are_cut() {
        let maps = |one, other| same(&parse(one), &parse(other));
        assert!(maps("  5 105 5\n 0 100 5\n 20 300 1\n", "0 100 10\n20 300 1"));
        assert!(maps("0 0 4294967295", "7 7 4294967288\n0 0 7"));
        assert!(!maps("0 100 5\n5 200 5\n", "0 100 10"));
        assert!(!maps("0 100 5", "0 100 6"));
        assert!(!maps("0 100 6", "0 100 5"));
        assert!(!maps("0 100 5", ""));
        assert_eq!(parse("0 x 1\n\n0 1"), []);
    }
}
