//! A container's cgroup as a transient scope of systemd: started, changed, stopped.
//!
//! Called by the other modules of `cgroup` for a container whose plan has a [`Scope`]. systemd makes
//! the directories and moves init; every verb waits for the job that it started. The interface is
//! org.freedesktop.systemd1(5).

mod bus;
mod wire;

use bus::{Bus, Refusal};
use wire::Call;

use crate::error::{Error, ErrorKind, Result};
use crate::task::systemd::{Property, Scope, Value};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const OBJECT: &str = "/org/freedesktop/systemd1";
const DBUS: &str = "org.freedesktop.DBus";
/// The system's bus, and systemd's own socket, which root can use where there is no bus.
const SYSTEM: &str = "unix:path=/run/dbus/system_bus_socket;unix:path=/run/systemd/private";

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
    // A scope of that name that has failed is only remembered.
    if started.as_ref().is_err_and(|refusal| refusal.is("UnitExists")) && manager.reset(unit)? {
        started = manager.job("StartTransientUnit", &arguments)?;
    }
    started.map_err(|refusal| refused("start", unit, &refusal))?;
    manager.directory(unit)
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

impl Refusal {
    fn is(&self, name: &str) -> bool {
        self.name.strip_prefix(SYSTEMD).and_then(|rest| rest.strip_prefix('.')) == Some(name)
    }
}

fn refused(verb: &str, unit: &str, refusal: &Refusal) -> Error {
    let message = format!("systemd cannot {verb} {unit}: {}", refusal.sentence);
    Error::new(ErrorKind::System, message).pointer_is("/linux/cgroupsPath")
}

/// The manager of the system's units, or of a user's.
struct Manager {
    bus: Bus,
}

impl Manager {
    fn connect(user: Option<&str>) -> Result<Self> {
        let mut manager = Self { bus: Bus::connect(user.unwrap_or(SYSTEM))? };
        if !manager.bus.is_private() {
            manager.greet()?;
        }
        // Otherwise no signal is sent at all.
        manager.call("Subscribe", &[])?.map_err(|refusal| refused("tell of", "jobs", &refusal))?;
        Ok(manager)
    }

    fn greet(&mut self) -> Result<()> {
        let rule = format!("type='signal',interface='{MANAGER}',member='JobRemoved'");
        for (member, arguments) in [("Hello", vec![]), ("AddMatch", vec![Value::text(rule)])] {
            let call = Call {
                destination: DBUS,
                path: "/org/freedesktop/DBus",
                interface: DBUS,
                member,
                arguments: &arguments,
            };
            self.bus.call(&call)?.map_err(|refusal| {
                Error::new(
                    ErrorKind::System,
                    format!("the message bus refuses {member}: {}", refusal.sentence),
                )
            })?;
        }
        Ok(())
    }

    fn call(
        &mut self,
        member: &str,
        arguments: &[Value],
    ) -> Result<std::result::Result<Option<String>, Refusal>> {
        let destination = if self.bus.is_private() { "" } else { SYSTEMD };
        self.bus.call(&Call { destination, path: OBJECT, interface: MANAGER, member, arguments })
    }

    /// Calls a method that starts a job, and waits for the job's end.
    fn job(
        &mut self,
        member: &str,
        arguments: &[Value],
    ) -> Result<std::result::Result<(), Refusal>> {
        let job = match self.call(member, arguments)? {
            Ok(job) => job.unwrap_or_default(),
            Err(refusal) => return Ok(Err(refusal)),
        };
        // JobRemoved(id, job, unit, result)
        let removed = self.bus.signal("JobRemoved", |texts| texts.first() == Some(&job))?;
        match removed.get(2).map(String::as_str) {
            Some("done") => Ok(Ok(())),
            result => {
                let sentence = format!("the job ended as \"{}\"", result.unwrap_or_default());
                Ok(Err(Refusal { name: String::new(), sentence }))
            }
        }
    }

    /// The cgroup of a scope.
    fn directory(&mut self, unit: &str) -> Result<String> {
        let fail = |refusal: Refusal| refused("look at", unit, &refusal);
        let path = self.call("GetUnit", &[Value::text(unit)])?.map_err(fail)?;
        let call = Call {
            destination: if self.bus.is_private() { "" } else { SYSTEMD },
            path: path.as_deref().unwrap_or_default(),
            interface: "org.freedesktop.DBus.Properties",
            member: "Get",
            arguments: &[
                Value::text("org.freedesktop.systemd1.Scope"),
                Value::text("ControlGroup"),
            ],
        };
        Ok(self.bus.call(&call)?.map_err(fail)?.unwrap_or_default())
    }

    /// Forgets that a unit failed; whether there was anything to forget.
    fn reset(&mut self, unit: &str) -> Result<bool> {
        Ok(self.call("ResetFailedUnit", &[Value::text(unit)])?.is_ok())
    }
}
