//! A profile that can be asked what happens at a call, and which part of it says so.

use super::arch::{Arch, X32_BIT};
use super::decision::{Decision, Source};
use super::machine::Call;
use super::rules::{RuleSet, Rules, read, unknown};
use super::verdict::Verdict;
use super::{Filter, filter};
use crate::error::{Error, Result};
use crate::spec::Seccomp;

/// A profile, read and compiled.
///
/// ```
/// use libcontainer::seccomp::{Arch, Call, Profile, Source, Verdict};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let profile = serde_json::from_str(
///     r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"],
///          "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_ALLOW" }] }"#,
/// )?;
/// let profile = Profile::new(&profile, "/linux/seccomp")?;
/// let arch = Arch::named("SCMP_ARCH_X86_64").unwrap();
/// let call = Call { arch: arch.audit(), number: arch.number("read").unwrap(), args: [0; 6] };
/// let decision = profile.decide(&call);
/// assert_eq!((decision.verdict, decision.source), (Verdict::ALLOW, Source::Entry(0)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Profile {
    rules: RuleSet,
    filter: Filter,
}

/// A line of a profile's decision table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// About which calls it is.
    pub calls: Calls,
    /// What happens.
    pub decision: Decision,
}

/// The calls that a row is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Calls {
    /// These, by name, or by number where there is no name.
    Named(Vec<String>),
    /// All from this number on.
    From(u32),
    /// All that no other row is about.
    Others,
}

impl Profile {
    /// Reads a profile and compiles it.
    ///
    /// # Errors
    /// All faults of the profile together, pointed at below `pointer`.
    pub fn new(profile: &Seccomp, pointer: &str) -> Result<Self> {
        let mut faults = Vec::new();
        let compiled = read(profile, pointer, &mut faults).and_then(|rules| {
            let filter = filter(&rules, pointer, &mut faults)?;
            Some(Self { rules, filter })
        });
        compiled.ok_or_else(|| Error::config(faults))
    }

    /// What init would load.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The architectures it is about; this machine's own is the first.
    pub fn architectures(&self) -> impl Iterator<Item = Arch> {
        self.rules.architectures.iter().map(|rules| rules.arch)
    }

    /// What happens at a call. This follows the rules; [`run`](super::run) follows the program.
    #[must_use]
    pub fn decide(&self, call: &Call) -> Decision {
        let Some(rules) = self.rules_for(call) else {
            let (conditions, verdict) = (Vec::new(), Verdict::KILL_THREAD);
            return Decision { conditions, verdict, source: Source::Architecture };
        };
        if let Some(rule) = rules.numbers.get(&call.number) {
            let decision = rule.iter().find(|decision| decision.holds(&call.args));
            return decision.cloned().unwrap_or_else(|| self.default());
        }
        match rules.unknown_from {
            Some(from) if call.number >= from => unknown(),
            _ => self.default(),
        }
    }

    /// What is said about calls of this number with other arguments.
    #[must_use]
    pub fn unmet(&self, call: &Call) -> Vec<Decision> {
        let rule = self.rules_for(call).and_then(|rules| rules.numbers.get(&call.number));
        let unmet = rule.into_iter().flatten().filter(|decision| !decision.holds(&call.args));
        unmet.cloned().collect()
    }

    /// The decision table for an architecture, if the profile is about it.
    #[must_use]
    pub fn rows(&self, arch: Arch) -> Option<Vec<Row>> {
        let rules = self.rules.architectures.iter().find(|rules| rules.arch == arch)?;
        let names = arch.names();
        let name = |number: &u32| names.get(number).map_or(number.to_string(), |&s| s.to_owned());
        let mut found: Vec<(Decision, Vec<String>)> = Vec::new();
        for (number, rule) in &rules.numbers {
            for decision in rule {
                match found.iter_mut().find(|(known, _)| known == decision) {
                    Some((_, calls)) => calls.push(name(number)),
                    None => found.push((decision.clone(), vec![name(number)])),
                }
            }
        }
        found.sort_by_key(|(decision, _)| match decision.source {
            Source::Entry(i) => i,
            _ => usize::MAX,
        });
        let named = found.into_iter().map(|(decision, mut calls)| {
            calls.sort_unstable();
            Row { calls: Calls::Named(calls), decision }
        });
        let newer = rules.unknown_from.map(|from| (Calls::From(from), unknown()));
        let others = (Calls::Others, self.default());
        let rest = newer.into_iter().chain([others]);
        Some(named.chain(rest.map(|(calls, decision)| Row { calls, decision })).collect())
    }

    fn default(&self) -> Decision {
        let (conditions, verdict) = (Vec::new(), self.rules.default);
        Decision { conditions, verdict, source: Source::Default }
    }

    /// The rules of the call's architecture; x32 shares the name of x86-64, and is only there with it.
    fn rules_for(&self, call: &Call) -> Option<&Rules> {
        let mut all = self.rules.architectures.iter();
        let same = all.clone().find(|r| r.arch.audit == call.arch && !r.arch.is_x32())?;
        if same.arch.has_x32() && call.number >= X32_BIT {
            return all.find(|rules| rules.arch.is_x32());
        }
        Some(same)
    }
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::*;

