//! The command line as data: what a command, a flag and an argument are, and the list of commands.
//!
//! The parser, the help texts and the suggestions for mistyped words are all made from this table,
//! so a flag cannot exist in one of them alone. Each file of `commands` holds the row of its own
//! command; flags that several have stand here. Commands ask for a flag by its static, never by a
//! string. Nothing here may do anything: it only names things.

use std::process::ExitCode;

use super::Invocation;
use crate::commands as run;
use crate::report::Failure;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing: it is a switch. `--flag=false` takes it back.
    Nothing,
    /// Any text, called so in the help.
    Text(&'static str),
    /// Any text, and the flag may be given several times.
    Texts(&'static str),
    /// A whole number that is not negative, called so in the help.
    Number(&'static str),
    /// A whole number, which may be negative.
    Integer(&'static str),
    /// A time that is more than 0, as Go writes it, called so in the help.
    Duration(&'static str),
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// A flag of the program or of some commands.
#[derive(Debug)]
pub(crate) struct Flag {
    /// The long name, without dashes.
    pub(crate) long: &'static str,
    /// The one-letter name.
    pub(crate) short: Option<char>,
    /// What it takes.
    pub(crate) takes: Takes,
    /// What it does, for the help.
    pub(crate) help: &'static str,
}

/// A positional argument of a command.
#[derive(Debug)]
pub(crate) struct Operand {
    /// Its name in capital letters.
    pub(crate) name: &'static str,
    /// Whether the command cannot do without it.
    pub(crate) required: bool,
    /// What it is, for the help.
    pub(crate) help: &'static str,
}

/// A command line that works, with what it does.
#[derive(Debug)]
pub(crate) struct Example {
    /// The command line, without a prompt.
    pub(crate) line: &'static str,
    /// What it does.
    pub(crate) does: &'static str,
}

/// A command.
#[derive(Debug)]
pub(crate) struct Command {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What it does, in one line.
    pub(crate) about: &'static str,
    /// What one should know besides, or nothing.
    pub(crate) details: &'static str,
    /// Its positional arguments, in order; optional ones are last.
    pub(crate) operands: &'static [Operand],
    /// What follows the operands, taken as it stands: words of another program's command line.
    pub(crate) rest: Option<Operand>,
    /// Its flags, besides `--help`.
    pub(crate) flags: &'static [&'static Flag],
    /// Command lines to start from.
    pub(crate) examples: &'static [Example],
    /// What performs it.
    pub(crate) run: fn(&Invocation) -> Result<ExitCode, Failure>,
}

pub(crate) const fn flag(long: &'static str, takes: Takes, help: &'static str) -> Flag {
    Flag { long, short: None, takes, help }
}

pub(crate) const fn short(letter: char, flag: Flag) -> Flag {
    Flag { short: Some(letter), ..flag }
}

pub(crate) static HELP: Flag = short('h', flag("help", Takes::Nothing, "show this help"));
pub(crate) static VERSION: Flag = short('v', flag("version", Takes::Nothing, "show the version"));

pub(crate) static ROOT: Flag = flag(
    "root",
    Takes::Text("DIR"),
    "where the state of containers is kept (default: /run/keel, \
     or $XDG_RUNTIME_DIR/keel for an ordinary user and root of a user namespace)",
);
pub(crate) static LOG: Flag = flag(
    "log",
    Takes::Text("TARGET"),
    "where errors and warnings go, too: [file:]FILE (appended to; made if missing), \
     journald:[NAME] or syslog:[NAME] (default: standard error alone)",
);
pub(crate) static LOG_FORMAT: Flag = flag(
    "log-format",
    Takes::OneOf(&["text", "json"]),
    "how a line of the log is written (default: text)",
);
pub(crate) static LOG_LEVEL: Flag = flag(
    "log-level",
    Takes::OneOf(&["error", "warning", "debug"]),
    "what is logged; with debug also what is done (default: warning)",
);
pub(crate) static DEBUG: Flag =
    flag("debug", Takes::Nothing, "--log-level debug, whatever --log-level says");
pub(crate) static SYSTEMD_CGROUP: Flag =
    flag("systemd-cgroup", Takes::Nothing, "the same as --cgroup-manager systemd");
pub(crate) static CGROUP_MANAGER: Flag = flag(
    "cgroup-manager",
    Takes::OneOf(&["cgroupfs", "systemd", "disabled"]),
    "who makes the cgroup of a new container (default: cgroupfs)",
);
pub(crate) static ROOTLESS: Flag = flag(
    "rootless",
    Takes::OneOf(&["true", "false", "auto"]),
    "whether the caller may lack rights on cgroups: then a container without limits does without \
     them where need be, and systemd is the user's own (default: auto, which is so for all but the \
     host's root)",
);

/// The flags that stand before the command.
pub(crate) static GLOBALS: &[&Flag] = &[
    &ROOT,
    &LOG,
    &LOG_FORMAT,
    &LOG_LEVEL,
    &DEBUG,
    &SYSTEMD_CGROUP,
    &CGROUP_MANAGER,
    &ROOTLESS,
    &HELP,
    &VERSION,
];

pub(crate) static BUNDLE: Flag = short(
    'b',
    flag("bundle", Takes::Text("DIR"), "the directory with config.json (default: this directory)"),
);
pub(crate) static CONFIG: Flag = short(
    'f',
    flag("config", Takes::Text("FILE"), "the configuration, in place of the bundle's config.json"),
);
pub(crate) static CONSOLE_SOCKET: Flag = flag(
    "console-socket",
    Takes::Text("PATH"),
    "the Unix socket that gets the master of the container's terminal",
);
pub(crate) static PID_FILE: Flag =
    flag("pid-file", Takes::Text("PATH"), "write the pid of the container's process to PATH");
pub(crate) static PIDFD_SOCKET: Flag = flag(
    "pidfd-socket",
    Takes::Text("PATH"),
    "the Unix socket that gets the pidfd of the container's process",
);
pub(crate) static NO_PIVOT: Flag = flag(
    "no-pivot",
    Takes::Nothing,
    "move the root file system instead of pivoting, for a root on a ramdisk",
);
pub(crate) static STRICT: Flag = flag(
    "strict",
    Takes::Nothing,
    "refuse a configuration of which anything would be left out or ignored",
);
pub(crate) static NO_NEW_KEYRING: Flag = flag(
    "no-new-keyring",
    Takes::Nothing,
    "keep the caller's session keyring instead of making a new one",
);
pub(crate) static PRESERVE_FDS: Flag = flag(
    "preserve-fds",
    Takes::Number("N"),
    "pass N more descriptors after standard error and $LISTEN_FDS (default: 0)",
);

pub(crate) const ID: Operand =
    Operand { name: "ID", required: true, help: "the id of the container" };
pub(crate) const NEW_ID: Operand = Operand {
    name: "ID",
    required: true,
    help: "a name for the container, unique below --root: letters, digits and _ + - .",
};

/// The commands, in the order of a container's life.
pub(crate) static COMMANDS: &[&Command] = &[
    &run::create::COMMAND,
    &run::start::COMMAND,
    &run::run::COMMAND,
    &run::exec::COMMAND,
    &run::state::COMMAND,
    &run::kill::COMMAND,
    &run::pause::COMMAND,
    &run::resume::COMMAND,
    &run::update::COMMAND,
    &run::ps::COMMAND,
    &run::events::COMMAND,
    &run::mounts::COMMAND,
    &run::wait::COMMAND,
    &run::delete::COMMAND,
    &run::list::COMMAND,
    &run::spec::COMMAND,
    &run::explain::COMMAND,
    &run::check::COMMAND,
    &run::seccomp::COMMAND,
    &run::features::COMMAND,
    &run::completion::COMMAND,
    &run::man::COMMAND,
    &run::version::COMMAND,
    &run::help::COMMAND,
];

/// The command of this name.
pub(crate) fn command(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().copied().find(|command| command.name == name)
}
