//! The command line as data: every command, flag, argument and line of help, once.
//!
//! The parser, the help texts and the suggestions for mistyped words are all made from this table,
//! so a flag cannot exist in one of them alone. Commands ask for a flag by its static, never by a
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
    /// A whole number that is not negative, called so in the help.
    Number(&'static str),
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
    /// Its flags, besides `--help`.
    pub(crate) flags: &'static [&'static Flag],
    /// Command lines to start from.
    pub(crate) examples: &'static [Example],
    /// What performs it.
    pub(crate) run: fn(&Invocation) -> Result<ExitCode, Failure>,
}

const fn flag(long: &'static str, takes: Takes, help: &'static str) -> Flag {
    Flag { long, short: None, takes, help }
}

const fn short(letter: char, flag: Flag) -> Flag {
    Flag { short: Some(letter), ..flag }
}

pub(crate) static HELP: Flag = short('h', flag("help", Takes::Nothing, "show this help"));
pub(crate) static VERSION: Flag = short('v', flag("version", Takes::Nothing, "show the version"));

pub(crate) static ROOT: Flag = flag(
    "root",
    Takes::Text("DIR"),
    "where the state of containers is kept (default: /run/keel, \
     or $XDG_RUNTIME_DIR/keel for a rootless caller)",
);
pub(crate) static LOG: Flag = flag(
    "log",
    Takes::Text("FILE"),
    "append errors and warnings to FILE, and create it if missing",
);
pub(crate) static LOG_FORMAT: Flag = flag(
    "log-format",
    Takes::OneOf(&["text", "json"]),
    "how a line of the log is written (default: text)",
);
pub(crate) static DEBUG: Flag = flag("debug", Takes::Nothing, "log what is done, too");
pub(crate) static SYSTEMD_CGROUP: Flag =
    flag("systemd-cgroup", Takes::Nothing, "the same as --cgroup-manager systemd");
pub(crate) static CGROUP_MANAGER: Flag = flag(
    "cgroup-manager",
    Takes::OneOf(&["cgroupfs", "systemd", "disabled"]),
    "who makes the cgroup of a new container (default: cgroupfs; systemd is not supported yet)",
);
pub(crate) static ROOTLESS: Flag = flag(
    "rootless",
    Takes::OneOf(&["true", "false", "auto"]),
    "whether the caller is rootless, which decides the default --root (default: auto)",
);

