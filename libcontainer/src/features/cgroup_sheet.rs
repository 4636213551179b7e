//! The sheet on which the parts of `/linux/resources` write down what they want of the cgroups.
//!
//! `cgroup` opens it, gives each part a [`Section`] for the hierarchy that has its controller, and
//! turns the whole into a plan. A part never sees another's section.

use crate::error::Fault;
use crate::host::cgroups::{Cgroups, parent};
use crate::spec::Resources;
use crate::task::cgroup::{Kind, OnMissing, Place, Write, is_file_name};

/// Where the configuration says which cgroup.
pub(super) const PATH: &str = "/linux/cgroupsPath";
/// Where it says what is limited.
pub(super) const RESOURCES: &str = "/linux/resources";

/// A plan in the making.
pub(super) struct Sheet<'a> {
    pub(super) cgroups: &'a Cgroups,
    pub(super) places: Vec<Place>,
    pub(super) writes: Vec<Write>,
    pub(super) faults: &'a mut Vec<Fault>,
    pub(super) warnings: &'a mut Vec<Fault>,
}

impl<'a> Sheet<'a> {
    pub(super) fn fault(&mut self, pointer: &str, message: impl Into<String>) {
        self.faults.push(Fault { pointer: pointer.to_owned(), message: message.into() });
    }

    pub(super) fn warn(&mut self, pointer: &str, message: impl Into<String>) {
        self.warnings.push(Fault { pointer: pointer.to_owned(), message: message.into() });
    }

    /// Finds the container's directory in every hierarchy. A relative path begins where runc
    /// begins: on v1 below this process's cgroup, and on v2 beside it, as there a cgroup that has
    /// processes of its own cannot give controllers to those below.
    pub(super) fn place(&mut self, configured: Option<&str>, path: &str, rootless: bool) {
        let absolute = configured.is_some_and(|path| path.starts_with('/'));
        let wanted = |writable: bool| writable || !rootless || configured.is_some();
        let below = |own: &str| match absolute {
            true => path.to_owned(),
            false => clean(own) + path,
        };
        let cgroups = self.cgroups;
        for hierarchy in cgroups.legacy.iter().filter(|hierarchy| wanted(hierarchy.writable)) {
            self.places.push(Place {
                kind: Kind::Legacy,
                mount: hierarchy.mount.clone(),
                path: below(&hierarchy.own),
                controllers: hierarchy.controllers.clone(),
            });
        }
        for unified in cgroups.unified.iter().filter(|unified| wanted(unified.writable)) {
            let alone = cgroups.legacy.is_empty();
            self.places.push(Place {
                kind: Kind::Unified,
                mount: unified.mount.clone(),
                path: below(if alone { parent(&unified.own) } else { &unified.own }),
                controllers: unified.controllers.clone(),
            });
        }
    }

    /// The place of a controller, by its name on v1 and on v2, and the version to speak there.
    pub(super) fn section(
        &mut self,
        v1: &'static str,
        v2: &'static str,
        part: &'static str,
    ) -> (Kind, Section<'_, 'a>) {
        let has = |kind: Kind, name: &str| {
            let here =
                |place: &Place| place.kind == kind && place.controllers.iter().any(|c| c == name);
            self.places.iter().position(here)
        };
        let (legacy, unified) = (has(Kind::Legacy, v1), has(Kind::Unified, v2));
        let alone = self.cgroups.legacy.is_empty() && self.cgroups.unified.is_some();
        let kind = match (legacy, unified) {
            (Some(_), _) => Kind::Legacy,
            (None, Some(_)) => Kind::Unified,
            (None, None) if alone => Kind::Unified,
            (None, None) => Kind::Legacy,
        };
        let controller = if kind == Kind::Legacy { v1 } else { v2 };
        let place = legacy.or(unified);
        (kind, Section { sheet: self, place, controller, part, refused: false })
    }

    /// Why no place of the container has a controller.
    pub(super) fn without(&self, controller: &str) -> String {
        let known = |list: &[String]| list.iter().any(|c| c == controller);
        let exists = self.cgroups.legacy.iter().any(|hierarchy| known(&hierarchy.controllers))
            || self.cgroups.unified.iter().any(|unified| known(&unified.controllers));
        if exists {
            "this user may not make a cgroup there".to_owned()
        } else {
            format!("there is no cgroup controller {controller} for this container")
        }
    }

