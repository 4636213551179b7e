//! A profile read: what happens at each number of each architecture, and under which conditions.
//!
//! Where rules for one call contradict each other they are taken as libseccomp takes them: a rule
//! without conditions wins over those with some, and among equals the first. A rule that says the
//! same as the default is left out, as runc does. Names that an architecture does not have are left
//! out too.

use std::collections::BTreeMap;

use super::arch::Arch;
use super::decision::{Condition, Decision, OPERATORS, Operator, Source};
use super::table::{self, Found};
use super::verdict::{ACTIONS, EPERM, MOST_ERRNO, MOST_MESSAGE, Verdict};
use crate::error::Fault;
use crate::spec::{Seccomp, Syscall, SyscallArg};

/// The names of flags, and the bits of seccomp(2).
pub const FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", 1),
    ("SECCOMP_FILTER_FLAG_LOG", 2),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", 4),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 32),
];
/// What runc sets where a profile says nothing of flags.
pub(super) const DEFAULT_FLAGS: u32 = 4;

/// libseccomp's name for the machine's own architecture, with the prefix that profiles have.
const NATIVE: &str = "SCMP_ARCH_NATIVE";

/// What happens at one number: the first decision whose conditions hold counts, or else the default.
/// One without conditions is the last.
pub(super) type Rule = Vec<Decision>;

/// A profile for one architecture.
#[derive(Debug)]
pub(super) struct Rules {
    pub arch: Arch,
    pub numbers: BTreeMap<u32, Rule>,
    /// Numbers from here on were unknown to whoever wrote the profile; none, if it treats them as
    /// any other.
    pub unknown_from: Option<u32>,
}

/// The rules of a whole profile.
#[derive(Debug)]
pub(super) struct RuleSet {
    pub default: Verdict,
    pub architectures: Vec<Rules>,
    pub flags: u32,
}

impl RuleSet {
    /// Whether a listener is asked about some call.
    pub(super) fn notifies(&self) -> bool {
        let rules = self.architectures.iter().flat_map(|rules| rules.numbers.values().flatten());
        let verdicts = rules.map(|decision| decision.verdict);
        verdicts.chain([self.default]).any(|verdict| verdict == Verdict::NOTIFY)
    }
}

/// Reads a profile; what is wrong with it are faults below `pointer`.
pub(super) fn read(profile: &Seccomp, pointer: &str, faults: &mut Vec<Fault>) -> Option<RuleSet> {
    let found = faults.len();
    let mut reader = Reader { pointer, faults };
    let default = reader.verdict("", &profile.default_action, profile.default_errno_ret);
    let flags = match profile.flags.as_slice() {
        [] => DEFAULT_FLAGS,
        names => reader.flags(names),
    };
    let arches = reader.architectures(&profile.architectures);
    let entries: Vec<Entry> =
        profile.syscalls.iter().enumerate().map(|(i, syscall)| reader.entry(i, syscall)).collect();
    if faults.len() > found {
        return None;
    }
    let architectures = arches.into_iter().map(|arch| rules_of(arch, &entries, default)).collect();
    Some(RuleSet { default, architectures, flags })
}

/// One entry of `syscalls`, understood.
struct Entry {
    calls: Vec<Named>,
    verdict: Verdict,
    conditions: Vec<Condition>,
}

/// A system call of an entry.
struct Named {
    call: Found,
    /// By what it is reached as well on some architectures, and by which first argument.
    multiplexer: Option<(Found, u64)>,
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
            return Verdict::KILL_THREAD;
        };
        match (*verdict, number) {
            (Verdict::ERRNO, Some(number)) if number > MOST_ERRNO => {
                self.fault(&errno, format!("{number} is not an errno"));
            }
            (Verdict::TRACE, Some(number)) if number > MOST_MESSAGE => {
                self.fault(&errno, format!("{number} is more than a tracer is told"));
            }
            (Verdict::ERRNO | Verdict::TRACE, number) => {
                return verdict.with(number.unwrap_or(EPERM));
            }
            (_, Some(_)) => self.fault(&errno, format!("{action} returns no number")),
            (_, None) => {}
        }
        *verdict
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
                None if name == NATIVE => {}
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

    fn entry(&mut self, i: usize, syscall: &Syscall) -> Entry {
        let place = format!("syscalls/{i}");
        if syscall.names.is_empty() {
            self.fault(&format!("{place}/names"), "a rule is about some system call".to_owned());
        }
        let verdict = self.verdict(&place, &syscall.action, syscall.errno_ret);
        let args = syscall.args.iter().enumerate();
        let conditions =
            args.filter_map(|(j, arg)| self.condition(&format!("{place}/args/{j}"), arg));
        let conditions = conditions.collect();
        let named = |name: &String| {
            let multiplexer = multiplexed(name).map(|(name, call)| (table::find(name), call));
            Named { call: table::find(name), multiplexer }
        };
        Entry { calls: syscall.names.iter().map(named).collect(), verdict, conditions }
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

fn rules_of(arch: Arch, entries: &[Entry], default: Verdict) -> Rules {
    let mut rules = Rules { arch, numbers: BTreeMap::new(), unknown_from: None };
    let mut last = None;
    for (i, entry) in entries.iter().enumerate() {
        let chains = chains(&entry.conditions, arch.wide);
        for Named { call, multiplexer } in &entry.calls {
            let Some(number) = call.number(arch) else { continue };
            last = last.max(Some(number));
            if entry.verdict == default {
                continue;
            }
            rules.add(number, &chains, entry.verdict, i);
            // What the arguments are cannot be seen there: a rule with conditions counts without
            // them if it is the stricter one.
            if let Some((multiplexer, call)) = multiplexer.filter(|_| arch.multiplexed)
                && (entry.conditions.is_empty()
                    || entry.verdict.strictness() > default.strictness())
                && let Some(number) = multiplexer.number(arch)
            {
                rules.add(number, &[vec![is(call)]], entry.verdict, i);
            }
        }
    }
    // runc's rule: who allows what is not listed, traces it, or answers so anyway, is left alone.
    let open = matches!(default.action(), Verdict::ALLOW | Verdict::LOG | Verdict::TRACE)
        || default == Verdict::UNKNOWN;
    rules.unknown_from = last.filter(|_| !open).map(|last| last + 1);
    if rules.unknown_from.is_some() && arch.unknown_is_zero {
        rules.numbers.insert(0, vec![unknown()]);
    }
    rules
}

/// What is said about a number that the profile's author did not know.
pub(super) fn unknown() -> Decision {
    Decision { conditions: Vec::new(), verdict: Verdict::UNKNOWN, source: Source::Unknown }
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
    /// Adds what the entry with the index `i` says.
    fn add(&mut self, number: u32, chains: &[Vec<Condition>], verdict: Verdict, i: usize) {
        let rule = self.numbers.entry(number).or_default();
        for conditions in chains {
            if rule.last().is_some_and(|last| last.conditions.is_empty()) {
                return;
            }
            if conditions.is_empty() {
                rule.clear();
            }
            if rule.iter().all(|known| known.conditions != *conditions) {
                let source = Source::Entry(i);
                rule.push(Decision { conditions: conditions.clone(), verdict, source });
            }
        }
    }
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
