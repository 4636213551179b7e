//! Plans and steps in words: `keel explain`, and the sentences of errors.
//!
//! The only place where a step has prose. What a failing step says is `cannot ` and this text.

mod identity;
mod landlock;
mod resctrl;
mod scheduling;

use std::collections::BTreeMap;
use std::fmt;

use libcontainer_init::step::{Step, flag};
use libcontainer_init::wire::{List, PlanBytes, Slot, Str};
use serde_json::{Value, json};

use super::Plan;
use super::mount_words::{changes, flagged, ids, propagation_name};
use crate::features::{capabilities, limits, namespaces, scheduler};
use crate::steps::{Action, Entry};
use crate::task::Task;
use crate::task::cgroup::DeviceProgram;
use crate::task::systemd::Scope;

impl Plan {
    /// The plan as text, a line for each step: number, who, where it comes from, what.
    pub fn explain(&self) -> impl fmt::Display + '_ {
        Explained(self)
    }

    /// The plan as JSON: an array of phases with their steps.
    pub fn explain_json(&self) -> Value {
        let words = Words::new(self);
        let phases = self.phases.iter().map(|meeting| {
            let entries = meeting.phase.entries.iter().enumerate();
            let steps: Vec<Value> = entries
                .map(|(i, entry)| {
                    json!({
                        "step": meeting.first + i,
                        "actor": actor(entry),
                        "kind": kind(entry),
                        "pointer": entry.pointer,
                        "text": words.entry(entry),
                    })
                })
                .collect();
            json!({ "phase": meeting.phase.name, "steps": steps })
        });
        let warnings = self.warnings.iter().map(ToString::to_string);
        json!({
            "phases": phases.collect::<Vec<_>>(),
            "warnings": warnings.collect::<Vec<_>>(),
        })
    }

    /// What a step does, in words.
    pub(crate) fn describe(&self, entry: &Entry) -> String {
        Words::new(self).entry(entry)
    }
}

struct Explained<'a>(&'a Plan);

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = Words::new(self.0);
        for meeting in &self.0.phases {
            writeln!(f, "phase {}", meeting.phase.name)?;
            for (i, entry) in meeting.phase.entries.iter().enumerate() {
                let (number, actor) = (meeting.first + i, actor(entry));
                let pointer = if entry.pointer.is_empty() { "-" } else { &entry.pointer };
                let text = words.entry(entry);
                writeln!(f, "{number:4}  {actor:7}  {pointer:36}  {text}")?;
                if let Action::Runtime(Task::StartScope | Task::MakeCgroups | Task::LimitCgroups) =
                    entry.action
                {
                    words.cgroup_lines(f, &entry.action)?;
                }
            }
        }
        for warning in &self.0.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

fn actor(entry: &Entry) -> &'static str {
    match entry.action {
        Action::Runtime(_) => "runtime",
        Action::Init(_) => "init",
    }
}

/// The name of the step's kind.
fn kind(entry: &Entry) -> &'static str {
    match &entry.action {
        Action::Runtime(task) => task.name(),
        Action::Init(step) => step.name(),
    }
}

/// Steps in words, with what their slots hold.
struct Words<'a> {
    plan: &'a Plan,
    bytes: Option<PlanBytes<'a>>,
    slots: BTreeMap<Slot, String>,
    /// Places of the mounts that init keeps.
    kept: BTreeMap<Slot, String>,
}

impl<'a> Words<'a> {
    fn new(plan: &'a Plan) -> Self {
        let mut slots = BTreeMap::new();
        for (_, _, entry) in plan.numbered() {
            let (into, what) = match &entry.action {
                Action::Runtime(Task::OpenTree { path, into, .. }) => {
                    (*into, path.display().to_string())
                }
                Action::Runtime(Task::NewMount { fstype, into, .. }) => {
                    (*into, format!("the new {fstype}"))
                }
                _ => continue,
            };
            slots.entry(into).or_insert(what);
        }
        let mut words =
            Self { plan, bytes: PlanBytes::new(&plan.bytes), slots, kept: BTreeMap::new() };
        for (_, _, entry) in plan.numbered() {
            match entry.action {
                Action::Init(Step::OpenTree { path, into, .. }) => {
                    words.slots.insert(into, words.str(path));
                }
                Action::Init(Step::Mount { fstype, flags, keep, .. })
                    if flags & flag::DETACHED != 0 =>
                {
                    let what = format!("the new {}", words.str(fstype));
                    words.slots.insert(keep, what);
                }
                Action::Init(
                    Step::Mount { target, keep, .. } | Step::Bind { target, keep, .. },
                ) => {
                    words.kept.insert(keep, words.str(target));
                    words.kept.remove(&Slot::NONE);
                }
                _ => {}
            }
        }
        words
    }

