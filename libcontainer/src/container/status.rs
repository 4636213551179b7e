//! A container's status, and which operation is allowed in which.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::id::ContainerId;

/// Where a container is in its life (runtime.md, "State"; `paused` is runc's addition).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// It is being created right now.
    Creating,
    /// It waits to be started.
    Created,
    /// Its program runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Its process has ended, or its creation was interrupted.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// An operation on a container that depends on its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Start,
    Kill,
    Exec,
    Pause,
    Resume,
    Update,
    Watch,
    Delete,
}

impl Verb {
    /// The table status × verb.
    fn allowed(self, status: Status) -> bool {
        use Status::{Created, Creating, Paused, Running, Stopped};
        match (self, status) {
            (Self::Start, Created) | (Self::Delete, Stopped) => true,
            (Self::Kill, Creating | Created | Running | Paused) => true,
            (Self::Exec | Self::Pause, Created | Running) | (Self::Resume, Paused) => true,
            (Self::Exec | Self::Pause, Creating | Paused | Stopped) => false,
            (Self::Update | Self::Watch, Created | Running | Paused) => true,
            (Self::Update | Self::Watch, Creating | Stopped) => false,
            (Self::Resume, Creating | Created | Running | Stopped) => false,
            (Self::Start, Creating | Running | Paused | Stopped) => false,
            (Self::Kill, Stopped) => false,
            (Self::Delete, Creating | Created | Running | Paused) => false,
        }
    }

    /// An error unless the verb is allowed.
    pub(super) fn check(self, id: &ContainerId, status: Status) -> Result<()> {
        if self.allowed(status) {
            return Ok(());
        }
        let message = match (self, status) {
            // Engines look for these words.
            (Self::Kill, _) | (Self::Pause | Self::Update, Status::Stopped) => {
                "container not running".to_owned()
            }
            (Self::Pause, _) => format!("cannot pause container \"{id}\": it is {status}"),
            (Self::Update, _) => format!("cannot update container \"{id}\": it is {status}"),
            (Self::Resume, _) => "container not paused".to_owned(),
            (Self::Start, Status::Running | Status::Paused) => {
                format!("cannot start container \"{id}\": it is {status} already")
            }
            (Self::Start, _) => format!("cannot start container \"{id}\": it is {status}"),
            (Self::Exec, Status::Paused) => {
                "cannot exec in a paused container (use --ignore-paused to override)".to_owned()
            }
            (Self::Exec, _) => format!("cannot exec in a {status} container"),
            (Self::Watch, _) => format!("container \"{id}\" is not running: it is {status}"),
            (Self::Delete, _) => {
                format!("cannot delete container \"{id}\" that is not stopped: it is {status}")
            }
        };
        Err(Error::new(ErrorKind::State, message))
    }
}
