//! JSON documents that a command line names: read whole, up to a size that no honest one has.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;

use libcontainer::{Error, ErrorKind};

/// The largest document that is read, in bytes: that of a bundle's configuration.
const LARGEST: u64 = 32 << 20;

/// The bytes of a file.
pub(crate) fn read(path: impl AsRef<Path>) -> Result<Vec<u8>, Error> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|error| failed(path, &error))?;
    read_from(file, path)
}

/// The bytes of a file, or of standard input for `-`.
pub(crate) fn read_or_stdin(name: &OsStr) -> Result<Vec<u8>, Error> {
    if name == "-" { read_from(stdin(), Path::new("standard input")) } else { read(name) }
}

fn read_from(source: impl Read, path: &Path) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    source.take(LARGEST + 1).read_to_end(&mut text).map_err(|error| failed(path, &error))?;
    if text.len() as u64 > LARGEST {
        let message = format!("{} is larger than {} MiB", path.display(), LARGEST >> 20);
        return Err(Error::new(ErrorKind::Input, message).path(path));
    }
    Ok(text)
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    let message = format!("cannot read {}", path.display());
    Error::io(message, error).kind_is(ErrorKind::Input).path(path)
}
