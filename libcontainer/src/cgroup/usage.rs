//! What a cgroup still tells when its processes have ended: what they used, and whether memory ran
//! out.
//!
//! Called for the record of a container's end. Every fact is optional: kernels, hierarchies and
//! controllers differ in what they have.

use super::Cgroup;
use super::dir::Dir;

/// What the processes of a cgroup have used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, in nanoseconds (`cpu.stat`, or `cpuacct.usage` of v1).
    pub cpu: Option<u64>,
    /// The most memory at a time, in bytes (`memory.peak`, or `memory.max_usage_in_bytes` of v1).
    pub memory_peak: Option<u64>,
    /// How many processes were killed since memory ran out (`memory.events`, or
    /// `memory.oom_control` of v1).
    pub oom_kills: Option<u64>,
}

impl Cgroup {
    /// What was used so far. Nothing of a cgroup that is gone.
    pub fn usage(&self) -> Usage {
        Usage {
            cpu: self
                .number("cpuacct", "cpuacct.usage", "")
                .or_else(|| Some(self.number("cpu", "cpu.stat", "usage_usec")? * 1000)),
            memory_peak: self
                .number("memory", "memory.max_usage_in_bytes", "")
                .or_else(|| self.number("memory", "memory.peak", "")),
            oom_kills: self
                .number("memory", "memory.oom_control", "oom_kill")
                .or_else(|| self.number("memory", "memory.events", "oom_kill")),
        }
    }

    /// The number in a file, or on the line of it that begins with a key.
    fn number(&self, controller: &str, file: &str, key: &str) -> Option<u64> {
        let place = self.holding(controller)?;
        let text = Dir::open(&place.dir()).ok()?.read(file).ok()?;
        if key.is_empty() {
            return text.parse().ok();
        }
        let value = |line: &str| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(value)
    }
}
