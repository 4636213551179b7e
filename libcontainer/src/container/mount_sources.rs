//! What init will mount, made ready on the host: copies of mounts, new file systems, other ids.
//!
//! Done before init needs it, by descriptor: nothing is attached anywhere, and what a failure leaves
//! goes with its descriptor.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use libcontainer_init::sys::{Failure, Fd, file, mount, path};
use libcontainer_init::wire::Slot;

use super::launch::Launch;
use super::{link, perform, user_namespace};
use crate::config::{IdSource, MountIds};
use crate::error::{Error, ErrorKind, Result, call};

/// A copy of a mount, or of a tree of mounts.
pub(super) fn copy(source: &Path, recursive: bool, follow: bool) -> Result<OwnedFd> {
    let name = perform::c_string(source)?;
    let tree = mount::clone_tree(path::AT_FDCWD, &name, recursive, follow);
    tree.map(OwnedFd::from).map_err(|failure| {
        call(format!("cannot open the mount source {}", source.display()), failure).path(source)
    })
}

/// A new file system; `data` holds `key=value` and flags.
pub(super) fn make(
    fstype: &str,
    source: &str,
    data: &[String],
    attributes: u32,
) -> Result<OwnedFd> {
    let what = || format!("cannot make a new {fstype}");
    let kind = perform::c_string(Path::new(fstype))?;
    let context = mount::open_context(&kind).map_err(|failure| call(what(), failure))?;
    let refused = |option: Option<&str>, failure: Failure| {
        let mut said =
            option.map(|option| format!("o {option}\n")).unwrap_or_default().into_bytes();
        said.extend(log(&context));
        call(what() + &link::kernel_words(&said), failure)
    };
    let source = format!("source={source}");
    for parameter in std::iter::once(&source).chain(data) {
        let (key, value) = match parameter.split_once('=') {
            Some((key, value)) => (key, Some(perform::c_string(Path::new(value))?)),
            None => (parameter.as_str(), None),
        };
        let key = perform::c_string(Path::new(key))?;
        mount::configure(context.raw(), &key, value.as_deref())
            .map_err(|failure| refused(Some(parameter), failure))?;
    }
    let made = mount::create(context.raw(), attributes);
    made.map(OwnedFd::from).map_err(|failure| refused(None, failure))
}

/// What the kernel has to say, the first message.
fn log(context: &Fd) -> Vec<u8> {
    let mut text = vec![0; 400];
    let len = file::read(context.raw(), &mut text).unwrap_or(0);
    text.truncate(len);
    text
}

impl Launch {
    /// Shows the files of a mount that is in a slot already with other ids.
    pub(super) fn map_ids(&mut self, ids: &MountIds, mount: Slot) -> Result<()> {
        // Many mounts have the same mappings: one namespace serves them all.
        if !self.id_sources.iter().any(|(known, _)| *known == ids.source) {
            let namespace = match &ids.source {
                IdSource::Mappings(mappings) => user_namespace::make(mappings)?,
                IdSource::Namespace(joined) => perform::open_namespace(joined)?,
            };
            self.id_sources.push((ids.source.clone(), namespace));
        }
        let namespace = self.id_sources.iter().find(|(known, _)| *known == ids.source);
        let mounted = self.slots.iter().find(|(slot, _)| *slot == mount);
        let (Some((_, namespace)), Some((_, mounted))) = (namespace, mounted) else {
            return Err(Error::new(ErrorKind::Config, "the plan maps the ids of no mount"));
        };
        mount::map_ids(mounted.as_raw_fd(), namespace.as_raw_fd(), ids.recursive)
            .map_err(|failure| not_mapped(ids, failure))
    }
}

/// Why the kernel refuses, mount_setattr(2): it has two numbers for many reasons.
fn not_mapped(ids: &MountIds, failure: Failure) -> Error {
    let below = if ids.recursive { ", or one mounted below," } else { "" };
    let why = match failure.errno.0 {
        libc::EINVAL => format!("the file system{below} does not allow it"),
        libc::EPERM => format!(
            "the mount{below} is id-mapped already, or the file system or the mappings belong to \
             another user namespace"
        ),
        _ => return call("cannot map the ids of the mount", failure),
    };
    call(format!("cannot map the ids of the mount ({why})"), failure)
}
