//! Processor time: `cpu` and `cpuacct` of cgroup v1, `cpu.stat` of v2.
//!
//! Sources: `cgroup-v1/cpuacct.rst`, `scheduler/sched-bwc.rst`, `cgroup-v2.rst` "CPU Interface
//! Files".

use super::files::Files;
use super::format;
use super::pressure::Pressure;
use crate::error::Result;

/// Nanoseconds of a clock tick: USER_HZ is 100 on every architecture here, sysconf(3).
const TICK: u64 = 10_000_000;
/// Nanoseconds of a microsecond.
const MICRO: u64 = 1000;

/// Processor time. Everything is counted since the cgroup was made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CpuStatistics {
    /// All time, in nanoseconds (`cpuacct.usage`; `usage_usec`).
    pub usage: Option<u64>,
    /// Time in user mode, in nanoseconds (`cpuacct.stat`, in steps of 10 ms; `user_usec`).
    pub user: Option<u64>,
    /// Time in the kernel, in nanoseconds (`cpuacct.stat`, in steps of 10 ms; `system_usec`).
    pub system: Option<u64>,
    /// All time on each processor, in nanoseconds (`cpuacct.usage_percpu`; v1 alone).
    pub per_cpu: Vec<u64>,
    /// Time in user mode on each processor, in nanoseconds (`cpuacct.usage_all`; v1 alone).
    pub per_cpu_user: Vec<u64>,
    /// Time in the kernel on each processor, in nanoseconds (`cpuacct.usage_all`; v1 alone).
    pub per_cpu_system: Vec<u64>,
    /// How many periods of the quota have passed (`nr_periods`).
    pub periods: Option<u64>,
    /// In how many of them the quota was used up (`nr_throttled`).
    pub throttled_periods: Option<u64>,
    /// How long processes had to wait for that, in nanoseconds (`throttled_time`;
    /// `throttled_usec`).
    pub throttled_time: Option<u64>,
    /// In how many periods saved time was used (`nr_bursts`).
    pub bursts: Option<u64>,
    /// How much, in nanoseconds (`burst_time`; `burst_usec`).
    pub burst_time: Option<u64>,
    /// How processes had to wait for a processor (`cpu.pressure`; v2 alone).
    pub pressure: Option<Pressure>,
}

impl CpuStatistics {
    pub(super) fn read_usage_v1(&mut self, files: &Files) -> Result<()> {
        self.usage = files.number("cpuacct.usage")?;
        self.per_cpu = files.parse("cpuacct.usage_percpu", format::numbers)?.unwrap_or_default();
        if let Some(stat) = files.parse("cpuacct.stat", format::keyed)? {
            let time = |key: &str| Some(stat.get(key)?.saturating_mul(TICK));
            (self.user, self.system) = (time("user"), time("system"));
        }
        if let Some(modes) = files.parse("cpuacct.usage_all", modes)? {
            (self.per_cpu_user, self.per_cpu_system) = modes.into_iter().unzip();
        }
        Ok(())
    }

    pub(super) fn read_throttling_v1(&mut self, files: &Files) -> Result<()> {
        let stat = files.parse("cpu.stat", format::keyed)?.unwrap_or_default();
        let value = |key: &str| stat.get(key).copied();
        self.periods = value("nr_periods");
        self.throttled_periods = value("nr_throttled");
        self.throttled_time = value("throttled_time");
        self.bursts = value("nr_bursts");
        self.burst_time = value("burst_time");
        Ok(())
    }

    pub(super) fn read_v2(&mut self, files: &Files) -> Result<()> {
        let stat = files.parse("cpu.stat", format::keyed)?.unwrap_or_default();
        let value = |key: &str| stat.get(key).copied();
        let time = |key: &str| Some(stat.get(key)?.saturating_mul(MICRO));
        self.usage = time("usage_usec");
        self.user = time("user_usec");
        self.system = time("system_usec");
        self.periods = value("nr_periods");
        self.throttled_periods = value("nr_throttled");
        self.throttled_time = time("throttled_usec");
        self.bursts = value("nr_bursts");
        self.burst_time = time("burst_usec");
        Ok(())
    }
}

/// `cpuacct.usage_all`: a heading, then a line with the number of a processor, its time in user
/// mode and that in the kernel.
fn modes(text: &str) -> Option<Vec<(u64, u64)>> {
    let mut lines = text.lines();
    if lines.next()? != "cpu user system" {
        return None;
    }
    let line = |line: &str| match format::numbers(line)?[..] {
        [_, user, system] => Some((user, system)),
        _ => None,
    };
    lines.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_each_processor_stands_in_a_table() {
        assert_eq!(
            modes("cpu user system\n0 8000000 4000000\n1 0 7"),
            Some(vec![(8_000_000, 4_000_000), (0, 7)])
        );
        for bad in ["", "0 1 2", "cpu user system\n0 1", "cpu user system\n0 1 x"] {
            assert_eq!(modes(bad), None, "{bad:?}");
        }
    }
}
