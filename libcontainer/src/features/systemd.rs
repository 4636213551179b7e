//! `/linux/cgroupsPath` where systemd makes the cgroup: which scope, in which slice, with what.
//!
//! The path has the form `slice:prefix:name`. Limits become properties, so that systemd does not
//! take them back when it reloads; keel writes the files as well, which know more. Called by
//! `cgroup`; pure.

use std::collections::BTreeMap;

use super::cgroup_devices::{Allowed, Filter};
use crate::error::Fault;
use crate::host::Cgroups;
use crate::task::cgroup::Write;
use crate::task::systemd::{Property, Scope, Value};

/// What begins the name of an annotation that is a property.
pub const ANNOTATION: &str = "org.systemd.property.";

/// The slice, prefix and name of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    slice: String,
    unit: String,
}

/// Reads `slice:prefix:name`; of an absent path all parts have defaults.
pub(super) fn name(configured: Option<&str>, id: &str, rootless: bool) -> Result<Name, String> {
    let default = if rootless { "user.slice" } else { "system.slice" };
    let text = configured.unwrap_or_default();
    let parts: Vec<&str> = text.split(':').collect();
    let (slice, prefix, name) = match parts.as_slice() {
        [""] => (default, "keel", id),
        ["", prefix, name] => (default, *prefix, *name),
        [slice, prefix, name] => (*slice, *prefix, *name),
        _ => {
            return Err(format!(
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, \
                 got \"{text}\" instead"
            ));
        }
    };
    let unit = match prefix {
        "" => format!("{name}.scope"),
        prefix => format!("{prefix}-{name}.scope"),
    };
    let valid = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    // The longest name of a unit, systemd.unit(5).
    if name.is_empty() || unit.len() > 255 || !unit.chars().all(valid) {
        return Err(format!("\"{}\" is not the name of a scope", unit.escape_default()));
    }
    if directory(slice).is_none() {
        return Err(format!("\"{}\" is not the name of a slice", slice.escape_default()));
    }
    Ok(Name { slice: slice.to_owned(), unit })
}

impl Name {
    /// The directory of the scope, below that of systemd's root.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", directory(&self.slice).unwrap_or_default(), self.unit)
    }
}

/// The directory of a slice: `/a.slice/a-b.slice` of `a-b.slice`, systemd.slice(5).
fn directory(slice: &str) -> Option<String> {
    let stem = slice.strip_suffix(".slice")?;
    if stem == "-" {
        return Some(String::new());
    }
    let (mut path, mut name) = (String::new(), String::new());
    for part in stem.split('-') {
        let valid = |c: char| c.is_ascii_alphanumeric() || ":_.\\@".contains(c);
        if part.is_empty() || !part.chars().all(valid) {
            return None;
        }
        name = if name.is_empty() { part.to_owned() } else { format!("{name}-{part}") };
        path = format!("{path}/{name}.slice");
    }
    Some(path)
}

/// The cgroup of the systemd that is asked: the root of all hierarchies, or where a user's service
/// manager is.
pub(super) fn root(cgroups: &Cgroups, user: bool) -> String {
    if !user {
        return String::new();
    }
    let own = cgroups.unified.as_ref().map(|unified| unified.own.as_str());
    let own = own.or(cgroups.legacy.first().map(|hierarchy| hierarchy.own.as_str()));
    let mut path = String::new();
    for name in own.unwrap_or_default().split('/').filter(|name| !name.is_empty()) {
        path = format!("{path}/{name}");
        if name.starts_with("user@") && name.ends_with(".service") {
            return path;
        }
    }
    String::new()
}

/// The scope of a container.
pub(super) fn scope(
    name: Name,
    id: &str,
    bus: Option<String>,
    limits: Vec<Property>,
    annotations: &BTreeMap<String, String>,
    faults: &mut Vec<Fault>,
) -> Scope {
    let Name { slice, unit } = name;
    let mut properties = vec![
        property("Description", Value::text(format!("container {id}")), ""),
        property("Delegate", Value::Bool(true), ""),
        property("DefaultDependencies", Value::Bool(false), ""),
    ];
    for accounting in ["CPU", "Memory", "IO", "Tasks"] {
        properties.push(property(&format!("{accounting}Accounting"), Value::Bool(true), ""));
    }
    properties.extend(limits);
    for (key, text) in annotations {
        let Some(name) = key.strip_prefix(ANNOTATION) else { continue };
        let pointer = format!("/annotations/{}", super::cgroup_sheet::escaped(key));
        match annotated(name, text) {
            Some((name, value)) => {
                // What is configured wins over what keel would say.
                properties.retain(|property| property.name != name);
                properties.push(Property { name, value, pointer });
            }
            None => faults.push(Fault {
                pointer,
                message: format!("\"{}\" is not the value of a property", text.escape_default()),
            }),
        }
    }
    Scope { unit, slice, properties, bus }
}