/// The flags that stand before the command.
pub(crate) static GLOBALS: &[&Flag] = &[
    &ROOT,
    &LOG,
    &LOG_FORMAT,
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
pub(crate) static CONSOLE_SOCKET: Flag = flag(
    "console-socket",
    Takes::Text("PATH"),
    "the Unix socket that gets the master of the container's terminal",
);
pub(crate) static PID_FILE: Flag =
    flag("pid-file", Takes::Text("PATH"), "write the pid of the container's process to PATH");
pub(crate) static NO_PIVOT: Flag = flag(
    "no-pivot",
    Takes::Nothing,
    "move the root file system instead of pivoting, for a root on a ramdisk",
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
pub(crate) static DETACH: Flag =
    short('d', flag("detach", Takes::Nothing, "return once the container's process has started"));
pub(crate) static KEEP: Flag =
    flag("keep", Takes::Nothing, "do not delete the container when its process has ended");
pub(crate) static NO_SUBREAPER: Flag =
    flag("no-subreaper", Takes::Nothing, "do not adopt the orphans of the container");
pub(crate) static ALL: Flag =
    short('a', flag("all", Takes::Nothing, "signal every process of the container"));
pub(crate) static FORCE: Flag = short(
    'f',
    flag("force", Takes::Nothing, "kill it first if it runs, and succeed if it does not exist"),
);
pub(crate) static LIST_FORMAT: Flag = short(
    'f',
    flag("format", Takes::OneOf(&["table", "json"]), "how to write the list (default: table)"),
);
pub(crate) static QUIET: Flag = short('q', flag("quiet", Takes::Nothing, "write the ids alone"));
pub(crate) static ROOTLESS_SPEC: Flag =
    flag("rootless", Takes::Nothing, "make a configuration that runs without privileges");
pub(crate) static EXPLAIN_FORMAT: Flag =
    flag("format", Takes::OneOf(&["text", "json"]), "how to write the plan (default: text)");
pub(crate) static FOR: Flag =
    flag("for", Takes::OneOf(&["create", "exec"]), "which plan to show (default: create)");
pub(crate) static ID_FLAG: Flag =
    flag("id", Takes::Text("ID"), "the id to plan for (default: example)");

const ID: Operand = Operand { name: "ID", required: true, help: "the id of the container" };
const NEW_ID: Operand = Operand {
    name: "ID",
    required: true,
    help: "a name for the container, unique below --root: letters, digits and _ + - .",
};

const CONSOLE_RULE: &str = "\
The configuration decides about the terminal: with process.terminal true a container that is not \
in the foreground needs --console-socket; without it the container gets this command's standard \
input, output and error.";

/// The commands, in the order of a container's life.
pub(crate) static COMMANDS: &[Command] = &[
    Command {
        name: "create",
        about: "make a container from a bundle, up to the start of its process",
        details: CONSOLE_RULE,
        operands: &[NEW_ID],
        flags: &[&BUNDLE, &CONSOLE_SOCKET, &PID_FILE, &NO_PIVOT, &NO_NEW_KEYRING, &PRESERVE_FDS],
        examples: &[
            Example { line: "keel create web", does: "from the bundle in this directory" },
            Example {
                line: "keel create --bundle /srv/web --pid-file /run/web.pid web",
                does: "from another bundle, with its pid in a file",
            },
        ],
        run: run::create::run,
    },
    Command {
        name: "start",
        about: "start the process of a created container",
        details: "",
        operands: &[ID],
        flags: &[],
        examples: &[Example { line: "keel start web", does: "after: keel create web" }],
        run: run::start::run,
    },
    Command {
        name: "run",
        about: "create and start a container, wait for its end, and delete it",
        details: "\
In the foreground signals are passed on to the container, its terminal (process.terminal) is \
joined to this one, and the exit status is that of the container's process, or 128 and the number \
of the signal that ended it.",
        operands: &[NEW_ID],
        flags: &[
            &BUNDLE,
            &CONSOLE_SOCKET,
            &DETACH,
            &KEEP,
            &PID_FILE,
            &NO_SUBREAPER,
            &NO_PIVOT,
            &NO_NEW_KEYRING,
            &PRESERVE_FDS,
        ],
        examples: &[
            Example { line: "keel run shell", does: "in the foreground" },
            Example {
                line: "keel run --detach --bundle /srv/web web",
                does: "in the background; keel delete web removes it in the end",
            },
        ],
        run: run::run::run,
    },
    Command {
        name: "state",
        about: "show the state of a container as JSON",
        details: "",
        operands: &[ID],
        flags: &[],
        examples: &[Example { line: "keel state web", does: "its status, pid and bundle" }],
        run: run::state::run,
    },
    Command {
        name: "kill",
        about: "send a signal to a container",
        details: "",
        operands: &[
            ID,
            Operand {
                name: "SIGNAL",
                required: false,
                help: "its name or number: KILL, SIGKILL, 9, RTMIN+1 (default: TERM)",
            },
        ],
        flags: &[&ALL],
        examples: &[
            Example { line: "keel kill web", does: "ask its process to end" },
            Example { line: "keel kill --all web KILL", does: "end every process of it" },
        ],
        run: run::kill::run,
    },
    Command {
        name: "delete",
        about: "remove a stopped container",
        details: "",
        operands: &[ID],
        flags: &[&FORCE],
        examples: &[
            Example { line: "keel delete web", does: "when its process has ended" },
            Example { line: "keel delete --force web", does: "in any case" },
        ],
        run: run::delete::run,
    },
    Command {
        name: "list",
        about: "list the containers below --root",
        details: "",
        operands: &[],
        flags: &[&LIST_FORMAT, &QUIET],
        examples: &[
            Example { line: "keel list", does: "as a table" },
            Example { line: "keel --root /run/other list --format json", does: "as JSON" },
        ],
        run: run::list::run,
    },
    Command {
        name: "spec",
        about: "write a config.json to start from",
        details: "A config.json that is there already is left alone, and the command fails.",
        operands: &[],
        flags: &[&BUNDLE, &ROOTLESS_SPEC],
        examples: &[
            Example { line: "keel spec", does: "into this directory" },
            Example {
                line: "keel spec --rootless --bundle /srv/web",
                does: "for a container of this user, into another directory",
            },
        ],
        run: run::spec::run,
    },
    Command {
        name: "explain",
        about: "show what would be done for a bundle, and do nothing",
        details: "\
Every step is told with the part of config.json that asks for it. No privileges are needed.",
        operands: &[Operand {
            name: "BUNDLE",
            required: true,
            help: "the directory with config.json",
        }],
        flags: &[&EXPLAIN_FORMAT, &FOR, &NO_PIVOT, &ID_FLAG],
        examples: &[
            Example { line: "keel explain /srv/web", does: "the steps of create" },
            Example {
                line: "keel explain --for exec --format json .",
                does: "the steps of a second process, as JSON",
            },
        ],
        run: run::explain::run,
    },
    Command {
        name: "version",
        about: "show the version",
        details: "",
        operands: &[],
        flags: &[],
        examples: &[Example { line: "keel version", does: "the same as keel --version" }],
        run: run::version::run,
    },
    Command {
        name: "help",
        about: "show the help of keel or of one command",
        details: "",
        operands: &[Operand { name: "COMMAND", required: false, help: "the command" }],
        flags: &[],
        examples: &[Example { line: "keel help run", does: "the same as keel run --help" }],
        run: run::help::run,
    },
];

/// The command of this name.
pub(crate) fn command(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}
