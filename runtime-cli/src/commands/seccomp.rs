//! `keel seccomp`: what a profile of system calls does, for people.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libcontainer::seccomp::{Arch, Call, Calls, Decision, Profile, Row, Source, disassemble, run};
use libcontainer::spec::{Seccomp, Spec};
use libcontainer::{Error, ErrorKind};

use crate::args::table::{Command, Example, Flag, Operand, Takes, flag};
use crate::args::{Invocation, suggest};
use crate::document;
use crate::report::{self, Failure};

pub(crate) static ARCH: Flag = flag(
    "arch",
    Takes::Text("ARCH"),
    "the architecture of the calls, such as SCMP_ARCH_X86 (default: this machine's)",
);
pub(crate) static SECCOMP_FORMAT: Flag = flag(
    "format",
    Takes::OneOf(&["table", "disassembly"]),
    "how to show the profile: what happens to which calls, or the program that the kernel gets \
     (default: table)",
);

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "seccomp",
    about: "show a seccomp profile, or what it does to a system call",
    details: "\
A profile is /linux/seccomp of a bundle or of its config.json, or a file that holds this object \
alone. show writes a table of decisions, or the compiled program in the syntax of bpf_asm. test says \
what happens to a call, which part of the profile decides that, and how many instructions it takes. \
SYSCALL is a name or a number. An ARG is a number, decimal or with 0x, and may be negative; those not \
given are 0. Flags stand before SYSCALL. Nothing is loaded, and no privileges are needed.",
    operands: &[
        Operand { name: "ACTION", required: true, help: "show or test" },
        Operand { name: "PROFILE", required: true, help: "the bundle or file with the profile" },
        Operand { name: "SYSCALL", required: false, help: "the system call to test" },
    ],
    rest: Some(Operand { name: "ARG", required: false, help: "its arguments, six at most" }),
    flags: &[&ARCH, &SECCOMP_FORMAT],
    examples: &[
        Example { line: "keel seccomp show /srv/web", does: "the bundle's profile as a table" },
        Example {
            line: "keel seccomp test /srv/web clone 0x10000000",
            does: "what happens to a clone(2) that makes a user namespace",
        },
    ],
    run: seccomp,
};

/// Show a profile, or test a call.
fn seccomp(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let flags = &invocation.flags;
    let action = invocation.operand(0).unwrap_or_default().to_string_lossy();
    let path = Path::new(invocation.operand(1).unwrap_or_default());
    let syscall = invocation.operand(2).map(|word| word.to_string_lossy());
    let disassembled = flags.word(&SECCOMP_FORMAT) == Some("disassembly");
    match (&*action, syscall) {
        ("show", None) if disassembled && flags.given(&ARCH) => {
            Err(input("the program is for all architectures: leave out --arch".to_owned()))
        }
        ("show", None) => {
            let profile = read(path)?;
            match disassembled {
                true => report::print(&disassemble(&profile.filter().program)),
                false => report::print(&table(&profile, arch(invocation, &profile)?)),
            }
        }
        ("show", Some(_)) => Err(input("show takes no SYSCALL: keel seccomp test".to_owned())),
        ("test", None) => Err(input("test needs SYSCALL: a name or a number".to_owned())),
        ("test", Some(_)) if flags.given(&SECCOMP_FORMAT) => {
            Err(input("--format is for show alone".to_owned()))
        }
        ("test", Some(name)) => {
            let args = arguments(invocation.rest())?;
            let profile = read(path)?;
            let arch = arch(invocation, &profile)?;
            report::print(&answer(&profile, arch, number(arch, &name)?, args))
        }
        (other, _) => {
            let other = other.escape_debug();
            Err(input(format!("seccomp can show and test, not \"{other}\"")))
        }
    }
}

fn input(message: String) -> Failure {
    Error::new(ErrorKind::Input, message).into()
}

