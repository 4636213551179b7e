//! Containers by pattern, by status, and by an id that is mistyped.

use integration::{Container, Need, Scene, bundle};

/// Sleeping containers whose ids end with these words.
fn named<'a>(scene: &'a Scene, words: &[&str]) -> Vec<Container<'a>> {
    let make = |word: &&str| {
        let id = format!("{}-{word}", scene.tag());
        let call = scene.verb("create", &[], &scene.bundle().sleeping(), &id).spawn();
        let output = call.stdout_path().to_owned();
        call.wait().ok();
        Container::new(scene, id, output)
    };
    words.iter().map(make).collect()
}

fn statuses(containers: &[Container<'_>]) -> Vec<String> {
    containers.iter().map(Container::status).collect()
}

#[test]
fn a_signal_reaches_all_containers_that_match_and_no_others() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let containers = named(&scene, &["web-1", "web-2", "db-1"]);
    scene.keel(["kill", "--regex", "web-[0-9]+$", "KILL"]).run().ok();
    containers[..2].iter().for_each(|container| container.until("stopped"));
    assert_eq!(containers[2].status(), "created");
    // One that is stopped is told, and the others get their signal all the same.
    let outcome = scene.keel(["kill", "-r", "(web|db)-1$", "KILL"]).run().exits(1);
    let expected = format!("keel: {}: container not running\n", containers[0].id());
    assert_eq!(outcome.stderr, expected);
    containers[2].until("stopped");
    scene.keel(["kill", "--all", "--regex", "web"]).run().ok();
}

#[test]
fn containers_that_match_are_deleted_and_no_others() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let containers = named(&scene, &["web-1", "web-2", "db-1"]);
    containers[0].kill("KILL").ok();
    containers[0].until("stopped");
    let outcome = scene.keel(["delete", "--regex", "web"]).run().exits(1).refused();
    assert!(outcome.stderr.contains(containers[1].id()), "{outcome:?}");
    assert!(!outcome.stderr.contains(containers[0].id()), "{outcome:?}");
    assert_eq!(statuses(&containers[1..]), ["created"; 2]);
    scene.keel(["delete", "--force", "--regex", "web"]).run().ok();
    let left = scene.keel(["list", "-q"]).run().ok().stdout;
    assert_eq!(left, format!("{}\n", containers[2].id()));
}

#[test]
fn an_expression_that_matches_nothing_or_is_none_changes_nothing() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let containers = named(&scene, &["web"]);
    for verb in ["kill", "delete"] {
        let outcome = scene.keel([verb, "--regex", "^moon"]).run().exits(1).refused();
        assert_eq!(outcome.stderr, "keel: a container that matches \"^moon\" does not exist\n");
        for bad in ["(", ""] {
            let outcome = scene.keel([verb, "--regex", bad]).run().exits(1).refused();
            assert!(outcome.stderr.contains("is no regular expression"), "{outcome:?}");
        }
    }
    scene.keel(["delete", "--force", "--regex", "^moon"]).run().ok();
    assert_eq!(statuses(&containers), ["created"]);
}

#[test]
fn what_is_no_container_is_not_deleted_by_a_pattern() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let other = scene.directory("state/other");
    bundle::write(&other.join("file"), b"kept");
    scene.keel(["delete", "--force", "--regex", "."]).run().ok();
    assert!(other.join("file").is_file());
    std::fs::remove_dir_all(other).expect("rmdir");
}

#[test]
fn a_list_can_be_of_one_status() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let containers = named(&scene, &["a", "b", "c"]);
    containers[0].start();
    containers[1].kill("KILL").ok();
    containers[1].until("stopped");
    for (status, container) in [("running", 0), ("stopped", 1), ("created", 2)] {
        let ids = scene.keel(["list", "--quiet", "--status", status]).run().ok().stdout;
        assert_eq!(ids, format!("{}\n", containers[container].id()), "{status}");
    }
    assert_eq!(scene.keel(["list", "-q", "--status=paused"]).run().ok().stdout, "");
    let table = scene.keel(["list", "--status", "running"]).run().ok().stdout;
    assert_eq!(table.lines().count(), 2, "{table}");
    let json = scene.keel(["list", "--status", "paused", "--format", "json"]).run().ok().stdout;
    assert_eq!(json, "null\n");
}

#[test]
fn an_id_that_is_mistyped_is_told_with_the_one_that_was_meant() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let containers = named(&scene, &["web"]);
    let meant = containers[0].id();
    let wrong = format!("{}-wbe", scene.tag());
    for words in [
        &["state", &wrong][..],
        &["start", &wrong],
        &["kill", &wrong],
        &["delete", &wrong],
        &["wait", &wrong],
        &["exec", &wrong, "true"],
    ] {
        let outcome = scene.keel(words).run().refused();
        let expected =
            format!("keel: container \"{wrong}\" does not exist, did you mean \"{meant}\"?\n");
        assert_eq!(outcome.stderr, expected, "{words:?}");
    }
    let outcome = scene.keel(["state", "moon"]).run().refused();
    assert_eq!(outcome.stderr, "keel: container \"moon\" does not exist\n");
    // By force nothing is missed, and nothing else is deleted.
    scene.keel(["delete", "--force", &wrong]).run().ok();
    assert_eq!(containers[0].status(), "created");
}
