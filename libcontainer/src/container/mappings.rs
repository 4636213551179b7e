//! Writing the id mappings of a new user namespace, user_namespaces(7).
//!
//! This process writes what the kernel lets it write. For more than a user's own ids there are
//! newuidmap(1) and newgidmap(1), set-user-id programs that know which ids are the user's: they get
//! init's pid, which stays init's until this process collects it, an empty environment, and no
//! descriptor but for their output.

use std::ffi::{CStr, CString};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use libcontainer_init::sys::memfd::{self, Use};
use libcontainer_init::sys::path::{self, AT_FDCWD, O_RDONLY, Resolve};
use libcontainer_init::sys::pidfd::{self, Ended};
use libcontainer_init::sys::spawn::{Program, Spawn, spawn};

use super::hooks::read_output;
use crate::config::Mappings;
use crate::error::{Error, ErrorKind, Result, call};
use crate::host::subordinate_ids;
use crate::options::IdMappers;
use crate::spec::IdMapping;

/// One of the two mappings.
struct Kind {
    /// What is mapped, in words.
    ids: &'static str,
    /// The kernel's file.
    file: &'static str,
    /// The program for an ordinary user, and where its ranges stand.
    program: &'static str,
    ranges: &'static str,
    pointer: &'static str,
}

const USERS: Kind = Kind {
    ids: "user",
    file: "uid_map",
    program: "newuidmap",
    ranges: subordinate_ids::USERS,
    pointer: "/linux/uidMappings",
};
const GROUPS: Kind = Kind {
    ids: "group",
    file: "gid_map",
    program: "newgidmap",
    ranges: subordinate_ids::GROUPS,
    pointer: "/linux/gidMappings",
};

/// That the programs which the mappings need are there.
pub(super) fn check(mappings: &Mappings, mappers: &IdMappers) -> Result<()> {
    let needed = [
        (&USERS, mappings.by_newuidmap, &mappers.newuidmap),
        (&GROUPS, mappings.by_newgidmap, &mappers.newgidmap),
    ];
    for (kind, wanted, program) in needed {
        if wanted && program.is_none() {
            let Kind { ids, program, .. } = kind;
            let message = format!(
                "cannot map other {ids} ids than this user's own without the program {program}"
            );
            return Err(Error::new(ErrorKind::Config, message).pointer_is(kind.pointer));
        }
    }
    Ok(())
}

/// Writes both mappings of init's user namespace, and forbids setgroups(2) where that is the price.
pub(super) fn write(pid: i32, mappings: &Mappings, mappers: &IdMappers) -> Result<()> {
    check(mappings, mappers)?;
    if mappings.deny_setgroups {
        write_file(pid, "setgroups", "deny").map_err(|error| {
            Error::io("cannot forbid setgroups(2) in the user namespace", &error)
                .pointer_is(GROUPS.pointer)
        })?;
    }
    let by = |wanted: bool, program| if wanted { program } else { &None };
    let users = Writing::begin(
        &USERS,
        pid,
        &mappings.uid,
        by(mappings.by_newuidmap, &mappers.newuidmap).as_deref(),
    );
    let groups = Writing::begin(
        &GROUPS,
        pid,
        &mappings.gid,
        by(mappings.by_newgidmap, &mappers.newgidmap).as_deref(),
    );
    // Both have begun, and both are waited for whatever the other comes to.
    let (users, groups) = (users.and_then(Writing::end), groups.and_then(Writing::end));
    users.and(groups)
}

/// A mapping that is being written: by a program, unless it is done.
struct Writing<'a> {
    kind: &'static Kind,
    program: Option<Running<'a>>,
}

/// A program that runs.
struct Running<'a> {
    path: &'a Path,
    pidfd: OwnedFd,
    /// What it says.
    output: OwnedFd,
    /// The file that is not empty when it has succeeded.
    map: PathBuf,
}

impl<'a> Writing<'a> {
    fn begin(
        kind: &'static Kind,
        pid: i32,
        list: &[IdMapping],
        program: Option<&'a Path>,
    ) -> Result<Self> {
        let program = match program {
            None => {
                write_list(kind, pid, list)?;
                None
            }
            Some(path) => {
                Some(kind.start(path, pid, list).map_err(|e| e.pointer_is(kind.pointer))?)
            }
        };
        Ok(Self { kind, program })
    }

