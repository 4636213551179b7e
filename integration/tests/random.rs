//! Configurations at random, with any combination of fields: each is created and started, looked at
//! from outside, and deleted. What it asks for is there, `explain` names nothing that it does not
//! ask for, and nothing stays.
//!
//! The dice give the same numbers each time; `KEEL_RANDOM_SEED` gives others, and a failure tells the
//! seed and the configuration.

#[path = "random/facets.rs"]
mod facets;

use std::fs;

use facets::{FACETS, Seen};
use integration::dice::Dice;
use integration::inside::Inside;
use integration::{Bundle, Need, Scene};
use serde_json::Value;

/// Configurations of each test: the four run at the same time.
const ROUNDS: u64 = 500;

/// Whether `explain` tells only of what is asked for: each pointer leads into the configuration.
fn explain_does_not_lie(scene: &Scene, bundle: &Bundle) {
    let plan = scene.keel(["explain", "--format", "json"]).arg(bundle.dir()).run().ok().stdout;
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    let phases = plan["phases"].as_array().expect("phases").iter();
    for step in phases.flat_map(|phase| phase["steps"].as_array().expect("steps")) {
        let pointer = step["pointer"].as_str().expect("a pointer");
        assert!(bundle.config().pointer(pointer).is_some(), "{step}");
    }
}

fn rounds(seed: u64) {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let given = std::env::var("KEEL_RANDOM_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ given.unwrap_or(0) | 1);
    let plain = scene.bundle().sleeping();
    let before = scene.snapshot();
    let mut asked = 0;
    for round in 0..ROUNDS {
        let mut bundle = plain.clone();
        let mut checks = Vec::new();
        for facet in FACETS {
            if dice.chance(2) {
                let (changed, check) = facet(&mut dice, bundle);
                bundle = changed;
                checks.push(check);
            }
        }
        println!("seed {seed}, round {round}: {}", bundle.config());
        let container = scene.start(&bundle);
        explain_does_not_lie(&scene, &bundle);
        let pid = container.pid();
        let text = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).expect("a file");
        let cgroup = bundle.cgroup().to_owned();
        let (inside, status) = (Inside(text("mountinfo")), Inside(text("status")));
        let id = container.id();
        let seen = Seen { scene: &scene, id, pid, cgroup, inside, status };
        for check in &checks {
            check(&seen);
        }
        asked += checks.len();
        container.delete_force();
        if round % 100 == 99 {
            before.assert_same();
        }
    }
    assert!(asked > 2000, "{asked} facets were looked at");
}

#[test]
fn configurations_at_random_do_what_they_say_and_leave_nothing() {
    rounds(1);
}

#[test]
fn a_second_series_does_what_it_says_and_leaves_nothing() {
    rounds(2);
}

#[test]
fn a_third_series_does_what_it_says_and_leaves_nothing() {
    rounds(3);
}

#[test]
fn a_fourth_series_does_what_it_says_and_leaves_nothing() {
    rounds(4);
}
