//! `keel exec`: another process in a container.
//!
//! The process is either described by a document (`--process`), or it is the container's own with
//! other arguments and what the flags change. The exit status is that of the process; 255 says that
//! there was none.

use std::ffi::OsStr;
use std::process::ExitCode;

use libcontainer::spec::{Capabilities, Process};
use libcontainer::{Attachments, CAPABILITIES, Container, Error, ErrorKind, ExecOptions};

use super::create::{console, listen_fds, preserved};
use super::run::DETACH;
use crate::args::table::{
    CONSOLE_SOCKET, Command, Example, Flag, ID, Operand, PID_FILE, PIDFD_SOCKET, PRESERVE_FDS,
    Takes, flag, short,
};
use crate::args::{Flags, Invocation};
use crate::report::Failure;
use crate::{document, foreground};

/// The exit status of a failure, as a program's own is seldom that.
const FAILED: u8 = 255;

static CWD: Flag = flag("cwd", Takes::Text("DIR"), "the working directory inside");
static ENV: Flag =
    short('e', flag("env", Takes::Texts("NAME=VALUE"), "set a variable of the environment"));
static TTY: Flag = short('t', flag("tty", Takes::Nothing, "give the process a terminal"));
static USER: Flag = short('u', flag("user", Takes::Text("UID[:GID]"), "the user, by number"));
static GROUPS: Flag = short(
    'g',
    flag("additional-gids", Takes::Texts("GID"), "one more supplementary group, by number"),
);
static PROCESS: Flag = short(
    'p',
    flag("process", Takes::Text("FILE"), "describe the process as config.json does, in FILE"),
);
static CAP: Flag =
    short('c', flag("cap", Takes::Texts("NAME"), "a capability besides those of the container"));
static NO_NEW_PRIVS: Flag =
    flag("no-new-privs", Takes::Nothing, "let no program in it gain privileges");
static APPARMOR: Flag = flag("apparmor", Takes::Text("PROFILE"), "the AppArmor profile");
static LABEL: Flag = flag("process-label", Takes::Text("LABEL"), "the SELinux label");
static CGROUP: Flag = flag(
    "cgroup",
    Takes::Texts("[CONTROLLER:]PATH"),
    "a cgroup below the container's own to be in, which must be there",
);
static IGNORE_PAUSED: Flag = flag(
    "ignore-paused",
    Takes::Nothing,
    "do not refuse a paused container; the process goes on when that does",
);

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "exec",
    about: "run another process in a container",
    details: "\
The process has the environment, user, limits and capabilities of the container's own, unless flags \
or --process say otherwise. In the foreground signals are passed on to it, and the exit status is \
its own, or 128 and the number of the signal that ended it; 255 if it could not be started.",
    operands: &[ID],
    rest: Some(Operand {
        name: "COMMAND",
        required: false,
        help: "the program and its arguments; none with --process",
    }),
    flags: &[
        &PROCESS,
        &TTY,
        &CONSOLE_SOCKET,
        &DETACH,
        &PID_FILE,
        &PIDFD_SOCKET,
        &CWD,
        &ENV,
        &USER,
        &GROUPS,
        &CAP,
        &NO_NEW_PRIVS,
        &APPARMOR,
        &LABEL,
        &PRESERVE_FDS,
        &CGROUP,
        &IGNORE_PAUSED,
    ],
    examples: &[
        Example { line: "keel exec web ps aux", does: "a program with its arguments" },
        Example { line: "keel exec --tty web sh", does: "a shell on a terminal of its own" },
        Example {
            line: "keel exec --user 1000:1000 --env A=b --cwd /tmp web env",
            does: "as another user, elsewhere",
        },
        Example {
            line: "keel exec --process process.json --detach --pid-file pid web",
            does: "as an engine does it",
        },
    ],
    run,
};

/// Run a process.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    exec(invocation).map(ExitCode::from).map_err(|error| Failure::WithStatus(error, FAILED))
}

fn exec(invocation: &Invocation) -> Result<u8, Error> {
    let flags = &invocation.flags;
    let container = super::container(invocation)?;
    let process = describe(&container, invocation)?;
    let detach = flags.on(&DETACH);
    let listen_fds = listen_fds();
    let preserved_fds = flags.number(&PRESERVE_FDS).unwrap_or(0).saturating_add(listen_fds);
    let options = ExecOptions {
        preserved_fds,
        listen_fds,
        cgroups: texts(flags, &CGROUP)?
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, _>>()?,
        ignore_paused: flags.on(&IGNORE_PAUSED),
    };
    let attachments = Attachments {
        console: console(flags, process.terminal, !detach)?,
        preserved: preserved(preserved_fds)?,
        pid_file: flags.path(&PID_FILE),
        pidfd_sockets: flags.path(&PIDFD_SOCKET).into_iter().collect(),
        ..Attachments::default()
    };
    let mut process = container.exec(process, &options, attachments)?;
    super::log_timeline(process.timeline());
    for warning in process.warnings() {
        log::warn!("{warning}");
    }
    if detach {
        return process.start().map(|()| 0);
    }
    foreground::supervise(&mut process, None)
}

