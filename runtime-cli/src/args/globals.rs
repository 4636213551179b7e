//! The flags before the command, with their meaning.
//!
//! Made from the flags given; used by `main` for the log, by `root` for the state, and by the
//! commands that create a container.

use std::ffi::OsString;
use std::path::PathBuf;

use libcontainer::CgroupManager;
use log::LevelFilter;

use super::Flags;
use super::table;

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// `time="..." level=error msg="..."`
    Text,
    /// `{"level":"error","msg":"...","time":"..."}`
    Json,
}

/// The flags before the command.
#[derive(Debug)]
pub(crate) struct Globals {
    /// The state root, where given.
    pub(crate) root: Option<PathBuf>,
    /// Where the log goes, where given.
    pub(crate) log: Option<OsString>,
    /// How the log is written.
    pub(crate) log_format: LogFormat,
    /// What is logged.
    pub(crate) log_level: LevelFilter,
    /// Who makes the cgroup of a new container.
    pub(crate) cgroup_manager: CgroupManager,
    /// Whether the caller is to be taken as rootless; where not given, its ids tell.
    pub(crate) rootless: Option<bool>,
}

impl From<&Flags> for Globals {
    fn from(flags: &Flags) -> Self {
        Self {
            root: flags.path(&table::ROOT),
            log: flags.text(&table::LOG).map(ToOwned::to_owned),
            log_format: match flags.word(&table::LOG_FORMAT) {
                Some("json") => LogFormat::Json,
                _ => LogFormat::Text,
            },
            log_level: match flags.word(&table::LOG_LEVEL) {
                _ if flags.on(&table::DEBUG) => LevelFilter::Debug,
                Some("debug") => LevelFilter::Debug,
                Some("error") => LevelFilter::Error,
                _ => LevelFilter::Warn,
            },
            cgroup_manager: match flags.word(&table::CGROUP_MANAGER) {
                Some("disabled") => CgroupManager::Disabled,
                Some("systemd") => CgroupManager::Systemd,
                None if flags.on(&table::SYSTEMD_CGROUP) => CgroupManager::Systemd,
                _ => CgroupManager::Cgroupfs,
            },
            rootless: match flags.word(&table::ROOTLESS) {
                Some("true") => Some(true),
                Some("false") => Some(false),
                _ => None,
            },
        }
    }
}
