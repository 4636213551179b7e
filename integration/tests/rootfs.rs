//! The root file system: read-only, masked and read-only paths, pivot, propagation.

use std::fs;

use integration::{Bundle, Inside, Scene, config};
use nix::mount::{MsFlags, mount};
use serde_json::json;

fn mounts(scene: &Scene, bundle: Bundle) -> Inside {
    Inside(scene.output(&bundle.args(["/bin/cat", "/proc/self/mountinfo"])))
}

#[test]
fn a_read_only_root_cannot_be_written_and_a_writable_one_can() {
    let Some(scene) = Scene::begin() else { return };
    for readonly in [true, false] {
        let bundle = scene.bundle().set("/root/readonly", readonly).sh("echo x >/new");
        let outcome = scene.run(&bundle);
        assert_eq!(outcome.status.success(), !readonly, "{outcome:?}");
        assert_eq!(fs::metadata(bundle.rootfs().join("new")).is_ok(), !readonly);
    }
}

#[test]
fn the_root_is_found_by_an_absolute_path_too() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sh("cat /etc/group | head -n 1");
    let path = bundle.rootfs().to_str().expect("UTF-8").to_owned();
    assert_eq!(scene.output(&bundle.set("/root/path", path)), "root:x:0:\n");
}

#[test]
fn masked_files_read_as_empty_and_masked_directories_are_empty() {
    let Some(scene) = Scene::begin() else { return };
    let masked = json!(["/secret/file", "/secret/dir", "/not/there", "/proc/keys", "/secret/file"]);
    let bundle =
        scene.bundle().writable().set("/linux/maskedPaths", masked).sh(
            "cat /secret/file /proc/keys; ls -A /secret/dir; echo x >/secret/dir/new; echo end",
        );
    bundle.file("secret/file", "top secret\n");
    bundle.file("secret/dir/inner", "top secret\n");
    let outcome = scene.run(&bundle).ok();
    assert_eq!(outcome.stdout, "end\n", "{outcome:?}");
    assert!(fs::metadata(bundle.rootfs().join("secret/dir/new")).is_err());
    assert!(fs::metadata(bundle.rootfs().join("not")).is_err(), "a missing path is not made");
}

#[test]
fn every_default_masked_path_that_exists_is_masked() {
    let Some(scene) = Scene::begin() else { return };
    let inside = mounts(&scene, scene.bundle());
    for path in config::MASKED.iter().filter(|path| fs::metadata(path).is_ok()) {
        assert!(inside.mounted(path), "{path} is not masked:\n{}", inside.0);
    }
    for path in config::READONLY.iter().filter(|path| fs::metadata(path).is_ok()) {
        // A single file such as /proc/sysrq-trigger may be there on the host only.
        if inside.mounted(path) {
            assert!(inside.mount(path).has("ro"), "{path} can be written:\n{}", inside.0);
        } else {
            assert_eq!(*path, "/proc/sysrq-trigger");
        }
    }
}

#[test]
fn read_only_paths_cannot_be_written_and_keep_their_other_options() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene
        .bundle()
        .writable()
        .mount("tmpfs", "tmpfs", "/data", &["nosuid", "noexec", "mode=755"])
        .set("/linux/readonlyPaths", json!(["/data", "/etc/group", "/not/there"]));
    let inside = mounts(&scene, bundle.clone());
    let data = inside.mount("/data");
    assert!(["ro", "nosuid", "noexec"].iter().all(|option| data.has(option)), "{data:?}");
    let group = inside.mount("/etc/group");
    assert!(group.has("ro") && !group.has("nosuid"), "{group:?}");
    let outcome = scene.run(&bundle.sh("echo x >/data/new; echo x >>/etc/group"));
    assert_eq!(outcome.stderr.matches("Read-only file system").count(), 2, "{outcome:?}");
}

#[test]
fn a_container_without_masked_and_read_only_paths_sees_everything() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().unset("/linux/maskedPaths").unset("/linux/readonlyPaths");
    let inside = mounts(&scene, bundle);
    assert!(!inside.mounts().iter().any(|m| m.point.starts_with("/proc/")), "{}", inside.0);
}

#[test]
fn without_pivot_root_the_container_works_and_sees_nothing_else() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let bundle = scene.bundle().sh("ls /; cat /proc/self/mountinfo | wc -l; cat /etc/group");
    let outcome = scene.verb("run", &["--no-pivot"], &bundle, &scene.id()).run().ok();
    assert!(outcome.stdout.starts_with("bin\n"), "{outcome:?}");
    assert!(!outcome.stdout.contains("lost+found"), "{outcome:?}");
    before.assert_same();
}

#[test]
fn the_old_root_is_gone_after_pivot_root() {
    let Some(scene) = Scene::begin() else { return };
    let inside = mounts(&scene, scene.bundle());
    let all = inside.mounts();
    let ext = all
        .iter()
        .filter(|m| m.root == "/" && !m.point.starts_with("/sys"))
        .filter(|m| !matches!(m.kind.as_str(), "proc" | "tmpfs" | "devpts" | "mqueue" | "sysfs"));
    assert_eq!(ext.count(), 0, "{}", inside.0);
}

#[test]
fn a_root_is_shared_if_the_configuration_says_so_and_else_it_is_not() {
    let Some(scene) = Scene::begin() else { return };
    let volume = scene.directory("parent");
    let _parent = scene.mount(Some("tmpfs"), "parent".as_ref(), &volume, MsFlags::empty());
    mount(None::<&str>, &volume, None::<&str>, MsFlags::MS_SHARED, None::<&str>).expect("shared");
    let source = scene.bundle();
    let script = format!("cp -a {} {}", source.rootfs().display(), volume.display());
    scene.call("sh").args(["-c", &script]).run().ok();
    let root = volume.join("rootfs").to_str().expect("UTF-8").to_owned();
    for (word, shared) in [
        ("private", false),
        ("rprivate", false),
        ("slave", false),
        ("rslave", false),
        ("shared", true),
        ("rshared", true),
    ] {
        let bundle = scene.bundle().set("/root/path", root.as_str());
        let inside = mounts(&scene, bundle.set("/linux/rootfsPropagation", word));
        let mount = inside.mount("/");
        assert_eq!(mount.shared(), shared, "{word}: {mount:?}");
        assert!(!mount.slave() || !word.ends_with("private"), "{word}: {mount:?}");
    }
}

#[test]
fn an_unbindable_root_cannot_be_bound() {
    let Some(scene) = Scene::begin() else { return };
    let inside = mounts(&scene, scene.bundle().set("/linux/rootfsPropagation", "unbindable"));
    let mount = inside.mount("/");
    assert_eq!(mount.propagation, ["unbindable"], "{mount:?}");
}

#[test]
fn a_root_file_system_on_a_read_only_mount_works() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sh("echo works");
    for name in ["dev", "proc", "sys"] {
        bundle.directory(name);
    }
    let rootfs = bundle.rootfs();
    let _bind = scene.mount(None, &rootfs, &rootfs, MsFlags::MS_BIND);
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(None::<&str>, &rootfs, None::<&str>, flags, None::<&str>).expect("remount");
    assert_eq!(scene.output(&bundle), "works\n");
}

#[test]
fn a_root_file_system_with_a_space_and_a_colon_in_its_path_works() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sh("echo works").set("/root/path", "a b:c,d]");
    fs::rename(bundle.rootfs(), bundle.dir().join("a b:c,d]")).expect("rename");
    assert_eq!(scene.output(&bundle), "works\n");
}
