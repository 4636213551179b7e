//! Security modules of the kernel that give labels to processes and files, and what this process
//! is under.
//!
//! Without a module its label would be a write into the void, or into another module's attribute:
//! [`crate::features`] refuses a configuration that asks for it.

use std::fs;

use libcontainer_init::sys::path::{self, FileSystem, O_DIRECTORY, O_PATH, Resolve};

/// What this machine has, and what applies to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SecurityModules {
    /// AppArmor is there.
    pub apparmor: bool,
    /// This process is under a profile of AppArmor that restricts it, so that with
    /// `no_new_privs` it cannot change to another one.
    pub confined: bool,
    /// SELinux is there, and has a policy: before that the kernel takes any label for its own.
    pub selinux: bool,
    /// PR_SET_NO_NEW_PRIVS of this process, which every process below inherits.
    pub no_new_privileges: bool,
}

impl SecurityModules {
    /// Looks at the attributes of this thread (proc_pid_attr(5)) and at selinuxfs.
    pub(super) fn probe() -> Self {
        let apparmor = attribute("apparmor/current");
        Self {
            confined: apparmor.as_deref().is_some_and(restricts),
            apparmor: apparmor.is_some(),
            selinux: selinuxfs() && attribute("current").as_deref().is_some_and(is_context),
            // A kernel that does not tell has none.
            no_new_privileges: nix::sys::prctl::get_no_new_privs().unwrap_or(false),
        }
    }
}

/// An attribute of this thread; nothing where the module that has it is not there or not active.
fn attribute(name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/thread-self/attr/{name}")).ok()?;
    Some(text.trim_end_matches(['\n', '\0']).to_owned())
}

/// Whether a label of AppArmor restricts: `unconfined`, and profiles whose mode is that, do not. The
/// name of a profile may begin with the same word.
fn restricts(label: &str) -> bool {
    label != "unconfined" && !label.ends_with(" (unconfined)")
}

/// Whether a text has the form of a context of SELinux. Without a policy it is `kernel`.
pub(crate) fn is_context(label: &str) -> bool {
    !label.contains(|c: char| c.is_whitespace() || c.is_control())
        && label.matches(':').count() >= 2
}

fn selinuxfs() -> bool {
    const MOUNT_POINT: &std::ffi::CStr = c"/sys/fs/selinux";
    let flags = O_PATH | O_DIRECTORY;
    path::open(path::AT_FDCWD, MOUNT_POINT, flags, 0, Resolve::Anywhere)
        .and_then(|dir| path::file_system(dir.raw()))
        .is_ok_and(|kind| kind == FileSystem::SELINUX)
}

#[cfg(test)]
mod tests {
    use super::{is_context, restricts};

    #[test]
    fn profiles_restrict_unless_their_mode_is_unconfined() {
        for (label, expected) in [
            ("unconfined", false),
            ("crun (unconfined)", false),
            ("unconfined_service (enforce)", true),
            ("docker-default (enforce)", true),
            ("tool (complain)", true),
            ("docker-default//&crun (mixed)", true),
        ] {
            assert_eq!(restricts(label), expected, "{label}");
        }
    }

    #[test]
    fn contexts_have_a_user_a_role_and_a_type() {
        for (label, expected) in [
            ("system_u:system_r:container_t:s0:c1,c2", true),
            ("system_u:object_r:file_t", true),
            ("kernel", false),
            ("unconfined", false),
            ("docker-default (enforce)", false),
            ("a:b c:d:e", false),
        ] {
            assert_eq!(is_context(label), expected, "{label}");
        }
    }
}
