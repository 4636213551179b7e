//! The limits of a cgroup that a container is in, changed.
//!
//! All values or none: what the files held is read first, and written back when a value is refused.
//! Device rules come last, as they cannot be read; what restores them is in the update.

use nix::errno::Errno;

use super::dir::Dir;
use super::{Cgroup, Open, apply, systemd, unified};
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::task::cgroup::{Ceiling, CgroupUpdate, OnMissing, Write};

impl Cgroup {
    /// Writes new limits, and returns those that have no effect on this kernel.
    ///
    /// # Errors
    /// A limit cannot be set, or is below what is used and that is to be checked; then all are as
    /// before. The cgroup is gone.
    pub fn update(&self, update: &CgroupUpdate) -> Result<Vec<Fault>> {
        let open = self.open()?;
        if let Some(ceiling) = &update.ceiling {
            check(ceiling)?;
        }
        let places = update.plan.places.iter().enumerate();
        for (i, place) in places.filter(|(_, place)| !place.is_legacy()) {
            unified::enable(place, &apply::needed(&update.plan, i))?;
        }
        let before: Vec<Write> = update.plan.writes.iter().filter_map(|w| open.now(w)).collect();
        open.write_all(&update.plan.writes)
            .and_then(|warnings| open.change_devices(update).map(|()| warnings))
            .and_then(|warnings| self.change_unit(update, &open).map(|()| warnings))
            .inspect_err(|_| open.restore(&before))
    }
}

impl Cgroup {
    /// systemd would take back later what it does not know. It rounds, and so the files have the
    /// last word.
    fn change_unit(&self, update: &CgroupUpdate, open: &Open) -> Result<()> {
        let Some(unit) = &self.unit else { return Ok(()) };
        systemd::change(unit, &update.properties)?;
        open.write_all(&update.lasting).map(drop)
    }
}

/// A limit below the usage would end processes.
fn check(ceiling: &Ceiling) -> Result<()> {
    let used = Dir::open(&ceiling.dir).and_then(|dir| dir.read("memory.current"));
    let used = used.map_err(|errno| {
        let message = format!("cannot read memory.current of {}", ceiling.dir.display());
        Error::system(message, errno).path(&ceiling.dir)
    })?;
    match used.parse::<u64>() {
        Ok(used) if used > ceiling.bytes => {
            let message = format!("the container uses more memory than that: {used} bytes");
            Err(Error::new(ErrorKind::State, message).pointer_is(&ceiling.pointer))
        }
        _ => Ok(()),
    }
}

impl Open {
    fn change_devices(&self, update: &CgroupUpdate) -> Result<()> {
        if let Some(program) = &update.plan.device_program {
            self.attach(program, &update.plan.devices_pointer, false)?;
        }
        if update.devices.is_empty() {
            return Ok(());
        }
        let stop = update.standstill && !self.cgroup.frozen();
        if stop {
            self.cgroup.freeze()?;
        }
        let done = self.write_all(&update.devices).map(drop);
        if done.is_err() {
            self.restore(&update.devices_before);
        }
        let thawed = if stop { self.cgroup.thaw() } else { Ok(()) };
        done.and(thawed)
    }

    fn restore(&self, before: &[Write]) {
        if let Err(error) = self.write_all(before) {
            log::warn!("cannot restore what was before: {error}");
        }
    }

    /// What writes back what a file holds now; nothing where there is no such file.
    fn now(&self, write: &Write) -> Option<Write> {
        let dir = &self.dirs[write.place];
        let other = match &write.missing {
            OnMissing::Instead { file, value } => Some((file, value)),
            _ => None,
        };
        let held = |file: &str, value: &str| dir.read(file).map(|text| undo(file, value, &text));
        let (file, value) = match (held(&write.file, &write.value), other) {
            (Err(Errno::ENOENT), Some((file, value))) => (file, held(file, value)),
            (value, _) => (&write.file, value),
        };
        let value = value.ok()?;
        Some(Write { file: file.clone(), value, missing: OnMissing::Skip, ..write.clone() })
    }
}

/// The value that undoes another, from what the file holds. A file with a line for each device is
/// written by line; a device it has no line for has no limit.
fn undo(file: &str, value: &str, text: &str) -> String {
    let Some((first, rest)) = value.split_once(' ') else { return text.to_owned() };
    let of = |line: &&str| line.split_whitespace().next() == Some(first);
    if let Some(line) = text.lines().find(of) {
        return line.to_owned();
    }
    match first.contains(':') {
        true if file == "io.max" => {
            let keys = rest.split(' ').filter_map(|pair| pair.split_once('='));
            let none: Vec<String> = keys.map(|(key, _)| format!("{key}=max")).collect();
            format!("{first} {}", none.join(" "))
        }
        true if file.starts_with("io.") => format!("{first} default"),
        true => format!("{first} 0"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::undo;

    #[test]
    fn a_value_is_undone_by_what_the_file_held() {
        assert_eq!(undo("memory.max", "4096", "max"), "max");
        assert_eq!(undo("cpu.max", "5000 100000", "max 100000"), "max 100000");
        let two = "8:0 rbps=1 wbps=max riops=max wiops=max\n8:16 rbps=2 wbps=3";
        assert_eq!(undo("io.max", "8:16 rbps=9", two), "8:16 rbps=2 wbps=3");
        assert_eq!(undo("io.max", "7:0 rbps=9", two), "7:0 rbps=max");
        assert_eq!(undo("io.bfq.weight", "8:0 200", "default 100"), "8:0 default");
        assert_eq!(undo("blkio.throttle.read_bps_device", "8:0 9", ""), "8:0 0");
    }
}
