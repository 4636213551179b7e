//! `/linux/resources` of a container that is there, changed: what `update` asks for over what was.
//!
//! The whole of the limits is compiled as for a new container, before and after, so that limits that
//! depend on each other (quota and period, memory and swap) come out right; written is what differs,
//! and every file that the update is about. Device rules change without a moment in which the
//! container has no device. Called by `container::update`; pure.

use super::cgroup::limits;
use super::cgroup_devices::{Filter, filter};
use super::cgroup_sheet::{RESOURCES, Sheet};
use super::resources_both::given;
use super::systemd;
use crate::error::Fault;
use crate::host::Cgroups;
use crate::spec::{BlockIo, Cpu, Memory, Network, Pids, Resources};
use crate::task::cgroup::{Ceiling, CgroupPlan, CgroupUpdate, Kind, OnMissing, Place, Write};

/// What an update is judged by.
#[derive(Debug)]
pub struct Known<'a> {
    /// The container's directories, as they are recorded.
    pub places: &'a [Place],
    /// The machine's hierarchies.
    pub cgroups: &'a Cgroups,
    /// Whether the caller is not the host's root.
    pub limited: bool,
    /// The resources so far.
    pub before: &'a Resources,
    /// Whether the cgroup is that of a scope of systemd.
    pub scope: bool,
}

/// The resources after an update, and what has to be written for them.
pub fn plan(
    known: &Known<'_>,
    new: &Resources,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) -> (Resources, CgroupUpdate) {
    let after = merged(known.before, new);
    let mut ignored = Vec::new();
    let mut old_warnings = Vec::new();
    let before = written(known, known.before, None, &mut ignored, &mut old_warnings);
    let alone = written(known, &completed(new, &after), None, &mut ignored, &mut Vec::new());
    let mut told = Vec::new();
    let all = written(known, &after, Some(known.before), faults, &mut told);
    warnings.extend(told.into_iter().filter(|warning| !old_warnings.contains(warning)));
    let due = |write: &Write| {
        !before.writes.contains(write) || alone.writes.iter().any(|own| own.file == write.file)
    };
    let writes: Vec<Write> = all.writes.iter().filter(|write| due(write)).cloned().collect();
    let mut update = CgroupUpdate {
        ceiling: ceiling(&all.places, new, &after),
        plan: CgroupPlan { places: all.places, ..CgroupPlan::default() },
        ..CgroupUpdate::default()
    };
    if known.scope {
        update.properties = systemd::properties(&writes, &all.writes);
        let set = |write: &&Write| {
            let properties = systemd::properties(&[Write::clone(write)], &all.writes);
            properties.iter().any(|p| update.properties.iter().any(|sent| sent.name == p.name))
        };
        update.lasting = all.writes.iter().filter(set).cloned().collect();
    }
    update.plan.writes = writes;
    if !new.devices.is_empty() {
        devices(known, &after, &mut update, faults, warnings);
    }
    (after, update)
}

/// Places, and values for their files.
struct Written {
    places: Vec<Place>,
    writes: Vec<Write>,
}

/// All limits of some resources, device rules aside.
fn written(
    known: &Known<'_>,
    resources: &Resources,
    before: Option<&Resources>,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) -> Written {
    let mut places = known.places.to_vec();
    // What is recorded are the controllers that were in use.
    if let Some(unified) = &known.cgroups.unified {
        for place in places.iter_mut().filter(|place| !place.is_legacy()) {
            place.controllers.clone_from(&unified.controllers);
        }
    }
    let mut sheet = Sheet { cgroups: known.cgroups, places, writes: Vec::new(), faults, warnings };
    limits(resources, &mut sheet);
    if kills_again(before, resources)
        && let (Kind::Legacy, mut section) = sheet.section("memory", "memory", "memory")
    {
        section.write("disableOOMKiller", "memory.oom_control", 0);
    }
    sheet.unified(resources);
    sheet.enable();
    let Sheet { places, writes, .. } = sheet;
    Written { places, writes }
}

