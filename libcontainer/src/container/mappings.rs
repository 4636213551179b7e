//! Writing the id mappings of a new user namespace, user_namespaces(7).

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;

use crate::config::Mappings;
use crate::error::{Error, Result};
use crate::spec::IdMapping;

/// Writes both mappings of init's user namespace, and forbids setgroups(2) where that is the price.
pub(super) fn write(pid: i32, mappings: &Mappings) -> Result<()> {
    if mappings.deny_setgroups {
        write_file(pid, "setgroups", "deny")?;
    }
    write_file(pid, "uid_map", &lines(&mappings.uid))?;
    write_file(pid, "gid_map", &lines(&mappings.gid))
}

fn lines(list: &[IdMapping]) -> String {
    let mut text = String::new();
    for IdMapping { container_id, host_id, size } in list {
        let _ = writeln!(text, "{container_id} {host_id} {size}");
    }
    text
}

fn write_file(pid: i32, name: &str, text: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{name}");
    // One write: the kernel takes a mapping whole, and once.
    let result = OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    result.map_err(|error| {
        let shown = text.trim_end().replace('\n', ", ");
        Error::io(format!("cannot write the id mapping \"{shown}\" to {name}"), &error)
    })
}