    fn profile() -> Profile {
        let profile = serde_json::json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_S390X"],
            "syscalls": [
                { "names": ["read", "write", "nothing_such"], "action": "SCMP_ACT_ALLOW" },
                { "names": ["clone"], "action": "SCMP_ACT_LOG", "args": [
                    { "index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": 0x7e02_0000, "valueTwo": 0 },
                ] },
                { "names": ["clone"], "action": "SCMP_ACT_KILL_PROCESS", "args": [
                    { "index": 1, "op": "SCMP_CMP_GT", "value": 7 },
                ] },
                { "names": ["socket"], "action": "SCMP_ACT_ALLOW" },
            ],
        });
        Profile::new(&serde_json::from_value(profile).unwrap(), "/linux/seccomp").unwrap()
    }

    fn arch(name: &str) -> Arch {
        Arch::named(name).unwrap()
    }

    fn asked(arch: Arch, number: u32, args: [u64; 6]) -> (Verdict, Source) {
        let (profile, call) = (profile(), Call { arch: arch.audit, number, args });
        let Decision { verdict, source, .. } = profile.decide(&call);
        // The rules and the program agree.
        assert_eq!(
            run(&profile.filter().program, &call).map(|(verdict, _)| verdict),
            Some(verdict)
        );
        (verdict, source)
    }

    #[test]
    fn the_entry_that_decides_is_named() {
        let eperm = Verdict::ERRNO.with(1);
        let x86_64 = arch("SCMP_ARCH_X86_64");
        let clone = x86_64.number("clone").unwrap();
        for (number, args, expected) in [
            (0, [9; 6], (Verdict::ALLOW, Source::Entry(0))),
            (2, [0; 6], (eperm, Source::Default)),
            (clone, [0x11, 9, 0, 0, 0, 0], (Verdict::LOG, Source::Entry(1))),
            (clone, [0x1002_0000, 8, 0, 0, 0, 0], (Verdict::KILL_PROCESS, Source::Entry(2))),
            (clone, [0x1002_0000, 7, 0, 0, 0, 0], (eperm, Source::Default)),
            (clone + 1, [0; 6], (Verdict::UNKNOWN, Source::Unknown)),
            (X32_BIT, [0; 6], (Verdict::KILL_THREAD, Source::Architecture)),
        ] {
            assert_eq!(asked(x86_64, number, args), expected, "{number}");
        }
        let arm = arch("SCMP_ARCH_ARM");
        assert_eq!(asked(arm, 3, [0; 6]), (Verdict::KILL_THREAD, Source::Architecture));
    }

    #[test]
    fn what_is_said_about_other_arguments_can_be_asked_for() {
        let (profile, x86_64) = (profile(), arch("SCMP_ARCH_X86_64"));
        let unmet = |name: &str, args| {
            let number = x86_64.number(name).unwrap();
            let unmet = profile.unmet(&Call { arch: x86_64.audit, number, args });
            unmet.into_iter().map(|decision| decision.source).collect::<Vec<_>>()
        };
        assert_eq!(
            unmet("clone", [0x1002_0000, 7, 0, 0, 0, 0]),
            [Source::Entry(1), Source::Entry(2)]
        );
        assert_eq!(unmet("clone", [0; 6]), [Source::Entry(2)]);
        assert_eq!(unmet("read", [0; 6]), []);
        assert_eq!(unmet("mount", [0; 6]), []);
    }

    #[test]
    fn a_multiplexed_call_is_decided_by_its_entry_both_ways() {
        let x86 = arch("SCMP_ARCH_X86");
        for (name, first) in [("socket", 2), ("socketcall", 1)] {
            let number = x86.number(name).unwrap();
            let args = [first, 0, 0, 0, 0, 0];
            assert_eq!(asked(x86, number, args), (Verdict::ALLOW, Source::Entry(3)), "{name}");
        }
        let number = x86.number("socketcall").unwrap();
        assert_eq!(asked(x86, number, [2, 0, 0, 0, 0, 0]).1, Source::Default);
    }

    // The kernel of s390 tells the number 0 for each that it does not know.
    #[test]
    fn the_number_0_of_s390_is_unknown() {
        let s390x = arch("SCMP_ARCH_S390X");
        assert_eq!(asked(s390x, 0, [0; 6]), (Verdict::UNKNOWN, Source::Unknown));
        let read = s390x.number("read").unwrap();
        assert_eq!(asked(s390x, read, [0; 6]), (Verdict::ALLOW, Source::Entry(0)));
    }

    #[test]
    fn the_decision_table_has_a_row_for_each_entry_and_the_rest() {
        let profile = profile();
        let rows = profile.rows(arch("SCMP_ARCH_X86_64")).unwrap();
        let shown: Vec<_> = rows
            .iter()
            .map(|Row { calls, decision }| {
                let conditions: Vec<String> =
                    decision.conditions.iter().map(ToString::to_string).collect();
                let Decision { verdict, source, .. } = decision;
                format!("{calls:?} {verdict} {source:?} {conditions:?}")
            })
            .collect();
        assert_eq!(
            shown,
            [
                r#"Named(["read", "write"]) allow Entry(0) []"#,
                r#"Named(["clone"]) allow and log Entry(1) ["arg0 & 0x7e020000 == 0x0"]"#,
                r#"Named(["clone"]) kill the process Entry(2) ["arg1 > 0x7"]"#,
                r#"Named(["socket"]) allow Entry(3) []"#,
                "From(57) fail with ENOSYS Unknown []",
                "Others fail with EPERM Default []",
            ]
        );
        assert_eq!(profile.rows(arch("SCMP_ARCH_ARM")), None);
    }
}
