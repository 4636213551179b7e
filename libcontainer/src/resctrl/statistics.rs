//! What the kernel tells of a container's class, and counts in its group.
//!
//! What the processor or the kernel does not have is absent and no error, and so is a number that
//! it cannot tell at the moment.

use std::fs;
use std::path::{Path, PathBuf};

use super::Group;

/// Shares of caches and of memory bandwidth, and their use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IntelRdtStatistics {
    /// What there is of the level 3 cache to share.
    pub cache: Option<CacheInfo>,
    /// The line of the default class about it.
    pub cache_schema_root: Option<String>,
    /// The line of the container's class about it.
    pub cache_schema: Option<String>,
    /// How memory bandwidth is shared.
    pub bandwidth: Option<BandwidthInfo>,
    /// The line of the default class about it.
    pub bandwidth_schema_root: Option<String>,
    /// The line of the container's class about it.
    pub bandwidth_schema: Option<String>,
    /// What is used of each level 3 cache, in their order: by the container alone if it has a
    /// monitoring group or a class of its own, else by all that are in its class.
    pub domains: Vec<CacheDomain>,
}

/// What there is of a cache to share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheInfo {
    /// The mask that stands for all of it, in hexadecimal digits.
    pub mask: Option<String>,
    /// The fewest bits a mask can have.
    pub fewest_bits: Option<u64>,
    /// How many classes there can be.
    pub classes: Option<u64>,
}

/// How memory bandwidth is shared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BandwidthInfo {
    /// The step, in percent.
    pub granularity: Option<u64>,
    /// 1 if the delay is proportional to what is asked for.
    pub delay_linear: Option<u64>,
    /// The least, in percent.
    pub least: Option<u64>,
    /// How many classes there can be.
    pub classes: Option<u64>,
}

/// What is used of one level 3 cache, and through it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheDomain {
    /// Bytes in the cache.
    pub occupancy: Option<u64>,
    /// Bytes from and to memory.
    pub total_bytes: Option<u64>,
    /// Bytes from and to the memory of its own node.
    pub local_bytes: Option<u64>,
}

impl Group {
    /// What the kernel tells now. A group that is gone has no numbers.
    pub(crate) fn statistics(&self) -> IntelRdtStatistics {
        let info = self.root.join("info");
        let schema = |dir: &Path, resource: &str| {
            let text = fs::read_to_string(dir.join("schemata")).ok()?;
            let line = text.lines().map(str::trim).find(|line| line.starts_with(resource));
            line.map(str::to_owned)
        };
        let class = self.dir();
        IntelRdtStatistics {
            cache: directory(&info.join("L3"), |dir| CacheInfo {
                mask: text(dir, "cbm_mask"),
                fewest_bits: number(dir, "min_cbm_bits"),
                classes: number(dir, "num_closids"),
            }),
            cache_schema_root: schema(&self.root, "L3"),
            cache_schema: schema(&class, "L3"),
            bandwidth: directory(&info.join("MB"), |dir| BandwidthInfo {
                granularity: number(dir, "bandwidth_gran"),
                delay_linear: number(dir, "delay_linear"),
                least: number(dir, "min_bandwidth"),
                classes: number(dir, "num_closids"),
            }),
            bandwidth_schema_root: schema(&self.root, "MB:"),
            bandwidth_schema: schema(&class, "MB:"),
            domains: domains(&self.monitor_dir().unwrap_or(class).join("mon_data")),
        }
    }
}

fn domains(dir: &Path) -> Vec<CacheDomain> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let of_caches = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mon_L3_"))
    };
    let mut dirs: Vec<_> = entries.filter(of_caches).collect();
    dirs.sort();
    let domain = |dir: &PathBuf| CacheDomain {
        occupancy: number(dir, "llc_occupancy"),
        total_bytes: number(dir, "mbm_total_bytes"),
        local_bytes: number(dir, "mbm_local_bytes"),
    };
    dirs.iter().map(domain).collect()
}

/// What is in a directory, if it is there.
fn directory<T>(dir: &Path, read: impl Fn(&Path) -> T) -> Option<T> {
    fs::metadata(dir).is_ok().then(|| read(dir))
}

fn text(dir: &Path, file: &str) -> Option<String> {
    Some(fs::read_to_string(dir.join(file)).ok()?.trim().to_owned())
}

/// A number, and not a word such as `Unavailable`.
fn number(dir: &Path, file: &str) -> Option<u64> {
    text(dir, file)?.parse().ok()
}
