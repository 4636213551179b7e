//! A container's cgroup as a transient scope of systemd: started, changed, stopped.
//!
//! Called by the other modules of `cgroup` for a container whose plan has a [`Scope`]. systemd makes
//! the directories and moves init; every verb waits for the job that it started. The interface is
//! org.freedesktop.systemd1(5).

mod bus;
mod jobs;
mod wire;

use bus::Refusal;
use jobs::Manager;

use crate::error::{Error, ErrorKind, Result};
use crate::task::systemd::{Property, Scope, Value};

/// A unit as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// The address of the user's bus; that of the system if there is none.
    pub bus: Option<String>,
}

/// Starts a scope around a process. Returns the directory that it has below the mount of each
/// hierarchy.
pub(super) fn start(scope: &Scope, pid: i32) -> Result<String> {
    let unit = &scope.unit;
    let mut manager = Manager::connect(scope.bus.as_deref())?;
    let mut properties: Vec<Value> = scope.properties.iter().map(pair).collect();
    let pids = Value::Array("u".into(), vec![Value::Uint32(pid.cast_unsigned())]);
    properties.extend([named("Slice", Value::text(&scope.slice)), named("PIDs", pids)]);
    let arguments = [
        Value::text(unit),
        Value::text("replace"),
        Value::Array("(sv)".into(), properties),
        Value::Array("(sa(sv))".into(), Vec::new()),
    ];
    let mut started = manager.job("StartTransientUnit", &arguments)?;
    if started.as_ref().is_err_and(|refusal| refusal.is("UnitExists")) {
        if holds(unit, pid) {
            // It was this call, before systemd was executed anew and the call repeated.
            started = Ok(());
        } else if manager.reset(unit)? {
            // A scope of that name that has failed is only remembered.
            started = manager.job("StartTransientUnit", &arguments)?;
        }
    }
    started.map_err(|refusal| refused("start", unit, &refusal))?;
    manager.directory(unit)?.map_err(|refusal| refused("look at", unit, &refusal))
}

/// Changes properties of a unit that is there.
pub(super) fn change(unit: &Unit, properties: &[Property]) -> Result<()> {
    if properties.is_empty() {
        return Ok(());
    }
    let mut manager = Manager::connect(unit.bus.as_deref())?;
    let properties = properties.iter().map(pair).collect();
    let arguments = [
        Value::text(&unit.name),
        // Until the unit ends, and not for all time.
        Value::Bool(true),
        Value::Array("(sv)".into(), properties),
    ];
    let done = manager.call("SetUnitProperties", &arguments)?;
    done.map(drop).map_err(|refusal| refused("change", &unit.name, &refusal))
}

/// Stops a unit, whose processes have ended, and forgets it. One that is gone is no error.
pub(super) fn stop(unit: &Unit) -> Result<()> {
    let mut manager = Manager::connect(unit.bus.as_deref())?;
    let stopped = manager.job("StopUnit", &[Value::text(&unit.name), Value::text("replace")])?;
    match stopped {
        Err(refusal) if !refusal.is("NoSuchUnit") => Err(refused("stop", &unit.name, &refusal)),
        _ => manager.reset(&unit.name).map(drop),
    }
}

fn pair(property: &Property) -> Value {
    named(&property.name, property.value.clone())
}

fn named(name: &str, value: Value) -> Value {
    Value::Struct(vec![Value::text(name), Value::Variant(value.into())])
}

/// Whether a process is in the cgroup of a unit.
fn holds(unit: &str, pid: i32) -> bool {
    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    cgroups.lines().any(|line| line.rsplit('/').next() == Some(unit))
}

fn refused(verb: &str, unit: &str, refusal: &Refusal) -> Error {
    let message = format!("systemd cannot {verb} {unit}: {}", refusal.sentence);
    Error::new(ErrorKind::System, message).pointer_is("/linux/cgroupsPath")
}
