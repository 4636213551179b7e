//! The kernel's machine for filters (linux/filter.h), as far as seccomp(2) allows its instructions.

use libcontainer::seccomp::Filter;

/// What the kernel tells a filter about a system call: struct seccomp_data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) number: u32,
    pub(crate) arch: u32,
    pub(crate) args: [u64; 6],
}

impl Call {
    fn word(&self, at: u32) -> u32 {
        match at {
            0 => self.number,
            4 => self.arch,
            16..64 => {
                let arg = self.args[(at as usize - 16) / 8];
                let upper = (at % 8 == 4) == cfg!(target_endian = "little");
                if upper { (arg >> 32) as u32 } else { arg as u32 }
            }
            _ => panic!("no word at {at}"),
        }
    }
}

/// An instruction: code, jumps, operand.
pub(crate) type Instruction = (u16, u8, u8, u32);

/// The instructions of words, two each.
pub(crate) fn instructions(words: &[u32]) -> Vec<Instruction> {
    let of = |pair: &[u32]| {
        let [a, b, yes, no] = pair[0].to_ne_bytes();
        (u16::from_ne_bytes([a, b]), yes, no, pair[1])
    };
    words.chunks(2).map(of).collect()
}

pub(crate) fn program(filter: &Filter) -> Vec<Instruction> {
    instructions(&filter.program)
}

/// What the program returns, and how many instructions that took.
pub(crate) fn run(program: &[Instruction], call: &Call) -> (u32, usize) {
    let (mut at, mut accumulator, mut steps) = (0, 0_u32, 0);
    loop {
        let (code, yes, no, operand) = program[at];
        steps += 1;
        at += 1;
        let mut jump = |holds: bool| at += usize::from(if holds { yes } else { no });
        match code {
            0x20 => accumulator = call.word(operand),
            0x54 => accumulator &= operand,
            0x05 => at += operand as usize,
            0x15 => jump(accumulator == operand),
            0x25 => jump(accumulator > operand),
            0x35 => jump(accumulator >= operand),
            0x45 => jump(accumulator & operand != 0),
            0x06 => return (operand, steps),
            other => panic!("no instruction {other:#x} is allowed"),
        }
        assert!(steps < 10_000, "it does not end");
    }
}
