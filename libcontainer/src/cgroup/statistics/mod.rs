//! What the processes of a cgroup use, as the kernel counts it, on cgroup v1 and v2.
//!
//! One file for each controller: what it counts, and where that stands in either version. What a
//! kernel, a hierarchy or a controller does not have is absent and no error; a file that does not
//! read as the kernel documents it is one. The sources are the kernel's own documents,
//! `Documentation/admin-guide/cgroup-v1/*.rst` and `cgroup-v2.rst`. Called for a container's
//! statistics; nothing is written here, and nothing is remembered between two calls.

mod block_io;
mod cpu;
mod cpuset;
mod files;
mod format;
mod hugetlb;
mod memory;
mod pids;
mod pressure;
mod rdma;

use std::collections::BTreeMap;

pub use block_io::{BlockIoEntry, BlockIoStatistics};
pub use cpu::CpuStatistics;
pub use cpuset::CpusetStatistics;
pub use hugetlb::HugetlbStatistics;
pub use memory::{MemoryCounter, MemoryStatistics};
pub use pids::PidsStatistics;
pub use pressure::{Pressure, Stall};
pub use rdma::RdmaStatistics;

use super::Cgroup;
use crate::error::Result;
use crate::resctrl::IntelRdtStatistics;
use files::Files;

/// What the processes of a container use. What this machine does not count is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statistics {
    /// Processor time.
    pub cpu: CpuStatistics,
    /// The processors and memory nodes it may use.
    pub cpuset: CpusetStatistics,
    /// Memory.
    pub memory: MemoryStatistics,
    /// Processes and threads.
    pub pids: PidsStatistics,
    /// Block devices.
    pub block_io: BlockIoStatistics,
    /// Huge pages, by their size as the kernel writes it: `2MB`, `1GB`.
    pub hugetlb: BTreeMap<String, HugetlbStatistics>,
    /// RDMA devices, by name.
    pub rdma: BTreeMap<String, RdmaStatistics>,
    /// Shares of caches and memory bandwidth, of a container that has a place in resctrl. No cgroup
    /// counts them: whoever knows of that place fills them in.
    pub intel_rdt: Option<IntelRdtStatistics>,
}

impl Cgroup {
    /// What is used now, and was so far. A cgroup that is gone has no numbers.
    ///
    /// # Errors
    /// A file cannot be read, or does not read as the kernel documents it.
    pub fn statistics(&self) -> Result<Statistics> {
        let mut statistics = Statistics::default();
        for directory in &self.directories {
            let place = &directory.place;
            let Some(files) = Files::open(place)? else { continue };
            if place.is_legacy() {
                for controller in &place.controllers {
                    statistics.read_v1(controller, &files)?;
                }
            } else {
                // `cpu.stat` is there whatever has the controller.
                let elsewhere = self.dirs().any(|p| p.controllers.iter().any(|c| c == "cpuacct"));
                statistics.read_v2(&files, !elsewhere)?;
            }
        }
        Ok(statistics)
    }
}

impl Statistics {
    fn read_v1(&mut self, controller: &str, files: &Files) -> Result<()> {
        match controller {
            "cpu" => self.cpu.read_throttling_v1(files),
            "cpuacct" => self.cpu.read_usage_v1(files),
            "cpuset" => self.cpuset.read_v1(files),
            "memory" => self.memory.read_v1(files),
            "pids" => self.pids.read(files),
            "blkio" => self.block_io.read_v1(files),
            "hugetlb" => hugetlb::read_v1(&mut self.hugetlb, files),
            "rdma" => rdma::read(&mut self.rdma, files),
            // The others count nothing.
            _ => Ok(()),
        }
    }

    /// Reads every controller's files: a hierarchy of v2 has those that no hierarchy of v1 has.
    fn read_v2(&mut self, files: &Files, cpu: bool) -> Result<()> {
        if cpu {
            self.cpu.read_v2(files)?;
        }
        self.cpu.pressure = pressure::read(files, "cpu.pressure")?;
        self.memory.pressure = pressure::read(files, "memory.pressure")?;
        self.block_io.pressure = pressure::read(files, "io.pressure")?;
        self.cpuset.read_v2(files)?;
        self.memory.read_v2(files)?;
        self.pids.read(files)?;
        self.block_io.read_v2(files)?;
        hugetlb::read_v2(&mut self.hugetlb, files)?;
        rdma::read(&mut self.rdma, files)
    }
}
