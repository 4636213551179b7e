//! A container's cgroup as a plan carries it: directories to make, values to write into them.
//!
//! `features::cgroup` fills it in from the configuration and the machine's facts, `plan::explain`
//! prints it, and [`crate::cgroup`] performs it. Plain data: nothing here touches a file.

use std::fmt;
use std::path::{Path, PathBuf};

use super::systemd::{Property, Scope};
use crate::host::cgroups::join;

/// The cgroup of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CgroupPlan {
    /// The cgroup's directory in each hierarchy.
    pub places: Vec<Place>,
    /// What is written, in this order. A value that the kernel finds invalid is written once more
    /// after all others: limits that depend on each other need no order then.
    pub writes: Vec<Write>,
    /// eBPF instructions that decide about devices, where a cgroup v2 does it.
    pub device_program: Option<Vec<u8>>,
    /// Where the rules of that program stand in the configuration.
    pub devices_pointer: String,
    /// The scope that the cgroup belongs to, where systemd makes it.
    pub scope: Option<Scope>,
    /// The cgroup of v2 below it in which processes are, if it is not it itself.
    pub subgroup: Option<String>,
    /// The one in which the first process is then, which is the container's to manage. Its path
    /// begins at the container's cgroup too.
    pub delegated: Option<String>,
}

/// A change of a cgroup that a container is in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CgroupUpdate {
    /// What is written, and the program that decides about devices from now on. Nothing is made.
    pub plan: CgroupPlan,
    /// Device rules of cgroup v1, written last; and those that restore what was before.
    pub devices: Vec<Write>,
    /// See [`CgroupUpdate::devices`].
    pub devices_before: Vec<Write>,
    /// Whether the container must stand still while its device rules change, as they are given up
    /// for a moment.
    pub standstill: bool,
    /// A limit that must not be below what is used.
    pub ceiling: Option<Ceiling>,
    /// The same as properties of the scope, where the container has one.
    pub properties: Vec<Property>,
    /// What these properties make systemd write, as it was asked for: it rounds, and one of them may
    /// stand for a file that has not changed.
    pub lasting: Vec<Write>,
}

/// A limit of memory that is compared with the usage first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceiling {
    /// The directory of the cgroup.
    pub dir: PathBuf,
    /// The limit, in bytes.
    pub bytes: u64,
    /// JSON pointer to what asked for it.
    pub pointer: String,
}

/// Which version of cgroups a hierarchy has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// cgroup v1.
    Legacy,
    /// cgroup v2.
    Unified,
}

/// A cgroup's directory in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The hierarchy's version.
    pub kind: Kind,
    /// Where the hierarchy is mounted.
    pub mount: PathBuf,
    /// The cgroup below it: begins with `/`, has no empty component, no `.` and no `..`.
    pub path: String,
    /// The controllers it has (v1) or is to have (v2).
    pub controllers: Vec<String>,
}

/// A value for a file of the cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Index of the [`Place`].
    pub place: usize,
    /// The file's name.
    pub file: String,
    /// What is written, in one call.
    pub value: String,
    /// JSON pointer to what asked for it.
    pub pointer: String,
    /// What is done where the kernel has no such file.
    pub missing: OnMissing,
}

/// What is done where the kernel has no such file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnMissing {
    /// It is an error.
    Fail,
    /// Nothing: nothing is lost.
    Skip,
    /// The caller is warned: the limit has no effect.
    Warn,
    /// Another file of the same meaning is written.
    Instead {
        /// Its name.
        file: String,
        /// The value in its terms.
        value: String,
    },
}

impl Place {
    /// The directory on the host.
    pub fn dir(&self) -> PathBuf {
        join(&self.mount, &self.path)
    }

    /// What the hierarchy is called where hierarchies are mounted side by side: `cpu,cpuacct`,
    /// `systemd`.
    pub fn name(&self) -> &str {
        self.mount.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Whether the hierarchy is of cgroup v1.
    pub fn is_legacy(&self) -> bool {
        self.kind == Kind::Legacy
    }
}

impl CgroupPlan {
    /// The directories of cgroup v1.
    pub fn legacy(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| place.is_legacy())
    }

    /// The directory of cgroup v2.
    pub fn unified(&self) -> Option<&Place> {
        self.places.iter().find(|place| !place.is_legacy())
    }

    /// The number of `tasks` files that [`crate::cgroup::Open::entry_files`] will open.
    pub fn entry_count(&self) -> usize {
        self.legacy().count()
    }
}

impl fmt::Display for CgroupPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.places.first().map_or("", |place| &place.path);
        let (places, writes) = (self.places.len(), self.writes.len());
        write!(f, "cgroup {path}: directories {places}, values {writes}")?;
        match &self.device_program {
            Some(program) => write!(f, ", {}", DeviceProgram(program)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "make {}", self.dir().display())?;
        if !self.is_legacy() && !self.controllers.is_empty() {
            write!(f, " with {}", self.controllers.join(" "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {} {}", self.file, self.value.escape_default())?;
        match &self.missing {
            OnMissing::Fail => Ok(()),
            OnMissing::Skip | OnMissing::Warn => f.write_str(" if it is there"),
            OnMissing::Instead { file, value } => write!(f, " or else {file} {value}"),
        }
    }
}

/// An eBPF program, for people.
#[derive(Debug, Clone, Copy)]
pub struct DeviceProgram<'a>(pub &'a [u8]);

impl fmt::Display for DeviceProgram<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Bytes of an instruction.
        const INSTRUCTION: usize = 8;
        write!(f, "attach a device program of {} instructions", self.0.len() / INSTRUCTION)
    }
}

/// Whether a name may be that of a file in a cgroup's directory.
pub fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name != "."
        && name != ".."
        && !name.contains(['/', '\0'])
        && Path::new(name).components().count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_cgroup_reads_as_one_line() {
        let place = Place {
            kind: Kind::Unified,
            mount: "/sys/fs/cgroup".into(),
            path: "/a/b".into(),
            controllers: vec!["cpu".into(), "memory".into()],
        };
        let write = |missing| Write {
            place: 0,
            file: "memory.max".into(),
            value: "33554432".into(),
            pointer: String::new(),
            missing,
        };
        let plan = CgroupPlan {
            places: vec![place.clone()],
            writes: vec![write(OnMissing::Fail)],
            device_program: Some(vec![0; 16]),
            ..CgroupPlan::default()
        };
        assert_eq!(place.to_string(), "make /sys/fs/cgroup/a/b with cpu memory");
        assert_eq!(write(OnMissing::Fail).to_string(), "write memory.max 33554432");
        assert_eq!(
            write(OnMissing::Instead { file: "x".into(), value: "1".into() }).to_string(),
            "write memory.max 33554432 or else x 1"
        );
        assert_eq!(
            plan.to_string(),
            "cgroup /a/b: directories 1, values 1, attach a device program of 2 instructions"
        );
    }

    #[test]
    fn a_file_name_stays_in_the_directory() {
        assert!(is_file_name("memory.max"));
        for bad in ["", ".", "..", "a/b", "/", "a/", "a\0"] {
            assert!(!is_file_name(bad), "{bad:?}");
        }
    }
}