/// Whether tasks that were to wait for memory are to be killed again.
fn kills_again(before: Option<&Resources>, after: &Resources) -> bool {
    let waits = |resources: &Resources| resources.memory.as_ref()?.disable_oom_killer;
    before.and_then(waits) == Some(true) && waits(after) == Some(false)
}

/// Only what the update gives, with what its parts need to be understood alone.
fn completed(new: &Resources, after: &Resources) -> Resources {
    let mut alone = merged(&Resources::default(), new);
    if let (Some(memory), Some(whole)) = (&mut alone.memory, &after.memory)
        && memory.swap.is_some()
    {
        memory.limit = memory.limit.or(whole.limit);
    }
    alone
}

/// On cgroup v2 a limit below the usage kills at once. On v1 the kernel refuses it.
fn ceiling(places: &[Place], new: &Resources, after: &Resources) -> Option<Ceiling> {
    let checked = after.memory.as_ref()?.check_before_update == Some(true);
    let limit = new.memory.as_ref()?.limit.filter(|limit| checked && *limit > 0)?;
    let has = |place: &&Place| place.controllers.iter().any(|name| name == "memory");
    let place = places.iter().find(has).filter(|place| !place.is_legacy())?;
    Some(Ceiling {
        dir: place.dir(),
        bytes: limit.unsigned_abs(),
        pointer: format!("{RESOURCES}/memory/limit"),
    })
}

fn devices(
    known: &Known<'_>,
    after: &Resources,
    update: &mut CgroupUpdate,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) {
    let pointer = format!("{RESOURCES}/devices");
    let old = filter(&known.before.devices, &pointer, &mut Vec::new(), &mut Vec::new());
    let new = filter(&after.devices, &pointer, faults, warnings);
    let tell = |list: &mut Vec<Fault>, message: &str| {
        list.push(Fault { pointer: pointer.clone(), message: message.to_owned() });
    };
    if known.limited {
        return tell(warnings, "device rules are not applied: only the host's root may");
    }
    if known.scope {
        update.properties.extend(systemd::devices(&new, &pointer, faults));
    }
    let places = &update.plan.places;
    let legacy = |p: &Place| p.is_legacy() && p.controllers.iter().any(|c| c == "devices");
    if let Some(place) = places.iter().position(legacy) {
        let write = |(file, value): (&str, String)| Write {
            place,
            file: file.to_owned(),
            value,
            pointer: pointer.clone(),
            missing: OnMissing::Fail,
        };
        update.devices = lines(&old, &new).map(write).collect();
        update.devices_before = lines(&new, &old).map(write).collect();
        update.standstill = new.changes(&old).is_none();
    } else if places.iter().any(|place| !place.is_legacy()) {
        update.plan.device_program = Some(new.program());
        update.plan.devices_pointer = pointer;
    } else {
        tell(faults, "no cgroup here can restrict access to devices");
    }
}

/// What turns one filter into another: what is new first, or else everything anew.
fn lines(from: &Filter, to: &Filter) -> impl Iterator<Item = (&'static str, String)> {
    let changes = to.changes(from);
    let anew = if changes.is_none() { to.lines().collect() } else { Vec::new() };
    changes.unwrap_or_default().into_iter().chain(anew)
}

