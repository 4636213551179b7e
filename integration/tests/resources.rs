//! Every field of `/linux/resources`, made and changed, read back from the kernel's files: what
//! keel writes, and what runc and crun write for the same configuration.
//!
//! Each test is a column of the table of field, driver and runtime, for the version of cgroups that
//! the controller has on this machine. `--nocapture` shows the table. Device rules are tested with
//! real devices, in `devices`, `update` and `systemd`.

#[path = "resources/differences.rs"]
mod differences;
#[path = "resources/fields.rs"]
mod fields;

use std::fs;
use std::path::Path;

use integration::cgroups::{Layout, disk};
use integration::runtime::{Invocation, Kind};
use integration::{Need, Outcome, Runtime, Scene};
use serde_json::Value;

use fields::{Expected, FIELDS, Field};

/// Who makes the cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Driver {
    Cgroupfs,
    Systemd,
}

/// What came of one field under one runtime.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// The files, after create and after update.
    Files(Vec<[String; 2]>),
    /// It was refused.
    Refused,
}

/// A column of the table.
struct Column {
    scene: Scene,
    runtime: Runtime,
    driver: Driver,
    disk: String,
}

impl Column {
    fn open(program: Option<&'static str>, driver: Driver) -> Option<Self> {
        let mut needs = vec![Need::Keel];
        needs.extend(program.map(Need::Program));
        if driver == Driver::Systemd {
            needs.push(Need::Systemd);
        }
        let scene = Scene::needing(&needs)?;
        let runtime = match program {
            None => scene.runtime().clone(),
            Some(name) => Runtime::named(name).expect("it is installed"),
        };
        if driver == Driver::Cgroupfs && Layout::here().is_v1("pids") && Need::Systemd.met() {
            integration::skip("systemd takes away what is empty in its hierarchies of cgroup v1");
            return None;
        }
        if runtime.kind() == Kind::Crun && Layout::here().is_hybrid() {
            integration::skip("crun knows no machine with cgroup v1 and v2 beside it");
            return None;
        }
        let disk = disk().unwrap_or_default();
        Some(Self { scene, runtime, driver, disk })
    }

    fn call(&self, words: &[&str]) -> Outcome {
        let root = self.scene.directory("other-state");
        let files = self.scene.directory("other-out");
        let call = Invocation::new(self.runtime.program(), files).arg("--root").arg(root);
        let call = if self.driver == Driver::Systemd { call.arg("--systemd-cgroup") } else { call };
        call.args(words).run()
    }

