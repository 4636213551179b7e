//! Architectures, as profiles name them and as the kernel tells them (seccomp(2), linux/audit.h).

/// The names in profiles.
pub const NAMES: [&str; 23] = [
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
];

/// Bits of an AUDIT_ARCH_*.
const BITS_64: u32 = 0x8000_0000;
const LITTLE: u32 = 0x4000_0000;
/// __AUDIT_ARCH_CONVENTION_MIPS64_N32
const N32: u32 = 0x2000_0000;

/// An architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arch {
    /// Its AUDIT_ARCH_*; that of X32 is x86-64's.
    pub audit: u32,
    /// Its column of the table of numbers.
    pub column: usize,
    /// What is added to a number of the table.
    pub base: u32,
    /// Whether arguments have 64 bits.
    pub wide: bool,
    /// Whether sockets and System V IPC are also, or only, reached by `socketcall` and `ipc`.
    pub multiplexed: bool,
}

/// The numbers of ELF machines, elf.h.
#[rustfmt::skip]
const ARCHES: [Arch; 23] = [
    arch(62 | BITS_64 | LITTLE, 0, 0, true, false),
    arch(3 | LITTLE, 1, 0, false, true),
    arch(62 | BITS_64 | LITTLE, 2, X32_BIT, false, false),
    arch(40 | LITTLE, 3, 0, false, false),
    arch(183 | BITS_64 | LITTLE, 4, 0, true, false),
    arch(243 | BITS_64 | LITTLE, 5, 0, true, false),
    arch(258 | BITS_64 | LITTLE, 6, 0, true, false),
    arch(8, 7, 4000, false, true),
    arch(8 | LITTLE, 7, 4000, false, true),
    arch(8 | BITS_64, 8, 5000, true, false),
    arch(8 | BITS_64 | LITTLE, 8, 5000, true, false),
    arch(8 | BITS_64 | N32, 9, 6000, false, false),
    arch(8 | BITS_64 | LITTLE | N32, 9, 6000, false, false),
    arch(20, 10, 0, false, true),
    arch(21 | BITS_64, 11, 0, true, true),
    arch(21 | BITS_64 | LITTLE, 11, 0, true, true),
    arch(22, 12, 0, false, true),
    arch(22 | BITS_64, 13, 0, true, true),
    arch(15, 14, 0, false, false),
    arch(15 | BITS_64, 15, 0, true, false),
    arch(4, 16, 0, false, true),
    arch(42 | LITTLE, 17, 0, false, true),
    arch(42, 17, 0, false, true),
];

/// The bit that tells a number of X32 from one of x86-64.
pub(super) const X32_BIT: u32 = 0x4000_0000;

const fn arch(audit: u32, column: usize, base: u32, wide: bool, multiplexed: bool) -> Arch {
    Arch { audit, column, base, wide, multiplexed }
}

impl Arch {
    /// By its name in profiles.
    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES.iter().position(|known| *known == name).map(|at| ARCHES[at])
    }

    /// This machine's, if a profile can name it.
    pub(super) fn native() -> Option<Self> {
        let name = match (cfg!(target_arch = "x86_64"), cfg!(target_arch = "aarch64")) {
            (true, _) => "SCMP_ARCH_X86_64",
            (_, true) => "SCMP_ARCH_AARCH64",
            _ if cfg!(target_arch = "riscv64") => "SCMP_ARCH_RISCV64",
            _ => return None,
        };
        Self::named(name)
    }

    /// Whether its numbers are told from x86-64's by a bit alone.
    pub(super) fn is_x32(self) -> bool {
        self.base == X32_BIT
    }
}