/// The profile of a bundle, of a configuration, or alone.
fn read(path: &Path) -> Result<Profile, Error> {
    let file = if path.is_dir() { path.join("config.json") } else { PathBuf::from(path) };
    let text = document::read(&file)?;
    let profile = from_text(&text).map_err(|error| error.path(&file))?;
    let none = || Error::new(ErrorKind::Input, format!("{} has no profile", file.display()));
    Profile::new(&profile.ok_or_else(none)?, "/linux/seccomp")
}

fn from_text(text: &[u8]) -> Result<Option<Seccomp>, Error> {
    let members: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(text)
        .map_err(|error| {
            Error::new(ErrorKind::Config, format!("cannot read the profile: {error}"))
        })?;
    if members.contains_key("archMap") {
        let message = "the profile is in the format of an engine's file (archMap), of which the \
                       engine makes /linux/seccomp: give the config.json that it writes";
        return Err(Error::new(ErrorKind::Config, message));
    }
    let spec = match members.contains_key("defaultAction") {
        true => Spec::parse(&[b"{\"linux\":{\"seccomp\":", text, b"}}"].concat()),
        false => Spec::parse(text),
    };
    Ok(spec?.linux.and_then(|linux| linux.seccomp))
}

/// The architecture that is asked about.
fn arch(invocation: &Invocation, profile: &Profile) -> Result<Arch, Error> {
    let Some(name) = invocation.flags.text(&ARCH) else {
        let first = profile.architectures().next();
        return first.ok_or_else(|| Error::new(ErrorKind::Input, "--arch is needed here"));
    };
    let name = name.to_string_lossy();
    Arch::named(&name).ok_or_else(|| {
        let meant = near(&name, Arch::all().map(Arch::name));
        let message = format!("\"{}\" is not an architecture{meant}", name.escape_debug());
        Error::new(ErrorKind::Input, message)
    })
}

/// The number of a call, given by name or number.
fn number(arch: Arch, name: &str) -> Result<u32, Error> {
    if let Some(number) = arch.number(name).or_else(|| u32::try_from(parse(name)?).ok()) {
        return Ok(number);
    }
    let names = arch.names();
    let meant = near(name, names.values().copied());
    let message = format!("{} has no system call \"{}\"{meant}", arch.name(), name.escape_debug());
    Err(Error::new(ErrorKind::Input, message))
}

fn near<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    suggest::nearest(word, candidates)
        .map_or_else(String::new, |near| format!(", did you mean \"{near}\"?"))
}

/// The arguments of a call; what is not given is 0.
fn arguments(words: &[OsString]) -> Result<[u64; 6], Error> {
    let mut args = [0; 6];
    if words.len() > args.len() {
        let message = format!("a system call has six arguments at most, not {}", words.len());
        return Err(Error::new(ErrorKind::Input, message));
    }
    for (arg, word) in args.iter_mut().zip(words) {
        let word = word.to_string_lossy();
        *arg = parse(&word).ok_or_else(|| {
            let message = format!("\"{}\" is not a number of 64 bits", word.escape_debug());
            Error::new(ErrorKind::Input, message)
        })?;
    }
    Ok(args)
}

/// A number as a register holds it.
fn parse(word: &str) -> Option<u64> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word),
    };
    let (digits, radix) = match digits.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    // `from_str_radix` would take another sign.
    let digits = Some(digits).filter(|digits| digits.bytes().all(|b| b.is_ascii_alphanumeric()))?;
    let number = u64::from_str_radix(digits, radix).ok()?;
    match negative {
        true => Some(number.wrapping_neg()).filter(|_| number <= 1 << 63),
        false => Some(number),
    }
}

