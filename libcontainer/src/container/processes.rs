//! The processes of a container.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{Container, Status};
use crate::error::{Error, ErrorKind, Result};

impl Container {
    /// All processes of the container, also those that joined it, in the order of their pids in this
    /// process's PID namespace. A container that has stopped may have some yet.
    ///
    /// They are those of its cgroup and the ones below. Of a container without a cgroup they are
    /// those of its PID namespace, with all that descend from them.
    ///
    /// # Errors
    /// The cgroup or `/proc` cannot be read, or the container has neither a cgroup nor a PID
    /// namespace of its own.
    pub fn processes(&self) -> Result<Vec<i32>> {
        if let Some(cgroup) = self.cgroup() {
            return cgroup.pids();
        }
        if self.status()? == Status::Stopped {
            return Ok(Vec::new());
        }
        if !self.record.own_pids {
            let message = format!(
                "cannot tell the processes of container \"{}\": it has neither a cgroup nor a PID \
                 namespace of its own",
                self.id
            );
            return Err(Error::new(ErrorKind::State, message));
        }
        let Some(init) = self.pid() else { return Ok(Vec::new()) };
        let Some(namespace) = pid_namespace(init) else { return Ok(Vec::new()) };
        let parents = parents()?;
        let inside = parents.keys().filter(|pid| pid_namespace(**pid).as_ref() == Some(&namespace));
        let members = with_descendants(inside.copied().collect(), &parents);
        // Another process may have got the pid meanwhile.
        Ok(if self.pid().is_some() { members.into_iter().collect() } else { Vec::new() })
    }
}

/// The PID namespace of a process; nothing of one that is gone, or that this one may not look into.
fn pid_namespace(pid: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

/// The parent of each process there is.
fn parents() -> Result<BTreeMap<i32, i32>> {
    let entries =
        std::fs::read_dir("/proc").map_err(|error| Error::io("cannot read /proc", &error))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| name.parse().ok()).filter_map(|p| Some((p, parent(p)?))).collect())
}

/// The parent of a process, proc(5) stat.
fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything: fields are counted behind the last one.
    stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Adds the children of members until there are no more: PID namespaces inside the container's.
fn with_descendants(mut members: BTreeSet<i32>, parents: &BTreeMap<i32, i32>) -> BTreeSet<i32> {
    loop {
        let child = |(pid, parent): (&i32, &i32)| {
            (members.contains(parent) && !members.contains(pid)).then_some(*pid)
        };
        let more: Vec<i32> = parents.iter().filter_map(child).collect();
        if more.is_empty() {
            return members;
        }
        members.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_descend_from_members_are_members() {
        let parents = BTreeMap::from([(1, 0), (5, 1), (4, 7), (7, 5), (8, 1), (9, 8)]);
        let all = with_descendants(BTreeSet::from([5]), &parents);
        assert_eq!(all, BTreeSet::from([4, 5, 7]));
    }

    #[test]
    fn the_parent_of_this_process_is_known() {
        let own = std::process::id().cast_signed();
        let parents = parents().unwrap();
        assert_eq!(parents.get(&own), Some(&std::os::unix::process::parent_id().cast_signed()));
    }
}