/// The resources after an update. What it does not give is as before, and a number that is 0 is not
/// given: so engines leave a limit alone. A list is about the devices or interfaces it names, except
/// for the device rules, whose order counts: they replace all of those before.
fn merged(before: &Resources, new: &Resources) -> Resources {
    let (mut all, new) = (before.clone(), new.clone());
    // The values of files as they are have the last word; over a later limit they must not have it.
    let superseded = ["memory", "cpu", "pids", "io", "cpuset", "hugetlb", "rdma"];
    let about = |name: &str| match name {
        "memory" => new.memory.is_some(),
        "cpu" | "cpuset" => new.cpu.is_some(),
        "pids" => new.pids.is_some(),
        "io" => new.block_io.is_some(),
        "hugetlb" => !new.hugepage_limits.is_empty(),
        _ => !new.rdma.is_empty(),
    };
    all.unified.retain(|file, _| {
        let controller = file.split_once('.').map_or("", |(controller, _)| controller);
        !(superseded.contains(&controller) && about(controller))
    });
    all.unified.extend(new.unified);
    all.rdma.extend(new.rdma);
    Resources {
        devices: if new.devices.is_empty() { all.devices } else { new.devices },
        memory: both(all.memory, new.memory, memory),
        cpu: both(all.cpu, new.cpu, cpu),
        pids: both(all.pids, new.pids, |old: Pids, new| Pids {
            limit: given(new.limit).or(old.limit),
        }),
        block_io: both(all.block_io, new.block_io, block_io),
        hugepage_limits: by(all.hugepage_limits, new.hugepage_limits, |l| l.page_size.clone()),
        network: both(all.network, new.network, |old: Network, new| Network {
            class_id: given(new.class_id).or(old.class_id),
            priorities: by(old.priorities, new.priorities, |entry| entry.name.clone()),
        }),
        rdma: all.rdma,
        unified: all.unified,
    }
}

fn both<T: Default>(old: Option<T>, new: Option<T>, merge: impl Fn(T, T) -> T) -> Option<T> {
    match new {
        Some(new) => Some(merge(old.unwrap_or_default(), new)),
        None => old,
    }
}

/// Entries of a list by what they are about.
fn by<T, K: PartialEq>(mut old: Vec<T>, new: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    old.retain(|entry| !new.iter().any(|other| key(other) == key(entry)));
    old.extend(new);
    old
}

fn memory(old: Memory, new: Memory) -> Memory {
    // Without a limit of memory there is none of memory and swap either, unless one is given.
    let swap = if new.limit == Some(-1) { None } else { old.swap };
    Memory {
        limit: given(new.limit).or(old.limit),
        reservation: given(new.reservation).or(old.reservation),
        swap: given(new.swap).or(swap),
        kernel: given(new.kernel).or(old.kernel),
        kernel_tcp: given(new.kernel_tcp).or(old.kernel_tcp),
        swappiness: new.swappiness.or(old.swappiness),
        disable_oom_killer: new.disable_oom_killer.or(old.disable_oom_killer),
        use_hierarchy: new.use_hierarchy.or(old.use_hierarchy),
        check_before_update: new.check_before_update.or(old.check_before_update),
    }
}

fn cpu(old: Cpu, new: Cpu) -> Cpu {
    let list = |list: Option<String>| list.filter(|list| !list.is_empty());
    Cpu {
        shares: given(new.shares).or(old.shares),
        quota: given(new.quota).or(old.quota),
        burst: new.burst.or(old.burst),
        period: given(new.period).or(old.period),
        realtime_runtime: given(new.realtime_runtime).or(old.realtime_runtime),
        realtime_period: given(new.realtime_period).or(old.realtime_period),
        cpus: list(new.cpus).or(old.cpus),
        mems: list(new.mems).or(old.mems),
        idle: new.idle.or(old.idle),
    }
}

