//! `--regex` of `kill` and `delete`: every container whose id a regular expression matches.
//!
//! As with crun the expression may match anywhere in an id. What fails for one container is told
//! and does not keep the others from their turn.

use std::ffi::OsStr;
use std::process::ExitCode;

use libcontainer::{ContainerId, Error, ErrorKind};
use regex_lite::Regex;

use crate::args::Invocation;
use crate::args::table::{Flag, Takes, flag, short};
use crate::report::{self, Failure};

pub(crate) static REGEX: Flag = short(
    'r',
    flag(
        "regex",
        Takes::Nothing,
        "ID is a regular expression, for all containers in whose id it is found",
    ),
);

/// The ids that the first operand matches, in order.
pub(super) fn ids(invocation: &Invocation) -> Result<Vec<ContainerId>, Error> {
    let pattern = invocation.operand(0).unwrap_or_default();
    let regex = parse(pattern)?;
    let mut ids = super::store(&invocation.globals)?.ids()?;
    ids.retain(|id| regex.is_match(id.as_str()));
    Ok(ids)
}

/// No container has such an id.
pub(super) fn none(invocation: &Invocation) -> Error {
    let pattern = invocation.operand(0).unwrap_or_default().to_string_lossy();
    let shown = pattern.escape_debug();
    Error::new(ErrorKind::NotFound, format!("a container that matches \"{shown}\" does not exist"))
}

/// Do something with each container. The exit status says whether all went well.
pub(super) fn each(
    ids: &[ContainerId],
    act: impl Fn(&ContainerId) -> Result<(), Error>,
) -> Result<ExitCode, Failure> {
    let mut status = ExitCode::SUCCESS;
    for id in ids {
        match act(id) {
            // Gone since the ids were read.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                report::error(&Error::new(error.kind(), format!("{id}: {error}")));
                status = ExitCode::FAILURE;
            }
            Ok(()) => {}
        }
    }
    Ok(status)
}

fn parse(pattern: &OsStr) -> Result<Regex, Error> {
    let text = pattern.to_string_lossy();
    // An empty one is found in every id, and is a mistake.
    let refused = |why: &str| {
        let shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
        Error::new(ErrorKind::Input, format!("\"{shown}\" is no regular expression: {why}"))
    };
    if text.is_empty() {
        return Err(refused("it is empty"));
    }
    Regex::new(&text).map_err(|error| refused(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_posix_calls_an_extended_expression_is_one() {
        for (pattern, matching, other) in [
            ("web", "my-web.1", "wbe"),
            ("^web$", "web", "web2"),
            ("^(web|db)-[0-9]+$", "db-12", "db-"),
            ("^w.b{2,3}$", "wabb", "wab"),
            ("[[:digit:]]$", "a1", "1a"),
            (r"^a\.b$", "a.b", "a-b"),
        ] {
            let regex = parse(OsStr::new(pattern)).unwrap();
            assert!(regex.is_match(matching) && !regex.is_match(other), "{pattern}");
        }
    }

    #[test]
    fn what_is_none_is_refused_in_one_line() {
        for bad in ["", "(", "[a", "*", "a{2", "x{1001}{1001}{1001}"] {
            let error = parse(OsStr::new(bad)).unwrap_err().to_string();
            assert!(error.contains("is no regular expression: "), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
