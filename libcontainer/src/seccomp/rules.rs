//! A profile read: what happens at each number of each architecture, and under which conditions.
//!
//! Where rules for one call contradict each other they are taken as libseccomp takes them: a rule
//! without conditions wins over those with some, and among equals the first. A rule that says the
//! same as the default is left out, as runc does. Names that an architecture does not have are left
//! out too.

use std::collections::BTreeMap;

use super::arch::Arch;
use super::table::Table;
use crate::error::Fault;
use crate::spec::{Seccomp, Syscall, SyscallArg};

/// What the kernel is told to do, SECCOMP_RET_*.
pub(super) type Verdict = u32;
const RET_DATA: u32 = 0xffff;
const ERRNO: Verdict = 0x0005_0000;
const NOTIFY: Verdict = 0x7fc0_0000;
const TRACE: Verdict = 0x7ff0_0000;
const LOG: Verdict = 0x7ffc_0000;
const ALLOW: Verdict = 0x7fff_0000;
/// A process of an architecture that the profile does not list, as with libseccomp.
pub(super) const KILL_THREAD: Verdict = 0;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
/// MAX_ERRNO of the kernel, which would cut a larger one.
const MOST_ERRNO: u32 = 4095;

/// The names of actions and what they are.
pub const ACTIONS: [(&str, Verdict); 9] = [
    ("SCMP_ACT_KILL", KILL_THREAD),
    ("SCMP_ACT_KILL_PROCESS", 0x8000_0000),
    ("SCMP_ACT_KILL_THREAD", KILL_THREAD),
    ("SCMP_ACT_TRAP", 0x0003_0000),
    ("SCMP_ACT_ERRNO", ERRNO),
    ("SCMP_ACT_TRACE", TRACE),
    ("SCMP_ACT_ALLOW", ALLOW),
    ("SCMP_ACT_LOG", LOG),
    ("SCMP_ACT_NOTIFY", NOTIFY),
];

/// The names of flags, and the bits of seccomp(2).
pub const FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", 1),
    ("SECCOMP_FILTER_FLAG_LOG", 2),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", 4),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 32),
];
/// What runc sets where a profile says nothing of flags.
const DEFAULT_FLAGS: u32 = 4;

/// The names of comparisons.
pub const OPERATORS: [(&str, Operator); 7] = [
    ("SCMP_CMP_NE", Operator::NotEqual),
    ("SCMP_CMP_LT", Operator::Less),
    ("SCMP_CMP_LE", Operator::LessOrEqual),
    ("SCMP_CMP_EQ", Operator::Equal),
    ("SCMP_CMP_GE", Operator::GreaterOrEqual),
    ("SCMP_CMP_GT", Operator::Greater),
    ("SCMP_CMP_MASKED_EQ", Operator::MaskedEqual),
];

/// A comparison of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // the names say it
pub enum Operator {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    MaskedEqual,
}

/// A condition on one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Condition {
    /// 0 to 5.
    pub argument: u32,
    pub operator: Operator,
    /// What it is compared with.
    pub value: u64,
    /// Of [`Operator::MaskedEqual`]; all bits otherwise.
    pub mask: u64,
}

/// What happens at one number.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rule {
    /// Conditions that must all hold, and what happens then; the first that fits counts.
    pub chains: Vec<(Vec<Condition>, Verdict)>,
    /// What happens otherwise; the default if nothing is said.
    pub otherwise: Option<Verdict>,
}

/// A profile for one architecture.
#[derive(Debug)]
pub(super) struct Rules {
    pub arch: Arch,
    pub numbers: BTreeMap<u32, Rule>,
    /// Numbers from here on were unknown to whoever wrote the profile; none, if it treats them as
    /// any other.
    pub unknown_from: Option<u32>,
}

/// A whole profile.
#[derive(Debug)]
pub(super) struct Profile {
    pub default: Verdict,
    pub architectures: Vec<Rules>,
    pub flags: u32,
}

/// What a number beyond all that the profile names gets: a program then knows to do without.
pub(super) const UNKNOWN: Verdict = ERRNO | ENOSYS;

impl Profile {
    /// Whether a listener is asked about some call.
    pub(super) fn notifies(&self) -> bool {
        let rules = self.architectures.iter().flat_map(|rules| rules.numbers.values());
        let verdicts = rules
            .flat_map(|rule| rule.chains.iter().map(|(_, verdict)| *verdict).chain(rule.otherwise));
        verdicts.chain([self.default]).any(|verdict| verdict == NOTIFY)
    }
}

