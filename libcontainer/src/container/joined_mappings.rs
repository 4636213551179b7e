//! The id mappings of a user namespace that a container joins: those of the configuration must be the
//! same, or it would say of files and users what is not so.
//!
//! A namespace tells its mappings through a process in it: init, which has just joined it.

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
        if joint(list.clone()) != joint(parse(&text)) {
            let there: Vec<_> = text.lines().map(|line| words(line).join(" ")).collect();
            let there = there.join(", ");
            let message =
                format!("the user namespace maps other {ids} ids than these: \"{there}\"");
            return Err(Error::new(ErrorKind::Config, message).pointer_is(pointer));
        }
    }
    Ok(())
}

fn words(line: &str) -> Vec<&str> {
    line.split_ascii_whitespace().collect()
}

/// Lines of three numbers, as the kernel shows mappings.
fn parse(text: &str) -> Vec<IdMapping> {
    let line = |line: &str| {
        let numbers: Vec<u32> = words(line).iter().filter_map(|word| word.parse().ok()).collect();
        let &[container_id, host_id, size] = numbers.as_slice() else { return None };
        Some(IdMapping { container_id, host_id, size })
    };
    text.lines().filter_map(line).collect()
}

/// The same mapping in order, and in as few ranges as can be.
fn joint(mut list: Vec<IdMapping>) -> Vec<IdMapping> {
    list.sort_by_key(|mapping| mapping.container_id);
    let mut joint: Vec<IdMapping> = Vec::new();
    for next in list {
        match joint.last_mut() {
            Some(last) if goes_on(last, &next) => last.size += next.size,
            _ => joint.push(next),
        }
    }
    joint
}

/// Whether a range begins where another ends, inside and on the host.
fn goes_on(last: &IdMapping, next: &IdMapping) -> bool {
    let ends = |first: u32, next: u32| first.checked_add(last.size) == Some(next);
    ends(last.container_id, next.container_id) && ends(last.host_id, next.host_id)
}

#[cfg(test)]
mod tests {
    use super::{joint, parse};

    #[test]
    fn mappings_are_the_same_however_they_are_cut() {
        let cut = "  5 105 5\n 0 100 5\n 20 300 1\n";
        assert_eq!(joint(parse(cut)), parse("0 100 10\n20 300 1"));
        let apart = "0 100 5\n5 200 5\n";
        assert_eq!(joint(parse(apart)), parse(apart));
        assert_eq!(parse("0 x 1\n\n0 1"), []);
        let whole = parse("0 0 4294967295");
        assert_eq!(joint(whole.clone()), whole);
    }
}