    /// `/linux/resources/unified`: files of cgroup v2 by name, over everything else.
    pub(super) fn unified(&mut self, resources: &Resources) {
        let place = self.places.iter().position(|place| !place.is_legacy());
        for (key, value) in &resources.unified {
            let pointer = format!("{RESOURCES}/unified/{}", escaped(key));
            let controller = key.split_once('.').map(|(controller, _)| controller);
            let message = match (controller, place) {
                _ if !is_file_name(key) => format!("\"{key}\" is not the name of a file"),
                (None, _) => format!("\"{key}\" is not of the form CONTROLLER.PARAMETER"),
                (Some(_), None) => "there is no cgroup v2 for this container".to_owned(),
                // Core files, and those of pressure that need no controller.
                (Some("cgroup" | "irq"), Some(place)) => {
                    self.lines(place, key, value, &pointer);
                    continue;
                }
                (Some(name), Some(place)) => {
                    if self.places[place].controllers.iter().any(|c| c == name) {
                        self.lines(place, key, value, &pointer);
                        continue;
                    }
                    format!("cgroup v2 has no controller {name} here")
                }
            };
            self.fault(&pointer, message);
        }
    }

    /// The kernel takes one line in a write(2).
    pub(super) fn lines(&mut self, place: usize, file: &str, value: &str, pointer: &str) {
        for line in value.trim_end_matches('\n').split('\n') {
            self.writes.push(Write {
                place,
                file: file.to_owned(),
                value: line.to_owned(),
                pointer: pointer.to_owned(),
                missing: OnMissing::Fail,
            });
        }
    }

    /// Beside v1 only what is used is enabled on v2: its controllers belong to whoever set up the
    /// machine. Alone, v2 is given all, so that statistics and later updates have them.
    pub(super) fn enable(&mut self) {
        if self.cgroups.legacy.is_empty() {
            return;
        }
        for (i, place) in self.places.iter_mut().enumerate().filter(|(_, p)| !p.is_legacy()) {
            let used = |controller: &String| {
                let prefix = format!("{controller}.");
                self.writes.iter().any(|w| w.place == i && w.file.starts_with(&prefix))
            };
            place.controllers.retain(used);
        }
    }
}

/// The part of a [`Sheet`] that one part of the resources writes to.
pub(super) struct Section<'s, 'a> {
    sheet: &'s mut Sheet<'a>,
    /// The hierarchy; none has the controller, or none that this caller may use.
    place: Option<usize>,
    controller: &'static str,
    part: &'static str,
    refused: bool,
}

impl Section<'_, '_> {
    /// Whether the controller's hierarchy is of cgroup v1.
    pub(super) fn is_legacy(&self) -> bool {
        self.place.is_some_and(|place| self.sheet.places[place].is_legacy())
    }

    fn pointer(&self, field: &str) -> String {
        let slash = if field.is_empty() { "" } else { "/" };
        format!("{RESOURCES}/{}{slash}{field}", self.part)
    }

    /// A value for a file, asked for by this field of the part.
    pub(super) fn write(&mut self, field: &str, file: &str, value: impl ToString) {
        self.write_or(field, file, value, OnMissing::Fail);
    }

    /// The same, for a file that not every kernel has.
    pub(super) fn write_or(
        &mut self,
        field: &str,
        file: &str,
        value: impl ToString,
        missing: OnMissing,
    ) {
        let (pointer, file, value) = (self.pointer(field), file.to_owned(), value.to_string());
        match self.place {
            Some(place) => {
                self.sheet.writes.push(Write { place, file, value, pointer, missing });
            }
            // One fault for all fields of the part: they have the same cause.
            None if self.refused => {}
            None => {
                self.refused = true;
                let reason = self.sheet.without(self.controller);
                self.sheet.fault(&pointer, format!("cannot set {file}: {reason}"));
            }
        }
    }

    /// A field that makes the configuration unusable.
    pub(super) fn fault(&mut self, field: &str, message: impl Into<String>) {
        self.sheet.fault(&self.pointer(field), message);
    }

    /// A field that has no effect.
    pub(super) fn warn(&mut self, field: &str, message: impl Into<String>) {
        self.sheet.warn(&self.pointer(field), message);
    }
}

/// A key as a segment of a JSON pointer, RFC 6901.
pub(super) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A path whose `..` stay inside, as `/a/b`; empty for the root.
pub(super) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.iter().flat_map(|part| ["/", part]).collect()
}
