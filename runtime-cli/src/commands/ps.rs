//! `keel ps`: the processes of a container, as the host's ps(1) shows them or as JSON.

use std::ffi::OsString;
use std::process::{ExitCode, Stdio};

use libcontainer::{Error, ErrorKind};

use crate::args::Invocation;
use crate::args::table::{Command, Example, Flag, ID, Operand, Takes, flag, short};
use crate::report::{self, Failure};

static FORMAT: Flag = short(
    'f',
    flag("format", Takes::OneOf(&["table", "json"]), "how to write the list (default: table)"),
);

/// The command.
pub(crate) static COMMAND: Command = Command {
    name: "ps",
    about: "list the processes of a container",
    details: "\
The table is that of the host's ps program, called with the options given or else with -ef; it must \
have a column PID. JSON is an array of the pids, as the host has them, and needs no ps.",
    operands: &[ID],
    rest: Some(Operand {
        name: "OPTION",
        required: false,
        help: "options of ps; they come last, and nothing of them is taken for keel's",
    }),
    flags: &[&FORMAT],
    examples: &[
        Example { line: "keel ps web", does: "as ps -ef shows them" },
        Example { line: "keel ps web -o pid,rss,args", does: "other columns" },
        Example { line: "keel ps --format json web", does: "the pids alone" },
    ],
    run,
};

/// List the processes.
fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let pids = super::container(invocation)?.processes()?;
    match invocation.flags.word(&FORMAT) {
        Some("json") => report::print(&json(&pids)),
        _ => report::print(&rows(&ps(invocation.rest())?, &pids)?),
    }
}

/// As Go writes a list that may be nil.
fn json(pids: &[i32]) -> String {
    let list: Vec<String> = pids.iter().map(ToString::to_string).collect();
    if list.is_empty() { "null\n".to_owned() } else { format!("[{}]\n", list.join(",")) }
}

/// What the host's ps writes.
fn ps(options: &[OsString]) -> Result<String, Error> {
    let mut command = std::process::Command::new("ps");
    command.stdin(Stdio::null());
    if options.is_empty() {
        command.arg("-ef")
    } else {
        command.args(options)
    };
    let output = command.output().map_err(|error| Error::io("cannot run ps", &error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let why = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let why = if why.is_empty() { output.status.to_string() } else { why.to_owned() };
        return Err(failed(&format!("ps failed: {why}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The heading, and the lines of these processes.
fn rows(table: &str, pids: &[i32]) -> Result<String, Error> {
    let mut lines = table.lines();
    let heading = lines.next().unwrap_or_default();
    let column = heading.split_whitespace().position(|name| name == "PID");
    let column = column.ok_or_else(|| failed("cannot find the column PID in what ps writes"))?;
    let mut rows = format!("{heading}\n");
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let field = line.split_whitespace().nth(column);
        let pid: i32 = field.and_then(|field| field.parse().ok()).ok_or_else(|| {
            let line: String = line.chars().take(80).flat_map(char::escape_debug).collect();
            failed(&format!("cannot find the PID in a line of ps, \"{line}\": let PID come first"))
        })?;
        if pids.contains(&pid) {
            rows.push_str(line);
            rows.push('\n');
        }
    }
    Ok(rows)
}

fn failed(message: &str) -> Error {
    Error::new(ErrorKind::System, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heading_and_the_lines_of_the_container_stay() {
        let table = "UID        PID  PPID  C CMD\n\
                     root         1     0  0 /sbin/init\n\
                     root        17     1  0 sleep 1000\n\
                     app        170    17  0 sh -c echo 17\n\n";
        let heading = "UID        PID  PPID  C CMD\n";
        assert_eq!(rows(table, &[]).unwrap(), heading);
        assert_eq!(
            rows(table, &[17]).unwrap(),
            format!("{heading}root        17     1  0 sleep 1000\n")
        );
    }

    #[test]
    fn a_table_without_pids_is_an_error() {
        for (table, expected) in [
            ("", "column PID"),
            ("COMMAND\nsh\n", "column PID"),
            ("  PPID\n  1\n", "column PID"),
            ("COMMAND PID\ntwo words 7\n", "a line of ps, \"two words 7\""),
            ("USER COMMAND PID\nroot\n", "a line of ps"),
        ] {
            let error = rows(table, &[7]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn no_processes_are_null_in_json_as_runc_writes_them() {
        assert_eq!(json(&[]), "null\n");
        assert_eq!(json(&[7, 12]), "[7,12]\n");
    }
}