    /// Makes a container with one field, changes it, and reads what the kernel has.
    fn look(&self, field: &Field, expected: &Expected) -> (Found, String) {
        let files = match expected {
            Expected::Files(list) => *list,
            Expected::Refused(_) | Expected::Warned(_) => &[],
        };
        let id = self.scene.id();
        let (path, cgroup) = match self.driver {
            Driver::Cgroupfs => {
                let path = format!("{}/{id}", self.scene.cgroup());
                (path.clone(), path)
            }
            Driver::Systemd => {
                // crun has a cgroup of its own below the scope's.
                let below = if self.runtime.kind() == Kind::Crun { "/container" } else { "" };
                let scope = format!("/system.slice/table-{id}.scope{below}");
                (format!("system.slice:table:{id}"), scope)
            }
        };
        let resources = |text: &str| -> Value {
            let text = text.replace("DISK", &self.disk.replace(':', r#","minor":"#));
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
        };
        // The others' mount of cgroups would change the options of the host's.
        let bundle = self.scene.bundle().without_mount("/sys/fs/cgroup");
        let bundle = bundle.set("/linux/cgroupsPath", path);
        let bundle = bundle.set("/linux/resources", resources(field.create));
        bundle.save();
        let created = self.call(&["create", "--bundle", &bundle.dir().display().to_string(), &id]);
        if !created.status.success() {
            // crun leaves the cgroup of a container that it refused.
            Layout::here().remove(&id);
            return (Found::Refused, created.stderr);
        }
        let read = || -> Vec<String> {
            let layout = Layout::here();
            let dir = layout.dir(field.controller, &cgroup);
            files.iter().map(|(file, ..)| content(&dir, file)).collect()
        };
        let before = read();
        let document = self.scene.dir().join(format!("update-{id}.json"));
        integration::bundle::write(&document, resources(field.update).to_string().as_bytes());
        let updated = self.call(&["update", "--resources", &document.display().to_string(), &id]);
        let after = read();
        self.call(&["delete", "--force", &id]).ok();
        let said = created.stderr + &updated.stderr;
        if !updated.status.success() {
            return (Found::Refused, said);
        }
        (Found::Files(before.into_iter().zip(after).map(|(b, a)| [b, a]).collect()), said)
    }

    /// Whether a cell is what the table wants. Which words an error has is only keel's matter.
    fn is_right(&self, expected: &Expected, found: &Found, said: &str) -> bool {
        let keel = self.runtime.kind() == Kind::Keel;
        let says = |words: &[&str]| !keel || words.iter().all(|word| said.contains(word));
        match (expected, found) {
            (Expected::Refused(words), Found::Refused) => says(words),
            (Expected::Warned(words), Found::Files(_)) => says(words),
            // What this kernel or its disk does not have cannot be set, and that is told.
            (Expected::Files(list), Found::Refused) => {
                let names = list.iter().flat_map(|(file, ..)| fields::names(file));
                let absent = ["no such file", "not supported"].iter().any(|e| said.contains(e));
                absent && names.into_iter().any(|name| said.contains(name))
            }
            (Expected::Files(list), Found::Files(values)) => {
                let wanted = |text: &str| text.replace("DISK", &self.disk);
                list.iter().zip(values).all(|((_, before, after), [b, a])| {
                    fields::holds(b, &wanted(before)) && fields::holds(a, &wanted(after))
                })
            }
            _ => false,
        }
    }
}

/// What a file holds, in one line; a dash if it is not there.
fn content(dir: &Path, file: &str) -> String {
    let found = fields::names(file).find_map(|name| fs::read_to_string(dir.join(name)).ok());
    found.map_or("-".to_owned(), |text| text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Fills in one column, and compares every cell with what the table wants.
fn column(program: Option<&'static str>, driver: Driver) {
    let Some(column) = Column::open(program, driver) else { return };
    let (kind, mut wrong, mut looked_at) = (column.runtime.kind(), Vec::new(), 0);
    for field in FIELDS {
        let layout = Layout::here();
        let here = layout.has(field.controller);
        let no_disk = field.create.contains("DISK") && column.disk.is_empty();
        // What keel must tell of: a controller that is not there. What the others cannot: that it is
        // one of cgroup v2 beside v1.
        let other = here && (!layout.is_hybrid() || layout.is_v1(field.controller));
        if no_disk || (kind != Kind::Keel && !other) {
            continue;
        }
        looked_at += 1;
        let version = if layout.is_v1(field.controller) { "v1" } else { "v2" };
        let expected = if version == "v1" { &field.v1 } else { &field.v2 };
        let expected = match expected {
            Expected::Files([]) => expected,
            _ if here => expected,
            _ => &Expected::Refused(&["cgroup"]),
        };
        let (found, said) = column.look(field, expected);
        let said = said.trim_end();
        println!("{:24} {version} {driver:?} {}: {found:?} {said}", field.name, kind.name());
        let right = column.is_right(expected, &found, said);
        if !right && differences::reason(kind, field.name, version).is_none() {
            let what = format!("{} {version}: {found:?}\n{said}", field.name);
            wrong.push(format!("{what}\nwanted {expected:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{} of {looked_at} fields:\n{}", wrong.len(), wrong.join("\n"));
    assert_ne!(looked_at, 0, "no controller at all");
}

#[test]
fn keel_writes_every_field() {
    column(None, Driver::Cgroupfs);
}

#[test]
fn keel_writes_every_field_with_systemd() {
    column(None, Driver::Systemd);
}

#[test]
fn runc_writes_the_same() {
    column(Some("runc"), Driver::Cgroupfs);
}

#[test]
fn runc_writes_the_same_with_systemd() {
    column(Some("runc"), Driver::Systemd);
}

#[test]
fn crun_writes_the_same() {
    column(Some("crun"), Driver::Cgroupfs);
}

#[test]
fn crun_writes_the_same_with_systemd() {
    column(Some("crun"), Driver::Systemd);
}
