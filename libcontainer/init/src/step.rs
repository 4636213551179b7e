//! The steps that init performs, each one intent of the configuration.
//!
//! The library's `features/` decide what a step says; [`crate::perform`] does it, and decides
//! nothing. The order of the steps is the plan's, see `libcontainer::plan`. A step's fields are
//! numbers, strings of the plan's arena, and [`Slot`]s: descriptors that the runtime handed over or
//! that an earlier step opened.

use crate::wire::{Field, List, Numbers, Slot, Str, Words};

/// Defines [`Step`] with its bytes from the table below.
macro_rules! steps {
    ($( $(#[$doc:meta])* $name:ident { $( $(#[$field_doc:meta])* $field:ident: $kind:ty ),* $(,)? } )*) => {
        /// One step of init.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs)] // fields whose meaning their step's description tells
        pub enum Step {
            $( $(#[$doc])* $name { $( $(#[$field_doc])* $field: $kind ),* } ),*
        }

        /// The number of a step in the plan's bytes: its place in the table.
        #[derive(Clone, Copy)]
        #[repr(u32)]
        enum Kind { $($name),* }

        impl Step {
            /// The names of all steps, in the order of the table.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// The step's name.
            pub fn name(&self) -> &'static str {
                match self { $( Self::$name { .. } => stringify!($name) ),* }
            }

            /// The step as words of a plan.
            pub fn encode(&self) -> Words {
                let mut words = Words::default();
                match *self {
                    $( Self::$name { $($field),* } => {
                        words.put(Kind::$name as u32);
                        $( Field::put($field, &mut words); )*
                    } )*
                }
                words
            }

            /// The step that the words of a plan say; nothing when they say none.
            pub fn decode(words: Words) -> Option<Self> {
                let mut words = words.from_start();
                let kind = words.get()?;
                $( if kind == Kind::$name as u32 {
                    return Some(Self::$name { $( $field: Field::get(&mut words)? ),* });
                } )*
                None
            }
        }
    };
}

/// Flags of [`Step::Mount`], [`Step::Bind`] and [`Step::Remount`].
pub mod flag {
    /// The mount point must be a real directory and no link may lie on the way: procfs and sysfs,
    /// which the runtime and LSMs trust (CVE-2019-19921).
    pub const PLAIN: u32 = 1;
    /// The mount point may lie on procfs: the configuration names one of the known files.
    pub const ON_PROC: u32 = 2;
    /// The new file system takes the permissions of the directory it covers.
    pub const INHERIT_MODE: u32 = 4;
    /// The new tmpfs starts with what the directory it covers holds.
    pub const COPY_UP: u32 = 8;
    /// What is bound must be procfs itself: it covers /proc (CVE-2019-16884).
    pub const FROM_PROC: u32 = 16;
    /// If what is bound is a symbolic link, a link with its content is made in place of a mount; one
    /// that is there already must be the same.
    pub const COPY_LINK: u32 = 32;
    /// A symbolic link at the end of the mount point's path is covered itself.
    pub const ON_LINK: u32 = 64;
    /// The new file system is not attached: it is kept for a [`super::Step::Bind`].
    pub const DETACHED: u32 = 128;
    /// The file system counts changes of its inodes (SB_I_VERSION), or does not.
    pub const COUNT_CHANGES: u32 = 256;
    /// See [`COUNT_CHANGES`].
    pub const NO_COUNT: u32 = 512;
    /// The file system writes access times late, SB_LAZYTIME: to be kept when the former changes.
    pub const LAZYTIME: u32 = 1024;
}

steps! {
    /// Waits for the runtime's *go* and receives `count` descriptors into the slots from `first`.
    Await { first: Slot, count: u32 }
    /// Tells the runtime that all steps before this one are done.
    Arrive {}
    /// setns(2) into the namespace behind a descriptor, which must be of this kind. The caller's
    /// groups stay outside of a user namespace, if they can be dropped and are not to be kept: it may
    /// forbid that later.
    JoinNamespace { namespace: Slot, kind: u32, keep_groups: bool }
    /// unshare(2): new namespaces, made now because they must belong to the joined user namespace,
    /// or because the cgroup they root in was entered only now.
    Unshare { namespaces: u32 }
    /// Becomes the first process of the PID namespace joined or unshared before: forks a sibling,
    /// and ends; the sibling goes on with the plan.
    EnterPidNamespace {}
    /// Takes the ids 0 of a user namespace whose mappings are written.
    BecomeRoot {}
    /// PR_SET_DUMPABLE 0: processes of the container's user cannot look into init (CVE-2016-9962).
    Conceal {}
    /// setsid(2).
    NewSession {}
    /// sethostname(2).
    Hostname { name: Str }
    /// setdomainname(2).
    Domainname { name: Str }
    /// Sets `lo` of a new network namespace up.
    LoopbackUp {}
    /// Joins the session keyring of this name, and makes it if there is none; skipped on a kernel
    /// without keyrings.
    SessionKeyring { name: Str }
    /// Writes a file of the host's procfs, which no image can have replaced (CVE-2019-16884,
    /// CVE-2025-52881): a kernel parameter, or with `own` an attribute of this thread.
    WriteProc { procfs: Slot, own: bool, path: Str, value: Str }
    /// Closes a descriptor that nothing needs any more.
    Close { slot: Slot }
    /// Makes all mounts of the new namespace slaves: nothing mounted here reaches the host.
    SlaveMounts {}
    /// Attaches the rootfs, a copy of the tree the runtime opened, at its own path, and works below
    /// it from now on. `propagation` is the type the copy takes first, or 0.
    AttachRoot { tree: Slot, path: Str, propagation: u32 }
    /// Works below a directory without a mount of its own: there is no new mount namespace. Without
    /// a directory: below the root that came with a joined mount namespace.
    UseRoot { dir: Slot }
    /// Copies a tree of mounts of the host from inside: for a runtime that may not do so itself.
    /// Without `follow` a symbolic link at the end of the path is copied itself.
    OpenTree { path: Str, recursive: bool, follow: bool, into: Slot }
    /// Mounts a new file system. `data` holds `key=value` and flags; `keep` keeps the mount's
    /// descriptor. A value too long for fsconfig(2) is a directory, which is entered and given as `.`.
    Mount {
        /// Type of the file system.
        fstype: Str,
        /// What it calls its source.
        source: Str,
        /// Where, in the container.
        target: Str,
        /// Parameters of the file system.
        data: List,
        /// A label of SELinux for its root directory, if it takes none as a parameter.
        label: Str,
        /// Mount attributes.
        attributes: u32,
        /// Propagation types to take, in order.
        propagation: Numbers,
        /// See [`flag`].
        flags: u32,
        /// The descriptor on which a FUSE file system is served, or [`Slot::NONE`].
        server: Slot,
        /// A copied tree of the host that is attached in its place, read-only, where this process
        /// has no right to a new one.
        otherwise: Slot,
        /// Where to keep the mount's descriptor, or [`Slot::NONE`].
        keep: Slot,
    }
    /// Attaches a tree that is attached nowhere: copied from the host, or a new file system.
    Bind {
        /// The tree.
        tree: Slot,
        /// Where, in the container.
        target: Str,
        /// Attributes to set on the topmost mount.
        set: u32,
        /// Attributes to clear on it.
        clear: u32,
        /// Attributes to set on the whole tree.
        set_all: u32,
        /// Attributes to clear on the whole tree.
        clear_all: u32,
        /// Whether the copy becomes a slave first: nothing mounted in it reaches the host.
        slave: bool,
        /// Propagation types to take, in order.
        propagation: Numbers,
        /// See [`flag`].
        flags: u32,
        /// Where to keep the mount's descriptor, or [`Slot::NONE`].
        keep: Slot,
    }
    /// Changes the attributes of a mount that is there (option `remount`), and with `data` the
    /// parameters of its file system.
    Remount {
        /// The mount, in the container.
        target: Str,
        /// Parameters of the file system.
        data: List,
        /// Attributes to set on it.
        set: u32,
        /// Attributes to clear on it.
        clear: u32,
        /// Attributes to set on the whole tree.
        set_all: u32,
        /// Attributes to clear on the whole tree.
        clear_all: u32,
        /// Propagation types to take, in order.
        propagation: Numbers,
        /// See [`flag`].
        flags: u32,
    }
    /// Unmounts what lies on a path, in which no link may lie: nobody can lead it to another mount.
    Unmount { target: Str }
    /// Binds a datagram socket of this name, for everybody to send to, in the directory that an
    /// earlier step kept.
    NotifySocket { dir: Slot, name: Str, into: Slot }
    /// Hands that socket to whoever started the container.
    SendNotifySocket { socket: Slot }
    /// Makes a mount that an earlier step kept read-only, now that its files are made.
    MakeReadonly { mount: Slot }
    /// A symbolic link, made when nothing is there; `replace` removes what is there.
    /// With `only_if` the link is made only when that path exists.
    Link { content: Str, path: Str, only_if: Str, replace: bool }
    /// A device node or FIFO. Another file at the path is an error.
    Device { path: Str, mode: u32, major: u32, minor: u32, uid: u32, gid: u32 }
    /// Hides what is at a path, when something is: a directory under an empty read-only tmpfs, a
    /// file under the null device. The path counts from a mount that an earlier step kept, so that
    /// whoever moves its mount point cannot move it out of sight; otherwise from the root. With a
    /// label of SELinux, directories are covered by a tmpfs with that label.
    Mask { base: Slot, path: Str, null: Slot, label: Str }
    /// Makes what is at a path read-only, when something is. The path counts likewise.
    ReadonlyPath { base: Slot, path: Str }
    /// Makes the rootfs read-only.
    ReadonlyRoot {}
    /// Gives the rootfs its final propagation type.
    RootPropagation { propagation: u32, recursive: bool }
    /// pivot_root(2) into the rootfs, and detaches the old root.
    PivotRoot {}
    /// Without pivot_root: unmounts the host's procfs and sysfs, which a container's root could
    /// otherwise reach, and changes the root directory.
    MoveRoot {}
    /// chroot(2) into the rootfs.
    ChangeRoot {}
    /// Opens a terminal of the container's own devpts, sends its master to the runtime, binds it to
    /// /dev/console and makes it the standard streams.
    Console { rows: u32, columns: u32, uid: u32, bind: bool }
    /// Makes the terminal on the standard streams the controlling one of this session.
    ControlTerminal {}
    /// Gives the standard streams, if pipes or files, to the container's user.
    StdioOwner { uid: u32 }
    /// Runs a hook in the container's namespaces; `state` holds the state document, a zero timeout
    /// (seconds) is none. What it prints goes to `stdout` and `stderr`, or else into its failure.
    Hook { path: Str, args: List, env: List, timeout: u32, state: Slot, stdout: Slot, stderr: Slot }
    /// Enters cgroups: writes 0 to each `tasks` file, which takes no lock as the writing process is
    /// single-threaded and moves itself.
    EnterCgroups { first: Slot, count: u32 }
    /// sched_setaffinity(2): the CPUs of a mask, 32 of them in a word, the lowest first.
    CpuAffinity { mask: Numbers }
    /// set_mempolicy(2): a mode with its flags, and a mask of nodes as that of CPUs.
    MemoryPolicy { mode: u32, nodes: Numbers }
    /// Changes the working directory; makes it when missing. `early` is the attempt before the user
    /// is switched, which may fail for lack of permission.
    WorkingDir { path: Str, create: bool, early: bool }
    /// Looks HOME up in the container's /etc/passwd, for the environment at [`Step::Ready`].
    Home { uid: u32 }
    /// umask(2); the mask is ignored where it is to be that of the runtime's caller.
    Umask { mask: u32, callers: bool }
    /// Drops all but these capabilities from the bounding set.
    BoundingSet { keep: u64 }
    /// Switches groups, group and user, keeping permitted capabilities. With `deniable` the user
    /// namespace may forbid setgroups(2): then groups stay as they are if there are none to set. With
    /// `keep` they stay in any case.
    User { uid: u32, gid: u32, groups: Numbers, deniable: bool, keep: bool }
    /// The four remaining capability sets.
    Capabilities { effective: u64, permitted: u64, inheritable: u64, ambient: u64 }
    /// PR_SET_NO_NEW_PRIVS.
    NoNewPrivileges {}
    /// Finds the program that [`Step::Exec`] executes: the first of the candidates that exists.
    FindProgram { candidates: List }
    /// Everything is ready: waits on the listening socket until someone starts the container, and
    /// answers there from now on.
    AwaitStart { listener: Slot }
    /// setrlimit(2).
    Limit { resource: u32, soft: u64, hard: u64 }
    /// Makes the slots from `first` the descriptors 3, 4, … of the program.
    PlaceDescriptors { first: Slot, count: u32 }
    /// landlock(7): takes the `handled` rights over all files (LANDLOCK_ACCESS_FS_*) from this process
    /// and all that it becomes, but for those that stand in `allowed` at the place of one of the paths
    /// above a file. Of a path that is no directory, only the rights that other files have count.
    Landlock { handled: u32, paths: List, allowed: Numbers }
    /// seccomp(2): instructions of two words each, and flags. From here on every call is judged. With
    /// a listener, init waits until whoever starts it has taken that.
    Seccomp { program: Numbers, flags: u32, listener: bool }
    /// Everything is done, and there is no program to execute: init ends.
    Finish {}
    /// Makes arguments and environment ready, and says that only a fault can follow. HOME comes from
    /// [`Step::Home`], and `listen` adds LISTEN_PID.
    Ready { args: List, env: List, home: bool, listen: bool }
    /// execve(2) of the found program.
    Exec {}
}

#[cfg(test)]
mod tests {
    use super::Step;
    use crate::wire::{List, Numbers, Slot, Str, Words};

    #[test]
    fn the_largest_step_survives_its_bytes() {
        let step = Step::Mount {
            fstype: Str { at: 1, len: 2 },
            source: Str { at: 3, len: 4 },
            target: Str { at: 5, len: 6 },
            data: List { at: 8, count: 9 },
            label: Str { at: 10, len: 11 },
            attributes: 12,
            propagation: Numbers { at: 16, count: 17 },
            flags: 18,
            server: Slot(15),
            otherwise: Slot(19),
            keep: Slot::NONE,
        };
        assert_eq!(Step::decode(step.encode()), Some(step));
        let step = Step::Capabilities {
            effective: u64::MAX - 1,
            permitted: 1 << 40,
            inheritable: 0,
            ambient: 3,
        };
        assert_eq!(Step::decode(step.encode()), Some(step));
    }

    #[test]
    fn words_that_are_no_step_are_refused() {
        let mut words = Words::default();
        words.put(u32::MAX);
        assert_eq!(Step::decode(words), None);
    }
}
