//! `/linux/resources` in the terms of cgroup v2, converted from those of v1.
//!
//! Called by `cgroup` for the controllers that cgroup v2 has. A field that cannot be converted is a
//! fault, as config-linux.md, "Unified", demands; a value that asks for what v2 does anyway is not.
//! Nothing in this file knows where the cgroup is.

use super::cgroup_sheet::Section;
use super::resources_both::{
    cpu_is_valid, device_number, given, memory_is_valid, swappiness, throttles, unless_zero, weight,
};
use crate::spec::{BlockIo, Cpu, Memory};
use crate::task::cgroup::OnMissing;

/// `cpu.cpus` and `cpu.mems`.
pub(super) fn cpuset(cpu: &Cpu, section: &mut Section<'_, '_>) {
    // The files have the same names, and an empty list means the parent's.
    super::resources_both::cpuset(cpu, section);
}

/// `memory`: swap is a limit of its own here, and not of memory and swap together.
pub(super) fn memory(memory: &Memory, section: &mut Section<'_, '_>) {
    let refused = [
        ("kernel", memory.kernel.is_some_and(|limit| limit > 0)),
        ("kernelTCP", memory.kernel_tcp.is_some_and(|limit| limit > 0)),
        ("swappiness", swappiness(memory).is_some()),
        ("disableOOMKiller", memory.disable_oom_killer == Some(true)),
    ];
    let mut valid = memory_is_valid(memory, section);
    for (field, _) in refused.into_iter().filter(|(_, set)| *set) {
        section.fault(field, format!("cgroup v2 has nothing like {field}"));
        valid = false;
    }
    if !valid {
        return;
    }
    match swap(memory) {
        Ok(None) => {}
        // Where the kernel counts no swap, none is limited: that is what "max" says.
        Ok(Some(-1)) => section.write_or("swap", "memory.swap.max", "max", OnMissing::Skip),
        Ok(Some(0)) => section.write_or("swap", "memory.swap.max", 0, OnMissing::Warn),
        Ok(Some(swap)) => section.write("swap", "memory.swap.max", swap),
        Err(message) => section.fault("swap", message),
    }
    if let Some(limit) = given(memory.limit) {
        section.write("limit", "memory.max", bytes(limit));
    }
    if let Some(reservation) = given(memory.reservation) {
        section.write("reservation", "memory.low", bytes(reservation));
    }
    // `checkBeforeUpdate` protects processes in the cgroup: at creation there are none.
}

fn bytes(limit: i64) -> String {
    if limit < 0 { "max".to_owned() } else { limit.to_string() }
}

/// The limit of swap alone; -1 for none. With unlimited memory the sum is unlimited too, so a
/// number given for it can only be meant for swap.
fn swap(memory: &Memory) -> Result<Option<i64>, &'static str> {
    match (memory.limit.unwrap_or(0), memory.swap.unwrap_or(0)) {
        (-1, 0) | (_, -1) => Ok(Some(-1)),
        (_, 0) => Ok(None),
        (-1, swap) => Ok(Some(swap)),
        (0, _) => Err("memory and swap together can be limited only if memory is"),
        (limit, swap) => Ok(Some(swap - limit)),
    }
}

/// `cpu`.
pub(super) fn cpu(cpu: &Cpu, section: &mut Section<'_, '_>) {
    /// The kernel's own, in microseconds.
    const PERIOD: u64 = 100_000;
    let mut valid = cpu_is_valid(cpu, section);
    let refused = [
        ("realtimePeriod", given(cpu.realtime_period).is_some()),
        ("realtimeRuntime", given(cpu.realtime_runtime).is_some()),
    ];
    for (field, _) in refused.into_iter().filter(|(_, set)| *set) {
        section.fault(field, "cgroup v2 does not control real-time tasks");
        valid = false;
    }
    if !valid {
        return;
    }
    if let Some(shares) = given(cpu.shares) {
        section.write("shares", "cpu.weight", weight_of(shares));
    }
    if let Some(idle) = cpu.idle {
        section.write_or("idle", "cpu.idle", idle, unless_zero(idle == 0));
    }
    let (quota, period) = (given(cpu.quota), given(cpu.period));
    if quota.is_some() || period.is_some() {
        let field = if quota.is_some() { "quota" } else { "period" };
        let limit = quota.filter(|q| *q > 0).map_or("max".to_owned(), |q| q.to_string());
        section.write(field, "cpu.max", format!("{limit} {}", period.unwrap_or(PERIOD)));
    }
    if let Some(burst) = cpu.burst {
        section.write_or("burst", "cpu.max.burst", burst, unless_zero(burst == 0));
    }
}

