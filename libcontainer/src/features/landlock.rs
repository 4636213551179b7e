//! `/annotations/org.keel.landlock`: which files the program may use, and for what (landlock(7)).
//!
//! The annotation holds, as JSON text, the `landlock` object of a proposal for the runtime-spec that
//! is open and may change (opencontainers/runtime-spec, pull requests 1111 and 1241). It is read
//! strictly: a member or a name that keel does not know is a fault.
//!
//! The rules hold for the program and for `exec`, from the moment before the filter of system calls
//! on, so that the filter may forbid Landlock's own calls. The startContainer hooks, which may mount
//! what a rule names, run before. Like a filter, the rules want no_new_privs or CAP_SYS_ADMIN, see
//! `seccomp`.
//!
//! A right that the kernel does not know yet is left out with a warning, as the proposal wants,
//! unless `disableBestEffort` is set. Rules of which nothing would be left are never left out.

use libcontainer_init::step::Step;

use super::Context;
use crate::config::{Config, Landlock};
use crate::spec::{self, PathBeneath};
use crate::steps::Steps;

/// The annotation.
pub const ANNOTATION: &str = "org.keel.landlock";
/// Where it stands.
const POINTER: &str = "/annotations/org.keel.landlock";

/// Rights over files in the order of their bits, LANDLOCK_ACCESS_FS_*, with the version of the ABI
/// that brought them. Up to `make_sym` they are the proposal's; those that came later have the names
/// that it would give them.
const RIGHTS: [(&str, u32); 16] = [
    ("execute", 1),
    ("write_file", 1),
    ("read_file", 1),
    ("read_dir", 1),
    ("remove_dir", 1),
    ("remove_file", 1),
    ("make_char", 1),
    ("make_dir", 1),
    ("make_reg", 1),
    ("make_sock", 1),
    ("make_fifo", 1),
    ("make_block", 1),
    ("make_sym", 1),
    ("refer", 2),
    ("truncate", 3),
    ("ioctl_dev", 5),
];
/// LANDLOCK_ACCESS_FS_REFER, which the kernel denies even where no rule is about it.
const REFER: u32 = 1 << 13;

/// Reads the annotation.
pub fn check(cx: &mut Context<'_>) -> Option<Landlock> {
    let text = cx.spec.annotations.get(ANNOTATION)?;
    let asked = match spec::Landlock::parse(text) {
        Ok(asked) => asked,
        Err(message) => {
            cx.fault(POINTER, message);
            return None;
        }
    };
    let before = cx.faults.len();
    let names = asked.ruleset.unwrap_or_default().handled_access_fs;
    let handled = rights(cx, "/ruleset/handledAccessFS", &names);
    let rules = asked.rules.unwrap_or_default().path_beneath;
    let allowed: Vec<(String, u32)> =
        rules.iter().enumerate().flat_map(|(i, rule)| check_rule(cx, i, rule, handled)).collect();
    if cx.faults.len() > before {
        return None;
    }
    let known = known(cx, handled, asked.disable_best_effort)?;
    let allowed = allowed.into_iter().map(|(path, rights)| (path, rights & known));
    let allowed = allowed.filter(|(_, rights)| *rights != 0).collect();
    Some(Landlock { handled: handled & known, allowed })
}

/// Reports what is wrong at a place of the annotation's text.
fn fault(cx: &mut Context<'_>, place: &str, message: &str) {
    cx.fault(POINTER, format!("{place}: {message}"));
}

/// The bits of a list of names, of which there must be one.
fn rights(cx: &mut Context<'_>, place: &str, names: &[String]) -> u32 {
    if names.is_empty() {
        fault(cx, place, "no right is named, and so nothing is said");
    }
    let mut rights = 0;
    for (i, name) in names.iter().enumerate() {
        match RIGHTS.iter().position(|(known, _)| known == name) {
            Some(bit) => rights |= 1 << bit,
            None => {
                let message = format!("\"{}\" is no right over files", name.escape_default());
                fault(cx, &format!("{place}/{i}"), &message);
            }
        }
    }
    rights
}

/// The paths of a rule with the rights there.
fn check_rule(
    cx: &mut Context<'_>,
    index: usize,
    rule: &PathBeneath,
    handled: u32,
) -> Vec<(String, u32)> {
    let place = format!("/rules/pathBeneath/{index}");
    let at_rights = format!("{place}/allowedAccess");
    let allowed = rights(cx, &at_rights, &rule.allowed_access);
    if allowed & !handled != 0 {
        let names = list(allowed & !handled);
        let message = format!("what is allowed must be in handledAccessFS, and {names} is not");
        fault(cx, &at_rights, &message);
    }
    if rule.paths.is_empty() {
        fault(cx, &format!("{place}/paths"), "no path is named, and so nothing is said");
    }
    for (i, path) in rule.paths.iter().enumerate().filter(|(_, path)| !path.starts_with('/')) {
        let message = format!("path \"{}\" is not absolute", path.escape_default());
        fault(cx, &format!("{place}/paths/{i}"), &message);
    }
    rule.paths.iter().map(|path| (path.clone(), allowed)).collect()
}

