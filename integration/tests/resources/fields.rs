//! The table: for each field of `/linux/resources` (config-linux.md, "Control groups") a value at
//! `create` and another at `update`, and what the kernel's files must hold then.
//!
//! `DISK` stands for the numbers of some disk of this machine, in a configuration after `"major":`.

/// One field, or a few that have one meaning together.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// Its controller, by the name it has on cgroup v1.
    pub(crate) controller: &'static str,
    pub(crate) create: &'static str,
    pub(crate) update: &'static str,
    pub(crate) v1: Expected,
    pub(crate) v2: Expected,
}

/// What must come of it.
#[derive(Debug)]
pub(crate) enum Expected {
    /// Files, with all their [`names`], and their contents after `create` and after `update`, see [`holds`].
    Files(&'static [(&'static str, &'static str, &'static str)]),
    /// An error with these words.
    Refused(&'static [&'static str]),
    /// A warning with these words.
    Warned(&'static [&'static str]),
}

use Expected::{Files, Refused, Warned};

/// The names that a file has on one kernel or another.
pub(crate) fn names(file: &str) -> impl Iterator<Item = &str> {
    file.split('|')
}

/// Whether a file holds what is wanted: all of it, or with `~` before it somewhere in it.
pub(crate) fn holds(found: &str, wanted: &str) -> bool {
    match wanted.strip_prefix('~') {
        Some(part) => format!(" {found} ").contains(&format!(" {part} ")),
        None => found == wanted,
    }
}

