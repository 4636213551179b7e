//! Filters compared with those of libseccomp, call by call: for the profiles of engines, and for
//! profiles at random.

use libcontainer::seccomp::{Call, compile};
use libcontainer::spec::Seccomp;
use serde_json::{Value, json};

use crate::oracle::Oracle;
use crate::{ENOSYS, I386, X86_64, decided, engines, profile};

/// Numbers that no libseccomp of Debian knows, or that it does not know on all architectures: there
/// the profile is followed here and the default applied by it.
fn newer(arch: u32, number: u32) -> bool {
    let number = number & !0x4000_0000;
    number >= 449 || (arch == X86_64 && (335..424).contains(&number))
}

/// Compares two programs on every number of an architecture with some arguments; returns how many
/// calls were compared, and the differences.
fn compare(
    ours: &[u32],
    theirs: &[u32],
    arguments: &[[u64; 6]],
    calls: impl Fn(u32, u32) -> bool,
    differences: &mut Vec<String>,
) -> usize {
    let mut compared = 0;
    let default = decided(theirs, &Call { number: 100_000, arch: X86_64, args: [0; 6] }).0;
    for (arch, first) in [(X86_64, 0), (X86_64, 0x4000_0000), (I386, 0)] {
        for number in
            (first..first + 460).filter(|number| !newer(arch, *number) && calls(arch, *number))
        {
            for args in arguments {
                let call = Call { number, arch, args: *args };
                let (our, their) = (decided(ours, &call).0, decided(theirs, &call).0);
                compared += 1;
                // A number beyond those that the profile names is unknown, as runc has it.
                let unknown = our == ENOSYS && their == default;
                if our != their && !unknown {
                    differences.push(format!("{call:x?}: {our:#x}, and libseccomp {their:#x}"));
                }
            }
        }
    }
    compared
}

/// Values around those that a profile compares with, for one argument after the other.
fn arguments(profile: &Seccomp) -> Vec<[u64; 6]> {
    let mut all = vec![[0; 6], [u64::MAX; 6], [1; 6]];
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
    all
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_profiles_of_engines_decide_as_libseccomp_does() {
    let Some(mut oracle) = Oracle::begin() else { return };
    let (mut compared, mut differences) = (0, Vec::new());
    for (name, profile) in engines() {
        let ours = compile(&profile, "", &mut Vec::new()).unwrap();
        let theirs = oracle.program(&profile).unwrap_or_else(|why| panic!("{name}: {why}"));
        compared +=
            compare(&ours.program, &theirs, &arguments(&profile), |_, _| true, &mut differences);
    }
    println!("{compared} calls compared");
    assert!(compared > 100_000);
    assert_eq!(differences.len(), 0, "{:#?}", &differences[..differences.len().min(20)]);
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
                            "op": self.of(&OPERATORS),
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
const OPERATORS: [&str; 7] = [
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
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
    let (mut compared, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let value = dice.profile();
        let profile = profile(value.clone());
        let ours = compile(&profile, "", &mut Vec::new()).unwrap();
        // Of contradictions without conditions it refuses some.
        let Ok(theirs) = oracle.program(&profile) else {
            refused += 1;
            continue;
        };
        let mut differences = Vec::new();
        compared += compare(
            &ours.program,
            &theirs,
            &arguments(&profile),
            |_, number| NUMBERS.contains(&(number & 0xfff)),
            &mut differences,
        );
        let few = &differences[..differences.len().min(4)];
        assert!(few.is_empty(), "{value}: {few:#?}");
    }
    println!("{compared} calls compared, {refused} of {ROUNDS} profiles refused by libseccomp");
    assert!(compared > 1_000_000 && refused < ROUNDS / 4);
}
