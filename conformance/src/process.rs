//! Waits for processes with a limit, and ends those that stay.
//!
//! This program is a child subreaper: whatever a runtime starts and leaves becomes its child, so
//! it can wait for a container's process like an engine's shim does, and find everything that is
//! left of a test. It must never signal a process that it did not find below itself, and it names
//! each by its pid.

use std::fs;
use std::io;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::clause::{Outcome, fail};

/// How a container's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// With this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// Asks again and again, at growing intervals, until there is an answer or the time is over.
pub(crate) fn poll<T>(
    limit: Duration,
    mut ask: impl FnMut() -> Outcome<Option<T>>,
) -> Outcome<Option<T>> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_micros(500);
    loop {
        if let Some(answer) = ask()? {
            return Ok(Some(answer));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Waits for a child of our own; one that stays longer is ended with all that it started.
pub(crate) fn finish(child: &mut Child, limit: Duration) -> Outcome<Option<ExitStatus>> {
    if let Some(status) = poll(limit, || Ok(child.try_wait()?))? {
        return Ok(Some(status));
    }
    let mut tree = vec![child.id()];
    let mut next = 0;
    while next < tree.len() {
        tree.extend(children(tree[next]));
        next += 1;
    }
    for pid in tree {
        end(pid);
    }
    child.wait()?;
    Ok(None)
}

/// Waits for a container's process, which its runtime has left to us.
pub(crate) fn wait(pid: i32, limit: Duration) -> Outcome<Exit> {
    let ended = poll(limit, || match waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(_, code)) => Ok(Some(Exit::Code(code))),
        Ok(WaitStatus::Signaled(_, signal, _)) => Ok(Some(Exit::Signal(signal as i32))),
        Ok(_) => Ok(None),
        Err(Errno::ECHILD) => {
            fail(format!("process {pid} is no descendant of this program: its exit cannot be seen"))
        }
        Err(error) => Err(error.into()),
    })?;
    ended.map_or_else(|| fail(format!("process {pid} did not end within {limit:?}")), Ok)
}

/// The children of a process, of all its threads.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// The processes that became our children and have not ended.
pub(crate) fn living() -> Vec<u32> {
    reap();
    children(std::process::id())
}

/// The command lines of the processes that became our children.
pub(crate) fn names() -> Vec<String> {
    let name = |pid: u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    living().into_iter().map(|pid| format!("{pid} {}", name(pid).replace('\0', " "))).collect()
}

/// Takes the exit statuses of children that ended.
fn reap() {
    let ended = |status| matches!(status, Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)));
    while ended(waitpid(None, Some(WaitPidFlag::WNOHANG))) {}
}

/// Kills one process; that it is gone already is no error.
pub(crate) fn end(pid: u32) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Ends and reaps every process that became our child.
pub(crate) fn sweep() {
    let limit = Instant::now() + Duration::from_secs(5);
    loop {
        let orphans = living();
        if orphans.is_empty() || Instant::now() > limit {
            return;
        }
        orphans.iter().copied().for_each(end);
        thread::sleep(Duration::from_millis(1));
    }
}

/// Makes orphans of our descendants our children.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::{finish, poll};

    #[test]
    fn a_program_that_hangs_is_ended_with_its_children() {
        let begin = Instant::now();
        let mut child = Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
        let pid = child.id();
        while super::children(pid).is_empty() {
            std::thread::yield_now();
        }
        let sleeper = super::children(pid)[0];
        assert!(finish(&mut child, Duration::from_millis(50)).unwrap().is_none());
        assert!(begin.elapsed() < Duration::from_secs(20));
        // The kernel may take a moment to carry the signal out.
        let gone = poll(Duration::from_secs(10), || {
            let stat = std::fs::read_to_string(format!("/proc/{sleeper}/stat")).unwrap_or_default();
            Ok((stat.is_empty() || stat.contains(") Z ") || stat.contains(") X ")).then_some(()))
        });
        assert!(gone.unwrap().is_some(), "{sleeper} is still there");
    }
}
