//! `landlock`: which files the process may use, and for what.
//!
//! The model of a proposal for the runtime-spec that is open since 2021
//! (<https://github.com/opencontainers/runtime-spec/pull/1111>, carried on in pull request 1241) and
//! may change: its reviewers have asked for the kernel's numbers in place of names, and for rights
//! over the network. It stands as JSON text in an annotation until it is part of the specification.

use super::lenient;
use super::record::record;

record! {
    /// Rules of Landlock, landlock(7). They take rights over files from the process.
    Landlock {
        /// What is forbidden unless a rule allows it.
        ruleset: Option<LandlockRuleset> = optional "ruleset",
        /// What is allowed. Default: nothing.
        rules: Option<LandlockRules> = optional "rules",
        /// Whether a right that the kernel does not know is an error. Default: no, it is left out.
        disable_best_effort: bool = optional "disableBestEffort",
    }

    /// `ruleset`: the rights that the rules are about.
    LandlockRuleset {
        /// Names of rights over files, such as `read_file`.
        handled_access_fs: Vec<String> = optional "handledAccessFS",
    }

    /// `rules`: what is allowed.
    LandlockRules {
        /// Rights over hierarchies of files.
        path_beneath: Vec<PathBeneath> = optional "pathBeneath",
    }

    /// A rule: rights over some hierarchies of files.
    PathBeneath {
        /// Names of the rights.
        allowed_access: Vec<String> = optional "allowedAccess",
        /// Absolute paths inside the container: of files, or of directories with all that lies below.
        paths: Vec<String> = optional "paths",
    }
}

impl Landlock {
    /// Reads the text of the annotation, in which nothing is skipped.
    ///
    /// # Errors
    /// A sentence that says what is wrong, and where in the text: it is no JSON, a member is unknown
    /// or there twice, a value has the wrong type.
    pub fn parse(text: &str) -> Result<Self, String> {
        lenient::parse_strictly(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let text = concat!(
            r#"{"ruleset":{"handledAccessFS":["execute","read_file"]},"#,
            r#""rules":{"pathBeneath":[{"allowedAccess":["execute"],"paths":["/bin","/lib"]}]},"#,
            r#""disableBestEffort":true}"#
        );
        let landlock = Landlock::parse(text).unwrap();
        assert_eq!(landlock.rules.as_ref().unwrap().path_beneath[0].paths, ["/bin", "/lib"]);
        assert!(landlock.disable_best_effort);
        assert_eq!(serde_json::to_string(&landlock).unwrap(), text);
        assert_eq!(Landlock::parse(" { } \n").unwrap(), Landlock::default());
    }

    #[test]
    fn nothing_is_skipped() {
        for (text, message) in [
            ("", "not valid JSON: EOF while parsing a value at line 1 column 0"),
            ("{} {}", "not valid JSON: trailing characters at line 1 column 4"),
            ("[]", "invalid type: sequence, expected an object"),
            (r#"{"moon": 1}"#, "/moon: there is no member of this name"),
            (
                r#"{"ruleset": {"handledAccessNet": []}}"#,
                "/ruleset/handledAccessNet: there is no member of this name",
            ),
            (
                r#"{"rules": {"pathBeneath": [{}, {"path": "/a"}]}}"#,
                "/rules/pathBeneath/1/path: there is no member of this name",
            ),
            (r#"{"ruleset": {}, "ruleset": {}}"#, "/ruleset: this member is there twice"),
            (
                r#"{"ruleset": {"handledAccessFS": [7]}}"#,
                "/ruleset/handledAccessFS/0: invalid type: integer `7`, expected a string",
            ),
            (
                r#"{"disableBestEffort": "yes"}"#,
                "/disableBestEffort: invalid type: string \"yes\", expected a boolean",
            ),
        ] {
            assert_eq!(Landlock::parse(text).unwrap_err(), message, "{text}");
        }
    }
}
