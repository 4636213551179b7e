//! `keel check`: what would become of each part of a bundle, without a container.

use std::process::ExitCode;

use libcontainer::{Assessment, ContainerId, Fate, Host, Options, Part};
use serde_json::{Value, json};

use super::create::bundle;
use crate::args::Invocation;
use crate::args::table::{CONFIG, Command, Example, Flag, Operand, STRICT, Takes, flag};
use crate::report::{self, Failure};
use crate::root::user_bus;

pub(crate) static CHECK_FORMAT: Flag =
    flag("format", Takes::OneOf(&["text", "json"]), "how to write the parts (default: text)");
pub(crate) static AS_ROOT: Flag =
    flag("as-root", Takes::Nothing, "say what becomes of it if the host's root asks");

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "check",
    about: "tell which parts of a bundle would be applied, and run nothing",
    details: "\
Each property of config.json is applied, degraded (some of it is left out, with a warning), ignored \
(the runtime-spec has no such property for Linux) or refused, on this machine and for whoever asks. \
With a property that is applied stand the steps of keel explain. The command fails if a container \
would be refused; with --strict also if anything is degraded or ignored. No privileges are needed.",
    operands: &[Operand { name: "BUNDLE", required: true, help: "the directory with config.json" }],
    rest: None,
    flags: &[&CONFIG, &CHECK_FORMAT, &STRICT, &AS_ROOT],
    examples: &[
        Example { line: "keel check /srv/web", does: "part by part" },
        Example {
            line: "keel check --strict --as-root --format json .",
            does: "as JSON, and as the host's root; it fails unless everything is applied",
        },
    ],
    run,
};

/// Tell what would become of a bundle.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let flags = &invocation.flags;
    let bundle = bundle(invocation.operand(0).unwrap_or_default().into(), flags)?;
    let options = Options {
        cgroup_manager: invocation.globals.cgroup_manager,
        user_bus: user_bus(&invocation.globals),
        ..Options::default()
    };
    let host = Host::probe()?;
    let host = if flags.on(&AS_ROOT) { host.for_root()? } else { host };
    let id: ContainerId = "example".parse()?;
    let assessment = Assessment::of(&bundle, &id, &options, &host);
    match flags.word(&CHECK_FORMAT) {
        Some("json") => report::print(&format!("{:#}\n", document(&assessment))),
        _ => report::print(&text(&assessment)),
    }?;
    match assessment.holds(flags.on(&STRICT)) {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::FAILURE),
    }
}

fn name(fate: Fate) -> &'static str {
    match fate {
        Fate::Applied => "applied",
        Fate::Degraded => "degraded",
        Fate::Ignored => "ignored",
        Fate::Refused => "refused",
    }
}

/// A line for each part, and the sums.
fn text(assessment: &Assessment) -> String {
    let mut text = String::new();
    for Part { pointer, fate, why, steps } in &assessment.parts {
        let why = match (why.as_slice(), steps.as_slice()) {
            ([], []) => String::new(),
            ([], [step]) => format!("step {step}"),
            ([], steps) => format!("steps {}", listed(steps)),
            (why, _) => why.join("; "),
        };
        let line = format!("{:<9} {pointer:<44} {why}", name(*fate));
        text += line.trim_end();
        text.push('\n');
    }
    let sums = [Fate::Applied, Fate::Degraded, Fate::Ignored, Fate::Refused]
        .map(|fate| format!("{} {}", assessment.count(fate), name(fate)));
    text + &format!("{}\n", sums.join(", "))
}

fn listed(steps: &[usize]) -> String {
    steps.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// The parts as an array of objects.
fn document(assessment: &Assessment) -> Value {
    let part = |part: &Part| {
        json!({
            "pointer": part.pointer, "fate": name(part.fate), "why": part.why, "steps": part.steps,
        })
    };
    assessment.parts.iter().map(part).collect()
}