fn block_io(old: BlockIo, new: BlockIo) -> BlockIo {
    let rates = |old, new| by(old, new, |d: &crate::spec::ThrottleDevice| (d.major, d.minor));
    BlockIo {
        weight: given(new.weight).or(old.weight),
        leaf_weight: given(new.leaf_weight).or(old.leaf_weight),
        weight_device: by(old.weight_device, new.weight_device, |d| (d.major, d.minor)),
        throttle_read_bps_device: rates(old.throttle_read_bps_device, new.throttle_read_bps_device),
        throttle_write_bps_device: rates(
            old.throttle_write_bps_device,
            new.throttle_write_bps_device,
        ),
        throttle_read_iops_device: rates(
            old.throttle_read_iops_device,
            new.throttle_read_iops_device,
        ),
        throttle_write_iops_device: rates(
            old.throttle_write_iops_device,
            new.throttle_write_iops_device,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::cgroup::trial::try_plan;
    use super::*;

    struct Trial {
        after: Resources,
        update: CgroupUpdate,
        writes: Vec<String>,
        faults: Vec<String>,
    }

    fn update(cgroups: &Cgroups, before: &str, new: &str) -> Trial {
        let resources = |text: &str| Resources::parse(text.as_bytes()).unwrap();
        let places = try_plan(cgroups, Some("/c1"), before, false).plan.unwrap().places;
        let before = resources(before);
        let known =
            Known { places: &places, cgroups, limited: false, before: &before, scope: false };
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        let (after, update) = plan(&known, &resources(new), &mut faults, &mut warnings);
        let line = |write: &Write| write.to_string().replacen("write ", "", 1);
        let writes = update.plan.writes.iter().chain(&update.devices).map(line).collect();
        let faults = faults.iter().map(ToString::to_string).collect();
        Trial { after, update, writes, faults }
    }

    fn v1(before: &str, new: &str) -> Vec<String> {
        update(&Cgroups::example_v1(), before, new).writes
    }

    fn v2(before: &str, new: &str) -> Vec<String> {
        update(&Cgroups::example_v2(), before, new).writes
    }

    #[test]
    fn only_what_is_given_is_written_also_when_it_is_as_recorded() {
        let before = r#"{"memory":{"limit":1048576},"pids":{"limit":5},"cpu":{"shares":7}}"#;
        assert_eq!(v1(before, r#"{"pids":{"limit":9}}"#), ["pids.max 9"]);
        assert_eq!(v1(before, r#"{"pids":{"limit":5}}"#), ["pids.max 5"]);
        assert_eq!(v1(before, "{}"), Vec::<String>::new());
        assert_eq!(v1("{}", r#"{"cpu":{"quota":5000,"cpus":"0-1"}}"#).len(), 2);
    }

    #[test]
    fn zeros_leave_everything_as_it_is() {
        let before = r#"{"memory":{"limit":1048576},"pids":{"limit":5},"blockIO":{"weight":10}}"#;
        let zeros = r#"{"memory":{"limit":0,"reservation":0,"swap":0,"kernel":0,"kernelTCP":0},
            "cpu":{"shares":0,"quota":0,"period":0,"realtimeRuntime":0,"realtimePeriod":0,
                   "cpus":"","mems":""},
            "blockIO":{"weight":0},"pids":{"limit":0},"devices":[]}"#;
        assert_eq!(v2(before, zeros), Vec::<String>::new());
        let trial = update(&Cgroups::example_v2(), before, zeros);
        assert_eq!(trial.after.pids.unwrap().limit, Some(5));
        assert!(trial.update.plan.device_program.is_none());
    }

    #[test]
    fn limits_that_depend_on_each_other_are_made_of_both() {
        let cpu = r#"{"cpu":{"quota":50000,"period":100000}}"#;
        assert_eq!(v2(cpu, r#"{"cpu":{"period":200000}}"#), ["cpu.max 50000 200000"]);
        assert_eq!(v2(cpu, r#"{"cpu":{"quota":70000}}"#), ["cpu.max 70000 100000"]);
        assert_eq!(v2(cpu, r#"{"cpu":{"period":100000}}"#), ["cpu.max 50000 100000"]);
        let memory = r#"{"memory":{"limit":4096,"swap":12288}}"#;
        let both = ["memory.swap.max 4096", "memory.max 8192"];
        assert_eq!(v2(memory, r#"{"memory":{"limit":8192}}"#), both);
        let swap = ["memory.swap.max 8192", "memory.max 4096"];
        assert_eq!(v2(memory, r#"{"memory":{"swap":12288}}"#), swap);
    }

    #[test]
    fn memory_without_a_limit_has_none_of_swap() {
        let before = r#"{"memory":{"limit":4096,"swap":8192}}"#;
        let none = r#"{"memory":{"limit":-1}}"#;
        let v1_writes =
            ["memory.limit_in_bytes -1", "memory.memsw.limit_in_bytes -1 if it is there"];
        assert_eq!(v1(before, none), v1_writes);
        assert_eq!(v2(before, none), ["memory.swap.max max if it is there", "memory.max max"]);
    }

    #[test]
    fn a_sum_of_memory_and_swap_below_that_of_memory_is_a_fault() {
        let before = r#"{"memory":{"limit":4096,"swap":8192}}"#;
        let trial = update(&Cgroups::example_v1(), before, r#"{"memory":{"limit":16384}}"#);
        assert!(trial.faults[0].contains("less than that of memory"), "{:?}", trial.faults);
    }

    #[test]
    fn tasks_that_waited_for_memory_are_killed_again_when_it_is_said() {
        let before = r#"{"memory":{"disableOOMKiller":true}}"#;
        let after = r#"{"memory":{"disableOOMKiller":false}}"#;
        assert_eq!(v1(before, after), ["memory.oom_control 0"]);
        assert_eq!(v1("{}", after), Vec::<String>::new());
    }

    #[test]
    fn lists_are_merged_by_what_their_entries_are_about() {
        let before = r#"{"blockIO":{"throttleReadBpsDevice":[
            {"major":8,"minor":0,"rate":1},{"major":8,"minor":16,"rate":2}]}}"#;
        let new = r#"{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":3}]}}"#;
        let after = update(&Cgroups::example_v2(), before, new).after.block_io.unwrap();
        let rates = after.throttle_read_bps_device.iter().map(|d| (d.minor, d.rate));
        assert_eq!(rates.collect::<Vec<_>>(), [(16, 2), (0, 3)]);
    }

    #[test]
    fn a_file_as_it_is_does_not_outlast_a_later_limit() {
        let before = r#"{"unified":{"memory.max":"4096","memory.high":"1","cpu.idle":"1"}}"#;
        let trial = update(&Cgroups::example_v2(), before, r#"{"memory":{"limit":8192}}"#);
        assert_eq!(trial.writes, ["memory.max 8192"]);
        assert_eq!(trial.after.unified.keys().collect::<Vec<_>>(), ["cpu.idle"]);
    }

    #[test]
    fn device_rules_change_by_what_differs_and_new_ones_first() {
        let before = r#"{"devices":[{"allow":false,"access":"rwm"},
            {"allow":true,"type":"c","major":10,"minor":229,"access":"rwm"}]}"#;
        let new = r#"{"devices":[{"allow":false,"access":"rwm"},
            {"allow":true,"type":"b","major":7,"minor":0,"access":"r"}]}"#;
        let writes = v1(before, new);
        assert_eq!(writes.last().unwrap(), "devices.deny c 10:229 rwm");
        assert!(writes.contains(&"devices.allow b 7:0 r".to_owned()), "{writes:?}");
        assert!(writes.contains(&"devices.allow c 1:3 rwm".to_owned()), "the default ones stay");
        assert!(!writes.iter().any(|line| line.ends_with(" a")), "{writes:?}");
        let hybrid = update(&Cgroups::example_hybrid(), before, new).update;
        assert!(!hybrid.standstill && hybrid.plan.device_program.is_none());
        assert_eq!(hybrid.devices_before.last().unwrap().value, "b 7:0 r");
    }

    #[test]
    fn another_default_is_set_while_the_container_stands_still() {
        let all = r#"{"devices":[{"allow":true,"access":"rwm"}]}"#;
        let update = update(&Cgroups::example_v1(), "{}", all).update;
        assert!(update.standstill);
        assert_eq!(update.devices[0].value, "a");
    }

    #[test]
    fn a_limit_is_compared_with_the_usage_where_that_would_kill() {
        let new = r#"{"memory":{"limit":4096,"checkBeforeUpdate":true}}"#;
        let of = |cgroups: &Cgroups, new: &str| update(cgroups, "{}", new).update.ceiling;
        assert_eq!(of(&Cgroups::example_v2(), new).unwrap().bytes, 4096);
        assert_eq!(of(&Cgroups::example_v1(), new), None);
        assert_eq!(of(&Cgroups::example_v2(), r#"{"memory":{"limit":4096}}"#), None);
    }
}
