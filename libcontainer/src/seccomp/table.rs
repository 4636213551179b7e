//! The numbers of system calls by name.
//!
//! `syscalls.txt` is sorted by name; a line has the number of each architecture, or one for all. It
//! is read when this is compiled, as most of the work on a profile is to look up names.

use std::collections::BTreeMap;

use super::arch::Arch;

const TEXT: &[u8] = include_bytes!("syscalls.txt");
/// The architectures of a line.
const COLUMNS: usize = 18;
/// In place of a number that is not there.
const NONE: i16 = -1;

/// A line of the table.
#[derive(Debug, Clone, Copy)]
struct Line {
    name: &'static str,
    numbers: [i16; COLUMNS],
}

static LINES: [Line; count()] = parse();

/// The system calls of ARM that are no others' and have numbers far away (asm/unistd.h).
const ARM: [(&str, u32); 5] = [
    ("breakpoint", 0xf0001),
    ("cacheflush", 0xf0002),
    ("set_tls", 0xf0005),
    ("usr26", 0xf0003),
    ("usr32", 0xf0004),
];
const ARM_COLUMN: usize = 3;

/// What is known about a name, to be asked for the numbers of several architectures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    line: Option<&'static Line>,
    of_arm: Option<u32>,
}

/// Looks up a name.
pub(super) fn find(name: &str) -> Found {
    let line = LINES.binary_search_by(|line| line.name.cmp(name)).ok().map(|at| &LINES[at]);
    let of_arm = ARM.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    Found { line, of_arm }
}

impl Found {
    /// The number of the system call of an architecture, if it has one.
    pub(super) fn number(self, arch: Arch) -> Option<u32> {
        match self.of_arm {
            Some(number) if arch.column == ARM_COLUMN => Some(number),
            _ => self.line?.number(arch),
        }
    }
}

/// The names of an architecture's system calls by their numbers.
pub(super) fn names(arch: Arch) -> BTreeMap<u32, &'static str> {
    let own = ARM.iter().filter(|_| arch.column == ARM_COLUMN);
    let own = own.map(|(name, number)| (*number, *name));
    // Of several names the first counts.
    let lines = LINES.iter().rev();
    lines.filter_map(|line| Some((line.number(arch)?, line.name))).chain(own).collect()
}

impl Line {
    fn number(&self, arch: Arch) -> Option<u32> {
        u32::try_from(self.numbers[arch.column]).ok().map(|number| arch.base + number)
    }
}

/// How many lines there are.
const fn count() -> usize {
    let (mut count, mut at) = (0, 0);
    while at < TEXT.len() {
        let end = end_of(at, b'\n');
        if TEXT[at] != b'#' {
            count += 1;
        }
        at = end + 1;
    }
    count
}

const fn parse() -> [Line; count()] {
    let mut lines = [Line { name: "", numbers: [NONE; COLUMNS] }; count()];
    let (mut row, mut at) = (0, 0);
    while at < TEXT.len() {
        let end = end_of(at, b'\n');
        if TEXT[at] != b'#' {
            lines[row] = line(at, end);
            row += 1;
        }
        at = end + 1;
    }
    lines
}

const fn line(start: usize, end: usize) -> Line {
    let space = end_of(start, b' ');
    let name = std::str::from_utf8(TEXT.split_at(space).0.split_at(start).1);
    assert!(name.is_ok(), "a name is ASCII");
    let name = if let Ok(name) = name { name } else { "" };
    let mut numbers = [NONE; COLUMNS];
    let (mut column, mut at) = (0, space + 1);
    while at < end {
        let stop = min(end_of(at, b' '), end);
        numbers[column] = number(at, stop);
        column += 1;
        at = stop + 1;
    }
    if column == 1 {
        numbers = [numbers[0]; COLUMNS];
    } else {
        assert!(column == COLUMNS, "a line has one number, or one for each architecture");
    }
    Line { name, numbers }
}

const fn number(start: usize, end: usize) -> i16 {
    if TEXT[start] == b'-' {
        return NONE;
    }
    let (mut number, mut at) = (0, start);
    while at < end {
        assert!(TEXT[at].is_ascii_digit(), "a number has digits");
        number = number * 10 + (TEXT[at] - b'0') as i16;
        at += 1;
    }
    number
}

const fn end_of(start: usize, end: u8) -> usize {
    let mut at = start;
    while at < TEXT.len() && TEXT[at] != end {
        at += 1;
    }
    at
}

const fn min(one: usize, other: usize) -> usize {
    if one < other { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_complete() {
        let names: Vec<&str> = LINES.iter().map(|line| line.name).collect();
        assert!(names.len() > 490 && names.is_sorted());
        assert!(LINES.iter().all(|line| line.numbers.iter().any(|number| *number != NONE)));
    }

    #[test]
    fn numbers_are_those_of_this_machines_kernel() {
        let native = Arch::native().unwrap();
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
            assert_eq!(find(name).number(native), u32::try_from(number).ok(), "{name}");
        }
    }

    #[test]
    fn each_architecture_has_numbers_of_its_own() {
        let of = |name, arch| find(name).number(Arch::named(arch).unwrap());
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
