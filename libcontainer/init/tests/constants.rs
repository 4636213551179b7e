//! Init has no dependencies, so its numbers of system calls and flags are its own. Here they are
//! compared with the libc crate's.

// libc's constants have many types, and are compared as the widest.
#![allow(clippy::cast_lossless)]

use libcontainer_init::sys::{self, Nr, file, memory_policy, mount, namespace, path, scheduler};

/// Compares a number of ours with libc's, whatever its type there.
macro_rules! same {
    ($($ours:expr => $libc:ident),* $(,)?) => {
        $( assert_eq!(i128::from($ours), libc::$libc as i128, stringify!($libc)); )*
    };
}

#[test]
fn system_calls_have_the_kernels_numbers() {
    for nr in Nr::ALL {
        let expected = match nr.name() {
            "accept4" => libc::SYS_accept4,
            "bind" => libc::SYS_bind,
            "bpf" => libc::SYS_bpf,
            "capget" => libc::SYS_capget,
            "capset" => libc::SYS_capset,
            "chroot" => libc::SYS_chroot,
            "clone" => libc::SYS_clone,
            "clone3" => libc::SYS_clone3,
            "close" => libc::SYS_close,
            "close_range" => libc::SYS_close_range,
            "dup3" => libc::SYS_dup3,
            "execve" => libc::SYS_execve,
            "execveat" => libc::SYS_execveat,
            "exit_group" => libc::SYS_exit_group,
            "faccessat2" => libc::SYS_faccessat2,
            "fchdir" => libc::SYS_fchdir,
            "fchmod" => libc::SYS_fchmod,
            "fchown" => libc::SYS_fchown,
            "fchownat" => libc::SYS_fchownat,
            "fcntl" => libc::SYS_fcntl,
            "fsconfig" => libc::SYS_fsconfig,
            "fsetxattr" => libc::SYS_fsetxattr,
            "fsmount" => libc::SYS_fsmount,
            "fspick" => libc::SYS_fspick,
            "fsopen" => libc::SYS_fsopen,
            "fstatfs" => libc::SYS_fstatfs,
            "getcwd" => libc::SYS_getcwd,
            "getdents64" => libc::SYS_getdents64,
            "getpid" => libc::SYS_getpid,
            "ioctl" => libc::SYS_ioctl,
            "ioprio_set" => libc::SYS_ioprio_set,
            "keyctl" => libc::SYS_keyctl,
            "landlock_add_rule" => libc::SYS_landlock_add_rule,
            "landlock_create_ruleset" => libc::SYS_landlock_create_ruleset,
            "landlock_restrict_self" => libc::SYS_landlock_restrict_self,
            "lseek" => libc::SYS_lseek,
            "memfd_create" => libc::SYS_memfd_create,
            "mkdirat" => libc::SYS_mkdirat,
            "mknodat" => libc::SYS_mknodat,
            "mmap" => libc::SYS_mmap,
            "mount" => libc::SYS_mount,
            "mount_setattr" => libc::SYS_mount_setattr,
            "move_mount" => libc::SYS_move_mount,
            "munmap" => libc::SYS_munmap,
            "open_tree" => libc::SYS_open_tree,
            "openat2" => libc::SYS_openat2,
            "personality" => libc::SYS_personality,
            "pidfd_open" => libc::SYS_pidfd_open,
            "pidfd_getfd" => libc::SYS_pidfd_getfd,
            "pidfd_send_signal" => libc::SYS_pidfd_send_signal,
            "pivot_root" => libc::SYS_pivot_root,
            "ppoll" => libc::SYS_ppoll,
            "prctl" => libc::SYS_prctl,
            "prlimit64" => libc::SYS_prlimit64,
            "read" => libc::SYS_read,
            "readlinkat" => libc::SYS_readlinkat,
            "recvmsg" => libc::SYS_recvmsg,
            "renameat2" => libc::SYS_renameat2,
            "rt_sigaction" => libc::SYS_rt_sigaction,
            "rt_sigprocmask" => libc::SYS_rt_sigprocmask,
            "sched_setaffinity" => libc::SYS_sched_setaffinity,
            "sched_setattr" => libc::SYS_sched_setattr,
            "seccomp" => libc::SYS_seccomp,
            "sendfile" => libc::SYS_sendfile,
            "sendmsg" => libc::SYS_sendmsg,
            "set_mempolicy" => libc::SYS_set_mempolicy,
            "setdomainname" => libc::SYS_setdomainname,
            "setgroups" => libc::SYS_setgroups,
            "sethostname" => libc::SYS_sethostname,
            "setns" => libc::SYS_setns,
            "setresgid" => libc::SYS_setresgid,
            "setresuid" => libc::SYS_setresuid,
            "setsid" => libc::SYS_setsid,
            "setsockopt" => libc::SYS_setsockopt,
            "socket" => libc::SYS_socket,
            "statx" => libc::SYS_statx,
            "symlinkat" => libc::SYS_symlinkat,
            "umask" => libc::SYS_umask,
            "umount2" => libc::SYS_umount2,
            "unlinkat" => libc::SYS_unlinkat,
            "unshare" => libc::SYS_unshare,
            "utimensat" => libc::SYS_utimensat,
            "waitid" => libc::SYS_waitid,
            "write" => libc::SYS_write,
            other => panic!("{other} is not compared with libc"),
        };
        assert_eq!(nr.number() as libc::c_long, expected, "{}", nr.name());
    }
}