/// Reads a profile; what is wrong with it are faults below `pointer`.
pub(super) fn read(profile: &Seccomp, pointer: &str, faults: &mut Vec<Fault>) -> Profile {
    let mut reader = Reader { pointer, faults };
    let default = reader.verdict("", &profile.default_action, profile.default_errno_ret);
    let flags = match profile.flags.as_slice() {
        [] => DEFAULT_FLAGS,
        names => reader.flags(names),
    };
    let arches = reader.architectures(&profile.architectures);
    let entries: Vec<Entry<'_>> =
        profile.syscalls.iter().enumerate().map(|(i, syscall)| reader.entry(i, syscall)).collect();
    let table = Table::new();
    let architectures =
        arches.into_iter().map(|arch| rules_of(arch, &entries, default, &table)).collect();
    Profile { default, architectures, flags }
}

/// One entry of `syscalls`, understood.
struct Entry<'a> {
    names: &'a [String],
    verdict: Verdict,
    conditions: Vec<Condition>,
}

struct Reader<'a> {
    pointer: &'a str,
    faults: &'a mut Vec<Fault>,
}

impl Reader<'_> {
    fn fault(&mut self, place: &str, message: String) {
        self.faults.push(Fault { pointer: format!("{}/{place}", self.pointer), message });
    }

    fn verdict(&mut self, place: &str, action: &str, number: Option<u32>) -> Verdict {
        let (name, errno) = match place {
            "" => ("defaultAction".to_owned(), "defaultErrnoRet".to_owned()),
            place => (format!("{place}/action"), format!("{place}/errnoRet")),
        };
        let Some((_, verdict)) = ACTIONS.iter().find(|(known, _)| *known == action) else {
            self.fault(&name, format!("\"{}\" is not an action", action.escape_default()));
            return KILL_THREAD;
        };
        match (*verdict, number) {
            (ERRNO, Some(number)) if number > MOST_ERRNO => {
                self.fault(&errno, format!("{number} is not an errno"));
                *verdict
            }
            (TRACE, Some(number)) if number > RET_DATA => {
                self.fault(&errno, format!("{number} is more than a tracer is told"));
                *verdict
            }
            (ERRNO | TRACE, number) => verdict | number.unwrap_or(EPERM),
            (_, Some(_)) => {
                self.fault(&errno, format!("{action} returns no number"));
                *verdict
            }
            (_, None) => *verdict,
        }
    }

    fn flags(&mut self, names: &[String]) -> u32 {
        let mut flags = 0;
        for (i, name) in names.iter().enumerate() {
            match FLAGS.iter().find(|(known, _)| known == name) {
                Some((_, bit)) => flags |= bit,
                None => {
                    let message = format!("\"{}\" is not a flag", name.escape_default());
                    self.fault(&format!("flags/{i}"), message);
                }
            }
        }
        flags
    }

    /// The machine's own is always among them.
    fn architectures(&mut self, names: &[String]) -> Vec<Arch> {
        let mut arches: Vec<Arch> = Arch::native().into_iter().collect();
        for (i, name) in names.iter().enumerate() {
            match Arch::named(name) {
                Some(arch) if arches.contains(&arch) => {}
                Some(arch) => arches.push(arch),
                None => {
                    let message = format!("\"{}\" is not an architecture", name.escape_default());
                    self.fault(&format!("architectures/{i}"), message);
                }
            }
        }
        if arches.is_empty() {
            self.fault("architectures", "keel has no profiles on this machine".to_owned());
        }
        arches
    }

    fn entry<'a>(&mut self, i: usize, syscall: &'a Syscall) -> Entry<'a> {
        let place = format!("syscalls/{i}");
        if syscall.names.is_empty() {
            self.fault(&format!("{place}/names"), "a rule is about some system call".to_owned());
        }
        let verdict = self.verdict(&place, &syscall.action, syscall.errno_ret);
        let args = syscall.args.iter().enumerate();
        let conditions =
            args.filter_map(|(j, arg)| self.condition(&format!("{place}/args/{j}"), arg));
        let conditions = conditions.collect();
        Entry { names: &syscall.names, verdict, conditions }
    }

    fn condition(&mut self, place: &str, arg: &SyscallArg) -> Option<Condition> {
        if arg.index > 5 {
            self.fault(&format!("{place}/index"), "arguments count from 0 to 5".to_owned());
            return None;
        }
        let Some((_, operator)) = OPERATORS.iter().find(|(known, _)| *known == arg.op) else {
            let message = format!("\"{}\" is not a comparison", arg.op.escape_default());
            self.fault(&format!("{place}/op"), message);
            return None;
        };
        let (value, mask) = match operator {
            Operator::MaskedEqual => (arg.value_two.unwrap_or(0), arg.value),
            _ => (arg.value, u64::MAX),
        };
        Some(Condition { argument: arg.index, operator: *operator, value, mask })
    }
}

