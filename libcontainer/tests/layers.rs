//! The house rules, checked on the sources themselves: who may import what, how large things may
//! be, what must stand at the head of a file, and which words may not occur.
//!
//! Needs nothing but the repository. A rule that fails says where, and lists everything at once. The
//! exceptions stand here by name; one that is not needed any more is a failure too.

#[path = "layers/source.rs"]
mod source;

use std::collections::BTreeSet;

use libcontainer_init::step::Step;
use source::{Source, below, read};

/// The crates that make the program; the others only test it.
const PRODUCT: [&str; 3] = ["libcontainer/src", "libcontainer/init/src", "runtime-cli/src"];
/// Every directory of the workspace with sources.
const ALL: [&str; 3] = ["libcontainer", "runtime-cli", "integration"];

/// What a part of the library may import of its other parts. Whatever is not listed may import
/// nothing: the arrows lead from `container` down to `error`, and never back.
const ARROWS: [(&str, &[&str]); 20] = [
    ("error", &[]),
    ("id", &["error"]),
    ("options", &["error"]),
    ("spec", &["error"]),
    ("seccomp", &["error", "spec"]),
    ("seccomp_agent", &["error", "seccomp", "spec"]),
    ("host", &["error"]),
    ("bundle", &["error", "spec"]),
    ("oci", &["error", "spec"]),
    ("config", &["spec", "task"]),
    ("task", &["config", "host", "spec"]),
    ("steps", &["error", "task"]),
    ("features", &["config", "error", "host", "id", "options", "seccomp", "spec", "steps", "task"]),
    ("features_document", &["container", "features", "seccomp", "spec"]),
    (
        "plan",
        &[
            "bundle", "config", "error", "features", "host", "id", "options", "spec", "steps",
            "task",
        ],
    ),
    (
        "assessment",
        &["bundle", "config", "error", "features", "host", "id", "options", "plan", "spec"],
    ),
    ("cgroup", &["error", "host", "resctrl", "task"]),
    ("resctrl", &["config", "error", "task"]),
    ("netlink", &["error"]),
    (
        "container",
        &[
            "bundle", "cgroup", "config", "error", "features", "host", "id", "netlink", "options",
            "plan", "resctrl", "spec", "steps", "task",
        ],
    ),
];

/// Features do not call each other, unless they are files of one feature: of one row of the table
/// in `features/mod.rs`. These share a helper besides.
const NEIGHBOURS: [(&str, &[&str]); 12] = [
    // What another acts on is known.
    ("annotations", &["seccomp"]),
    // A descriptor of the caller may serve one.
    ("mounts", &["descriptors"]),
    // Paths are relative to the bundle, and kinds of namespaces have the same names, everywhere.
    ("mount_check", &["namespaces", "rootfs"]),
    ("mount_options", &["rootfs"]),
    // Paths are relative to the bundle everywhere, and ids are mapped alike.
    ("overlay", &["rootfs"]),
    ("mount_ids", &["user_namespace"]),
    // The process is made of these.
    (
        "process",
        &[
            "affinity",
            "capabilities",
            "io_priority",
            "keyring",
            "labels",
            "limits",
            "notify",
            "scheduler",
            "user_namespace",
        ],
    ),
    // A list of numbers, of CPUs or nodes.
    ("memory_policy", &["affinity"]),
    // Who a container's user is on the host.
    ("cgroup_owner", &["user_namespace"]),
    // A path as text, and the name of a kind of namespace.
    ("devices", &["mount_check"]),
    ("masked_paths", &["mount_check"]),
    ("sysctl", &["namespaces"]),
];

/// Modules of std in which nothing asks the kernel for anything.
const PURE: [&str; 7] = ["cmp", "collections", "fmt", "iter", "ops", "path", "str"];
/// Packages and libraries that a pure or freestanding part must not know.
const FOREIGN: [&str; 12] = [
    "std",
    "alloc",
    "nix",
    "libc",
    "log",
    "serde",
    "serde_json",
    "thiserror",
    "oci_spec",
    "rustix",
    "seccompiler",
    "caps",
];

