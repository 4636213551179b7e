//! COVERAGE.md: no property of the runtime-spec is missing, and what the table says is so.
//!
//! With `RUNTIME_SPEC_SCHEMA=DIR`, the directory of the specification's JSON schemas, the list of
//! properties itself is made anew and compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use libcontainer::spec::Spec;
use libcontainer::{Bundle, Host, Options, Plan};
use serde_json::{Value, json};

#[path = "coverage/examples.rs"]
mod examples;
#[path = "coverage/schema.rs"]
mod schema;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What the section about annotations begins with.
const ANNOTATIONS: &str = "\n## Annotations\n";

/// A line of the table.
#[derive(Debug)]
struct Row {
    properties: Vec<String>,
    features: Vec<String>,
    steps: Vec<String>,
    test: String,
}

fn rows() -> Vec<Row> {
    let text = read("COVERAGE.md");
    let (properties, _) = text.split_once(ANNOTATIONS).unwrap();
    let lines = properties.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: Vec<Row> = lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_end_matches(" |").split(" | ").collect();
            let [property, features, steps, test, ..] = cells[..] else { panic!("{line}") };
            assert!(cells[4..].iter().all(|cell| ["y", "p", "n"].contains(cell)), "{line}");
            assert_eq!(cells.len(), 7, "{line}");
            let words =
                |cell: &str| cell.split(", ").map(|w| w.trim_matches('`').to_owned()).collect();
            Row {
                properties: expanded(property.trim_end_matches('`')),
                features: words(features),
                steps: if steps == "-" { Vec::new() } else { words(steps) },
                test: test.trim_matches('`').to_owned(),
            }
        })
        .collect();
    assert!(rows.len() > 100);
    rows
}

/// All that a text with `{one,or,other}` stands for.
fn expanded(text: &str) -> Vec<String> {
    let Some((before, rest)) = text.split_once('{') else { return vec![text.to_owned()] };
    let (choices, after) = rest.split_once('}').unwrap();
    choices
        .split(',')
        .flat_map(|choice| expanded(after).into_iter().map(move |end| format!("{choice}{end}")))
        .map(|end| format!("{before}{end}"))
        .collect()
}

fn properties() -> BTreeSet<String> {
    read("tests/coverage/properties.txt").lines().map(str::to_owned).collect()
}

#[test]
fn every_property_has_one_row() {
    let mut left = properties();
    assert!(left.len() > 200);
    for property in rows().into_iter().flat_map(|row| row.properties) {
        assert!(left.remove(&property), "{property} has two rows, or does not exist");
    }
    assert_eq!(left, BTreeSet::new(), "properties without a row");
}

#[test]
fn the_list_of_properties_is_that_of_the_schema() {
    let Some(dir) = std::env::var_os("RUNTIME_SPEC_SCHEMA") else {
        return skip("RUNTIME_SPEC_SCHEMA names no directory with the schemas");
    };
    assert_eq!(schema::properties(Path::new(&dir)), properties());
}

fn skip(reason: &str) {
    let line = format!("SKIP coverage: {reason}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("KEEL_SKIPS") {
        let opened = fs::OpenOptions::new().append(true).create(true).open(path);
        std::io::Write::write_all(&mut opened.unwrap(), line.as_bytes()).unwrap();
    }
}

#[test]
fn features_and_tests_that_are_named_exist() {
    for row in rows() {
        for feature in &row.features {
            let known = feature.starts_with('(')
                || fs::metadata(file(&format!("src/features/{feature}.rs"))).is_ok();
            assert!(known, "{row:?}");
        }
        if row.test != "ignored" {
            assert_is_test(&row.test);
        }
    }
}

#[track_caller]
fn assert_is_test(test: &str) {
    let (name, function) = test.split_once("::").unwrap_or_else(|| panic!("{test}"));
    let text = read(&format!("../integration/tests/{name}.rs"));
    let cfg = "#[cfg(target_arch = \"x86_64\")]\n";
    let is_test = |cfg: &str| text.contains(&format!("#[test]\n{cfg}fn {function}()"));
    assert!(is_test("") || is_test(cfg), "{test}");
}

/// The rows about annotations: names, what becomes of them, test.
fn annotations() -> Vec<(Vec<String>, String, String)> {
    let text = read("COVERAGE.md");
    let (_, section) = text.split_once(ANNOTATIONS).unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")).map(|line| {
        let cells: Vec<&str> = line.trim_end_matches(" |").split(" | ").collect();
        let [names, fate, _, test, runc, crun, youki] = cells[..] else { panic!("{line}") };
        assert!([runc, crun, youki].iter().all(|cell| ["y", "p", "n"].contains(cell)), "{line}");
        let names = expanded(names.trim_end_matches('`'));
        (names, fate.to_owned(), test.trim_matches('`').to_owned())
    });
    rows.collect()
}

