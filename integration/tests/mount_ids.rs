//! Id-mapped mounts: files that are shown, and made, with other ids than the file system has.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use integration::bundle::write;
use integration::{Bundle, Inside, Need, Scene};
use nix::mount::MsFlags;
use nix::unistd::chown;
use serde_json::{Value, json};

/// The first id on the host of the mapped range.
const BASE: u32 = 200_000;

fn mapping(inside: u32, outside: u32, size: u32) -> Value {
    json!([{ "containerID": inside, "hostID": outside, "size": size }])
}

/// A bundle with one more mount, whose files are shown with mappings of its own, or with the
/// container's.
fn with_mount(bundle: Bundle, source: &Path, options: &[&str], own: Option<Value>) -> Bundle {
    let mut mount = json!({ "destination": "/tmp", "source": source, "options": options });
    if let Some(own) = own {
        mount["uidMappings"] = own.clone();
        mount["gidMappings"] = own;
    }
    bundle.set("/mounts/-", mount)
}

/// A directory of the host, with a file of user and group 7.
fn volume(scene: &Scene) -> PathBuf {
    let dir = scene.directory("volume");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("chmod");
    fill(&dir);
    dir
}

fn fill(dir: &Path) {
    write(&dir.join("file"), b"content\n");
    chown(&dir.join("file"), Some(7.into()), Some(7.into())).expect("chown");
}

fn owner(path: &Path) -> (u32, u32) {
    let meta = fs::metadata(path).expect("it is there");
    (meta.uid(), meta.gid())
}

#[test]
fn files_are_shown_and_made_with_the_ids_of_the_mounts_own_mappings() {
    let Some(scene) = Scene::begin() else { return };
    let dir = volume(&scene);
    let script = "stat -c '%u %g' /tmp/file; touch /tmp/new; stat -c '%u %g' /tmp/new";
    let user = |id: u32| {
        let bundle = scene.bundle().set("/process/user/uid", id).set("/process/user/gid", id);
        bundle.sh(script)
    };
    let bundle = with_mount(user(1000), &dir, &["bind", "idmap"], Some(mapping(0, 1000, 10)));
    assert_eq!(scene.output(&bundle), "1007 1007\n1000 1000\n");
    assert_eq!(owner(&dir.join("new")), (0, 0));
    // The option is no more than a word to runtimes that do not know the members.
    let bundle = with_mount(user(1008), &dir, &["bind"], Some(mapping(0, 1000, 9)));
    fs::remove_file(dir.join("new")).expect("remove");
    assert_eq!(scene.output(&bundle), "1007 1007\n1008 1008\n");
    assert_eq!(owner(&dir.join("new")), (8, 8));
}

#[test]
fn without_mappings_of_its_own_a_mount_has_those_of_the_user_namespace() {
    let Some(scene) = Scene::begin() else { return };
    let dir = volume(&scene);
    let file_systems = [dir.clone(), scene.directory("on-tmpfs")];
    let _tmpfs = scene.mount(Some("tmpfs"), "x".as_ref(), &file_systems[1], MsFlags::empty());
    fill(&file_systems[1]);
    for dir in file_systems {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("chmod");
        let bundle = with_mount(scene.bundle().mapped(BASE), &dir, &["bind", "idmap"], None);
        let script = "stat -c '%u %g' /tmp /tmp/file; touch /tmp/new; stat -c '%u %g' /tmp/new";
        assert_eq!(scene.output(&bundle.sh(script)), "0 0\n7 7\n0 0\n", "{}", dir.display());
        assert_eq!(owner(&dir.join("new")), (0, 0));
    }
}

#[test]
fn the_user_namespace_may_be_one_that_is_joined() {
    let Some(scene) = Scene::begin() else { return };
    let dir = volume(&scene);
    let first = scene.start(&scene.bundle().mapped(BASE).sleeping());
    let bundle = scene
        .bundle()
        .mapped(BASE)
        .unset("/linux/uidMappings")
        .unset("/linux/gidMappings")
        .namespace("user", Some(&format!("/proc/{}/ns/user", first.pid())));
    let bundle = with_mount(bundle, &dir, &["bind", "idmap"], None);
    assert_eq!(scene.output(&bundle.sh("stat -c '%u %g' /tmp/file")), "7 7\n");
    first.end();
}

