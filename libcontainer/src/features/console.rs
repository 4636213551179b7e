//! A terminal of the container's own.

use libcontainer_init::step::Step;
use libcontainer_init::sys::namespace::NEWNS;

use super::Context;
use crate::config::{Config, Console};
use crate::steps::Steps;
use crate::task::Task;

/// `/process/terminal` and `/process/consoleSize`.
pub fn check(cx: &mut Context<'_>) -> Option<Console> {
    if !cx.process.terminal {
        return None;
    }
    let Some(size) = &cx.process.console_size else { return Some(Console::default()) };
    let mut side = |name: &str, value: u64| {
        u16::try_from(value).unwrap_or_else(|_| {
            let pointer = format!("/process/consoleSize/{name}");
            cx.fault(pointer, format!("{value} is too large for a terminal"));
            0
        })
    };
    let (rows, columns) = (side("height", size.height), side("width", size.width));
    Some(Console { rows, columns })
}

/// The runtime connects to whoever wants the terminal.
pub fn connect(config: &Config, steps: &mut Steps) {
    if config.console.is_some() {
        steps.runtime("/process/terminal", Task::ConnectConsole);
    }
}

/// Init opens it; with a mount namespace it is /dev/console too.
pub fn open(config: &Config, steps: &mut Steps) {
    let Some(Console { rows, columns }) = config.console else { return };
    let step = Step::Console {
        rows: rows.into(),
        columns: columns.into(),
        uid: config.process.uid,
        bind: config.namespaces.has(NEWNS),
    };
    steps.init("/process/terminal", step);
    control(config, steps);
}

/// A further process has a terminal of its own; /dev/console stays the first one's.
pub fn open_again(config: &Config, steps: &mut Steps) {
    let Some(Console { rows, columns }) = config.console else { return };
    let (rows, columns) = (rows.into(), columns.into());
    let step = Step::Console { rows, columns, uid: config.process.uid, bind: false };
    steps.init("/process/terminal", step);
}

/// The session that init leads gets it as its controlling terminal.
pub fn control(config: &Config, steps: &mut Steps) {
    if config.console.is_some() {
        steps.init("/process/terminal", Step::ControlTerminal {});
    }
}

/// The runtime passes its master on.
pub fn send(config: &Config, steps: &mut Steps) {
    if config.console.is_some() {
        steps.runtime("/process/terminal", Task::SendConsole);
    }
}