/// Functions that are one match over everything there is, and as long as that.
const ONE_MATCH: [(&str, &str); 3] = [
    ("libcontainer/init/src/perform/mod.rs", "perform"),
    ("libcontainer/src/container/perform.rs", "task"),
    ("libcontainer/src/plan/explain.rs", "task"),
];

/// Words that say nothing as a name, or as a part of one.
const BANNED: [&str; 9] =
    ["util", "utils", "common", "helper", "helpers", "misc", "manager", "impl", "stuff"];

/// Fails with everything that was found, one in a line.
#[track_caller]
fn none(what: &str, found: impl IntoIterator<Item = String>) {
    let found: Vec<String> = found.into_iter().collect();
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

fn everything() -> Vec<Source> {
    ALL.into_iter().chain(["conformance"]).flat_map(below).collect()
}

fn product() -> Vec<Source> {
    PRODUCT.into_iter().flat_map(below).collect()
}

/// The part of the library that a file belongs to.
fn part(source: &Source) -> &str {
    let path = source.path.trim_start_matches("libcontainer/src/").trim_end_matches(".rs");
    path.split('/').next().unwrap_or_default()
}

#[test]
fn the_parts_of_the_library_import_only_what_lies_below_them() {
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    for source in below("libcontainer/src") {
        let own = part(&source).to_owned();
        if own == "lib" {
            continue;
        }
        let allowed = ARROWS.iter().find(|(name, _)| *name == own).map_or(&[][..], |(_, to)| to);
        for path in source.paths().iter().filter(|path| path.parts[0] == "crate") {
            // The names that lib.rs exports belong to parts too, but say not to which.
            let to = path.parts[1].as_str();
            if to != own && !allowed.contains(&to) {
                found.push(format!("{}: {}", source.at(path.line), path.parts.join("::")));
            }
            used.insert((own.clone(), to.to_owned()));
        }
    }
    none("imports against the arrows", found);
    assert!(used.len() > 20, "too few imports were found: {used:?}");
}

/// The rows of the table of features: the names of the files, and those of the steps.
fn table() -> Vec<(Vec<String>, Vec<String>)> {
    let text = read("libcontainer/src/features/mod.rs");
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let rows = rows.map(|row| {
        let cells: Vec<&str> = row.trim_end_matches('|').split(" | ").collect();
        assert!(cells.len() >= 4, "a row with {} cells: {row}", cells.len());
        let name = |text: &str| text.trim().trim_matches('`').to_owned();
        let list = |cell: &str| cell.split(',').map(name).collect::<Vec<_>>();
        (list(cells[0]), list(cells[2]))
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() > 10, "the table of features was not found");
    rows
}

#[test]
fn features_know_each_other_only_where_it_is_listed() {
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    let table = table();
    for source in below("libcontainer/src/features") {
        let own = source.module().to_owned();
        let listed = NEIGHBOURS.iter().find(|(name, _)| *name == own).map_or(&[][..], |(_, to)| to);
        let row = table.iter().find(|(files, _)| files.contains(&own));
        let one_feature = |to: &str| row.is_some_and(|(files, _)| files.iter().any(|f| f == to));
        for path in source.paths() {
            let to = path.parts.get(1).map_or("", String::as_str);
            let allowed = match path.parts[0].as_str() {
                "super" => to == "Context" || one_feature(to) || listed.contains(&to),
                // Another way to say `super`, which would hide from this rule.
                "crate" => to != "features",
                "libcontainer_init" => is_data(&path.parts[1..]),
                "std" => PURE.contains(&to),
                first => !FOREIGN.contains(&first),
            };
            if !allowed {
                found.push(format!("{}: {}", source.at(path.line), path.parts.join("::")));
            }
            used.insert((own.clone(), to.to_owned()));
        }
    }
    none("features that do more than decide", found);
    let stale = NEIGHBOURS.iter().flat_map(|(own, list)| {
        let used = |to: &&&str| used.contains(&((*own).to_owned(), (**to).to_owned()));
        list.iter().filter(move |to| !used(to)).map(move |to| format!("{own} -> {to}"))
    });
    none("exceptions that are not needed any more", stale);
}

/// Whether a path into the crate of init names data: steps, their fields, or a constant.
fn is_data(parts: &[String]) -> bool {
    let last = parts.last().map_or("", String::as_str);
    let constant = last.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    match parts[0].as_str() {
        "step" | "wire" => true,
        "sys" => {
            let types = [["limit", "Limit"], ["scheduler", "Attributes"]];
            constant || types.iter().any(|path| parts[1..] == *path)
        }
        _ => false,
    }
}

#[test]
fn init_depends_on_nothing() {
    // The runtime's half of the package converts descriptors; the program never has that feature.
    const STD: [&str; 2] = ["libcontainer/init/src/lib.rs", "libcontainer/init/src/sys/fd.rs"];
    let manifest = read("libcontainer/init/Cargo.toml");
    assert!(!manifest.contains("\n[dependencies]"), "the package of init has dependencies");
    let mut found = Vec::new();
    for source in below("libcontainer/init/src") {
        let starts = source.paths();
        let named = starts.iter().map(|path| (path.parts[0].as_str(), path.line));
        let linked = source.lines_with(&["extern", "crate"]);
        let linked = linked.into_iter().map(|line| ("std", line));
        for (name, line) in named.chain(linked).filter(|(name, _)| FOREIGN.contains(name)) {
            // Init's own module for capabilities has the name of a package.
            let own = name == "caps" || (name == "std" && STD.contains(&source.path.as_str()));
            if !own {
                found.push(format!("{}: {name}", source.at(line)));
            }
        }
    }
    none("imports of init", found);
    for head in ["libcontainer/init/src/lib.rs", "libcontainer/init/src/main.rs"] {
        assert!(read(head).contains("\n#![no_std]\n"), "{head} is not no_std");
    }
}

#[test]
fn unsafe_code_stands_below_sys_and_in_the_entry_of_init() {
    let mut found = Vec::new();
    let mut allowed = 0;
    for source in product() {
        let entry = source.path == "libcontainer/init/src/main.rs";
        let start =
            source.tokens.windows(2).position(|w| w[0].text == "mod" && w[1].text == "start");
        let entry = start.filter(|_| entry).map_or(0..0, |at| {
            let end = source::closing(&source.tokens, at + 2);
            source.tokens[at].line..source.tokens[end].line
        });
        for token in source.tokens.iter().filter(|token| token.text == "unsafe") {
            if source.path.starts_with("libcontainer/init/src/sys/") || entry.contains(&token.line)
            {
                allowed += 1;
            } else {
                found.push(source.at(token.line));
            }
        }
    }
    none("unsafe code", found);
    assert!(allowed > 20, "only {allowed} places with unsafe code were found: the rule is blind");
    for head in ["libcontainer/src/lib.rs", "runtime-cli/src/main.rs"] {
        assert!(read(head).contains("\n#![forbid(unsafe_code)]\n"), "{head} allows unsafe code");
    }
}

#[test]
fn the_command_uses_the_public_names_of_the_library_and_nothing_below() {
    // Modules whose items are for every program; the other public modules show how a plan is made.
    const MODULES: [&str; 3] = ["container", "seccomp", "spec"];
    let library = Source::new("lib.rs", &read("libcontainer/src/lib.rs"));
    let inner = [
        "assessment",
        "bundle",
        "container",
        "error",
        "features",
        "features_document",
        "host",
        "id",
        "options",
        "plan",
    ];
    let exported: Vec<String> = library
        .paths()
        .into_iter()
        .filter(|path| inner.contains(&path.parts[0].as_str()))
        .filter_map(|path| path.parts.last().cloned())
        .collect();
    assert!(exported.len() > 10, "the names that lib.rs exports were not found: {exported:?}");
    let mut found = Vec::new();
    for source in below("runtime-cli/src") {
        for path in source.paths() {
            let name = path.parts.get(1).map_or("", String::as_str);
            let public = MODULES.contains(&name) || exported.iter().any(|known| known == name);
            let allowed = match path.parts[0].as_str() {
                "libcontainer" => public,
                first => first != "libcontainer_init",
            };
            if !allowed {
                found.push(format!("{}: {}", source.at(path.line), path.parts.join("::")));
            }
        }
    }
    none("names that are not for the command", found);
    assert!(!read("runtime-cli/Cargo.toml").contains("libcontainer-init"));
}

#[test]
fn files_are_short() {
    const MAX: usize = 500;
    const MEDIAN: usize = 150;
    let long = everything().into_iter().filter(|source| source.lines > MAX);
    none("files that are too long", long.map(|s| format!("{}: {} lines", s.path, s.lines)));
    let mut lines: Vec<usize> = product().iter().map(|source| source.lines).collect();
    lines.sort_unstable();
    let (count, median) = (lines.len(), lines[lines.len() / 2]);
    let numbers = format!("{count} files, median {median}, p90 {}", lines[count * 9 / 10]);
    assert!(median <= MEDIAN, "the median file has more than {MEDIAN} lines: {numbers}");
}

#[test]
fn functions_are_short() {
    const MAX: usize = 70;
    const MEDIAN: usize = 10;
    let (mut found, mut lengths) = (Vec::new(), Vec::new());
    let mut listed: BTreeSet<(&str, &str)> = ONE_MATCH.into_iter().collect();
    for source in product().iter().filter(|source| !source.is_test()) {
        for function in source.functions() {
            lengths.push(function.lines);
            let key = (source.path.as_str(), function.name.as_str());
            let exception = ONE_MATCH.contains(&key);
            listed.retain(|name| *name != key);
            if function.lines > MAX && !exception {
                let (at, lines) = (source.at(function.line), function.lines);
                found.push(format!("{at}: {} has {lines} lines", function.name));
            }
        }
    }
    none("functions that are too long", found);
    assert!(listed.is_empty(), "exceptions that do not exist any more: {listed:?}");
    lengths.sort_unstable();
    let (count, median) = (lengths.len(), lengths[lengths.len() / 2]);
    assert!(count > 300, "only {count} functions were found: the rule is blind");
    assert!(median <= MEDIAN, "of {count} functions the median has {median} lines");
}

#[test]
fn every_module_begins_with_what_it_is_for() {
    let silent = everything().into_iter().filter(|source| {
        let first = source.text.lines().next().unwrap_or_default();
        first.strip_prefix("//! ").is_none_or(|text| text.trim().is_empty())
    });
    none("modules without a word about themselves", silent.map(|source| source.path));
}

#[test]
fn names_say_something() {
    let mut found = Vec::new();
    let vague = |name: &str| name.split(['_', '-']).any(|word| BANNED.contains(&word));
    for source in everything() {
        let path = source.path.trim_end_matches(".rs");
        if path.split('/').any(vague) {
            found.push(source.path.clone());
        }
        for pair in source.tokens.windows(2).filter(|pair| pair[0].text == "mod") {
            if vague(&pair[1].text) {
                found.push(format!("{}: mod {}", source.at(pair[0].line), pair[1].text));
            }
        }
    }
    none("names of files and modules that say nothing", found);
}

#[test]
fn a_plan_has_few_kinds_of_step() {
    const MAX: usize = 60;
    let count = Step::NAMES.len();
    assert!((30..=MAX).contains(&count), "there are {count} kinds of step of init");
}

#[test]
fn the_table_of_features_names_every_file_and_only_steps_that_exist() {
    let tasks = Source::new("task", &read("libcontainer/src/task/mod.rs")).variants("Task");
    assert!(tasks.len() > 15 && tasks.iter().any(|task| task == "Publish"), "{tasks:?}");
    let steps = |name: &str| Step::NAMES.contains(&name) || tasks.iter().any(|task| task == name);
    let (mut listed, mut found) = (BTreeSet::new(), Vec::new());
    for (names, performed) in table() {
        for name in names {
            if !listed.insert(name.clone()) {
                found.push(format!("{name} stands there twice"));
            }
        }
        let none = performed[0].starts_with("none");
        let unknown = performed.iter().filter(|name| !none && !steps(name));
        found.extend(unknown.map(|name| format!("there is no step \"{name}\"")));
    }
    let files = below("libcontainer/src/features");
    let files: BTreeSet<String> = files
        .iter()
        .map(|source| source.module().to_owned())
        .filter(|module| module != "features")
        .collect();
    found.extend(files.difference(&listed).map(|name| format!("{name} is missing")));
    found.extend(listed.difference(&files).map(|name| format!("there is no file {name}.rs")));
    none("the table in features/mod.rs", found);
}

#[test]
fn the_library_prints_nothing_asks_no_environment_and_never_gives_up() {
    const MACROS: [&str; 9] = [
        "println",
        "eprintln",
        "print",
        "eprint",
        "dbg",
        "panic",
        "todo",
        "unimplemented",
        "unreachable",
    ];
    let mut found = Vec::new();
    for source in below("libcontainer/src") {
        let macros = MACROS.map(|name| vec![name, "!"]);
        let calls = ["unwrap", "expect"].map(|name| vec![".", name, "("]);
        for words in macros.iter().chain(&calls) {
            let lines = source.lines_with(words);
            found.extend(
                lines.iter().map(|line| format!("{}: {}", source.at(*line), words.concat())),
            );
        }
        for path in source.paths() {
            let text = path.parts.join("::");
            let banned = text.starts_with("std::env")
                || text.ends_with("process::exit")
                || text.ends_with("process::abort")
                || text.contains("set_current_dir");
            if banned {
                found.push(format!("{}: {text}", source.at(path.line)));
            }
        }
    }
    none("words that the library must not use", found);
}

#[test]
fn the_reader_of_sources_is_not_fooled() {
    let text = r###"//! unsafe
        use crate::{a::B, c::{self, D as E}, super_::*}; // crate::no::No
        fn f<'a>(x: &'a str) -> [char; 3] { g::h::<T>("crate::no \" unsafe", 'x', '\'', b"\"") }
        /* fn none() {} */ const S: &str = r#"fn none() { "quoted" }"#;
        enum Kind { One, Two { field: u32, other: u8 }, Three(Vec<u8>) }
        #[cfg(test)]
        mod tests {
            fn none() { let _ = "}".unwrap(); }
        }
        fn last() {
            i::j();
        }"###;
    let source = Source::new("dir/mod.rs", text);
    let paths: Vec<String> = source.paths().iter().map(|path| path.parts.join("::")).collect();
    let expected = ["crate::a::B", "crate::c::self", "crate::c::D", "crate::super_::*"];
    assert_eq!(paths, [&expected[..], &["g::h", "i::j"]].concat());
    let functions: Vec<_> =
        source.functions().into_iter().map(|f| (f.name, f.line, f.lines)).collect();
    assert_eq!(functions, [("f".to_owned(), 3, 1), ("last".to_owned(), 10, 3)]);
    assert_eq!(source.variants("Kind"), ["One", "Two", "Three"]);
    assert_eq!((source.module(), source.lines), ("dir", 8));
    for hidden in ["unsafe", "unwrap", "none", "No"] {
        assert_eq!(source.lines_with(&[hidden]), [0; 0], "{hidden}");
    }
}
