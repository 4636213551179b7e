//! Architectures, as profiles name them and as the kernel tells them (seccomp(2), linux/audit.h).

use std::collections::BTreeMap;

use super::table;

/// The names in profiles.
pub const NAMES: [&str; ARCHES.len()] = {
    let mut names = [""; ARCHES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = ARCHES[at].name;
        at += 1;
    }
    names
};

/// Bits of an AUDIT_ARCH_*.
const BITS_64: u32 = 0x8000_0000;
const LITTLE: u32 = 0x4000_0000;
/// __AUDIT_ARCH_CONVENTION_MIPS64_N32
const N32: u32 = 0x2000_0000;
/// EM_S390, elf.h.
const S390: u32 = 22;

/// An architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arch {
    /// Its name in profiles.
    pub(super) name: &'static str,
    /// Its AUDIT_ARCH_*; that of X32 is x86-64's.
    pub(super) audit: u32,
    /// Its column of the table of numbers.
    pub(super) column: usize,
    /// What is added to a number of the table.
    pub(super) base: u32,
    /// Whether arguments have 64 bits.
    pub(super) wide: bool,
    /// Whether sockets and System V IPC are also, or only, reached by `socketcall` and `ipc`.
    pub(super) multiplexed: bool,
    /// Whether the kernel tells a filter the number 0 for every number that it does not know, as
    /// numbers above 255 travel in a register (s390's `svc 0`).
    pub(super) unknown_is_zero: bool,
}

/// The numbers of ELF machines, elf.h.
#[rustfmt::skip]
const ARCHES: [Arch; 23] = [
    arch("SCMP_ARCH_X86_64", 62 | BITS_64 | LITTLE, 0, 0, true, false),
    arch("SCMP_ARCH_X86", 3 | LITTLE, 1, 0, false, true),
    arch("SCMP_ARCH_X32", 62 | BITS_64 | LITTLE, 2, X32_BIT, false, false),
    arch("SCMP_ARCH_ARM", 40 | LITTLE, 3, 0, false, false),
    arch("SCMP_ARCH_AARCH64", 183 | BITS_64 | LITTLE, 4, 0, true, false),
    arch("SCMP_ARCH_RISCV64", 243 | BITS_64 | LITTLE, 5, 0, true, false),
    arch("SCMP_ARCH_LOONGARCH64", 258 | BITS_64 | LITTLE, 6, 0, true, false),
    arch("SCMP_ARCH_MIPS", 8, 7, 4000, false, true),
    arch("SCMP_ARCH_MIPSEL", 8 | LITTLE, 7, 4000, false, true),
    arch("SCMP_ARCH_MIPS64", 8 | BITS_64, 8, 5000, true, false),
    arch("SCMP_ARCH_MIPSEL64", 8 | BITS_64 | LITTLE, 8, 5000, true, false),
    arch("SCMP_ARCH_MIPS64N32", 8 | BITS_64 | N32, 9, 6000, false, false),
    arch("SCMP_ARCH_MIPSEL64N32", 8 | BITS_64 | LITTLE | N32, 9, 6000, false, false),
    arch("SCMP_ARCH_PPC", 20, 10, 0, false, true),
    arch("SCMP_ARCH_PPC64", 21 | BITS_64, 11, 0, true, true),
    arch("SCMP_ARCH_PPC64LE", 21 | BITS_64 | LITTLE, 11, 0, true, true),
    arch("SCMP_ARCH_S390", S390, 12, 0, false, true),
    arch("SCMP_ARCH_S390X", S390 | BITS_64, 13, 0, true, true),
    arch("SCMP_ARCH_PARISC", 15, 14, 0, false, false),
    arch("SCMP_ARCH_PARISC64", 15 | BITS_64, 15, 0, true, false),
    arch("SCMP_ARCH_M68K", 4, 16, 0, false, true),
    arch("SCMP_ARCH_SH", 42 | LITTLE, 17, 0, false, true),
    arch("SCMP_ARCH_SHEB", 42, 17, 0, false, true),
];

const X86_64_COLUMN: usize = 0;

/// The bit that tells a number of X32 from one of x86-64.
pub(super) const X32_BIT: u32 = 0x4000_0000;

const fn arch(
    name: &'static str,
    audit: u32,
    column: usize,
    base: u32,
    wide: bool,
    multiplexed: bool,
) -> Arch {
    let unknown_is_zero = audit & !(BITS_64 | LITTLE) == S390;
    Arch { name, audit, column, base, wide, multiplexed, unknown_is_zero }
}

impl Arch {
    /// By its name in profiles, such as `SCMP_ARCH_X86_64`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|arch| arch.name == name)
    }

    /// This machine's, if a profile can name it.
    #[must_use]
    pub fn native() -> Option<Self> {
        let name = match (cfg!(target_arch = "x86_64"), cfg!(target_arch = "aarch64")) {
            (true, _) => "SCMP_ARCH_X86_64",
            (_, true) => "SCMP_ARCH_AARCH64",
            _ if cfg!(target_arch = "riscv64") => "SCMP_ARCH_RISCV64",
            _ => return None,
        };
        Self::named(name)
    }

    /// Every one that a profile can name.
    pub fn all() -> impl Iterator<Item = Self> {
        ARCHES.into_iter()
    }

    /// Its name in profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Its AUDIT_ARCH_* (linux/audit.h); that of x32 is x86-64's.
    #[must_use]
    pub const fn audit(self) -> u32 {
        self.audit
    }

    /// The number of a system call, if it has one of this name.
    #[must_use]
    pub fn number(self, name: &str) -> Option<u32> {
        table::find(name).number(self)
    }

    /// The names of its system calls by their numbers.
    #[must_use]
    pub fn names(self) -> BTreeMap<u32, &'static str> {
        table::names(self)
    }

    /// Whether its numbers are told from x86-64's by a bit alone.
    pub(super) fn is_x32(self) -> bool {
        self.base == X32_BIT
    }

    /// Whether its numbers may have the bit of x32.
    pub(super) fn has_x32(self) -> bool {
        self.column == X86_64_COLUMN
    }
}
