//! Filters compared with those of libseccomp, call by call: for the profiles of engines on every
//! architecture, and for profiles at random.

use std::collections::BTreeSet;

use libcontainer::seccomp::{Arch, COMMONEST, Call, OPERATORS, compile};
use libcontainer::spec::Seccomp;
use serde_json::{Value, json};

use crate::oracle::Oracle;
use crate::{ENOSYS, decided, engines, profile};

/// The programs of a profile, and what they were found to do.
struct Compared<'a> {
    profile: &'a Seccomp,
    ours: Vec<u32>,
    theirs: Vec<u32>,
    calls: usize,
    differences: Vec<String>,
}

impl<'a> Compared<'a> {
    fn new(profile: &'a Seccomp, theirs: Vec<u32>) -> Self {
        let ours = compile(profile, "", &mut Vec::new()).unwrap().program;
        Self { profile, ours, theirs, calls: 0, differences: Vec::new() }
    }

    /// Makes calls of an architecture, with many arguments where a rule looks at these.
    fn on(&mut self, arch: Arch, numbers: impl IntoIterator<Item = u32>) {
        let of = |number| Call { arch: arch.audit(), number, args: [0; 6] };
        let first = arch.names().into_keys().next().unwrap();
        let default = decided(&self.theirs, &of(first + 100_000)).0;
        let (many, conditional) = (arguments(self.profile), conditional(self.profile, arch));
        for number in numbers {
            let few = if conditional.contains(&number) { many.len() } else { 3 };
            for args in &many[..few] {
                let call = Call { args: *args, ..of(number) };
                let (our, their) = (decided(&self.ours, &call).0, decided(&self.theirs, &call).0);
                self.calls += 1;
                // A number beyond those that the profile names is unknown, as runc has it.
                let unknown = our == ENOSYS && their == default;
                if our != their && !unknown {
                    let name = arch.name();
                    let differ = format!("{name} {call:x?}: {our:#x}, libseccomp {their:#x}");
                    self.differences.push(differ);
                }
            }
        }
    }

    /// How many calls were compared; none may have differed.
    #[track_caller]
    fn agree(self) -> usize {
        let few = &self.differences[..self.differences.len().min(4)];
        assert!(few.is_empty(), "{}: {few:#?}", json!(self.profile));
        self.calls
    }
}

/// The calls of which a rule looks at the arguments.
fn conditional(profile: &Seccomp, arch: Arch) -> BTreeSet<u32> {
    let entries = profile.syscalls.iter().filter(|entry| !entry.args.is_empty());
    let names = entries.flat_map(|entry| entry.names.iter().map(String::as_str));
    names.chain(["socketcall", "ipc"]).filter_map(|name| arch.number(name)).collect()
}

