//! What happens to a container, as it happens: memory that runs out, its statistics from time to
//! time, its end.
//!
//! [`Events`] waits in one epoll(7) descriptor for the kernel to tell: no thread, no signal, no
//! question asked again and again. It owns all it needs, and may be used by any thread.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use libcontainer_init::sys::file;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::Container;
use super::status::Verb;
use crate::cgroup::{Cgroup, OomWatch, Seen, Statistics};
use crate::error::{Error, ErrorKind, Result, call};
use crate::resctrl::Group;

/// What [`Container::events`] tells, besides the container's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventOptions {
    /// Whether memory that runs out is told. The container must have a memory controller.
    pub oom: bool,
    /// How often statistics are told: first after this time, more than 0. Never without it.
    pub interval: Option<Duration>,
}

/// Memory that runs out, and no statistics.
impl Default for EventOptions {
    fn default() -> Self {
        Self { oom: true, interval: None }
    }
}

/// Something that happened to a container.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Memory ran out in its cgroup, and the kernel killed, or is about to kill, one of its
    /// processes. On cgroup v1 it is told as well when memory runs out in a cgroup above, and not
    /// when it does in one below. What happens several times before it is asked for may be told
    /// once.
    Oom,
    /// What it uses now.
    Statistics(Box<Statistics>),
    /// Its first process has ended. This is the last event.
    Ended,
}

/// The events of a container, from when this was made: an iterator that waits for the next one.
///
/// Its descriptor is readable when an event may be there: whoever has other things to wait for
/// watches that for input and calls [`Events::ready`]. After the last event it stays readable.
///
/// ```no_run
/// use libcontainer::{Event, EventOptions, Store};
///
/// # fn main() -> libcontainer::Result<()> {
/// let container = Store::at("/run/example").open(&"web".parse()?)?;
/// for event in container.events(&EventOptions::default())? {
///     if event? == Event::Oom {
///         println!("web is out of memory");
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Events {
    cgroup: Option<Cgroup>,
    group: Option<Group>,
    epoll: Epoll,
    pidfd: OwnedFd,
    oom: Option<OomWatch>,
    timer: Option<TimerFd>,
    over: bool,
}

impl Container {
    /// Begins to watch the container. It is not collected at its end; see [`Container::wait`].
    ///
    /// # Errors
    /// The container is stopped or not there yet, it has no cgroup (of the memory controller, with
    /// [`EventOptions::oom`]), or the interval is 0.
    pub fn events(&self, options: &EventOptions) -> Result<Events> {
        if options.interval.is_some_and(|interval| interval.is_zero()) {
            let message = "the interval of statistics must be greater than 0";
            return Err(Error::new(ErrorKind::Input, message));
        }
        Verb::Watch.check(&self.id, self.status()?)?;
        let pidfd = self.first_process()?;
        let counted = options.oom || options.interval.is_some();
        let cgroup = if counted { Some(self.own_cgroup()?) } else { None };
        let oom = cgroup.filter(|_| options.oom).map(Cgroup::watch_oom).transpose()?;
        let mut events = Events::new(cgroup.cloned(), pidfd, oom, options.interval)
            .map_err(|errno| Error::system("cannot watch the container", errno))?;
        events.group.clone_from(&self.record.resctrl);
        Ok(events)
    }
}

impl Events {
    fn new(
        cgroup: Option<Cgroup>,
        pidfd: OwnedFd,
        oom: Option<OomWatch>,
        interval: Option<Duration>,
    ) -> nix::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&pidfd, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        if let Some(oom) = &oom {
            epoll.add(oom, EpollEvent::new(oom.interest(), 0))?;
        }
        let timer = interval.map(timer).transpose()?;
        if let Some(timer) = &timer {
            epoll.add(timer, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        }
        Ok(Self { cgroup, group: None, epoll, pidfd, oom, timer, over: false })
    }

    /// The next event if it is there; never waits.
    ///
    /// # Errors
    /// The kernel's files cannot be read. It is the last that is told.
    pub fn ready(&mut self) -> Result<Option<Event>> {
        if self.over {
            return Ok(None);
        }
        let event = self.look();
        self.over = matches!(event, Err(_) | Ok(Some(Event::Ended)));
        event
    }

    fn look(&mut self) -> Result<Option<Event>> {
        if self.out_of_memory()? {
            return Ok(Some(Event::Oom));
        }
        if !self.ended()? && self.interval_is_over()? {
            let mut statistics = self.cgroup.as_ref().map(Cgroup::statistics).transpose()?;
            if let Some(statistics) = &mut statistics {
                statistics.intel_rdt = self.group.as_ref().map(Group::statistics);
            }
            // Of a container that ends meanwhile, and may be deleted, the numbers are incomplete.
            if !self.ended()? {
                return Ok(statistics.map(|numbers| Event::Statistics(Box::new(numbers))));
            }
        }
        if !self.ended()? {
            return Ok(None);
        }
        // A kill of the first process is told before its end: it comes first.
        Ok(Some(if self.out_of_memory()? { Event::Oom } else { Event::Ended }))
    }

    fn out_of_memory(&mut self) -> Result<bool> {
        let Some(watch) = &mut self.oom else { return Ok(false) };
        let seen = watch.take().map_err(|errno| {
            Error::system("cannot read what the kernel tells of the container's memory", errno)
        })?;
        if seen == Seen::Gone {
            // Closed, it leaves the epoll descriptor as well.
            self.oom = None;
        }
        Ok(seen == Seen::Oom)
    }

    fn ended(&self) -> Result<bool> {
        file::wait_readable(self.pidfd.as_raw_fd(), Some(0))
            .map_err(|failure| call("cannot watch the container's process", failure))
    }

    fn interval_is_over(&self) -> Result<bool> {
        match self.timer.as_ref().map(TimerFd::wait) {
            None | Some(Err(Errno::EAGAIN)) => Ok(false),
            Some(Err(errno)) => Err(Error::system("cannot read a timer", errno)),
            Some(Ok(())) => Ok(true),
        }
    }

    /// Waits until something may have happened.
    fn sleep(&self) -> Result<()> {
        match self.epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE) {
            Err(errno) if errno != Errno::EINTR => {
                Err(Error::system("cannot wait for events", errno))
            }
            _ => Ok(()),
        }
    }
}

/// A timer that rings at every interval.
fn timer(interval: Duration) -> nix::Result<TimerFd> {
    let timer =
        TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
    // As seconds the kernel takes what fits a signed number.
    let interval = interval.min(Duration::from_secs(i64::MAX.unsigned_abs()));
    let every = Expiration::Interval(TimeSpec::from_duration(interval));
    timer.set(every, TimerSetTimeFlags::empty())?;
    Ok(timer)
}

impl Iterator for Events {
    type Item = Result<Event>;

    /// Waits for the next event; `None` after the last.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.ready().transpose() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            if let Err(error) = self.sleep() {
                self.over = true;
                return Some(Err(error));
            }
        }
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("cgroup", &self.cgroup).finish_non_exhaustive()
    }
}
