//! Rules as a program: which architecture, then which range of numbers, then which arguments.
//!
//! Instructions are written from the last to the first, so that where a jump leads is known when it
//! is written. A conditional jump reaches 255 instructions; farther ones go by way of a plain jump
//! beside it. The accumulator holds the number until arguments are looked at.

use std::collections::BTreeMap;

use super::arch::X32_BIT;
use super::decision::{Condition, Decision, Operator, Source};
use super::instruction::{
    AND, ARCHITECTURE, ARGUMENTS, Instruction, JEQ, JGE, JGT, JUMP, LOAD, NUMBER, RETURN,
};
use super::rules::{Rule, RuleSet, Rules, unknown};
use super::table;
use super::verdict::Verdict;

/// The calls that programs make most, roughly by how often: found first.
pub const COMMONEST: [&str; 50] = [
    "read",
    "write",
    "futex",
    "close",
    "openat",
    "newfstatat",
    "fstat",
    "mmap",
    "epoll_wait",
    "epoll_pwait",
    "recvfrom",
    "sendto",
    "recvmsg",
    "sendmsg",
    "poll",
    "ppoll",
    "clock_gettime",
    "clock_nanosleep",
    "lseek",
    "pread64",
    "pwrite64",
    "readv",
    "writev",
    "rt_sigprocmask",
    "rt_sigaction",
    "ioctl",
    "fcntl",
    "munmap",
    "mprotect",
    "madvise",
    "brk",
    "getpid",
    "gettid",
    "sched_yield",
    "epoll_ctl",
    "accept4",
    "statx",
    "stat",
    "access",
    "faccessat",
    "getdents64",
    "readlink",
    "wait4",
    "clone",
    "clone3",
    "execve",
    "exit_group",
    "pipe2",
    "mremap",
    "nanosleep",
];
/// How much more a common call weighs than a range.
const WEIGHT: u64 = 16;

/// The program of a profile.
pub(super) fn assemble(profile: &RuleSet) -> Vec<u32> {
    let mut code = Assembler { code: Vec::new(), returns: BTreeMap::new() };
    let mut blocks = Vec::new();
    for rules in profile.architectures.iter().rev().filter(|rules| !rules.arch.is_x32()) {
        let x32 = profile
            .architectures
            .iter()
            .find(|other| other.arch.is_x32() && other.arch.audit == rules.arch.audit);
        blocks.push((rules.arch.audit, code.architecture(profile, rules, x32)));
    }
    let mut next = code.verdict(Verdict::KILL_THREAD);
    for (audit, block) in blocks {
        next = code.branch(JEQ, audit, block, next);
    }
    code.load(ARCHITECTURE, next);
    code.words()
}

/// A stretch of numbers with the same rule.
struct Range {
    start: u32,
    /// Index of the rule.
    rule: usize,
    weight: u64,
}

struct Assembler {
    /// Instructions from the last to the first.
    code: Vec<Instruction>,
    /// Where a return stands.
    returns: BTreeMap<Verdict, usize>,
}

/// A place in the program, counted from its end.
type Place = usize;

impl Assembler {
    /// The code for one architecture, with the numbers of X32, which share its name.
    fn architecture(&mut self, profile: &RuleSet, rules: &Rules, x32: Option<&Rules>) -> Place {
        let own = self.numbers(profile, rules);
        let entry = if rules.arch.has_x32() {
            let other = match x32 {
                Some(rules) => self.numbers(profile, rules),
                None => self.verdict(Verdict::KILL_THREAD),
            };
            self.branch(JGE, X32_BIT, other, own)
        } else {
            own
        };
        self.load(NUMBER, entry)
    }

    fn numbers(&mut self, profile: &RuleSet, rules: &Rules) -> Place {
        let (ranges, kinds) = ranges(profile, rules);
        let mut leaves: Vec<Option<Place>> = vec![None; kinds.len()];
        self.search(&ranges, &kinds, &mut leaves, profile.default)
    }

    /// The search for a range: halves of about the same weight.
    fn search(
        &mut self,
        ranges: &[Range],
        kinds: &[Rule],
        leaves: &mut [Option<Place>],
        default: Verdict,
    ) -> Place {
        if let [range] = ranges {
            let kind = &kinds[range.rule];
            return match (kind.as_slice(), leaves[range.rule]) {
                ([only], _) if only.conditions.is_empty() => self.verdict(only.verdict),
                (_, Some(place)) => place,
                (_, None) => {
                    let place = self.rule(kind, default);
                    leaves[range.rule] = Some(place);
                    place
                }
            };
        }
        let total: u64 = ranges.iter().map(|range| range.weight).sum();
        let (mut below, mut middle) = (ranges[0].weight, 1);
        while middle + 1 < ranges.len() && (below + ranges[middle].weight) * 2 <= total {
            below += ranges[middle].weight;
            middle += 1;
        }
        let (low, high) = ranges.split_at(middle);
        let start = high[0].start;
        let high = self.search(high, kinds, leaves, default);
        let low = self.search(low, kinds, leaves, default);
        self.branch(JGE, start, high, low)
    }

    /// The decisions of a rule, the last first.
    fn rule(&mut self, rule: &Rule, default: Verdict) -> Place {
        let mut next = self.verdict(default);
        for decision in rule.iter().rev() {
            let mut holds = self.verdict(decision.verdict);
            for condition in decision.conditions.iter().rev() {
                holds = self.condition(condition, holds, next);
            }
            next = holds;
        }
        next
    }

