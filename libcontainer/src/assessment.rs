//! What would become of a bundle, part by part, without a container: for `keel check`.
//!
//! The parts are the properties that the configuration has. Each is told by what the plan says of
//! it, and by what the bundle names on this machine. Nothing is made and nothing is opened for
//! writing.

use std::io::ErrorKind;
use std::path::Path;

use serde_json::Value;

use crate::bundle::Bundle;
use crate::config::{Config, Joined, MountKind};
use crate::error::Fault;
use crate::features::{self, hooks};
use crate::host::Host;
use crate::id::ContainerId;
use crate::options::Options;
use crate::plan::{self, Plan};
use crate::spec::Spec;
use crate::spec::lenient::escaped;

/// What becomes of a part of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It is done as it stands there.
    Applied,
    /// Some of it is left out, with a warning.
    Degraded,
    /// It is ignored, as the runtime-spec wants it: it has no such property for Linux.
    Ignored,
    /// No container is made because of it.
    Refused,
}

/// A part of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where it stands, a JSON pointer.
    pub pointer: String,
    /// What becomes of it.
    pub fate: Fate,
    /// Why, if it is not applied.
    pub why: Vec<String>,
    /// The steps of the plan that it asks for, by number; none if there is no plan.
    pub steps: Vec<usize>,
}

/// What becomes of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// All parts, in the order of their pointers.
    pub parts: Vec<Part>,
}

impl Assessment {
    /// Looks at a bundle as it would be created with these options on this machine.
    pub fn of(bundle: &Bundle, id: &ContainerId, options: &Options, host: &Host) -> Self {
        let checked = features::check(bundle.spec(), bundle.path(), id, options, host);
        let missing = missing(bundle.spec(), checked.sound_parts());
        let warnings = checked.warnings.clone();
        let plan = Plan::create_checked(checked, host);
        let mut found = Self { parts: properties(bundle.spec()) };
        for pointer in bundle.unknown() {
            found.note(pointer, Fate::Ignored, plan::UNKNOWN);
        }
        for Fault { pointer, message } in &warnings {
            found.note(pointer, Fate::Degraded, message);
        }
        for Fault { pointer, message } in &missing {
            found.note(pointer, Fate::Refused, message);
        }
        match &plan {
            Ok(plan) => found.number(plan),
            Err(error) if error.faults().is_empty() => {
                found.note("", Fate::Refused, &error.to_string());
            }
            Err(error) => {
                for Fault { pointer, message } in error.faults() {
                    found.note(pointer, Fate::Refused, message);
                }
            }
        }
        found.parts.sort_by_cached_key(|part| order(&part.pointer));
        found
    }

    /// How many parts have this fate.
    pub fn count(&self, fate: Fate) -> usize {
        self.parts.iter().filter(|part| part.fate == fate).count()
    }

    /// Whether a container would be made; with `strict` only if all is applied.
    pub fn holds(&self, strict: bool) -> bool {
        let worst = if strict { Fate::Applied } else { Fate::Ignored };
        self.parts.iter().all(|part| part.fate <= worst)
    }

    /// Gives the parts the numbers of their steps: those of the part itself or of one within it, or
    /// else of the nearest part around it that has any.
    fn number(&mut self, plan: &Plan) {
        let steps: Vec<(usize, &str)> = plan
            .numbered()
            .map(|(_, number, entry)| (number, entry.pointer.as_str()))
            .filter(|(_, pointer)| !pointer.is_empty())
            .collect();
        for part in &mut self.parts {
            let around = steps.iter().map(|(_, pointer)| *pointer);
            let around = around.filter(|pointer| within(&part.pointer, pointer));
            let nearest = around.max_by_key(|pointer| pointer.len()).unwrap_or(&part.pointer);
            let own = |pointer: &str| pointer == nearest || within(pointer, &part.pointer);
            part.steps = steps
                .iter()
                .filter(|(_, pointer)| own(pointer))
                .map(|(number, _)| *number)
                .collect();
        }
    }

