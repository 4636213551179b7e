//! What runtime and init say to each other on their SOCK_SEQPACKET socket, a few words a message.
//!
//! The runtime sends *go*, with the descriptors its column of the plan made; init sends *arrived*
//! when it has done all its steps up to a meeting point, *console* with the master of its terminal,
//! *notify socket* with that, or *fault*. The end of the stream says that the other side is gone.

use crate::sys::{Errno, Failure, Nr};

/// The longest message in bytes.
pub const MAX: usize = 16 + DETAIL;
/// The most bytes of detail beside a fault: the kernel's own words on a mount, a hook's last words.
pub const DETAIL: usize = 400;

const GO: u32 = 1;
const ARRIVED: u32 = 2;
const CONSOLE: u32 = 3;
const FAULT: u32 = 4;
const FORKED: u32 = 5;
const NOTIFY_SOCKET: u32 = 6;
const FILTER: u32 = 7;

/// A step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The step's index among init's steps.
    pub step: u32,
    /// Which condition failed.
    pub cause: Cause,
    /// Bytes of detail that are valid in `detail`.
    pub detail_len: usize,
    /// More about it, text.
    pub detail: [u8; DETAIL],
}

/// Why a step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A system call.
    Call(Failure),
    /// A condition that init itself checks.
    Refused(Refusal),
}

/// What init refuses although no system call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Refusal {
    /// The plan is not one, or names a descriptor that is not there.
    BadPlan = 1,
    /// The mount point lies on procfs or sysfs, where only known files may be covered.
    OnProc = 2,
    /// The directory is not the one the runtime opened.
    NotTheRootfs = 3,
    /// Another file is there already.
    OtherFile = 4,
    /// The terminal multiplexer in the container is not a real one.
    NotATerminal = 5,
    /// The working directory is outside the container.
    OutsideRoot = 6,
    /// A hook ended with the status in the detail.
    HookFailed = 7,
    /// A hook ran out of time.
    HookTimedOut = 8,
    /// No directory of PATH holds the program.
    NotInPath = 9,
    /// The program is a directory or another thing that cannot be executed.
    NotExecutable = 10,
    /// Symbolic links lead in a circle or are too many.
    TooManyLinks = 11,
    /// Directories are nested too deeply to be copied.
    TooDeep = 12,
}

impl Refusal {
    const ALL: [Self; 12] = [
        Self::BadPlan,
        Self::OnProc,
        Self::NotTheRootfs,
        Self::OtherFile,
        Self::NotATerminal,
        Self::OutsideRoot,
        Self::HookFailed,
        Self::HookTimedOut,
        Self::NotInPath,
        Self::NotExecutable,
        Self::TooManyLinks,
        Self::TooDeep,
    ];
}

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // lives on the stack for an instant
pub enum Message {
    /// Runtime to init: go on; the descriptors of the phase are beside it.
    Go,
    /// Init to runtime: everything before this meeting point is done.
    Arrived,
    /// Init to runtime: the master of the container's terminal is beside it.
    Console,
    /// Init to runtime: it goes on in a process of this pid; its pidfd is beside it.
    Forked(i32),
    /// Init to whoever starts the container: the socket of its notifications is beside it.
    NotifySocket,
    /// Init to whoever starts it: it is about to load a filter, whose listener will have this number
    /// in its table. It goes on when the first byte of the file beside it is no longer 0.
    Filter(i32),
    /// Init to runtime: a step failed, and init ends.
    Fault(Fault),
}

impl Message {
    /// Writes the message into a buffer and returns its bytes.
    pub fn encode<'a>(&self, buf: &'a mut [u8; MAX]) -> &'a [u8] {
        let mut words = [0u32; 4];
        let mut detail: &[u8] = &[];
        match self {
            Self::Go => words[0] = GO,
            Self::Arrived => words[0] = ARRIVED,
            Self::Console => words[0] = CONSOLE,
            Self::NotifySocket => words[0] = NOTIFY_SOCKET,
            Self::Forked(pid) => words = [FORKED, *pid as u32, 0, 0],
            Self::Filter(number) => words = [FILTER, *number as u32, 0, 0],
            Self::Fault(fault) => {
                let (call, code) = match fault.cause {
                    Cause::Call(failure) => (failure.call as u32 + 1, failure.errno.0 as u32),
                    Cause::Refused(refusal) => (0, refusal as u32),
                };
                words = [FAULT, fault.step, call, code];
                detail = fault.detail.get(..fault.detail_len).unwrap_or_default();
            }
        }
        for (place, word) in buf.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        let len = 16 + detail.len();
        if let Some(place) = buf.get_mut(16..len) {
            place.copy_from_slice(detail);
        }
        buf.get(..len).unwrap_or_default()
    }

    /// Reads a message; nothing when the bytes are none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |i: usize| -> Option<u32> {
            Some(u32::from_ne_bytes(bytes.get(i * 4..i * 4 + 4)?.try_into().ok()?))
        };
        match word(0)? {
            GO => Some(Self::Go),
            ARRIVED => Some(Self::Arrived),
            CONSOLE => Some(Self::Console),
            NOTIFY_SOCKET => Some(Self::NotifySocket),
            FORKED => word(1).map(|pid| Self::Forked(pid as i32)),
            FILTER => word(1).map(|number| Self::Filter(number as i32)),
            FAULT => {
                let (call, code) = (word(2)?, word(3)?);
                let cause = match call.checked_sub(1) {
                    Some(index) => Cause::Call(Failure {
                        call: Nr::from_index(index.try_into().ok()?)?,
                        errno: Errno(code as i32),
                    }),
                    None => Cause::Refused(
                        Refusal::ALL.into_iter().find(|refusal| *refusal as u32 == code)?,
                    ),
                };
                let text = bytes.get(16..)?;
                let mut detail = [0; DETAIL];
                let detail_len = text.len().min(DETAIL);
                detail.get_mut(..detail_len)?.copy_from_slice(text.get(..detail_len)?);
                Some(Self::Fault(Fault { step: word(1)?, cause, detail_len, detail }))
            }
            _ => None,
        }
    }
}

impl Fault {
    /// The detail as bytes of text.
    pub fn text(&self) -> &[u8] {
        self.detail.get(..self.detail_len).unwrap_or_default()
    }
}
