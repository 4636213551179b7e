//! Profiles of AppArmor, with the effects that a container sees.
//!
//! Where the runtime itself is under a profile, aa-exec(1) has put it there.

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
    /// One for a container.
    fn load(name: String) -> Self {
        Self::with(name, "", "deny /secret r,")
    }

    /// One for a runtime, in this mode: all that it does is allowed, but what it starts may not read
    /// /hidden.
    fn of_runtime(name: String, mode: &str) -> Self {
        let rules = "mount, umount, remount, pivot_root, change_profile, deny /hidden r,";
        Self::with(name, mode, rules)
    }

    fn with(name: String, mode: &str, rules: &str) -> Self {
        let text = format!(
            "profile {name} flags=(attach_disconnected{mode}) {{ \
             file, capability, network, signal, ptrace, unix, {rules} }}\n"
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
    bundle.file("hidden", "hidden");
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

/// What a process says of its label, and which files it may read.
const SAYS: &str = "cat /proc/self/attr/current; cat /secret /hidden 2>/dev/null; true";

/// What it says in a container, and as a further process there, when the runtime is started with
/// these words.
fn says(scene: &Scene, bundle: &Bundle, under: &[&str]) -> [String; 2] {
    let (id, options) = (scene.id(), ["--detach"]);
    let call = scene.verb("run", &options, bundle, &id).under(under).spawn();
    let first = call.stdout_path().to_owned();
    call.wait().ok();
    let text = || std::fs::read_to_string(&first).unwrap_or_default();
    integration::runtime::until("the container's words", || text().contains("said"));
    let exec = scene.keel(["exec", &id, "sh", "-c", SAYS]).under(under).run().ok().stdout;
    scene.keel(["delete", "--force", &id]).run().ok();
    [text().replace("said\n", ""), exec]
}

fn saying(scene: &Scene, profile: &Profile, no_new_privileges: bool) -> Bundle {
    let bundle = under(scene, &profile.name).set("/process/noNewPrivileges", no_new_privileges);
    bundle.sh(format!("{SAYS}; echo said; sleep 1000"))
}

#[test]
fn a_profile_replaces_one_of_the_runtime_if_that_is_allowed() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let profile = Profile::load(scene.id());
    let expected = format!("{}hidden", profile.label());
    for privileges in [false, true] {
        let bundle = saying(&scene, &profile, privileges);
        assert_eq!(says(&scene, &bundle, &[]), [&*expected; 2], "{privileges}");
    }
    // A profile whose mode is "unconfined" is none to the kernel.
    for (mode, privileges) in [("", false), (", unconfined", false), (", unconfined", true)] {
        let runtime = Profile::of_runtime(scene.id(), mode);
        let bundle = saying(&scene, &profile, privileges);
        let aa_exec = ["aa-exec", "-p", &runtime.name, "--"];
        assert_eq!(says(&scene, &bundle, &aa_exec), [&*expected; 2], "{mode}, {privileges}");
    }
}

// Under no_new_privs the kernel refuses any other change, and the program cannot be executed; if the
// runtime's profile is in complain mode, it is executed without the container's (runc 1.1, crun 1.8).
#[test]
fn a_profile_is_stacked_on_the_runtimes_where_it_cannot_replace_it() {
    let Some(scene) = Scene::needing(&[&NEEDS[..], &[Need::Keel]].concat()) else { return };
    let profile = Profile::load(scene.id());
    for (mode, word) in [("", "enforce"), (", complain", "mixed")] {
        let runtime = Profile::of_runtime(scene.id(), mode);
        let mut names = [&*runtime.name, &*profile.name];
        names.sort_unstable();
        let expected = format!("{} ({word})\n", names.join("//&"));
        let aa_exec = ["aa-exec", "-p", &runtime.name, "--"];
        let bundle = saying(&scene, &profile, true);
        assert_eq!(says(&scene, &bundle, &aa_exec), [&*expected; 2], "{mode}");
        // The flag is inherited, too.
        let bundle = saying(&scene, &profile, false);
        let inherited = [&aa_exec[..], &["setpriv", "--no-new-privs"]].concat();
        assert_eq!(says(&scene, &bundle, &inherited), [&*expected; 2], "{mode}, inherited");
    }
}

#[test]
fn a_runtime_that_may_not_change_to_the_profile_has_no_container() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let profile = Profile::load(scene.id());
    let rules = "mount, umount, remount, pivot_root,";
    let runtime = Profile::with(scene.id(), "", rules);
    for privileges in [false, true] {
        let bundle = saying(&scene, &profile, privileges);
        let call = scene.verb("run", &[], &bundle, &scene.id());
        let outcome = call.under(["aa-exec", "-p", &runtime.name, "--"]).run();
        assert!(!outcome.status.success() && outcome.stdout.is_empty(), "{outcome:#?}");
    }
}