    /// Compares an argument of 64 bits by halves.
    fn condition(&mut self, condition: &Condition, holds: Place, fails: Place) -> Place {
        let halves = |value: u64| ((value >> 32) as u32, value as u32);
        let (high, low) = halves(condition.value);
        let (mask_high, mask_low) = halves(condition.mask);
        let at = ARGUMENTS + 8 * condition.argument;
        let (low_at, high_at) =
            if cfg!(target_endian = "little") { (at, at + 4) } else { (at + 4, at) };
        // Without bits above, as on an architecture of 32 bits, the upper half is not looked at.
        let narrow = mask_high == 0;
        let (yes, no) = match condition.operator {
            Operator::NotEqual | Operator::Less | Operator::LessOrEqual => (fails, holds),
            _ => (holds, fails),
        };
        let (opcode, upper) = match condition.operator {
            Operator::Equal | Operator::NotEqual | Operator::MaskedEqual => (JEQ, None),
            Operator::Greater | Operator::LessOrEqual => (JGT, Some(yes)),
            Operator::GreaterOrEqual | Operator::Less => (JGE, Some(yes)),
        };
        let mut place = self.branch(opcode, low, yes, no);
        place = self.masked(low_at, mask_low, place);
        if narrow {
            return place;
        }
        place = self.branch(JEQ, high, place, no);
        if let Some(yes) = upper {
            place = self.branch(JGT, high, yes, place);
        }
        self.masked(high_at, mask_high, place)
    }

    fn masked(&mut self, at: u32, mask: u32, next: Place) -> Place {
        if mask == u32::MAX {
            return self.load(at, next);
        }
        let and = self.follow(Instruction::plain(AND, mask), next);
        self.load(at, and)
    }

    fn load(&mut self, at: u32, next: Place) -> Place {
        self.follow(Instruction::plain(LOAD, at), next)
    }

    /// An instruction with one that comes next.
    fn follow(&mut self, instruction: Instruction, next: Place) -> Place {
        if next + 1 != self.code.len() {
            self.jump(next);
        }
        self.push(instruction)
    }

    fn branch(&mut self, code: u16, operand: u32, yes: Place, no: Place) -> Place {
        if yes == no {
            return yes;
        }
        let yes = self.near(yes);
        let no = self.near(no);
        let yes = self.near(yes);
        let distance = |place: Place| (self.code.len() - place - 1) as u8;
        self.push(Instruction { code, yes: distance(yes), no: distance(no), operand })
    }

    /// A place that a conditional jump reaches, with room for one more of these.
    fn near(&mut self, place: Place) -> Place {
        const REACH: usize = 250;
        if self.code.len() - place <= REACH {
            return place;
        }
        match self.code[place] {
            // A copy is as long as a jump to it, and one step shorter.
            copy @ Instruction { code: RETURN, operand, .. } => {
                let copy = self.push(copy);
                self.returns.insert(Verdict(operand), copy);
                copy
            }
            _ => self.jump(place),
        }
    }

    fn jump(&mut self, place: Place) -> Place {
        let distance = (self.code.len() - place - 1) as u32;
        self.push(Instruction::plain(JUMP, distance))
    }

    fn verdict(&mut self, verdict: Verdict) -> Place {
        match self.returns.get(&verdict) {
            Some(place) => *place,
            None => {
                let place = self.push(Instruction::plain(RETURN, verdict.0));
                self.returns.insert(verdict, place);
                place
            }
        }
    }

    fn push(&mut self, instruction: Instruction) -> Place {
        self.code.push(instruction);
        self.code.len() - 1
    }

    /// The program, in its order.
    fn words(&self) -> Vec<u32> {
        self.code.iter().rev().flat_map(|instruction| instruction.words()).collect()
    }
}

/// The numbers of an architecture as ranges, from 0 to the largest there is, and the different rules.
fn ranges(profile: &RuleSet, rules: &Rules) -> (Vec<Range>, Vec<Rule>) {
    let common: Vec<u32> =
        COMMONEST.iter().filter_map(|name| table::find(name).number(rules.arch)).collect();
    let default =
        Decision { conditions: Vec::new(), verdict: profile.default, source: Source::Default };
    let (default, unknown) = (vec![default], vec![unknown()]);
    let mut kinds: Vec<Rule> = Vec::new();
    let mut found: Vec<Range> = Vec::new();
    let mut add = |start: u32, rule: &Rule, weight: u64| {
        let kind = kinds.iter().position(|known| same(known, rule)).unwrap_or_else(|| {
            kinds.push(rule.clone());
            kinds.len() - 1
        });
        match found.last_mut() {
            Some(last) if last.rule == kind => last.weight += weight - 1,
            _ => found.push(Range { start, rule: kind, weight }),
        }
    };
    let mut next = if rules.arch.is_x32() { X32_BIT } else { 0 };
    for (number, rule) in &rules.numbers {
        if *number > next {
            add(next, &default, 1);
        }
        let weight = if common.contains(number) { WEIGHT } else { 1 };
        add(*number, rule, weight);
        next = number + 1;
    }
    match rules.unknown_from {
        Some(from) => {
            if from > next {
                add(next, &default, 1);
            }
            add(from.max(next), &unknown, 1);
        }
        None => add(next, &default, 1),
    }
    (found, kinds)
}

/// Whether two rules lead to the same, whatever says so.
fn same(one: &Rule, other: &Rule) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.acts_as(other))
}
