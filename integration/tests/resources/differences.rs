//! Where runc 1.1 and crun 1.8 write something else than keel, or nothing, and why.

use integration::runtime::Kind;

/// A cell, or several: the runtime, fields by the beginning of their name, the version of cgroups
/// (empty for both), and the reason.
#[rustfmt::skip]
const TABLE: &[(Kind, &str, &str, &str)] = &[
    (Kind::Runc, "memory.kernel", "v2", "it ignores what cgroup v2 does not have"),
    (Kind::Runc, "memory.kernelTCP", "v1", "it ignores all limits of kernel memory"),
    (Kind::Runc, "memory.swappiness", "v2", "it ignores what cgroup v2 does not have"),
    (Kind::Runc, "memory.swappiness", "v1", "its update does not know it"),
    (Kind::Runc, "memory.disableOOMKiller", "v2", "it ignores what cgroup v2 does not have"),
    (Kind::Runc, "memory.disableOOMKiller", "v1", "its update does not know it"),
    (Kind::Runc, "cpu.shares", "v2", "runc converts shares in this way from 1.3.2 on"),
    (Kind::Runc, "cpu.burst", "", "runc knows it from 1.2 on"),
    (Kind::Runc, "cpu.idle", "", "runc knows it from 1.2 on"),
    (Kind::Runc, "cpu.realtimePeriod", "v2", "it ignores what cgroup v2 does not have"),
    (Kind::Runc, "pids.limit 0", "", "it takes 0 for no limit"),
    (Kind::Runc, "blockIO.weightDevice", "v2", "runc knows it on cgroup v2 from 1.2 on"),
    (Kind::Runc, "blockIO.leafWeight", "v2", "it ignores what cgroup v2 does not have"),
    (Kind::Runc, "blockIO.throttle", "", "its update does not know it"),
    (Kind::Runc, "hugepageLimits", "", "its update does not know it, and it sets no limit of reservations"),
    (Kind::Runc, "network.", "v1", "its update does not know it"),
    (Kind::Crun, "memory.useHierarchy", "v2", "it refuses what cgroup v2 does anyway"),
    (Kind::Crun, "memory.disableOOMKiller", "v1", "it does not take it back"),
    (Kind::Crun, "cpu.shares", "v2", "crun converts shares in this way from 1.23 on"),
    (Kind::Crun, "cpu.quota -1", "", "it takes -1 for a value or for nothing"),
    (Kind::Crun, "cpu.burst", "", "crun knows it from 1.9 on"),
    (Kind::Crun, "pids.limit -1", "v1", "it writes -1, which the kernel refuses"),
    (Kind::Crun, "pids.limit 0", "", "it takes 0 for no limit"),
    (Kind::Crun, "blockIO.weight", "", "it knows the files of one scheduler alone"),
    (Kind::Crun, "blockIO.leafWeight", "v1", "it tells another file, as it has no such file to write"),
    (Kind::Crun, "hugepageLimits", "", "it sets no limit of reservations"),
    (Kind::Crun, "rdma", "", "it does not know it"),
];

/// Why a runtime differs in a field.
pub(crate) fn reason(kind: Kind, field: &str, version: &str) -> Option<&'static str> {
    let applies = |(k, name, v, _): &&(Kind, &str, &str, &str)| {
        *k == kind && field.starts_with(name) && (v.is_empty() || *v == version)
    };
    TABLE.iter().find(applies).map(|(.., reason)| *reason)
}
