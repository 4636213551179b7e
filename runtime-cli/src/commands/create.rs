//! `keel create`, and the part of `keel run` that is the same.
//!
//! Both turn flags and environment into the library's options. `LISTEN_FDS` is read here (see
//! sd_listen_fds(3)), as the library never looks at the environment.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;

use libcontainer::{Attachments, Bundle, Console, Container, Error, ErrorKind, Options, Store};
use nix::fcntl::OFlag;

use crate::args::table::{
    BUNDLE, CONFIG, CONSOLE_SOCKET, Command, Example, Flag, NEW_ID, NO_NEW_KEYRING, NO_PIVOT,
    PID_FILE, PIDFD_SOCKET, PRESERVE_FDS, STRICT, Takes, flag,
};
use crate::args::{Flags, Invocation};
use crate::id_mappers;
use crate::notify;
use crate::report::Failure;
use crate::root::{StateRoot, user_bus};

const CONSOLE_RULE: &str = "\
The configuration decides about the terminal: with process.terminal true a container that is not \
in the foreground needs --console-socket; without it the container gets this command's standard \
input, output and error.";

static NO_SUBREAPER: Flag = flag(
    "no-subreaper",
    Takes::Nothing,
    "do not adopt the orphans of the container, which create never does",
);

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "create",
    about: "make a container from a bundle, up to the start of its process",
    details: CONSOLE_RULE,
    operands: &[NEW_ID],
    rest: None,
    flags: &[
        &BUNDLE,
        &CONFIG,
        &CONSOLE_SOCKET,
        &PID_FILE,
        &PIDFD_SOCKET,
        &NO_SUBREAPER,
        &NO_PIVOT,
        &NO_NEW_KEYRING,
        &PRESERVE_FDS,
        &STRICT,
    ],
    examples: &[
        Example { line: "keel create web", does: "from the bundle in this directory" },
        Example {
            line: "keel create --bundle /srv/web --pid-file /run/web.pid web",
            does: "from another bundle, with its pid in a file",
        },
        Example {
            line: "keel create --bundle /srv/web --config /etc/web.json web",
            does: "with a configuration that lies elsewhere",
        },
    ],
    run,
};

/// Create a container and leave it at the start of its process. This command ends before the
/// container does, so there are no orphans that it could adopt.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let flags = &invocation.flags;
    if flags.given(&NO_SUBREAPER) && !flags.on(&NO_SUBREAPER) {
        let message = "create cannot adopt orphans, as it ends before the container does: \
                       leave out --no-subreaper=false";
        return Err(Error::new(ErrorKind::Input, message).into());
    }
    let manager = notify::manager()?;
    create(invocation, false, manager.is_some())?;
    Ok(ExitCode::SUCCESS)
}

/// Create the container that the command line describes, to be left alone or to be held in the
/// foreground, and with a notify socket or without.
pub(super) fn create(
    invocation: &Invocation,
    foreground: bool,
    notify_socket: bool,
) -> Result<(Store, Container), Error> {
    let flags = &invocation.flags;
    let id = invocation.id()?;
    let bundle = bundle(flags.path(&BUNDLE).unwrap_or_else(|| ".".into()), flags)?;
    let terminal = bundle.spec().process.as_ref().is_some_and(|process| process.terminal);
    let console = console(flags, terminal, foreground)?;
    let listen_fds = listen_fds();
    let preserved_fds = flags.number(&PRESERVE_FDS).unwrap_or(0).saturating_add(listen_fds);
    let options = Options {
        no_pivot: flags.on(&NO_PIVOT),
        no_new_keyring: flags.on(&NO_NEW_KEYRING),
        keyring: None,
        preserved_fds,
        listen_fds,
        notify_socket,
        strict: flags.on(&STRICT),
        cgroup_manager: invocation.globals.cgroup_manager,
        rootless: invocation.globals.rootless,
        user_bus: user_bus(&invocation.globals),
    };
    let attachments = Attachments {
        console,
        preserved: preserved(preserved_fds)?,
        pid_file: flags.path(&PID_FILE),
        pidfd_sockets: flags.path(&PIDFD_SOCKET).into_iter().collect(),
        id_mappers: id_mappers::find(),
        ..Attachments::default()
    };
    let root = StateRoot::of(&invocation.globals)?;
    root.prepare()?;
    let store = Store::at(root.path);
    let container = store.create(&id, &bundle, &options, attachments)?;
    super::log_timeline(container.timeline());
    Ok((store, container))
}

/// The bundle, with the configuration that lies in it or that is named, and with the id mappings that
/// an ordinary user leaves open.
pub(super) fn bundle(dir: PathBuf, flags: &Flags) -> Result<Bundle, Error> {
    let mut bundle = match flags.path(&CONFIG) {
        None => Bundle::open(dir),
        Some(config) => Bundle::open_with(dir, config),
    }?;
    id_mappers::complete(&mut bundle);
    Ok(bundle)
}

/// Where the terminal of a container or process goes, if it has one.
pub(super) fn console(flags: &Flags, terminal: bool, foreground: bool) -> Result<Console, Error> {
    let refuse = |message: &str| Err(Error::new(ErrorKind::Input, message));
    match (flags.path(&CONSOLE_SOCKET), terminal, foreground) {
        (None, false, _) => Ok(Console::None),
        (None, true, true) => Ok(Console::Keep),
        (Some(socket), true, false) => Ok(Console::Socket(socket)),
        (None, true, false) => refuse(
            "process.terminal is true and the container is not in the foreground: \
             --console-socket is needed",
        ),
        (Some(_), false, _) => refuse("--console-socket is of no use: process.terminal is false"),
        (Some(_), true, true) => {
            refuse("--console-socket is of no use: the container's terminal is joined to this one")
        }
    }
}

/// The descriptors from 3 on that the caller passes to the container. One that this program has
/// opened itself, such as the log, may have got such a number, and must not get into a container:
/// it is close-on-exec, which what a caller has passed to this program cannot be.
pub(super) fn preserved(count: u32) -> Result<Vec<OwnedFd>, Error> {
    for number in (3..).take(count as usize) {
        // Without the file the descriptor is not open, which the library will say.
        let Ok(info) = fs::read_to_string(format!("/proc/self/fdinfo/{number}")) else { break };
        if is_close_on_exec(&info) {
            let message = format!("cannot preserve descriptor {number}: it was not passed here");
            return Err(Error::new(ErrorKind::Input, message));
        }
    }
    Attachments::inherited(count)
}

/// What `/proc/self/fdinfo` says about close-on-exec, among the flags in octal digits (proc(5)).
fn is_close_on_exec(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags
        .and_then(|digits| i32::from_str_radix(digits.trim(), 8).ok())
        .is_some_and(|flags| OFlag::from_bits_retain(flags).contains(OFlag::O_CLOEXEC))
}

/// How many descriptors from 3 on are sockets that a service manager passes to this process.
pub(super) fn listen_fds() -> u32 {
    let number = |name| std::env::var(name).ok()?.parse().ok();
    match number("LISTEN_FDS") {
        Some(count) if number("LISTEN_PID") == Some(std::process::id()) => count,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_of_this_program_is_told_from_one_of_the_caller() {
        use std::os::fd::AsRawFd;
        let own = fs::File::open("/dev/null").unwrap();
        let info = |number: i32| fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
        assert!(is_close_on_exec(&info(own.as_raw_fd())));
        assert!(!is_close_on_exec(&info(0)));
    }
}