    fn entry(&self, entry: &Entry) -> String {
        match &entry.action {
            Action::Runtime(task) => self.task(task),
            Action::Init(step) => self.step(step),
        }
    }

    fn cgroup_lines(&self, f: &mut fmt::Formatter<'_>, action: &Action) -> fmt::Result {
        let Some(plan) = &self.plan.config.cgroup else { return Ok(()) };
        let indent = "";
        if matches!(action, Action::Runtime(Task::StartScope)) {
            for property in plan.scope.iter().flat_map(|scope| &scope.properties) {
                writeln!(f, "{indent:53}{} {}", property.name, property.value)?;
            }
            return Ok(());
        }
        if matches!(action, Action::Runtime(Task::MakeCgroups)) {
            for place in &plan.places {
                writeln!(f, "{indent:53}{place}")?;
            }
            return Ok(());
        }
        for write in &plan.writes {
            writeln!(f, "{indent:53}{write}")?;
        }
        if let Some(program) = &plan.device_program {
            writeln!(f, "{indent:53}{}", DeviceProgram(program))?;
        }
        Ok(())
    }

    fn scope(&self) -> Option<&Scope> {
        self.plan.config.cgroup.as_ref()?.scope.as_ref()
    }

    fn task(&self, task: &Task) -> String {
        match task {
            Task::Record => "record the container".to_owned(),
            Task::OpenRootfs { path, .. } => format!("open the rootfs {}", path.display()),
            Task::OpenTree { path, recursive, .. } => {
                let tree = if *recursive { " and the mounts below" } else { "" };
                format!("copy the mount {}{tree}", path.display())
            }
            Task::NewMount { fstype, data, attributes, .. } => {
                let changes = changes([*attributes, 0, 0, 0]);
                format!("make a new {fstype}{changes}{}", with(data))
            }
            Task::MapIds { ids: mapped, mount } => {
                let mount = self.slots.get(mount).map_or("a mount", String::as_str);
                format!("map the ids of {mount} {}", ids(mapped))
            }
            Task::OpenProcfs { .. } => "open the host's procfs".to_owned(),
            Task::OpenNamespace { namespace, .. } => {
                let kind = namespaces::name(namespace.kind);
                format!("open the {kind} namespace {}", namespace.path.display())
            }
            Task::OpenContainer { .. } => "open the container's process".to_owned(),
            Task::OpenContainerRoot { .. } => "open the container's root directory".to_owned(),
            Task::ConnectConsole => "connect the console socket".to_owned(),
            Task::HandOver { count, .. } => format!("hand over {count} descriptors of the caller"),
            Task::Listen { .. } => "listen for the start".to_owned(),
            Task::StartScope => match self.scope() {
                Some(scope) => format!("start the scope {} in {}", scope.unit, scope.slice),
                None => "start a scope".to_owned(),
            },
            Task::MakeCgroups => "make the cgroups".to_owned(),
            Task::LimitCgroups => "set the limits of the cgroups".to_owned(),
            Task::MakeSubCgroup { path, .. } => format!("make the cgroup {path} below"),
            Task::GiveCgroup { uid } => format!("make user {uid} the owner of the cgroup"),
            Task::OpenCgroups { count, .. } => format!("open {count} cgroups to enter"),
            Task::MakeResctrl => resctrl::make(&self.plan.config),
            Task::EnterResctrl => resctrl::enter(&self.plan.config),
            Task::Spawn { .. } => scheduling::spawn(task),
            Task::TimeOffsets { offsets, .. } => scheduling::clocks(offsets),
            Task::Schedule { attributes } => format!("run under {}", scheduler::words(attributes)),
            Task::MoveNetDevice { device } => {
                format!(
                    "move the network device {} into the container as {}",
                    device.host, device.name
                )
            }
            Task::WriteMappings { mappings } => identity::write_mappings(mappings),
            Task::CompareMappings { .. } => "compare the id mappings".to_owned(),
            Task::AdoptInit => "follow init into the PID namespace".to_owned(),
            Task::OomScore { value } => format!("set oom_score_adj to {value}"),
            Task::RaiseLimit { resource, hard } => {
                format!("raise {} to {}", limit_name(*resource), limit_value(*hard))
            }
            Task::StateDocument { status, .. } => format!("write the state document ({status})"),
            Task::OpenHookStream { path, .. } => format!("open {} for hooks", path.display()),
            Task::RunHook { moment, hook } => format!("run the {moment} hook {}", hook.path),
            Task::Collect => "collect init".to_owned(),
            Task::SendConsole => "send the terminal".to_owned(),
            Task::Publish => "publish the container".to_owned(),
        }
    }