fn rules_of(arch: Arch, entries: &[Entry<'_>], default: Verdict, table: &Table) -> Rules {
    let mut rules = Rules { arch, numbers: BTreeMap::new(), unknown_from: None };
    let mut last = None;
    for entry in entries {
        let chains = chains(&entry.conditions, arch.wide);
        for name in entry.names {
            let Some(number) = table.number(name, arch) else { continue };
            last = last.max(Some(number));
            if entry.verdict == default {
                continue;
            }
            rules.add(number, &chains, entry.verdict);
            // What the arguments are cannot be seen there: a rule with conditions counts without
            // them if it is the stricter one.
            if let Some((multiplexer, call)) = multiplexed(name).filter(|_| arch.multiplexed)
                && (entry.conditions.is_empty() || strictness(entry.verdict) > strictness(default))
                && let Some(number) = table.number(multiplexer, arch)
            {
                rules.add(number, &[vec![is(call)]], entry.verdict);
            }
        }
    }
    // runc's rule: who allows what is not listed, traces it, or answers so anyway, is left alone.
    let open = matches!(default & !RET_DATA, ALLOW | LOG | TRACE) || default == UNKNOWN;
    rules.unknown_from = last.filter(|_| !open).map(|last| last + 1);
    rules
}

/// An entry's conditions as chains: two on one argument are alternatives, as runc has it.
fn chains(conditions: &[Condition], wide: bool) -> Vec<Vec<Condition>> {
    // The rest of a register means nothing to a system call of 32 bits, and bits of a value that
    // are not in the mask are not compared.
    let bits = if wide { u64::MAX } else { u64::from(u32::MAX) };
    let compared = |condition: &Condition| {
        let mask = condition.mask & bits;
        Condition { value: condition.value & mask, mask, ..*condition }
    };
    // One that compares no bit always holds.
    let conditions: Vec<Condition> =
        conditions.iter().map(compared).filter(|condition| condition.mask != 0).collect();
    let twice = conditions.iter().enumerate().any(|(i, condition)| {
        conditions[..i].iter().any(|other| other.argument == condition.argument)
    });
    if twice { conditions.into_iter().map(|one| vec![one]).collect() } else { vec![conditions] }
}

impl Rules {
    fn add(&mut self, number: u32, chains: &[Vec<Condition>], verdict: Verdict) {
        let rule = self.numbers.entry(number).or_default();
        for chain in chains {
            if rule.otherwise.is_some() {
                return;
            }
            if chain.is_empty() {
                rule.chains.clear();
                rule.otherwise = Some(verdict);
            } else if rule.chains.iter().all(|(known, _)| known != chain) {
                rule.chains.push((chain.clone(), verdict));
            }
        }
    }
}

/// The kernel's order among verdicts of several filters, seccomp(2).
fn strictness(verdict: Verdict) -> usize {
    const ORDER: [Verdict; 7] = [ALLOW, LOG, TRACE, NOTIFY, ERRNO, 0x0003_0000, KILL_THREAD];
    ORDER.iter().position(|known| *known == verdict & !RET_DATA).unwrap_or(ORDER.len())
}

fn is(value: u64) -> Condition {
    Condition { argument: 0, operator: Operator::Equal, value, mask: u64::MAX }
}

/// How a call is reached by `socketcall` or `ipc`: by which first argument (linux/net.h,
/// linux/ipc.h).
fn multiplexed(name: &str) -> Option<(&'static str, u64)> {
    const SOCKET: [&str; 20] = [
        "socket",
        "bind",
        "connect",
        "listen",
        "accept",
        "getsockname",
        "getpeername",
        "socketpair",
        "send",
        "recv",
        "sendto",
        "recvfrom",
        "shutdown",
        "setsockopt",
        "getsockopt",
        "sendmsg",
        "recvmsg",
        "accept4",
        "recvmmsg",
        "sendmmsg",
    ];
    const IPC: [(&str, u64); 12] = [
        ("semop", 1),
        ("semget", 2),
        ("semctl", 3),
        ("semtimedop", 4),
        ("msgsnd", 11),
        ("msgrcv", 12),
        ("msgget", 13),
        ("msgctl", 14),
        ("shmat", 21),
        ("shmdt", 22),
        ("shmget", 23),
        ("shmctl", 24),
    ];
    if let Some(at) = SOCKET.iter().position(|known| *known == name) {
        return Some(("socketcall", at as u64 + 1));
    }
    IPC.iter().find(|(known, _)| *known == name).map(|(_, call)| ("ipc", *call))
}
