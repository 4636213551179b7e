//! Who the process is: ids, capabilities, keyring, and the owner of its standard streams.

use core::ffi::CStr;

use super::{Done, Init};
use crate::sys::caps::{self, Sets};
use crate::sys::{Errno, file, ids, keyring, map, path, process};
use crate::wire::Numbers;

/// Ids 0 in a user namespace whose mappings are written. Groups stay: a namespace that denies
/// setgroups(2) would refuse, and [`Init::switch_groups`] sets them anyway.
pub(super) fn become_root() -> Done {
    ids::set_group(0)?;
    Ok(ids::set_user(0)?)
}

/// Leaves the caller's supplementary groups, which only who has CAP_SETGID can.
pub(super) fn drop_groups() -> Done {
    match ids::set_groups(&[]) {
        Err(failure) if failure.is(Errno::EPERM) => Ok(()),
        result => Ok(result?),
    }
}

/// The session keyring of a name, new if there is none, in place of the caller's. Who possesses it
/// may do all; its user may only find it by name, which is how a further process joins it.
pub(super) fn join_keyring(name: &CStr) -> Done {
    /// KEY_POS_ALL and KEY_USR_SEARCH, keyctl_setperm(3).
    const PERMISSIONS: u32 = 0x3f00_0000 | 0x0008_0000;
    let serial = match keyring::join_session(name) {
        // A kernel without keyrings has none to leak.
        Err(failure) if failure.is(Errno::ENOSYS) => return Ok(()),
        result => result?,
    };
    Ok(keyring::set_permissions(serial, PERMISSIONS)?)
}

/// Gives the standard streams to the container's user, so that it can reopen them by their names
/// below /dev. A device is left alone: the null device is the host's (CVE-2026-88265).
pub(super) fn own_stdio(uid: u32) -> Done {
    const CHAR_DEVICE: u32 = 0o020_000;
    /// Leave the group as it is, chown(2).
    const KEEP: u32 = u32::MAX;
    for fd in 0..3 {
        let status = match file::status(fd) {
            Err(failure) if failure.is(Errno::EBADF) => continue,
            result => result?,
        };
        if status.uid == uid || status.kind() == CHAR_DEVICE {
            continue;
        }
        match path::set_owner(fd, uid, KEEP) {
            // Not ours to give away: a file of another user, on a read-only file system, or of an
            // id outside the user namespace.
            Err(failure)
                if [Errno::EPERM, Errno::EINVAL, Errno::EROFS, Errno::EACCES]
                    .contains(&failure.errno) => {}
            result => result?,
        }
    }
    Ok(())
}

/// The permitted, effective, inheritable and ambient sets.
pub(super) fn set_capabilities(sets: Sets, ambient: u64) -> Done {
    // Ambient capabilities that init was started with go first; then the new ones can only be what
    // the configuration says.
    caps::clear_ambient()?;
    caps::set(&sets)?;
    caps::raise_ambient(ambient)?;
    // With other ids and capabilities a process is as dumpable as the sysctl fs.suid_dumpable says.
    Ok(process::set_dumpable(false)?)
}

/// Permitted capabilities survive; the step that follows reduces them to the configured.
pub(super) fn switch_user(uid: u32, gid: u32) -> Done {
    process::set_keep_capabilities(true)?;
    ids::set_group(gid)?;
    Ok(ids::set_user(uid)?)
}

impl Init {
    /// Supplementary groups in place of the caller's.
    pub(super) fn switch_groups(&self, groups: Numbers, deniable: bool) -> Done {
        if deniable && groups.count == 0 { drop_groups() } else { self.set_groups(groups) }
    }

    fn set_groups(&self, groups: Numbers) -> Done {
        /// As many as a page of u32 holds; more come from fresh memory.
        const FEW: usize = 64;
        let mut few = [0u32; FEW];
        if let Some(list) = few.get_mut(..groups.count as usize) {
            for (place, i) in list.iter_mut().zip(0..) {
                *place = self.number(groups, i)?;
            }
            return Ok(ids::set_groups(list)?);
        }
        let words = map::words((groups.count as usize).div_ceil(2))?;
        Ok(ids::set_groups(map::as_u32(words, groups.count as usize, |i| {
            self.number(groups, i as u32).unwrap_or(u32::MAX)
        }))?)
    }
}
