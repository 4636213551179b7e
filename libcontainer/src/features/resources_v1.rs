//! `/linux/resources` in the terms of cgroup v1.
//!
//! Called by `cgroup` for the controllers that a hierarchy of v1 has. Nothing in this file knows where
//! the cgroup is.

use super::cgroup_sheet::Section;
use super::resources_both::{
    cpu_is_valid, device_number, given, is_word, memory_is_valid, swappiness, throttles,
    unless_zero, weight,
};
use crate::spec::{BlockIo, Cpu, Memory, Network};
use crate::task::cgroup::OnMissing;

/// `memory`: the limit comes before that of memory and swap, which cannot be lower.
pub(super) fn memory(memory: &Memory, section: &mut Section<'_, '_>) {
    if !memory_is_valid(memory, section) {
        return;
    }
    if let Some(limit) = given(memory.limit) {
        section.write("limit", "memory.limit_in_bytes", limit);
    }
    match (given(memory.swap), memory.limit) {
        (Some(swap), _) => section.write("swap", "memory.memsw.limit_in_bytes", swap),
        // No limit of memory but one of memory and swap is not what -1 asks for.
        (None, Some(-1)) => {
            section.write_or("limit", "memory.memsw.limit_in_bytes", -1, OnMissing::Skip);
        }
        _ => {}
    }
    if let Some(reservation) = given(memory.reservation) {
        section.write("reservation", "memory.soft_limit_in_bytes", reservation);
    }
    if memory.kernel.is_some_and(|limit| limit > 0) {
        section.warn("kernel", "limits of kernel memory have no effect since Linux 5.16");
    }
    if let Some(limit) = given(memory.kernel_tcp) {
        section.write_or("kernelTCP", "memory.kmem.tcp.limit_in_bytes", limit, OnMissing::Warn);
    }
    if memory.disable_oom_killer == Some(true) {
        section.write("disableOOMKiller", "memory.oom_control", 1);
    }
    if let Some(swappiness) = swappiness(memory) {
        section.write("swappiness", "memory.swappiness", swappiness);
    }
    // `checkBeforeUpdate` needs nothing here: the kernel refuses a limit below the usage.
}

/// `cpu`: real-time first, as a real-time task cannot enter a cgroup without time for it.
pub(super) fn cpu(cpu: &Cpu, section: &mut Section<'_, '_>) {
    /// The kernel's bounds, to which it clamps without an error.
    const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;
    if !cpu_is_valid(cpu, section) {
        return;
    }
    if let Some(period) = given(cpu.realtime_period) {
        section.write("realtimePeriod", "cpu.rt_period_us", period);
    }
    if let Some(runtime) = given(cpu.realtime_runtime) {
        section.write("realtimeRuntime", "cpu.rt_runtime_us", runtime);
    }
    match given(cpu.shares) {
        Some(shares) if SHARES.contains(&shares) => section.write("shares", "cpu.shares", shares),
        Some(_) => section.fault("shares", "shares are from 2 to 262144, or 0 to leave them"),
        None => {}
    }
    if let Some(period) = given(cpu.period) {
        section.write("period", "cpu.cfs_period_us", period);
    }
    if let Some(quota) = given(cpu.quota) {
        section.write("quota", "cpu.cfs_quota_us", quota);
    }
    if let Some(burst) = cpu.burst {
        section.write_or("burst", "cpu.cfs_burst_us", burst, unless_zero(burst == 0));
    }
    if let Some(idle) = cpu.idle {
        section.write_or("idle", "cpu.idle", idle, unless_zero(idle == 0));
    }
}