#[test]
fn flags_have_the_kernels_values() {
    same! {
        path::O_PATH => O_PATH,
        path::O_CREAT => O_CREAT,
        path::O_EXCL => O_EXCL,
        path::O_NOCTTY => O_NOCTTY,
        path::O_NONBLOCK => O_NONBLOCK,
        path::O_DIRECTORY => O_DIRECTORY,
        path::O_NOFOLLOW => O_NOFOLLOW,
        path::O_RDWR => O_RDWR,
        file::O_CLOEXEC => O_CLOEXEC,
        file::AT_EMPTY_PATH => AT_EMPTY_PATH,
        file::AT_SYMLINK_NOFOLLOW => AT_SYMLINK_NOFOLLOW,
        path::AT_FDCWD => AT_FDCWD,
        mount::ATTR_RDONLY => MOUNT_ATTR_RDONLY,
        mount::ATTR_NOSUID => MOUNT_ATTR_NOSUID,
        mount::ATTR_NODEV => MOUNT_ATTR_NODEV,
        mount::ATTR_NOEXEC => MOUNT_ATTR_NOEXEC,
        mount::ATTR_ATIME => MOUNT_ATTR__ATIME,
        mount::ATTR_NOATIME => MOUNT_ATTR_NOATIME,
        mount::ATTR_STRICTATIME => MOUNT_ATTR_STRICTATIME,
        mount::ATTR_NODIRATIME => MOUNT_ATTR_NODIRATIME,
        mount::ATTR_NOSYMFOLLOW => MOUNT_ATTR_NOSYMFOLLOW,
        mount::SHARED => MS_SHARED,
        mount::SLAVE => MS_SLAVE,
        mount::PRIVATE => MS_PRIVATE,
        mount::UNBINDABLE => MS_UNBINDABLE,
        namespace::NEWNS => CLONE_NEWNS,
        namespace::NEWPID => CLONE_NEWPID,
        namespace::NEWNET => CLONE_NEWNET,
        namespace::NEWIPC => CLONE_NEWIPC,
        namespace::NEWUTS => CLONE_NEWUTS,
        namespace::NEWUSER => CLONE_NEWUSER,
        namespace::NEWCGROUP => CLONE_NEWCGROUP,
        namespace::NEWTIME => CLONE_NEWTIME,
        namespace::FS => CLONE_FS,
        scheduler::OTHER => SCHED_OTHER,
        scheduler::FIFO => SCHED_FIFO,
        scheduler::RR => SCHED_RR,
        scheduler::BATCH => SCHED_BATCH,
        scheduler::IDLE => SCHED_IDLE,
        scheduler::DEADLINE => SCHED_DEADLINE,
        scheduler::RESET_ON_FORK => SCHED_FLAG_RESET_ON_FORK,
        scheduler::RECLAIM => SCHED_FLAG_RECLAIM,
        scheduler::DL_OVERRUN => SCHED_FLAG_DL_OVERRUN,
        scheduler::KEEP_POLICY => SCHED_FLAG_KEEP_POLICY,
        scheduler::KEEP_PARAMS => SCHED_FLAG_KEEP_PARAMS,
        scheduler::UTIL_CLAMP_MIN => SCHED_FLAG_UTIL_CLAMP_MIN,
        scheduler::UTIL_CLAMP_MAX => SCHED_FLAG_UTIL_CLAMP_MAX,
        memory_policy::DEFAULT => MPOL_DEFAULT,
        memory_policy::PREFERRED => MPOL_PREFERRED,
        memory_policy::BIND => MPOL_BIND,
        memory_policy::INTERLEAVE => MPOL_INTERLEAVE,
        memory_policy::LOCAL => MPOL_LOCAL,
        memory_policy::NUMA_BALANCING => MPOL_F_NUMA_BALANCING,
        memory_policy::RELATIVE_NODES => MPOL_F_RELATIVE_NODES,
        memory_policy::STATIC_NODES => MPOL_F_STATIC_NODES,
        sys::Errno::ELOOP.0 => ELOOP,
        sys::Errno::ENOSYS.0 => ENOSYS,
        sys::Errno::EPROTO.0 => EPROTO,
        sys::Errno::ETIMEDOUT.0 => ETIMEDOUT,
        path::FileSystem::PROC.0 => PROC_SUPER_MAGIC,
        path::FileSystem::SYSFS.0 => SYSFS_MAGIC,
        path::FileSystem::SELINUX.0 => SELINUX_MAGIC,
    }
}

#[test]
fn requests_to_a_seccomp_listener_have_the_kernels_numbers() {
    use sys::seccomp_notify::{ADDFD, ID_VALID, RECV, SEND};
    for (ours, libcs) in [
        (RECV, libc::SECCOMP_IOCTL_NOTIF_RECV),
        (SEND, libc::SECCOMP_IOCTL_NOTIF_SEND),
        (ID_VALID, libc::SECCOMP_IOCTL_NOTIF_ID_VALID),
        (ADDFD, libc::SECCOMP_IOCTL_NOTIF_ADDFD),
    ] {
        assert_eq!(ours, libcs as usize);
    }
}
