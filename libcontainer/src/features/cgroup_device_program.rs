//! The rules for devices as an eBPF program, which cgroup v2 asks about every access to a node.
//!
//! The kernel gives it a struct bpf_cgroup_dev_ctx: type and access, major and minor number. Every
//! exception of the filter is a block of comparisons that ends in an answer; behind them stands the
//! default. Pure, and it must never allow more than the filter does.

use super::cgroup_devices::{ALL, Access, Filter, Kind};

impl Filter {
    /// The filter as a program of the type BPF_PROG_TYPE_CGROUP_DEVICE: 1 allows, 0 denies.
    pub(super) fn program(&self) -> Vec<u8> {
        let mut code = Assembler::default();
        code.load(TYPE, 0);
        code.op(MOV64_REG, ACCESS, TYPE, 0, 0);
        code.op(AND32, TYPE, 0, 0, 0xffff);
        code.op(RSH32, ACCESS, 0, 0, 16);
        code.load(MAJOR, 4);
        code.load(MINOR, 8);
        for ((major, minor, kind), access) in &self.exceptions {
            code.begin();
            code.unless_equal(TYPE, if *kind == Kind::Block { 1 } else { 2 });
            if let Some(major) = major {
                code.unless_equal(MAJOR, *major);
            }
            if let Some(minor) = minor {
                code.unless_equal(MINOR, *minor);
            }
            // An allowance must hold for all that is asked for, a denial for some of it. Where the
            // exception is for all access there is nothing to compare.
            match (self.allow, *access) {
                (_, ALL) => {}
                (false, access) => code.unless_clear(ACCESS, ALL & !access),
                (true, access) => {
                    code.op(JSET32, ACCESS, 0, 1, access.into());
                    code.otherwise();
                }
            }
            code.answer(!self.allow);
            code.end();
        }
        code.answer(self.allow);
        code.bytes
    }
}

/// Opcodes of eBPF, in the kernel's Documentation/bpf/standardization/instruction-set.rst.
const LOAD32: u8 = 0x61;
const MOV64_REG: u8 = 0xbf;
const MOV64: u8 = 0xb7;
const AND32: u8 = 0x54;
const RSH32: u8 = 0x74;
const JUMP: u8 = 0x05;
const JNE32: u8 = 0x56;
const JSET32: u8 = 0x46;
const EXIT: u8 = 0x95;

/// Registers: the answer, the kernel's struct bpf_cgroup_dev_ctx, and what is loaded from it.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// Writes instructions; the jumps of a block lead to its end.
#[derive(Default)]
struct Assembler {
    bytes: Vec<u8>,
    jumps: Vec<usize>,
}

impl Assembler {
    const SIZE: usize = 8;

    fn op(&mut self, code: u8, to: u8, from: u8, offset: i16, value: u32) {
        // Two bit fields in one byte, so their order is that of the machine's bytes.
        let registers = if cfg!(target_endian = "big") { to << 4 | from } else { from << 4 | to };
        self.bytes.extend([code, registers]);
        self.bytes.extend(offset.to_ne_bytes());
        self.bytes.extend(value.to_ne_bytes());
    }

    fn load(&mut self, register: u8, offset: i16) {
        self.op(LOAD32, register, CONTEXT, offset, 0);
    }

    fn begin(&mut self) {
        self.jumps.clear();
    }

    fn unless_equal(&mut self, register: u8, value: u32) {
        self.jumps.push(self.bytes.len());
        self.op(JNE32, register, 0, 0, value);
    }

    fn unless_clear(&mut self, register: u8, bits: Access) {
        self.jumps.push(self.bytes.len());
        self.op(JSET32, register, 0, 0, bits.into());
    }

    fn otherwise(&mut self) {
        self.jumps.push(self.bytes.len());
        self.op(JUMP, 0, 0, 0, 0);
    }

    fn answer(&mut self, allow: bool) {
        self.op(MOV64, ANSWER, 0, 0, allow.into());
        self.op(EXIT, 0, 0, 0, 0);
    }

    /// A block has at most ten instructions, so the distance fits.
    fn end(&mut self) {
        for at in &self.jumps {
            let distance = (self.bytes.len() - at) / Self::SIZE - 1;
            self.bytes[at + 2..at + 4].copy_from_slice(&(distance as i16).to_ne_bytes());
        }
    }
}

#[cfg(test)]
/// Runs a program as the kernel would, for an access to a device.
pub(super) fn run(program: &[u8], kind: u32, access: u32, major: u32, minor: u32) -> u64 {
    let context = [access << 16 | kind, major, minor];
    let (mut registers, mut at) = ([0u64; 6], 0);
    loop {
        let op: [u8; 8] = program[at * 8..at * 8 + 8].try_into().unwrap();
        let (to, from) = (usize::from(op[1] & 15), usize::from(op[1] >> 4));
        let offset = i16::from_ne_bytes([op[2], op[3]]);
        let value = u32::from_ne_bytes([op[4], op[5], op[6], op[7]]);
        let low = registers[to] as u32;
        let mut jump = false;
        match op[0] {
            LOAD32 => registers[to] = context[offset as usize / 4].into(),
            MOV64_REG => registers[to] = registers[from],
            MOV64 => registers[to] = value.into(),
            AND32 => registers[to] = (low & value).into(),
            RSH32 => registers[to] = (low >> value).into(),
            JUMP => jump = true,
            JNE32 => jump = low != value,
            JSET32 => jump = low & value != 0,
            EXIT => return registers[0],
            other => panic!("opcode {other:#x}"),
        }
        at += 1 + if jump { usize::try_from(offset).unwrap() } else { 0 };
    }
}
