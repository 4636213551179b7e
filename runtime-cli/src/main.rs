//! `keel`, an OCI container runtime: the command that people and container engines call.
//!
//! This program reads the command line, opens the log, lets `libcontainer` do what was asked, and
//! tells how it went. It makes no system call of its own beyond signals, terminals and waiting, and
//! holds no rule about containers.
#![forbid(unsafe_code)]

mod args;
mod color;
mod commands;
mod completion;
mod console;
mod document;
mod foreground;
mod id_mappers;
mod log;
mod notify;
mod relay;
mod report;
mod root;
mod size;

use std::process::ExitCode;

use args::{Line, Request, help};
use report::Failure;

/// Faster than the C library's for a short life, and the same with every C library.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    libcontainer::receive_child_exits();
    let done = args::read(std::env::args_os()).map_err(Failure::from).and_then(perform);
    done.unwrap_or_else(|failure| report::failure(&failure))
}

/// Do what the command line asks for.
fn perform(line: Line) -> Result<ExitCode, Failure> {
    log::open(&line.globals)?;
    match line.request()? {
        Request::Help(None) => commands::help::print(&help::program()),
        Request::Help(Some(command)) => commands::help::print(&help::command(command)),
        Request::Version => commands::version::print(),
        Request::Perform(invocation) => (invocation.command.run)(&invocation),
    }
}
