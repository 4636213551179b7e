//! What a filter tells the kernel to do with a system call: SECCOMP_RET_*, seccomp(2).

use std::fmt;

use nix::errno::Errno;

/// What the kernel does with a call: a SECCOMP_RET_*, with its data in the lower 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Verdict(pub u32);

impl Verdict {
    /// A process of an architecture that the profile does not list, as with libseccomp.
    pub const KILL_THREAD: Self = Self(0);
    /// The whole process is killed.
    pub const KILL_PROCESS: Self = Self(0x8000_0000);
    /// The thread gets SIGSYS.
    pub const TRAP: Self = Self(0x0003_0000);
    /// The call fails, with an errno as its data.
    pub const ERRNO: Self = Self(0x0005_0000);
    /// A listener decides, seccomp_unotify(2).
    pub const NOTIFY: Self = Self(0x7fc0_0000);
    /// A tracer decides, ptrace(2), with a message for it as its data.
    pub const TRACE: Self = Self(0x7ff0_0000);
    /// The call is made, and logged.
    pub const LOG: Self = Self(0x7ffc_0000);
    /// The call is made.
    pub const ALLOW: Self = Self(0x7fff_0000);
    /// What a number beyond all that the profile names gets: a program then knows to do without.
    pub const UNKNOWN: Self = Self(Self::ERRNO.0 | ENOSYS);

    /// The kernel's order among verdicts of several filters, seccomp(2): the last wins.
    const ORDER: [Self; 8] = [
        Self::ALLOW,
        Self::LOG,
        Self::TRACE,
        Self::NOTIFY,
        Self::ERRNO,
        Self::TRAP,
        Self::KILL_THREAD,
        Self::KILL_PROCESS,
    ];

    /// The same with data: an errno, or the message for a tracer.
    pub(super) const fn with(self, data: u32) -> Self {
        Self(self.0 | data & RET_DATA)
    }

    /// The same without its data.
    #[must_use]
    pub const fn action(self) -> Self {
        Self(self.0 & !RET_DATA)
    }

    /// The errno, or the message for a tracer.
    #[must_use]
    pub const fn data(self) -> u32 {
        self.0 & RET_DATA
    }

    /// How strict it is among all.
    pub(super) fn strictness(self) -> usize {
        Self::ORDER.iter().position(|known| *known == self.action()).unwrap_or(Self::ORDER.len())
    }
}

const RET_DATA: u32 = 0xffff;
pub(super) const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
/// MAX_ERRNO of the kernel, which would cut a larger one.
pub(super) const MOST_ERRNO: u32 = 4095;
/// The largest message for a tracer.
pub(super) const MOST_MESSAGE: u32 = RET_DATA;

/// In words, such as `fail with EPERM`.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = self.data();
        match self.action() {
            Self::ALLOW => f.write_str("allow"),
            Self::LOG => f.write_str("allow and log"),
            Self::NOTIFY => f.write_str("ask the listener"),
            Self::TRACE => write!(f, "ask the tracer ({data})"),
            Self::TRAP => f.write_str("send SIGSYS"),
            Self::KILL_THREAD => f.write_str("kill the thread"),
            Self::KILL_PROCESS => f.write_str("kill the process"),
            Self::ERRNO => match Errno::from_raw(data as i32) {
                Errno::UnknownErrno => write!(f, "fail with errno {data}"),
                errno => write!(f, "fail with {errno:?}"),
            },
            _ => write!(f, "{:#010x}", self.0),
        }
    }
}

/// The names of actions in profiles and what they are.
pub const ACTIONS: [(&str, Verdict); 9] = [
    ("SCMP_ACT_KILL", Verdict::KILL_THREAD),
    ("SCMP_ACT_KILL_PROCESS", Verdict::KILL_PROCESS),
    ("SCMP_ACT_KILL_THREAD", Verdict::KILL_THREAD),
    ("SCMP_ACT_TRAP", Verdict::TRAP),
    ("SCMP_ACT_ERRNO", Verdict::ERRNO),
    ("SCMP_ACT_TRACE", Verdict::TRACE),
    ("SCMP_ACT_ALLOW", Verdict::ALLOW),
    ("SCMP_ACT_LOG", Verdict::LOG),
    ("SCMP_ACT_NOTIFY", Verdict::NOTIFY),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_read_as_sentences() {
        for (verdict, words) in [
            (Verdict::ALLOW, "allow"),
            (Verdict::UNKNOWN, "fail with ENOSYS"),
            (Verdict::ERRNO.with(3000), "fail with errno 3000"),
            (Verdict::TRACE.with(7), "ask the tracer (7)"),
            (Verdict(0x1234_5678), "0x12345678"),
        ] {
            assert_eq!(verdict.to_string(), words);
        }
        assert!(ACTIONS.iter().all(|(_, verdict)| !verdict.to_string().starts_with("0x")));
    }
}
