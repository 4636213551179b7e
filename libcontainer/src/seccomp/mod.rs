//! Profiles of system calls (`/linux/seccomp`), compiled to a program of the kernel's classic BPF.
//!
//! ```text
//! profile ──rules──▶ what happens at each number, by architecture ──program──▶ instructions
//! ```
//!
//! `features::seccomp` calls [`compile`]; [`Profile`] answers what happens at a call and why, for
//! people. All of it is pure. A verdict is what libseccomp, which the other runtimes use, would give
//! for the profile as they hand it over; `tests/seccomp.rs` compares them. The program is ours:
//! numbers with the same verdict become ranges, and a range is found by a search that is balanced
//! for the commonest calls.

mod arch;
mod decision;
mod disassembly;
mod instruction;
mod machine;
mod profile;
mod program;
mod rules;
mod table;
mod verdict;

use base64::prelude::{BASE64_STANDARD as STANDARD, Engine};

use crate::error::Fault;
use crate::spec::Seccomp;
use instruction::{Instruction, RETURN};

pub use arch::{Arch, NAMES as ARCHITECTURES};
pub use decision::{Condition, Decision, OPERATORS, Operator, Source};
pub use disassembly::disassemble;
pub use machine::{Call, run};
pub use profile::{Calls, Profile, Row};
pub use program::COMMONEST;
pub use rules::FLAGS;
pub use verdict::{ACTIONS, Verdict};

/// The kernel's limit, BPF_MAXINSNS.
pub const MOST_INSTRUCTIONS: usize = 4096;

/// A compiled profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Instructions of two words: each a struct sock_filter (linux/filter.h) of this machine.
    pub program: Vec<u32>,
    /// Flags for seccomp(2).
    pub flags: u32,
    /// Whether it asks a listener about some calls (SECCOMP_RET_USER_NOTIF).
    pub notifies: bool,
}

/// Compiles a profile. Faults point below `pointer`; with a fault there is no filter.
pub fn compile(profile: &Seccomp, pointer: &str, faults: &mut Vec<Fault>) -> Option<Filter> {
    let rules = rules::read(profile, pointer, faults)?;
    filter(&rules, pointer, faults)
}

/// A program that somebody else compiled, for this machine: its bytes in base 64.
///
/// # Errors
/// Why it cannot be a program. What else is wrong with it the kernel says when it is loaded.
pub fn raw(text: &str) -> std::result::Result<Filter, String> {
    let bytes = STANDARD.decode(text).map_err(|error| format!("it is not base 64: {error}"))?;
    let (chunks, rest) = bytes.as_chunks::<4>();
    let program: Vec<u32> = chunks.iter().map(|word| u32::from_ne_bytes(*word)).collect();
    if program.is_empty() || !rest.is_empty() || !program.len().is_multiple_of(2) {
        return Err(format!("{} bytes are no instructions of 8 bytes", bytes.len()));
    }
    if program.len() > MOST_INSTRUCTIONS * 2 {
        return Err(too_long(&program));
    }
    let mut all = (0..program.len() / 2).filter_map(|place| Instruction::at(&program, place));
    let notifies = all.any(|instruction| {
        instruction.code == RETURN && Verdict(instruction.operand).action() == Verdict::NOTIFY
    });
    Ok(Filter { program, flags: rules::DEFAULT_FLAGS, notifies })
}

fn too_long(program: &[u32]) -> String {
    let length = program.len() / 2;
    format!("the profile takes {length} instructions, and the kernel {MOST_INSTRUCTIONS} at most")
}

/// The filter of a profile that was read.
fn filter(rules: &rules::RuleSet, pointer: &str, faults: &mut Vec<Fault>) -> Option<Filter> {
    let program = program::assemble(rules);
    if program.len() > MOST_INSTRUCTIONS * 2 {
        faults.push(Fault { pointer: pointer.to_owned(), message: too_long(&program) });
        return None;
    }
    Some(Filter { program, flags: rules.flags, notifies: rules.notifies() })
}
