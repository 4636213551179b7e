//! From the words of the command line to what is asked for.
//!
//! `main` reads the globals first ([`read`]), so that the log is open before anything else can be
//! wrong, and then the command ([`Line::request`]). Flags may stand anywhere before `--`, long ones
//! with one dash or two, their value after a space or `=`, as engines written for runc do it.
//! Everything is checked against [`table`]; nothing is accepted that is not in it, and nothing here
//! looks at the file system or the environment.

mod duration;
pub(crate) mod globals;
pub(crate) mod help;
pub(crate) mod manual;
mod reader;
pub(crate) mod suggest;
pub(crate) mod table;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use libcontainer::{ContainerId, Error, ErrorKind};

use globals::Globals;
use reader::{Item, Reader};
use table::{Command, Flag};

/// A flag's value as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A switch, on or off.
    Switch(bool),
    /// A number that is not negative.
    Number(u32),
    /// A number.
    Integer(i64),
    /// A time that is more than 0.
    Duration(Duration),
    /// Text that is not empty.
    Text(OsString),
    /// One of the words that the table allows.
    Word(&'static str),
}

/// The flags that were given, in their order.
#[derive(Debug, Default)]
pub(crate) struct Flags(Vec<(&'static Flag, Value)>);

impl Flags {
    /// The value given last, as a repeated flag replaces the earlier one.
    fn last(&self, flag: &'static Flag) -> Option<&Value> {
        self.0.iter().rev().find(|(given, _)| std::ptr::eq(*given, flag)).map(|(_, value)| value)
    }

    /// Whether the flag was given at all.
    pub(crate) fn given(&self, flag: &'static Flag) -> bool {
        self.last(flag).is_some()
    }

    /// Whether a switch is on.
    pub(crate) fn on(&self, flag: &'static Flag) -> bool {
        self.last(flag) == Some(&Value::Switch(true))
    }

    /// The text of a flag.
    pub(crate) fn text(&self, flag: &'static Flag) -> Option<&OsStr> {
        match self.last(flag)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The texts of a flag that may be given several times, in their order.
    pub(crate) fn texts(&self, flag: &'static Flag) -> impl Iterator<Item = &OsStr> {
        let given = self.0.iter().filter(|(given, _)| std::ptr::eq(*given, flag));
        given.filter_map(|(_, value)| match value {
            Value::Text(text) => Some(text.as_os_str()),
            _ => None,
        })
    }

    /// The text of a flag as a path.
    pub(crate) fn path(&self, flag: &'static Flag) -> Option<PathBuf> {
        self.text(flag).map(PathBuf::from)
    }

    /// The word chosen for a flag.
    pub(crate) fn word(&self, flag: &'static Flag) -> Option<&'static str> {
        match self.last(flag)? {
            Value::Word(word) => Some(word),
            _ => None,
        }
    }

    /// The number of a flag.
    pub(crate) fn number(&self, flag: &'static Flag) -> Option<u32> {
        match self.last(flag)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The time of a flag.
    pub(crate) fn duration(&self, flag: &'static Flag) -> Option<Duration> {
        match self.last(flag)? {
            Value::Duration(duration) => Some(*duration),
            _ => None,
        }
    }

    /// The number of a flag that may be negative.
    pub(crate) fn integer(&self, flag: &'static Flag) -> Option<i64> {
        match self.last(flag)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }
}

/// A command with everything that was given to it; its operands are as many as the table says, and
/// words after them only where it says so.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// The flags before the command.
    pub(crate) globals: Globals,
    /// The command.
    pub(crate) command: &'static Command,
    /// The command's own flags.
    pub(crate) flags: Flags,
    operands: Vec<OsString>,
}

impl Invocation {
    /// An operand by its place. One that the table calls required is always there.
    pub(crate) fn operand(&self, place: usize) -> Option<&OsStr> {
        self.operands.get(place).map(OsString::as_os_str)
    }

    /// The words after the operands.
    pub(crate) fn rest(&self) -> &[OsString] {
        self.operands.get(self.command.operands.len()..).unwrap_or_default()
    }

    /// The first operand as a container's id.
    pub(crate) fn id(&self) -> Result<ContainerId, Error> {
        self.operand(0).map(OsStr::to_string_lossy).unwrap_or_default().parse()
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    /// The help of the program, or of a command.
    Help(Option<&'static Command>),
    /// The version.
    Version,
    /// A command.
    Perform(Invocation),
}

/// A command line of which the globals are read.
#[derive(Debug)]
pub(crate) struct Line {
    reader: Reader,
    /// The flags before the command.
    pub(crate) globals: Globals,
    help: bool,
    version: bool,
    command: Option<OsString>,
}

/// Read the flags before the command. `arguments` begins with the program's name.
pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Line, Error> {
    let mut reader = Reader::new(arguments);
    let mut flags = Flags::default();
    let command = loop {
        match reader.next(None)? {
            Some(Item::Flag(flag, value)) => flags.0.push((flag, value)),
            Some(Item::Operand(word)) => break Some(word),
            None => break None,
        }
    };
    Ok(Line {
        globals: Globals::from(&flags),
        help: flags.on(&table::HELP),
        version: flags.on(&table::VERSION),
        reader,
        command,
    })
}

impl Line {
    /// Read the command and what belongs to it.
    pub(crate) fn request(mut self) -> Result<Request, Error> {
        if self.version {
            return Ok(Request::Version);
        }
        let Some(word) = self.command.take() else { return Ok(Request::Help(None)) };
        let command = find(&word)?;
        if self.help {
            return Ok(Request::Help(Some(command)));
        }
        let mut flags = Flags::default();
        let mut operands = Vec::new();
        while let Some(item) = self.reader.next(Some(command))? {
            match item {
                Item::Flag(flag, value) => flags.0.push((flag, value)),
                Item::Operand(word) => operands.push(word),
            }
            if command.rest.is_some() && operands.len() == command.operands.len() {
                operands.extend(self.reader.rest());
            }
        }
        if flags.on(&table::HELP) {
            return Ok(Request::Help(Some(command)));
        }
        count(command, &operands)?;
        Ok(Request::Perform(Invocation { globals: self.globals, command, flags, operands }))
    }
}

/// The command of this name, or an error that names the nearest one.
pub(crate) fn find(word: &OsStr) -> Result<&'static Command, Error> {
    let name = word.to_string_lossy();
    table::command(&name).ok_or_else(|| {
        let names = table::COMMANDS.iter().map(|command| command.name);
        let meant = suggest::nearest(&name, names)
            .map_or_else(String::new, |near| format!(", did you mean \"{near}\"?"));
        usage(format!("unknown command \"{}\"{meant}", shown(&name)))
    })
}

/// Refuse too few or too many operands.
fn count(command: &Command, operands: &[OsString]) -> Result<(), Error> {
    if let Some(missing) = command.operands.get(operands.len()).filter(|next| next.required) {
        let line = help::usage_line(command);
        return Err(usage(format!("{} needs {}: {line}", command.name, missing.name)));
    }
    match (operands.get(command.operands.len()), &command.rest) {
        (None, Some(rest)) if rest.required => {
            let line = help::usage_line(command);
            Err(usage(format!("{} needs {}: {line}", command.name, rest.name)))
        }
        (None, _) | (_, Some(_)) => Ok(()),
        (Some(extra), None) => Err(usage(format!(
            "unexpected argument \"{}\": {}",
            shown(&extra.to_string_lossy()),
            help::usage_line(command)
        ))),
    }
}

/// An error about the command line.
fn usage(message: String) -> Error {
    Error::new(ErrorKind::Input, message)
}

/// A word from the command line, fit for one line of an error.
fn shown(word: &str) -> String {
    word.chars().take(80).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
