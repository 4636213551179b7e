//! A program as text: in the syntax that the kernel's bpf_asm(8) reads, with comments that say what
//! is compared.
//!
//! What a number or a word stands for depends on how the program came there. As all jumps lead
//! forward, one pass from the first to the last instruction knows that for each.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::arch::{Arch, X32_BIT};
use super::instruction::{
    AND, ARCHITECTURE, Instruction, JEQ, JGE, JGT, JSET, JUMP, LOAD, NUMBER, RETURN,
};
use super::verdict::Verdict;

/// What is known where an instruction stands, whichever way led there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    /// What the accumulator holds: the offset in struct seccomp_data.
    loaded: Option<u32>,
    /// The architecture of the call, an AUDIT_ARCH_*.
    arch: Option<u32>,
}

/// A program as text, a line for each instruction.
#[must_use]
pub fn disassemble(program: &[u32]) -> String {
    let mut text = String::new();
    let mut at: BTreeMap<usize, Known> = BTreeMap::new();
    at.insert(0, Known { loaded: None, arch: None });
    let mut names = Names::default();
    let mut place = 0;
    while let Some(instruction) = Instruction::at(program, place) {
        let known = at.remove(&place).unwrap_or(Known { loaded: None, arch: None });
        let line = line(instruction, place);
        let comment = names.comment(instruction, known);
        let _ = match comment.is_empty() {
            true => writeln!(text, "l{place}:\t{line}"),
            false => writeln!(text, "l{place}:\t{line:<34} ; {comment}"),
        };
        for (next, known) in follow(instruction, place, known) {
            at.entry(next).and_modify(|other| *other = both(*other, known)).or_insert(known);
        }
        place += 1;
    }
    text
}

/// The instruction without its place.
fn line(instruction: Instruction, place: usize) -> String {
    let Instruction { code, yes, no, operand } = instruction;
    let to = |jump: u8| place + 1 + usize::from(jump);
    let compare = |name| format!("{name} #{operand:#x}, l{}, l{}", to(yes), to(no));
    match code {
        LOAD => format!("ld [{operand}]"),
        AND => format!("and #{operand:#x}"),
        JUMP => format!("jmp l{}", place + 1 + operand as usize),
        JEQ => compare("jeq"),
        JGT => compare("jgt"),
        JGE => compare("jge"),
        JSET => compare("jset"),
        RETURN => format!("ret #{operand:#x}"),
        _ => format!(".word {code:#06x}, {yes}, {no}, {operand:#x}"),
    }
}

/// Where the program may go on, and what is known there.
fn follow(instruction: Instruction, place: usize, known: Known) -> Vec<(usize, Known)> {
    let Instruction { code, yes, no, operand } = instruction;
    let next = place + 1;
    match code {
        RETURN => Vec::new(),
        LOAD => vec![(next, Known { loaded: Some(operand), ..known })],
        JUMP => vec![(next + operand as usize, known)],
        JEQ | JGT | JGE | JSET => {
            let equal = code == JEQ && known.loaded == Some(ARCHITECTURE);
            let holds = Known { arch: if equal { Some(operand) } else { known.arch }, ..known };
            vec![(next + usize::from(yes), holds), (next + usize::from(no), known)]
        }
        _ => vec![(next, known)],
    }
}

/// What is known on either way.
fn both(one: Known, other: Known) -> Known {
    Known {
        loaded: one.loaded.filter(|_| one.loaded == other.loaded),
        arch: one.arch.filter(|_| one.arch == other.arch),
    }
}

/// The names of the calls of architectures, as they are needed.
#[derive(Debug, Default)]
struct Names(BTreeMap<&'static str, BTreeMap<u32, &'static str>>);

impl Names {
    fn comment(&mut self, instruction: Instruction, known: Known) -> String {
        let operand = instruction.operand;
        match (instruction.code, known.loaded) {
            (LOAD, _) => word(operand),
            (RETURN, _) => Verdict(operand).to_string(),
            (JEQ | JGE | JGT, Some(NUMBER)) if operand == X32_BIT => "x32".to_owned(),
            (JEQ | JGE | JGT, Some(NUMBER)) => self.call(known.arch, operand),
            (JEQ, Some(ARCHITECTURE)) => {
                let named = Arch::all().find(|arch| arch.audit == operand);
                named.map_or_else(String::new, |arch| arch.name.to_owned())
            }
            _ => String::new(),
        }
    }

    /// The name of a call, or nothing where it has none.
    fn call(&mut self, audit: Option<u32>, number: u32) -> String {
        let x32 = number >= X32_BIT;
        let arch = Arch::all().find(|arch| Some(arch.audit) == audit && arch.is_x32() == x32);
        let Some(arch) = arch else { return String::new() };
        let names = self.0.entry(arch.name).or_insert_with(|| arch.names());
        names.get(&number).copied().unwrap_or_default().to_owned()
    }
}

/// What is loaded from an offset of struct seccomp_data.
fn word(offset: u32) -> String {
    match (offset, Instruction::argument(offset)) {
        (NUMBER, _) => "number".to_owned(),
        (ARCHITECTURE, _) => "architecture".to_owned(),
        (_, Some((argument, true))) => format!("arg{argument}, upper half"),
        (_, Some((argument, false))) => format!("arg{argument}, lower half"),
        (_, None) => String::new(),
    }
}
