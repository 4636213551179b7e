//! The manual pages, as man(1) and groff read them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use integration::{Need, Scene, bundle};

/// The pages, written into a directory of the scene.
fn pages(scene: &Scene) -> Vec<PathBuf> {
    let dir = scene.directory("man");
    scene.keel(["man"]).arg(&dir).run().ok();
    let entries = fs::read_dir(dir).expect("the directory");
    let mut pages: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    pages.sort();
    assert!(pages.len() > 10 && pages.iter().any(|page| page.ends_with("keel-run.1")), "{pages:?}");
    pages
}

#[test]
fn man_shows_every_page_without_a_warning() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Program("man")]) else { return };
    for page in pages(&scene) {
        let call = scene.call("man").args(["--warnings=w", "--local-file"]).arg(&page);
        let call = call.env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8").env("MANPAGER", "cat");
        let shown = call.env("MAN_KEEP_FORMATTING", "").run().ok();
        assert_eq!(shown.stderr, "", "{}", page.display());
        let text = shown.stdout;
        assert!(text.contains("NAME") && text.contains("SEE ALSO"), "{text}");
    }
}

#[test]
fn groff_sets_every_page_without_a_warning() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Program("groff")]) else { return };
    for page in pages(&scene) {
        let call = scene.call("groff").args(["-ww", "-z", "-man", "-Tutf8"]).arg(&page);
        assert_eq!(call.run().ok().stderr, "", "{}", page.display());
    }
}

#[test]
fn pages_that_are_there_are_replaced_and_no_link_is_followed() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let dir = scene.directory("man");
    let outside = scene.dir().join("outside");
    bundle::write(&outside, b"kept");
    symlink(&outside, dir.join("keel.1")).expect("a link");
    let before = pages(&scene);
    assert_eq!(fs::read_to_string(&outside).expect("it is there"), "kept");
    assert!(fs::read_to_string(dir.join("keel.1")).expect("a page").starts_with(".TH KEEL 1"));
    assert_eq!(pages(&scene), before);
    let call = scene.keel(["man"]).arg(&outside);
    let said = call.run().exits(1).refused().stderr;
    assert!(
        said.starts_with("keel: cannot write ") && said.ends_with(": not a directory\n"),
        "{said}"
    );
}
