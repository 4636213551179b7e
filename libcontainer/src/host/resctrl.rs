//! Where this machine has resctrl mounted, the file system by which a processor shares out caches and
//! memory bandwidth (kernel: `Documentation/filesystems/resctrl.rst`).
//!
//! Nobody but the machine's owner mounts it. The usual mount point is there as soon as the kernel
//! has it; only where it is not in use is the mount table looked through for another.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::statfs::statfs;

/// Where it is mounted as a rule.
const ROOT: &str = "/sys/fs/resctrl";
/// `RDTGROUP_SUPER_MAGIC`, the type of the file system in statfs(2).
const MAGIC: i64 = 0x0765_5821;

/// The resctrl file system of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resctrl {
    /// Where it is mounted.
    pub root: PathBuf,
    /// Whether the processor counts what a group uses.
    pub monitoring: bool,
}

impl Resctrl {
    /// Looks at this machine. Nothing if it is not mounted.
    pub fn probe() -> Option<Self> {
        let kind = statfs(ROOT).ok()?; // without the kernel's support this is not there
        let root = if is_resctrl(kind.filesystem_type().0) {
            ROOT.into()
        } else {
            let table = fs::read_to_string("/proc/thread-self/mountinfo").ok()?;
            let found = mount_point(&table)?;
            let kind = statfs(&found).ok()?.filesystem_type();
            Some(found).filter(|_| is_resctrl(kind.0))?
        };
        let monitoring = fs::metadata(root.join("mon_groups")).is_ok();
        Some(Self { root, monitoring })
    }

    /// Fixed facts of a machine that has everything.
    pub fn example() -> Self {
        Self { root: ROOT.into(), monitoring: true }
    }
}

/// The type has a width of its own on every architecture.
fn is_resctrl(kind: impl TryInto<i64>) -> bool {
    kind.try_into().is_ok_and(|kind| kind == MAGIC)
}

/// The first whole resctrl in the mount table, proc_pid_mountinfo(5):
/// `ID PARENT DEV ROOT POINT OPTIONS [FIELDS…] - TYPE SOURCE SUPER`.
fn mount_point(table: &str) -> Option<PathBuf> {
    let point = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let plain = !point.contains('\\');
        (after.starts_with("resctrl ") && root == "/" && plain).then(|| Path::new(point).to_owned())
    };
    table.lines().find_map(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_file_system_is_found_in_the_mount_table() {
        let table = "\
22 28 0:20 / /proc rw shared:5 - proc proc rw
40 28 0:33 /web /srv/web rw - resctrl resctrl rw
41 28 0:33 / /run/resctrl rw shared:7 master:1 - resctrl resctrl rw,cdp
42 28 0:34 / /mnt rw - tmpfs resctrl rw
";
        assert_eq!(mount_point(table), Some("/run/resctrl".into()));
        assert_eq!(mount_point("42 28 0:34 / /mnt rw - tmpfs resctrl rw\n"), None);
        assert_eq!(mount_point(""), None);
    }
}