fn property(name: &str, value: Value, pointer: &str) -> Property {
    Property { name: name.to_owned(), value, pointer: pointer.to_owned() }
}

/// A property by annotation. One in seconds is given to systemd in microseconds.
fn annotated(name: &str, text: &str) -> Option<(String, Value)> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let value = value(text.trim())?;
    let Some(stem) = name.strip_suffix("Sec").filter(|stem| !stem.ends_with('U')) else {
        return Some((name.to_owned(), value));
    };
    let seconds = match value {
        Value::Int32(seconds) => u64::try_from(seconds).ok()?,
        Value::Int64(seconds) => u64::try_from(seconds).ok()?,
        Value::Uint32(seconds) => seconds.into(),
        Value::Uint64(seconds) => seconds,
        Value::Double(bits) => {
            let microseconds = f64::from_bits(bits) * 1e6;
            let valid = microseconds.is_finite() && microseconds >= 0.0;
            return valid.then(|| (format!("{stem}USec"), Value::Uint64(microseconds as u64)));
        }
        _ => return None,
    };
    Some((format!("{stem}USec"), Value::Uint64(seconds.checked_mul(1_000_000)?)))
}

/// A value in the text form of GVariant, as far as properties of units need it: booleans, numbers
/// with or without their type, texts, and lists of these.
fn value(text: &str) -> Option<Value> {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let values = items(inner)?.into_iter().map(value).collect::<Option<Vec<_>>>()?;
        let of = values.first()?.signature();
        let alike = values.iter().all(|value| value.signature() == of);
        return alike.then_some(Value::Array(of, values));
    }
    for quote in ['\'', '"'] {
        if let Some(rest) = text.strip_prefix(quote) {
            let inner = rest.strip_suffix(quote)?;
            return (!inner.contains([quote, '\\'])).then(|| Value::text(inner));
        }
    }
    let (kind, number) = text.split_once(' ').unwrap_or(("", text));
    let number = number.trim();
    match kind {
        "" => match number {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            number if number.contains('.') => {
                Some(Value::Double(number.parse::<f64>().ok()?.to_bits()))
            }
            number => number.parse().ok().map(Value::Int32),
        },
        "byte" => number.parse().ok().map(Value::Byte),
        "int32" => number.parse().ok().map(Value::Int32),
        "uint32" => number.parse().ok().map(Value::Uint32),
        "int64" => number.parse().ok().map(Value::Int64),
        "uint64" => number.parse().ok().map(Value::Uint64),
        "double" => Some(Value::Double(number.parse::<f64>().ok()?.to_bits())),
        _ => None,
    }
}