#[rustfmt::skip]
pub(crate) const FIELDS: &[Field] = &[
    Field {
        name: "memory.limit", controller: "memory",
        create: r#"{"memory":{"limit":67108864}}"#,
        update: r#"{"memory":{"limit":33554432}}"#,
        v1: Files(&[("memory.limit_in_bytes", "67108864", "33554432")]),
        v2: Files(&[("memory.max", "67108864", "33554432")]),
    },
    Field {
        name: "memory.limit -1", controller: "memory",
        create: r#"{"memory":{"limit":67108864}}"#,
        update: r#"{"memory":{"limit":-1}}"#,
        v1: Files(&[("memory.limit_in_bytes", "67108864", "9223372036854771712")]),
        v2: Files(&[("memory.max", "67108864", "max")]),
    },
    Field {
        name: "memory.reservation", controller: "memory",
        create: r#"{"memory":{"reservation":67108864}}"#,
        update: r#"{"memory":{"reservation":33554432}}"#,
        v1: Files(&[("memory.soft_limit_in_bytes", "67108864", "33554432")]),
        v2: Files(&[("memory.low", "67108864", "33554432")]),
    },
    Field {
        name: "memory.swap", controller: "memory",
        create: r#"{"memory":{"limit":67108864,"swap":100663296}}"#,
        update: r#"{"memory":{"limit":67108864,"swap":67108864}}"#,
        v1: Files(&[("memory.memsw.limit_in_bytes", "100663296", "67108864")]),
        v2: Files(&[("memory.swap.max", "33554432", "0")]),
    },
    Field {
        name: "memory.kernel", controller: "memory",
        create: r#"{"memory":{"kernel":67108864}}"#,
        update: r#"{"memory":{"kernel":33554432}}"#,
        v1: Warned(&["no effect"]),
        v2: Refused(&["/linux/resources/memory/kernel"]),
    },
    Field {
        name: "memory.kernelTCP", controller: "memory",
        create: r#"{"memory":{"kernelTCP":67108864}}"#,
        update: r#"{"memory":{"kernelTCP":33554432}}"#,
        v1: Files(&[("memory.kmem.tcp.limit_in_bytes", "67108864", "33554432")]),
        v2: Refused(&["/linux/resources/memory/kernelTCP"]),
    },
    Field {
        name: "memory.swappiness", controller: "memory",
        create: r#"{"memory":{"swappiness":10}}"#,
        update: r#"{"memory":{"swappiness":20}}"#,
        v1: Files(&[("memory.swappiness", "10", "20")]),
        v2: Refused(&["/linux/resources/memory/swappiness"]),
    },
    Field {
        name: "memory.disableOOMKiller", controller: "memory",
        create: r#"{"memory":{"disableOOMKiller":true}}"#,
        update: r#"{"memory":{"disableOOMKiller":false}}"#,
        v1: Files(&[("memory.oom_control", "~oom_kill_disable 1", "~oom_kill_disable 0")]),
        v2: Refused(&["/linux/resources/memory/disableOOMKiller"]),
    },
    Field {
        name: "memory.useHierarchy", controller: "memory",
        create: r#"{"memory":{"useHierarchy":true}}"#,
        update: r#"{"memory":{"useHierarchy":true}}"#,
        v1: Files(&[]),
        v2: Files(&[]),
    },
    Field {
        name: "cpu.shares", controller: "cpu",
        create: r#"{"cpu":{"shares":512}}"#,
        update: r#"{"cpu":{"shares":2048}}"#,
        v1: Files(&[("cpu.shares", "512", "2048")]),
        v2: Files(&[("cpu.weight", "59", "174")]),
    },
    Field {
        name: "cpu.quota, cpu.period", controller: "cpu",
        create: r#"{"cpu":{"quota":25000,"period":50000}}"#,
        update: r#"{"cpu":{"quota":10000,"period":20000}}"#,
        v1: Files(&[("cpu.cfs_quota_us", "25000", "10000"), ("cpu.cfs_period_us", "50000", "20000")]),
        v2: Files(&[("cpu.max", "25000 50000", "10000 20000")]),
    },
    Field {
        name: "cpu.quota -1", controller: "cpu",
        create: r#"{"cpu":{"quota":25000,"period":50000}}"#,
        update: r#"{"cpu":{"quota":-1}}"#,
        v1: Files(&[("cpu.cfs_quota_us", "25000", "-1"), ("cpu.cfs_period_us", "50000", "50000")]),
        v2: Files(&[("cpu.max", "25000 50000", "max 50000")]),
    },
    Field {
        name: "cpu.burst", controller: "cpu",
        create: r#"{"cpu":{"quota":50000,"period":100000,"burst":10000}}"#,
        update: r#"{"cpu":{"quota":50000,"period":100000,"burst":20000}}"#,
        v1: Files(&[("cpu.cfs_burst_us", "10000", "20000")]),
        v2: Files(&[("cpu.max.burst", "10000", "20000")]),
    },
    Field {
        name: "cpu.idle", controller: "cpu",
        create: r#"{"cpu":{"idle":1}}"#,
        update: r#"{"cpu":{"idle":0}}"#,
        v1: Files(&[("cpu.idle", "1", "0")]),
        v2: Files(&[("cpu.idle", "1", "0")]),
    },
    Field {
        name: "cpu.realtimePeriod", controller: "cpu",
        create: r#"{"cpu":{"realtimePeriod":900000}}"#,
        update: r#"{"cpu":{"realtimePeriod":800000}}"#,
        v1: Files(&[("cpu.rt_period_us", "900000", "800000")]),
        v2: Refused(&["/linux/resources/cpu/realtimePeriod"]),
    },
    Field {
        name: "cpu.cpus, cpu.mems", controller: "cpuset",
        create: r#"{"cpu":{"cpus":"0","mems":"0"}}"#,
        update: r#"{"cpu":{"cpus":"0-1","mems":"0"}}"#,
        v1: Files(&[("cpuset.cpus", "0", "0-1"), ("cpuset.mems", "0", "0")]),
        v2: Files(&[("cpuset.cpus", "0", "0-1"), ("cpuset.mems", "0", "0")]),
    },
    Field {
        name: "pids.limit", controller: "pids",
        create: r#"{"pids":{"limit":20}}"#,
        update: r#"{"pids":{"limit":30}}"#,
        v1: Files(&[("pids.max", "20", "30")]),
        v2: Files(&[("pids.max", "20", "30")]),
    },
    Field {
        name: "pids.limit -1", controller: "pids",
        create: r#"{"pids":{"limit":-1}}"#,
        update: r#"{"pids":{"limit":7}}"#,
        v1: Files(&[("pids.max", "max", "7")]),
        v2: Files(&[("pids.max", "max", "7")]),
    },
    Field {
        name: "pids.limit 0", controller: "pids",
        create: r#"{"pids":{"limit":0}}"#,
        update: r#"{"pids":{"limit":0}}"#,
        v1: Files(&[("pids.max", "0", "0")]),
        v2: Files(&[("pids.max", "1", "1")]),
    },
    Field {
        name: "blockIO.weight", controller: "blkio",
        create: r#"{"blockIO":{"weight":200}}"#,
        update: r#"{"blockIO":{"weight":300}}"#,
        v1: Files(&[("blkio.weight|blkio.bfq.weight", "200", "300")]),
        v2: Files(&[("io.weight", "~default 1920", "~default 2930")]),
    },
    Field {
        name: "blockIO.weightDevice", controller: "blkio",
        create: r#"{"blockIO":{"weightDevice":[{"major":DISK,"weight":200}]}}"#,
        update: r#"{"blockIO":{"weightDevice":[{"major":DISK,"weight":300}]}}"#,
        v1: Files(&[("blkio.weight_device|blkio.bfq.weight_device", "~DISK 200", "~DISK 300")]),
        v2: Files(&[("io.weight", "~DISK 1920", "~DISK 2930")]),
    },
    Field {
        name: "blockIO.leafWeight", controller: "blkio",
        create: r#"{"blockIO":{"leafWeight":200}}"#,
        update: r#"{"blockIO":{"leafWeight":300}}"#,
        v1: Files(&[("blkio.leaf_weight", "200", "300")]),
        v2: Refused(&["/linux/resources/blockIO/leafWeight"]),
    },
    Field {
        name: "blockIO.throttleReadBps", controller: "blkio",
        create: r#"{"blockIO":{"throttleReadBpsDevice":[{"major":DISK,"rate":1048576}]}}"#,
        update: r#"{"blockIO":{"throttleReadBpsDevice":[{"major":DISK,"rate":2097152}]}}"#,
        v1: Files(&[("blkio.throttle.read_bps_device", "DISK 1048576", "DISK 2097152")]),
        v2: Files(&[("io.max", "~rbps=1048576", "~rbps=2097152")]),
    },
    Field {
        name: "blockIO.throttleWriteBps", controller: "blkio",
        create: r#"{"blockIO":{"throttleWriteBpsDevice":[{"major":DISK,"rate":1048576}]}}"#,
        update: r#"{"blockIO":{"throttleWriteBpsDevice":[{"major":DISK,"rate":2097152}]}}"#,
        v1: Files(&[("blkio.throttle.write_bps_device", "DISK 1048576", "DISK 2097152")]),
        v2: Files(&[("io.max", "~wbps=1048576", "~wbps=2097152")]),
    },
    Field {
        name: "blockIO.throttleReadIOPS", controller: "blkio",
        create: r#"{"blockIO":{"throttleReadIOPSDevice":[{"major":DISK,"rate":1000}]}}"#,
        update: r#"{"blockIO":{"throttleReadIOPSDevice":[{"major":DISK,"rate":2000}]}}"#,
        v1: Files(&[("blkio.throttle.read_iops_device", "DISK 1000", "DISK 2000")]),
        v2: Files(&[("io.max", "~riops=1000", "~riops=2000")]),
    },
    Field {
        name: "blockIO.throttleWriteIOPS", controller: "blkio",
        create: r#"{"blockIO":{"throttleWriteIOPSDevice":[{"major":DISK,"rate":1000}]}}"#,
        update: r#"{"blockIO":{"throttleWriteIOPSDevice":[{"major":DISK,"rate":2000}]}}"#,
        v1: Files(&[("blkio.throttle.write_iops_device", "DISK 1000", "DISK 2000")]),
        v2: Files(&[("io.max", "~wiops=1000", "~wiops=2000")]),
    },
    Field {
        name: "hugepageLimits", controller: "hugetlb",
        create: r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#,
        update: r#"{"hugepageLimits":[{"pageSize":"2MB","limit":6291456}]}"#,
        v1: Files(&[
            ("hugetlb.2MB.limit_in_bytes", "4194304", "6291456"),
            ("hugetlb.2MB.rsvd.limit_in_bytes", "4194304", "6291456"),
        ]),
        v2: Files(&[
            ("hugetlb.2MB.max", "4194304", "6291456"),
            ("hugetlb.2MB.rsvd.max", "4194304", "6291456"),
        ]),
    },
    Field {
        name: "network.classID", controller: "net_cls",
        create: r#"{"network":{"classID":1048577}}"#,
        update: r#"{"network":{"classID":1048578}}"#,
        v1: Files(&[("net_cls.classid", "1048577", "1048578")]),
        v2: Refused(&["/linux/resources/network/classID"]),
    },
    Field {
        name: "network.priorities", controller: "net_prio",
        create: r#"{"network":{"priorities":[{"name":"lo","priority":5}]}}"#,
        update: r#"{"network":{"priorities":[{"name":"lo","priority":6}]}}"#,
        v1: Files(&[("net_prio.ifpriomap", "~lo 5", "~lo 6")]),
        v2: Refused(&["/linux/resources/network/priorities/0"]),
    },
    Field {
        // No machine here has such a device: the kernel's own refusal is what can be seen.
        name: "rdma", controller: "rdma",
        create: r#"{"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":4}}}"#,
        update: r#"{"rdma":{"mlx5_1":{"hcaHandles":5}}}"#,
        v1: Refused(&["rdma.max", "hca_handle=3 hca_object=4"]),
        v2: Refused(&["rdma.max", "hca_handle=3 hca_object=4"]),
    },
    Field {
        name: "unified", controller: "pids",
        create: r#"{"unified":{"pids.max":"9"}}"#,
        update: r#"{"unified":{"pids.max":"8"}}"#,
        v1: Refused(&["/linux/resources/unified/pids.max"]),
        v2: Files(&[("pids.max", "9", "8")]),
    },
    Field {
        name: "unified memory.high", controller: "memory",
        create: r#"{"unified":{"memory.high":"67108864"}}"#,
        update: r#"{"unified":{"memory.high":"33554432"}}"#,
        v1: Refused(&["/linux/resources/unified/memory.high"]),
        v2: Files(&[("memory.high", "67108864", "33554432")]),
    },
];
