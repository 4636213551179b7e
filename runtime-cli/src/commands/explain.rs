//! `keel explain`: the plan for a bundle, without performing it.

use std::process::ExitCode;

use libcontainer::{ContainerId, Host, Options, Plan};

use super::create::bundle;
use crate::args::Invocation;
use crate::args::table::{CONFIG, Command, Example, Flag, NO_PIVOT, Operand, Takes, flag};
use crate::report::{self, Failure};
use crate::root::user_bus;

pub(crate) static EXPLAIN_FORMAT: Flag =
    flag("format", Takes::OneOf(&["text", "json"]), "how to write the plan (default: text)");
pub(crate) static FOR: Flag =
    flag("for", Takes::OneOf(&["create", "exec"]), "which plan to show (default: create)");
pub(crate) static ID_FLAG: Flag =
    flag("id", Takes::Text("ID"), "the id to plan for (default: example)");

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "explain",
    about: "show what would be done for a bundle, and do nothing",
    details: "\
Every step is told with the part of config.json that asks for it. No privileges are needed.",
    operands: &[Operand { name: "BUNDLE", required: true, help: "the directory with config.json" }],
    rest: None,
    flags: &[&CONFIG, &EXPLAIN_FORMAT, &FOR, &NO_PIVOT, &ID_FLAG],
    examples: &[
        Example { line: "keel explain /srv/web", does: "the steps of create" },
        Example {
            line: "keel explain --for exec --format json .",
            does: "the steps of a second process, as JSON",
        },
    ],
    run,
};

/// Show the plan for a bundle.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let flags = &invocation.flags;
    let bundle = bundle(invocation.operand(0).unwrap_or_default().into(), flags)?;
    let options = Options {
        no_pivot: flags.on(&NO_PIVOT),
        notify_socket: std::env::var_os("NOTIFY_SOCKET").is_some_and(|a| !a.is_empty()),
        cgroup_manager: invocation.globals.cgroup_manager,
        rootless: invocation.globals.rootless,
        user_bus: user_bus(&invocation.globals),
        ..Options::default()
    };
    let host = Host::probe_as(options.rootless)?;
    let id = flags.text(&ID_FLAG).map_or_else(|| "example".into(), |id| id.to_string_lossy());
    let id: ContainerId = id.parse()?;
    let plan = match flags.word(&FOR) {
        Some("exec") => Plan::exec(&bundle, &id, &options, &host)?,
        _ => Plan::create(&bundle, &id, &options, &host)?,
    };
    for warning in plan.warnings() {
        log::warn!("{warning}");
    }
    match flags.word(&EXPLAIN_FORMAT) {
        Some("json") => report::print(&format!("{:#}\n", plan.explain_json())),
        _ => report::print(&plan.explain().to_string()),
    }
}
