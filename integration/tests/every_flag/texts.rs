//! The commands that only write something.

use std::fs;

use integration::Scene;
use integration::bundle::write;
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
    ("check", "", |scene| {
        let told = scene.keel(["check", &bundle(scene)]).run().ok().stdout;
        assert!(told.ends_with(" applied, 0 degraded, 1 ignored, 0 refused\n"), "{told}");
    }),
    ("check", "--config", |scene| {
        let other = path(scene, "other.json");
        write(other.as_ref(), b"{}");
        let told = scene.keel(["check", "--config", &other, &bundle(scene)]).run().exits(1).stdout;
        assert!(told.contains("refused   /ociVersion"), "{told}");
    }),
    ("check", "--format", |scene| {
        let told = scene.keel(["check", "--format", "json", &bundle(scene)]).run().ok().stdout;
        let parts: Value = serde_json::from_str(&told).expect("JSON");
        assert!(parts.as_array().is_some_and(|parts| parts.len() > 10), "{told}");
    }),
    ("check", "--strict", |scene| {
        let told = scene.keel(["check", "--strict", &bundle(scene)]).run().exits(1).stdout;
        assert!(told.contains("ignored   /moon"), "{told}");
    }),
    ("check", "--as-root", |scene| {
        let told = scene.keel(["check", "--as-root", &bundle(scene)]).run().ok().stdout;
        assert!(told.contains("applied   /linux/"), "{told}");
    }),
    ("seccomp", "", |scene| {
        let profile = profile(scene);
        let table = scene.keel(["seccomp", "show", &profile]).run().ok().stdout;
        assert!(
            table.contains("fail with EPERM, by /linux/seccomp/syscalls/0\n    mkdir"),
            "{table}"
        );
        let answer = scene.keel(["seccomp", "test", &profile, "rmdir"]).run().ok().stdout;
        assert!(answer.contains("allow\nby /linux/seccomp/defaultAction\n"), "{answer}");
    }),
    ("seccomp", "--arch", |scene| {
        let arch = ["seccomp", "test", "--arch", "SCMP_ARCH_S390X"];
        let answer = scene.keel(arch).arg(profile(scene)).arg("mkdir").run().ok().stdout;
        assert!(
            answer.contains("kill the thread\n") && answer.contains("number 39 of"),
            "{answer}"
        );
    }),
    ("seccomp", "--format", |scene| {
        let show = ["seccomp", "show", "--format", "disassembly"];
        let program = scene.keel(show).arg(profile(scene)).run().ok().stdout;
        assert!(program.starts_with("l0:\tld [4] "), "{program}");
        assert!(program.contains("ret #0x50001") && program.contains("; mkdir\n"), "{program}");
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

/// A bundle with a property that nobody knows.
fn bundle(scene: &Scene) -> String {
    let bundle = scene.bundle().set("/moon", 1);
    bundle.save();
    bundle.dir().to_str().expect("UTF-8").to_owned()
}

/// A file with a profile that forbids one call.
fn profile(scene: &Scene) -> String {
    let profile = r#"{ "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" }] }"#;
    let path = path(scene, "profile.json");
    write(path.as_ref(), profile.as_bytes());
    path
}

fn json(path: &str) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}
