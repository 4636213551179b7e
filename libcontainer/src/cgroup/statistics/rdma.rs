//! RDMA devices: `rdma`, the same on cgroup v1 and v2.
//!
//! Sources: `cgroup-v1/rdma.rst`, `cgroup-v2.rst` "RDMA Interface Files".

use std::collections::BTreeMap;

use super::files::Files;
use super::format;
use crate::error::Result;

/// What is used of one RDMA device.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RdmaStatistics {
    /// Handles (`hca_handle` of `rdma.current`).
    pub handles: Option<u64>,
    /// Objects (`hca_object` of `rdma.current`).
    pub objects: Option<u64>,
    /// How many handles there may be; [`u64::MAX`] without a limit (`rdma.max`).
    pub handle_limit: Option<u64>,
    /// How many objects there may be; [`u64::MAX`] without a limit (`rdma.max`).
    pub object_limit: Option<u64>,
}

pub(super) fn read(into: &mut BTreeMap<String, RdmaStatistics>, files: &Files) -> Result<()> {
    for (device, numbers) in files.parse("rdma.current", devices)?.unwrap_or_default() {
        let device = into.entry(device).or_default();
        [device.handles, device.objects] = numbers;
    }
    for (device, numbers) in files.parse("rdma.max", devices)?.unwrap_or_default() {
        let device = into.entry(device).or_default();
        [device.handle_limit, device.object_limit] = numbers;
    }
    Ok(())
}

/// Each device with its handles and objects.
fn devices(text: &str) -> Option<Vec<(String, [Option<u64>; 2])>> {
    let mut devices = Vec::new();
    for (name, fields) in format::nested(text)? {
        let mut numbers = [None; 2];
        for (key, value) in fields {
            match key.as_str() {
                "hca_handle" => numbers[0] = Some(format::number(&value)?),
                "hca_object" => numbers[1] = Some(format::number(&value)?),
                _ => {}
            }
        }
        devices.push((name, numbers));
    }
    Some(devices)
}
