//! Where the state of containers is kept.
//!
//! The rule is runc's, so that engines which set no `--root` find what they made: `/run/keel` for
//! root, `$XDG_RUNTIME_DIR/keel` for everybody else, root of a user namespace included. The
//! commands ask here; only those that make a container may [`StateRoot::prepare`] it.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use libcontainer::{CgroupManager, Error};
use nix::unistd::Uid;

use crate::args::globals::Globals;

/// Where the system's systemd listens.
const SYSTEMD: &str = "/run/systemd/private";

/// A state root.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StateRoot {
    /// The directory, absolute.
    pub(crate) path: PathBuf,
    /// Whether it lies in `$XDG_RUNTIME_DIR`.
    in_runtime_dir: bool,
}

/// What about the caller decides the default.
struct Caller {
    root: bool,
    runtime_dir: Option<OsString>,
    /// Asked only where it matters: it costs a file.
    in_user_namespace: fn() -> bool,
    user: fn() -> Option<OsString>,
}

impl StateRoot {
    /// The state root of this call.
    pub(crate) fn of(globals: &Globals) -> Result<Self, Error> {
        if let Some(given) = &globals.root {
            let path = std::path::absolute(given)
                .map_err(|error| Error::io(format!("cannot find {}", given.display()), &error))?;
            return Ok(Self { path, in_runtime_dir: false });
        }
        Ok(default(&Caller {
            root: Uid::effective().is_root(),
            runtime_dir: std::env::var_os("XDG_RUNTIME_DIR"),
            in_user_namespace,
            user: || std::env::var_os("USER"),
        }))
    }

    /// Make the root if it lies in `$XDG_RUNTIME_DIR`, with the sticky bit that keeps clean-up
    /// programs away from it (XDG Base Directory Specification).
    pub(crate) fn prepare(&self) -> Result<(), Error> {
        if !self.in_runtime_dir {
            return Ok(());
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .and_then(|()| fs::set_permissions(&self.path, Permissions::from_mode(0o1700)))
            .map_err(|error| {
                let path = self.path.display();
                Error::io(format!("cannot make {path} for this user's containers"), &error)
                    .path(&self.path)
            })
    }
}

/// The addresses of the bus of the user's systemd, for a caller that is rootless: the system's
/// would make nothing for it.
pub(crate) fn user_bus(globals: &Globals) -> Option<String> {
    let of_a_user =
        || !Uid::effective().is_root() || (in_user_namespace() && !systemd_is_own(SYSTEMD));
    if globals.cgroup_manager != CgroupManager::Systemd
        || !globals.rootless.unwrap_or_else(of_a_user)
    {
        return None;
    }
    let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let named = text("DBUS_SESSION_BUS_ADDRESS");
    let beside = text("XDG_RUNTIME_DIR")
        .map(|dir| format!("unix:path={dir}/bus;unix:path={dir}/systemd/private"));
    let addresses: Vec<String> = named.into_iter().chain(beside).collect();
    Some(addresses.join(";"))
}

/// Whether root of this user namespace runs the system's systemd, as in a container that boots: one
/// of the host belongs to nobody here.
fn systemd_is_own(socket: &str) -> bool {
    fs::symlink_metadata(socket).is_ok_and(|socket| socket.uid() == 0)
}

/// The default for this caller, whatever `--rootless` says: what was made with it is found without.
fn default(caller: &Caller) -> StateRoot {
    // Root of a user namespace whose $USER is "root" came by sudo or a login, and expects the place
    // of the real root.
    let own = |dir: &OsString| {
        !dir.is_empty()
            && (!caller.root
                || ((caller.in_user_namespace)() && (caller.user)().is_none_or(|u| u != "root")))
    };
    match caller.runtime_dir.as_ref().filter(|dir| own(dir)) {
        Some(dir) => StateRoot { path: Path::new(dir).join("keel"), in_runtime_dir: true },
        None => StateRoot { path: PathBuf::from("/run/keel"), in_runtime_dir: false },
    }
}

/// Whether this process's user namespace is not the initial one: that one maps all ids to
/// themselves. Without user namespaces in the kernel the file is missing.
fn in_user_namespace() -> bool {
    fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| !map.split_whitespace().eq(["0", "0", "4294967295"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(root: bool, dir: Option<&str>, userns: bool, user: &str) -> PathBuf {
        let caller = Caller {
            root,
            runtime_dir: dir.map(OsString::from),
            in_user_namespace: if userns { || true } else { || false },
            user: match user {
                "" => || None,
                "root" => || Some("root".into()),
                _ => || Some("ann".into()),
            },
        };
        default(&caller).path
    }

    #[test]
    fn root_keeps_its_state_in_run_whatever_its_runtime_directory() {
        let run = Path::new("/run/keel");
        assert_eq!(path(true, Some("/run/user/0"), false, "root"), run);
        assert_eq!(path(true, None, false, ""), run);
        assert_eq!(path(true, Some("/run/user/0"), true, "root"), run);
    }

    #[test]
    fn a_user_and_root_of_a_user_namespace_keep_theirs_in_the_runtime_directory() {
        let own = Path::new("/run/user/7/keel");
        assert_eq!(path(false, Some("/run/user/7"), false, "ann"), own);
        assert_eq!(path(true, Some("/run/user/7"), true, "ann"), own);
        assert_eq!(path(true, Some("/run/user/7"), true, ""), own);
    }

    #[test]
    fn without_a_runtime_directory_there_is_only_one_place() {
        for dir in [None, Some("")] {
            assert_eq!(path(false, dir, false, "ann"), Path::new("/run/keel"));
        }
    }

    #[test]
    fn a_systemd_is_the_roots_that_owns_its_socket() {
        let dir = std::env::temp_dir().join(format!("keel-socket-{}", std::process::id()));
        assert!(!systemd_is_own(dir.to_str().unwrap()));
        fs::create_dir(&dir).unwrap();
        assert_eq!(systemd_is_own(dir.to_str().unwrap()), Uid::effective().is_root());
        fs::remove_dir(dir).unwrap();
    }

    #[test]
    fn a_prepared_runtime_directory_is_private_and_sticky() {
        let dir = std::env::temp_dir().join(format!("keel-root-{}", std::process::id()));
        let root = StateRoot { path: dir.join("keel"), in_runtime_dir: true };
        for _ in 0..2 {
            root.prepare().unwrap();
            let mode = fs::metadata(&root.path).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o1700);
        }
        fs::remove_dir_all(dir).unwrap();
    }
}
