//! `/linux/cgroupsPath` and `/linux/resources`: where the container's cgroup is, and its limits.
//!
//! [`plan`] places a cgroup in every hierarchy and hands each part of the resources to
//! `resources_v1` or `resources_v2`, by the version of the hierarchy that has the controller: on a
//! hybrid machine both are used. What no hierarchy can honour is a fault, or a warning where the
//! runtime-spec leaves it open, and never nothing. [`crate::cgroup`] performs the outcome.

use std::collections::BTreeMap;

use super::cgroup_sheet::{PATH, RESOURCES, Sheet, clean};
use super::{cgroup_devices, resources_both, resources_v1, resources_v2, systemd};
use crate::error::Fault;
use crate::host::cgroups::Cgroups;
use crate::spec::{Linux, Resources};
use crate::task::cgroup::{CgroupPlan, Kind, OnMissing, Place, Write};

/// Whose container it is.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// Whether it may have no rights on cgroups: not root, or root of a user namespace.
    pub rootless: bool,
    /// Whether it can restrict devices, which only the host's root may.
    pub limits_devices: bool,
}

/// The cgroup of a container, or none where it stays in the caller's.
///
/// That is so for a `rootless` caller who may not make one, when the configuration names no cgroup
/// and sets no limit. Device rules are not counted: they are beyond such a caller, whose containers
/// have no right to make nodes anyway.
pub fn plan(
    linux: &Linux,
    id: &str,
    cgroups: &Cgroups,
    caller: Caller,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) -> Option<CgroupPlan> {
    let none = Resources::default();
    let resources = linux.resources.as_ref().unwrap_or(&none);
    let configured = linux.cgroups_path.as_deref().filter(|path| !path.is_empty());
    let mut sheet = Sheet { cgroups, places: Vec::new(), writes: Vec::new(), faults, warnings };
    let path = components(configured.unwrap_or(id)).unwrap_or_else(|message| {
        sheet.fault(PATH, message);
        // So that the faults of the resources are found too.
        "/".to_owned()
    });
    sheet.place(configured, &path, caller.rootless);
    let wanted = !caller.rootless || configured.is_some();
    filled_in(resources, caller, wanted, sheet)
}

/// What is asked of systemd.
#[derive(Debug)]
pub struct ScopeWanted<'a> {
    /// The address of the user's bus; none for the system's systemd.
    pub bus: Option<String>,
    /// The annotations of the configuration.
    pub annotations: &'a BTreeMap<String, String>,
    /// Who asks.
    pub caller: Caller,
}

/// The cgroup of a container, made by systemd as that of a scope.
pub fn plan_scope(
    linux: &Linux,
    id: &str,
    cgroups: &Cgroups,
    wanted: ScopeWanted<'_>,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) -> Option<CgroupPlan> {
    let none = Resources::default();
    let resources = linux.resources.as_ref().unwrap_or(&none);
    let configured = linux.cgroups_path.as_deref().filter(|path| !path.is_empty());
    let name = systemd::name(configured, id, wanted.caller.rootless)
        .map_err(|message| faults.push(Fault { pointer: PATH.to_owned(), message }))
        .ok()?;
    let mut sheet = Sheet { cgroups, places: Vec::new(), writes: Vec::new(), faults, warnings };
    let path = systemd::root(cgroups, wanted.bus.is_some()) + &name.path();
    sheet.place(Some(&path), &path, wanted.caller.rootless);
    let mut plan = filled_in(resources, wanted.caller, true, sheet)?;
    let mut limits = systemd::properties(&plan.writes, &plan.writes);
    if wanted.caller.limits_devices {
        let pointer = format!("{RESOURCES}/devices");
        let mut told = Vec::new(); // already
        let filter =
            cgroup_devices::filter(&resources.devices, &pointer, &mut told, &mut Vec::new());
        limits.extend(systemd::devices(&filter, &pointer, faults));
    }
    plan.scope = Some(systemd::scope(name, id, wanted.bus, limits, wanted.annotations, faults));
    Some(plan)
}

