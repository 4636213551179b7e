//! Any bytes as a profile of system calls, and what must hold for every profile: nothing panics, the
//! kernel takes the program, and the program does what the rules say.
//!
//! The fuzz target calls this, and `tests/seccomp_corpus.rs` for what the target has found.

use libcontainer::seccomp::{Arch, Call, Decision, MOST_INSTRUCTIONS, Profile, disassemble, run};
use libcontainer::spec::{Seccomp, Syscall, SyscallArg};

const ACTIONS: [&str; 12] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_MOON",
];
const OPERATORS: [&str; 8] = [
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_MOON",
];
/// Calls that are alike everywhere, that are multiplexed, and that only some architectures have.
const NAMES: [&str; 24] = [
    "read",
    "write",
    "openat",
    "clone",
    "clone3",
    "ioctl",
    "mount",
    "personality",
    "socket",
    "socketcall",
    "connect",
    "accept4",
    "ipc",
    "semop",
    "shmget",
    "arch_prctl",
    "set_tls",
    "cacheflush",
    "setup",
    "riscv_flush_icache",
    "restart_syscall",
    "listns",
    "prctl",
    "nothing_such",
];
const VALUES: [u64; 8] = [0, 1, 2, 0xffff_ffff, 1 << 32, (1 << 32) + 1, 1 << 63, u64::MAX];

/// Bytes as choices; 0 when there are none left.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.byte() & 7 == 1).then(|| make(self))
    }

    /// A value of the list, or any.
    fn value(&mut self) -> u64 {
        match self.below(VALUES.len() + 1) {
            8 => u64::from_le_bytes([0; 8].map(|_: u8| self.byte())),
            at => VALUES[at],
        }
    }

    fn number(&mut self) -> u32 {
        u32::from(self.byte()) << 8 | u32::from(self.byte())
    }

    fn syscall(&mut self) -> Syscall {
        let names = (0..1 + self.below(4)).map(|_| self.of(&NAMES).to_owned()).collect();
        let args = (0..self.below(4)).map(|_| self.arg()).collect();
        Syscall {
            names,
            action: self.of(&ACTIONS).to_owned(),
            errno_ret: self.maybe(Self::number),
            args,
        }
    }

    fn arg(&mut self) -> SyscallArg {
        SyscallArg {
            index: self.below(7) as u32,
            value: self.value(),
            value_two: self.maybe(Self::value),
            op: self.of(&OPERATORS).to_owned(),
        }
    }
}

/// The profile that bytes stand for.
pub(crate) fn profile(bytes: &[u8]) -> Seccomp {
    let mut choices = Choices(bytes);
    let all: Vec<Arch> = Arch::all().collect();
    let architectures = (0..choices.below(4)).map(|_| choices.of(&all).name().to_owned()).collect();
    let mut profile = Seccomp {
        default_action: choices.of(&ACTIONS).to_owned(),
        default_errno_ret: choices.maybe(Choices::number),
        architectures,
        ..Seccomp::default()
    };
    while !choices.0.is_empty() {
        profile.syscalls.push(choices.syscall());
    }
    profile
}

/// Panics if a profile breaks what must hold.
pub(crate) fn check(profile: &Seccomp) {
    let read = match Profile::new(profile, "/linux/seccomp") {
        Ok(read) => read,
        Err(error) => {
            assert!(!error.faults().is_empty(), "an error without a fault");
            return;
        }
    };
    let program = &read.filter().program;
    assert!(program.len() / 2 <= MOST_INSTRUCTIONS);
    assert_eq!(disassemble(program).lines().count(), program.len() / 2);
    let arguments = arguments(profile);
    for arch in Arch::all() {
        for number in numbers(profile, arch) {
            for args in &arguments {
                let call = Call { arch: arch.audit(), number, args: *args };
                let Decision { verdict, .. } = read.decide(&call);
                let done = run(program, &call).map(|(verdict, _)| verdict);
                assert_eq!(done, Some(verdict), "{} {call:x?} of {profile:?}", arch.name());
            }
        }
    }
}

/// The numbers that the profile is about, those beside them, and the ends.
fn numbers(profile: &Seccomp, arch: Arch) -> Vec<u32> {
    let names = profile.syscalls.iter().flat_map(|entry| &entry.names).map(String::as_str);
    let own = names.chain(["socketcall", "ipc"]).filter_map(|name| arch.number(name));
    let around = own.flat_map(|number| [number.wrapping_sub(1), number, number + 1]);
    let mut all: Vec<u32> = around.chain([0, 0x4000_0000, u32::MAX]).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Values that the profile compares with, and those beside them.
fn arguments(profile: &Seccomp) -> Vec<[u64; 6]> {
    const MOST: usize = 40;
    let mut all = vec![[0; 6], [u64::MAX; 6]];
    // What multiplexed calls are told by.
    all.extend((1..25).step_by(7).map(|first| [first, 0, 0, 0, 0, 0]));
    for arg in profile.syscalls.iter().flat_map(|entry| &entry.args) {
        let two = arg.value_two.unwrap_or(0);
        for value in [arg.value, arg.value & two, two, !arg.value] {
            all.push([value; 6]);
            let mut args = [value.wrapping_add(1); 6];
            args[arg.index as usize % 6] = value.wrapping_sub(1);
            all.push(args);
        }
    }
    all.truncate(MOST);
    all
}