/// The rights that the kernel knows; nothing when the rules cannot be had without the others.
fn known(cx: &mut Context<'_>, handled: u32, disable_best_effort: bool) -> Option<u32> {
    let version = cx.host.landlock;
    let known = (0..).zip(RIGHTS).filter(|(_, (_, since))| *since <= version);
    let known = known.fold(0, |known, (bit, _)| known | 1 << bit);
    let unknown = handled & !known;
    if version == 0 {
        cx.fault(POINTER, "the kernel has no Landlock, or it cannot be used here");
        return None;
    }
    if unknown != 0 && (disable_best_effort || handled & known == 0) {
        let names = list(unknown);
        cx.fault(POINTER, format!("the kernel's Landlock (version {version}) has no {names}"));
        return None;
    }
    if unknown & !REFER != 0 {
        let names = list(unknown & !REFER);
        let message = format!(
            "{names} left out, and so allowed everywhere: the kernel's Landlock (version \
             {version}) has no such right"
        );
        cx.warn(POINTER, message);
    }
    if unknown & REFER != 0 {
        let message = format!(
            "refer left out, and so forbidden everywhere: the kernel's Landlock (version {version}) \
             cannot allow it"
        );
        cx.warn(POINTER, message);
    }
    Some(known)
}

/// Init restricts itself.
pub fn restrict(config: &Config, steps: &mut Steps) {
    if let Some(Landlock { handled, allowed }) = &config.landlock {
        let paths = steps.list(POINTER, allowed.iter().map(|(path, _)| path));
        let rights: Vec<u32> = allowed.iter().map(|(_, rights)| *rights).collect();
        let allowed = steps.numbers(&rights);
        steps.init(POINTER, Step::Landlock { handled: *handled, paths, allowed });
    }
}

/// The names of rights, for people.
fn list(rights: u32) -> String {
    let names = (0..).zip(RIGHTS).filter(|(bit, _)| rights >> bit & 1 == 1);
    names.map(|(_, (name, _))| name).collect::<Vec<_>>().join(" ")
}

