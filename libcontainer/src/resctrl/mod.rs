//! A container's place in the resctrl file system: its class of service, and the group of that in
//! which it is counted (kernel: `Documentation/filesystems/resctrl.rst`).
//!
//! Directories are groups, and files are written and read as they are with cgroups. What is made is
//! recorded before. Only what was made is removed: a class that the configuration names is
//! somebody else's, and so is the default class. Called by `container`; which class, and what it
//! gets, is decided in `features::intel_rdt`.

mod statistics;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde_json::{Value, json};

pub use statistics::{BandwidthInfo, CacheDomain, CacheInfo, IntelRdtStatistics};

use crate::config::IntelRdt;
use crate::error::{Error, ErrorKind, Result};
use crate::task::resctrl::SchemaLine;

/// The place of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// Where the file system is mounted.
    root: PathBuf,
    /// Its class; none for the default one.
    class: Option<String>,
    /// Whether that is the container's own.
    own: bool,
    /// Its monitoring group.
    monitor: Option<String>,
}

/// What was made for a container so far.
#[derive(Debug, Default)]
pub(crate) struct Made {
    class: bool,
    monitor: bool,
}

impl Group {
    /// The place that a plan says.
    pub(crate) fn of(plan: &IntelRdt) -> Self {
        let IntelRdt { root, class, own, monitor, .. } = plan.clone();
        Self { root, class, own, monitor }
    }

    /// Looks where a container will be. What is to be its own must not be there yet.
    ///
    /// # Errors
    /// It is there, and so is not the container's.
    pub(crate) fn survey(plan: &IntelRdt) -> Result<Self> {
        let group = Self::of(plan);
        let found = group.own_dirs().find(|dir| fs::symlink_metadata(dir).is_ok());
        match found {
            Some(dir) => {
                let message = format!("cannot make the resctrl group {}", dir.display());
                let error = Error::system(message, Errno::EEXIST).path(dir);
                Err(error.pointer_is("/linux/intelRdt"))
            }
            None => Ok(group),
        }
    }

    /// The directory of its class.
    fn dir(&self) -> PathBuf {
        self.class.as_ref().map_or(self.root.clone(), |name| self.root.join(name))
    }

    /// The directory of its monitoring group.
    fn monitor_dir(&self) -> Option<PathBuf> {
        self.monitor.as_ref().map(|name| self.dir().join("mon_groups").join(name))
    }

    /// The directories that end with the container, innermost first.
    fn own_dirs(&self) -> impl Iterator<Item = PathBuf> {
        let own = Some(self.dir()).filter(|_| self.own);
        self.monitor_dir().into_iter().chain(own)
    }

    /// Makes what is to be made, and writes what the container is to have. `made` tells how far it
    /// got, also when it fails.
    ///
    /// # Errors
    /// A class that must be there is not, or has other values, or the kernel refuses something.
    pub(crate) fn make(&self, plan: &IntelRdt, made: &mut Made) -> Result<()> {
        let asked = !plan.limits.is_empty() || !plan.schemata.is_empty();
        if self.own || (asked && plan.class.is_some()) {
            made.class = self.make_dir(&self.dir(), !self.own)?;
        } else if fs::metadata(self.dir()).is_err() {
            let message = format!("there is no resctrl group {}", self.dir().display());
            return Err(Error::new(ErrorKind::Config, message).path(self.dir()));
        }
        if made.class {
            self.write_lines(plan.limits.iter().chain(&plan.schemata))?;
        } else {
            self.check_held(&plan.limits)?;
            self.write_lines(&plan.schemata)?;
        }
        if let Some(monitor) = self.monitor_dir() {
            made.monitor = self.make_dir(&monitor, false)?;
        }
        Ok(())
    }

    /// Makes a directory; whether it was not there, which may be allowed.
    fn make_dir(&self, dir: &Path, shared: bool) -> Result<bool> {
        match fs::create_dir(dir) {
            Ok(()) => Ok(true),
            Err(error) if shared && error.kind() == IoErrorKind::AlreadyExists => Ok(false),
            Err(error) => {
                Err(self
                    .refused(&format!("cannot make the resctrl group {}", dir.display()), &error))
            }
        }
    }

