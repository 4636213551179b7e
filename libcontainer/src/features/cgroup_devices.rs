//! `/linux/resources/devices`: which device nodes the container may open and make.
//!
//! The rules are applied in order to a cgroup that denies everything, and the devices that every
//! container has are allowed after them. What comes out, a `Filter`, is either a default with
//! exceptions for the `devices` controller of cgroup v1; `cgroup_device_program` makes an eBPF program
//! of it for v2.
//! Called by `cgroup`; pure, and it must never allow more than the rules say.

use std::collections::BTreeMap;

use crate::error::Fault;
use crate::spec::DeviceRule;

/// Access to a device: a set of the bits below, as a program sees it.
pub(super) type Access = u8;
const MKNOD: Access = 1;
const READ: Access = 2;
const WRITE: Access = 4;
/// Every access.
pub(super) const ALL: Access = MKNOD | READ | WRITE;

/// What a rule is about: major and minor number, `None` for any, and the kind of device.
pub(super) type Device = (Option<u32>, Option<u32>, Kind);

/// The kind of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Such as a disk.
    Block,
    /// Such as a terminal.
    Character,
}

/// The devices that every container has, and the right to make, but not to open, any node.
const ALWAYS: [(Device, Access); 11] = [
    ((None, None, Kind::Character), MKNOD),
    ((None, None, Kind::Block), MKNOD),
    ((Some(1), Some(3), Kind::Character), ALL),    // null
    ((Some(1), Some(5), Kind::Character), ALL),    // zero
    ((Some(1), Some(7), Kind::Character), ALL),    // full
    ((Some(1), Some(8), Kind::Character), ALL),    // random
    ((Some(1), Some(9), Kind::Character), ALL),    // urandom
    ((Some(5), Some(0), Kind::Character), ALL),    // tty
    ((Some(5), Some(2), Kind::Character), ALL),    // ptmx
    ((Some(10), Some(200), Kind::Character), ALL), // net/tun
    ((Some(136), None, Kind::Character), ALL),     // pts/*
];

/// A default, and the devices for which the contrary holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Filter {
    /// What holds for all other devices.
    pub(super) allow: bool,
    /// For which access it does not hold.
    pub(super) exceptions: BTreeMap<Device, Access>,
}

/// Devices that are allowed.
#[derive(Debug)]
pub(super) struct Allowed {
    /// `block` or `char`.
    pub(super) kind: &'static str,
    /// `None` for any.
    pub(super) major: Option<u32>,
    /// `None` for any.
    pub(super) minor: Option<u32>,
    /// Letters out of `r`, `w` and `m`.
    pub(super) access: String,
}

/// Compiles the rules. Faults and warnings point below `pointer`.
pub(super) fn filter(
    rules: &[DeviceRule],
    pointer: &str,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) -> Filter {
    let mut filter = Filter::default();
    for (i, rule) in rules.iter().enumerate() {
        let pointer = format!("{pointer}/{i}");
        let applied = match understand(rule) {
            Ok(Understood::Everything { partial }) => {
                if partial {
                    let message = "a rule for all devices is one for every number and access";
                    warnings.push(Fault { pointer: pointer.clone(), message: message.to_owned() });
                }
                filter = Filter { allow: rule.allow, exceptions: BTreeMap::new() };
                Ok(())
            }
            Ok(Understood::Some(device, access)) => filter.apply(rule.allow, device, access),
            Err(message) => Err(message),
        };
        if let Err(message) = applied {
            faults.push(Fault { pointer, message });
        }
    }
    for (device, access) in ALWAYS {
        if let Err(message) = filter.apply(true, device, access) {
            let message = format!("every container has {}: {message}", line(device, access));
            faults.push(Fault { pointer: pointer.to_owned(), message });
        }
    }
    filter
}

enum Understood {
    /// All devices, whatever else the rule says; `partial` when it says something else.
    Everything {
        partial: bool,
    },
    Some(Device, Access),
}

fn understand(rule: &DeviceRule) -> Result<Understood, String> {
    let mut access = 0;
    for letter in rule.access.as_deref().unwrap_or_default().chars() {
        access |= match letter {
            'r' => READ,
            'w' => WRITE,
            'm' => MKNOD,
            other => {
                return Err(format!("\"{}\" is not one of r, w and m", other.escape_default()));
            }
        };
    }
    if access == 0 {
        return Err("access must be some of r, w and m".to_owned());
    }
    let (major, minor) = (number(rule.major)?, number(rule.minor)?);
    let kind = match rule.kind.as_deref() {
        Some("c") => Kind::Character,
        Some("b") => Kind::Block,
        Some("a") | None => {
            let partial = access != ALL || major.is_some() || minor.is_some();
            return Ok(Understood::Everything { partial });
        }
        Some(other) => {
            return Err(format!("type \"{}\" is not a, b or c", other.escape_default()));
        }
    };
    Ok(Understood::Some((major, minor, kind), access))
}

/// Engines write -1 for any.
fn number(number: Option<i64>) -> Result<Option<u32>, String> {
    match number {
        None | Some(-1) => Ok(None),
        Some(number) => match u32::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(format!("{number} is not the number of a device")),
        },
    }
}

