//! The limits of a container's cgroup.
//!
//! The model of `linux.resources` in `config.json` (config-linux.md, "Control groups"), which is
//! also the document that `update --resources` reads. An absent number changes nothing; what a
//! number means on which cgroup version is for `cgroup` to say.

use std::collections::BTreeMap;

use super::lenient;
use super::record::record;
use crate::error::Error;

record! {
    /// `linux.resources`: limits by controller. An absent one is left alone.
    Resources {
        /// Rules for access to devices, later ones over earlier ones. Default: none.
        devices: Vec<DeviceRule> = optional "devices",
        /// Memory.
        memory: Option<Memory> = optional "memory",
        /// CPU time and CPU sets.
        cpu: Option<Cpu> = optional "cpu",
        /// Number of tasks.
        pids: Option<Pids> = optional "pids",
        /// Block devices.
        block_io: Option<BlockIo> = optional "blockIO",
        /// Huge pages, by size.
        hugepage_limits: Vec<HugepageLimit> = optional "hugepageLimits",
        /// Class and priority of network packets; cgroup v1 only.
        network: Option<Network> = optional "network",
        /// RDMA devices, by name.
        rdma: BTreeMap<String, Rdma> = optional "rdma",
        /// Values by file name, written to the cgroup as they are; cgroup v2 only.
        unified: BTreeMap<String, String> = optional "unified",
    }

    /// One of `linux.resources.devices` (config-linux.md, "Allowed Device list").
    DeviceRule {
        /// Whether access is granted or taken.
        allow: bool = always "allow",
        /// `a` (all), `c` (character) or `b` (block). Default: all.
        kind: Option<String> = optional "type",
        /// Major number. Default: all.
        major: Option<i64> = optional "major",
        /// Minor number. Default: all.
        minor: Option<i64> = optional "minor",
        /// Letters out of `r` (read), `w` (write) and `m` (mknod). Default: none.
        access: Option<String> = optional "access",
    }

    /// `linux.resources.memory`: limits in bytes, -1 for none (config-linux.md, "Memory").
    Memory {
        /// Memory, in bytes.
        limit: Option<i64> = optional "limit",
        /// Memory that is left when others need it, in bytes.
        reservation: Option<i64> = optional "reservation",
        /// Memory and swap together, in bytes.
        swap: Option<i64> = optional "swap",
        /// Kernel memory, in bytes. Deprecated; newer kernels ignore or refuse it.
        kernel: Option<i64> = optional "kernel",
        /// Buffers of TCP, in bytes. Deprecated.
        kernel_tcp: Option<i64> = optional "kernelTCP",
        /// Inclination to swap, 0 to 100; cgroup v1 only.
        swappiness: Option<u64> = optional "swappiness",
        /// Whether tasks wait instead of being killed; cgroup v1 only.
        disable_oom_killer: Option<bool> = optional "disableOOMKiller",
        /// Whether children count towards the limit; cgroup v1 only.
        use_hierarchy: Option<bool> = optional "useHierarchy",
        /// Whether a limit below the usage is refused.
        check_before_update: Option<bool> = optional "checkBeforeUpdate",
    }

    /// `linux.resources.cpu` (config-linux.md, "CPU").
    Cpu {
        /// Weight against other cgroups, 2 to 262144; the kernel's default is 1024.
        shares: Option<u64> = optional "shares",
        /// CPU time in one period, in microseconds, -1 for no limit.
        quota: Option<i64> = optional "quota",
        /// CPU time that may be saved up beyond the quota, in microseconds.
        burst: Option<u64> = optional "burst",
        /// Length of a period, in microseconds.
        period: Option<u64> = optional "period",
        /// Time for real-time tasks in their period, in microseconds.
        realtime_runtime: Option<i64> = optional "realtimeRuntime",
        /// Length of a period for real-time tasks, in microseconds.
        realtime_period: Option<u64> = optional "realtimePeriod",
        /// List of CPUs such as `0-3,7`.
        cpus: Option<String> = optional "cpus",
        /// List of memory nodes such as `0-3,7`.
        mems: Option<String> = optional "mems",
        /// 1 for the policy `SCHED_IDLE`, 0 for the usual one.
        idle: Option<i64> = optional "idle",
    }

    /// `linux.resources.pids` (config-linux.md, "PIDs").
    Pids {
        /// Most tasks at a time, -1 for no limit; 0 is a limit. Default: left alone.
        limit: Option<i64> = optional "limit",
    }

    /// `linux.resources.blockIO` (config-linux.md, "Block IO").
    BlockIo {
        /// Weight on every device, 10 to 1000.
        weight: Option<u16> = optional "weight",
        /// Weight of the cgroup's own tasks against its children, 10 to 1000.
        leaf_weight: Option<u16> = optional "leafWeight",
        /// Weights by device.
        weight_device: Vec<WeightDevice> = optional "weightDevice",
        /// Bytes read in a second, by device.
        throttle_read_bps_device: Vec<ThrottleDevice> = optional "throttleReadBpsDevice",
        /// Bytes written in a second, by device.
        throttle_write_bps_device: Vec<ThrottleDevice> = optional "throttleWriteBpsDevice",
        /// Reads in a second, by device.
        throttle_read_iops_device: Vec<ThrottleDevice> = optional "throttleReadIOPSDevice",
        /// Writes in a second, by device.
        throttle_write_iops_device: Vec<ThrottleDevice> = optional "throttleWriteIOPSDevice",
    }

    /// One of `linux.resources.blockIO.weightDevice`; at least one weight is required.
    WeightDevice {
        /// Major number.
        major: i64 = always "major",
        /// Minor number.
        minor: i64 = always "minor",
        /// Weight on this device, 10 to 1000.
        weight: Option<u16> = optional "weight",
        /// Weight of the cgroup's own tasks on this device, 10 to 1000.
        leaf_weight: Option<u16> = optional "leafWeight",
    }

    /// A limit of rate on one block device.
    ThrottleDevice {
        /// Major number.
        major: i64 = always "major",
        /// Minor number.
        minor: i64 = always "minor",
        /// Bytes or operations in a second.
        rate: u64 = always "rate",
    }

    /// One of `linux.resources.hugepageLimits` (config-linux.md, "Huge page limits").
    HugepageLimit {
        /// Size of the pages, such as `2MB`.
        page_size: String = always "pageSize",
        /// Most memory in pages of that size, in bytes.
        limit: u64 = always "limit",
    }

    /// `linux.resources.network` (config-linux.md, "Network").
    Network {
        /// Class identifier of the cgroup's packets.
        class_id: Option<u32> = optional "classID",
        /// Priorities by interface. Default: none.
        priorities: Vec<InterfacePriority> = optional "priorities",
    }

    /// One of `linux.resources.network.priorities`.
    InterfacePriority {
        /// Name of the interface in the runtime's network namespace.
        name: String = always "name",
        /// Priority of packets leaving there.
        priority: u32 = always "priority",
    }

    /// A value of `linux.resources.rdma`; at least one limit is required.
    Rdma {
        /// Most handles of host channel adapters.
        hca_handles: Option<u32> = optional "hcaHandles",
        /// Most objects of host channel adapters.
        hca_objects: Option<u32> = optional "hcaObjects",
    }
}

impl Resources {
    /// Reads the document of `update --resources`, as tolerant as [`Spec::parse`]. Faults point
    /// below `/linux/resources`, where the same object stands in `config.json`.
    ///
    /// [`Spec::parse`]: super::Spec::parse
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        lenient::parse(text, "the resources document", "/linux/resources")
    }
}