    /// That a class which others may use has the values that this container wants.
    fn check_held(&self, lines: &[SchemaLine]) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let held = self.schemata()?;
        let granularity = fs::read_to_string(self.root.join("info/MB/bandwidth_gran"));
        let granularity = granularity.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1);
        match lines.iter().find(|line| !line.is_held_by(&held, granularity)) {
            Some(line) => {
                let dir = self.dir();
                let message = format!("the resctrl group {} does not have {line}", dir.display());
                Err(Error::new(ErrorKind::Config, message).path(dir))
            }
            None => Ok(()),
        }
    }

    /// Moves a task in. A process that has one thread is a task; what it starts later is where it is.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub(crate) fn enter(&self, task: i32) -> Result<()> {
        // The class first: a group of another class would refuse the task.
        for dir in std::iter::once(self.dir()).chain(self.monitor_dir()) {
            self.write(&dir.join("tasks"), &task.to_string())?;
        }
        Ok(())
    }

    /// The tasks that are in its class.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn tasks(&self) -> Result<BTreeSet<i32>> {
        let text = self.read("tasks")?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// The values that its class has.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn schemata(&self) -> Result<String> {
        self.read("schemata")
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = self.dir().join(file);
        fs::read_to_string(&path).map_err(|error| {
            Error::io(format!("cannot read {}", path.display()), &error).path(&path)
        })
    }

    /// Writes lines: the kernel takes all of them, or none.
    ///
    /// # Errors
    /// The kernel refuses them.
    pub(crate) fn write_lines<'a>(
        &self,
        lines: impl IntoIterator<Item = &'a SchemaLine>,
    ) -> Result<()> {
        let text: String = lines.into_iter().map(|line| format!("{line}\n")).collect();
        if text.is_empty() { Ok(()) } else { self.write_schemata(&text) }
    }

    /// Writes what [`Group::schemata`] has read.
    ///
    /// # Errors
    /// The kernel refuses it; then everything is as before.
    pub(crate) fn write_schemata(&self, text: &str) -> Result<()> {
        self.write(&self.dir().join("schemata"), text)
    }

    fn write(&self, path: &Path, text: &str) -> Result<()> {
        let file = OpenOptions::new().write(true).open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
            let text = text.trim_end().replace('\n', ", ");
            let message = format!("cannot write \"{text}\" to {}", path.display());
            self.refused(&message, &error).path(path)
        })
    }

    /// An error with what the kernel says about the last thing it refused.
    fn refused(&self, message: &str, error: &std::io::Error) -> Error {
        let said = fs::read_to_string(self.root.join("info/last_cmd_status")).unwrap_or_default();
        let said = said.trim();
        let words = if matches!(said, "" | "ok") { String::new() } else { format!(" ({said})") };
        Error::io(format!("{message}{words}"), error)
    }

    /// Removes what is the container's own. What is gone already is no error.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub(crate) fn remove(&self) -> Result<()> {
        self.own_dirs().try_for_each(|dir| self.remove_dir(&dir))
    }

    /// Removes what was made for a container that did not come to be. A class with a name stays
    /// once others are in it.
    ///
    /// # Errors
    /// As [`Group::remove`].
    pub(crate) fn take_back(&self, made: &Made) -> Result<()> {
        if let Some(monitor) = self.monitor_dir().filter(|_| made.monitor) {
            self.remove_dir(&monitor)?;
        }
        let is_empty = || fs::read(self.dir().join("tasks")).unwrap_or_default().is_empty();
        let unused = made.class && (self.own || is_empty());
        if unused { self.remove_dir(&self.dir()) } else { Ok(()) }
    }

    fn remove_dir(&self, dir: &Path) -> Result<()> {
        match fs::remove_dir(dir) {
            Err(error) if error.kind() != IoErrorKind::NotFound => {
                let message = format!("cannot remove the resctrl group {}", dir.display());
                Err(self.refused(&message, &error).path(dir))
            }
            _ => Ok(()),
        }
    }

    /// For the record.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "root": self.root.to_string_lossy(),
            "class": self.class,
            "own": self.own,
            "monitor": self.monitor,
        })
    }

    /// From the record; nothing if that is damaged. What is removed later lies below the root.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let name = |member: &str| match value.get(member)? {
            Value::Null => Some(None),
            name => {
                let name = name.as_str()?;
                let plain = !matches!(name, "" | "." | "..") && !name.contains('/');
                plain.then(|| Some(name.to_owned()))
            }
        };
        let group = Self {
            root: value.get("root")?.as_str()?.into(),
            class: name("class")?,
            own: value.get("own")?.as_bool()?,
            monitor: name("monitor")?,
        };
        Some(group).filter(|group| group.class.is_some() || !group.own)
    }
}

