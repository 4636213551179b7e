//! Facts of the machine the tests run on: kernel, cgroup hierarchies, a static busybox.
//!
//! Read once, before the first test. It must never change anything, and never look at a container.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::mountinfo;

/// A mounted cgroup hierarchy.
#[derive(Debug, Clone)]
pub(crate) struct Hierarchy {
    /// Where it is mounted.
    pub(crate) mount: PathBuf,
    /// Its controllers; for a named v1 hierarchy `name=…`; for v2 those of its root.
    pub(crate) controllers: Vec<String>,
    /// Whether it is the unified hierarchy.
    pub(crate) unified: bool,
}

/// What the tests know of the machine.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// A statically linked busybox: the containers' only program.
    pub(crate) busybox: PathBuf,
    /// The mounted cgroup hierarchies.
    pub(crate) hierarchies: Vec<Hierarchy>,
    /// Version of the kernel.
    pub(crate) kernel: (u32, u32),
}

impl Machine {
    /// Looks at the machine; the message says what it lacks.
    pub(crate) fn probe(busybox: Option<&Path>) -> Result<Self, String> {
        let busybox = match busybox {
            Some(path) => path.to_owned(),
            None => ["/bin/busybox", "/usr/bin/busybox", "/sbin/busybox"]
                .iter()
                .map(PathBuf::from)
                .find(|path| is_static(path).unwrap_or(false))
                .ok_or(
                    "no statically linked busybox found: install one or name it with --busybox",
                )?,
        };
        if !is_static(&busybox).map_err(|error| format!("cannot read {busybox:?}: {error}"))? {
            return Err(format!("{} is not statically linked", busybox.display()));
        }
        let release = fs::read_to_string("/proc/sys/kernel/osrelease")
            .map_err(|error| format!("cannot read the kernel's version: {error}"))?;
        let hierarchies =
            hierarchies().map_err(|error| format!("cannot list cgroup mounts: {error}"))?;
        Ok(Self { busybox, hierarchies, kernel: version(&release) })
    }

    /// The hierarchy a controller is in; v1 hierarchies come first where both are mounted.
    pub(crate) fn controller(&self, name: &str) -> Option<&Hierarchy> {
        let has = |h: &&Hierarchy| h.controllers.iter().any(|controller| controller == name);
        self.hierarchies
            .iter()
            .filter(|h| !h.unified)
            .find(has)
            .or_else(|| self.hierarchies.iter().filter(|h| h.unified).find(has))
    }

    /// What kind of machine it is, as far as that decides which clauses are skipped.
    pub(crate) fn kind(&self) -> String {
        let layout = match (self.hierarchies.iter().any(|h| h.unified), self.is_hybrid()) {
            (_, true) => "cgroup v1 and v2 side by side",
            (true, false) => "cgroup v2",
            (false, _) => "cgroup v1",
        };
        format!("Linux {}.{}, {layout}", self.kernel.0, self.kernel.1)
    }

    /// Whether v1 and v2 are mounted side by side.
    pub(crate) fn is_hybrid(&self) -> bool {
        self.hierarchies.iter().any(|h| h.unified) && self.hierarchies.iter().any(|h| !h.unified)
    }
}

/// Major and minor number of a kernel release such as `6.1.0-13-amd64`.
fn version(release: &str) -> (u32, u32) {
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// The mounted cgroup hierarchies of this process's mount namespace.
fn hierarchies() -> io::Result<Vec<Hierarchy>> {
    let mut found = Vec::new();
    for mount in mountinfo::read(Path::new("/proc/self/mountinfo"))? {
        let unified = mount.kind == "cgroup2";
        if !unified && mount.kind != "cgroup" {
            continue;
        }
        let controllers = if unified {
            fs::read_to_string(mount.point.join("cgroup.controllers"))?
                .split_whitespace()
                .map(str::to_owned)
                .collect()
        } else {
            mount.super_options.clone()
        };
        found.push(Hierarchy { mount: mount.point, controllers, unified });
    }
    Ok(found)
}

/// Whether a file is an ELF program (64 bit, little endian) that asks for no interpreter.
fn is_static(path: &Path) -> io::Result<bool> {
    const INTERPRETER: u32 = 3;
    let bytes = fs::read(path)?;
    let field = |at: usize, len: usize| {
        bytes.get(at..at + len).map(|b| b.iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b)))
    };
    if bytes.get(..6) != Some(&b"\x7fELF\x02\x01"[..]) {
        return Ok(false);
    }
    let (Some(table), Some(size), Some(count)) = (field(32, 8), field(54, 2), field(56, 2)) else {
        return Ok(false);
    };
    let kind = |n: u64| field(usize::try_from(table + n * size).unwrap_or(usize::MAX - 8), 4);
    Ok((0..count).all(|n| kind(n) != Some(u64::from(INTERPRETER))))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{is_static, version};

    #[test]
    fn a_release_is_read_up_to_its_minor_number() {
        assert_eq!(version("6.1.0-13-amd64\n"), (6, 1));
        assert_eq!(version("5.14"), (5, 14));
        assert_eq!(version(""), (0, 0));
    }

    #[test]
    fn a_program_that_asks_for_an_interpreter_is_not_static() {
        // This test program itself is linked dynamically on the platforms keel is built on.
        let own = std::env::current_exe().unwrap();
        assert_eq!(is_static(&own).unwrap(), cfg!(target_feature = "crt-static"));
        assert!(!is_static(Path::new("/proc/self/status")).unwrap());
    }
}
