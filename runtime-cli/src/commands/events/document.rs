//! The lines of `keel events`: members, their order and which of them are left out are runc's.
//!
//! runc leaves out most numbers that are 0 and every list that is empty, and writes 0 for what is
//! not known; so does this. What the library knows beyond that is not written: other programs read
//! these lines into types of their own.

use std::fmt::{Display, Write};

use libcontainer::{
    BandwidthInfo, BlockIoEntry, BlockIoStatistics, CacheDomain, CacheInfo, CpuStatistics,
    CpusetStatistics, HugetlbStatistics, IntelRdtStatistics, MemoryCounter, MemoryStatistics,
    PidsStatistics, Pressure, Stall, Statistics,
};

/// The line that says that memory ran out.
pub(super) fn out_of_memory(id: &str) -> String {
    Object::default().text("type", "oom").text("id", id).line()
}

/// The line with what is used.
pub(super) fn statistics(id: &str, numbers: &Statistics) -> String {
    let mut pages = Object::default();
    for (size, numbers) in &numbers.hugetlb {
        pages = pages.member(size, hugetlb(numbers));
    }
    let data = Object::default()
        .member("cpu", cpu(&numbers.cpu))
        .member("cpuset", cpuset(&numbers.cpuset))
        .member("memory", memory(&numbers.memory))
        .member("pids", pids(&numbers.pids))
        .member("blkio", block_io(&numbers.block_io))
        .member("hugetlb", pages)
        .member("intel_rdt", numbers.intel_rdt.as_ref().map(shares).unwrap_or_default())
        .member("network_interfaces", "null");
    Object::default().text("type", "stats").text("id", id).member("data", data).line()
}

fn cpu(numbers: &CpuStatistics) -> Object {
    let usage = Object::default()
        .unless_zero("total", numbers.usage)
        .unless_empty("percpu", &numbers.per_cpu)
        .unless_empty("percpu_kernel", &numbers.per_cpu_system)
        .unless_empty("percpu_user", &numbers.per_cpu_user)
        .number("kernel", numbers.system)
        .number("user", numbers.user);
    let throttling = Object::default()
        .unless_zero("periods", numbers.periods)
        .unless_zero("throttledPeriods", numbers.throttled_periods)
        .unless_zero("throttledTime", numbers.throttled_time);
    let cpu = Object::default().member("usage", usage).member("throttling", throttling);
    cpu.pressure(numbers.pressure.as_ref())
}

fn cpuset(numbers: &CpusetStatistics) -> Object {
    Object::default()
        .unless_empty("cpus", &numbers.cpus)
        .number("cpu_exclusive", numbers.cpu_exclusive)
        .unless_empty("mems", &numbers.mems)
        .number("mem_hardwall", numbers.mem_hardwall)
        .number("mem_exclusive", numbers.mem_exclusive)
        .number("memory_migrate", numbers.memory_migrate)
        .number("memory_spread_page", numbers.memory_spread_page)
        .number("memory_spread_slab", numbers.memory_spread_slab)
        .number("memory_pressure", numbers.memory_pressure)
        .number("sched_load_balance", numbers.sched_load_balance)
        .member("sched_relax_domain_level", numbers.sched_relax_domain_level.unwrap_or(0))
}

fn memory(numbers: &MemoryStatistics) -> Object {
    let mut raw = Object::default();
    for (name, number) in &numbers.stat {
        raw = raw.member(name, number);
    }
    let memory = Object::default()
        .unless_zero("cache", numbers.cache())
        .member("usage", counter(&numbers.usage))
        .member("swap", counter(&numbers.with_swap))
        .member("kernel", counter(&numbers.kernel))
        .member("kernelTCP", counter(&numbers.kernel_tcp));
    let memory = if numbers.stat.is_empty() { memory } else { memory.member("raw", raw) };
    memory.pressure(numbers.pressure.as_ref())
}

fn counter(numbers: &MemoryCounter) -> Object {
    Object::default()
        .number("limit", numbers.limit)
        .unless_zero("usage", numbers.usage)
        .unless_zero("max", numbers.peak)
        .number("failcnt", numbers.failures)
}

/// No limit is written as 0, and so not at all.
fn pids(numbers: &PidsStatistics) -> Object {
    let limit = numbers.limit.filter(|limit| *limit != u64::MAX);
    Object::default().unless_zero("current", numbers.current).unless_zero("limit", limit)
}

fn block_io(numbers: &BlockIoStatistics) -> Object {
    Object::default()
        .entries("ioServiceBytesRecursive", &numbers.bytes)
        .entries("ioServicedRecursive", &numbers.operations)
        .entries("ioQueueRecursive", &numbers.queued)
        .entries("ioServiceTimeRecursive", &numbers.service_time)
        .entries("ioWaitTimeRecursive", &numbers.wait_time)
        .entries("ioMergedRecursive", &numbers.merged)
        .entries("ioTimeRecursive", &numbers.time)
        .entries("sectorsRecursive", &numbers.sectors)
        .pressure(numbers.pressure.as_ref())
}