/// Shares of v1, 2 to 262144, as a weight, 1 to 10000: through the ends and through the defaults,
/// 1024 and 100, of both, quadratic between the logarithms. All runtimes round it in this way.
fn weight_of(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            10f64.powf(exponent).ceil() as u64
        }
    }
}

/// `blockIO`.
pub(super) fn block_io(block_io: &BlockIo, section: &mut Section<'_, '_>) {
    if given(block_io.leaf_weight).is_some() {
        section.fault("leafWeight", "cgroup v2 has nothing like leafWeight");
    }
    if let Some(weight) = weight(block_io.weight, "weight", section) {
        let missing = without_bfq(io_weight(weight).to_string());
        section.write_or("weight", "io.bfq.weight", weight, missing);
    }
    for (i, device) in block_io.weight_device.iter().enumerate() {
        let field = format!("weightDevice/{i}");
        let Some(number) = device_number(device.major, device.minor, &field, section) else {
            continue;
        };
        if given(device.leaf_weight).is_some() {
            let field = format!("{field}/leafWeight");
            section.fault(&field, "cgroup v2 has nothing like leafWeight");
        } else if device.weight.is_none() {
            section.fault(&field, "one of weight and leafWeight is required");
        }
        if let Some(weight) = weight(device.weight, &format!("{field}/weight"), section) {
            let missing = without_bfq(format!("{number} {}", io_weight(weight)));
            section.write_or(&field, "io.bfq.weight", format!("{number} {weight}"), missing);
        }
    }
    for ((field, _, devices), key) in
        throttles(block_io).iter().zip(["rbps", "wbps", "riops", "wiops"])
    {
        for (i, device) in devices.iter().enumerate() {
            let field = format!("{field}/{i}");
            if let Some(number) = device_number(device.major, device.minor, &field, section) {
                // 0 removes a limit of v1; v2 has a word for it.
                let rate = if device.rate == 0 { "max".into() } else { device.rate.to_string() };
                section.write(&field, "io.max", format!("{number} {key}={rate}"));
            }
        }
    }
}

/// Weights of v1, 10 to 1000, as those of `io.weight`, 1 to 10000: linear.
fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight) - 10) * 9999 / 990
}

/// `io.weight` is that of the kernel's cost model, where the BFQ scheduler is not built in.
fn without_bfq(value: String) -> OnMissing {
    OnMissing::Instead { file: "io.weight".to_owned(), value }
}

#[cfg(test)]
mod tests {
    use super::super::cgroup::trial::{fault, writes};
    use super::*;
    use crate::host::Cgroups;

    fn v2(resources: &str) -> Vec<String> {
        writes(&Cgroups::example_v2(), resources)
    }

    fn bad(resources: &str) -> String {
        fault(&Cgroups::example_v2(), resources)
    }

    #[test]
    fn shares_become_weights_as_in_the_other_runtimes() {
        // The ends and the default are fixed points; the others were computed with the formula in
        // another language.
        let known = [
            (1, 1),
            (2, 1),
            (3, 2),
            (10, 4),
            (100, 17),
            (512, 59),
            (1000, 99),
            (1024, 100),
            (1025, 101),
            (2048, 174),
            (4096, 303),
            (100_000, 4340),
            (262_143, 10_000),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ];
        for (shares, weight) in known {
            assert_eq!(weight_of(shares), weight, "{shares}");
        }
    }

