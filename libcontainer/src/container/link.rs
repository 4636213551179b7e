//! The runtime's end of the socket to init: what init says, and what a fault of it means.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use libcontainer_init::message::{Cause, Fault, MAX, Message, Refusal};
use libcontainer_init::step::Step;
use libcontainer_init::sys::{Failure, Fd, Nr, pidfd, socket};

use crate::error::{Error, ErrorKind, Result, call, errno_text};
use crate::plan::{Plan, mount_words};
use crate::steps::{Action, Entry};

/// What came from init.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // lives on the stack for an instant
pub(super) enum Said {
    /// A message with the descriptor beside it.
    Message(Message, Option<OwnedFd>),
    /// Nothing more: the other end is closed.
    End,
}

/// The runtime's end.
#[derive(Debug)]
pub(super) struct Link {
    socket: OwnedFd,
}

impl Link {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Says *go*, with descriptors: as many messages as their number takes.
    pub(super) fn go(&self, descriptors: &[i32]) -> Result<()> {
        let mut portions = descriptors.chunks(socket::MAX_DESCRIPTORS);
        let first = portions.next().unwrap_or_default();
        for portion in std::iter::once(first).chain(portions) {
            let mut buf = [0; MAX];
            let bytes = Message::Go.encode(&mut buf);
            socket::send(self.socket.as_raw_fd(), bytes, portion)
                .map_err(|failure| call("cannot talk to the container's init", failure))?;
        }
        Ok(())
    }

    /// Waits for the next message.
    pub(super) fn listen(&self) -> Result<Said> {
        let mut buf = [0; MAX];
        let mut slots: [Option<Fd>; 1] = [None];
        let mut receive = || socket::receive(self.socket.as_raw_fd(), &mut buf, &mut slots);
        let received = match receive() {
            // Init died and left messages unread. The kernel says so once, and before it delivers
            // what init had said; its last word is a fault.
            Err(failure) if failure.errno.0 == libc::ECONNRESET => receive(),
            result => result,
        };
        let received =
            received.map_err(|failure| call("cannot listen to the container's init", failure))?;
        if received.len == 0 {
            return Ok(Said::End);
        }
        let message = Message::decode(&buf[..received.len]).ok_or_else(|| {
            Error::new(ErrorKind::Init, "the container's init said what cannot be understood")
        })?;
        let [descriptor] = slots;
        Ok(Said::Message(message, descriptor.map(OwnedFd::from)))
    }
}

/// The error of a step that init reported as failed.
pub(super) fn fault(plan: &Plan, fault: &Fault) -> Error {
    let Some((phase, number, entry)) = plan.of_init(fault.step as usize) else {
        return Error::new(ErrorKind::Init, "the container's init failed outside its plan");
    };
    let error = match fault.cause {
        Cause::Call(failure) => {
            let sentence = match (program_sentence(plan, entry, failure.errno.0), &entry.action) {
                (Some(sentence), _) => Error::new(ErrorKind::Init, sentence),
                (None, Action::Init(Step::Landlock { .. })) => landlock(fault.text(), failure),
                (None, _) => {
                    let what = plan.describe(entry);
                    let detail = detail(entry, &what, failure, fault.text());
                    call(format!("cannot {what}{detail}"), failure)
                }
            };
            sentence.syscall(failure.call.name())
        }
        Cause::Refused(refusal) => refused(plan, entry, refusal, fault.text()),
    };
    let kind = if matches!(entry.action, Action::Init(Step::Hook { .. })) {
        ErrorKind::Hook
    } else {
        ErrorKind::Init
    };
    error.kind_is(kind).at(phase, number, &entry.pointer)
}

/// A program that cannot be found or executed, in the words that engines look for.
fn program_sentence(plan: &Plan, entry: &Entry, errno: i32) -> Option<String> {
    let program = plan.config.process.args.first()?;
    let text = errno_text(nix::errno::Errno::from_raw(errno));
    match entry.action {
        Action::Init(Step::FindProgram { .. }) if errno == libc::ENOENT => {
            Some(format!("exec: \"{program}\": stat {program}: {text}"))
        }
        Action::Init(Step::FindProgram { .. }) => Some(format!("exec: \"{program}\": {text}")),
        Action::Init(Step::Exec {}) => {
            let landlock = errno == libc::EACCES && plan.config.landlock.is_some();
            let hint = if landlock { LANDLOCK_HINT } else { "" };
            Some(format!("exec {program}: {text}{hint}"))
        }
        _ => None,
    }
}

/// What a program needs where there are rules of Landlock; its interpreter needs the same.
const LANDLOCK_HINT: &str = " (do the rules of Landlock allow execute and read_file for it?)";

/// Which of its rules Landlock does not take: the detail is the path.
fn landlock(detail: &[u8], failure: Failure) -> Error {
    let path = String::from_utf8_lossy(detail);
    match path.as_ref() {
        "" => call("cannot restrict files by Landlock", failure),
        path => {
            call(format!("cannot allow anything beneath {path} by Landlock"), failure).path(path)
        }
    }
}

