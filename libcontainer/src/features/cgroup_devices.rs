//! `/linux/resources/devices`: which device nodes the container may open and make.
//!
//! The rules are applied in order to a cgroup that denies everything, and the devices that every
//! container has are allowed after them. What comes out, a `Filter`, is either a default with
//! exceptions for the `devices` controller of cgroup v1, or the same as an eBPF program for v2.
//! Called by `cgroup`; pure, and it must never allow more than the rules say.

use std::collections::BTreeMap;

use crate::error::Fault;
use crate::spec::DeviceRule;

/// Access to a device: a set of the bits below, as a program sees it.
type Access = u8;
const MKNOD: Access = 1;
const READ: Access = 2;
const WRITE: Access = 4;
const ALL: Access = MKNOD | READ | WRITE;

/// What a rule is about: major and minor number, `None` for any, and the kind of device.
type Device = (Option<u32>, Option<u32>, Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Block,
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
    allow: bool,
    exceptions: BTreeMap<Device, Access>,
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

    /// The filter as a program of the type BPF_PROG_TYPE_CGROUP_DEVICE: 1 allows, 0 denies.
    pub(super) fn program(&self) -> Vec<u8> {
        let mut code = Assembler::default();
        code.load(TYPE, 0);
        code.op(MOV64_REG, ACCESS, TYPE, 0, 0);
        code.op(AND32, TYPE, 0, 0, 0xffff);
        code.op(RSH32, ACCESS, 0, 0, 16);
        code.load(MAJOR, 4);
        code.load(MINOR, 8);
        for ((major, minor, kind), access) in &self.exceptions {
            code.begin();
            code.unless_equal(TYPE, if *kind == Kind::Block { 1 } else { 2 });
            if let Some(major) = major {
                code.unless_equal(MAJOR, *major);
            }
            if let Some(minor) = minor {
                code.unless_equal(MINOR, *minor);
            }
            // An allowance must hold for all that is asked for, a denial for some of it. Where the
            // exception is for all access there is nothing to compare.
            match (self.allow, *access) {
                (_, ALL) => {}
                (false, access) => code.unless_clear(ACCESS, ALL & !access),
                (true, access) => {
                    code.op(JSET32, ACCESS, 0, 1, access.into());
                    code.otherwise();
                }
            }
            code.answer(!self.allow);
            code.end();
        }
        code.answer(self.allow);
        code.bytes
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

/// Opcodes of eBPF, in the kernel's Documentation/bpf/standardization/instruction-set.rst.
const LOAD32: u8 = 0x61;
const MOV64_REG: u8 = 0xbf;
const MOV64: u8 = 0xb7;
const AND32: u8 = 0x54;
const RSH32: u8 = 0x74;
const JUMP: u8 = 0x05;
const JNE32: u8 = 0x56;
const JSET32: u8 = 0x46;
const EXIT: u8 = 0x95;

/// Registers: the answer, the kernel's struct bpf_cgroup_dev_ctx, and what is loaded from it.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// Writes instructions; the jumps of a block lead to its end.
#[derive(Default)]
struct Assembler {
    bytes: Vec<u8>,
    jumps: Vec<usize>,
}

impl Assembler {
    const SIZE: usize = 8;

    fn op(&mut self, code: u8, to: u8, from: u8, offset: i16, value: u32) {
        // Two bit fields in one byte, so their order is that of the machine's bytes.
        let registers = if cfg!(target_endian = "big") { to << 4 | from } else { from << 4 | to };
        self.bytes.extend([code, registers]);
        self.bytes.extend(offset.to_ne_bytes());
        self.bytes.extend(value.to_ne_bytes());
    }

    fn load(&mut self, register: u8, offset: i16) {
        self.op(LOAD32, register, CONTEXT, offset, 0);
    }

    fn begin(&mut self) {
        self.jumps.clear();
    }

    fn unless_equal(&mut self, register: u8, value: u32) {
        self.jumps.push(self.bytes.len());
        self.op(JNE32, register, 0, 0, value);
    }

    fn unless_clear(&mut self, register: u8, bits: Access) {
        self.jumps.push(self.bytes.len());
        self.op(JSET32, register, 0, 0, bits.into());
    }

    fn otherwise(&mut self) {
        self.jumps.push(self.bytes.len());
        self.op(JUMP, 0, 0, 0, 0);
    }

    fn answer(&mut self, allow: bool) {
        self.op(MOV64, ANSWER, 0, 0, allow.into());
        self.op(EXIT, 0, 0, 0, 0);
    }

    /// A block has at most ten instructions, so the distance fits.
    fn end(&mut self) {
        for at in &self.jumps {
            let distance = (self.bytes.len() - at) / Self::SIZE - 1;
            self.bytes[at + 2..at + 4].copy_from_slice(&(distance as i16).to_ne_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
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

    /// Runs a program as the kernel would, for an access to a device.
    fn run(program: &[u8], kind: u32, access: u32, major: u32, minor: u32) -> u64 {
        let context = [access << 16 | kind, major, minor];
        let (mut registers, mut at) = ([0u64; 6], 0);
        loop {
            let op: [u8; 8] = program[at * 8..at * 8 + 8].try_into().unwrap();
            let (to, from) = (usize::from(op[1] & 15), usize::from(op[1] >> 4));
            let offset = i16::from_ne_bytes([op[2], op[3]]);
            let value = u32::from_ne_bytes([op[4], op[5], op[6], op[7]]);
            let low = registers[to] as u32;
            let mut jump = false;
            match op[0] {
                LOAD32 => registers[to] = context[offset as usize / 4].into(),
                MOV64_REG => registers[to] = registers[from],
                MOV64 => registers[to] = value.into(),
                AND32 => registers[to] = (low & value).into(),
                RSH32 => registers[to] = (low >> value).into(),
                JUMP => jump = true,
                JNE32 => jump = low != value,
                JSET32 => jump = low & value != 0,
                EXIT => return registers[0],
                other => panic!("opcode {other:#x}"),
            }
            at += 1 + if jump { usize::try_from(offset).unwrap() } else { 0 };
        }
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
