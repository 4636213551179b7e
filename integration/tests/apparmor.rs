//! Profiles of AppArmor, with the effects that a container sees.

use std::io::Write;
use std::process::{Command, Stdio};

use integration::{Bundle, Need, Scene};

const NEEDS: [Need; 2] =
    [Need::Path("/sys/kernel/security/apparmor/profiles"), Need::Program("apparmor_parser")];

/// A profile that forbids to read /secret; it goes when it is dropped.
struct Profile {
    name: String,
    text: String,
}

impl Profile {
    fn load(name: String) -> Self {
        let text = format!(
            "profile {name} flags=(attach_disconnected) {{ \
             file, capability, network, signal, ptrace, unix, deny /secret r, }}\n"
        );
        let profile = Self { name, text };
        assert!(profile.parser("--replace"), "apparmor_parser");
        profile
    }

    fn parser(&self, action: &str) -> bool {
        let mut call = Command::new("apparmor_parser");
        let call = call.args(["--skip-cache", action]).stdin(Stdio::piped()).spawn();
        let mut parser = call.expect("apparmor_parser");
        let mut input = parser.stdin.take().expect("its input");
        input.write_all(self.text.as_bytes()).expect("to write the profile");
        drop(input);
        parser.wait().expect("apparmor_parser").success()
    }

    /// What a process under it reads as its label.
    fn label(&self) -> String {
        format!("{} (enforce)\n", self.name)
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.parser("--remove");
    }
}

const LABEL: &str = "cat /proc/self/attr/current";

fn under(scene: &Scene, profile: &str) -> Bundle {
    let bundle = scene.bundle().set("/process/apparmorProfile", profile);
    bundle.file("secret", "secret");
    bundle
}

#[test]
fn a_program_runs_under_its_profile() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let profile = Profile::load(scene.id());
    let script = format!("{LABEL}; cat /secret 2>&1 || true");
    let said = scene.output(&under(&scene, &profile.name).sh(&script));
    assert!(said.starts_with(&profile.label()) && said.contains("Permission denied"), "{said}");
    assert_eq!(
        scene.output(&under(&scene, "").unset("/process/apparmorProfile").sh("cat /secret")),
        "secret"
    );
}

#[test]
fn a_further_program_runs_under_the_containers_profile_or_its_own() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let (profile, other) = (Profile::load(scene.id()), Profile::load(scene.id()));
    let container = scene.start(&under(&scene, &profile.name).sleeping());
    let exec = |options: &[&str]| {
        let words = [&["exec"], options, &[container.id(), "sh", "-c", LABEL]].concat();
        scene.keel(words).run().ok().stdout
    };
    assert_eq!(exec(&[]), profile.label());
    assert_eq!(exec(&["--apparmor", &other.name]), other.label());
}

#[test]
fn there_is_no_container_without_its_profile() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    scene.run(&under(&scene, "keel-no-such-profile").args(["true"])).refused();
}

#[test]
fn what_an_image_has_at_proc_does_not_swallow_the_profile() {
    // The others need a procfs there.
    let Some(scene) = Scene::needing(&[&NEEDS[..], &[Need::Keel]].concat()) else { return };
    let profile = Profile::load(scene.id());
    let bundle = under(&scene, &profile.name).without_mount("/proc");
    for decoy in ["attr/exec", "attr/apparmor/exec"] {
        bundle.file(&format!("proc/self/{decoy}"), "");
        bundle.file(&format!("proc/thread-self/{decoy}"), "");
    }
    bundle.directory("real");
    let bundle = bundle.mount("proc", "proc", "/real", &[]);
    let said = scene.output(&bundle.sh("cat /real/self/attr/current"));
    assert_eq!(said, profile.label());
}

#[test]
fn hooks_of_the_image_run_under_the_profile() {
    let Some(scene) = Scene::needing(&[&NEEDS[..], &[Need::Keel]].concat()) else { return };
    let profile = Profile::load(scene.id());
    let bundle = under(&scene, &profile.name).writable();
    let bundle = bundle.hook("startContainer", &format!("{LABEL} >/seen")).sh("cat /seen");
    assert_eq!(scene.output(&bundle), profile.label());
}
