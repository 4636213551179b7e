//! The system call instruction, the numbers of the calls, and what a failed one returns.
//!
//! One table holds the numbers for x86_64 and for the architectures with the kernel's generic
//! table (aarch64, riscv64); a test compares it with the libc crate's constants.

use core::arch::asm;

/// Defines [`Nr`] from the table below: variant, name, number on x86_64, generic number.
macro_rules! numbers {
    ($($variant:ident $name:literal $x86_64:literal $generic:literal)*) => {
        /// A system call that keel makes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u16)]
        #[allow(missing_docs)] // the name says it
        pub enum Nr { $($variant),* }

        impl Nr {
            /// Every call of the table, in its order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The call's name as in its manual page.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The number on the architecture this is compiled for.
            pub const fn number(self) -> usize {
                let (x86_64, generic) = match self {
                    $(Self::$variant => ($x86_64, $generic)),*
                };
                if cfg!(target_arch = "x86_64") { x86_64 } else { generic }
            }
        }
    };
}

numbers! {
    Accept4         "accept4"            288 242
    Bind            "bind"                49 200
    Bpf             "bpf"                321 280
    Capget          "capget"             125  90
    Capset          "capset"             126  91
    Chroot          "chroot"             161  51
    Clone           "clone"               56 220
    Clone3          "clone3"             435 435
    Close           "close"                3  57
    CloseRange      "close_range"        436 436
    Dup3            "dup3"               292  24
    Execve          "execve"              59 221
    Execveat        "execveat"           322 281
    ExitGroup       "exit_group"         231  94
    Faccessat2      "faccessat2"         439 439
    Fchdir          "fchdir"              81  50
    Fchmod          "fchmod"              91  52
    Fchown          "fchown"              93  55
    Fchownat        "fchownat"           260  54
    Fcntl           "fcntl"               72  25
    Fsconfig        "fsconfig"           431 431
    Fsetxattr       "fsetxattr"          190   7
    Fsmount         "fsmount"            432 432
    Fsopen          "fsopen"             430 430
    Fspick          "fspick"             433 433
    Fstatfs         "fstatfs"            138  44
    Getcwd          "getcwd"              79  17
    Getdents64      "getdents64"         217  61
    Getpid          "getpid"              39 172
    Ioctl           "ioctl"               16  29
    IoprioSet       "ioprio_set"         251  30
    Keyctl          "keyctl"             250 219
    LandlockAddRule "landlock_add_rule"  445 445
    LandlockCreateRuleset "landlock_create_ruleset" 444 444
    LandlockRestrictSelf "landlock_restrict_self" 446 446
    Lseek           "lseek"                8  62
    MemfdCreate     "memfd_create"       319 279
    Mkdirat         "mkdirat"            258  34
    Mknodat         "mknodat"            259  33
    Mmap            "mmap"                 9 222
    Mount           "mount"              165  40
    MountSetattr    "mount_setattr"      442 442
    MoveMount       "move_mount"         429 429
    Munmap          "munmap"              11 215
    OpenTree        "open_tree"          428 428
    Openat2         "openat2"            437 437
    Personality     "personality"        135  92
    PidfdOpen       "pidfd_open"         434 434
    PidfdGetfd      "pidfd_getfd"        438 438
    PidfdSendSignal "pidfd_send_signal"  424 424
    PivotRoot       "pivot_root"         155  41
    Ppoll           "ppoll"              271  73
    Prctl           "prctl"              157 167
    Prlimit64       "prlimit64"          302 261
    Read            "read"                 0  63
    Readlinkat      "readlinkat"         267  78
    Recvmsg         "recvmsg"             47 212
    Renameat2       "renameat2"          316 276
    RtSigaction     "rt_sigaction"        13 134
    RtSigprocmask   "rt_sigprocmask"      14 135
    SchedSetaffinity "sched_setaffinity" 203 122
    SchedSetattr    "sched_setattr"      314 274
    Seccomp         "seccomp"            317 277
    Sendfile        "sendfile"            40  71
    Sendmsg         "sendmsg"             46 211
    SetMempolicy    "set_mempolicy"      238 237
    Setdomainname   "setdomainname"      171 162
    Setgroups       "setgroups"          116 159
    Sethostname     "sethostname"        170 161
    Setns           "setns"              308 268
    Setresgid       "setresgid"          119 149
    Setresuid       "setresuid"          117 147
    Setsid          "setsid"             112 157
    Setsockopt      "setsockopt"          54 208
    Socket          "socket"              41 198
    Statx           "statx"              332 291
    Symlinkat       "symlinkat"          266  36
    Umask           "umask"               95 166
    Umount2         "umount2"            166  39
    Unlinkat        "unlinkat"           263  35
    Unshare         "unshare"            272  97
    Utimensat       "utimensat"          280  88
    Waitid          "waitid"             247  95
    Write           "write"                1  64
}

