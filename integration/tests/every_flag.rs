//! Every command and every flag of keel, called for real at least once with an effect that is seen.
//!
//! What there is, is read from the help of the command itself, which is made from its table; a flag
//! that nobody calls here fails the test. A case is a row of the table in the file of its command:
//! the command, the flag (or nothing, for the command itself), and what calls it in a scene.

use std::collections::BTreeSet;
use std::path::Path;

use integration::{Need, Scene};

#[path = "every_flag/exec.rs"]
mod exec;
#[path = "every_flag/globals.rs"]
mod globals;
#[path = "every_flag/limits.rs"]
mod limits;
#[path = "every_flag/make.rs"]
mod make;
#[path = "every_flag/manage.rs"]
mod manage;
#[path = "every_flag/texts.rs"]
mod texts;

/// A command (none for flags that stand before it), a flag (none for the command itself), and a
/// call that shows its effect.
type Case = (&'static str, &'static str, fn(&Scene));

/// Add the table of a new file here.
const ALL: [&[Case]; 6] =
    [globals::CASES, make::CASES, exec::CASES, manage::CASES, limits::CASES, texts::CASES];

/// Performs the cases of a table, each in a scene of its own.
fn perform(cases: &[Case]) {
    for (command, flag, call) in cases {
        let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
        // Shown with a failure: the last one is the one that failed.
        println!("keel {command} {flag}");
        call(&scene);
    }
}

#[test]
fn flags_before_the_command_work() {
    perform(globals::CASES);
}

#[test]
fn create_and_run_and_all_their_flags_work() {
    perform(make::CASES);
}

#[test]
fn exec_and_all_its_flags_work() {
    perform(exec::CASES);
}

#[test]
fn commands_for_a_container_that_is_there_and_all_their_flags_work() {
    perform(manage::CASES);
}

#[test]
fn commands_for_what_a_container_uses_and_all_their_flags_work() {
    perform(limits::CASES);
}

#[test]
fn commands_that_only_write_something_and_all_their_flags_work() {
    perform(texts::CASES);
}

/// What a text of the help lists below a heading.
fn listed<'a>(help: &'a str, heading: &str) -> impl Iterator<Item = &'a str> {
    let section = help.lines().skip_while(move |line| !line.starts_with(heading)).skip(1);
    section.take_while(|line| !line.is_empty())
}

/// The long flags in a section of the help, but for `--help`, which every command has.
fn flags(help: &str, heading: &str) -> Vec<String> {
    let rows = listed(help, heading).filter_map(|line| {
        let (before, after) = line.get(..40.min(line.len()))?.split_once("--")?;
        (before.len() == 6 && !before.trim_start().starts_with(char::is_alphanumeric))
            .then(|| after.split(' ').next().unwrap_or_default())
    });
    rows.filter(|name| *name != "help").map(|name| format!("--{name}")).collect()
}

/// Every command with its flags, as the help has them.
fn table(scene: &Scene) -> BTreeSet<(String, String)> {
    let help = |words: &[&str]| scene.call(scene.runtime().program()).args(words).run().ok().stdout;
    let program = help(&["--help"]);
    let mut rows = BTreeSet::new();
    rows.extend(flags(&program, "Global options").into_iter().map(|flag| (String::new(), flag)));
    let commands = listed(&program, "Commands:").filter_map(|line| line.strip_prefix("  "));
    for line in commands.filter(|line| !line.starts_with(' ')) {
        let command = line.split(' ').next().unwrap_or_default();
        rows.insert((command.to_owned(), String::new()));
        let flags = flags(&help(&[command, "--help"]), "Options");
        rows.extend(flags.into_iter().map(|flag| (command.to_owned(), flag)));
    }
    rows
}

#[test]
fn every_command_and_every_flag_has_a_case() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let table = table(&scene);
    assert!(table.len() > 60, "the help was not understood: {table:?}");
    let owned = |case: &Case| (case.0.to_owned(), case.1.to_owned());
    let cases: Vec<_> = ALL.into_iter().flatten().map(owned).collect();
    let known: BTreeSet<_> = cases.iter().cloned().collect();
    assert_eq!(known.len(), cases.len(), "a case stands there twice");
    let missing: Vec<_> = table.difference(&known).collect();
    assert!(missing.is_empty(), "never called: {missing:?}");
    let stale: Vec<_> = known.difference(&table).collect();
    assert!(stale.is_empty(), "no such command or flag: {stale:?}");
}

#[test]
fn every_command_has_help_in_both_spellings() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let call = |words: &[&str]| scene.call(scene.runtime().program()).args(words).run().ok().stdout;
    for (command, _) in
        table(&scene).into_iter().filter(|(name, flag)| flag.is_empty() && !name.is_empty())
    {
        let help = call(&[&command, "--help"]);
        assert!(help.contains(&format!("\nUsage: keel {command}")), "{help}");
        assert_eq!(call(&[&command, "-h"]), help);
        assert_eq!(call(&["help", &command]), help);
    }
    assert_eq!(call(&["-h"]), call(&["--help"]));
}

#[test]
fn the_documentation_lists_every_command_and_every_flag() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime-cli/COMMANDS.md");
    let text = std::fs::read_to_string(path).expect("COMMANDS.md");
    for (command, flag) in table(&scene) {
        let sections: Vec<&str> = text.split("\n## ").collect();
        let title = if command.is_empty() { "Global options" } else { &command };
        let section = sections.iter().find(|section| section.lines().next() == Some(title));
        let section = section.unwrap_or_else(|| panic!("no section {title}"));
        assert!(section.contains(&flag), "{title}: {flag}");
    }
}

/// A path of the scene as a word of a command line.
fn path(scene: &Scene, name: &str) -> String {
    scene.dir().join(name).to_str().expect("UTF-8").to_owned()
}