/// The process that the command line asks for.
fn describe(container: &Container, invocation: &Invocation) -> Result<Process, Error> {
    let flags = &invocation.flags;
    let words = invocation.rest();
    if let Some(path) = flags.path(&PROCESS) {
        refuse_beside_document(flags, words.is_empty())?;
        let process = Process::parse(&document::read(path)?)?;
        return Ok(Process { terminal: process.terminal || flags.on(&TTY), ..process });
    }
    if words.is_empty() {
        return Err(input("exec needs a COMMAND, or --process"));
    }
    let mut process = container.configured_process()?;
    process.args = words.iter().map(text).collect::<Result<_, _>>()?;
    process.terminal = flags.on(&TTY);
    process.console_size = None;
    process.env.extend(texts(flags, &ENV)?);
    if let Some(cwd) = flags.text(&CWD) {
        process.cwd = text(cwd)?;
    }
    if let Some(user) = flags.text(&USER) {
        let (uid, gid) = user_of(&text(user)?)?;
        process.user.uid = uid;
        process.user.gid = gid.unwrap_or(process.user.gid);
    }
    for group in texts(flags, &GROUPS)? {
        process.user.additional_gids.push(number(&group)?);
    }
    let added = texts(flags, &CAP)?;
    let added: Vec<String> = added.iter().map(|name| capability(name)).collect::<Result<_, _>>()?;
    if !added.is_empty() {
        let sets = process.capabilities.get_or_insert_with(Capabilities::default);
        // Never inheritable or ambient: programs would pass them on (CVE-2022-29162).
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
            set.extend(added.iter().cloned());
        }
    }
    process.no_new_privileges |= flags.on(&NO_NEW_PRIVS);
    if let Some(profile) = flags.text(&APPARMOR) {
        process.apparmor_profile = Some(text(profile)?);
    }
    if let Some(label) = flags.text(&LABEL) {
        process.selinux_label = Some(text(label)?);
    }
    Ok(process)
}

/// A document says everything about the process: what would change it is a contradiction.
fn refuse_beside_document(flags: &Flags, no_words: bool) -> Result<(), Error> {
    if !no_words {
        return Err(input("a COMMAND and --process exclude each other"));
    }
    let refused = [&CWD, &ENV, &USER, &GROUPS, &CAP, &NO_NEW_PRIVS, &APPARMOR, &LABEL];
    match refused.into_iter().find(|flag| flags.given(flag)) {
        Some(flag) => Err(input(&format!("--{} and --process exclude each other", flag.long))),
        None => Ok(()),
    }
}

/// `UID` or `UID:GID`, in digits and nothing else (CVE-2026-30892).
fn user_of(text: &str) -> Result<(u32, Option<u32>), Error> {
    match text.split_once(':') {
        Some((uid, gid)) => Ok((number(uid)?, Some(number(gid)?))),
        None => Ok((number(text)?, None)),
    }
}

/// The number of a user or group. The largest is none: it says "as before" to the kernel.
fn number(text: &str) -> Result<u32, Error> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && *number != u32::MAX);
    number.ok_or_else(|| input(&format!("\"{text}\" is not the number of a user or group")))
}

/// The name of a capability, in full.
fn capability(name: &str) -> Result<String, Error> {
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
    if CAPABILITIES.contains(&full.as_str()) {
        return Ok(full);
    }
    Err(input(&format!("unknown capability \"{name}\"")))
}

fn texts(flags: &Flags, flag: &'static Flag) -> Result<Vec<String>, Error> {
    flags.texts(flag).map(text).collect()
}

/// The text of a word, which a process document, being JSON, could not hold if it were another.
fn text(word: impl AsRef<OsStr>) -> Result<String, Error> {
    let word = word.as_ref();
    let text = word.to_str().map(str::to_owned);
    text.ok_or_else(|| input(&format!("\"{}\" is not UTF-8", word.to_string_lossy())))
}

fn input(message: &str) -> Error {
    Error::new(ErrorKind::Input, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_numbers_and_nothing_else() {
        assert_eq!(user_of("1").ok(), Some((1, None)));
        assert_eq!(user_of("0:4294967294").ok(), Some((0, Some(4_294_967_294))));
        for bad in
            ["", ":", "1:", ":1", "-1", "+1", " 1", "root", "4294967295", "4294967296", "1:2:3"]
        {
            assert!(user_of(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_capability_may_be_written_short() {
        for name in ["CAP_NET_ADMIN", "net_admin", "NET_ADMIN"] {
            assert_eq!(capability(name).ok().as_deref(), Some("CAP_NET_ADMIN"));
        }
        assert!(capability("CAP_MAGIC").is_err());
    }
}