/// The sheet with the resources written on it, as a plan; a fault if a cgroup is `wanted` where none
/// can be.
fn filled_in(
    resources: &Resources,
    caller: Caller,
    wanted: bool,
    mut sheet: Sheet<'_>,
) -> Option<CgroupPlan> {
    let device_program = devices(resources, caller, &mut sheet);
    limits(resources, &mut sheet);
    sheet.unified(resources);
    sheet.enable();
    if sheet.places.is_empty() {
        if wanted {
            sheet.fault(PATH, "there are no cgroups on this machine");
        }
        return None;
    }
    let Sheet { places, writes, .. } = sheet;
    let devices_pointer = format!("{RESOURCES}/devices");
    Some(CgroupPlan { places, writes, device_program, devices_pointer, ..CgroupPlan::default() })
}

/// Everything but the devices and the files that are written as they are.
pub(super) fn limits(resources: &Resources, sheet: &mut Sheet<'_>) {
    if let Some(cpu) = &resources.cpu {
        match sheet.section("cpuset", "cpuset", "cpu") {
            (Kind::Legacy, mut section) => resources_both::cpuset(cpu, &mut section),
            (Kind::Unified, mut section) => resources_v2::cpuset(cpu, &mut section),
        }
    }
    if let Some(memory) = &resources.memory {
        match sheet.section("memory", "memory", "memory") {
            (Kind::Legacy, mut section) => resources_v1::memory(memory, &mut section),
            (Kind::Unified, mut section) => resources_v2::memory(memory, &mut section),
        }
    }
    if let Some(cpu) = &resources.cpu {
        match sheet.section("cpu", "cpu", "cpu") {
            (Kind::Legacy, mut section) => resources_v1::cpu(cpu, &mut section),
            (Kind::Unified, mut section) => resources_v2::cpu(cpu, &mut section),
        }
    }
    if let Some(pids) = &resources.pids {
        let (_, mut section) = sheet.section("pids", "pids", "pids");
        resources_both::pids(pids, &mut section);
    }
    if let Some(block_io) = &resources.block_io {
        match sheet.section("blkio", "io", "blockIO") {
            (Kind::Legacy, mut section) => resources_v1::block_io(block_io, &mut section),
            (Kind::Unified, mut section) => resources_v2::block_io(block_io, &mut section),
        }
    }
    match sheet.section("hugetlb", "hugetlb", "hugepageLimits") {
        (Kind::Legacy, mut section) => {
            resources_both::hugepages(&resources.hugepage_limits, "limit_in_bytes", &mut section);
        }
        (Kind::Unified, mut section) => {
            resources_both::hugepages(&resources.hugepage_limits, "max", &mut section);
        }
    }
    if let Some(network) = &resources.network {
        resources_v1::class(network, &mut sheet.section("net_cls", "net_cls", "network").1);
        resources_v1::priorities(network, &mut sheet.section("net_prio", "net_prio", "network").1);
    }
    resources_both::rdma(&resources.rdma, &mut sheet.section("rdma", "rdma", "rdma").1);
}

/// Device rules: by the `devices` controller of v1, or by a program on the cgroup of v2.
fn devices(resources: &Resources, caller: Caller, sheet: &mut Sheet<'_>) -> Option<Vec<u8>> {
    let pointer = format!("{RESOURCES}/devices");
    let filter = cgroup_devices::filter(&resources.devices, &pointer, sheet.faults, sheet.warnings);
    if !caller.limits_devices {
        if !resources.devices.is_empty() {
            sheet.warn(&pointer, "device rules are not applied: only the host's root may");
        }
        return None;
    }
    let legacy = |p: &Place| p.is_legacy() && p.controllers.iter().any(|c| c == "devices");
    if let Some(place) = sheet.places.iter().position(legacy) {
        sheet.writes.extend(filter.lines().map(|(file, value)| Write {
            place,
            file: file.to_owned(),
            value,
            pointer: pointer.clone(),
            missing: OnMissing::Fail,
        }));
        None
    } else if sheet.places.iter().any(|place| !place.is_legacy()) {
        Some(filter.program())
    } else {
        let message = "no cgroup here can restrict access to devices";
        if !sheet.places.is_empty() {
            sheet.fault(&pointer, message);
        } else if caller.rootless && !resources.devices.is_empty() {
            sheet.warn(&pointer, message);
        }
        None
    }
}