    fn step(&self, step: &Step) -> String {
        match *step {
            Step::Await { count: 0, .. } => "wait for the runtime".to_owned(),
            Step::Await { count, .. } => format!("wait for the runtime and {count} descriptors"),
            Step::Arrive {} => "tell the runtime".to_owned(),
            Step::JoinNamespace { kind, .. } => format!("join {}", kinds("the ", kind)),
            Step::Unshare { namespaces } => format!("create {}", kinds("new ", namespaces)),
            Step::EnterPidNamespace {} => "enter the PID namespace".to_owned(),
            Step::BecomeRoot {} => "become root of the user namespace".to_owned(),
            Step::Conceal {} => "forbid others to look into init".to_owned(),
            Step::NewSession {} => "start a session".to_owned(),
            Step::Hostname { name } => format!("set the host name to {}", self.str(name)),
            Step::Domainname { name } => format!("set the domain name to {}", self.str(name)),
            Step::LoopbackUp {} => "bring the loopback device up".to_owned(),
            Step::SessionKeyring { name } => {
                format!("join a new session keyring {}", self.str(name))
            }
            Step::WriteProc { own: true, path, value, .. } => {
                let what = match self.str(path).as_str() {
                    "attr/keycreate" => "the next keys",
                    "attr/sockcreate" => "the next sockets",
                    _ => "the next program",
                };
                format!("label {what} \"{}\"", self.str(value))
            }
            Step::WriteProc { path, value, .. } => {
                format!("set /proc/{} to {}", self.str(path), self.str(value).escape_default())
            }
            Step::Close { .. } => "close what is not needed any more".to_owned(),
            Step::Umask { callers: true, .. } => "set the umask to the caller's".to_owned(),
            Step::Umask { mask, .. } => format!("set the umask to {mask:04o}"),
            Step::Home { uid } => format!("look up the home directory of user {uid}"),
            Step::EnterCgroups { count: 1, .. } => "enter the cgroup".to_owned(),
            Step::EnterCgroups { count, .. } => format!("enter {count} cgroups"),
            Step::Hook { path, .. } => format!("run the hook {}", self.str(path)),
            _ => self.file_step(step),
        }
    }

    /// Steps about files and mounts.
    fn file_step(&self, step: &Step) -> String {
        match *step {
            Step::SlaveMounts {} => "keep mounts from reaching the host".to_owned(),
            Step::AttachRoot { path, .. } => format!("attach the rootfs at {}", self.str(path)),
            Step::UseRoot { dir: Slot::NONE } => "work below the joined root".to_owned(),
            Step::UseRoot { .. } => "work below the rootfs".to_owned(),
            Step::OpenTree { path, recursive, .. } => {
                let tree = if recursive { " and the mounts below" } else { "" };
                format!("copy the mount {}{tree}", self.str(path))
            }
            Step::Mount { .. } => self.mount(step),
            Step::Bind { tree, target, set, clear, set_all, clear_all, flags, .. } => {
                let source = self.slots.get(&tree).map_or("a mount", String::as_str);
                let changes = changes([set, clear, set_all, clear_all]) + flagged(flags);
                format!("bind {source} to {}{changes}", self.str(target))
            }
            Step::Remount { target, data, set, clear, set_all, clear_all, flags, .. } => {
                let changes = changes([set, clear, set_all, clear_all]);
                let parameters = self.parameters(data) + flagged(flags);
                format!("remount {}{changes}{parameters}", self.str(target))
            }
            Step::Unmount { target } => format!("unmount {}", self.str(target)),
            Step::NotifySocket { dir, name, .. } => {
                let dir = self.kept.get(&dir).map_or("", String::as_str);
                format!("open the notify socket {dir}/{}", self.str(name))
            }
            Step::MakeReadonly { .. } => "make the mount read-only".to_owned(),
            Step::Link { content, path, .. } => {
                format!("link {} to {}", self.str(path), self.str(content))
            }
            Step::Device { path, mode, major, minor, uid, gid } => {
                let kind = match mode & 0o170_000 {
                    0o020_000 => format!("the character device {major}:{minor}"),
                    0o060_000 => format!("the block device {major}:{minor}"),
                    _ => "a FIFO".to_owned(),
                };
                let (path, mode) = (self.str(path), mode & 0o7777);
                format!("make {path}, {kind}, mode {mode:04o}, owner {uid}:{gid}")
            }
            Step::Mask { base, path, .. } => format!("mask {}", self.place(base, path)),
            Step::ReadonlyPath { base, path } => {
                format!("make {} read-only", self.place(base, path))
            }
            Step::ReadonlyRoot {} => "make the rootfs read-only".to_owned(),
            Step::RootPropagation { propagation, recursive } => {
                let depth = if recursive { "recursively " } else { "" };
                format!("make the rootfs {depth}{}", propagation_name(propagation))
            }
            Step::PivotRoot {} => "enter the rootfs and leave the host's".to_owned(),
            Step::MoveRoot {} => "move the rootfs over the host's".to_owned(),
            Step::ChangeRoot {} => "change the root directory to the rootfs".to_owned(),
            _ => self.process_step(step),
        }
    }