impl Filter {
    /// Adds or takes away an exception. None can be taken away in part: the kernel ignores that
    /// silently on v1, and so it is refused on both versions.
    fn apply(&mut self, allow: bool, device: Device, access: Access) -> Result<(), String> {
        if allow != self.allow {
            *self.exceptions.entry(device).or_default() |= access;
            return Ok(());
        }
        let (major, minor, kind) = device;
        for wider in [(None, minor, kind), (major, None, kind), (None, None, kind)] {
            let held = self.exceptions.get(&wider).copied().unwrap_or(0);
            if wider != device && held & access != 0 {
                let (what, whole) = (line(device, access), line(wider, held));
                return Err(format!("{what} cannot be an exception to the rule for {whole}"));
            }
        }
        if let Some(held) = self.exceptions.get_mut(&device) {
            *held &= !access;
            if *held == 0 {
                self.exceptions.remove(&device);
            }
        }
        Ok(())
    }

    /// The filter as files of the `devices` controller and what is written into them, one rule in
    /// a write(2): the kernel ignores what follows the first.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&'static str, String)> {
        let (default, exception) = match self.allow {
            true => ("devices.allow", "devices.deny"),
            false => ("devices.deny", "devices.allow"),
        };
        let exceptions = self.exceptions.iter();
        std::iter::once((default, "a".to_owned()))
            .chain(exceptions.map(move |(device, access)| (exception, line(*device, *access))))
    }

    /// The lines that turn another filter into this one: what is allowed from now on, then what no
    /// longer is. `None` where the default is another, which is set only by giving up all exceptions.
    pub(super) fn changes(&self, from: &Self) -> Option<Vec<(&'static str, String)>> {
        let (add, take_away) = match (self.allow, from.allow) {
            (false, false) => ("devices.allow", "devices.deny"),
            (true, true) => ("devices.deny", "devices.allow"),
            _ => return None,
        };
        let more = self.exceptions.iter().map(|(device, access)| (add, line(*device, *access)));
        let gone = from.exceptions.iter().filter_map(|(device, access)| {
            let rest = access & !self.exceptions.get(device).copied().unwrap_or(0);
            (rest != 0).then(|| (take_away, line(*device, rest)))
        });
        let (mut lines, gone): (Vec<_>, Vec<_>) = (more.collect(), gone.collect());
        if self.allow {
            // Here an exception is a denial: what is given back comes first.
            lines.splice(0..0, gone);
        } else {
            lines.extend(gone);
        }
        Some(lines)
    }

    /// What is allowed; `None` where all is that is not denied.
    pub(super) fn allowed(&self) -> Option<Vec<Allowed>> {
        let exceptions = self.exceptions.iter().map(|((major, minor, kind), access)| {
            let kind = if *kind == Kind::Block { "block" } else { "char" };
            Allowed { kind, major: *major, minor: *minor, access: letters(*access) }
        });
        (!self.allow).then(|| exceptions.collect())
    }
}

/// A rule as the `devices` controller reads it.
fn line((major, minor, kind): Device, access: Access) -> String {
    let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
    let kind = if kind == Kind::Block { 'b' } else { 'c' };
    format!("{kind} {}:{} {}", number(major), number(minor), letters(access))
}