/// Values around those that a profile compares with, for one argument after the other; the first
/// three are for any call.
fn arguments(profile: &Seccomp) -> Vec<[u64; 6]> {
    let mut all = Vec::new();
    for arg in profile.syscalls.iter().flat_map(|syscall| &syscall.args) {
        let two = arg.value_two.unwrap_or(0);
        for value in [arg.value, two, arg.value | two, !arg.value] {
            for near in [value, value.wrapping_add(1), value.wrapping_sub(1), value ^ (1 << 32)] {
                let mut args = [0; 6];
                args[arg.index as usize] = near;
                all.push(args);
                let mut args = [near; 6];
                args[arg.index as usize] = value;
                all.push(args);
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    all.truncate(60);
    let any = [[0; 6], [u64::MAX; 6], [1; 6]];
    any.into_iter().chain(all).collect()
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_profiles_of_engines_decide_as_libseccomp_does() {
    let Some(mut oracle) = Oracle::begin() else { return };
    let mut calls = 0;
    let profiles = distinct(&mut oracle);
    for profile in &profiles {
        let mut compared = Compared::new(profile, oracle.program(profile, None).unwrap());
        for arch in ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"] {
            let arch = Arch::named(arch).unwrap();
            compared.on(arch, numbers(arch));
        }
        calls += compared.agree();
    }
    println!("{} profiles, {calls} calls compared", profiles.len());
    assert!(calls > 10_000);
}

/// All that libseccomp knows of those that a profile can name: 2.5 lacks four.
#[test]
#[cfg(target_arch = "x86_64")]
fn every_architecture_is_decided_as_by_libseccomp() {
    let Some(mut oracle) = Oracle::begin() else { return };
    let (mut calls, mut unknown) = (0, Vec::new());
    let profiles = distinct(&mut oracle);
    for arch in Arch::all() {
        for profile in &profiles {
            let architectures = vec![arch.name().to_owned()];
            let profile = Seccomp { architectures, ..profile.clone() };
            let theirs = match oracle.program(&profile, Some(arch.name())) {
                Err(why) if why.contains("has no attribute") => {
                    unknown.push(arch.name());
                    break;
                }
                theirs => theirs.unwrap(),
            };
            let mut compared = Compared::new(&profile, theirs);
            compared.on(arch, numbers(arch));
            calls += compared.agree();
        }
    }
    println!("{calls} calls compared, on all architectures but {unknown:?}");
    assert!(unknown.len() <= 4 && calls > 100_000);
}

/// The path of a call is what a process pays for its filter.
#[test]
#[cfg(target_arch = "x86_64")]
fn no_common_call_takes_more_instructions_than_with_libseccomp() {
    let Some(mut oracle) = Oracle::begin() else { return };
    let arch = Arch::native().unwrap();
    let mut compared = 0;
    for profile in distinct(&mut oracle) {
        let ours = compile(&profile, "", &mut Vec::new()).unwrap().program;
        let (_, theirs) = oracle.timed(&profile, 2, 1).unwrap();
        for name in COMMONEST {
            let Some(number) = arch.number(name) else { continue };
            let call = Call { number, arch: arch.audit(), args: [0; 6] };
            let (our, their) = (decided(&ours, &call).1, decided(&theirs, &call).1);
            assert!(our <= their, "{name}: {our} instructions, with libseccomp {their}");
            compared += 1;
        }
    }
    assert!(compared > 100);
}

/// The different ones among the profiles of engines, with the names that libseccomp knows.
fn distinct(oracle: &mut Oracle) -> Vec<Seccomp> {
    let mut all: Vec<Seccomp> = Vec::new();
    for (_, profile) in engines() {
        let profile = oracle.without_unknown(&profile);
        if !all.contains(&profile) {
            all.push(profile);
        }
    }
    all
}

/// The numbers of an architecture, and some that it does not have.
fn numbers(arch: Arch) -> BTreeSet<u32> {
    let known: Vec<u32> = arch.names().into_keys().collect();
    (known[0]..known[0] + 480).chain(known).collect()
}

/// Numbers that look random and are the same each time (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// A profile whose rules may contradict each other, except for those with conditions: where
    /// several of one call hold, the first counts here, and the shape of a tree there. Of several
    /// inequalities about one argument libseccomp 2.5 loses some, so there is one at most.
    fn profile(&mut self) -> Value {
        let default = self.of(&ACTIONS);
        let mut conditional = NAMES.to_vec();
        let rules: Vec<Value> = (0..1 + self.below(12))
            .map(|_| {
                let action = self.of(&ACTIONS);
                if self.below(3) == 0 || conditional.is_empty() {
                    let names: Vec<&str> =
                        (0..1 + self.below(3)).map(|_| self.of(&NAMES)).collect();
                    return json!({ "names": names, "action": action });
                }
                let name = conditional.swap_remove(self.below(conditional.len() as u64) as usize);
                let args: Vec<Value> = (0..1 + self.below(3))
                    .map(|index| {
                        json!({
                            "index": index,
                            "op": self.of(&OPERATORS).0,
                            "value": self.of(&VALUES),
                            "valueTwo": self.of(&VALUES),
                        })
                    })
                    .collect();
                json!({ "names": [name], "action": action, "args": args })
            })
            .collect();
        json!({
            "defaultAction": default,
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": rules,
        })
    }
}

const ACTIONS: [&str; 7] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_LOG",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_TRACE",
];
/// None that is multiplexed: with those libseccomp 2.5 at times forgets to load the number on x86,
/// and of a rule with conditions it compares other arguments there.
const NAMES: [&str; 10] = [
    "read",
    "write",
    "openat",
    "clone",
    "ioctl",
    "prctl",
    "mount",
    "ptrace",
    "getdents64",
    "futex",
];
const VALUES: [u64; 8] = [0, 1, 2, 16, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0002, u64::MAX];

#[test]
#[cfg(target_arch = "x86_64")]
fn profiles_at_random_decide_as_libseccomp_does() {
    const ROUNDS: usize = 1000;
    /// What the names have on x86-64, X32 and x86, and some others.
    #[rustfmt::skip]
    const NUMBERS: [u32; 32] = [
        0, 1, 257, 41, 56, 16, 157, 165, 101, 65, 217, 202, 514, 521, // x86-64 and X32
        3, 4, 295, 359, 120, 54, 172, 21, 26, 220, 240, // x86
        2, 5, 60, 100, 300, 400, 440,
    ];
    let Some(mut oracle) = Oracle::begin() else { return };
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut calls, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let profile = profile(dice.profile());
        // Of contradictions without conditions it refuses some.
        let Ok(theirs) = oracle.program(&profile, None) else {
            refused += 1;
            continue;
        };
        let mut compared = Compared::new(&profile, theirs);
        for arch in ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"] {
            let arch = Arch::named(arch).unwrap();
            let first = arch.names().into_keys().next().unwrap();
            compared.on(arch, NUMBERS.map(|number| first + number));
        }
        calls += compared.agree();
    }
    println!("{calls} calls compared, {refused} of {ROUNDS} profiles refused by libseccomp");
    assert!(calls > 500_000 && refused < ROUNDS / 4);
}
