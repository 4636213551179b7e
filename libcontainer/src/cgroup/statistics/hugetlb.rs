//! Huge pages: `hugetlb` of cgroup v1 and v2, for each size.
//!
//! Sources: `cgroup-v1/hugetlb.rst`, `cgroup-v2.rst` "HugeTLB Interface Files". Pages are counted
//! twice: when they are reserved (`rsvd`, from Linux 5.7 on) and when they are touched.

use std::collections::BTreeMap;

use super::files::Files;
use super::format;
use crate::error::Result;

/// Huge pages of one size.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HugetlbStatistics {
    /// What is used, in bytes (`usage_in_bytes`; `current`).
    pub usage: Option<u64>,
    /// The most that was used, in bytes (`max_usage_in_bytes`; v1 alone).
    pub peak: Option<u64>,
    /// What may be used, in bytes; [`u64::MAX`] without a limit (`limit_in_bytes`; `max`).
    pub limit: Option<u64>,
    /// How often the limit refused a page (`failcnt`; `max` of `events`).
    pub failures: Option<u64>,
    /// What is reserved, in bytes (`rsvd.usage_in_bytes`; `rsvd.current`).
    pub reserved: Option<u64>,
    /// The most that was reserved, in bytes (`rsvd.max_usage_in_bytes`; v1 alone).
    pub reserved_peak: Option<u64>,
    /// What may be reserved, in bytes; [`u64::MAX`] without a limit (`rsvd.limit_in_bytes`;
    /// `rsvd.max`).
    pub reserved_limit: Option<u64>,
    /// How often the limit refused a reservation (`rsvd.failcnt`; v1 alone).
    pub reserved_failures: Option<u64>,
}

type BySize = BTreeMap<String, HugetlbStatistics>;

pub(super) fn read_v1(into: &mut BySize, files: &Files) -> Result<()> {
    for size in sizes(&files.names()?, ".usage_in_bytes") {
        let number = |file: &str| files.number(&format!("hugetlb.{size}.{file}"));
        let statistics = HugetlbStatistics {
            usage: number("usage_in_bytes")?,
            peak: number("max_usage_in_bytes")?,
            limit: number("limit_in_bytes")?,
            failures: number("failcnt")?,
            reserved: number("rsvd.usage_in_bytes")?,
            reserved_peak: number("rsvd.max_usage_in_bytes")?,
            reserved_limit: number("rsvd.limit_in_bytes")?,
            reserved_failures: number("rsvd.failcnt")?,
        };
        into.insert(size, statistics);
    }
    Ok(())
}

pub(super) fn read_v2(into: &mut BySize, files: &Files) -> Result<()> {
    for size in sizes(&files.names()?, ".current") {
        let number = |file: &str| files.number(&format!("hugetlb.{size}.{file}"));
        let events = files.parse(&format!("hugetlb.{size}.events"), format::keyed)?;
        let statistics = HugetlbStatistics {
            usage: number("current")?,
            limit: number("max")?,
            failures: events.and_then(|events| events.get("max").copied()),
            reserved: number("rsvd.current")?,
            reserved_limit: number("rsvd.max")?,
            ..HugetlbStatistics::default()
        };
        into.insert(size, statistics);
    }
    Ok(())
}

/// The sizes for which there are files with this ending.
fn sizes(names: &[String], ending: &str) -> Vec<String> {
    let size = |name: &String| {
        let size = name.strip_prefix("hugetlb.")?.strip_suffix(ending)?;
        (!size.contains('.')).then(|| size.to_owned())
    };
    names.iter().filter_map(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_by_the_names_of_files() {
        let names = [
            "hugetlb.2MB.current",
            "hugetlb.2MB.rsvd.current",
            "hugetlb.2MB.events",
            "hugetlb.1GB.current",
            "memory.current",
        ];
        assert_eq!(sizes(&names.map(str::to_owned), ".current"), ["2MB", "1GB"]);
    }
}
