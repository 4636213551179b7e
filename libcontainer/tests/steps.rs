//! Every kind of step, performed for real: a handful of configurations, each run as a container
//! through the library, and looked at from inside.
//!
//! Needs root. The plan of each container tells which steps its init performs; the last test adds
//! them up and demands that none of [`Step::NAMES`] is missing. A case runs once, whichever test
//! asks for it first.

#[path = "steps/bundle.rs"]
mod bundle;
#[path = "steps/cases.rs"]
mod cases;
#[path = "steps/later.rs"]
mod later;
#[path = "steps/scene.rs"]
mod scene;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{LazyLock, OnceLock};

use libcontainer::Cgroups;
use libcontainer_init::step::Step;
use scene::{Scene, Steps};

/// What came of a case.
enum Outcome {
    /// It ran, and these steps were performed.
    Good(Steps),
    /// It failed, with this message.
    Bad(String),
    /// It cannot run here, for this reason.
    Impossible(String),
}

/// A configuration and what it must lead to.
struct Case {
    name: &'static str,
    perform: fn(&Scene) -> Steps,
    outcome: OnceLock<Outcome>,
}

impl Case {
    fn outcome(&self) -> &Outcome {
        self.outcome.get_or_init(|| match Scene::begin() {
            Err(reason) => Outcome::Impossible(reason),
            Ok(scene) => match catch_unwind(AssertUnwindSafe(|| (self.perform)(&scene))) {
                Ok(steps) => Outcome::Good(steps),
                Err(panic) => Outcome::Bad(message(panic)),
            },
        })
    }

    fn check(&self) {
        match self.outcome() {
            Outcome::Good(_) => {}
            Outcome::Bad(message) => panic!("{}: {message}", self.name),
            Outcome::Impossible(reason) => skip(reason),
        }
    }
}

fn skip(reason: &str) {
    let thread = std::thread::current();
    bundle::skip(&format!("steps::{}", thread.name().unwrap_or("main")), reason);
}

fn message(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast::<&str>().map_or("a panic".to_owned(), |t| (*t).to_owned()),
    }
}

/// A test for each function of [`cases`], and the list of all.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| vec![$(
            Case { name: stringify!($name), perform: cases::$name, outcome: OnceLock::new() }
        ),*]);
        $(
            #[test]
            fn $name() {
                CASES.iter().find(|case| case.name == stringify!($name)).unwrap().check();
            }
        )*
    };
}

cases![
    a_usual_container_is_closed_in_on_all_sides,
    a_user_namespace_has_ids_of_its_own,
    a_joined_user_namespace_is_shared_and_the_others_are_made_inside,
    joined_pid_and_network_namespaces_are_shared,
    an_init_that_waits_holds_no_file_of_the_host_and_cannot_be_looked_into,
    no_mount_reaches_a_shared_mount_of_the_host,
    hooks_run_at_their_moments,
    a_terminal_is_kept_for_the_caller,
    kernel_parameters_are_those_of_the_container_alone,
    without_pivot_root_the_rootfs_is_the_root_all_the_same,
    without_a_mount_namespace_the_root_is_changed_and_nothing_is_mounted,
    preserved_descriptors_get_the_numbers_from_three_on,
    more_binds_than_fit_into_a_message_are_all_made,
    a_remount_changes_the_mount_that_is_there,
    a_tmpfs_starts_with_what_it_covers,
    a_cgroup_namespace_is_rooted_in_the_containers_cgroup,
    another_user_owns_the_streams_and_has_a_home_and_a_mask,
    a_read_only_dev_has_its_nodes,
    a_shared_root_is_shared,
    the_session_keyring_is_the_containers_own,
    a_container_says_that_it_is_ready,
    a_caller_without_privileges_leaves_the_copying_of_mounts_to_init,
    a_process_that_is_added_ends_up_on_the_cpus_it_asks_for,
    a_mount_that_is_added_can_be_removed,
    a_filter_of_system_calls_is_there,
];

/// Steps that no case performs on a machine like this one, and why.
fn exceptions() -> Vec<(&'static str, &'static str)> {
    let mut list = Vec::new();
    if Cgroups::probe().unwrap().legacy.is_empty() {
        list.push(("EnterCgroups", "with cgroup v2 alone init is born in its cgroup"));
    }
    list
}

#[test]
fn every_kind_of_step_was_performed() {
    let mut performed = Steps::new();
    let mut failed = Vec::new();
    for case in CASES.iter() {
        match case.outcome() {
            Outcome::Good(steps) => performed.extend(steps.iter().cloned()),
            Outcome::Bad(_) => failed.push(case.name),
            Outcome::Impossible(reason) => return skip(reason),
        }
    }
    let exceptions = exceptions();
    let excepted = |name: &str| exceptions.iter().any(|(known, _)| *known == name);
    let missing = Step::NAMES.iter().filter(|name| !performed.contains(**name) && !excepted(name));
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "never performed: {missing:?}; cases that failed: {failed:?}");
    let stale = exceptions.iter().filter(|(name, _)| performed.contains(*name));
    assert_eq!(stale.collect::<Vec<_>>(), Vec::<&(&str, &str)>::new(), "performed after all");
}
