//! The files of one cgroup directory: read by descriptor, absent where the kernel has none.
//!
//! Used by the controllers beside this. The directory is opened once, by the recorded path without
//! symbolic links, so that all numbers are of the same cgroup.

use std::path::PathBuf;

use nix::errno::Errno;

use super::format;
use crate::cgroup::dir::Dir;
use crate::cgroup::failed;
use crate::error::{Error, ErrorKind, Result};
use crate::task::cgroup::Place;

/// A cgroup's directory, open.
#[derive(Debug)]
pub(super) struct Files {
    dir: Dir,
    path: PathBuf,
}

impl Files {
    /// Opens the directory; nothing when it is gone.
    pub(super) fn open(place: &Place) -> Result<Option<Self>> {
        match Dir::open(&place.dir()) {
            Ok(dir) => Ok(Some(Self { dir, path: place.dir() })),
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(None),
            Err(errno) => Err(failed("open", place, errno)),
        }
    }

    /// The text of a file, if there is one.
    fn text(&self, file: &str) -> Result<Option<String>> {
        match self.dir.read(file) {
            Ok(text) => Ok(Some(text)),
            // Gone meanwhile; or accounting that was turned off, as that of pressure can be.
            Err(Errno::ENOENT | Errno::ENODEV | Errno::EOPNOTSUPP) => Ok(None),
            Err(errno) => {
                let path = self.path.join(file);
                Err(Error::system(format!("cannot read {}", path.display()), errno).path(path))
            }
        }
    }

    /// What a file says in a form that `parse` knows.
    pub(super) fn parse<T>(
        &self,
        file: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        /// Enough of a text to see what is wrong with it.
        const SHOWN: usize = 60;
        let Some(text) = self.text(file)? else { return Ok(None) };
        let parsed = parse(&text);
        if parsed.is_none() {
            let path = self.path.join(file);
            let start: String = text.chars().take(SHOWN).flat_map(char::escape_default).collect();
            let message = format!("cannot understand {}: \"{start}\"", path.display());
            return Err(Error::new(ErrorKind::System, message).path(path));
        }
        Ok(parsed)
    }

    /// The number that is all a file says; [`u64::MAX`] for `max`.
    pub(super) fn number(&self, file: &str) -> Result<Option<u64>> {
        self.parse(file, format::number)
    }

    /// The names of all files.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let names = self.dir.files().map_err(|errno| {
            let message = format!("cannot read the directory {}", self.path.display());
            Error::system(message, errno).path(&self.path)
        })?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }
}
