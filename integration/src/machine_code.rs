//! Programs that make one system call, by number, and end with its errno: what no shell can do.
//!
//! They are ELF files of a few instructions for x86-64 and for x86, written here byte by byte.

/// How a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    /// `syscall` in a program of 64 bits, as also x32 has it.
    X86_64,
    /// `int 0x80` in a program of 32 bits.
    X86,
}

/// A file to be executed: makes the call with three arguments, and exits with the errno of its
/// failure, or with 0.
pub fn calling(abi: Abi, number: u32, args: [u32; 3]) -> Vec<u8> {
    let [first, second, third] = args;
    // mov eax, edi or ebx, esi or ecx, edx; the call; on success 0, else the errno; exit.
    let mut code = Vec::new();
    let registers = match abi {
        Abi::X86_64 => [(0xb8, number), (0xbf, first), (0xbe, second), (0xba, third)],
        Abi::X86 => [(0xb8, number), (0xbb, first), (0xb9, second), (0xba, third)],
    };
    for (opcode, value) in registers {
        code.push(opcode);
        code.extend(value.to_le_bytes());
    }
    // neg eax; jns +2; xor eax, eax
    const ERRNO: [u8; 6] = [0xf7, 0xd8, 0x79, 0x02, 0x31, 0xc0];
    match abi {
        Abi::X86_64 => {
            code.extend([0x0f, 0x05]);
            code.extend(ERRNO);
            // mov edi, eax; mov eax, 60; syscall
            code.extend([0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]);
        }
        Abi::X86 => {
            code.extend([0xcd, 0x80]);
            code.extend(ERRNO);
            // mov ebx, eax; mov eax, 1; int 0x80
            code.extend([0x89, 0xc3, 0xb8, 1, 0, 0, 0, 0xcd, 0x80]);
        }
    }
    elf(abi, &code)
}

/// An ELF file with one segment, elf(5).
fn elf(abi: Abi, code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    let wide = abi == Abi::X86_64;
    let (header, segment) = if wide { (64, 56) } else { (52, 32) };
    let start = header + segment;
    let length = u64::from(start) + code.len() as u64;
    let mut file = vec![0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, 1, 1];
    file.resize(16, 0);
    let word = |file: &mut Vec<u8>, value: u64| match wide {
        true => file.extend(value.to_le_bytes()),
        false => file.extend((value as u32).to_le_bytes()),
    };
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let four = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    half(&mut file, 2); // ET_EXEC
    half(&mut file, if wide { 62 } else { 3 });
    four(&mut file, 1);
    word(&mut file, BASE + u64::from(start));
    word(&mut file, u64::from(header));
    word(&mut file, 0);
    four(&mut file, 0);
    for value in [header, segment, 1, 0, 0, 0] {
        half(&mut file, value);
    }
    // PT_LOAD, readable and executable; the flags are elsewhere in 32 bits.
    four(&mut file, 1);
    if wide {
        four(&mut file, 5);
    }
    for value in [0, BASE, BASE, length, length] {
        word(&mut file, value);
    }
    if !wide {
        four(&mut file, 5);
    }
    word(&mut file, 0x1000);
    file.extend(code);
    file
}
