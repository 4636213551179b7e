//! Block devices: `blkio` of cgroup v1, `io.stat` of v2.
//!
//! Sources: `cgroup-v1/blkio-controller.rst`, `block/bfq-iosched.rst`, `cgroup-v2.rst` "IO Interface
//! Files".

use super::files::Files;
use super::format;
use super::pressure::Pressure;
use crate::error::Result;

/// What was read from and written to block devices, by the cgroup and those below it. Only bytes and
/// operations are counted everywhere; the rest needs a scheduler of I/O that does, on cgroup v1.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BlockIoStatistics {
    /// Bytes (`io_service_bytes`; `rbytes`, `wbytes`, `dbytes`).
    pub bytes: Vec<BlockIoEntry>,
    /// Operations (`io_serviced`; `rios`, `wios`, `dios`).
    pub operations: Vec<BlockIoEntry>,
    /// Operations that wait now (`io_queued`).
    pub queued: Vec<BlockIoEntry>,
    /// How long devices were busy with operations, in nanoseconds (`io_service_time`).
    pub service_time: Vec<BlockIoEntry>,
    /// How long operations waited for devices, in nanoseconds (`io_wait_time`).
    pub wait_time: Vec<BlockIoEntry>,
    /// Operations that became part of others (`io_merged`).
    pub merged: Vec<BlockIoEntry>,
    /// How long devices were the cgroup's own, in milliseconds (`time`).
    pub time: Vec<BlockIoEntry>,
    /// Sectors of 512 bytes (`sectors`).
    pub sectors: Vec<BlockIoEntry>,
    /// How processes had to wait for devices (`io.pressure`; v2 alone).
    pub pressure: Option<Pressure>,
}

/// One number of one device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockIoEntry {
    /// The device's major number.
    pub major: u64,
    /// The device's minor number.
    pub minor: u64,
    /// `Read`, `Write`, `Discard`; on cgroup v1 also `Sync`, `Async` and `Total`, which count the
    /// same operations again. Empty where operations are not told apart.
    pub operation: String,
    /// The number.
    pub value: u64,
}

type Slot = fn(&mut BlockIoStatistics) -> &mut Vec<BlockIoEntry>;

/// The files of one scheduler of I/O, without the ending `_recursive`.
const DETAILED: [(&str, Slot); 8] = [
    ("io_service_bytes", |all| &mut all.bytes),
    ("io_serviced", |all| &mut all.operations),
    ("io_queued", |all| &mut all.queued),
    ("io_service_time", |all| &mut all.service_time),
    ("io_wait_time", |all| &mut all.wait_time),
    ("io_merged", |all| &mut all.merged),
    ("time", |all| &mut all.time),
    ("sectors", |all| &mut all.sectors),
];

impl BlockIoStatistics {
    /// The scheduler of I/O that has counted anything, or else what every device passes.
    pub(super) fn read_v1(&mut self, files: &Files) -> Result<()> {
        for prefix in ["blkio.bfq", "blkio", "blkio.throttle"] {
            for (name, slot) in DETAILED {
                let file = format!("{prefix}.{name}_recursive");
                *slot(self) = files.parse(&file, entries)?.unwrap_or_default();
            }
            if !self.operations.is_empty() {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn read_v2(&mut self, files: &Files) -> Result<()> {
        // Where v1 has the controller there is no such file.
        if let Some((bytes, operations)) = files.parse("io.stat", io_stat)? {
            (self.bytes, self.operations) = (bytes, operations);
        }
        Ok(())
    }
}

/// Lines of v1: `8:0 Read 4096`, or `8:0 4096`; the sum of all devices at the end is left out.
fn entries(text: &str) -> Option<Vec<BlockIoEntry>> {
    let mut entries = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (device, operation, value) = match words[..] {
            ["Total", _] => continue,
            [device, operation, value] => (device, operation, value),
            [device, value] => (device, "", value),
            _ => return None,
        };
        entries.push(entry(device, operation, value)?);
    }
    Some(entries)
}

/// Bytes and operations of v2: `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`.
fn io_stat(text: &str) -> Option<(Vec<BlockIoEntry>, Vec<BlockIoEntry>)> {
    let (mut bytes, mut operations) = (Vec::new(), Vec::new());
    for (device, fields) in format::nested(text)? {
        for (key, value) in fields {
            match key.as_str() {
                "rbytes" => bytes.push(entry(&device, "Read", &value)?),
                "wbytes" => bytes.push(entry(&device, "Write", &value)?),
                "dbytes" => bytes.push(entry(&device, "Discard", &value)?),
                "rios" => operations.push(entry(&device, "Read", &value)?),
                "wios" => operations.push(entry(&device, "Write", &value)?),
                "dios" => operations.push(entry(&device, "Discard", &value)?),
                // Those of the controllers of cost and latency.
                _ => {}
            }
        }
    }
    Some((bytes, operations))
}

fn entry(device: &str, operation: &str, value: &str) -> Option<BlockIoEntry> {
    let (major, minor) = device.split_once(':')?;
    Some(BlockIoEntry {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
        operation: operation.to_owned(),
        value: value.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(entries: &[BlockIoEntry]) -> Vec<String> {
        let one = |e: &BlockIoEntry| format!("{}:{} {} {}", e.major, e.minor, e.operation, e.value);
        entries.iter().map(one).collect()
    }

    #[test]
    fn a_line_of_v1_has_a_device_an_operation_and_a_number() {
        let text = "8:0 Read 100\n8:0 Write 200\n8:0 Discard 0\n8:0 Total 300\nTotal 300";
        let read = entries(text).unwrap();
        assert_eq!(
            shown(&read),
            ["8:0 Read 100", "8:0 Write 200", "8:0 Discard 0", "8:0 Total 300"]
        );
        assert_eq!(shown(&entries("252:1 77\nTotal 77").unwrap()), ["252:1  77"]);
        assert_eq!(entries("Total 0"), Some(vec![]));
        for bad in ["8:0", "8 Read 1", "8:x Read 1", "8:0 Read x", "8:0 Read 1 2"] {
            assert_eq!(entries(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_line_of_v2_has_a_device_and_its_fields() {
        let text = "254:1 rbytes=6901432320 wbytes=14245535744 rios=263278 wios=248603 dbytes=0 \
                    dios=0\n259:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=8";
        let (bytes, operations) = io_stat(text).unwrap();
        let expected = [
            "254:1 Read 6901432320",
            "254:1 Write 14245535744",
            "254:1 Discard 0",
            "259:0 Read 1",
            "259:0 Write 2",
            "259:0 Discard 5",
        ];
        assert_eq!(shown(&bytes), expected);
        let expected = [
            "254:1 Read 263278",
            "254:1 Write 248603",
            "254:1 Discard 0",
            "259:0 Read 3",
            "259:0 Write 4",
            "259:0 Discard 6",
        ];
        assert_eq!(shown(&operations), expected);
        assert_eq!(io_stat(""), Some((vec![], vec![])));
        assert_eq!(io_stat("8:0 rbytes=x"), None);
        assert_eq!(io_stat("sda rbytes=1"), None);
    }
}
