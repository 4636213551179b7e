//! The record of a cgroup as JSON, for the container's state.
//!
//! Written and read by whoever keeps the state. Its form is keel's own: a record of
//! another version is refused by the state's own version, not here.

use serde_json::{Value, json};

use super::{Cgroup, Directory, Unit};
use crate::task::cgroup::{Kind, Place};

impl Cgroup {
    /// The record.
    pub fn to_json(&self) -> Value {
        let unit = self.unit.as_ref().map(|unit| json!({ "name": unit.name, "bus": unit.bus }));
        json!({
            "directories": self.directories.iter().map(write).collect::<Value>(),
            "unit": unit,
            "subgroup": self.subgroup,
        })
    }

    /// Reads a record; `None` if it is none.
    pub fn from_json(value: &Value) -> Option<Self> {
        let directories = value.get("directories")?.as_array()?;
        let unit = match value.get("unit")? {
            Value::Null => None,
            unit => Some(Unit {
                name: unit.get("name")?.as_str()?.to_owned(),
                bus: unit.get("bus")?.as_str().map(str::to_owned),
            }),
        };
        let directories = directories.iter().map(read).collect::<Option<_>>()?;
        let subgroup = value.get("subgroup").and_then(Value::as_str).map(str::to_owned);
        Some(Self { directories, unit, subgroup })
    }
}

fn write(directory: &Directory) -> Value {
    let Directory { place, made } = directory;
    json!({
        "version": if place.is_legacy() { 1 } else { 2 },
        "mount": place.mount.to_string_lossy(),
        "path": place.path,
        "controllers": place.controllers,
        "made": made,
    })
}

fn read(value: &Value) -> Option<Directory> {
    let kind = match value["version"].as_u64()? {
        1 => Kind::Legacy,
        2 => Kind::Unified,
        _ => return None,
    };
    let path = value["path"].as_str()?.to_owned();
    let made = usize::try_from(value["made"].as_u64()?).ok()?;
    // What is removed later is never a hierarchy's root, whatever a damaged record says.
    let names: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    if names.iter().any(|name| matches!(*name, "" | "." | "..")) || made > names.len() {
        return None;
    }
    let controllers = value["controllers"].as_array()?.iter();
    let controllers = controllers.map(|c| c.as_str().map(str::to_owned)).collect::<Option<_>>()?;
    let mount = value["mount"].as_str()?.into();
    Some(Directory { place: Place { kind, mount, path, controllers }, made })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(path: &str, made: usize) -> Cgroup {
        let place = Place {
            kind: Kind::Legacy,
            mount: "/sys/fs/cgroup/memory".into(),
            path: path.to_owned(),
            controllers: vec!["memory".to_owned()],
        };
        Cgroup { directories: vec![Directory { place, made }], unit: None, subgroup: None }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let mut cgroup = example("/a/b", 2);
        for bus in [None, Some("unix:path=/run/user/1000/bus".to_owned())] {
            assert_eq!(Cgroup::from_json(&cgroup.to_json()).as_ref(), Some(&cgroup));
            cgroup.unit = Some(Unit { name: "a-b.scope".to_owned(), bus });
            cgroup.subgroup = Some("inner".to_owned());
        }
    }

    #[test]
    fn a_damaged_record_never_names_the_root_of_a_hierarchy() {
        for (path, made) in [("/", 1), ("", 0), ("a", 1), ("/a/../..", 1), ("/a", 2), ("/a//b", 1)]
        {
            let damaged = example(path, made).to_json();
            assert_eq!(Cgroup::from_json(&damaged), None, "{path} {made}");
        }
    }
}
