//! The values of a plan, written into its directories.
//!
//! First controllers are enabled (v2) and empty cpusets above are filled in (v1), then the values
//! follow in the plan's order. A value that the kernel finds invalid may depend on a later one, as a
//! limit of memory does on that of memory and swap when the cgroup was there before; it is written
//! once more at the end, and counts then.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;

use super::dir::{Dir, write_value};
use super::{Open, device_program, legacy, remove, unified};
use crate::error::{Error, Fault, Result};
use crate::task::cgroup::{CgroupPlan, OnMissing, Place, Write};

impl Open {
    /// Writes the limits of the plan that the directories were made for, and returns those that
    /// have no effect on this kernel.
    ///
    /// # Errors
    /// A limit cannot be set: its pointer is that of the configuration. The directories that were
    /// made are removed again.
    pub fn apply(&self, plan: &CgroupPlan) -> Result<Vec<Fault>> {
        self.perform(plan).inspect_err(|_| remove::undo(&self.cgroup))
    }

    fn perform(&self, plan: &CgroupPlan) -> Result<Vec<Fault>> {
        let mut cpuset = None;
        for (i, (directory, dir)) in self.each().enumerate() {
            let place = &directory.place;
            if !place.is_legacy() {
                unified::enable(place, &needed(plan, i))?;
            } else if place.controllers.iter().any(|c| c == "cpuset") {
                cpuset = Some((directory, dir, legacy::fill_above(place)?));
            }
        }
        let warnings = self.write_all(&plan.writes)?;
        if let Some((directory, dir, above)) = cpuset {
            let configured = |file: &str| plan.writes.iter().any(|write| write.file == file);
            legacy::fill_in(directory, dir, &above, configured)?;
        }
        if let Some(program) = &plan.device_program {
            self.attach(program, &plan.devices_pointer, true)?;
        }
        Ok(warnings)
    }

    /// Writes values, and returns those that have no effect on this kernel.
    pub(super) fn write_all(&self, writes: &[Write]) -> Result<Vec<Fault>> {
        let mut writer = Writer { open: self, file: None, warnings: Vec::new() };
        let mut again = Vec::new();
        for write in writes {
            match writer.write(write) {
                Err(Errno::EINVAL) => again.push(write),
                result => result.map_err(|errno| self.refused(write, errno))?,
            }
        }
        for write in again {
            writer.write(write).map_err(|errno| self.refused(write, errno))?;
        }
        Ok(writer.warnings)
    }

    /// Attaches the program that decides about devices. Before a container is there, a directory
    /// that was `made` for it has none.
    pub(super) fn attach(&self, program: &[u8], pointer: &str, made: bool) -> Result<()> {
        let Some((directory, dir)) = self.each().find(|(d, _)| !d.place.is_legacy()) else {
            return Ok(());
        };
        let new = made && directory.made > 0;
        device_program::attach(&directory.place, dir, program, new)
            .map_err(|error| error.pointer_is(pointer))
    }

    fn refused(&self, write: &Write, errno: Errno) -> Error {
        let Write { place, file, value, pointer, missing } = write;
        let (directory, dir): (&Place, &Dir) =
            (&self.cgroup.directories[*place].place, &self.dirs[*place]);
        let (file, value) = match missing {
            OnMissing::Instead { file, value } if dir.writable(&write.file).is_err() => {
                (file, value)
            }
            _ => (file, value),
        };
        let mut message = format!("cannot set {file} to {}", value.escape_default());
        if !directory.is_legacy()
            && let Some(reason) = unified::absent_controller(dir, file)
        {
            message = format!("{message} in {}: {reason}", directory.dir().display());
        }
        Error::system(message, errno).path(directory.dir().join(file)).pointer_is(pointer)
    }
}

/// The controllers of cgroup v2 whose files the plan writes.
pub(super) fn needed(plan: &CgroupPlan, place: usize) -> Vec<&str> {
    let writes = plan.writes.iter().filter(|write| write.place == place);
    writes.filter_map(|write| Some(write.file.split_once('.')?.0)).collect()
}

/// Writes values, several of one file with one descriptor.
struct Writer<'a> {
    open: &'a Open,
    file: Option<(usize, &'a str, OwnedFd)>,
    warnings: Vec<Fault>,
}

impl<'a> Writer<'a> {
    fn write(&mut self, write: &'a Write) -> nix::Result<()> {
        match (self.write_file(write.place, &write.file, &write.value), &write.missing) {
            (Err(Errno::ENOENT), OnMissing::Skip) => Ok(()),
            (Err(Errno::ENOENT), OnMissing::Warn) => {
                let message = format!("the kernel has no {}", write.file);
                self.warnings.push(Fault { pointer: write.pointer.clone(), message });
                Ok(())
            }
            (Err(Errno::ENOENT), OnMissing::Instead { file, value }) => {
                self.write_file(write.place, file, value)
            }
            (result, _) => result,
        }
    }

    fn write_file(&mut self, place: usize, file: &'a str, value: &str) -> nix::Result<()> {
        let fd = match self.file.take() {
            Some((at, name, fd)) if at == place && name == file => fd,
            _ => self.open.dirs[place].writable(file)?,
        };
        let (_, _, fd) = self.file.insert((place, file, fd));
        write_value(fd.as_fd(), value)
    }
}
