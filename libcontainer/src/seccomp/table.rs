//! The numbers of system calls by name.
//!
//! `syscalls.txt` is sorted by name; a line has the number of each architecture, or one for all.

use std::collections::BTreeMap;

use super::arch::Arch;

const TEXT: &str = include_str!("syscalls.txt");

/// The system calls of ARM that are no others' and have numbers far away (asm/unistd.h).
const ARM: [(&str, u32); 5] = [
    ("breakpoint", 0xf0001),
    ("cacheflush", 0xf0002),
    ("set_tls", 0xf0005),
    ("usr26", 0xf0003),
    ("usr32", 0xf0004),
];
const ARM_COLUMN: usize = 3;

/// The table, ready to be searched.
#[derive(Debug)]
pub(super) struct Table {
    lines: Vec<&'static str>,
}

impl Table {
    pub(super) fn new() -> Self {
        Self { lines: TEXT.lines().filter(|line| !line.starts_with('#')).collect() }
    }

    /// The number of a system call of an architecture, if it has one.
    pub(super) fn number(&self, name: &str, arch: Arch) -> Option<u32> {
        if arch.column == ARM_COLUMN
            && let Some((_, number)) = ARM.iter().find(|(known, _)| *known == name)
        {
            return Some(*number);
        }
        let of_line = |line: &&str| line.split(' ').next().unwrap_or_default().cmp(name);
        let line = self.lines[self.lines.binary_search_by(of_line).ok()?];
        number_of(line, arch)
    }

    /// The names of an architecture's system calls by their numbers.
    pub(super) fn names(&self, arch: Arch) -> BTreeMap<u32, &'static str> {
        let name = |line: &'static str| line.split(' ').next().unwrap_or_default();
        let own = ARM.iter().filter(|_| arch.column == ARM_COLUMN);
        let own = own.map(|(name, number)| (*number, *name));
        let lines = self.lines.iter().rev();
        lines.filter_map(|line| Some((number_of(line, arch)?, name(line)))).chain(own).collect()
    }
}

/// The number of an architecture in a line.
fn number_of(line: &str, arch: Arch) -> Option<u32> {
    let mut numbers = line.split(' ').skip(1);
    let common = line.split(' ').count() == 2;
    let text = if common { numbers.next() } else { numbers.nth(arch.column) };
    text?.parse::<u32>().ok().map(|number| arch.base + number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_complete() {
        let table = Table::new();
        let names: Vec<&str> =
            table.lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert!(names.len() > 490 && names.is_sorted());
        for line in &table.lines {
            let count = line.split(' ').count();
            assert!(count == 2 || count == 19, "{line}");
        }
    }

    #[test]
    fn numbers_are_those_of_this_machines_kernel() {
        let (table, native) = (Table::new(), Arch::native().unwrap());
        for (name, number) in [
            ("read", libc::SYS_read),
            ("openat", libc::SYS_openat),
            ("clone3", libc::SYS_clone3),
            ("futex_waitv", libc::SYS_futex_waitv),
            ("prctl", libc::SYS_prctl),
            ("execveat", libc::SYS_execveat),
            ("seccomp", libc::SYS_seccomp),
            ("process_mrelease", libc::SYS_process_mrelease),
        ] {
            assert_eq!(table.number(name, native), u32::try_from(number).ok(), "{name}");
        }
    }

    #[test]
    fn each_architecture_has_numbers_of_its_own() {
        let table = Table::new();
        let of = |name, arch| table.number(name, Arch::named(arch).unwrap());
        assert_eq!(of("read", "SCMP_ARCH_X86"), Some(3));
        assert_eq!(of("read", "SCMP_ARCH_X32"), Some(0x4000_0000));
        assert_eq!(of("read", "SCMP_ARCH_MIPS64"), Some(5000));
        assert_eq!(of("set_tls", "SCMP_ARCH_ARM"), Some(0xf0005));
        assert_eq!(of("set_tls", "SCMP_ARCH_X86_64"), None);
        assert_eq!(of("cacheflush", "SCMP_ARCH_MIPS"), Some(4147));
        assert_eq!(of("listns", "SCMP_ARCH_PARISC"), Some(470));
        assert_eq!(of("nothing_such", "SCMP_ARCH_X86_64"), None);
    }
}
