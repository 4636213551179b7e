//! What a process says about the world it is in.
//!
//! Payloads print files of `/proc`; this reads them back: the mount table, the status file, the
//! list of descriptors. It judges nothing.

use std::collections::BTreeMap;

/// One line of a mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// The directory of its file system that is mounted.
    pub root: String,
    /// Where it is mounted.
    pub point: String,
    /// Options of this mount.
    pub options: Vec<String>,
    /// Propagation: `shared:N`, `master:N`, `unbindable`.
    pub propagation: Vec<String>,
    /// File system type.
    pub kind: String,
    /// What is mounted.
    pub source: String,
    /// Options of the file system.
    pub super_options: Vec<String>,
}

impl Mounted {
    /// Whether an option is set on the mount.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|o| o == option)
    }

    /// Whether an option is set on the file system.
    pub fn super_has(&self, option: &str) -> bool {
        self.super_options.iter().any(|o| o == option)
    }

    /// Whether it is a peer of a shared group.
    pub fn shared(&self) -> bool {
        self.propagation.iter().any(|p| p.starts_with("shared:"))
    }

    /// Whether it gets mounts from a shared group.
    pub fn slave(&self) -> bool {
        self.propagation.iter().any(|p| p.starts_with("master:"))
    }

    fn parse(line: &str) -> Option<Self> {
        let (front, back) = line.split_once(" - ")?;
        let front: Vec<&str> = front.split(' ').collect();
        let back: Vec<&str> = back.split(' ').collect();
        let list = |text: &str| text.split(',').map(str::to_owned).collect();
        Some(Self {
            root: (*front.get(3)?).to_owned(),
            point: (*front.get(4)?).to_owned(),
            options: list(front.get(5)?),
            propagation: front.iter().skip(6).map(|&p| p.to_owned()).collect(),
            kind: (*back.first()?).to_owned(),
            source: (*back.get(1)?).to_owned(),
            super_options: list(back.get(2)?),
        })
    }
}

/// What a payload printed.
#[derive(Debug, Clone)]
pub struct Inside(pub String);

impl Inside {
    /// The mount table.
    pub fn mounts(&self) -> Vec<Mounted> {
        self.0.lines().filter_map(Mounted::parse).collect()
    }

    /// The topmost mount on a path.
    #[track_caller]
    pub fn mount(&self, point: &str) -> Mounted {
        let found = self.mounts().into_iter().rfind(|mount| mount.point == point);
        found.unwrap_or_else(|| panic!("nothing is mounted on {point}:\n{}", self.0))
    }

    /// Whether something is mounted on a path.
    pub fn mounted(&self, point: &str) -> bool {
        self.mounts().iter().any(|mount| mount.point == point)
    }

    /// The fields of a status file: `CapEff`, `Groups`, `NoNewPrivs`, …
    pub fn status(&self) -> BTreeMap<String, String> {
        let fields = self.0.lines().filter_map(|line| line.split_once(":\t"));
        fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
    }

    /// One field of a status file.
    #[track_caller]
    pub fn field(&self, name: &str) -> String {
        self.status().remove(name).unwrap_or_else(|| panic!("no field {name} in:\n{}", self.0))
    }
}