/// A configured path, cleaned, if the kernel can make it.
fn components(path: &str) -> Result<String, String> {
    /// A directory entry's longest name, in bytes.
    const NAME_MAX: usize = 255;
    let path = clean(path);
    if path.is_empty() {
        return Err("the root of the cgroups cannot be a container's".to_owned());
    }
    if path.contains(['\0', '\n']) {
        return Err("a cgroup's name cannot hold NUL or newline".to_owned());
    }
    if path.split('/').any(|name| name.len() > NAME_MAX) {
        return Err(format!("a cgroup's name cannot be longer than {NAME_MAX} bytes"));
    }
    Ok(path)
}

/// Plans for the tests of this feature and of its parts.
#[cfg(test)]
pub(super) mod trial {
    use super::{Caller, CgroupPlan, Cgroups, Fault, Linux, Resources, plan};

    /// What a plan came to.
    pub(crate) struct Trial {
        pub(crate) plan: Option<CgroupPlan>,
        pub(crate) faults: Vec<String>,
        pub(crate) warnings: Vec<String>,
    }

    /// Plans a container "c1" with this path and these resources, in JSON.
    pub(crate) fn try_plan(
        cgroups: &Cgroups,
        path: Option<&str>,
        resources: &str,
        rootless: bool,
    ) -> Trial {
        let resources = Some(Resources::parse(resources.as_bytes()).unwrap());
        let linux = Linux { cgroups_path: path.map(str::to_owned), resources, ..Linux::default() };
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        let caller = Caller { rootless, limits_devices: !rootless };
        let plan = plan(&linux, "c1", cgroups, caller, &mut faults, &mut warnings);
        let text = |list: Vec<Fault>| list.iter().map(ToString::to_string).collect();
        Trial { plan, faults: text(faults), warnings: text(warnings) }
    }

    /// What is written for these resources, device rules aside; no fault is expected.
    pub(crate) fn writes(cgroups: &Cgroups, resources: &str) -> Vec<String> {
        let trial = try_plan(cgroups, Some("/c1"), resources, false);
        assert_eq!(trial.faults, Vec::<String>::new(), "{resources}");
        let plan = trial.plan.unwrap();
        let limits = plan.writes.iter().filter(|write| !write.file.starts_with("devices."));
        limits.map(|write| write.to_string().replacen("write ", "", 1)).collect()
    }

    /// The one fault that these resources have.
    pub(crate) fn fault(cgroups: &Cgroups, resources: &str) -> String {
        let trial = try_plan(cgroups, Some("/c1"), resources, false);
        assert_eq!(trial.faults.len(), 1, "{resources}: {:?}", trial.faults);
        trial.faults[0].replace("/linux/resources", "")
    }
}

#[cfg(test)]
mod tests {
    use super::trial::{fault, try_plan, writes};
    use super::*;

    fn dirs(cgroups: &Cgroups, path: Option<&str>) -> Vec<String> {
        let plan = try_plan(cgroups, path, "{}", false).plan.unwrap();
        plan.places.iter().map(|place| place.dir().display().to_string()).collect()
    }

    #[test]
    fn an_absolute_path_begins_at_the_root_of_every_hierarchy() {
        let hybrid = dirs(&Cgroups::example_hybrid(), Some("/a/b"));
        assert_eq!(hybrid.len(), 10);
        assert!(hybrid.contains(&"/sys/fs/cgroup/memory/a/b".to_owned()));
        assert!(hybrid.contains(&"/sys/fs/cgroup/systemd/a/b".to_owned()));
        assert!(hybrid.contains(&"/sys/fs/cgroup/unified/a/b".to_owned()));
        assert_eq!(dirs(&Cgroups::example_v2(), Some("/a/b")), ["/sys/fs/cgroup/a/b"]);
    }

    #[test]
    fn a_relative_path_begins_below_ones_own_cgroup_on_v1_and_beside_it_on_v2() {
        let mut v1 = Cgroups::example_v1();
        v1.legacy.truncate(2);
        v1.legacy[1].own = "/user.slice/me".to_owned();
        let expected = ["/sys/fs/cgroup/systemd/a", "/sys/fs/cgroup/cpu,cpuacct/user.slice/me/a"];
        assert_eq!(dirs(&v1, Some("a")), expected);
        let mut v2 = Cgroups::example_v2();
        assert_eq!(dirs(&v2, Some("a/b")), ["/sys/fs/cgroup/system.slice/a/b"]);
        assert_eq!(dirs(&v2, None), ["/sys/fs/cgroup/system.slice/c1"]);
        v2.unified.as_mut().unwrap().own = "/".to_owned();
        assert_eq!(dirs(&v2, None), ["/sys/fs/cgroup/c1"]);
    }

