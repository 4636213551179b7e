//! Words about a container's place in resctrl.

use crate::config::Config;

/// What is made, and what it gets.
pub(super) fn make(config: &Config) -> String {
    let Some(plan) = &config.intel_rdt else { return String::new() };
    let lines: Vec<String> =
        plan.limits.iter().chain(&plan.schemata).map(ToString::to_string).collect();
    let verb = match (plan.own, lines.is_empty()) {
        (true, _) => "make",
        (false, true) => "find",
        (false, false) => "find or make",
    };
    let lines =
        if lines.is_empty() { String::new() } else { format!(" with {}", lines.join(", ")) };
    let monitor = if plan.monitor.is_some() { " and a monitoring group" } else { "" };
    format!("{verb} {}{lines}{monitor}", class(config))
}

/// Where init goes.
pub(super) fn enter(config: &Config) -> String {
    let monitor = config.intel_rdt.as_ref().is_some_and(|plan| plan.monitor.is_some());
    format!(
        "move init into {}{}",
        class(config),
        if monitor { " and the monitoring group" } else { "" }
    )
}

fn class(config: &Config) -> String {
    match config.intel_rdt.as_ref().and_then(|plan| plan.class.as_ref()) {
        Some(class) => format!("the resctrl class {class}"),
        None => "the default resctrl class".to_owned(),
    }
}
