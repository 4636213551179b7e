//! A service manager that waits for this command's container to be ready: `NOTIFY_SOCKET`.
//!
//! Read here, as the library never looks at the environment. `create` gives the container a socket;
//! `start` and `run` pass on what it says there: the detached ones wait for it, or for the end of
//! the container, and the one in the foreground stands between them for as long as it lasts.

use std::time::Duration;

use libcontainer::{Container, Error, NotifySocket, ServiceManager};

/// How long the service manager may take to look at a message: as runc has it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The service manager that waits, if one does.
pub(crate) fn manager() -> Result<Option<ServiceManager>, Error> {
    match std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()) {
        Some(address) => ServiceManager::connect(&address).map(Some),
        None => Ok(None),
    }
}

/// Wait until a started container is ready or has ended, and pass on that it is ready. The
/// container runs, whatever comes of this, so that a failure is no failure of its start.
pub(crate) fn pass_on(manager: Option<ServiceManager>, container: &mut Container) {
    let (Some(manager), Some(socket)) = (manager, container.take_notify_socket()) else { return };
    let pid = container.pid();
    let passed = socket.await_ready(&*container).and_then(|ready| match ready {
        // The manager looks at a message only as long as its sender exists.
        true => manager.ready(pid).and_then(|()| manager.barrier(PATIENCE)),
        false => Ok(true),
    });
    match passed {
        Ok(true) => {}
        Ok(false) => log::warn!("the service manager does not answer"),
        Err(error) => log::warn!("{error}"),
    }
}

/// A container in the foreground and its service manager.
pub(crate) struct Notices {
    manager: ServiceManager,
    pub(crate) socket: NotifySocket,
    told: bool,
}

impl Notices {
    /// Stand between them.
    pub(crate) fn between(manager: ServiceManager, socket: NotifySocket) -> Self {
        Self { manager, socket, told: false }
    }

    /// Take what has arrived, and pass on that the container is ready, the first time it says so.
    /// The main process of the service is this one.
    pub(crate) fn step(&mut self) {
        let passed = self.socket.says_ready().and_then(|ready| {
            if !ready || std::mem::replace(&mut self.told, true) {
                return Ok(());
            }
            self.manager.ready(Some(std::process::id().cast_signed()))
        });
        if let Err(error) = passed {
            log::warn!("{error}");
        }
    }
}