fn letters(access: Access) -> String {
    let letters = [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')];
    letters.iter().filter(|(bit, _)| access & bit != 0).map(|(_, letter)| letter).collect()
}

#[cfg(test)]
mod tests {
    use super::super::cgroup_device_program::run;
    use super::*;

    fn rule(allow: bool, text: &str) -> DeviceRule {
        let word = |i| text.split(' ').nth(i).filter(|word: &&str| !word.is_empty());
        let number = |i| {
            let number = word(1)?.split(':').nth(i)?;
            (number != "*").then(|| number.parse().unwrap())
        };
        DeviceRule {
            allow,
            kind: word(0).map(str::to_owned),
            major: number(0),
            minor: number(1),
            access: word(2).map(str::to_owned),
        }
    }

    fn compile(rules: &[DeviceRule]) -> (Filter, Vec<String>, Vec<String>) {
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        let filter = filter(rules, "/d", &mut faults, &mut warnings);
        let text = |list: Vec<Fault>| list.iter().map(ToString::to_string).collect();
        (filter, text(faults), text(warnings))
    }

    fn lines(rules: &[DeviceRule]) -> Vec<String> {
        let (filter, faults, _) = compile(rules);
        assert_eq!(faults, Vec::<String>::new());
        filter.lines().map(|(file, value)| format!("{file} {value}")).collect()
    }

    fn decides(rules: &[DeviceRule], request: &str) -> bool {
        let (filter, faults, _) = compile(rules);
        assert_eq!(faults, Vec::<String>::new());
        let Ok(Understood::Some((Some(major), Some(minor), kind), access)) =
            understand(&rule(true, request))
        else {
            panic!("{request}")
        };
        let kind = if kind == Kind::Block { 1 } else { 2 };
        run(&filter.program(), kind, access.into(), major, minor) == 1
    }

    #[test]
    fn the_rules_written_are_those_of_runc() {
        let rules = [rule(false, "a *:* rwm"), rule(true, "c 10:229 rw")];
        // As traced from runc 1.1.5, and as read back from devices.list.
        let expected = [
            "devices.deny a",
            "devices.allow b *:* m",
            "devices.allow c *:* m",
            "devices.allow c 1:3 rwm",
            "devices.allow c 1:5 rwm",
            "devices.allow c 1:7 rwm",
            "devices.allow c 1:8 rwm",
            "devices.allow c 1:9 rwm",
            "devices.allow c 5:0 rwm",
            "devices.allow c 5:2 rwm",
            "devices.allow c 10:200 rwm",
            "devices.allow c 10:229 rw",
            "devices.allow c 136:* rwm",
        ];
        assert_eq!(lines(&rules), expected);
    }

    #[test]
    fn without_rules_everything_but_the_usual_devices_is_denied() {
        assert_eq!(lines(&[]).len(), 12);
        assert!(decides(&[], "c 1:3 rw"));
        assert!(decides(&[], "c 136:7 rw"));
        assert!(decides(&[], "b 8:0 m"));
        for denied in ["b 8:0 r", "c 1:11 r", "c 10:229 rw", "b 1:3 r", "c 8:0 rm"] {
            assert!(!decides(&[], denied), "{denied}");
        }
    }

    #[test]
    fn a_single_allowance_allows_nothing_else() {
        let rules = [rule(true, "b 8:0 r")];
        assert!(decides(&rules, "b 8:0 r"));
        for denied in ["b 8:0 w", "b 8:0 rw", "b 8:1 r", "c 8:0 r"] {
            assert!(!decides(&rules, denied), "{denied}");
        }
    }

    #[test]
    fn a_denial_of_one_access_denies_every_use_of_it() {
        let rules = [rule(true, "a *:* rwm"), rule(false, "b 8:* w")];
        assert_eq!(lines(&rules), ["devices.allow a", "devices.deny b 8:* w"]);
        assert!(decides(&rules, "b 8:3 r"));
        assert!(!decides(&rules, "b 8:3 w"));
        assert!(!decides(&rules, "b 8:3 rw"));
        assert!(decides(&rules, "c 8:3 rw"));
    }

    #[test]
    fn later_rules_take_back_what_earlier_ones_gave() {
        let rules = [rule(true, "c 4:1 rw"), rule(false, "c 4:1 w")];
        assert!(decides(&rules, "c 4:1 r"));
        assert!(!decides(&rules, "c 4:1 rw"));
        let all = [rule(true, "c 4:1 rw"), rule(false, "a *:* rwm")];
        assert_eq!(lines(&all), lines(&[]));
        let merged = [rule(true, "c 4:1 r"), rule(true, "c 4:1 w")];
        assert!(decides(&merged, "c 4:1 rw"));
    }

    #[test]
    fn numbers_beyond_31_bits_are_compared_whole() {
        let rules = [rule(true, "c 4294967295:4294967295 rwm")];
        assert!(decides(&rules, "c 4294967295:4294967295 rw"));
        assert!(!decides(&rules, "c 2147483647:4294967295 rw"));
    }

    #[test]
    fn minus_one_means_any_number() {
        let mut any = rule(true, "c 189:0 rw");
        any.minor = Some(-1);
        assert!(decides(&[any], "c 189:77 rw"));
    }

    #[test]
    fn an_exception_cannot_be_taken_back_in_part() {
        let (_, faults, _) = compile(&[rule(true, "c 4:* rw"), rule(false, "c 4:1 w")]);
        let expected = "c 4:1 w cannot be an exception to the rule for c 4:* rw";
        assert_eq!(faults, [format!("{expected} (config.json /d/1)")]);
        let (_, faults, _) = compile(&[rule(true, "a *:* rwm"), rule(false, "c 1:* rwm")]);
        assert!(faults[0].starts_with("every container has c 1:3 rwm"), "{faults:?}");
    }

    #[test]
    fn malformed_rules_are_faults() {
        for (text, message) in [
            ("c 1:1", "access must be some of r, w and m"),
            ("c 1:1 x", "\"x\" is not one of r, w and m"),
            ("p 1:1 r", "type \"p\" is not a, b or c"),
            ("c -2:1 r", "-2 is not the number of a device"),
            ("c 1:4294967296 r", "4294967296 is not the number of a device"),
        ] {
            let (_, faults, _) = compile(&[rule(true, text)]);
            assert_eq!(faults, [format!("{message} (config.json /d/0)")]);
        }
    }

    #[test]
    fn a_rule_for_all_devices_that_says_more_is_a_warning() {
        for text in ["a *:* r", "a 8:* rwm"] {
            let (filter, _, warnings) = compile(&[rule(true, text)]);
            assert_eq!((filter.allow, warnings.len()), (true, 1), "{text}");
        }
        assert_eq!(compile(&[rule(false, "a *:* rwm")]).2.len(), 0);
    }
}