    /// Notes something about the part at a pointer, about all parts within it, or about the one that
    /// it lies in; or else about a part that is missing.
    fn note(&mut self, pointer: &str, fate: Fate, why: &str) {
        let why = why.to_owned();
        let mut about: Vec<&mut Part> =
            self.parts.iter_mut().filter(|part| within(&part.pointer, pointer)).collect();
        if about.is_empty() {
            about = self.parts.iter_mut().filter(|part| within(pointer, &part.pointer)).collect();
        }
        if about.is_empty() {
            let (pointer, why) = (pointer.to_owned(), vec![why]);
            self.parts.push(Part { pointer, fate, why, steps: Vec::new() });
            return;
        }
        for part in about {
            part.fate = part.fate.max(fate);
            part.why.push(why.clone());
        }
    }
}

/// Whether a pointer is another, or leads to something within that.
fn within(pointer: &str, outer: &str) -> bool {
    pointer.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Pointers in an order in which 10 comes after 9.
fn order(pointer: &str) -> Vec<(u64, String)> {
    let key = |word: &str| (word.parse().unwrap_or(u64::MAX), word.to_owned());
    pointer.split('/').map(key).collect()
}

/// The properties of a configuration that say something. A list of rules for system calls is one,
/// and so is a list of texts.
fn properties(spec: &Spec) -> Vec<Part> {
    let mut parts = Vec::new();
    collect(&serde_json::to_value(spec).unwrap_or_default(), String::new(), &mut parts);
    parts
}

fn collect(value: &Value, pointer: String, parts: &mut Vec<Part>) {
    const ONE: [&str; 1] = ["/linux/seccomp/syscalls"];
    let is_one = ONE.contains(&pointer.as_str());
    match value {
        Value::Object(members) if !members.is_empty() && !is_one => {
            for (name, member) in members {
                let name = escaped(name);
                collect(member, format!("{pointer}/{name}"), parts);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) && !is_one => {
            for (i, item) in items.iter().enumerate() {
                collect(item, format!("{pointer}/{i}"), parts);
            }
        }
        _ => {
            parts.push(Part { pointer, fate: Fate::Applied, why: Vec::new(), steps: Vec::new() });
        }
    }
}

/// What a configuration names and this machine does not have. What only others may look at is left
/// to them.
fn missing(spec: &Spec, config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut look = |pointer: String, path: &Path, what: &str| {
        if let Err(error) = path.symlink_metadata()
            && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        {
            let message = format!("{what} {} is not there", path.display());
            faults.push(Fault { pointer, message });
        }
    };
    if spec.root.is_some() {
        look("/root/path".to_owned(), &config.rootfs.path, "the rootfs");
    }
    for mount in &config.mounts {
        if let MountKind::Bind { source, .. } = &mount.kind {
            look(format!("{}/source", mount.pointer), source, "the source");
        }
    }
    for Joined { path, pointer, .. } in &config.namespaces.joined {
        look(format!("{pointer}/path"), path, "the namespace");
    }
    let asked = spec.linux.iter().flat_map(|linux| &linux.namespaces).enumerate();
    for (i, namespace) in asked.filter(|(_, namespace)| namespace.path.is_none()) {
        let path = Path::new("/proc/self/ns").join(file(&namespace.kind));
        let what = format!("the kernel has no {} namespaces:", namespace.kind);
        look(format!("/linux/namespaces/{i}/type"), &path, &what);
    }
    for (name, list) in hooks::moments(&config.hooks) {
        // Those of startContainer are programs of the image.
        for (i, hook) in list.iter().enumerate().filter(|_| name != "startContainer") {
            look(format!("/hooks/{name}/{i}/path"), hook.path.as_ref(), "the hook");
        }
    }
    faults
}

/// The name of a kind of namespace in procfs, namespaces(7).
fn file(kind: &str) -> &str {
    match kind {
        "network" => "net",
        "mount" => "mnt",
        other => other,
    }
}
