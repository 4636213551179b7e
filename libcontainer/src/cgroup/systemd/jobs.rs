//! The manager object of systemd: its methods, and the jobs that they start.
//!
//! Used by `systemd` alone. systemd may be executed anew at any time (`daemon-reexec`), and leaves
//! the bus for that while: a call that it did not answer is made again, and a job whose end nobody
//! told is looked for.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::bus::{Bus, PATIENCE, Refusal};
use super::wire::Call;
use crate::error::{Error, ErrorKind, Result};
use crate::task::systemd::Value;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const INTERFACE: &str = "org.freedesktop.systemd1.Manager";
const OBJECT: &str = "/org/freedesktop/systemd1";
const DBUS: &str = "org.freedesktop.DBus";
/// The system's bus, and systemd's own socket, which root can use where there is no bus.
const SYSTEM: &str = "unix:path=/run/dbus/system_bus_socket;unix:path=/run/systemd/private";

/// What came of a call: the leading text of the reply.
type Reply = std::result::Result<Option<String>, Refusal>;

/// The manager of the system's units, or of a user's.
#[derive(Debug)]
pub(super) struct Manager {
    addresses: String,
    bus: Bus,
}

impl Refusal {
    /// Whether it is an error of systemd with this name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.strip_prefix(SYSTEMD).and_then(|rest| rest.strip_prefix('.')) == Some(name)
    }

    /// Whether nobody has answered who would at another time.
    fn is_absence(&self) -> bool {
        let name = self.name.strip_prefix("org.freedesktop.DBus.Error.");
        matches!(name, Some("NoReply" | "Disconnected" | "ServiceUnknown" | "NameHasNoOwner"))
    }
}

impl Manager {
    /// Connects to the manager behind these addresses, or to the system's.
    pub(super) fn connect(user: Option<&str>) -> Result<Self> {
        let addresses = user.unwrap_or(SYSTEM).to_owned();
        let bus = Bus::connect(&addresses)?;
        let mut manager = Self { addresses, bus };
        manager.greet()?;
        Ok(manager)
    }

    /// Asks to be told of the ends of jobs; otherwise no signal is sent at all.
    fn greet(&mut self) -> Result<()> {
        if !self.bus.is_private() {
            let rule = format!("type='signal',interface='{INTERFACE}',member='JobRemoved'");
            for (member, arguments) in [("Hello", vec![]), ("AddMatch", vec![Value::text(rule)])] {
                let call = Call {
                    destination: DBUS,
                    path: "/org/freedesktop/DBus",
                    interface: DBUS,
                    member,
                    arguments: &arguments,
                };
                self.bus.call(&call)?.map_err(|refusal| unexpected(member, &refusal))?;
            }
        }
        let subscribed = self.call("Subscribe", &[])?;
        subscribed.map(drop).map_err(|refusal| unexpected("Subscribe", &refusal))
    }

    /// Calls a method of the manager.
    pub(super) fn call(&mut self, member: &str, arguments: &[Value]) -> Result<Reply> {
        self.call_object(&Call {
            destination: SYSTEMD,
            path: OBJECT,
            interface: INTERFACE,
            member,
            arguments,
        })
    }

    fn call_object(&mut self, call: &Call<'_>) -> Result<Reply> {
        const PAUSE: Duration = Duration::from_millis(50);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let destination = if self.bus.is_private() { "" } else { call.destination };
            let reply = self.bus.call(&Call { destination, ..*call });
            let absent = match &reply {
                Ok(reply) => reply.as_ref().is_err_and(Refusal::is_absence),
                // systemd's own socket is closed with the old program.
                Err(_) => self.bus.is_private(),
            };
            if !absent || Instant::now() > deadline {
                return reply;
            }
            sleep(PAUSE);
            if self.bus.is_private()
                && let Ok(bus) = Bus::connect(&self.addresses)
            {
                self.bus = bus;
            }
        }
    }

    /// Calls a method that starts a job, and waits for the job's end.
    pub(super) fn job(
        &mut self,
        member: &str,
        arguments: &[Value],
    ) -> Result<std::result::Result<(), Refusal>> {
        /// After so long without a word the job is looked for.
        const SILENCE: Duration = Duration::from_secs(1);
        let job = match self.call(member, arguments)? {
            Ok(job) => job.unwrap_or_default(),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let number = job.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            // JobRemoved(id, job, unit, result)
            let removed =
                self.bus.signal("JobRemoved", SILENCE, |texts| texts.first() == Some(&job))?;
            match removed.as_ref().map(|texts| texts.get(2).map(String::as_str)) {
                Some(Some("done")) => return Ok(Ok(())),
                Some(result) => {
                    let sentence = format!("the job ended as \"{}\"", result.unwrap_or_default());
                    return Ok(Err(Refusal { name: String::new(), sentence }));
                }
                None => {
                    let there = self.call("GetJob", &[Value::Uint32(number)])?;
                    if there.is_err_and(|refusal| refusal.is("NoSuchJob")) {
                        return Ok(Ok(()));
                    }
                }
            }
        }
        let message = format!("{member}: systemd does not come to an end with it");
        Err(Error::new(ErrorKind::System, message))
    }

    /// The cgroup of a scope, below the mount of each hierarchy.
    pub(super) fn directory(&mut self, unit: &str) -> Result<std::result::Result<String, Refusal>> {
        let path = match self.call("GetUnit", &[Value::text(unit)])? {
            Ok(path) => path.unwrap_or_default(),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (scope, property) = ("org.freedesktop.systemd1.Scope", "ControlGroup");
        let directory = self.call_object(&Call {
            destination: SYSTEMD,
            path: &path,
            interface: "org.freedesktop.DBus.Properties",
            member: "Get",
            arguments: &[Value::text(scope), Value::text(property)],
        })?;
        Ok(directory.map(Option::unwrap_or_default))
    }

    /// Forgets that a unit failed; whether there was anything to forget.
    pub(super) fn reset(&mut self, unit: &str) -> Result<bool> {
        Ok(self.call("ResetFailedUnit", &[Value::text(unit)])?.is_ok())
    }
}

fn unexpected(member: &str, refusal: &Refusal) -> Error {
    let message = format!("the message bus refuses {member}: {}", refusal.sentence);
    Error::new(ErrorKind::System, message)
}
