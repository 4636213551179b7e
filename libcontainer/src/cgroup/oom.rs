//! Being told by the kernel when memory runs out in a cgroup, without asking again and again.
//!
//! cgroup v1 signals an eventfd that was registered in `cgroup.event_control` for
//! `memory.oom_control` (`cgroup-v1/memory.rst`, "OOM Control"). On v2 poll(2) reports a change of
//! `memory.events`, and its counter `oom_kill` tells which change it was. Called for a container's
//! events. Everything is by descriptor, and the directory is that of the record.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::uio::pread;

use super::dir::Dir;
use super::{Cgroup, failed};
use crate::error::{Error, ErrorKind, Result};
use crate::task::cgroup::Place;

/// A descriptor that tells of a cgroup that runs out of memory.
#[derive(Debug)]
pub struct OomWatch(Source);

#[derive(Debug)]
enum Source {
    Legacy { signals: EventFd, dir: Dir },
    Unified { events: OwnedFd, kills: u64 },
}

/// What a watch has seen since it was asked last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing, or another event.
    Nothing,
    /// Memory ran out, at least once.
    Oom,
    /// The cgroup is gone: nothing comes any more, and the descriptor is of no use.
    Gone,
}

impl Cgroup {
    /// Begins to watch. What happened before is not told.
    ///
    /// # Errors
    /// The cgroup has no memory controller, or this process may not watch it.
    pub fn watch_oom(&self) -> Result<OomWatch> {
        let missing = || {
            let message = "cannot watch for memory that runs out: the container has no cgroup of \
                           the memory controller";
            Error::new(ErrorKind::State, message)
        };
        let place = self.holding("memory").ok_or_else(missing)?;
        let watch = |place: &Place| -> nix::Result<Source> {
            let dir = Dir::open(&place.dir())?;
            if place.is_legacy() { register(dir) } else { follow(&dir) }
        };
        match watch(place) {
            Err(Errno::ENOENT) => Err(missing()),
            result => result.map(OomWatch).map_err(|e| failed("watch the memory of", place, e)),
        }
    }
}

/// Has the kernel signal an eventfd. The registration ends with the eventfd.
fn register(dir: Dir) -> nix::Result<Source> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let signals = EventFd::from_flags(flags)?;
    let control = dir.readable("memory.oom_control")?;
    let line = format!("{} {}", signals.as_raw_fd(), control.as_raw_fd());
    dir.write("cgroup.event_control", &line)?;
    Ok(Source::Legacy { signals, dir })
}

fn follow(dir: &Dir) -> nix::Result<Source> {
    let events = dir.readable("memory.events")?;
    let kills = kills(&events)?;
    Ok(Source::Unified { events, kills })
}

/// The counter of `memory.events`. Reading it also makes poll(2) wait for the next change.
fn kills(events: &OwnedFd) -> nix::Result<u64> {
    // The file has a handful of short lines.
    let mut text = [0; 1024];
    let count = loop {
        match pread(events, &mut text, 0) {
            Err(Errno::EINTR) => {}
            result => break result?,
        }
    };
    Ok(killed(&String::from_utf8_lossy(&text[..count])))
}

/// The number behind `oom_kill`, which kernels from 4.13 on have.
fn killed(text: &str) -> u64 {
    let value = |line: &str| line.strip_prefix("oom_kill ")?.parse().ok();
    text.lines().find_map(value).unwrap_or(0)
}

impl OomWatch {
    /// What the descriptor is to be watched for.
    pub fn interest(&self) -> EpollFlags {
        match &self.0 {
            Source::Legacy { .. } => EpollFlags::EPOLLIN,
            Source::Unified { .. } => EpollFlags::EPOLLPRI,
        }
    }

    /// What was seen since the last call. Never waits.
    ///
    /// # Errors
    /// The descriptor cannot be read.
    pub fn take(&mut self) -> nix::Result<Seen> {
        match &mut self.0 {
            Source::Legacy { signals, dir } => {
                let count = match signals.read() {
                    Err(Errno::EAGAIN | Errno::EINTR) => return Ok(Seen::Nothing),
                    result => result?,
                };
                // The removal of the cgroup is signalled like the rest, once.
                let gone = u64::from(dir.readable("memory.oom_control").is_err());
                Ok(match (count > gone, gone) {
                    (true, _) => Seen::Oom,
                    (false, 0) => Seen::Nothing,
                    (false, _) => Seen::Gone,
                })
            }
            Source::Unified { events, kills: before } => match kills(events) {
                Err(Errno::ENODEV) => Ok(Seen::Gone),
                result => {
                    let now = result?;
                    let more = now > *before;
                    *before = now;
                    Ok(if more { Seen::Oom } else { Seen::Nothing })
                }
            },
        }
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Source::Legacy { signals, .. } => signals.as_fd(),
            Source::Unified { events, .. } => events.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_of_kills_is_told_from_its_neighbours() {
        let text = "low 0\nhigh 1\nmax 22\noom 3\noom_kill 2\noom_group_kill 7\n";
        assert_eq!(killed(text), 2);
        assert_eq!(killed("low 0\noom 3\n"), 0);
    }
}
