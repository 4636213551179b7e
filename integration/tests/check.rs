//! `keel check`: what it tells about a bundle happens; and `--strict`.

use integration::{Need, Scene, User};
use serde_json::{Value, json};

/// The parts with their fates.
fn parts(scene: &Scene, words: &[&str], user: Option<User>) -> Vec<(String, String)> {
    let call = scene.keel(["check", "--format", "json"]).args(words);
    let call = match user {
        Some(user) => user.call(call),
        None => call,
    };
    let outcome = call.run();
    let document: Value = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}: {outcome:#?}"));
    let text = |part: &Value, name: &str| part[name].as_str().expect("a text").to_owned();
    let parts = document.as_array().expect("an array").iter();
    parts.map(|part| (text(part, "pointer"), text(part, "fate"))).collect()
}

#[test]
fn a_bundle_that_runs_is_applied_and_nothing_is_made() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let bundle = scene.bundle().args(["true"]);
    bundle.save();
    let before = scene.snapshot();
    let dir = bundle.dir().to_str().expect("UTF-8");
    let told = scene.keel(["check", dir]).run().ok().stdout;
    assert!(told.contains(" applied, 0 degraded, 0 ignored, 0 refused\n"), "{told}");
    assert!(told.lines().any(|line| line.starts_with("applied   /process/args  ")), "{told}");
    before.assert_same();
    scene.keel(["run", "--strict", "--bundle", dir, &scene.id()]).run().ok();
}

#[test]
fn what_is_told_to_be_refused_is_refused() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let bundle = scene
        .bundle()
        .set("/process/oomScoreAdj", 5000)
        .bind("/nonexistent/source", "/data", &["bind"])
        .args(["true"]);
    bundle.save();
    let dir = bundle.dir().to_str().expect("UTF-8");
    let refused: Vec<String> = parts(&scene, &[dir], None)
        .into_iter()
        .filter_map(|(pointer, fate)| (fate == "refused").then_some(pointer))
        .collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused.contains(&"/process/oomScoreAdj".to_owned()), "{refused:?}");
    assert!(scene.keel(["check", dir]).run().code() == Some(1));
    scene.refused(&bundle).says(&["/process/oomScoreAdj"]);
    let source = bundle.set("/process/oomScoreAdj", 0);
    scene.refused(&source).says(&["/nonexistent/source"]);
}

#[test]
fn with_strict_what_would_be_left_out_or_ignored_is_refused() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    for (pointer, value, fate) in [
        ("/process/capabilities/bounding", json!(["CAP_MOON"]), "degraded"),
        ("/linux/moon", json!(1), "ignored"),
    ] {
        let bundle = scene.bundle().args(["true"]).capabilities(&[]).set(pointer, value);
        bundle.save();
        let dir = bundle.dir().to_str().expect("UTF-8");
        let told = parts(&scene, &[dir], None);
        assert!(told.contains(&(pointer.to_owned(), fate.to_owned())), "{told:?}");
        scene.keel(["check", dir]).run().ok();
        assert_eq!(scene.keel(["check", "--strict", dir]).run().code(), Some(1));
        scene.run(&bundle).ok();
        for verb in ["run", "create"] {
            let before = scene.snapshot();
            let words = [verb, "--strict", "--bundle", dir, &scene.id()];
            scene.keel(words).run().refused().says(&[pointer]);
            before.assert_same();
        }
    }
}

#[test]
fn whoever_asks_is_told_what_becomes_of_it_for_them_or_for_root() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let Some(user) = User::anybody(&scene) else {
        return integration::skip("a user without privileges cannot make namespaces here");
    };
    let bundle = scene.bundle().args(["true"]);
    bundle.save();
    let dir = bundle.dir().to_str().expect("UTF-8");
    let refused = |words: &[&str]| {
        parts(&scene, words, Some(user)).into_iter().filter(|(_, fate)| fate == "refused").count()
    };
    // It has no user namespace, and so is root's alone.
    assert!(refused(&[dir]) > 0);
    assert_eq!(refused(&["--as-root", dir]), 0);
}
