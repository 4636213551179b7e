//! Mounts that are added to, and removed from, a container that is there.

use std::fs;

use integration::{Container, Inside, Need, Outcome, Scene};
use serde_json::{Value, json};

/// Writes a list of mounts and calls `mounts` with it.
fn mounts(scene: &Scene, action: &str, container: &Container<'_>, list: &Value) -> Outcome {
    let path = scene.dir().join(format!("mounts-{}.json", scene.id()));
    integration::bundle::write(&path, list.to_string().as_bytes());
    let path = path.display().to_string();
    scene.keel(["mounts", action, container.id(), &path]).run()
}

/// What a script prints in the container.
fn sh(scene: &Scene, container: &Container<'_>, script: &str) -> String {
    scene.keel(["exec", container.id(), "sh", "-c", script]).run().ok().stdout
}

fn table(scene: &Scene, container: &Container<'_>) -> Inside {
    Inside(sh(scene, container, "cat /proc/self/mountinfo"))
}

/// A directory of the host with a file in it.
fn host_directory(scene: &Scene) -> String {
    let dir = scene.directory("shared");
    integration::bundle::write(&dir.join("file"), b"host\n");
    dir.display().to_string()
}

#[test]
fn a_mount_appears_with_its_options_and_goes_away_again() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let container = scene.start(&scene.bundle().writable().sleeping());
    let before = table(&scene, &container).mounts().len();
    let source = host_directory(&scene);
    let list = json!([
        {"destination": "/mnt/a", "source": source, "options": ["bind", "ro", "nosuid"]},
        {"destination": "/mnt/b", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k", "noexec"]},
    ]);
    mounts(&scene, "add", &container, &list).ok();
    let added = table(&scene, &container);
    assert!(added.mount("/mnt/a").has("ro") && added.mount("/mnt/a").has("nosuid"));
    assert!(added.mount("/mnt/b").has("noexec"));
    assert_eq!(sh(&scene, &container, "cat /mnt/a/file"), "host\n");
    // The same under the member of an object.
    mounts(&scene, "remove", &container, &json!({ "mounts": list })).ok();
    assert_eq!(table(&scene, &container).mounts().len(), before);
    container.end();
}

#[test]
fn a_mount_that_fails_takes_those_before_it_along() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let container = scene.start(&scene.bundle().writable().sleeping());
    let before = table(&scene, &container).0;
    let list = json!([
        {"destination": "/mnt/a", "type": "tmpfs"},
        {"destination": "/mnt/b", "type": "nothing-such"},
    ]);
    mounts(&scene, "add", &container, &list).refused().says(&["nothing-such", "/mounts/1"]);
    let list = json!([
        {"destination": "/mnt/a", "type": "tmpfs"},
        {"destination": "/mnt/b", "source": "/nothing/such", "options": ["bind"]},
    ]);
    mounts(&scene, "add", &container, &list).refused().says(&["/nothing/such", "/mounts/1"]);
    assert_eq!(table(&scene, &container).0, before);
}

#[test]
fn what_protects_the_host_is_neither_covered_nor_uncovered() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let bundle = scene.bundle().writable().sleeping();
    bundle.link("sneaky", "/proc");
    let container = scene.start(&bundle);
    let before = table(&scene, &container).0;
    for path in
        ["/", "/proc", "/proc/kcore", "/sys", "/sys/firmware", "/a/../proc/keys", "/sneaky/kcore"]
    {
        mounts(&scene, "remove", &container, &json!([{"destination": path}])).refused();
    }
    for kind in ["proc", "cgroup"] {
        mounts(&scene, "add", &container, &json!([{"destination": "/mnt", "type": kind}]))
            .refused();
    }
    let source = host_directory(&scene);
    let over = json!([{"destination": "/proc/sys", "source": source, "options": ["bind"]}]);
    mounts(&scene, "add", &container, &over).refused();
    let through = json!([{"destination": "/sneaky/sys", "source": source, "options": ["bind"]}]);
    mounts(&scene, "add", &container, &through).refused();
    assert_eq!(table(&scene, &container).0, before);
}

#[test]
fn links_in_the_image_lead_nowhere_outside_of_it() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let canary = integration::race::Canary::plant(scene.directory("canary"));
    let bundle = scene.bundle().writable().sleeping();
    bundle.link("out", canary.dir());
    let container = scene.start(&bundle);
    let list = json!([{"destination": "/out/new", "type": "tmpfs"}]);
    mounts(&scene, "add", &container, &list).ok();
    let inside = format!("{}/new", canary.dir().display());
    assert!(table(&scene, &container).mounted(&inside));
    canary.assert_untouched();
    container.end();
}

#[test]
fn a_container_with_a_user_namespace_gets_mounts_of_its_own() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    let bundle = scene
        .bundle()
        .writable()
        .namespace("user", None)
        .set("/linux/uidMappings", mapping.clone())
        .set("/linux/gidMappings", mapping)
        .sleeping();
    let container = scene.start(&bundle);
    let list = json!([
        {"destination": "/tmp/a", "type": "tmpfs"},
        {"destination": "/tmp/b", "source": host_directory(&scene), "options": ["bind"]},
    ]);
    mounts(&scene, "add", &container, &list).ok();
    assert_eq!(sh(&scene, &container, "stat -c %u /tmp/a; cat /tmp/b/file"), "0\nhost\n");
    mounts(&scene, "remove", &container, &list).ok();
    container.end();
}

#[test]
fn a_list_that_is_none_and_a_container_that_is_gone_are_refused() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let container = scene.start(&scene.bundle().writable().sleeping());
    for list in [json!([]), json!({}), json!("x"), json!([{"type": "tmpfs"}])] {
        mounts(&scene, "add", &container, &list).refused();
    }
    let list = json!([{"destination": "/mnt", "type": "tmpfs"}]);
    mounts(&scene, "remove", &container, &list).refused();
    mounts(&scene, "change", &container, &list).refused();
    container.end();
    mounts(&scene, "add", &container, &list).refused().says(&["does not exist"]);
    assert!(fs::symlink_metadata("/mnt/a").is_err(), "the host is as before");
}
