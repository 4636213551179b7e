//! Being told when processes of a cgroup wait too long for a resource: triggers of pressure, cgroup
//! v2 alone (`accounting/psi.rst`, "Monitoring for pressure thresholds").
//!
//! Called for a container's pressure. A trigger lives as long as its descriptor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::dir::{Dir, write_value};
use super::{Cgroup, failed};
use crate::error::{Error, ErrorKind, Result};

/// What processes wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// A processor.
    Cpu,
    /// Memory.
    Memory,
    /// A block device.
    Io,
}

/// When to tell of pressure: so much waiting within a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PressureTrigger {
    /// What is waited for.
    pub resource: Resource,
    /// Whether all processes have to wait at once, and not just one.
    pub full: bool,
    /// How long they have to wait, more than 0 and at most the window; in whole microseconds.
    pub stall: Duration,
    /// Within which time: 500 ms to 10 s, and for a caller without CAP_SYS_RESOURCE a multiple of
    /// 2 s.
    pub window: Duration,
}

/// A trigger that is set.
///
/// Its descriptor is for poll(2) with `POLLPRI`: each time poll reports that, pressure was above the
/// trigger, and poll does so once in a window. Every poll takes the report, that of an epoll(7)
/// descriptor which is itself polled too: watch it directly.
#[derive(Debug)]
pub struct PressureWatch(OwnedFd);

impl Cgroup {
    /// Sets a trigger.
    ///
    /// # Errors
    /// The cgroup has no directory of v2 or the kernel counts no pressure, or the kernel refuses the
    /// trigger.
    pub fn watch_pressure(&self, trigger: &PressureTrigger) -> Result<PressureWatch> {
        let v2 = self.directories.iter().map(|d| &d.place).find(|place| !place.is_legacy());
        let missing = |why: &str| {
            let message = format!("cannot watch the pressure of the container: {why}");
            Error::new(ErrorKind::State, message)
        };
        let place = v2.ok_or_else(|| missing("it has no cgroup of version 2"))?;
        let file = match trigger.resource {
            Resource::Cpu => "cpu.pressure",
            Resource::Memory => "memory.pressure",
            Resource::Io => "io.pressure",
        };
        let set = || -> nix::Result<OwnedFd> {
            let fd = Dir::open(&place.dir())?.both_ways(file)?;
            write_value(fd.as_fd(), &trigger.line())?;
            Ok(fd)
        };
        match set() {
            Err(Errno::ENOENT | Errno::EOPNOTSUPP) => Err(missing("the kernel counts none")),
            Err(Errno::EINVAL) => {
                let message =
                    format!("the kernel does not take the trigger \"{}\"", trigger.line());
                Err(Error::system(message, Errno::EINVAL).kind_is(ErrorKind::Input))
            }
            result => result.map(PressureWatch).map_err(|e| failed("watch", place, e)),
        }
    }
}

impl PressureTrigger {
    /// As the kernel takes it.
    fn line(&self) -> String {
        let kind = if self.full { "full" } else { "some" };
        format!("{kind} {} {}", self.stall.as_micros(), self.window.as_micros())
    }
}

impl PressureWatch {
    /// Waits for pressure above the trigger; false if there was none for so long.
    ///
    /// # Errors
    /// The cgroup is gone.
    pub fn wait(&self, time: Option<Duration>) -> Result<bool> {
        let time = time.map_or(PollTimeout::NONE, |time| {
            PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX)
        });
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLPRI)];
        while let Err(errno) = poll(&mut fds, time) {
            if errno != Errno::EINTR {
                return Err(Error::system("cannot wait for pressure", errno));
            }
        }
        let seen = fds[0].revents().unwrap_or(PollFlags::empty());
        if seen.contains(PollFlags::POLLERR) {
            return Err(Error::system("cannot wait for pressure", Errno::ENODEV));
        }
        Ok(seen.contains(PollFlags::POLLPRI))
    }
}

impl AsFd for PressureWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_written_in_microseconds() {
        let trigger = PressureTrigger {
            resource: Resource::Memory,
            full: false,
            stall: Duration::from_millis(150),
            window: Duration::from_secs(1),
        };
        assert_eq!(trigger.line(), "some 150000 1000000");
        assert_eq!(PressureTrigger { full: true, ..trigger }.line(), "full 150000 1000000");
    }
}