/// The decision table of a profile.
fn table(profile: &Profile, arch: Arch) -> String {
    let instructions = profile.filter().program.len() / 2;
    let others: Vec<&str> =
        profile.architectures().filter(|other| *other != arch).map(Arch::name).collect();
    let mut text = arch.name().to_owned();
    if !others.is_empty() {
        text += &format!(" (--arch: {})", others.join(", "));
    }
    text += &format!("\n{instructions} instructions for all architectures\n");
    let Some(rows) = profile.rows(arch) else {
        return text + "\nkill the thread: the profile does not list the architecture\n";
    };
    for Row { calls, decision } in rows {
        let (verdict, reason) = (decision.verdict, reason(decision.source));
        text += &format!("\n{verdict}{}, {reason}\n", conditions(&decision));
        match calls {
            Calls::Named(names) => text += &wrapped(&names),
            Calls::From(number) => text += &format!("    {number} and above\n"),
            Calls::Others => text += "    everything else\n",
        }
    }
    text
}

/// On which conditions it happens.
fn conditions(decision: &Decision) -> String {
    let all: Vec<String> = decision.conditions.iter().map(ToString::to_string).collect();
    if all.is_empty() { String::new() } else { format!(" where {}", all.join(" and ")) }
}

/// What decides.
fn reason(source: Source) -> String {
    match source {
        Source::Entry(i) => format!("by /linux/seccomp/syscalls/{i}"),
        Source::Default => "by /linux/seccomp/defaultAction".to_owned(),
        Source::Unknown => "as the profile names no call with such a number or above".to_owned(),
        Source::Architecture => "as the profile does not list the architecture".to_owned(),
    }
}

/// Words in lines.
fn wrapped(words: &[String]) -> String {
    const WIDTH: usize = 100;
    let mut text = String::new();
    let mut width = WIDTH;
    for word in words {
        if width + 1 + word.len() > WIDTH {
            text += if text.is_empty() { "    " } else { "\n    " };
            width = 4;
        } else {
            text += " ";
            width += 1;
        }
        text += word;
        width += word.len();
    }
    text + "\n"
}

/// What happens to a call: as the rules have it, and how far the program goes for it.
fn answer(profile: &Profile, arch: Arch, number: u32, args: [u64; 6]) -> String {
    let call = Call { arch: arch.audit(), number, args };
    let decision = profile.decide(&call);
    let name = arch.names().get(&number).copied().unwrap_or("a call without a name");
    let args = args.map(|arg| format!("{arg:#x}")).join(", ");
    let (verdict, reason) = (decision.verdict, reason(decision.source));
    let conditions = conditions(&decision);
    let mut text = format!("{name}({args}): {verdict}\n{reason}{conditions}\n");
    if decision.source == Source::Default {
        for unmet in profile.unmet(&call) {
            let source = self::reason(unmet.source);
            text += &format!("not {source}{}\n", self::conditions(&unmet));
        }
    }
    text += &format!("number {number} of {}", arch.name());
    let program = &profile.filter().program;
    if let Some((_, steps)) = run(program, &call) {
        text += &format!(", after {steps} of {} instructions", program.len() / 2);
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_numbers_as_registers_hold_them() {
        for (word, number) in [
            ("0", Some(0)),
            ("0x10000000", Some(0x1000_0000)),
            ("-100", Some(u64::MAX - 99)),
            ("-0x8000000000000000", Some(1 << 63)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-9223372036854775809", None),
            ("", None),
            ("-", None),
            ("0x", None),
            ("+1", None),
            ("--1", None),
            ("0x-1", None),
            ("12ab", None),
        ] {
            assert_eq!(parse(word), number, "{word}");
        }
    }

    #[test]
    fn names_stand_in_lines_that_are_not_too_long() {
        let words: Vec<String> = (0..40).map(|i| format!("word{i}")).collect();
        let text = wrapped(&words);
        assert!(text.lines().count() > 2);
        assert!(text.lines().all(|line| line.starts_with("    word") && line.len() <= 100));
        assert_eq!(text.split_whitespace().count(), 40);
        assert_eq!(wrapped(&[]), "\n");
    }
}