fn refused(plan: &Plan, entry: &Entry, refusal: Refusal, detail: &[u8]) -> Error {
    let what = plan.describe(entry);
    let program = plan.config.process.args.first().map_or("", String::as_str);
    let why = match refusal {
        Refusal::NotInPath => {
            let sentence = format!("exec: \"{program}\": executable file not found in $PATH");
            return Error::new(ErrorKind::Init, sentence);
        }
        Refusal::NotExecutable => {
            let sentence = format!("exec: \"{program}\": permission denied: not a regular file");
            return Error::new(ErrorKind::Init, sentence);
        }
        Refusal::HookFailed => return hook_failed(&what, detail),
        Refusal::HookTimedOut => "it ran out of time",
        Refusal::BadPlan => "the plan names what is not there",
        Refusal::OnProc => "procfs cannot be covered there, nor /proc by anything else",
        Refusal::NotTheRootfs => "another directory is there now",
        Refusal::OtherFile => "another file is there",
        Refusal::NotATerminal => "/dev/pts/ptmx is no terminal multiplexer",
        Refusal::OutsideRoot => "it is outside of the container",
        Refusal::TooManyLinks => "too many symbolic links",
        Refusal::TooDeep => "directories are nested too deeply",
    };
    Error::new(ErrorKind::Init, format!("cannot {what}: {why}"))
}

/// The detail is the exit status, or the signal with the high bit, and the hook's output.
fn hook_failed(what: &str, detail: &[u8]) -> Error {
    let (status, output) = detail.split_first().map_or((0, &[] as &[u8]), |(s, rest)| (*s, rest));
    let end = if status & 0x80 == 0 {
        format!("exit status {status}")
    } else {
        format!("killed by signal {}", status & 0x7f)
    };
    let output = String::from_utf8_lossy(output);
    let output = output.trim();
    let colon = if output.is_empty() { "" } else { ": " };
    Error::new(ErrorKind::Hook, format!("cannot {what}: {end}{colon}{output}"))
}

/// More about a step, in words `what`, whose system call failed: the attributes of a mount that is
/// locked, or what there is to say of a file system.
fn detail(entry: &Entry, what: &str, failure: Failure, detail: &[u8]) -> String {
    let change = match entry.action {
        Action::Init(
            Step::Bind { set, clear, set_all, clear_all, .. }
            | Step::Remount { set, clear, set_all, clear_all, .. },
        ) if failure.call == Nr::MountSetattr => [set, clear, set_all, clear_all],
        // Older kernels take the words, and say nothing when they then refuse them.
        _ if failure.call == Nr::Fsconfig && detail.is_empty() && what.contains(",lowerdir+=") => {
            return " (a list of layers of more than 255 bytes needs Linux 6.5)".to_owned();
        }
        _ => return kernel_words(detail),
    };
    let has = detail.try_into().map(u32::from_ne_bytes);
    match has.map(|has| mount_words::locked(has, change)) {
        Ok(locked) if !locked.is_empty() => {
            format!(" (another user namespace has locked it with {locked})")
        }
        Ok(_) => " (another user namespace has locked attributes of it or of a mount below)".into(),
        Err(_) => String::new(),
    }
}

/// What there is to say of a file system that the kernel refuses: lines of `o <option>`, the one
/// that it did not take, and of `e <text>`, its own words, fsopen(2).
pub(super) fn kernel_words(detail: &[u8]) -> String {
    let text = String::from_utf8_lossy(detail);
    let option = text.lines().find_map(|line| line.strip_prefix("o "));
    let option = option.map(|option| format!("option \"{option}\""));
    let words: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("e ")).map(str::trim).collect();
    let words = Some(words.join("; ")).filter(|words| !words.is_empty());
    match (option, words) {
        (None, None) => String::new(),
        (Some(one), None) | (None, Some(one)) => format!(" ({one})"),
        (Some(option), Some(words)) => format!(" ({option}: {words})"),
    }
}

/// How an init ended that said nothing.
pub(super) fn silent_end(pidfd: Option<&OwnedFd>, id: &str) -> Error {
    let ended = pidfd.map(|fd| pidfd::wait(fd.as_raw_fd()));
    let how = match ended {
        Some(Ok(pidfd::Ended::Killed(libc::SIGKILL))) => {
            "was killed (memory limit too low?)".to_owned()
        }
        Some(Ok(pidfd::Ended::Killed(signal))) => format!("was killed by signal {signal}"),
        Some(Ok(pidfd::Ended::Exited(status))) => format!("ended with status {status}"),
        _ => "is gone".to_owned(),
    };
    Error::new(ErrorKind::Init, format!("the init of container \"{id}\" {how}"))
}

/// Init said something that the plan does not expect now.
pub(super) fn not_its_turn() -> Error {
    Error::new(ErrorKind::Init, "the container's init said what is not its turn")
}

/// Connects to a socket file whose path may be longer than an address holds (108 bytes, unix(7)):
/// through a descriptor of its directory.
pub(super) fn connect(path: &Path, kind: nix::sys::socket::SockType) -> Result<OwnedFd> {
    use nix::sys::socket::{AddressFamily, SockFlag, UnixAddr, connect, socket};
    let fail =
        |errno| Error::system(format!("cannot connect to {}", path.display()), errno).path(path);
    let fd = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None).map_err(fail)?;
    let (short, _dir) = short_path(path).map_err(fail)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(&short).map_err(fail)?).map_err(fail)?;
    Ok(fd)
}

/// A name for a path that is short enough for a socket address; valid while the descriptor lives.
pub(super) fn short_path(path: &Path) -> nix::Result<(std::path::PathBuf, Option<OwnedFd>)> {
    use nix::fcntl::{OFlag, open};
    const ROOM: usize = 107;
    if path.as_os_str().len() <= ROOM {
        return Ok((path.to_owned(), None));
    }
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(nix::errno::Errno::ENAMETOOLONG);
    };
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let dir = open(dir, flags, nix::sys::stat::Mode::empty())?;
    let short = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name);
    Ok((short, Some(dir)))
}