    #[test]
    fn every_value_is_written_in_the_terms_of_v2() {
        let resources = r#"{
            "memory": {"limit":33554432,"reservation":16777216,"swap":67108864},
            "cpu": {"shares":512,"quota":50000,"period":100000,"cpus":"0-1","mems":"0","burst":10,
                    "idle":0},
            "pids": {"limit":20},
            "blockIO": {"weight":500,"weightDevice":[{"major":8,"minor":0,"weight":10}],
                "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}],
                "throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":2}],
                "throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":0}],
                "throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":4}]},
            "hugepageLimits": [{"pageSize":"1GB","limit":0}],
            "rdma": {"mlx":{"hcaHandles":0}}
        }"#;
        let expected = [
            "cpuset.cpus 0-1",
            "cpuset.mems 0",
            "memory.swap.max 33554432",
            "memory.max 33554432",
            "memory.low 16777216",
            "cpu.weight 59",
            "cpu.idle 0 if it is there",
            "cpu.max 50000 100000",
            "cpu.max.burst 10",
            "pids.max 20",
            "io.bfq.weight 500 or else io.weight 4950",
            "io.bfq.weight 8:0 10 or else io.weight 8:0 1",
            "io.max 8:0 rbps=1",
            "io.max 8:0 wbps=2",
            "io.max 8:0 riops=max",
            "io.max 8:0 wiops=4",
            "hugetlb.1GB.max 0",
            "hugetlb.1GB.rsvd.max 0 if it is there",
            "rdma.max mlx hca_handle=0",
        ];
        assert_eq!(v2(resources), expected);
    }

    #[test]
    fn swap_is_what_is_left_of_the_sum() {
        let memory = |limit: &str, swap: &str| {
            v2(&format!(r#"{{"memory":{{"limit":{limit},"swap":{swap}}}}}"#))
        };
        assert_eq!(memory("100", "300"), ["memory.swap.max 200", "memory.max 100"]);
        let none = ["memory.swap.max 0 if it is there", "memory.max 100"];
        assert_eq!(memory("100", "100"), none);
        let unlimited = "memory.swap.max max if it is there";
        assert_eq!(memory("100", "-1"), [unlimited, "memory.max 100"]);
        assert_eq!(memory("-1", "0"), [unlimited, "memory.max max"]);
        assert_eq!(memory("-1", "300"), ["memory.swap.max 300", "memory.max max"]);
        assert_eq!(memory("null", "-1"), [unlimited]);
        assert_eq!(memory("100", "0"), ["memory.max 100"]);
        let alone = bad(r#"{"memory":{"swap":300}}"#);
        assert!(alone.contains("can be limited only if memory is"), "{alone}");
    }

    #[test]
    fn a_quota_and_a_period_are_one_value() {
        let cpu = |fields: &str| v2(&format!(r#"{{"cpu":{{{fields}}}}}"#));
        assert_eq!(cpu(r#""quota":5000"#), ["cpu.max 5000 100000"]);
        assert_eq!(cpu(r#""period":5000"#), ["cpu.max max 5000"]);
        assert_eq!(cpu(r#""quota":-1,"period":5000"#), ["cpu.max max 5000"]);
        assert_eq!(cpu(r#""idle":1"#), ["cpu.idle 1"]);
        assert_eq!(cpu(r#""shares":0,"quota":0,"period":0"#), Vec::<String>::new());
    }

    #[test]
    fn what_cannot_be_converted_is_a_fault() {
        let refused = [
            (r#"{"memory":{"kernel":1}}"#, "/memory/kernel"),
            (r#"{"memory":{"kernelTCP":1}}"#, "/memory/kernelTCP"),
            (r#"{"memory":{"swappiness":0}}"#, "/memory/swappiness"),
            (r#"{"memory":{"disableOOMKiller":true}}"#, "/memory/disableOOMKiller"),
            (r#"{"memory":{"useHierarchy":false}}"#, "/memory/useHierarchy"),
            (r#"{"cpu":{"realtimeRuntime":1}}"#, "/cpu/realtimeRuntime"),
            (r#"{"cpu":{"realtimePeriod":1}}"#, "/cpu/realtimePeriod"),
            (r#"{"blockIO":{"leafWeight":10}}"#, "/blockIO/leafWeight"),
            (
                r#"{"blockIO":{"weightDevice":[{"major":8,"minor":0,"leafWeight":10}]}}"#,
                "/blockIO/weightDevice/0/leafWeight",
            ),
            (r#"{"network":{"priorities":[{"name":"a","priority":1}]}}"#, "/network/priorities/0"),
        ];
        for (resources, pointer) in refused {
            let fault = bad(resources);
            assert!(fault.ends_with(&format!("(config.json {pointer})")), "{fault}");
        }
    }

    #[test]
    fn what_v2_does_anyway_is_no_fault() {
        let resources = r#"{"memory":{"kernel":-1,"kernelTCP":-1,"disableOOMKiller":false,
            "useHierarchy":true,"checkBeforeUpdate":true},"cpu":{"realtimeRuntime":0},
            "blockIO":{"leafWeight":0}}"#;
        assert_eq!(v2(resources), Vec::<String>::new());
    }
}