/// The items of a list; a comma in a text separates nothing.
fn items(list: &str) -> Option<Vec<&str>> {
    let (mut items, mut begin, mut quote) = (Vec::new(), 0, None);
    for (at, c) in list.char_indices() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, ',') => {
                items.push(list[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    items.push(list[begin..].trim());
    quote.is_none().then_some(items)
}

/// The properties that say the same as values for files. Files that no property stands for are
/// keel's alone. Some properties need the values of other files: `all` that the cgroup has been given.
pub(super) fn properties(writes: &[Write], all: &[Write]) -> Vec<Property> {
    let mut properties: Vec<Property> = Vec::new();
    let value_of = |file: &str| all.iter().rev().find(|w| w.file == file).map(|w| &*w.value);
    for write in writes {
        for (name, value) in of_file(&write.file, &write.value, value_of) {
            properties.retain(|known| known.name != name);
            properties.push(property(name, value, &write.pointer));
        }
    }
    properties
}

fn of_file<'a>(
    file: &str,
    value: &str,
    other: impl Fn(&str) -> Option<&'a str>,
) -> Vec<(&'static str, Value)> {
    let one = |name, value: Option<Value>| value.map(|value| (name, value)).into_iter().collect();
    match file {
        "memory.max" => one("MemoryMax", limit(value)),
        "memory.high" => one("MemoryHigh", limit(value)),
        "memory.low" => one("MemoryLow", limit(value)),
        "memory.min" => one("MemoryMin", limit(value)),
        "memory.swap.max" => one("MemorySwapMax", limit(value)),
        "memory.limit_in_bytes" => one("MemoryLimit", limit(value)),
        // systemd knows no 0; what is there already cannot fork with 1 either.
        "pids.max" if value == "0" => one("TasksMax", limit("1")),
        "pids.max" => one("TasksMax", limit(value)),
        "cpu.weight" => one("CPUWeight", limit(value)),
        "cpu.idle" if value == "1" => one("CPUWeight", Some(Value::Uint64(0))),
        "cpu.shares" => one("CPUShares", limit(value)),
        "cpu.max" => {
            let (quota, period) = value.split_once(' ').unwrap_or((value, "100000"));
            cpu_time(quota, period)
        }
        "cpu.cfs_quota_us" => cpu_time(value, other("cpu.cfs_period_us").unwrap_or("100000")),
        "cpu.cfs_period_us" => cpu_time(other("cpu.cfs_quota_us").unwrap_or("-1"), value),
        "cpuset.cpus" => one("AllowedCPUs", mask(value)),
        "cpuset.mems" => one("AllowedMemoryNodes", mask(value)),
        "io.weight" => one("IOWeight", limit(value)),
        "blkio.weight" => one("BlockIOWeight", limit(value)),
        _ => Vec::new(),
    }
}

/// A number, or what systemd takes for no limit.
fn limit(value: &str) -> Option<Value> {
    match value {
        "max" | "-1" => Some(Value::Uint64(u64::MAX)),
        value => value.parse().ok().map(Value::Uint64),
    }
}

/// CPU time in a second. systemd keeps whole per cents of it: rounded up, for it must not be less
/// than what was asked for.
fn cpu_time(quota: &str, period: &str) -> Vec<(&'static str, Value)> {
    const PER_CENT: u64 = 10_000;
    let Some(period) = period.parse::<u64>().ok().filter(|period| *period > 0) else {
        return Vec::new();
    };
    let time = match quota.parse::<u64>() {
        Ok(quota) => (quota.saturating_mul(1_000_000) / period).next_multiple_of(PER_CENT),
        Err(_) => u64::MAX,
    };
    vec![("CPUQuotaPerSecUSec", Value::Uint64(time)), ("CPUQuotaPeriodUSec", Value::Uint64(period))]
}

/// A list of CPUs or nodes as the bits of bytes, the lowest first.
fn mask(list: &str) -> Option<Value> {
    /// More than any kernel has.
    const MOST: usize = 1 << 16;
    let mut bytes = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last >= MOST {
            return None;
        }
        for bit in first..=last {
            if bytes.len() <= bit / 8 {
                bytes.resize(bit / 8 + 1, 0_u8);
            }
            bytes[bit / 8] |= 1 << (bit % 8);
        }
    }
    Some(Value::Array("y".into(), bytes.into_iter().map(Value::Byte).collect()))
}