#[test]
fn mounts_below_are_mapped_only_if_the_option_says_so() {
    let Some(scene) = Scene::begin() else { return };
    let dir = volume(&scene);
    fs::create_dir(dir.join("below")).expect("mkdir");
    let below = scene.mount(Some("tmpfs"), "x".as_ref(), &dir.join("below"), MsFlags::empty());
    for (option, mapped) in [("idmap", false), ("ridmap", true)] {
        let own = Some(mapping(0, 1000, 10));
        let bundle = with_mount(scene.bundle(), &dir, &["rbind", option], own);
        let inside = Inside(scene.output(&bundle.args(["/bin/cat", "/proc/self/mountinfo"])));
        assert!(inside.mount("/tmp").has("idmapped"), "{}", inside.0);
        assert_eq!(inside.mount("/tmp/below").has("idmapped"), mapped, "{}", inside.0);
    }
    drop(below);
}

#[test]
fn a_new_tmpfs_can_be_mapped() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let script = "cat /proc/self/mountinfo; stat -c '%u %g %a' /data /data/copied
        touch /data/x 2>/dev/null || echo read-only";
    let options = ["idmap", "size=64k", "noexec", "tmpcopyup", "ro"];
    let bundle = scene.bundle().mapped(BASE).mount("tmpfs", "mine", "/data", &options).sh(script);
    bundle.file("data/copied", "x");
    let give = |name: &str, uid: u32| {
        chown(&bundle.rootfs().join(name), Some(uid.into()), Some(BASE.into())).expect("chown");
    };
    give("data", BASE);
    give("data/copied", BASE + 5);
    let mode = fs::Permissions::from_mode(0o1751);
    fs::set_permissions(bundle.rootfs().join("data"), mode).expect("chmod");
    let inside = Inside(scene.output(&bundle));
    let mount = inside.mount("/data");
    assert!(mount.has("idmapped") && mount.has("noexec"), "{mount:?}");
    assert!(mount.super_has("size=64k") && mount.source == "mine", "{mount:?}");
    assert!(inside.0.ends_with("0 0 1751\n5 0 644\nread-only\n"), "{}", inside.0);
    let own = json!({
        "destination": "/new", "type": "tmpfs", "options": ["idmap", "uid=3", "gid=4", "mode=700"],
        "uidMappings": mapping(3, 33, 1), "gidMappings": mapping(4, 44, 1)
    });
    let bundle = scene.bundle().set("/mounts/-", own).sh("stat -c '%u %g %a' /new");
    assert_eq!(scene.output(&bundle), "33 44 700\n");
}

#[test]
fn mappings_may_be_written_behind_the_option() {
    let Some(scene) = Scene::begin() else { return };
    let dir = volume(&scene);
    let look = |bundle: Bundle, option: &str| {
        let bundle = with_mount(bundle, &dir, &["bind", option], None);
        scene.output(&bundle.sh("stat -c '%u %g' /tmp/file"))
    };
    assert_eq!(look(scene.bundle(), "idmap=uids=0-0-7#7-70-1;gids=0-100-10"), "70 107\n");
    let mapped = scene.bundle().mapped(BASE);
    assert_eq!(look(mapped.clone(), "idmap=uids=@0-0-10;gids=@7-70-1"), "7 70\n");
    assert_eq!(look(mapped, "idmap=uids=0-200000-10;gids=7-200070-1"), "7 70\n");
}

#[test]
fn mounts_that_are_added_are_mapped_as_well() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let dir = volume(&scene);
    let first = scene.start(&scene.bundle().mapped(BASE).writable().sleeping());
    let joined = scene
        .bundle()
        .mapped(BASE)
        .writable()
        .unset("/linux/uidMappings")
        .unset("/linux/gidMappings")
        .namespace("user", Some(&format!("/proc/{}/ns/user", first.pid())));
    let joined = scene.start(&joined.sleeping());
    let list = json!([
        { "destination": "/mnt/a", "source": dir, "options": ["bind", "idmap"] },
        { "destination": "/mnt/b", "type": "tmpfs", "options": ["idmap"] },
        {
            "destination": "/mnt/c", "source": dir, "options": ["bind", "idmap"],
            "uidMappings": mapping(7, BASE + 9, 1), "gidMappings": mapping(7, BASE + 8, 1)
        },
    ]);
    let path = scene.dir().join("more.json");
    write(&path, list.to_string().as_bytes());
    let path = path.to_str().expect("UTF-8");
    let add = |id: &str| scene.keel(["mounts", "add", id, path]).run();
    let look = |id: &str| {
        let script = "stat -c '%u %g' /mnt/a/file /mnt/b /mnt/c/file";
        scene.keel(["exec", id, "sh", "-c", script]).run().ok().stdout
    };
    for container in [&first, &joined] {
        add(container.id()).ok();
        assert_eq!(look(container.id()), "7 7\n0 0\n9 8\n");
    }
    // What is joined is the namespace that the container is in, wherever it was found once.
    first.kill("KILL").ok();
    first.until("stopped");
    scene.keel(["mounts", "remove", joined.id(), path]).run().ok();
    add(joined.id()).ok();
    assert_eq!(look(joined.id()), "7 7\n0 0\n9 8\n");
    joined.end();
    first.delete();
}