    #[test]
    fn dots_in_a_path_never_lead_out_of_where_it_begins() {
        let v2 = Cgroups::example_v2();
        assert_eq!(dirs(&v2, Some("/a/../../b/./c//d/")), ["/sys/fs/cgroup/b/c/d"]);
        assert_eq!(dirs(&v2, Some("../../x")), ["/sys/fs/cgroup/system.slice/x"]);
        for root in ["/", "/..", "/a/..", ".", "a/../.."] {
            let faults = try_plan(&v2, Some(root), "{}", false).faults;
            let expected = "the root of the cgroups cannot be a container's";
            assert_eq!(faults, [format!("{expected} (config.json /linux/cgroupsPath)")], "{root}");
        }
        assert_eq!(try_plan(&v2, Some("/"), r#"{"cpu":{"idle":9}}"#, false).faults.len(), 2);
        for bad in ["/a\nb", "/a\0", &format!("/{}", "x".repeat(256))] {
            assert_eq!(try_plan(&v2, Some(bad), "{}", false).faults.len(), 1, "{bad:?}");
        }
    }

    #[test]
    fn without_rights_a_container_without_limits_stays_where_it_is() {
        let mut v2 = Cgroups::example_v2();
        let delegated = try_plan(&v2, None, "{}", true);
        assert_eq!(delegated.plan.unwrap().places.len(), 1);
        v2.unified.as_mut().unwrap().writable = false;
        let trial = try_plan(&v2, None, r#"{"devices":[{"allow":false,"access":"rwm"}]}"#, true);
        assert_eq!((trial.plan, trial.faults.len(), trial.warnings.len()), (None, 0, 1));
        let limited = try_plan(&v2, None, r#"{"pids":{"limit":5},"memory":{"limit":9}}"#, true);
        assert_eq!(
            limited.faults,
            [
                "cannot set memory.max: this user may not make a cgroup there \
                 (config.json /linux/resources/memory/limit)",
                "cannot set pids.max: this user may not make a cgroup there \
                 (config.json /linux/resources/pids/limit)"
            ]
        );
        let named = try_plan(&v2, Some("/a"), "{}", true);
        assert_eq!(named.plan.unwrap().places.len(), 1, "the kernel has the last word");
    }

    #[test]
    fn without_rights_only_the_hierarchies_that_can_be_used_are() {
        let mut v1 = Cgroups::example_v1();
        v1.legacy.iter_mut().for_each(|h| h.writable = h.name == "memory");
        let trial = try_plan(&v1, None, r#"{"memory":{"limit":4096}}"#, true);
        let plan = trial.plan.unwrap();
        assert_eq!((plan.places.len(), plan.writes.len()), (1, 1));
        assert_eq!(try_plan(&v1, None, r#"{"pids":{"limit":1}}"#, true).faults.len(), 1);
    }

    #[test]
    fn a_machine_without_cgroups_is_a_fault_for_root_alone() {
        let none = Cgroups::default();
        assert_eq!(try_plan(&none, None, "{}", false).faults.len(), 1);
        assert_eq!(try_plan(&none, None, "{}", true).faults.len(), 0);
        assert_eq!(try_plan(&none, Some("/a"), "{}", true).faults.len(), 1);
    }

    #[test]
    fn each_controller_is_used_where_it_is() {
        let resources =
            r#"{"memory":{"limit":4096},"hugepageLimits":[{"pageSize":"2MB","limit":0}]}"#;
        let plan = try_plan(&Cgroups::example_hybrid(), Some("/a"), resources, false).plan.unwrap();
        let at = |file: &str| {
            let write = plan.writes.iter().find(|write| write.file == file).unwrap();
            plan.places[write.place].dir().display().to_string()
        };
        assert_eq!(at("memory.limit_in_bytes"), "/sys/fs/cgroup/memory/a");
        assert_eq!(at("hugetlb.2MB.max"), "/sys/fs/cgroup/unified/a");
        assert_eq!(plan.unified().unwrap().controllers, ["hugetlb"]);
        let unused = try_plan(&Cgroups::example_hybrid(), Some("/a"), "{}", false).plan.unwrap();
        assert_eq!(unused.unified().unwrap().controllers, Vec::<String>::new());
        let v2 = try_plan(&Cgroups::example_v2(), Some("/a"), "{}", false).plan.unwrap();
        assert_eq!(v2.unified().unwrap().controllers.len(), 8, "v2 alone is given all");
    }

    #[test]
    fn what_no_hierarchy_has_is_one_fault_for_each_part() {
        let resources = r#"{"network":{"classID":1}}"#;
        let expected = "cannot set net_cls.classid: there is no cgroup controller net_cls for this \
                        container (config.json /network/classID)";
        assert_eq!(fault(&Cgroups::example_v2(), resources), expected);
        assert_eq!(fault(&Cgroups::example_hybrid(), resources), expected);
        let two = r#"{"rdma":{"a":{"hcaHandles":1},"b":{"hcaHandles":1}}}"#;
        assert!(fault(&Cgroups::example_hybrid(), two).contains("no cgroup controller rdma"));
        let nothing = r#"{"network":{},"memory":{},"cpu":{},"pids":{},"blockIO":{}}"#;
        let trial = try_plan(&Cgroups::example_v2(), None, nothing, false);
        assert_eq!(trial.plan.unwrap().writes, []);
    }

    #[test]
    fn unified_values_are_written_line_by_line_and_last() {
        let v2 = Cgroups::example_v2();
        let resources = r#"{"pids":{"limit":3},"unified":{"io.max":"8:0 rbps=1\n8:16 rbps=2\n",
            "cgroup.max.depth":"3","memory.new_one":""}}"#;
        let expected = [
            "pids.max 3",
            "cgroup.max.depth 3",
            "io.max 8:0 rbps=1",
            "io.max 8:16 rbps=2",
            "memory.new_one ",
        ];
        assert_eq!(writes(&v2, resources), expected);
        let hybrid = r#"{"unified":{"hugetlb.1GB.max":"1073741824"}}"#;
        assert_eq!(writes(&Cgroups::example_hybrid(), hybrid), ["hugetlb.1GB.max 1073741824"]);
    }

    #[test]
    fn unified_keys_are_files_of_controllers_that_are_there() {
        let (v2, hybrid) = (Cgroups::example_v2(), Cgroups::example_hybrid());
        let unified = |key: &str| format!(r#"{{"unified":{{"{key}":"1"}}}}"#);
        assert_eq!(
            fault(&v2, &unified("../x/memory.max")),
            "\"../x/memory.max\" is not the name of a file (config.json /unified/..~1x~1memory.max)"
        );
        assert!(fault(&v2, &unified("memory")).contains("not of the form CONTROLLER.PARAMETER"));
        assert!(fault(&v2, &unified("dmem.max")).contains("cgroup v2 has no controller dmem here"));
        assert!(fault(&hybrid, &unified("memory.max")).contains("no controller memory here"));
        assert!(
            fault(&Cgroups::example_v1(), &unified("memory.max")).contains("there is no cgroup v2")
        );
    }

    #[test]
    fn device_rules_go_to_the_controller_or_to_a_program_and_never_nowhere() {
        let v1 = try_plan(&Cgroups::example_v1(), Some("/a"), "{}", false).plan.unwrap();
        assert_eq!((v1.writes.len(), v1.device_program), (12, None));
        let v2 = try_plan(&Cgroups::example_v2(), Some("/a"), "{}", false).plan.unwrap();
        assert_eq!((v2.writes.len(), v2.device_program.is_some()), (0, true));
        let mut hybrid = Cgroups::example_hybrid();
        hybrid.legacy.retain(|hierarchy| hierarchy.name != "devices");
        let trial = try_plan(&hybrid, Some("/a"), "{}", false);
        assert!(trial.plan.unwrap().device_program.is_some());
        hybrid.unified = None;
        let trial = try_plan(&hybrid, Some("/a"), "{}", false);
        let expected = "no cgroup here can restrict access to devices";
        assert_eq!(trial.faults, [format!("{expected} (config.json /linux/resources/devices)")]);
    }
}
