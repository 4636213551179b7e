//! Reads `/proc/PID/mountinfo`, the kernel's own account of a mount table.
//!
//! The tests of mounts, propagation and masked paths judge by it. It must never guess: a line that
//! does not have the form of proc(5) is left out, and the tests then miss their mount.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One mount, as proc(5) lists it.
#[derive(Debug, Clone)]
pub(crate) struct Mount {
    /// The mount point, relative to the root of the process that was asked about.
    pub(crate) point: PathBuf,
    /// Options of the mount.
    pub(crate) options: Vec<String>,
    /// `shared:N`, `master:N`, `propagate_from:N`, `unbindable`.
    pub(crate) propagation: Vec<String>,
    /// Type of the file system.
    pub(crate) kind: String,
    /// Options of the file system.
    pub(crate) super_options: Vec<String>,
}

impl Mount {
    /// Whether an option is set on the mount or on its file system.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.iter().chain(&self.super_options).any(|set| set == option)
    }

    /// Whether the mount is in a peer group, a slave of one, or unbindable.
    pub(crate) fn propagates(&self, how: &str) -> bool {
        self.propagation.iter().any(|field| field == how || field.starts_with(&format!("{how}:")))
    }

    /// The mount in one line, for a message.
    pub(crate) fn shown(&self) -> String {
        format!(
            "{} {} [{}] {} ({})",
            self.point.display(),
            self.options.join(","),
            self.propagation.join(" "),
            self.kind,
            self.super_options.join(",")
        )
    }
}

/// Reads a mount table.
pub(crate) fn read(file: &Path) -> io::Result<Vec<Mount>> {
    Ok(fs::read_to_string(file)?.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<Mount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(4);
    let (point, options) = (fields.next()?, fields.next()?);
    let mut last = file_system.split(' ');
    let (kind, _source, super_options) = (last.next()?, last.next()?, last.next()?);
    let list = |text: &str| text.split(',').map(str::to_owned).collect();
    Some(Mount {
        point: PathBuf::from(unescape(point)),
        options: list(options),
        propagation: fields.map(str::to_owned).collect(),
        kind: kind.to_owned(),
        super_options: list(super_options),
    })
}

/// Undoes the octal escapes of white space and backslashes.
fn unescape(text: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::parse;

    #[test]
    fn a_line_of_proc_gives_point_options_and_propagation() {
        let line = "36 35 98:0 /mnt1 /my\\040dir rw,noatime master:1 shared:7 - \
                    ext3 /dev/root rw,errors=continue";
        let mount = parse(line).unwrap();
        assert_eq!(mount.point, Path::new("/my dir"));
        assert!(mount.has("noatime") && mount.has("errors=continue") && !mount.has("ro"));
        assert!(mount.propagates("shared") && mount.propagates("master"));
        assert!(!mount.propagates("unbindable"));
        assert!(parse("something else").is_none());
    }
}
