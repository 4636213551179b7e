//! Ids of an ordinary user for the user namespace of a container: who maps them, and which.
//!
//! The programs are looked for in `PATH`, as the library never looks at the environment. Called by the
//! commands that make a container, or explain how.

use std::env;
use std::path::PathBuf;

use libcontainer::{Bundle, IdMappers, SubordinateIds};
use nix::unistd::{AccessFlags, Gid, Uid, access};

/// newuidmap(1) and newgidmap(1), unless the caller is root, who can give itself any ids that there
/// are.
pub(crate) fn find() -> IdMappers {
    if Uid::effective().is_root() {
        return IdMappers::default();
    }
    IdMappers { newuidmap: program("newuidmap"), newgidmap: program("newgidmap") }
}

/// Fills in the mappings of an ordinary user's configuration that wants a user namespace and does not
/// say which, as crun does: the user is its root, and the user's subordinate ids are all others. Without
/// any, or without who maps them, there is root alone.
pub(crate) fn complete(bundle: &mut Bundle) {
    if Uid::effective().is_root() || !bundle.lacks_id_mappings() {
        return;
    }
    let owner = (Uid::effective().as_raw(), Gid::effective().as_raw());
    let ids = SubordinateIds::of(Uid::current().as_raw());
    let missing = match find() {
        IdMappers { newuidmap: None, .. } => "the program newuidmap",
        IdMappers { newgidmap: None, .. } => "the program newgidmap",
        _ if ids.users.is_empty() => "an entry for this user in /etc/subuid",
        _ if ids.groups.is_empty() => "an entry for this user in /etc/subgid",
        _ => return bundle.map_ids(owner, &ids.users, &ids.groups),
    };
    log::warn!("without {missing} the user namespace has no other user and group than root");
    bundle.map_ids(owner, &[], &[]);
}

/// The first file of that name in `PATH` that can be executed. A relative entry is left out: what lies
/// in the working directory is not for a runtime to execute.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(name))
        .find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
}