/// Reservations, where the kernel counts them: they are what a limit is about.
fn hugetlb(numbers: &HugetlbStatistics) -> Object {
    let (usage, peak, failures) = match numbers.reserved {
        Some(_) if numbers.reserved_failures.is_none() => {
            (numbers.reserved, numbers.reserved_peak, numbers.failures)
        }
        Some(_) => (numbers.reserved, numbers.reserved_peak, numbers.reserved_failures),
        None => (numbers.usage, numbers.peak, numbers.failures),
    };
    Object::default()
        .unless_zero("usage", usage)
        .unless_zero("max", peak)
        .number("failcnt", failures)
}

/// Shares of caches and memory bandwidth. runc calls what is counted of them after Intel's features:
/// memory bandwidth monitoring and cache monitoring technology.
fn shares(numbers: &IntelRdtStatistics) -> Object {
    let cache = |info: &CacheInfo| {
        Object::default()
            .text_if("cbm_mask", info.mask.as_deref())
            .unless_zero("min_cbm_bits", info.fewest_bits)
            .unless_zero("num_closids", info.classes)
    };
    let bandwidth = |info: &BandwidthInfo| {
        Object::default()
            .unless_zero("bandwidth_gran", info.granularity)
            .unless_zero("delay_linear", info.delay_linear)
            .unless_zero("min_bandwidth", info.least)
            .unless_zero("num_closids", info.classes)
    };
    let flow = |domain: &CacheDomain| {
        Object::default()
            .number("mbm_total_bytes", domain.total_bytes)
            .number("mbm_local_bytes", domain.local_bytes)
    };
    let occupancy =
        |domain: &CacheDomain| Object::default().number("llc_occupancy", domain.occupancy);
    let counted = |is: fn(&CacheDomain) -> bool, object: &dyn Fn(&CacheDomain) -> Object| {
        let any = numbers.domains.iter().any(is);
        let all = numbers.domains.iter().filter(|_| any);
        all.map(object).collect::<Vec<Object>>()
    };
    let moved = counted(|of| of.total_bytes.or(of.local_bytes).is_some(), &flow);
    let held = counted(|of| of.occupancy.is_some(), &occupancy);
    Object::default()
        .member_if("l3_cache_info", numbers.cache.as_ref().map(cache))
        .text_if("l3_cache_schema_root", numbers.cache_schema_root.as_deref())
        .text_if("l3_cache_schema", numbers.cache_schema.as_deref())
        .member_if("mem_bw_info", numbers.bandwidth.as_ref().map(bandwidth))
        .text_if("mem_bw_schema_root", numbers.bandwidth_schema_root.as_deref())
        .text_if("mem_bw_schema", numbers.bandwidth_schema.as_deref())
        .unless_empty("mbm_stats", &moved)
        .unless_empty("cmt_stats", &held)
}

fn stall(stall: &Stall) -> Object {
    Object::default()
        .member("avg10", stall.avg10)
        .member("avg60", stall.avg60)
        .member("avg300", stall.avg300)
        .member("total", stall.total)
}

/// The members of a JSON object as text, in the order in which they are added.
#[derive(Default)]
struct Object(String);

impl Object {
    /// A member with a value that is JSON as it stands.
    fn member(mut self, name: &str, value: impl Display) -> Self {
        let comma = if self.0.is_empty() { "" } else { "," };
        let _ = write!(self.0, "{comma}{}:{value}", serde_json::Value::from(name));
        self
    }

    fn text(self, name: &str, text: &str) -> Self {
        self.member(name, serde_json::Value::from(text))
    }

    fn member_if(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.member(name, value),
            None => self,
        }
    }

    fn text_if(self, name: &str, text: Option<&str>) -> Self {
        self.member_if(name, text.map(serde_json::Value::from))
    }

    fn number(self, name: &str, number: Option<u64>) -> Self {
        self.member(name, number.unwrap_or(0))
    }

    fn unless_zero(self, name: &str, number: Option<u64>) -> Self {
        match number {
            None | Some(0) => self,
            Some(number) => self.member(name, number),
        }
    }

    fn unless_empty(self, name: &str, list: &[impl Display]) -> Self {
        if list.is_empty() {
            return self;
        }
        let items: Vec<String> = list.iter().map(ToString::to_string).collect();
        self.member(name, format_args!("[{}]", items.join(",")))
    }

    fn entries(self, name: &str, entries: &[BlockIoEntry]) -> Self {
        let entry = |entry: &BlockIoEntry| {
            let device = Object::default()
                .unless_zero("major", Some(entry.major))
                .unless_zero("minor", Some(entry.minor));
            let device = match entry.operation.as_str() {
                "" => device,
                operation => device.text("op", operation),
            };
            device.unless_zero("value", Some(entry.value))
        };
        let list: Vec<Object> = entries.iter().map(entry).collect();
        self.unless_empty(name, &list)
    }

    fn pressure(self, pressure: Option<&Pressure>) -> Self {
        let Some(pressure) = pressure else { return self };
        let both = Object::default().member("some", stall(&pressure.some));
        let both = match &pressure.full {
            Some(full) => both.member("full", stall(full)),
            None => both,
        };
        self.member("psi", both)
    }

    fn line(&self) -> String {
        format!("{self}\n")
    }
}

