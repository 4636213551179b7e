//! The program that decides about devices in a cgroup v2.
//!
//! Called by `apply` with the instructions of the plan. A cgroup that was there already may have
//! programs, of a container before this one: they are replaced, as all of them must allow an access.
//! A program that cannot be attached is an error, always.

use std::os::fd::{AsFd, AsRawFd};

use libcontainer_init::sys::{Errno, Fd, Result as CallResult, bpf};

use super::dir::Dir;
use super::failed;
use crate::error::Result;
use crate::task::cgroup::Place;

/// Attaches a program; `new` says that the cgroup was made a moment ago and has none.
pub(super) fn attach(place: &Place, dir: &Dir, program: &[u8], new: bool) -> Result<()> {
    let attached = bpf::load_device_program(program).and_then(|program| {
        let cgroup = dir.as_fd().as_raw_fd();
        let old = if new { Vec::new() } else { attached(cgroup)? };
        match old.as_slice() {
            [one] => bpf::attach_device_program(cgroup, program.raw(), Some(one.raw())),
            others => {
                bpf::attach_device_program(cgroup, program.raw(), None)?;
                others.iter().try_for_each(|o| bpf::detach_device_program(cgroup, o.raw()))
            }
        }
    });
    attached.map_err(|failure| {
        let errno = nix::errno::Errno::from_raw(failure.errno.0);
        failed("attach the device program to", place, errno).syscall(failure.call.name())
    })
}

/// The programs of the cgroup itself. One that a security module hides can only forbid more.
fn attached(cgroup: i32) -> CallResult<Vec<Fd>> {
    let mut ids = [0; bpf::MOST_PROGRAMS];
    let count = bpf::device_programs(cgroup, &mut ids)?;
    let mut programs = Vec::new();
    for id in &ids[..count] {
        match bpf::program(*id) {
            Ok(program) => programs.push(program),
            Err(failure) if [Errno::EPERM, Errno::EACCES].contains(&failure.errno) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(programs)
}