impl Nr {
    /// The call with this position in the table, as [`Failure`]s travel from init to the runtime.
    pub fn from_index(index: u16) -> Option<Self> {
        Self::ALL.get(usize::from(index)).copied()
    }
}

/// An error number of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

#[allow(missing_docs)] // errno(3)
impl Errno {
    pub const EPERM: Self = Self(1);
    pub const ENOENT: Self = Self(2);
    pub const EINTR: Self = Self(4);
    pub const EIO: Self = Self(5);
    pub const E2BIG: Self = Self(7);
    pub const EBADF: Self = Self(9);
    pub const ECHILD: Self = Self(10);
    pub const EAGAIN: Self = Self(11);
    pub const EACCES: Self = Self(13);
    pub const EBUSY: Self = Self(16);
    pub const EEXIST: Self = Self(17);
    pub const EXDEV: Self = Self(18);
    pub const ENODEV: Self = Self(19);
    pub const ENOTDIR: Self = Self(20);
    pub const EISDIR: Self = Self(21);
    pub const EINVAL: Self = Self(22);
    pub const ETXTBSY: Self = Self(26);
    pub const EROFS: Self = Self(30);
    pub const ENAMETOOLONG: Self = Self(36);
    pub const ENOSYS: Self = Self(38);
    pub const ELOOP: Self = Self(40);
    pub const EPROTO: Self = Self(71);
    pub const EOPNOTSUPP: Self = Self(95);
    pub const ETIMEDOUT: Self = Self(110);
}

/// A system call that failed: which, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The call.
    pub call: Nr,
    /// Its errno.
    pub errno: Errno,
}

impl Failure {
    /// Whether it failed with this errno.
    pub fn is(&self, errno: Errno) -> bool {
        self.errno == errno
    }
}

/// The result of a system call.
pub type Result<T> = core::result::Result<T, Failure>;

/// Makes a system call and turns the kernel's return value into a [`Result`].
///
/// # Safety
///
/// The arguments must be what the call expects: pointers to live memory of the right size.
pub unsafe fn call(nr: Nr, args: [usize; 6]) -> Result<usize> {
    // SAFETY: the caller's promise.
    let returned = unsafe { instruction(nr.number(), args) };
    // The kernel returns -4095..=-1 for errors (syscall(2)).
    if (-4095..0).contains(&returned) {
        return Err(Failure { call: nr, errno: Errno(-returned as i32) });
    }
    Ok(returned as usize)
}

/// The address of an object, as a system call takes it.
pub(super) fn address<T: ?Sized>(object: *const T) -> usize {
    object.expose_provenance()
}

#[cfg(target_arch = "x86_64")]
unsafe fn instruction(number: usize, args: [usize; 6]) -> isize {
    let mut returned = number as isize;
    // SAFETY: the kernel clobbers rcx and r11 and preserves all else (syscall(2)).
    unsafe {
        asm!("syscall", inlateout("rax") returned,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    returned
}

#[cfg(target_arch = "aarch64")]
unsafe fn instruction(number: usize, args: [usize; 6]) -> isize {
    let mut returned = args[0] as isize;
    // SAFETY: the kernel preserves all registers but x0 (syscall(2)).
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") returned, in("x1") args[1],
            in("x2") args[2], in("x3") args[3], in("x4") args[4], in("x5") args[5],
            options(nostack));
    }
    returned
}

#[cfg(target_arch = "riscv64")]
unsafe fn instruction(number: usize, args: [usize; 6]) -> isize {
    let mut returned = args[0] as isize;
    // SAFETY: the kernel preserves all registers but a0 (syscall(2)).
    unsafe {
        asm!("ecall", in("a7") number, inlateout("a0") returned, in("a1") args[1],
            in("a2") args[2], in("a3") args[3], in("a4") args[4], in("a5") args[5],
            options(nostack));
    }
    returned
}
