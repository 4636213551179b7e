//! Instructions of the kernel's classic BPF, as far as a filter of system calls takes them
//! (linux/filter.h, linux/bpf_common.h, linux/seccomp.h).

/// Opcodes.
pub(super) const LOAD: u16 = 0x20;
pub(super) const AND: u16 = 0x54;
pub(super) const JUMP: u16 = 0x05;
pub(super) const JEQ: u16 = 0x15;
pub(super) const JGT: u16 = 0x25;
pub(super) const JGE: u16 = 0x35;
pub(super) const JSET: u16 = 0x45;
pub(super) const RETURN: u16 = 0x06;

/// Where struct seccomp_data has what.
pub(super) const NUMBER: u32 = 0;
pub(super) const ARCHITECTURE: u32 = 4;
pub(super) const ARGUMENTS: u32 = 16;
pub(super) const END: u32 = 64;

/// A struct sock_filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    pub code: u16,
    /// How many instructions are left out if the comparison holds, and if not.
    pub yes: u8,
    pub no: u8,
    pub operand: u32,
}

impl Instruction {
    /// One without a comparison.
    pub(super) const fn plain(code: u16, operand: u32) -> Self {
        Self { code, yes: 0, no: 0, operand }
    }

    /// As a filter holds it: two words of this machine.
    pub(super) fn words(self) -> [u32; 2] {
        let [first, second] = self.code.to_ne_bytes();
        [u32::from_ne_bytes([first, second, self.yes, self.no]), self.operand]
    }

    /// The instruction at a place of a program.
    pub(super) fn at(program: &[u32], place: usize) -> Option<Self> {
        let [head, operand] = program.as_chunks().0.get(place)?;
        let [first, second, yes, no] = head.to_ne_bytes();
        let code = u16::from_ne_bytes([first, second]);
        Some(Self { code, yes, no, operand: *operand })
    }

    /// What half of which argument is loaded from an offset: the argument, and whether it is the
    /// upper half.
    pub(super) fn argument(offset: u32) -> Option<(u32, bool)> {
        let of_arguments = (ARGUMENTS..END).contains(&offset) && offset.is_multiple_of(4);
        let second = offset % 8 == 4;
        of_arguments.then(|| ((offset - ARGUMENTS) / 8, second == cfg!(target_endian = "little")))
    }
}