impl Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{{}}}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_counted_is_left_out_or_0_as_runc_has_it() {
        let nothing = "{\"limit\":0,\"failcnt\":0}";
        let expected = format!(
            "{{\"type\":\"stats\",\"id\":\"web\",\"data\":{{\
             \"cpu\":{{\"usage\":{{\"kernel\":0,\"user\":0}},\"throttling\":{{}}}},\
             \"cpuset\":{{\"cpu_exclusive\":0,\"mem_hardwall\":0,\"mem_exclusive\":0,\
             \"memory_migrate\":0,\"memory_spread_page\":0,\"memory_spread_slab\":0,\
             \"memory_pressure\":0,\"sched_load_balance\":0,\"sched_relax_domain_level\":0}},\
             \"memory\":{{\"usage\":{nothing},\"swap\":{nothing},\"kernel\":{nothing},\
             \"kernelTCP\":{nothing}}},\
             \"pids\":{{}},\"blkio\":{{}},\"hugetlb\":{{}},\"intel_rdt\":{{}},\
             \"network_interfaces\":null}}}}\n"
        );
        assert_eq!(statistics("web", &Statistics::default()), expected);
    }

    #[test]
    fn memory_that_ran_out_is_one_line() {
        assert_eq!(out_of_memory("web"), "{\"type\":\"oom\",\"id\":\"web\"}\n");
    }

    #[test]
    fn entries_of_devices_leave_out_what_is_0() {
        let entry = |major, operation: &str, value| BlockIoEntry {
            major,
            minor: 1,
            operation: operation.into(),
            value,
        };
        let numbers = BlockIoStatistics {
            bytes: vec![entry(8, "Read", 4096), entry(0, "Write", 0)],
            sectors: vec![entry(8, "", 8)],
            ..BlockIoStatistics::default()
        };
        assert_eq!(
            block_io(&numbers).to_string(),
            "{\"ioServiceBytesRecursive\":[{\"major\":8,\"minor\":1,\"op\":\"Read\",\"value\":4096},\
             {\"minor\":1,\"op\":\"Write\"}],\
             \"sectorsRecursive\":[{\"major\":8,\"minor\":1,\"value\":8}]}"
        );
    }

    #[test]
    fn huge_pages_are_those_reserved_and_pressure_is_beside_the_rest() {
        let pages = HugetlbStatistics {
            usage: Some(1),
            failures: Some(2),
            reserved: Some(3),
            ..HugetlbStatistics::default()
        };
        assert_eq!(hugetlb(&pages).to_string(), "{\"usage\":3,\"failcnt\":2}");
        let some = Stall { avg10: 1.5, total: 7, ..Stall::default() };
        let numbers = BlockIoStatistics {
            pressure: Some(Pressure { some, full: None }),
            ..BlockIoStatistics::default()
        };
        assert_eq!(
            block_io(&numbers).to_string(),
            "{\"psi\":{\"some\":{\"avg10\":1.5,\"avg60\":0,\"avg300\":0,\"total\":7}}}"
        );
    }

    #[test]
    fn shares_are_told_with_runcs_members() {
        let domain = CacheDomain { occupancy: Some(4096), total_bytes: Some(9), local_bytes: None };
        let numbers = IntelRdtStatistics {
            cache: Some(CacheInfo {
                mask: Some("7ff".to_owned()),
                fewest_bits: Some(2),
                classes: Some(16),
            }),
            cache_schema: Some("L3:0=f".to_owned()),
            domains: vec![domain, CacheDomain::default()],
            ..IntelRdtStatistics::default()
        };
        assert_eq!(
            shares(&numbers).to_string(),
            "{\"l3_cache_info\":{\"cbm_mask\":\"7ff\",\"min_cbm_bits\":2,\"num_closids\":16},\
             \"l3_cache_schema\":\"L3:0=f\",\
             \"mbm_stats\":[{\"mbm_total_bytes\":9,\"mbm_local_bytes\":0},\
             {\"mbm_total_bytes\":0,\"mbm_local_bytes\":0}],\
             \"cmt_stats\":[{\"llc_occupancy\":4096},{\"llc_occupancy\":0}]}"
        );
        let uncounted = IntelRdtStatistics { domains: vec![CacheDomain::default()], ..numbers };
        assert!(!shares(&uncounted).to_string().contains("stats"));
    }
}
