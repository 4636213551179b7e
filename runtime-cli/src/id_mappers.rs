//! The programs that map ids for an ordinary user: looked for in `PATH`, as the library never looks at
//! the environment. Called by the commands that make a container.

use std::env;
use std::path::PathBuf;

use libcontainer::IdMappers;
use nix::unistd::{AccessFlags, Uid, access};

/// newuidmap(1) and newgidmap(1), unless the caller is root, who can give itself any ids that there
/// are.
pub(crate) fn find() -> IdMappers {
    if Uid::effective().is_root() {
        return IdMappers::default();
    }
    IdMappers { newuidmap: program("newuidmap"), newgidmap: program("newgidmap") }
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
