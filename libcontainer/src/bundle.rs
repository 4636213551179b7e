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

/// As many ids from 0 on as there are.
fn mappings(root: u32, ranges: &[(u32, u32)]) -> Vec<IdMapping> {
    let mut container_id = 0;
    let mut mappings = Vec::new();
    for &(host_id, size) in [(root, 1)].iter().chain(ranges) {
        let size = size.min(u32::MAX - container_id);
        mappings.push(IdMapping { container_id, host_id, size });
        container_id += size;
    }
    mappings.retain(|mapping| mapping.size > 0);
    mappings
}

fn absolute(dir: &Path) -> Result<PathBuf> {
    dir.canonicalize().map_err(|error| {
        Error::io(format!("cannot open the bundle {}", dir.display()), &error)
            .kind_is(ErrorKind::Input)
            .path(dir)
    })
}
