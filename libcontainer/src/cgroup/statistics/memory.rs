//! Memory: `memory` of cgroup v1 and v2.
//!
//! Sources: `cgroup-v1/memory.rst`, `cgroup-v2.rst` "Memory Interface Files".

use std::collections::BTreeMap;

use super::files::Files;
use super::format;
use super::pressure::Pressure;
use crate::error::Result;

/// Memory. On cgroup v1 the kernel's own memory and that of TCP are counted apart as well.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemoryStatistics {
    /// Memory, with the page cache and what the kernel needs for the processes
    /// (`memory.*_in_bytes`; `memory.current`, `peak`, `max`).
    pub usage: MemoryCounter,
    /// Memory and swap together (`memory.memsw.*`; on v2 the sum of both, without a peak).
    pub with_swap: MemoryCounter,
    /// Swap alone (`memory.swap.current`, `peak`, `max`; v2 alone).
    pub swap: MemoryCounter,
    /// What the kernel needs for the processes (`memory.kmem.*`; v1 alone).
    pub kernel: MemoryCounter,
    /// What it needs for TCP (`memory.kmem.tcp.*`; v1 alone).
    pub kernel_tcp: MemoryCounter,
    /// The lines of `memory.stat`: most in bytes, those that begin with `pg` or `workingset_` are
    /// numbers of events.
    pub stat: BTreeMap<String, u64>,
    /// The lines of `memory.events`: how often each thing happened; v2 alone.
    pub events: BTreeMap<String, u64>,
    /// How many processes were killed since memory ran out (`oom_kill` of `memory.oom_control` or
    /// `memory.events`).
    pub oom_kills: Option<u64>,
    /// How processes had to wait for memory (`memory.pressure`; v2 alone).
    pub pressure: Option<Pressure>,
}

/// What is used of one sort of memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryCounter {
    /// What is used, in bytes.
    pub usage: Option<u64>,
    /// The most that was used, in bytes (v2: from Linux 5.19 on, of swap from 6.5 on).
    pub peak: Option<u64>,
    /// What may be used, in bytes. Without a limit v1 has the largest number of pages, v2
    /// [`u64::MAX`].
    pub limit: Option<u64>,
    /// How often the limit was hit (`failcnt`; v1 alone, on v2 see `max` of
    /// [`MemoryStatistics::events`]).
    pub failures: Option<u64>,
}

impl MemoryStatistics {
    /// The page cache, in bytes: `cache` of v1, `file` of v2.
    pub fn cache(&self) -> Option<u64> {
        self.stat.get("cache").or_else(|| self.stat.get("file")).copied()
    }

    pub(super) fn read_v1(&mut self, files: &Files) -> Result<()> {
        self.usage = counter_v1(files, "memory")?;
        self.with_swap = counter_v1(files, "memory.memsw")?;
        self.kernel = counter_v1(files, "memory.kmem")?;
        self.kernel_tcp = counter_v1(files, "memory.kmem.tcp")?;
        self.stat = files.parse("memory.stat", format::keyed)?.unwrap_or_default();
        let control = files.parse("memory.oom_control", format::keyed)?.unwrap_or_default();
        self.oom_kills = control.get("oom_kill").copied();
        Ok(())
    }

    pub(super) fn read_v2(&mut self, files: &Files) -> Result<()> {
        // Where v1 has the controller there are no such files.
        let Some(stat) = files.parse("memory.stat", format::keyed)? else { return Ok(()) };
        self.stat = stat;
        self.usage = counter_v2(files, "memory")?;
        self.swap = counter_v2(files, "memory.swap")?;
        self.with_swap = MemoryCounter {
            usage: sum(self.usage.usage, self.swap.usage),
            limit: sum(self.usage.limit, self.swap.limit),
            ..MemoryCounter::default()
        };
        self.events = files.parse("memory.events", format::keyed)?.unwrap_or_default();
        self.oom_kills = self.events.get("oom_kill").copied();
        Ok(())
    }
}

fn counter_v1(files: &Files, name: &str) -> Result<MemoryCounter> {
    Ok(MemoryCounter {
        usage: files.number(&format!("{name}.usage_in_bytes"))?,
        peak: files.number(&format!("{name}.max_usage_in_bytes"))?,
        limit: files.number(&format!("{name}.limit_in_bytes"))?,
        failures: files.number(&format!("{name}.failcnt"))?,
    })
}

fn counter_v2(files: &Files, name: &str) -> Result<MemoryCounter> {
    Ok(MemoryCounter {
        usage: files.number(&format!("{name}.current"))?,
        peak: files.number(&format!("{name}.peak"))?,
        limit: files.number(&format!("{name}.max"))?,
        failures: None,
    })
}

/// Both together, where both are known; no limit stays none.
fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    Some(one?.saturating_add(other?))
}
