//! `/linux/resources` as far as both versions of cgroups have it: limits with the same files, and what
//! is checked alike.
//!
//! Called by `cgroup` and by the files of each version. 0 and absent mean "leave it", except for
//! `pids`; a value that the kernel would clamp or ignore is refused here.

use std::collections::BTreeMap;

use super::cgroup_sheet::{Section, escaped};
use crate::spec::{BlockIo, Cpu, HugepageLimit, Memory, Pids, Rdma, ThrottleDevice};
use crate::task::cgroup::OnMissing;

/// A number that is given and is not 0.
pub(super) fn given<T: Default + PartialEq + Copy>(value: Option<T>) -> Option<T> {
    value.filter(|value| *value != T::default())
}

/// `cpu.cpus` and `cpu.mems`. [`crate::cgroup`] fills in the parents' when they are not set.
pub(super) fn cpuset(cpu: &Cpu, section: &mut Section<'_, '_>) {
    for (field, list) in [("cpus", &cpu.cpus), ("mems", &cpu.mems)] {
        if let Some(list) = list.as_deref().filter(|list| !list.is_empty()) {
            section.write(field, &format!("cpuset.{field}"), list);
        }
    }
}

/// Checks what means the same on both versions.
pub(super) fn memory_is_valid(memory: &Memory, section: &mut Section<'_, '_>) -> bool {
    let fields = [
        ("limit", memory.limit),
        ("reservation", memory.reservation),
        ("swap", memory.swap),
        ("kernel", memory.kernel),
        ("kernelTCP", memory.kernel_tcp),
    ];
    let mut valid = true;
    let mut fault = |field, message: &str| {
        section.fault(field, message);
        valid = false;
    };
    for (field, value) in fields {
        if value.is_some_and(|value| value < -1) {
            fault(field, "a limit of memory is a number of bytes, or -1 for none");
        }
    }
    if let (Some(limit @ 1..), Some(swap @ 1..)) = (memory.limit, memory.swap)
        && swap < limit
    {
        fault("swap", "the limit of memory and swap together is less than that of memory");
    }
    if swappiness(memory).is_some_and(|swappiness| swappiness > 100) {
        fault("swappiness", "swappiness is from 0 to 100");
    }
    if memory.use_hierarchy == Some(false) {
        fault("useHierarchy", "cgroups always count their children since Linux 5.11");
    }
    valid
}

/// Engines write -1 as an unsigned number for "leave it".
pub(super) fn swappiness(memory: &Memory) -> Option<u64> {
    memory.swappiness.filter(|swappiness| *swappiness != u64::MAX)
}

/// Where a file is too new for the kernel, its value 0 is what the kernel does anyway.
pub(super) fn unless_zero(zero: bool) -> OnMissing {
    if zero { OnMissing::Skip } else { OnMissing::Fail }
}

/// Checks what means the same on both versions.
pub(super) fn cpu_is_valid(cpu: &Cpu, section: &mut Section<'_, '_>) -> bool {
    let mut valid = true;
    if let (Some(burst), Some(quota @ 1..)) = (cpu.burst, cpu.quota)
        && burst > quota.unsigned_abs()
    {
        section.fault("burst", "the burst is larger than the quota");
        valid = false;
    }
    if cpu.idle.is_some_and(|idle| idle != 0 && idle != 1) {
        section.fault("idle", "idle is 0 or 1");
        valid = false;
    }
    valid
}

/// `pids`, on both versions. 0 is a limit; for cgroup v2 it is written as 1, which means the same
/// for a process in the cgroup: it cannot fork. But one that is born there, which is how init gets
/// into a cgroup v2, counts before it exists.
pub(super) fn pids(pids: &Pids, section: &mut Section<'_, '_>) {
    let least = i64::from(!section.is_legacy());
    match pids.limit {
        None => {}
        Some(..0) => section.write("limit", "pids.max", "max"),
        Some(limit) => section.write("limit", "pids.max", limit.max(least)),
    }
}

/// The lists of rates: field, what the file of v1 calls it, entries.
pub(super) fn throttles(
    block_io: &BlockIo,
) -> [(&'static str, &'static str, &[ThrottleDevice]); 4] {
    [
        ("throttleReadBpsDevice", "read_bps", &block_io.throttle_read_bps_device),
        ("throttleWriteBpsDevice", "write_bps", &block_io.throttle_write_bps_device),
        ("throttleReadIOPSDevice", "read_iops", &block_io.throttle_read_iops_device),
        ("throttleWriteIOPSDevice", "write_iops", &block_io.throttle_write_iops_device),
    ]
}

/// A weight that is given and not 0.
pub(super) fn weight(
    value: Option<u16>,
    field: &str,
    section: &mut Section<'_, '_>,
) -> Option<u16> {
    let value = given(value)?;
    if (10..=1000).contains(&value) {
        return Some(value);
    }
    section.fault(field, "weights are from 10 to 1000, or 0 to leave them");
    None
}

/// A device as `MAJOR:MINOR`.
pub(super) fn device_number(
    major: i64,
    minor: i64,
    field: &str,
    section: &mut Section<'_, '_>,
) -> Option<String> {
    if u32::try_from(major).is_ok() && u32::try_from(minor).is_ok() {
        return Some(format!("{major}:{minor}"));
    }
    section.fault(field, format!("{major}:{minor} is not the number of a device"));
    None
}

/// `hugepageLimits`, on both versions: of use, and of reservations where the kernel limits them.
pub(super) fn hugepages(limits: &[HugepageLimit], suffix: &str, section: &mut Section<'_, '_>) {
    for (i, limit) in limits.iter().enumerate() {
        let size = &limit.page_size;
        if !is_page_size(size) {
            section.fault(
                &format!("{i}/pageSize"),
                format!("\"{}\" is not a page size such as 64KB, 2MB, 1GB", size.escape_default()),
            );
            continue;
        }
        let field = i.to_string();
        section.write(&field, &format!("hugetlb.{size}.{suffix}"), limit.limit);
        let reserved = format!("hugetlb.{size}.rsvd.{suffix}");
        section.write_or(&field, &reserved, limit.limit, OnMissing::Skip);
    }
}

/// It becomes part of a file name, so nothing else is let through.
fn is_page_size(size: &str) -> bool {
    let number = size.strip_suffix("KB").or(size.strip_suffix("MB")).or(size.strip_suffix("GB"));
    number.is_some_and(|number| {
        !number.is_empty() && number.len() <= 10 && number.bytes().all(|b| b.is_ascii_digit())
    })
}

/// `rdma`, on both versions.
pub(super) fn rdma(devices: &BTreeMap<String, Rdma>, section: &mut Section<'_, '_>) {
    for (name, limits) in devices {
        let field = escaped(name);
        let handles = limits.hca_handles.map(|limit| format!(" hca_handle={limit}"));
        let objects = limits.hca_objects.map(|limit| format!(" hca_object={limit}"));
        if handles.is_none() && objects.is_none() {
            section.fault(&field, "one of hcaHandles and hcaObjects is required");
        } else if !is_word(name) {
            section.fault(&field, "this is not the name of an RDMA device");
        } else {
            let (handles, objects) = (handles.unwrap_or_default(), objects.unwrap_or_default());
            section.write(&field, "rdma.max", format!("{name}{handles}{objects}"));
        }
    }
}

/// One word of a line: a blank in it would begin the next.
pub(super) fn is_word(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control())
}