    fn end(self) -> Result<()> {
        let Some(running) = self.program else { return Ok(()) };
        let why = match pidfd::wait(running.pidfd.as_raw_fd()) {
            Ok(Ended::Exited(0)) => return Ok(()),
            Ok(Ended::Exited(status)) => format!("exit status {status}"),
            Ok(Ended::Killed(signal)) => format!("killed by signal {signal}"),
            // This process ignores SIGCHLD, and its children leave no status: the kernel tells.
            Err(_) if std::fs::read(&running.map).is_ok_and(|map| !map.is_empty()) => return Ok(()),
            Err(failure) => call("it cannot be waited for", failure).to_string(),
        };
        Err(self.kind.failed(running.path, &why, &read_output(&running.output)))
    }
}

impl Kind {
    /// Starts the program: its arguments are the pid, and three numbers for each mapping.
    fn start<'a>(&self, program: &'a Path, pid: i32, list: &[IdMapping]) -> Result<Running<'a>> {
        let fail =
            |failure| call(format!("cannot execute {}", program.display()), failure).path(program);
        let name = CString::new(program.as_os_str().as_bytes())
            .map_err(|_| Error::new(ErrorKind::Input, "a path must not hold a NUL character"))?;
        let numbers = list.iter().flat_map(|m| [m.container_id, m.host_id, m.size]);
        let words: Vec<CString> = std::iter::once(pid.to_string())
            .chain(numbers.map(|number| number.to_string()))
            .map(|word| CString::new(word).unwrap_or_default()) // digits have no NUL
            .collect();
        let arguments: Vec<&CStr> =
            std::iter::once(&name).chain(&words).map(CString::as_c_str).collect();
        let null =
            path::open(AT_FDCWD, c"/dev/null", O_RDONLY, 0, Resolve::Anywhere).map_err(fail)?;
        let output = memfd::create(c"mapper-output", Use::Data).map_err(fail)?;
        let request = Spawn {
            program: Program::At(&name),
            arguments: &arguments,
            blocked: 0,
            namespaces: 0,
            cgroup: None,
            keep_capabilities: false,
            descriptors: [null.raw(), output.raw(), output.raw(), -1, -1],
        };
        let pidfd = spawn(&request).map_err(fail)?.pidfd.into();
        let map = format!("/proc/{pid}/{}", self.file).into();
        Ok(Running { path: program, pidfd, output: output.into(), map })
    }

    /// The program's failure, with its own words and the ranges it may have looked for.
    fn failed(&self, program: &Path, why: &str, words: &str) -> Error {
        let uid = nix::unistd::getuid().as_raw();
        let ranges = subordinate_ids::ranges(self.ranges, uid);
        let ranges: Vec<String> =
            ranges.iter().map(|(at, count)| format!("{at}:{count}")).collect();
        let given = match ranges.is_empty() {
            true => format!("{} has no entry for user {uid}", self.ranges),
            false => format!("{} gives user {uid} {}", self.ranges, ranges.join(" and ")),
        };
        let words = if words.is_empty() { why } else { words };
        let message =
            format!("cannot map {} ids with {}: {words} ({given})", self.ids, program.display());
        Error::new(ErrorKind::System, message).path(program).pointer_is(self.pointer)
    }
}

fn write_list(kind: &Kind, pid: i32, list: &[IdMapping]) -> Result<()> {
    let mut text = String::new();
    for IdMapping { container_id, host_id, size } in list {
        let _ = writeln!(text, "{container_id} {host_id} {size}");
    }
    write_file(pid, kind.file, &text).map_err(|error| {
        let message = format!("cannot write the id mapping \"{}\" to {}", shown(&text), kind.file);
        Error::io(message, &error).pointer_is(kind.pointer)
    })
}

/// Mappings as the kernel shows them, on one line that can be read.
pub(super) fn shown(text: &str) -> String {
    const ENOUGH: usize = 8;
    let line = |line: &str| line.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = text.lines().take(ENOUGH).map(line).collect();
    match text.lines().count() - lines.len() {
        0 => {}
        more => lines.push(format!("and {more} more")),
    }
    lines.join(", ")
}

/// One write: the kernel takes a mapping whole, and once.
fn write_file(pid: i32, name: &str, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(format!("/proc/{pid}/{name}"))?;
    file.write_all(text.as_bytes())
}
