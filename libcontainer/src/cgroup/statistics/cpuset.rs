//! Processors and memory nodes: `cpuset` of cgroup v1 and v2.
//!
//! Sources: `cgroup-v1/cpusets.rst` and cpuset(7), `cgroup-v2.rst` "Cpuset Interface Files".

use super::files::Files;
use super::format;
use crate::error::Result;

/// Where processes may run and get memory from, and, on cgroup v1, how the cpuset treats them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CpusetStatistics {
    /// The processors, by number (`cpuset.cpus`; `cpuset.cpus.effective`).
    pub cpus: Vec<u16>,
    /// The memory nodes, by number (`cpuset.mems`; `cpuset.mems.effective`).
    pub mems: Vec<u16>,
    /// 1 if no other cpuset has these processors (`cpuset.cpu_exclusive`; v1 alone).
    pub cpu_exclusive: Option<u64>,
    /// 1 if no other cpuset has these nodes (`cpuset.mem_exclusive`; v1 alone).
    pub mem_exclusive: Option<u64>,
    /// 1 if the kernel's memory is bound to the nodes too (`cpuset.mem_hardwall`; v1 alone).
    pub mem_hardwall: Option<u64>,
    /// 1 if pages move when the nodes change (`cpuset.memory_migrate`; v1 alone).
    pub memory_migrate: Option<u64>,
    /// 1 if the page cache is spread over the nodes (`cpuset.memory_spread_page`; v1 alone).
    pub memory_spread_page: Option<u64>,
    /// 1 if the kernel's caches are spread over the nodes (`cpuset.memory_spread_slab`; v1 alone).
    pub memory_spread_slab: Option<u64>,
    /// How often processes free memory themselves, in thousandths a second
    /// (`cpuset.memory_pressure`; v1 alone).
    pub memory_pressure: Option<u64>,
    /// 1 if the load is balanced over the processors (`cpuset.sched_load_balance`; v1 alone).
    pub sched_load_balance: Option<u64>,
    /// How far the scheduler looks for an idle processor; -1 for the system's default
    /// (`cpuset.sched_relax_domain_level`; v1 alone).
    pub sched_relax_domain_level: Option<i64>,
}

impl CpusetStatistics {
    pub(super) fn read_v1(&mut self, files: &Files) -> Result<()> {
        self.cpus = files.parse("cpuset.cpus", format::list)?.unwrap_or_default();
        self.mems = files.parse("cpuset.mems", format::list)?.unwrap_or_default();
        self.cpu_exclusive = files.number("cpuset.cpu_exclusive")?;
        self.mem_exclusive = files.number("cpuset.mem_exclusive")?;
        self.mem_hardwall = files.number("cpuset.mem_hardwall")?;
        self.memory_migrate = files.number("cpuset.memory_migrate")?;
        self.memory_spread_page = files.number("cpuset.memory_spread_page")?;
        self.memory_spread_slab = files.number("cpuset.memory_spread_slab")?;
        self.memory_pressure = files.number("cpuset.memory_pressure")?;
        self.sched_load_balance = files.number("cpuset.sched_load_balance")?;
        let level = |text: &str| text.parse().ok();
        self.sched_relax_domain_level = files.parse("cpuset.sched_relax_domain_level", level)?;
        Ok(())
    }

    /// Only where the controller is on v2: beside a v1 hierarchy of it the files are not there.
    pub(super) fn read_v2(&mut self, files: &Files) -> Result<()> {
        if let Some(cpus) = files.parse("cpuset.cpus.effective", format::list)? {
            self.cpus = cpus;
        }
        if let Some(mems) = files.parse("cpuset.mems.effective", format::list)? {
            self.mems = mems;
        }
        Ok(())
    }
}