/// In place of resctrl, which no machine at hand has, stands a directory of plain files with the
/// names that the kernel gives them: what is written there, and what is read. What the kernel does
/// by itself, such as filling a new group with files, is done by the tests.
#[cfg(test)]
mod tests {
    use super::*;

    struct Root(PathBuf);

    impl Root {
        fn new(name: &str) -> Self {
            let name = format!("keel-resctrl-{}-{name}", std::process::id());
            let root = Self(std::env::temp_dir().join(name));
            fs::create_dir(&root.0).unwrap();
            root.put("info/MB/bandwidth_gran", "10\n");
            root.group(".");
            root
        }

        fn put(&self, path: &str, text: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path);
            file.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
        }

        fn get(&self, path: &str) -> String {
            fs::read_to_string(self.0.join(path)).unwrap()
        }

        /// A group as the kernel makes it.
        fn group(&self, dir: &str) {
            self.put(&format!("{dir}/tasks"), "");
            self.put(&format!("{dir}/schemata"), "    L3:0=ff;1=ff\n    MB:0=100;1=100\n");
            fs::create_dir(self.0.join(dir).join("mon_groups")).unwrap();
        }

        fn plan(&self, class: Option<&str>, lines: &[&str]) -> IntelRdt {
            IntelRdt {
                root: self.0.clone(),
                class: Some(class.unwrap_or("c1").to_owned()),
                own: class.is_none(),
                limits: lines.iter().map(|line| SchemaLine::parse(line).unwrap()).collect(),
                schemata: Vec::new(),
                monitor: None,
            }
        }

