//! Cgroups that stand still: frozen, thawed, and whether they are.
//!
//! The freezer is the controller of v1 where there is one, and cgroup v2's own otherwise. Freezing
//! takes a while, as every task has to reach a point where it can stop; one that cannot be stopped
//! in time goes on with all others, and the caller gets an error.

use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::uio::pread;

use super::dir::Dir;
use super::{Cgroup, failed, legacy, unified};
use crate::error::{Error, ErrorKind, Result};
use crate::task::cgroup::Place;

/// How long all tasks may take to stop.
const PATIENCE: Duration = Duration::from_secs(5);

impl Cgroup {
    /// Stops every process of the container, and waits until they stand still.
    ///
    /// # Errors
    /// There is no freezer, or a process does not stop within 5 seconds; then all go on.
    pub fn freeze(&self) -> Result<()> {
        let Some(place) = self.holding("freezer") else {
            let message = "the container has no cgroup that can be frozen";
            return Err(Error::new(ErrorKind::State, message));
        };
        let dir = Dir::open(&place.dir()).map_err(|errno| failed("open", place, errno))?;
        let frozen = if place.is_legacy() { freeze_legacy(&dir) } else { freeze_unified(&dir) };
        frozen.map_err(|errno| {
            let _ = self.thaw();
            match errno {
                Errno::ETIMEDOUT => {
                    let dir = place.dir();
                    let message =
                        format!("cannot freeze {}: a process does not stop", dir.display());
                    Error::new(ErrorKind::State, message).path(dir)
                }
                errno => failed("freeze", place, errno),
            }
        })
    }

    /// Whether the container is frozen, by itself or with a cgroup above it.
    pub fn frozen(&self) -> bool {
        let frozen = |place: &Place| {
            let Ok(dir) = Dir::open(&place.dir()) else { return false };
            if place.is_legacy() { legacy::is_frozen(&dir) } else { unified::is_frozen(&dir) }
        };
        self.freezers().any(frozen)
    }

    /// Lets a frozen container go on.
    ///
    /// # Errors
    /// The kernel refuses; a cgroup that is gone is no error.
    pub fn thaw(&self) -> Result<()> {
        for place in self.freezers() {
            let thawed = match Dir::open(&place.dir()) {
                Ok(dir) if place.is_legacy() => legacy::freeze(&dir, false),
                Ok(dir) => unified::freeze(&dir, false),
                Err(Errno::ENOENT | Errno::ENODEV) => Ok(()),
                Err(errno) => Err(errno),
            };
            thawed.map_err(|errno| failed("thaw", place, errno))?;
        }
        Ok(())
    }

    fn freezers(&self) -> impl Iterator<Item = &Place> {
        let freezes =
            |p: &&Place| !p.is_legacy() || p.controllers.iter().any(|name| name == "freezer");
        self.directories.iter().map(|directory| &directory.place).filter(freezes)
    }

    /// Does something while the v1 freezer stops the container, so that nothing forks meanwhile.
    /// Without a freezer, or when it takes too long, it is done all the same.
    pub(super) fn stopped(&self, action: impl FnOnce() -> nix::Result<()>) -> nix::Result<()> {
        const TRIES: u32 = 40;
        const PAUSE: Duration = Duration::from_micros(500);
        let freezer = self.holding("freezer").filter(|place| place.is_legacy());
        let Some(freezer) = freezer.and_then(|place| Dir::open(&place.dir()).ok()) else {
            return action();
        };
        if legacy::freeze(&freezer, true).is_ok() {
            for _ in 0..TRIES {
                match freezer.read(legacy::FREEZER).as_deref() {
                    Ok("FREEZING") => sleep(PAUSE),
                    _ => break,
                }
            }
        }
        let done = action();
        legacy::freeze(&freezer, false)?;
        done
    }
}

/// Each write lets the kernel look again at what was about to stop.
fn freeze_legacy(dir: &Dir) -> nix::Result<()> {
    const PAUSE: Duration = Duration::from_millis(1);
    /// After so many looks everything goes on for an instant.
    const LOOKS: usize = 50;
    let deadline = Instant::now() + PATIENCE;
    for look in 1.. {
        dir.write(legacy::FREEZER, "FROZEN")?;
        if dir.read(legacy::FREEZER)? == "FROZEN" {
            break;
        }
        if Instant::now() > deadline {
            return Err(Errno::ETIMEDOUT);
        }
        // A process that waits for one that stands still, as in vfork(2), cannot stop.
        if look % LOOKS == 0 {
            dir.write(legacy::FREEZER, "THAWED")?;
        }
        sleep(PAUSE);
    }
    Ok(())
}

/// The kernel tells by an event of the file when it is done; an event is over when the same
/// descriptor was read.
fn freeze_unified(dir: &Dir) -> nix::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let events = dir.readable(unified::EVENTS)?;
    dir.write(unified::FREEZE, "1")?;
    loop {
        let mut text = [0; 256];
        let count = pread(&events, &mut text, 0)?;
        if unified::tells_frozen(&String::from_utf8_lossy(&text[..count])) {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Errno::ETIMEDOUT);
        }
        // A moment longer, as the timeout counts whole milliseconds.
        let left = PollTimeout::try_from(left + Duration::from_millis(1));
        let mut waited = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
        match poll(&mut waited, left.unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