/// What the table says becomes of an annotation is so; that those which are applied are looked at,
/// `features.rs` tests of the document.
#[test]
fn every_annotation_has_a_row_and_what_it_says_becomes_of_it() {
    let document = libcontainer::features_document();
    let mut unsafe_ones: BTreeSet<String> =
        document.potentially_unsafe_config_annotations.into_iter().collect();
    for (names, fate, test) in annotations() {
        assert_is_test(&test);
        for name in names {
            let listed = unsafe_ones.remove(name.trim_end_matches('*'));
            assert_eq!(listed, ["applied", "refused"].contains(&fate.as_str()), "{name}: {fate}");
            let mut config = examples::minimal();
            config["annotations"] = json!({ name.replace('*', "Moon"): "moon" });
            let spec: Spec = serde_json::from_value(config).unwrap();
            let (bundle, id) = (Bundle::from_spec("/", spec).unwrap(), "noted".parse().unwrap());
            let plan = Plan::create(&bundle, &id, &Options::default(), &Host::example());
            let warned = plan.as_ref().is_ok_and(|plan| !plan.warnings().is_empty());
            match fate.as_str() {
                "applied" => {}
                "refused" => assert!(plan.is_err(), "{name}"),
                "warning" => assert!(warned, "{name}"),
                "passed on" => assert!(plan.is_ok() && !warned, "{name}"),
                other => panic!("{name}: {other}"),
            }
        }
    }
    assert_eq!(unsafe_ones, BTreeSet::new(), "annotations without a row");
}

/// The steps of a plan: pointer and kind.
fn steps(plan: &Plan) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let document = plan.explain_json();
    let phases = document["phases"].as_array().unwrap().iter();
    let steps = phases.flat_map(|phase| phase["steps"].as_array().unwrap());
    steps.map(|step| (text(&step["pointer"]), text(&step["kind"]))).collect()
}

/// The pointers of a configuration's properties, with `*` for what is no name of the specification.
fn present(config: &Value, known: &BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = vec![(String::new(), config)];
    while let Some((pointer, value)) = left.pop() {
        let members: Vec<(String, &Value)> = match value {
            Value::Object(members) => members.iter().map(|(k, v)| (k.clone(), v)).collect(),
            Value::Array(items) => items.iter().map(|item| ("*".to_owned(), item)).collect(),
            _ => Vec::new(),
        };
        for (name, member) in members {
            let named = format!("{pointer}/{name}");
            let property = if known.contains(&named) { named } else { format!("{pointer}/*") };
            left.push((property.clone(), member));
            found.insert(property);
        }
    }
    found
}

/// Properties that are applied together with another, at whose pointer the step is.
const BESIDE: [(&str, &str); 4] = [
    ("/process/consoleSize", "/process/terminal"),
    ("/process/execCPUAffinity/initial", "/process/execCPUAffinity/final"),
    ("/linux/gidMappings", "/linux/uidMappings"),
    ("/linux/mountLabel", "/mounts"),
];

/// Which kinds of step a property may be applied by: those of configurations that have it, at its
/// pointer, around or within it, or at none.
#[test]
fn configurations_that_have_a_property_have_its_steps() {
    let known = properties();
    let mut kinds: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, config, host) in examples::all() {
        let spec: Spec = serde_json::from_value(config.clone()).unwrap();
        let bundle = Bundle::from_spec("/", spec).unwrap();
        let (id, options) = ("covered".parse().unwrap(), Options::default());
        let create = Plan::create(&bundle, &id, &options, &host);
        let exec = Plan::exec(&bundle, &id, &options, &host);
        let plans = [create, exec].map(|plan| plan.unwrap_or_else(|e| panic!("{name}: {e}")));
        let steps: Vec<_> = plans.iter().flat_map(steps).collect();
        for property in present(&config, &known) {
            let beside = BESIDE.iter().find(|(beside, _)| within(&property, beside));
            let at = beside.map_or(property.as_str(), |(_, other)| other);
            let about = steps.iter().filter(|(pointer, _)| {
                let pointer = stars(pointer, &known);
                pointer.is_empty() || within(at, &pointer) || within(&pointer, at)
            });
            let about: Vec<String> = about.map(|(_, kind)| kind.clone()).collect();
            kinds.entry(property).or_default().extend(about);
        }
    }
    let mut wrong = Vec::new();
    for row in rows().iter().filter(|row| !row.steps.is_empty()) {
        for property in &row.properties {
            let found = kinds.get(property).cloned().unwrap_or_default();
            let missing: Vec<&String> =
                row.steps.iter().filter(|step| !found.contains(*step)).collect();
            if !missing.is_empty() {
                wrong.push(format!("{property} has no {missing:?}, but {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn within(pointer: &str, outer: &str) -> bool {
    pointer.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A pointer into a configuration, as the list of properties writes it.
fn stars(pointer: &str, known: &BTreeSet<String>) -> String {
    let names = pointer.split('/').skip(1);
    names.fold(String::new(), |outer, name| {
        let named = format!("{outer}/{name}");
        if known.contains(&named) || name.is_empty() { named } else { format!("{outer}/*") }
    })
}

#[test]
fn what_is_of_another_system_is_ignored() {
    for row in rows().iter().filter(|row| !row.test.contains("::")) {
        let pointer = &row.properties[0];
        let mut config = examples::minimal();
        let parent = pointer.rsplit_once('/').unwrap().0;
        *config.pointer_mut(parent).unwrap() = json!({ "commandLine": "x", "username": "x" });
        let text = config.to_string();
        let (_, unknown) = Spec::parse_noting_unknown(text.as_bytes()).unwrap();
        assert!(unknown.contains(pointer), "{pointer}: {unknown:?}");
    }
}
