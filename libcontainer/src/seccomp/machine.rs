//! The kernel's machine for filters, to see what a program decides and how far it goes for that.

use super::instruction::RETURN;
use super::instruction::{AND, ARCHITECTURE, Instruction, JEQ, JGE, JGT, JSET, JUMP, LOAD, NUMBER};
use super::verdict::Verdict;

/// A system call, as the kernel tells a filter about it: struct seccomp_data, without the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The architecture, an AUDIT_ARCH_* of linux/audit.h.
    pub arch: u32,
    /// The number, with the bit of x32.
    pub number: u32,
    /// The arguments.
    pub args: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> Option<u32> {
        match offset {
            NUMBER => Some(self.number),
            ARCHITECTURE => Some(self.arch),
            _ => {
                let (argument, upper) = Instruction::argument(offset)?;
                let argument = self.args[argument as usize];
                Some(if upper { (argument >> 32) as u32 } else { argument as u32 })
            }
        }
    }
}

/// What a program decides about a call, and how many instructions that takes. The program is what
/// [`Filter::program`](super::Filter::program) is. Nothing, if the kernel would not load it or it
/// looks at the address of a call.
#[must_use]
pub fn run(program: &[u32], call: &Call) -> Option<(Verdict, usize)> {
    let (mut place, mut accumulator, mut steps) = (0, 0_u32, 0);
    // All jumps lead forward: it ends.
    loop {
        let Instruction { code, yes, no, operand } = Instruction::at(program, place)?;
        steps += 1;
        place += 1;
        let mut jump = |holds: bool| place += usize::from(if holds { yes } else { no });
        match code {
            LOAD => accumulator = call.word(operand)?,
            AND => accumulator &= operand,
            JUMP => place = place.checked_add(operand as usize)?,
            JEQ => jump(accumulator == operand),
            JGT => jump(accumulator > operand),
            JGE => jump(accumulator >= operand),
            JSET => jump(accumulator & operand != 0),
            RETURN => return Some((Verdict(operand), steps)),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(instructions: &[Instruction]) -> Vec<u32> {
        instructions.iter().flat_map(|instruction| instruction.words()).collect()
    }

    #[test]
    fn a_program_that_does_not_end_with_a_verdict_has_none() {
        let call = Call { arch: 1, number: 2, args: [0; 6] };
        assert_eq!(run(&[], &call), None);
        assert_eq!(run(&program(&[Instruction::plain(LOAD, NUMBER)]), &call), None);
        assert_eq!(run(&program(&[Instruction::plain(LOAD, 8)]), &call), None);
        assert_eq!(run(&program(&[Instruction::plain(JUMP, u32::MAX)]), &call), None);
        assert_eq!(run(&program(&[Instruction::plain(0x87, 0)]), &call), None);
    }

    #[test]
    fn halves_of_arguments_are_where_the_kernel_has_them() {
        let call = Call { arch: 0, number: 0, args: [0, 0, 0, 0, 0, 0xaaaa_bbbb_cccc_dddd] };
        let bytes = call.args[5].to_ne_bytes();
        let word = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|i| bytes[at + i]));
        assert_eq!(call.word(56), Some(word(0)));
        assert_eq!(call.word(60), Some(word(4)));
        assert_eq!(call.word(64), None);
        assert_eq!(call.word(58), None);
    }
}