/// `blockIO`. The weights' files bear the name of the scheduler that has replaced the one of v1.
pub(super) fn block_io(block_io: &BlockIo, section: &mut Section<'_, '_>) {
    if let Some(weight) = weight(block_io.weight, "weight", section) {
        section.write_or("weight", "blkio.weight", weight, bfq("blkio.bfq.weight", weight));
    }
    if let Some(weight) = weight(block_io.leaf_weight, "leafWeight", section) {
        section.write("leafWeight", "blkio.leaf_weight", weight);
    }
    for (i, device) in block_io.weight_device.iter().enumerate() {
        let field = format!("weightDevice/{i}");
        let Some(number) = device_number(device.major, device.minor, &field, section) else {
            continue;
        };
        if let Some(weight) = weight(device.weight, &format!("{field}/weight"), section) {
            let line = format!("{number} {weight}");
            let missing = bfq("blkio.bfq.weight_device", &line);
            section.write_or(&field, "blkio.weight_device", line, missing);
        }
        if let Some(weight) = weight(device.leaf_weight, &format!("{field}/leafWeight"), section) {
            let line = format!("{number} {weight}");
            section.write(&field, "blkio.leaf_weight_device", line);
        }
        if device.weight.is_none() && device.leaf_weight.is_none() {
            section.fault(&field, "one of weight and leafWeight is required");
        }
    }
    for (field, file, devices) in throttles(block_io) {
        for (i, device) in devices.iter().enumerate() {
            let field = format!("{field}/{i}");
            if let Some(number) = device_number(device.major, device.minor, &field, section) {
                let line = format!("{number} {}", device.rate);
                section.write(&field, &format!("blkio.throttle.{file}_device"), line);
            }
        }
    }
}

fn bfq(file: &str, value: impl ToString) -> OnMissing {
    OnMissing::Instead { file: file.to_owned(), value: value.to_string() }
}

/// `network.classID`.
pub(super) fn class(network: &Network, section: &mut Section<'_, '_>) {
    if let Some(class) = given(network.class_id) {
        section.write("classID", "net_cls.classid", class);
    }
}

