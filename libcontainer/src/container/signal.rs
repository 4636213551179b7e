//! Signals by name or number, as `kill` takes them.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// A signal, real-time ones included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(i32);

/// Names of signal(7) with their numbers on this architecture.
const NAMES: [(&str, i32); 33] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("IOT", libc::SIGIOT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];
/// The real-time signals of the kernel that the C libraries leave to programs, signal(7).
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

impl Signal {
    /// SIGKILL.
    pub const KILL: Self = Self(libc::SIGKILL);
    /// SIGTERM.
    pub const TERM: Self = Self(libc::SIGTERM);

    /// The signal's number.
    pub fn as_raw(self) -> i32 {
        self.0
    }

    /// The signal with this number, 1 to 64.
    pub fn from_raw(number: i32) -> Option<Self> {
        (1..=RTMAX).contains(&number).then_some(Self(number))
    }
}

impl FromStr for Signal {
    type Err = Error;

    /// `9`, `KILL`, `SIGKILL`, `kill`, `SIGRTMIN+3`, `RTMAX-1`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let named = || NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
        let number = name.parse().ok().or_else(named).or_else(|| real_time(name));
        number.and_then(Self::from_raw).ok_or_else(|| {
            let shown: String = text.chars().take(40).flat_map(char::escape_default).collect();
            Error::new(ErrorKind::Input, format!("unknown signal \"{shown}\""))
        })
    }
}

fn real_time(name: &str) -> Option<i32> {
    let (base, rest) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => (RTMIN, rest),
        (_, Some(rest)) => (RTMAX, rest),
        _ => return None,
    };
    let offset: i32 = if rest.is_empty() { 0 } else { rest.parse().ok()? };
    let signed = rest.is_empty() || rest.starts_with(['+', '-']);
    base.checked_add(offset).filter(|number| signed && (RTMIN..=RTMAX).contains(number))
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None if self.0 >= RTMIN => write!(f, "SIGRTMIN+{}", self.0 - RTMIN),
            None => write!(f, "signal {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Signal;

    #[test]
    fn signals_have_names_numbers_and_real_time_offsets() {
        let number = |text: &str| text.parse::<Signal>().ok().map(Signal::as_raw);
        for (text, expected) in [
            ("9", 9),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("sigkill", 9),
            ("5", 5),
            ("7", 7),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("64", 64),
        ] {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        for bad in ["", "0", "65", "-9", "FOO", "RTMIN-1", "RTMAX+1", "RTMIN3", "SIGSIGKILL", "9x"]
        {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}
