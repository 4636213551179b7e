//! Shares of caches and memory bandwidth (`intelRdt`). Few machines have resctrl; what keel writes
//! there is tested beside its code, with plain files. Here: nothing runs without it unnoticed, and
//! where there is one, a container is in its class.

use std::fs;
use std::path::Path;

use integration::{Need, Scene};
use serde_json::json;

const ROOT: &str = "/sys/fs/resctrl";

#[test]
fn without_resctrl_there_is_no_container_that_wants_a_share() {
    let Some(scene) = Scene::begin() else { return };
    if fs::metadata(Path::new(ROOT).join("schemata")).is_ok() {
        return integration::skip("resctrl is mounted here");
    }
    for wanted in [
        json!({ "closID": "gold" }),
        json!({ "l3CacheSchema": "L3:0=f" }),
        json!({ "memBwSchema": "MB:0=50" }),
    ] {
        let outcome = scene.refused(&scene.bundle().set("/linux/intelRdt", wanted));
        if scene.is_keel() {
            outcome.says(&["resctrl", "none is mounted", "(config.json /linux/intelRdt)"]);
        }
    }
}

#[test]
fn a_container_and_what_is_added_to_it_are_in_a_class_of_its_own() {
    let Some(scene) = Scene::needing(&[Need::Path("/sys/fs/resctrl/schemata")]) else { return };
    let bundle = scene.bundle().sleeping().set("/linux/intelRdt", json!({}));
    let container = scene.start(&bundle);
    let class = Path::new(ROOT).join(container.id());
    let tasks = || fs::read_to_string(class.join("tasks")).expect("the class is there");
    assert!(tasks().lines().any(|task| task == container.pid().to_string()), "{}", tasks());
    let before = tasks().lines().count();
    scene.keel(["exec", "--detach", container.id(), "sleep", "1000"]).run().ok();
    assert_eq!(tasks().lines().count(), before + 1);
    container.delete_force();
    assert!(fs::metadata(&class).is_err());
}