/// The device rules, so that they outlast a reload of systemd. It can only allow: of rules that
/// allow all but some devices it is told nothing, and keel's own program decides.
pub(super) fn devices(filter: &Filter, pointer: &str, faults: &mut Vec<Fault>) -> Vec<Property> {
    let entries = |list: Vec<Value>| Value::Array("(ss)".into(), list);
    let Some(allowed) = filter.allowed() else {
        return vec![
            property("DevicePolicy", Value::text("auto"), pointer),
            property("DeviceAllow", entries(Vec::new()), pointer),
        ];
    };
    let mut list = Vec::new();
    for Allowed { kind, major, minor, access } in allowed {
        let node = match (major, minor) {
            (Some(major), Some(minor)) => {
                let directory = if kind == "block" { "block" } else { "char" };
                format!("/dev/{directory}/{major}:{minor}")
            }
            (Some(major), None) => format!("{kind}-{major}"),
            (None, None) => format!("{kind}-*"),
            (None, Some(_)) => {
                let message = "systemd has no rule for a minor number of any major number";
                faults.push(Fault { pointer: pointer.to_owned(), message: message.to_owned() });
                continue;
            }
        };
        list.push(Value::Struct(vec![Value::text(node), Value::text(access)]));
    }
    vec![
        property("DevicePolicy", Value::text("strict"), pointer),
        // An empty list takes back what was allowed before.
        property("DeviceAllow", entries(Vec::new()), pointer),
        property("DeviceAllow", entries(list), pointer),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Result<(String, String), String> {
        let name = name(Some(text).filter(|text| !text.is_empty()), "web", false)?;
        Ok((name.path(), name.slice))
    }

    #[test]
    fn a_scope_is_named_as_engines_expect() {
        let of = |text: &str| path(text).unwrap().0;
        assert_eq!(of("system.slice:docker:0123"), "/system.slice/docker-0123.scope");
        assert_eq!(of("machine.slice:libpod:ab"), "/machine.slice/libpod-ab.scope");
        assert_eq!(
            of("kubepods-besteffort-pod1.slice:cri-containerd:ab"),
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/\
             cri-containerd-ab.scope"
        );
        assert_eq!(of("-.slice:a:b"), "/a-b.scope");
        assert_eq!(of(":a:b"), "/system.slice/a-b.scope");
        assert_eq!(of("system.slice::b"), "/system.slice/b.scope");
        assert_eq!(of(""), "/system.slice/keel-web.scope");
        let user = name(None, "web", true).unwrap();
        assert_eq!(user.path(), "/user.slice/keel-web.scope");
    }

    #[test]
    fn what_names_no_scope_is_refused() {
        for bad in [
            "/a/b",
            "a:b",
            "a:b:c:d",
            "a:b:c",
            "a--b.slice:b:c",
            "-a.slice:b:c",
            "a-.slice:b:c",
            "a/b.slice:b:c",
            "a.slice:b:",
            "a.slice:b:c/d",
            "a.slice:b:c d",
            "..slice/.slice:b:c",
        ] {
            assert!(path(bad).is_err(), "{bad}");
        }
        assert!(path("/a").unwrap_err().contains("\"slice:prefix:name\""));
    }

    fn shown(writes: &[(&str, &str)]) -> Vec<String> {
        let writes: Vec<Write> = writes
            .iter()
            .map(|(file, value)| Write {
                place: 0,
                file: (*file).to_owned(),
                value: (*value).to_owned(),
                pointer: String::new(),
                missing: crate::task::cgroup::OnMissing::Fail,
            })
            .collect();
        properties(&writes, &writes).iter().map(|p| format!("{} {}", p.name, p.value)).collect()
    }

    #[test]
    fn limits_are_properties_too() {
        assert_eq!(shown(&[("memory.max", "4096")]), ["MemoryMax 4096"]);
        assert_eq!(shown(&[("memory.swap.max", "max")]), ["MemorySwapMax infinity"]);
        assert_eq!(
            shown(&[("cpu.max", "12345 100000")]),
            ["CPUQuotaPerSecUSec 130000", "CPUQuotaPeriodUSec 100000"]
        );
        assert_eq!(
            shown(&[("cpu.cfs_period_us", "50000"), ("cpu.cfs_quota_us", "25000")]),
            ["CPUQuotaPerSecUSec 500000", "CPUQuotaPeriodUSec 50000"]
        );
        assert_eq!(shown(&[("pids.max", "0")]), ["TasksMax 1"]);
        assert_eq!(shown(&[("cpu.max", "max 5000")])[0], "CPUQuotaPerSecUSec infinity");
        assert_eq!(shown(&[("cpuset.cpus", "0-2,8")]), ["AllowedCPUs 0x07 0x01"]);
        assert_eq!(shown(&[("cpu.weight", "100"), ("cpu.idle", "1")]), ["CPUWeight 0"]);
        assert_eq!(shown(&[("io.max", "8:0 rbps=1"), ("hugetlb.2MB.max", "0")]), [""; 0]);
    }

    #[test]
    fn annotations_are_properties_with_typed_values() {
        let of = |name: &str, text: &str| {
            annotated(name, text).map(|(n, v)| format!("{n} {v} {}", v.signature()))
        };
        assert_eq!(
            of("CollectMode", "'inactive-or-failed'").unwrap(),
            "CollectMode inactive-or-failed s"
        );
        assert_eq!(of("TimeoutStopUSec", "uint64 5").unwrap(), "TimeoutStopUSec 5 t");
        assert_eq!(of("TimeoutStopSec", "3").unwrap(), "TimeoutStopUSec 3000000 t");
        assert_eq!(of("TimeoutStopSec", "0.5").unwrap(), "TimeoutStopUSec 500000 t");
        assert_eq!(of("SendSIGHUP", "true").unwrap(), "SendSIGHUP true b");
        assert_eq!(
            of("After", "['a.service', \"b,c.service\"]").unwrap(),
            "After a.service b,c.service as"
        );
        for (name, text) in [
            ("A", ""),
            ("A", "yes"),
            ("A", "'a"),
            ("A", "['a', 1]"),
            ("A", "[]"),
            ("", "1"),
            ("A B", "1"),
            ("XSec", "'a'"),
            ("XSec", "-1"),
            ("A", "uint32 -1"),
            ("A", "int32"),
        ] {
            assert_eq!(of(name, text), None, "{name} {text}");
        }
    }
}