/// What the rules say, in words: paths in a row with the same rights share them.
pub fn describe(handled: u32, allowed: &[(&str, u32)]) -> String {
    let mut text = format!("forbid {} by Landlock", list(handled));
    let mut before = ", but for";
    for rule in allowed.chunk_by(|a, b| a.1 == b.1) {
        let rights = rule.first().map_or(0, |(_, rights)| *rights);
        let rights = if rights == handled { "all".to_owned() } else { list(rights) };
        let paths: Vec<&str> = rule.iter().map(|(path, _)| *path).collect();
        text += &format!("{before} {rights} beneath {}", paths.join(" "));
        before = ";";
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::host::Host;
    use crate::options::Options;
    use crate::spec::{Linux, Process, Spec};

    /// What becomes of an annotation on a kernel with this version: the rules, faults and warnings.
    fn checked(version: u32, text: &str) -> (Option<Landlock>, Vec<String>, Vec<String>) {
        let mut spec = Spec::example();
        spec.annotations.insert(ANNOTATION.to_owned(), text.to_owned());
        let host = Host { landlock: version, ..Host::example() };
        let (id, options) = ("web".parse().unwrap(), Options::default());
        let mut cx = Context {
            spec: &spec,
            linux: &Linux::default(),
            process: &Process::default(),
            bundle: Path::new("/"),
            id: &id,
            options: &options,
            host: &host,
            faults: Vec::new(),
            warnings: Vec::new(),
        };
        let found = check(&mut cx);
        let texts = |list: Vec<crate::error::Fault>| {
            let pointed = list.iter().all(|fault| fault.pointer == POINTER);
            assert!(pointed, "{list:?}");
            list.into_iter().map(|fault| fault.message).collect()
        };
        (found, texts(cx.faults), texts(cx.warnings))
    }

    fn faults(text: &str) -> Vec<String> {
        let (found, faults, warnings) = checked(7, text);
        assert_eq!((found, warnings), (None, Vec::new()), "{text}");
        faults
    }

    const ALL: &str = r#"["execute", "write_file", "read_file", "read_dir", "remove_dir",
        "remove_file", "make_char", "make_dir", "make_reg", "make_sock", "make_fifo", "make_block",
        "make_sym", "refer", "truncate", "ioctl_dev"]"#;

    #[test]
    fn the_rights_of_files_are_those_that_init_leaves_to_files() {
        let names = list(libcontainer_init::sys::landlock::FILE_RIGHTS as u32);
        assert_eq!(names, "execute write_file read_file truncate ioctl_dev");
        assert_eq!(list(REFER), "refer");
        assert_eq!(POINTER, format!("/annotations/{ANNOTATION}"));
    }

    #[test]
    fn every_right_has_its_bit_and_every_path_its_rights() {
        let text = format!(
            r#"{{"ruleset": {{"handledAccessFS": {ALL}}}, "rules": {{"pathBeneath": [
                {{"allowedAccess": ["read_dir", "read_file", "read_dir"], "paths": ["/a", "/b/../c"]}},
                {{"allowedAccess": {ALL}, "paths": ["/tmp"]}}
            ]}}}}"#
        );
        let (found, faults, warnings) = checked(7, &text);
        let found = found.unwrap();
        assert_eq!(found.handled, 0xffff);
        let rules: Vec<(&str, u32)> = found.allowed.iter().map(|(p, r)| (p.as_str(), *r)).collect();
        assert_eq!(rules, [("/a", 0b1100), ("/b/../c", 0b1100), ("/tmp", 0xffff)]);
        assert_eq!((faults, warnings), (Vec::new(), Vec::new()));
        let words = describe(0b1101, &[("/a", 0b1100), ("/b", 0b1100), ("/c", 0b1101)]);
        assert_eq!(
            words,
            "forbid execute read_file read_dir by Landlock, but for read_file read_dir beneath /a \
             /b; all beneath /c"
        );
        assert_eq!(describe(2, &[]), "forbid write_file by Landlock");
    }

    #[test]
    fn what_is_wrong_is_told_all_at_once_with_its_place() {
        let text = r#"{"ruleset": {"handledAccessFS": ["read_file", "read", "EXECUTE"]},
            "rules": {"pathBeneath": [
                {"allowedAccess": ["write_file", "read_file"], "paths": ["tmp", "/", ""]},
                {"paths": []},
                {"allowedAccess": ["moon\u0007"], "paths": ["/a"]}]}}"#;
        assert_eq!(
            faults(text),
            [
                "/ruleset/handledAccessFS/1: \"read\" is no right over files",
                "/ruleset/handledAccessFS/2: \"EXECUTE\" is no right over files",
                "/rules/pathBeneath/0/allowedAccess: what is allowed must be in handledAccessFS, \
                 and write_file is not",
                "/rules/pathBeneath/0/paths/0: path \"tmp\" is not absolute",
                "/rules/pathBeneath/0/paths/2: path \"\" is not absolute",
                "/rules/pathBeneath/1/allowedAccess: no right is named, and so nothing is said",
                "/rules/pathBeneath/1/paths: no path is named, and so nothing is said",
                "/rules/pathBeneath/2/allowedAccess/0: \"moon\\u{7}\" is no right over files",
            ]
        );
        for nothing in ["{}", "null", r#"{"ruleset": {"handledAccessFS": []}}"#] {
            let message = "/ruleset/handledAccessFS: no right is named, and so nothing is said";
            assert_eq!(faults(nothing), [message], "{nothing}");
        }
        let message = "/rules/moon: there is no member of this name";
        assert_eq!(faults(r#"{"rules": {"moon": 1}}"#), [message]);
    }

    #[test]
    fn what_the_kernel_does_not_know_is_left_out_unless_that_is_forbidden() {
        let text = |strict: bool| {
            format!(
                r#"{{"disableBestEffort": {strict}, "ruleset": {{"handledAccessFS": {ALL}}},
                "rules": {{"pathBeneath": [{{"allowedAccess": {ALL}, "paths": ["/a"]}},
                {{"allowedAccess": ["ioctl_dev"], "paths": ["/dev"]}}]}}}}"#
            )
        };
        let versions = [
            (1, 0x1fff, "refer truncate ioctl_dev"),
            (2, 0x3fff, "truncate ioctl_dev"),
            (3, 0x7fff, "ioctl_dev"),
            (4, 0x7fff, "ioctl_dev"),
        ];
        for (version, rights, missing) in versions {
            let (found, faults, warnings) = checked(version, &text(false));
            let allowed = vec![("/a".to_owned(), rights)];
            assert_eq!(found, Some(Landlock { handled: rights, allowed }), "{version}");
            assert_eq!(faults, [""; 0]);
            let mut expected = vec![format!(
                "{} left out, and so allowed everywhere: the kernel's Landlock (version {version}) \
                 has no such right",
                missing.trim_start_matches("refer ")
            )];
            if version == 1 {
                expected.push(
                    "refer left out, and so forbidden everywhere: the kernel's Landlock (version 1) \
                     cannot allow it"
                        .to_owned(),
                );
            }
            assert_eq!(warnings, expected, "{version}");
            let (found, faults, warnings) = checked(version, &text(true));
            assert_eq!((found, warnings), (None, Vec::new()));
            assert_eq!(
                faults,
                [format!("the kernel's Landlock (version {version}) has no {missing}")]
            );
        }
        for version in [5, 8] {
            for strict in [true, false] {
                let (found, faults, warnings) = checked(version, &text(strict));
                assert_eq!((found.unwrap().handled, faults, warnings), (0xffff, vec![], vec![]));
            }
        }
    }

    #[test]
    fn rules_of_which_nothing_would_be_left_are_refused() {
        let handled = |name: &str| format!(r#"{{"ruleset": {{"handledAccessFS": ["{name}"]}}}}"#);
        let (found, faults, _) = checked(0, &handled("execute"));
        assert_eq!(found, None);
        assert_eq!(faults, ["the kernel has no Landlock, or it cannot be used here"]);
        let (found, faults, _) = checked(2, &handled("truncate"));
        assert_eq!(found, None);
        assert_eq!(faults, ["the kernel's Landlock (version 2) has no truncate"]);
    }
}
