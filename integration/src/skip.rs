//! Why a test did not run, said aloud.
//!
//! Every test goes through here before it starts. A test that is skipped leaves one line in the
//! file named by `KEEL_SKIPS` and on stderr, so that the totals of a run never count it as passed.
//! Nothing here may skip without a reason.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::cgroups::Layout;
use crate::runtime::{Kind, Runtime};

/// Something the machine must have for a test to mean anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A program in `PATH`.
    Program(&'static str),
    /// A cgroup controller that can be used, by its v1 name.
    Controller(&'static str),
    /// A file or directory of the kernel.
    Path(&'static str),
    /// At least one hierarchy of cgroup v1.
    CgroupV1,
    /// systemd as the first process.
    Systemd,
    /// Landlock, enabled in the kernel.
    Landlock,
    /// Something that no other runtime does, such as a command of keel's own.
    Keel,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(name) => write!(f, "the program {name} is not installed"),
            Self::Controller(name) => write!(f, "no cgroup controller {name} here"),
            Self::Path(path) => write!(f, "{path} is not there"),
            Self::CgroupV1 => write!(f, "no cgroup v1 hierarchy here"),
            Self::Systemd => write!(f, "systemd is not the first process here"),
            Self::Landlock => write!(f, "no Landlock in this kernel"),
            Self::Keel => write!(f, "only keel does this"),
        }
    }
}

impl Need {
    /// Whether this machine has it.
    pub fn met(self) -> bool {
        match self {
            Self::Program(name) => program(name).is_some(),
            Self::Controller(name) => Layout::here().has(name),
            Self::Path(path) => std::fs::symlink_metadata(path).is_ok(),
            Self::CgroupV1 => !Layout::here().is_v2(),
            Self::Systemd => std::fs::metadata("/run/systemd/system").is_ok(),
            Self::Landlock => security_modules().split(',').any(|name| name == "landlock"),
            Self::Keel => Runtime::under_test().is_ok_and(|runtime| runtime.kind() == Kind::Keel),
        }
    }
}

/// The security modules that the kernel has enabled. Its file system is mounted for the question,
/// where nobody else sees it.
fn security_modules() -> String {
    let ask = "mount -t securityfs none /sys/kernel/security; cat /sys/kernel/security/lsm";
    let asked = Command::new("unshare").args(["--mount", "sh", "-c", ask]).output();
    asked.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).into())
}

/// Where a program lies: `name` itself when it holds a slash, else the first match in `PATH`.
pub fn program(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH")?;
    let extra = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(extra).map(|dir| dir.join(name)).find(|p| p.is_file())
}

/// The name of the running test: the file it stands in and its function.
///
/// libtest runs each test in a thread that bears the test's name.
pub fn test_name() -> String {
    let file = std::env::current_exe().ok().and_then(|exe| {
        let stem = exe.file_name()?.to_str()?.to_owned();
        Some(stem.rsplit_once('-').map_or(stem.clone(), |(name, _hash)| name.to_owned()))
    });
    let thread = std::thread::current();
    format!("{}::{}", file.unwrap_or_default(), thread.name().unwrap_or("main"))
}

/// Says that the running test is skipped, and why. The caller returns after it.
pub fn skip(reason: impl fmt::Display) {
    let line = format!("SKIP {}: {reason}\n", test_name());
    eprint!("{line}");
    note("KEEL_SKIPS", &line);
}

/// Adds a line to the file that an environment variable names, if it names one.
pub(crate) fn note(variable: &str, line: &str) {
    let path = std::env::var_os(variable).filter(|path| !path.is_empty());
    let Some(path) = path else { return };
    let opened = OpenOptions::new().append(true).create(true).open(&path);
    if let Err(error) = opened.and_then(|mut file| file.write_all(line.as_bytes())) {
        panic!("cannot write {}: {error}", path.display());
    }
}
