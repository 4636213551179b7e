//! The commands that only write something.

use std::fs;

use serde_json::Value;

use crate::{Case, path};

pub(crate) const CASES: &[Case] = &[
    ("spec", "", |scene| {
        scene.keel(["spec"]).cwd(scene.directory("here")).run().ok();
        let config = json(&path(scene, "here/config.json"));
        assert!(config.get("linux").is_some_and(|linux| linux.get("uidMappings").is_none()));
    }),
    ("spec", "--bundle", |scene| {
        let dir = scene.directory("there");
        scene.keel(["spec", "--bundle"]).arg(&dir).run().ok();
        assert!(dir.join("config.json").is_file());
    }),
    ("spec", "--file", |scene| {
        let dir = scene.directory("there");
        scene.keel(["spec", "--file", "other.json", "--bundle"]).arg(&dir).run().ok();
        assert!(dir.join("other.json").is_file() && !dir.join("config.json").is_file());
    }),
    ("spec", "--rootless", |scene| {
        scene.keel(["spec", "--rootless"]).cwd(scene.directory("here")).run().ok();
        let config = json(&path(scene, "here/config.json"));
        assert_eq!(config["linux"]["uidMappings"][0]["size"], 1);
    }),
    ("features", "", |scene| {
        let document = scene.keel(["features"]).run().ok().stdout;
        let document: Value = serde_json::from_str(&document).expect("JSON");
        assert_eq!(document["ociVersionMin"], "1.0.0");
    }),
    ("completion", "", |scene| {
        for (shell, word) in [("bash", "complete -F"), ("fish", "complete -c"), ("zsh", "#compdef")]
        {
            let script = scene.keel(["completion", shell]).run().ok().stdout;
            assert!(script.contains(word), "{script}");
        }
    }),
    ("man", "", |scene| {
        scene.keel(["man"]).arg(scene.directory("man")).run().ok();
        let page = fs::read_to_string(path(scene, "man/keel-run.1")).expect("a page");
        assert!(page.starts_with(".TH KEEL\\-RUN 1"), "{page}");
    }),
    ("version", "", |scene| {
        let version = scene.keel(["version"]).run().ok().stdout;
        assert_eq!(version, scene.keel(["--version"]).run().ok().stdout);
    }),
    ("help", "", |scene| {
        let help = scene.keel(["help", "run"]).run().ok().stdout;
        assert!(help.contains("Usage: keel run [options] ID"), "{help}");
    }),
];

fn json(path: &str) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}