/// `network.priorities`.
pub(super) fn priorities(network: &Network, section: &mut Section<'_, '_>) {
    for (i, entry) in network.priorities.iter().enumerate() {
        if is_word(&entry.name) {
            let line = format!("{} {}", entry.name, entry.priority);
            section.write(&format!("priorities/{i}"), "net_prio.ifpriomap", line);
        } else {
            let field = format!("priorities/{i}/name");
            section.fault(&field, "this is not the name of a network interface");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cgroup::trial::{fault, try_plan, writes};
    use crate::host::Cgroups;

    fn v1(resources: &str) -> Vec<String> {
        writes(&Cgroups::example_v1(), resources)
    }

    fn bad(resources: &str) -> String {
        fault(&Cgroups::example_v1(), resources)
    }

    #[test]
    fn values_and_their_order_are_those_of_runc() {
        let resources = r#"{
            "memory": {"limit":33554432,"reservation":16777216,"swap":67108864,"swappiness":10,
                       "disableOOMKiller":true},
            "cpu": {"shares":512,"quota":50000,"period":100000,"cpus":"0","mems":"0"},
            "pids": {"limit":20},
            "blockIO": {"throttleReadBpsDevice":[{"major":254,"minor":0,"rate":1048576}]}
        }"#;
        // As traced from runc 1.1.5 with this configuration.
        let expected = [
            "cpuset.cpus 0",
            "cpuset.mems 0",
            "memory.limit_in_bytes 33554432",
            "memory.memsw.limit_in_bytes 67108864",
            "memory.soft_limit_in_bytes 16777216",
            "memory.oom_control 1",
            "memory.swappiness 10",
            "cpu.shares 512",
            "cpu.cfs_period_us 100000",
            "cpu.cfs_quota_us 50000",
            "pids.max 20",
            "blkio.throttle.read_bps_device 254:0 1048576",
        ];
        assert_eq!(v1(resources), expected);
    }

    #[test]
    fn zero_and_absent_leave_everything_but_the_number_of_tasks() {
        let zeros = r#"{
            "memory": {"limit":0,"reservation":0,"swap":0,"kernel":0,"kernelTCP":0,
                       "disableOOMKiller":false,"useHierarchy":true,"checkBeforeUpdate":true,
                       "swappiness":18446744073709551615},
            "cpu": {"shares":0,"quota":0,"period":0,"realtimeRuntime":0,"realtimePeriod":0,
                    "cpus":"","mems":""},
            "blockIO": {"weight":0,"leafWeight":0}, "network": {"classID":0}, "pids": {}
        }"#;
        assert_eq!(v1(zeros), Vec::<String>::new());
        assert_eq!(v1(r#"{"pids":{"limit":0}}"#), ["pids.max 0"]);
        assert_eq!(v1(r#"{"pids":{"limit":-1}}"#), ["pids.max max"]);
        assert_eq!(v1(r#"{"memory":{"swappiness":0}}"#), ["memory.swappiness 0"]);
    }

    #[test]
    fn unlimited_memory_includes_swap() {
        assert_eq!(
            v1(r#"{"memory":{"limit":-1}}"#),
            ["memory.limit_in_bytes -1", "memory.memsw.limit_in_bytes -1 if it is there"]
        );
        assert_eq!(
            v1(r#"{"memory":{"limit":-1,"swap":4096}}"#),
            ["memory.limit_in_bytes -1", "memory.memsw.limit_in_bytes 4096"]
        );
    }

    #[test]
    fn kernel_memory_is_a_warning_and_its_buffers_of_tcp_a_limit() {
        let resources = r#"{"memory":{"kernel":4096,"kernelTCP":8192}}"#;
        let trial = try_plan(&Cgroups::example_v1(), Some("/a"), resources, false);
        let expected = "limits of kernel memory have no effect since Linux 5.16";
        let pointer = "/linux/resources/memory/kernel";
        assert_eq!(trial.warnings, [format!("{expected} (config.json {pointer})")]);
        assert_eq!(v1(resources), ["memory.kmem.tcp.limit_in_bytes 8192 if it is there"]);
    }

    #[test]
    fn invalid_limits_of_memory_are_faults() {
        assert!(bad(r#"{"memory":{"limit":-2}}"#).contains("/memory/limit"));
        assert_eq!(
            bad(r#"{"memory":{"limit":4096,"swap":1024}}"#),
            "the limit of memory and swap together is less than that of memory \
             (config.json /memory/swap)"
        );
        assert!(bad(r#"{"memory":{"swappiness":101}}"#).contains("from 0 to 100"));
        assert!(bad(r#"{"memory":{"useHierarchy":false}}"#).contains("always count"));
    }

    #[test]
    fn real_time_comes_before_all_that_the_cpu_is_shared_by() {
        let resources = r#"{"cpu":{"shares":1024,"realtimeRuntime":950000,"realtimePeriod":1000000,
            "quota":-1,"period":500000,"burst":1000,"idle":1}}"#;
        let expected = [
            "cpu.rt_period_us 1000000",
            "cpu.rt_runtime_us 950000",
            "cpu.shares 1024",
            "cpu.cfs_period_us 500000",
            "cpu.cfs_quota_us -1",
            "cpu.cfs_burst_us 1000",
            "cpu.idle 1",
        ];
        assert_eq!(v1(resources), expected);
        let zeros = r#"{"cpu":{"burst":0,"idle":0}}"#;
        let expected = ["cpu.cfs_burst_us 0 if it is there", "cpu.idle 0 if it is there"];
        assert_eq!(v1(zeros), expected);
    }

    #[test]
    fn invalid_limits_of_the_cpu_are_faults() {
        for shares in [1, 262_145] {
            let resources = format!(r#"{{"cpu":{{"shares":{shares}}}}}"#);
            assert!(bad(&resources).contains("from 2 to 262144"), "{shares}");
        }
        assert!(bad(r#"{"cpu":{"quota":1000,"burst":1001}}"#).contains("larger than the quota"));
        assert!(bad(r#"{"cpu":{"idle":2}}"#).contains("idle is 0 or 1"));
    }

    #[test]
    fn weights_go_to_the_scheduler_that_is_there() {
        let resources = r#"{"blockIO":{"weight":10,"leafWeight":20,"weightDevice":[
            {"major":8,"minor":0,"weight":500,"leafWeight":300},{"major":8,"minor":16,"weight":0}]}}"#;
        let expected = [
            "blkio.weight 10 or else blkio.bfq.weight 10",
            "blkio.leaf_weight 20",
            "blkio.weight_device 8:0 500 or else blkio.bfq.weight_device 8:0 500",
            "blkio.leaf_weight_device 8:0 300",
        ];
        assert_eq!(v1(resources), expected);
        assert!(bad(r#"{"blockIO":{"weight":9}}"#).contains("from 10 to 1000"));
        let empty = r#"{"blockIO":{"weightDevice":[{"major":8,"minor":0}]}}"#;
        assert!(bad(empty).contains("one of weight and leafWeight"));
    }

    #[test]
    fn rates_are_written_device_by_device() {
        let resources = r#"{"blockIO":{
            "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":600},{"major":8,"minor":1,"rate":0}],
            "throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":18446744073709551615}],
            "throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":3}],
            "throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":4}]}}"#;
        let expected = [
            "blkio.throttle.read_bps_device 8:0 600",
            "blkio.throttle.read_bps_device 8:1 0",
            "blkio.throttle.write_bps_device 8:0 18446744073709551615",
            "blkio.throttle.read_iops_device 8:0 3",
            "blkio.throttle.write_iops_device 8:0 4",
        ];
        assert_eq!(v1(resources), expected);
        let negative = r#"{"blockIO":{"throttleReadBpsDevice":[{"major":-1,"minor":0,"rate":1}]}}"#;
        assert_eq!(
            bad(negative),
            "-1:0 is not the number of a device (config.json /blockIO/throttleReadBpsDevice/0)"
        );
    }

    #[test]
    fn huge_pages_are_limited_in_use_and_in_reservation() {
        let resources = r#"{"hugepageLimits":[{"pageSize":"2MB","limit":209715200}]}"#;
        let expected = [
            "hugetlb.2MB.limit_in_bytes 209715200",
            "hugetlb.2MB.rsvd.limit_in_bytes 209715200 if it is there",
        ];
        assert_eq!(v1(resources), expected);
        for size in
            ["", "MB", "2mb", "2", "../../x", "2MB/..", "2.5MB", "2MB.rsvd", "99999999999KB"]
        {
            let resources = format!(r#"{{"hugepageLimits":[{{"pageSize":"{size}","limit":1}}]}}"#);
            let expected = format!(
                "\"{size}\" is not a page size such as 64KB, 2MB, 1GB \
                 (config.json /hugepageLimits/0/pageSize)"
            );
            assert_eq!(bad(&resources), expected);
        }
    }

    #[test]
    fn network_classes_and_priorities_have_a_controller_each() {
        let resources = r#"{"network":{"classID":1048577,"priorities":[
            {"name":"eth0","priority":500},{"name":"eth1","priority":1000}]}}"#;
        let expected = [
            "net_cls.classid 1048577",
            "net_prio.ifpriomap eth0 500",
            "net_prio.ifpriomap eth1 1000",
        ];
        assert_eq!(v1(resources), expected);
        let two_lines = r#"{"network":{"priorities":[{"name":"a 1\nb","priority":0}]}}"#;
        assert!(bad(two_lines).contains("/network/priorities/0/name"));
    }

    #[test]
    fn rdma_devices_are_limited_by_name() {
        let resources = r#"{"rdma":{"mlx4_0":{"hcaObjects":1000},
            "mlx5_1":{"hcaHandles":3,"hcaObjects":10000}}}"#;
        let expected =
            ["rdma.max mlx4_0 hca_object=1000", "rdma.max mlx5_1 hca_handle=3 hca_object=10000"];
        assert_eq!(v1(resources), expected);
        assert!(bad(r#"{"rdma":{"a/b":{}}}"#).ends_with("(config.json /rdma/a~1b)"));
        assert!(bad(r#"{"rdma":{"a b":{"hcaHandles":1}}}"#).contains("not the name"));
    }
}
