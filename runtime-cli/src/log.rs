//! The log: errors, warnings and, if asked for, what is done.
//!
//! Opened once by `main`; `target` says where it goes. The lines of a file look as runc's do, since
//! engines read them: one JSON object or one logrus line each, appended with one write so that
//! processes sharing a file do not mix. Without `--log` they go to standard error. A line that
//! cannot be written is dropped: a full disk must not stop a container.

mod target;

use std::io::Write;
use std::sync::OnceLock;
use std::time::SystemTime;

use libcontainer::Error;
use libcontainer::container::rfc3339;
use log::{Level, Metadata, Record};
use serde_json::{Map, Value};
use target::Target;

use crate::args::globals::{Globals, LogFormat};
use crate::color::{self, Ink};

static LOG: OnceLock<Log> = OnceLock::new();

/// Where lines go, and how they look.
#[derive(Debug)]
struct Log {
    target: Target,
    format: LogFormat,
}

/// Open the log that was asked for, and take the records of the `log` facade from now on.
pub(crate) fn open(globals: &Globals) -> Result<(), Error> {
    let target = Target::open(globals.log.as_deref())?;
    let log = LOG.get_or_init(|| Log { target, format: globals.log_format });
    log::set_max_level(globals.log_level);
    // It fails only if a logger is set, which then is this one.
    let _ = log::set_logger(log);
    Ok(())
}

/// Write an error with its members. In the log it gets all of them; people at standard error get
/// the sentence, unless they asked for JSON there.
pub(crate) fn error(message: &str, members: Map<String, Value>) {
    let log = LOG.get();
    let on_stderr = log.is_none_or(|log| matches!(log.target, Target::Stderr));
    let json_on_stderr = on_stderr && log.is_some_and(|log| log.format == LogFormat::Json);
    if let Some(log) = log.filter(|_| !on_stderr || json_on_stderr) {
        log.write(Level::Error, message, members);
    }
    if !json_on_stderr {
        to_stderr(&format!("{} {}\n", beginning(Ink::Error, "keel:"), one_line(message)));
    }
}

impl Log {
    fn write(&self, level: Level, message: &str, members: Map<String, Value>) {
        let now = SystemTime::now();
        match (&self.target, self.format) {
            (Target::Stderr, LogFormat::Text) => {
                let beginning = beginning(Ink::Notice, &format!("keel: {}:", name(level)));
                to_stderr(&format!("{beginning} {}\n", one_line(message)));
            }
            (Target::Stderr, LogFormat::Json) => to_stderr(&json(level, message, now, members)),
            (Target::File(file), format) => {
                let line = match format {
                    LogFormat::Text => text(level, message, now),
                    LogFormat::Json => json(level, message, now, members),
                };
                drop((&*file).write_all(line.as_bytes()));
            }
            // These know the level and the time themselves.
            (Target::Journal(log), LogFormat::Text) => log.journal(level, message, &members),
            (Target::Journal(log), LogFormat::Json) => {
                let line = json(level, message, now, members);
                log.journal(level, line.trim_end(), &Map::new());
            }
            (Target::Syslog(log), LogFormat::Text) => log.syslog(level, &one_line(message)),
            (Target::Syslog(log), LogFormat::Json) => {
                log.syslog(level, json(level, message, now, members).trim_end());
            }
        }
    }
}

impl log::Log for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.write(record.level(), &record.args().to_string(), Map::new());
        }
    }

    fn flush(&self) {}
}

/// What a line on standard error begins with.
fn beginning(ink: Ink, text: &str) -> String {
    match color::wanted(&std::io::stderr()) {
        true => color::painted(ink, text),
        false => text.to_owned(),
    }
}

fn to_stderr(line: &str) {
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// The message without line breaks and other control characters.
fn one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for letter in message.chars() {
        match letter.is_control() {
            true => line.extend(letter.escape_default()),
            false => line.push(letter),
        }
    }
    line
}

/// The level as logrus names it.
fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

fn json(level: Level, message: &str, now: SystemTime, mut members: Map<String, Value>) -> String {
    members.insert("level".into(), name(level).into());
    members.insert("msg".into(), message.into());
    members.insert("time".into(), rfc3339(now).into());
    let mut line = Value::Object(members).to_string();
    line.push('\n');
    line
}

fn text(level: Level, message: &str, now: SystemTime) -> String {
    // JSON's quotes are those of Go's %q, as far as a log has them.
    let message = Value::from(message);
    format!("time=\"{}\" level={} msg={message}\n", rfc3339(now), name(level))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_json_line_is_one_object_that_gives_the_message_back() {
        let message = "cannot open \"/a\\b\"\n\tand more: \u{1b}[0m ä \u{2028}";
        let members = Map::from_iter([("kind".to_owned(), Value::from("system"))]);
        let line = json(Level::Error, message, UNIX_EPOCH, members);
        assert_eq!(line.matches('\n').count(), 1);
        let back: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back["msg"], message);
        assert_eq!(back["level"], "error");
        assert_eq!(back["time"], "1970-01-01T00:00:00.000000000Z");
        assert_eq!(back["kind"], "system");
    }

    #[test]
    fn a_text_line_is_what_logrus_writes() {
        assert_eq!(
            text(Level::Warn, "a \"b\"\nc", UNIX_EPOCH),
            "time=\"1970-01-01T00:00:00.000000000Z\" level=warning msg=\"a \\\"b\\\"\\nc\"\n"
        );
    }

    #[test]
    fn a_sentence_for_people_stays_on_one_line() {
        assert_eq!(one_line("a\nb\u{1b}[1mc ä"), "a\\nb\\u{1b}[1mc ä");
    }

    #[test]
    fn lines_of_a_file_are_appended() {
        let path = std::env::temp_dir().join(format!("keel-log-{}", std::process::id()));
        std::fs::File::create_new(&path).unwrap().write_all(b"earlier\n").unwrap();
        let target = Target::open(Some(path.as_os_str())).unwrap();
        let log = Log { target, format: LogFormat::Json };
        log.write(Level::Warn, "first", Map::new());
        log.write(Level::Error, "second", Map::new());
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], "earlier");
        let last: Value = serde_json::from_str(lines[2]).unwrap();
        assert_eq!((&last["level"], &last["msg"]), (&"error".into(), &"second".into()));
    }
}
