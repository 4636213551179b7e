//! A bundle: a directory with a `config.json` and, usually, the root file system it names.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::spec::{IdMapping, Namespace, Spec};

/// The largest `config.json` that is read, in bytes. The largest real ones have some 100 KB.
const MAX: u64 = 32 << 20;
/// Room for a usual one, so that it is read in one call.
const USUAL: usize = 32 << 10;

/// A bundle, its configuration read once: later changes of the file have no effect.
#[derive(Debug, Clone)]
pub struct Bundle {
    path: PathBuf,
    spec: Spec,
    unknown: Vec<String>,
}

impl Bundle {
    /// Reads `config.json` in a directory.
    ///
    /// # Errors
    /// The directory or file is missing or too large, or the file is no configuration.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let path = absolute(dir.as_ref())?;
        let config = path.join("config.json");
        Self::read(path, &config)
    }

    /// Reads another file as the configuration of a bundle.
    ///
    /// # Errors
    /// As [`Bundle::open`].
    pub fn open_with(dir: impl AsRef<Path>, config: impl AsRef<Path>) -> Result<Self> {
        Self::read(absolute(dir.as_ref())?, config.as_ref())
    }

    /// A bundle with a configuration made in this program.
    ///
    /// # Errors
    /// The directory is missing.
    pub fn from_spec(dir: impl AsRef<Path>, spec: Spec) -> Result<Self> {
        Ok(Self { path: absolute(dir.as_ref())?, spec, unknown: Vec::new() })
    }

    /// A bundle as a container was created from it; its directory need not exist any more.
    pub(crate) fn recorded(path: &Path, spec: Spec) -> Self {
        Self { path: path.to_owned(), spec, unknown: Vec::new() }
    }

    fn read(path: PathBuf, config: &Path) -> Result<Self> {
        let fail = |error: &std::io::Error| {
            Error::io(format!("cannot read {}", config.display()), error)
                .kind_is(ErrorKind::Input)
                .path(config)
        };
        let mut text = Vec::with_capacity(USUAL);
        let file = File::open(config).map_err(|error| fail(&error))?;
        file.take(MAX + 1).read_to_end(&mut text).map_err(|error| fail(&error))?;
        if text.len() as u64 > MAX {
            let message = format!("{} is larger than {} MiB", config.display(), MAX >> 20);
            return Err(Error::new(ErrorKind::Input, message).path(config));
        }
        let (spec, unknown) = Spec::parse_noting_unknown(&text)?;
        Ok(Self { path, spec, unknown })
    }

    /// The directory, absolute and without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Pointers to what the file holds and the runtime-spec does not have for Linux; it is ignored.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Whether the configuration wants a new user namespace and leaves open what is mapped there.
    pub fn lacks_id_mappings(&self) -> bool {
        let Some(linux) = &self.spec.linux else { return false };
        let new_user = |namespace: &Namespace| {
            namespace.kind == "user" && namespace.path.as_deref().is_none_or(str::is_empty)
        };
        linux.uid_mappings.is_empty()
            && linux.gid_mappings.is_empty()
            && linux.namespaces.iter().any(new_user)
    }

    /// Fills in what a new user namespace maps: to its root a user and a group of the host, and to
    /// the ids from 1 on ranges of the host, each by its first id and how many they are.
    pub fn map_ids(&mut self, owner: (u32, u32), users: &[(u32, u32)], groups: &[(u32, u32)]) {
        let linux = self.spec.linux.get_or_insert_default();
        linux.uid_mappings = mappings(owner.0, users);
        linux.gid_mappings = mappings(owner.1, groups);
    }
}

/// As many ids from 0 on as there are, each id of the host once: the kernel takes none twice, and a
/// user may stand in a list by its name and by its number.
fn mappings(root: u32, ranges: &[(u32, u32)]) -> Vec<IdMapping> {
    let mut container_id = 0;
    let mut mappings: Vec<IdMapping> = Vec::new();
    for &(first, count) in [(root, 1)].iter().chain(ranges) {
        let (mut host_id, end) = (first, first.saturating_add(count));
        while host_id < end && container_id < u32::MAX {
            let taken = |m: &&IdMapping| m.host_id <= host_id && host_id - m.host_id < m.size;
            if let Some(taken) = mappings.iter().find(taken) {
                host_id = taken.host_id + taken.size;
                continue;
            }
            let later = mappings.iter().map(|m| m.host_id).filter(|next| *next > host_id);
            let next = later.min().unwrap_or(end).min(end);
            let size = (next - host_id).min(u32::MAX - container_id);
            mappings.push(IdMapping { container_id, host_id, size });
            container_id += size;
            host_id = next;
        }
    }
    mappings
}

fn absolute(dir: &Path) -> Result<PathBuf> {
    dir.canonicalize().map_err(|error| {
        Error::io(format!("cannot open the bundle {}", dir.display()), &error)
            .kind_is(ErrorKind::Input)
            .path(dir)
    })
}

#[cfg(test)]
mod tests {
    use super::mappings;

    #[test]
    fn each_id_of_a_user_is_mapped_once_however_it_was_given() {
        let told = |ranges: &[(u32, u32)]| -> Vec<[u32; 3]> {
            let mappings = mappings(1000, ranges);
            mappings.iter().map(|m| [m.container_id, m.host_id, m.size]).collect()
        };
        let (root, first) = ([0, 1000, 1], [1, 5000, 10]);
        assert_eq!(told(&[]), [root]);
        assert_eq!(told(&[(5000, 10), (5000, 10), (5003, 2)]), [root, first]);
        assert_eq!(told(&[(5000, 10), (5005, 10)]), [root, first, [11, 5010, 5]]);
        assert_eq!(told(&[(5000, 10), (4990, 30)]), [root, first, [11, 4990, 10], [21, 5010, 10]]);
        assert_eq!(told(&[(998, 5)]), [root, [1, 998, 2], [3, 1001, 2]]);
        let most = u32::MAX;
        assert_eq!(told(&[(most - 1, 9), (0, most)])[1], [1, most - 1, 1]);
        let ids: u32 = mappings(1000, &[(0, most), (0, most)]).iter().map(|m| m.size).sum();
        assert_eq!(ids, most);
    }
}
