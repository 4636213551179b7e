//! The session keyring, keyrings(7): a container has one of its own, and nobody else has it.
//!
//! keyctl(1) inside is the host's, and so are the libraries that it wants.

use integration::{Bundle, Edit, Need, Scene};

const NEEDS: [Need; 2] = [Need::Path("/proc/keys"), Need::Program("keyctl")];
/// Adds a key to the session keyring, and writes the number of the keyring and that of the key.
const ADD: &str = "keyctl id @s; keyctl add user keel-test secret @s";
/// Writes what that key holds, if it is found.
const FIND: &str =
    "key=$(keyctl search @s user keel-test 2>/dev/null) && keyctl print $key || echo none";

/// A bundle that runs a script with the host's programs.
fn bundle(scene: &Scene, script: &str) -> Bundle {
    let bundle = scene.bundle().bind("/usr", "/usr", &["rbind", "ro"]);
    for dir in ["lib", "lib64"] {
        bundle.link(dir, format!("usr/{dir}"));
    }
    bundle.sh(script)
}

#[test]
fn a_further_process_finds_the_containers_keys_and_another_container_does_not() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let edits: [Edit; 2] = [|bundle| bundle, |bundle| bundle.mapped(100_000)];
    for edit in edits {
        let adding = format!("{ADD}; echo added; sleep 1000");
        let container = scene.start(&edit(bundle(&scene, &adding)));
        container.expect("added");
        let exec = scene.keel(["exec", container.id(), "sh", "-c", FIND]).run().ok();
        assert_eq!((exec.stdout.as_str(), container.status().as_str()), ("secret\n", "running"));
        assert_eq!(scene.output(&edit(bundle(&scene, FIND))), "none\n");
        container.end();
    }
}

#[test]
fn whoever_knows_the_number_of_a_containers_keyring_cannot_look_into_it() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let container = scene.start(&bundle(&scene, &format!("{ADD}; echo added; sleep 1000")));
    container.expect("added");
    let numbers = container.output();
    let [keyring, key] = numbers.lines().take(2).collect::<Vec<_>>()[..] else {
        panic!("no numbers: {numbers}");
    };
    let script = format!(
        "keyctl link {keyring} @s; keyctl list {keyring}; keyctl print {key}; \
         keyctl setperm {keyring} 0x3f3f3f3f; {FIND}"
    );
    let outcome = scene.run(&bundle(&scene, &script)).ok();
    assert_eq!(outcome.stdout, "none\n", "{outcome:#?}");
    let denied = outcome.stderr.matches("Permission denied").count();
    assert_eq!(denied, 4, "{outcome:#?}");
}

/// Runs a bundle from a session whose keyring has a name, and a key, that everybody may search.
fn from_session(scene: &Scene, name: &str, options: &[&str], id: &str) -> String {
    let share = format!(
        "{{ {ADD}; }} >&2; keyctl setperm @s 0x3f3f3f3f; \
         keyctl setperm $(keyctl search @s user keel-test) 0x3f3f3f3f; exec \"$0\" \"$@\""
    );
    let call = scene.verb("run", options, &bundle(scene, FIND), id);
    call.under(["keyctl", "session", name, "sh", "-c", &share]).run().ok().stdout
}

#[test]
fn the_callers_keys_are_not_the_containers_unless_asked_for() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    assert_eq!(from_session(&scene, "keel-test", &[], &scene.id()), "none\n");
    let inherited = from_session(&scene, "keel-test", &["--no-new-keyring"], &scene.id());
    assert_eq!(inherited, "secret\n");
}

// To join a keyring by its name is to share it with whoever has made one of that name before.
#[test]
fn a_keyring_that_waits_under_the_expected_name_is_not_joined() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let id = scene.id();
    for name in [format!("_ses.{id}"), id.clone()] {
        assert_eq!(from_session(&scene, &name, &[], &id), "none\n", "{name}");
    }
}
