//! The words of the command line, one flag or operand at a time.
//!
//! On top of lexopt it knows the table's flags, takes long flags with a single dash (`-root DIR`,
//! `-no-subreaper`) as Go's flag package does, and explains a flag that is not known. Only
//! `args` uses it.

use std::ffi::OsString;

use libcontainer::Error;

use super::table::{Command, Flag, GLOBALS, HELP, Takes};
use super::{Value, duration, shown, suggest, usage};

/// What stands at one place of the command line.
pub(super) enum Item {
    /// A flag with its value.
    Flag(&'static Flag, Value),
    /// Anything else.
    Operand(OsString),
}

/// The command line and how far it is read.
#[derive(Debug)]
pub(super) struct Reader {
    parser: lexopt::Parser,
    /// Whether `--` was seen: no flags after it.
    only_operands: bool,
}

impl Reader {
    pub(super) fn new(arguments: impl IntoIterator<Item = OsString>) -> Self {
        // lexopt keeps the iterator it is given; the words are few.
        let words: Vec<OsString> = arguments.into_iter().collect();
        Self { parser: lexopt::Parser::from_iter(words), only_operands: false }
    }

    /// The next flag or operand: a flag of `command`, or a global one before any command.
    pub(super) fn next(
        &mut self,
        command: Option<&'static Command>,
    ) -> Result<Option<Item>, Error> {
        if let Some((flag, inline)) = self.single_dash(command) {
            return self.item(flag, inline).map(Some);
        }
        let (flag, given) = match self.parser.next().map_err(|error| usage(error.to_string()))? {
            None => return Ok(None),
            Some(lexopt::Arg::Value(word)) => return Ok(Some(Item::Operand(word))),
            Some(lexopt::Arg::Long(name)) => {
                (allowed(command).find(|flag| flag.long == name), name.to_owned())
            }
            Some(lexopt::Arg::Short(letter)) => {
                (allowed(command).find(|flag| flag.short == Some(letter)), letter.to_string())
            }
        };
        let Some(flag) = flag else { return Err(unknown(command, &given)) };
        // For a short switch the rest of the word is more switches, not its value.
        let inline = match given.len() == 1 && flag.takes == Takes::Nothing {
            true => None,
            false => self.parser.optional_value(),
        };
        self.item(flag, inline).map(Some)
    }

    /// All words that are left, as they stand, without the `--` that may separate them.
    pub(super) fn rest(&mut self) -> Vec<OsString> {
        let words = self.parser.try_raw_args();
        let mut words: Vec<OsString> = words.into_iter().flatten().collect();
        if words.first().is_some_and(|word| word == "--") {
            words.remove(0);
        }
        words
    }

    /// A long flag with one dash, and its value if that is in the same word.
    fn single_dash(
        &mut self,
        command: Option<&'static Command>,
    ) -> Option<(&'static Flag, Option<OsString>)> {
        let mut words = self.parser.try_raw_args()?;
        let word = words.peek()?.to_str()?;
        self.only_operands |= word == "--";
        let body =
            word.strip_prefix('-').filter(|body| body.len() > 1 && !body.starts_with('-'))?;
        if self.only_operands {
            return None;
        }
        let (name, inline) = match body.split_once('=') {
            Some((name, value)) => (name, Some(OsString::from(value))),
            None => (body, None),
        };
        let flag = allowed(command).find(|flag| flag.long == name)?;
        words.next();
        Some((flag, inline))
    }

    /// The flag with its value, taken from the next word unless it is `inline`.
    fn item(&mut self, flag: &'static Flag, inline: Option<OsString>) -> Result<Item, Error> {
        let value = match (flag.takes, inline) {
            (Takes::Nothing, None) => Value::Switch(true),
            (_, Some(value)) => parse(flag, value)?,
            (_, None) => match self.parser.value() {
                Ok(value) => parse(flag, value)?,
                Err(_) => return Err(usage(format!("--{} needs {}", flag.long, wanted(flag)))),
            },
        };
        Ok(Item::Flag(flag, value))
    }
}

/// The flags that may stand here.
fn allowed(command: Option<&'static Command>) -> impl Iterator<Item = &'static Flag> {
    let (flags, help): (&[&Flag], _) = match command {
        None => (GLOBALS, None),
        Some(command) => (command.flags, Some(&HELP)),
    };
    flags.iter().copied().chain(help)
}

/// The value of a flag, checked.
fn parse(flag: &Flag, given: OsString) -> Result<Value, Error> {
    let text = given.to_str();
    let value = match flag.takes {
        Takes::Nothing => match text {
            Some("true") => Some(Value::Switch(true)),
            Some("false") => Some(Value::Switch(false)),
            _ => None,
        },
        // `u32::from_str` would take a plus sign.
        Takes::Number(_) => text
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .map(Value::Number),
        Takes::Integer(_) => text
            .filter(|digits| !digits.starts_with('+'))
            .and_then(|digits| digits.parse().ok())
            .map(Value::Integer),
        Takes::Duration(_) => text.and_then(duration::parse).map(Value::Duration),
        Takes::OneOf(words) => {
            words.iter().copied().find(|word| text == Some(*word)).map(Value::Word)
        }
        Takes::Text(_) if given.is_empty() => None,
        Takes::Text(_) | Takes::Texts(_) => return Ok(Value::Text(given)),
    };
    value.ok_or_else(|| {
        let given = shown(&given.to_string_lossy());
        usage(format!("--{} needs {}, not \"{given}\"", flag.long, wanted(flag)))
    })
}

/// What a flag takes, in words.
fn wanted(flag: &Flag) -> String {
    match flag.takes {
        Takes::Nothing => "true or false".to_owned(),
        Takes::Text(name) | Takes::Texts(name) => name.to_owned(),
        Takes::Number(name) | Takes::Integer(name) => format!("a number {name}"),
        Takes::Duration(name) => format!("a {name} greater than 0, such as 5s or 1m30s"),
        Takes::OneOf([one, other]) => format!("{one} or {other}"),
        Takes::OneOf(words) => match words.split_last() {
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        },
    }
}

/// An error about a flag that is not known here.
fn unknown(command: Option<&'static Command>, given: &str) -> Error {
    let dashes = if given.chars().count() == 1 { "-" } else { "--" };
    let owner = command.map_or("keel", |command| command.name);
    let hint = if let Some(global) = GLOBALS.iter().find(|flag| flag.long == given) {
        format!(": --{} stands before the command", global.long)
    } else if let Some(near) = suggest::nearest(given, allowed(command).map(|flag| flag.long)) {
        format!(", did you mean --{near}?")
    } else {
        format!(
            ", see: keel {}",
            match command {
                Some(command) => format!("{} --help", command.name),
                None => "--help".to_owned(),
            }
        )
    };
    usage(format!("unknown flag {dashes}{} of {owner}{hint}", shown(given)))
}
