//! landlock(7): forbids this process, and all that it becomes, rights over files.

use super::Fd;
use super::raw::{self, Nr, Result, address};

/// The rights that a rule may allow for what is no directory, LANDLOCK_ACCESS_FS_EXECUTE, _WRITE_FILE,
/// _READ_FILE, _TRUNCATE and _IOCTL_DEV: with any other there the kernel refuses the rule.
pub const FILE_RIGHTS: u64 = 0b111 | 1 << 14 | 1 << 15;

/// The version of the ABI that the kernel has.
///
/// ENOSYS and EOPNOTSUPP say that it has no Landlock, or that it is not enabled.
pub fn version() -> Result<u32> {
    const CREATE_RULESET_VERSION: usize = 1;
    let args = [0, 0, CREATE_RULESET_VERSION, 0, 0, 0];
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::LandlockCreateRuleset, args) }.map(|version| version as u32)
}

/// landlock_create_ruleset(2): a set of rules in which these rights (LANDLOCK_ACCESS_FS_*) are
/// forbidden unless a rule allows them.
pub fn create_ruleset(handled: u64) -> Result<Fd> {
    /// struct landlock_ruleset_attr, of which later versions of the ABI add more at the end.
    #[repr(C)]
    struct Attributes {
        handled_access_fs: u64,
    }
    let attributes = Attributes { handled_access_fs: handled };
    let args = [address(&raw const attributes), size_of::<Attributes>(), 0, 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::LandlockCreateRuleset, args) }.map(Fd::new)
}

/// landlock_add_rule(2) of the type PATH_BENEATH: allows rights over what a descriptor names, and,
/// if that is a directory, over all that lies below.
pub fn allow_beneath(ruleset: i32, parent: i32, allowed: u64) -> Result<()> {
    const PATH_BENEATH: usize = 1;
    /// struct landlock_path_beneath_attr, 12 bytes everywhere.
    #[repr(C, packed)]
    struct Attributes {
        allowed_access: u64,
        parent_fd: i32,
    }
    let attributes = Attributes { allowed_access: allowed, parent_fd: parent };
    let args = [ruleset as usize, PATH_BENEATH, address(&raw const attributes), 0, 0, 0];
    // SAFETY: see the module `sys`.
    unsafe { raw::call(Nr::LandlockAddRule, args) }.map(drop)
}

/// landlock_restrict_self(2): the rules hold from now on. Needs no_new_privs, or CAP_SYS_ADMIN in
/// this user namespace.
pub fn restrict_self(ruleset: i32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { raw::call(Nr::LandlockRestrictSelf, [ruleset as usize, 0, 0, 0, 0, 0]) }.map(drop)
}