    /// Steps about the process.
    fn process_step(&self, step: &Step) -> String {
        match *step {
            Step::Console { rows: 0, columns: 0, .. } => "open a terminal".to_owned(),
            Step::Console { rows, columns, .. } => {
                format!("open a terminal of {rows} rows and {columns} columns")
            }
            Step::ControlTerminal {} => "make it the controlling terminal".to_owned(),
            Step::StdioOwner { uid } => format!("give the standard streams to user {uid}"),
            Step::WorkingDir { path, early, .. } => {
                let who = if early { " as root" } else { "" };
                format!("change to the directory {}{who}", self.str(path))
            }
            Step::BoundingSet { keep } => {
                format!("limit capabilities to {}", set_name(keep))
            }
            Step::User { .. } => identity::user(self, step),
            Step::Capabilities { effective, permitted, inheritable, ambient } => format!(
                "set capabilities: effective {}; permitted {}; inheritable {}; ambient {}",
                set_name(effective),
                set_name(permitted),
                set_name(inheritable),
                set_name(ambient)
            ),
            Step::NoNewPrivileges {} => "forbid new privileges".to_owned(),
            Step::FindProgram { candidates } => {
                format!("find the program: {}", self.items(candidates).join(" or "))
            }
            Step::Seccomp { program, listener, .. } => {
                let asks = if listener { ", which asks a listener" } else { "" };
                let count = program.count / 2;
                format!("load a filter of system calls of {count} instructions{asks}")
            }
            Step::Landlock { .. } => self.landlock(step),
            Step::Finish {} => "end".to_owned(),
            Step::SendNotifySocket { .. } => "hand over the notify socket".to_owned(),
            Step::AwaitStart { .. } => "wait for the start".to_owned(),
            Step::Limit { resource, soft, hard } => format!(
                "set {} to {} of {}",
                limit_name(resource),
                limit_value(soft),
                limit_value(hard)
            ),
            Step::PlaceDescriptors { count: 0, .. } => "keep no other descriptor".to_owned(),
            Step::PlaceDescriptors { count, .. } => {
                format!("keep descriptors 3 to {} and no other", count + 2)
            }
            Step::Ready { .. } => "get the arguments and the environment ready".to_owned(),
            Step::Exec {} => format!("execute {}", self.plan.config.process.args.join(" ")),
            _ => self.scheduling_step(step),
        }
    }

    fn mount(&self, step: &Step) -> String {
        let Step::Mount { fstype, target, data, label, attributes, flags, otherwise, .. } = *step
        else {
            return String::new();
        };
        let mut text = if flags & flag::DETACHED != 0 {
            format!("make a new {}", self.str(fstype))
        } else {
            format!("mount {} on {}", self.str(fstype), self.str(target))
        };
        text += &changes([attributes, 0, 0, 0]);
        text += &self.parameters(data);
        if label.len > 0 {
            text += &format!(", labelled {}", self.str(label));
        }
        if otherwise != Slot::NONE {
            text += ", or else the host's, read-only";
        }
        text + flagged(flags)
    }

    /// A path that counts from a kept mount.
    fn place(&self, base: Slot, path: Str) -> String {
        self.kept.get(&base).cloned().unwrap_or_default() + &self.str(path)
    }

    fn parameters(&self, data: List) -> String {
        with(&self.items(data))
    }

    fn str(&self, text: Str) -> String {
        let text = self.bytes.as_ref().and_then(|bytes| bytes.str(text));
        text.map_or_else(String::new, |text| text.to_string_lossy().into_owned())
    }

    fn items(&self, list: List) -> Vec<String> {
        let item = |i| self.bytes.as_ref().and_then(|bytes| bytes.item(list, i));
        (0..list.count).filter_map(item).map(|text| text.to_string_lossy().into_owned()).collect()
    }
}

/// Parameters of a file system, if there are any.
fn with(parameters: &[String]) -> String {
    if parameters.is_empty() { String::new() } else { format!(" with {}", parameters.join(",")) }
}

/// Names of kinds of namespaces after a word, `the pid and network namespaces`.
fn kinds(before: &str, kinds: u32) -> String {
    let names: Vec<&str> = namespaces::KINDS
        .iter()
        .filter(|(_, kind)| kinds & kind != 0)
        .map(|(name, _)| *name)
        .collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => format!("{before}{one} namespace"),
        [most @ .., last] => format!("{before}{} and {last} namespaces", most.join(", ")),
    }
}

fn set_name(mask: u64) -> String {
    if mask == 0 { "none".to_owned() } else { capabilities::list(mask) }
}

fn limit_name(resource: u32) -> &'static str {
    limits::NAMES.get(resource as usize).copied().unwrap_or("a limit")
}

fn limit_value(value: u64) -> String {
    if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() }
}
