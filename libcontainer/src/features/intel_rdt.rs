//! `/linux/intelRdt`: a share of the processor's caches and of the memory bandwidth.
//!
//! A container is in one class of service, a directory of the resctrl file system, and in a group
//! of it that is counted apart if that is asked for. The runtime makes them before init exists, and
//! moves it in as soon as it does. Without a `closID` the class is the container's own, with the
//! name of its id, and ends with it; with one it is everybody's who names it (config-linux.md,
//! "IntelRdt").

use super::Context;
use crate::config::{Config, IntelRdt};
use crate::error::Fault;
use crate::host::{Host, Resctrl};
use crate::spec;
use crate::steps::Steps;
use crate::task::Task;
use crate::task::resctrl::SchemaLine;

const POINTER: &str = "/linux/intelRdt";
/// The class of everything that is in no other: the root of the file system.
const DEFAULT: &str = "/";
/// Directories of the root that are no classes.
const RESERVED: [&str; 3] = ["info", "mon_groups", "mon_data"];

/// What is mounted, and lines that can be read.
pub fn check(cx: &mut Context<'_>) -> Option<IntelRdt> {
    let wanted = cx.linux.intel_rdt.as_ref()?;
    let (limits, schemata) = lines(wanted, &mut cx.faults);
    let named = wanted.clos_id.as_deref().filter(|name| !name.is_empty());
    check_name(cx, named);
    let resctrl = mounted(cx.host, &mut cx.faults)?;
    if wanted.enable_monitoring && !resctrl.monitoring {
        let message = "the kernel has no monitoring groups in its resctrl file system";
        cx.fault(format!("{POINTER}/enableMonitoring"), message);
        return None;
    }
    let id = cx.id.as_str();
    Some(IntelRdt {
        root: resctrl.root.clone(),
        class: Some(named.unwrap_or(id)).filter(|name| *name != DEFAULT).map(str::to_owned),
        own: named.is_none(),
        limits,
        schemata,
        monitor: wanted.enable_monitoring.then(|| id.to_owned()),
    })
}

fn mounted<'a>(host: &'a Host, faults: &mut Vec<Fault>) -> Option<&'a Resctrl> {
    if host.resctrl.is_none() {
        let message = "Intel RDT needs a resctrl file system, and none is mounted".to_owned();
        faults.push(Fault { pointer: POINTER.to_owned(), message });
    }
    host.resctrl.as_ref()
}

/// A class of its own for a container that is there.
pub fn own(
    wanted: &spec::IntelRdt,
    id: &str,
    host: &Host,
    faults: &mut Vec<Fault>,
) -> Option<IntelRdt> {
    let (limits, schemata) = lines(wanted, faults);
    let root = mounted(host, faults)?.root.clone();
    let class = Some(id.to_owned());
    Some(IntelRdt { root, class, own: true, limits, schemata, monitor: None })
}

/// A class is a directory with a name of its own, right below the root.
fn check_name(cx: &mut Context<'_>, named: Option<&str>) {
    match named {
        Some(DEFAULT) => {}
        Some(name) if matches!(name, "." | "..") || name.contains(['/', '\n', '\0']) => {
            cx.fault(
                format!("{POINTER}/closID"),
                format!("\"{name}\" cannot be the name of a class"),
            );
        }
        Some(name) if RESERVED.contains(&name) => {
            cx.fault(format!("{POINTER}/closID"), format!("\"{name}\" is no class of resctrl"));
        }
        None if RESERVED.contains(&cx.id.as_str()) => {
            cx.fault(POINTER, format!("the class cannot have the container's id {}", cx.id));
        }
        _ => {}
    }
}

/// What is to be written to `schemata`, in order: first what an existing class must have already,
/// then the rest.
fn lines(wanted: &spec::IntelRdt, faults: &mut Vec<Fault>) -> (Vec<SchemaLine>, Vec<SchemaLine>) {
    let mut line = |name: String, text: &str| {
        let line = Some(text).filter(|text| !text.contains('\n')).and_then(SchemaLine::parse);
        if line.is_none() {
            let message =
                format!("\"{}\" is not a line such as L3:0=7f0;1=1f", text.escape_debug());
            faults.push(Fault { pointer: format!("{POINTER}/{name}"), message });
        }
        line
    };
    let bandwidth = wanted.mem_bw_schema.as_deref().filter(|text| !text.is_empty());
    let cache = wanted.l3_cache_schema.as_deref().unwrap_or_default();
    // Several lines are only discouraged. Bandwidth among them was once without effect beside
    // memBwSchema, and still is: the kernel refuses a domain that it is told twice.
    let cache = cache.lines().filter(|text| bandwidth.is_none() || !text.starts_with("MB:"));
    let mut limits: Vec<_> =
        cache.filter_map(|text| line("l3CacheSchema".to_owned(), text)).collect();
    limits.extend(bandwidth.and_then(|text| line("memBwSchema".to_owned(), text)));
    let schemata = wanted.schemata.iter().enumerate();
    let schemata = schemata.filter_map(|(i, text)| line(format!("schemata/{i}"), text)).collect();
    if let Some(text) = bandwidth.filter(|text| !text.starts_with("MB:")) {
        let message = format!("\"{}\" does not begin with MB:", text.escape_debug());
        faults.push(Fault { pointer: format!("{POINTER}/memBwSchema"), message });
    }
    (limits, schemata)
}

/// The runtime makes the class and the group, with all that the container is to have of them.
pub fn make(config: &Config, steps: &mut Steps) {
    if config.intel_rdt.is_some() {
        steps.runtime(POINTER, Task::MakeResctrl);
    }
}

/// The runtime moves init in; its children will be where it is. Whether there is anything to do
/// before init goes on in another process.
pub fn enter(config: &Config, steps: &mut Steps) -> bool {
    if config.intel_rdt.is_some() {
        steps.runtime(POINTER, Task::EnterResctrl);
    }
    config.intel_rdt.is_some()
}
