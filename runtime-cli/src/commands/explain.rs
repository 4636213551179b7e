//! `keel explain`: the plan for a bundle, without performing it.

use std::process::ExitCode;

use libcontainer::{Bundle, ContainerId, Host, Options, Plan};

use crate::args::Invocation;
use crate::args::table::{EXPLAIN_FORMAT, FOR, ID_FLAG, NO_PIVOT};
use crate::report::{self, Failure};

/// Show the plan for a bundle.
pub(crate) fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let flags = &invocation.flags;
    let bundle = Bundle::open(invocation.operand(0).unwrap_or_default())?;
    let options = Options {
        no_pivot: flags.on(&NO_PIVOT),
        cgroup_manager: invocation.globals.cgroup_manager,
        ..Options::default()
    };
    let host = Host::probe()?;
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