#[test]
fn what_the_kernel_cannot_map_is_told_and_leaves_nothing() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let before = scene.snapshot();
    let own = || Some(mapping(0, 1000, 10));
    let idmap: &[&str] = &["bind", "idmap"];
    let bundle = with_mount(scene.bundle(), Path::new("/sys/kernel"), idmap, own());
    scene.refused(&bundle).says(&["map the ids", "does not allow it", "/mounts/"]);
    let many = json!([
        { "containerID": 0, "hostID": 1000, "size": 10 },
        { "containerID": 5, "hostID": 2000, "size": 10 },
    ]);
    let dir = volume(&scene);
    let bundle = with_mount(scene.bundle(), &dir, idmap, Some(many));
    scene.refused(&bundle).says(&["id mapping", "invalid argument", "/mounts/"]);
    // The host's own user namespace maps nothing.
    let hosts = scene.bundle().namespace("user", Some("/proc/self/ns/user"));
    scene.refused(&with_mount(hosts, &dir, idmap, None)).says(&["map the ids", "/mounts/"]);
    before.assert_same();
}

#[test]
fn a_mount_that_is_mapped_already_is_not_mapped_again() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let (dir, shared) = (volume(&scene), scene.directory("shared"));
    fs::create_dir(shared.join("mapped")).expect("mkdir");
    let _bind = scene.mount(None, &shared, &shared, MsFlags::MS_BIND);
    let mounted = |flags| {
        let done = nix::mount::mount(None::<&str>, &shared, None::<&str>, flags, None::<&str>);
        done.expect("shared");
    };
    mounted(MsFlags::MS_SHARED);
    // What is mounted in a shared mount inside appears on the host, mapped.
    let own = mapping(0, 1000, 10);
    let inner = json!({
        "destination": "/shared/mapped", "source": dir, "options": ["bind", "idmap"],
        "uidMappings": own, "gidMappings": own
    });
    let bundle = scene.bundle().set("/linux/rootfsPropagation", "rshared");
    let bundle = bundle.bind(&shared, "/shared", &["rshared"]).set("/mounts/-", inner);
    let first = scene.start(&bundle.sleeping());
    assert_eq!(owner(&shared.join("mapped/file")), (1007, 1007));
    let idmap: &[&str] = &["bind", "idmap"];
    let again = with_mount(scene.bundle(), &shared.join("mapped"), idmap, Some(own.clone()));
    scene.refused(&again).says(&["id-mapped already"]);
    let below = with_mount(scene.bundle(), &shared, &["rbind", "ridmap"], Some(own));
    scene.refused(&below).says(&["id-mapped already"]);
    first.end();
    let _ = nix::mount::umount2(&shared.join("mapped"), nix::mount::MntFlags::MNT_DETACH);
}

#[test]
fn mappings_that_say_nothing_are_refused() {
    let Some(scene) = Scene::begin() else { return };
    let dir = volume(&scene);
    let before = scene.snapshot();
    let idmap: &[&str] = &["bind", "idmap"];
    scene.refused(&with_mount(scene.bundle(), &dir, idmap, None));
    let half = json!({
        "destination": "/tmp", "source": dir, "options": idmap, "uidMappings": mapping(0, 0, 1)
    });
    scene.refused(&scene.bundle().set("/mounts/-", half));
    scene.refused(&with_mount(scene.bundle(), &dir, idmap, Some(mapping(0, u32::MAX, 9))));
    scene.refused(&with_mount(scene.bundle(), &dir, &["bind", "idmap=uids=0"], None));
    before.assert_same();
}