        fn has(&self, path: &str) -> bool {
            fs::metadata(self.0.join(path)).is_ok()
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_class_of_ones_own_is_made_and_removed() {
        let root = Root::new("own");
        let group = Group::survey(&root.plan(None, &[])).unwrap();
        let mut made = Made::default();
        group.make(&root.plan(None, &[]), &mut made).unwrap();
        assert!(made.class && !made.monitor && root.has("c1"));
        assert_eq!(
            Group::survey(&root.plan(None, &[])).unwrap_err().raw_errno(),
            Some(libc::EEXIST)
        );
        let read = Group::from_json(&group.to_json()).unwrap();
        assert_eq!(read, group);
        read.remove().unwrap();
        assert!(!root.has("c1") && root.has("tasks"));
        read.remove().unwrap();
    }

    #[test]
    fn a_class_that_could_not_get_its_values_is_taken_back_and_the_kernels_words_are_told() {
        let root = Root::new("refused");
        root.put("info/last_cmd_status", "Mask 0 out of range\n");
        let plan = root.plan(None, &["L3:0=0"]);
        let group = Group::survey(&plan).unwrap();
        let mut made = Made::default();
        // A plain directory has no file `schemata`.
        let error = group.make(&plan, &mut made).unwrap_err().to_string();
        assert!(error.contains("\"L3:0=0\"") && error.contains("(Mask 0 out of range)"), "{error}");
        group.take_back(&made).unwrap();
        assert!(!root.has("c1"));
    }

    #[test]
    fn a_class_that_is_there_must_have_the_values_and_is_not_removed() {
        let root = Root::new("shared");
        root.group("gold");
        for (lines, held) in [
            (&["L3:1=0ff", "MB:0=91"][..], true),
            (&["L3:0=f"], false),
            (&["L3:0=ff", "MB:0=50"], false),
        ] {
            let plan = root.plan(Some("gold"), lines);
            let (group, mut made) = (Group::survey(&plan).unwrap(), Made::default());
            assert_eq!(group.make(&plan, &mut made).is_ok(), held, "{lines:?}");
            assert!(!made.class);
            group.take_back(&made).unwrap();
            group.remove().unwrap();
        }
        assert!(root.get("gold/schemata").starts_with("    L3:0=ff;1=ff\n"));
        let mut plan = root.plan(Some("gold"), &["L3:0=ff"]);
        plan.schemata = vec![SchemaLine::parse("MB:0=40").unwrap()];
        Group::survey(&plan).unwrap().make(&plan, &mut Made::default()).unwrap();
        assert!(root.get("gold/schemata").starts_with("MB:0=40\n"));
    }

    #[test]
    fn a_class_without_values_of_ones_own_must_be_there() {
        let root = Root::new("missing");
        let plan = root.plan(Some("silver"), &[]);
        let group = Group::survey(&plan).unwrap();
        let error = group.make(&plan, &mut Made::default()).unwrap_err().to_string();
        assert!(error.contains("there is no resctrl group") && !root.has("silver"), "{error}");
        // With values it is made; taken back it is only while nobody is in it.
        let plan = root.plan(Some("silver"), &["L3:0=f"]);
        let mut made = Made::default();
        assert!(group.make(&plan, &mut made).is_err() && made.class);
        root.put("silver/tasks", "1\n");
        group.take_back(&made).unwrap();
        group.remove().unwrap();
        assert!(root.has("silver"));
    }

    #[test]
    fn tasks_enter_the_class_and_then_the_group_that_is_counted() {
        let root = Root::new("tasks");
        root.group("gold");
        let plan = IntelRdt { monitor: Some("c1".to_owned()), ..root.plan(Some("gold"), &[]) };
        let (group, mut made) = (Group::survey(&plan).unwrap(), Made::default());
        group.make(&plan, &mut made).unwrap();
        assert!(made.monitor);
        // The class is entered, and the error is that the group has no file yet.
        assert!(group.enter(42).unwrap_err().to_string().contains("gold/mon_groups/c1/tasks"));
        assert_eq!(root.get("gold/tasks"), "42");
        root.put("gold/mon_groups/c1/tasks", "");
        group.enter(43).unwrap();
        assert_eq!(root.get("gold/mon_groups/c1/tasks"), "43");
        fs::remove_file(root.0.join("gold/mon_groups/c1/tasks")).unwrap();
        group.remove().unwrap();
        assert!(root.has("gold/mon_groups") && !root.has("gold/mon_groups/c1"));
    }

    #[test]
    fn the_default_class_is_the_root() {
        let root = Root::new("default");
        let plan = IntelRdt { class: None, ..root.plan(Some("/"), &["L3:0=ff"]) };
        let (group, mut made) = (Group::survey(&plan).unwrap(), Made::default());
        group.make(&plan, &mut made).unwrap();
        group.enter(7).unwrap();
        assert_eq!((root.get("tasks").as_str(), made.class), ("7", false));
        group.remove().unwrap();
        assert!(root.has("schemata"));
    }

    #[test]
    fn a_damaged_record_leads_to_nothing_outside_of_the_root() {
        let record = |class: Value, own: bool, monitor: Value| {
            let json = json!({ "root": "/r", "class": class, "own": own, "monitor": monitor });
            Group::from_json(&json)
        };
        assert!(record(json!("a"), true, json!("b")).is_some());
        assert!(record(json!(null), false, json!(null)).is_some());
        for name in ["", ".", "..", "a/b", "/"] {
            assert_eq!(record(json!(name), false, json!(null)), None, "{name}");
            assert_eq!(record(json!("a"), false, json!(name)), None, "{name}");
        }
        assert_eq!(record(json!(null), true, json!(null)), None);
    }

    #[test]
    fn statistics_are_those_of_the_group_that_is_counted() {
        let root = Root::new("statistics");
        root.group("gold");
        root.put("info/L3/cbm_mask", "ff\n");
        root.put("info/L3/min_cbm_bits", "1\n");
        root.put("gold/mon_data/mon_L3_00/llc_occupancy", "1\n");
        root.put("gold/mon_groups/c1/mon_data/mon_L3_01/llc_occupancy", "Unavailable\n");
        root.put("gold/mon_groups/c1/mon_data/mon_L3_00/llc_occupancy", "4096\n");
        root.put("gold/mon_groups/c1/mon_data/mon_L3_00/mbm_total_bytes", "9\n");
        let counted = IntelRdt { monitor: Some("c1".to_owned()), ..root.plan(Some("gold"), &[]) };
        let statistics = Group::of(&counted).statistics();
        let first = CacheDomain { occupancy: Some(4096), total_bytes: Some(9), local_bytes: None };
        assert_eq!(statistics.domains, [first, CacheDomain::default()]);
        let mask = Some("ff".to_owned());
        assert_eq!(statistics.cache, Some(CacheInfo { mask, fewest_bits: Some(1), classes: None }));
        assert_eq!(statistics.cache_schema.as_deref(), Some("L3:0=ff;1=ff"));
        assert_eq!(statistics.bandwidth_schema_root.as_deref(), Some("MB:0=100;1=100"));
        assert_eq!(statistics.bandwidth.unwrap().granularity, Some(10));
        let all = Group::of(&root.plan(Some("gold"), &[])).statistics();
        assert_eq!(all.domains[0].occupancy, Some(1));
        assert_eq!(Group::of(&root.plan(Some("gone"), &[])).statistics().cache_schema, None);
    }
}
