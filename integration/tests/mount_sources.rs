//! Where mounts come from: links, layers of overlays, and servers of FUSE.

#[path = "mount_sources/server.rs"]
mod server;

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};

use integration::bundle::write;
use integration::race::Canary;
use integration::{Bundle, Container, Inside, Need, Scene};

/// The first id on the host of the mapped range.
const BASE: u32 = 200_000;

/// A link of the host that leads to a file beside it.
fn host_link(scene: &Scene) -> PathBuf {
    let dir = scene.directory("volume");
    write(&dir.join("file"), b"of the host\n");
    symlink("file", dir.join("link")).expect("symlink");
    dir.join("link")
}

#[test]
fn a_link_is_made_anew_and_one_that_is_the_same_is_kept() {
    let Some(scene) = Scene::begin() else { return };
    let link = host_link(&scene);
    let copied = |bundle: Bundle, source: &Path| bundle.bind(source, "/data/it", &["copy-symlink"]);
    let look = "readlink /data/it; cat /data/it";
    for there in [None, Some("file")] {
        let bundle = copied(scene.bundle(), &link).sh(look);
        bundle.file("data/file", "of the image\n");
        if let Some(content) = there {
            bundle.link("data/it", content);
        }
        assert_eq!(scene.output(&bundle), "file\nof the image\n");
    }
    // What is no link is bound as ever.
    let bundle = copied(scene.bundle(), &link.with_file_name("file")).sh("cat /data/it");
    assert_eq!(scene.output(&bundle), "of the host\n");
    // Below links of the image it stays inside, like every destination.
    let canary = Canary::plant(scene.directory("canary"));
    let bundle = copied(scene.bundle(), &link).sh("readlink /data/it");
    bundle.link("data", canary.dir());
    assert_eq!(scene.output(&bundle), "file\n");
    canary.assert_untouched();
}

#[test]
fn a_link_is_not_made_where_something_else_is() {
    let Some(scene) = Scene::begin() else { return };
    let link = host_link(&scene);
    let before = scene.snapshot();
    for (name, make) in [
        ("data/link", (|bundle, name| bundle.link(name, "elsewhere")) as fn(&Bundle, &str)),
        ("data/longer", |bundle, name| bundle.link(name, "file-and-more")),
        ("data/file", |bundle, name| bundle.file(name, "x")),
        ("data/dir", |bundle, name| drop(bundle.directory(name))),
    ] {
        let bundle = scene.bundle().bind(&link, &format!("/{name}"), &["copy-symlink"]);
        bundle.directory("data");
        make(&bundle, name);
        scene.refused(&bundle);
        before.assert_same();
    }
}

#[test]
fn a_link_at_the_destination_is_covered_itself() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let link = host_link(&scene);
    let canary = Canary::plant(scene.directory("canary"));
    let outside = canary.dir().join("secret");
    for (options, source, expected) in [
        (vec!["dest-nofollow"], link.with_file_name("file"), "\nof the host\n"),
        (vec!["dest-nofollow"], link.clone(), "\nof the host\n"),
        (vec!["dest-nofollow", "src-nofollow"], link.clone(), "file\nof the image\n"),
    ] {
        let bundle = scene.bundle().bind(&source, "/data/it", &options);
        let bundle = bundle.sh("readlink /data/it || echo; cat /data/it");
        bundle.file("data/file", "of the image\n");
        bundle.link("data/it", &outside);
        assert_eq!(scene.output(&bundle), expected, "{options:?}");
    }
    // A missing destination is made; one below a link stays inside.
    let bundle = scene.bundle().bind(&link, "/data/it", &["dest-nofollow"]).sh("cat /data/it");
    bundle.link("data", canary.dir());
    assert_eq!(scene.output(&bundle), "of the host\n");
    // A directory cannot lie on a link.
    let bundle = scene.bundle().bind(scene.directory("dir"), "/it", &["dest-nofollow"]);
    bundle.link("it", &outside);
    scene.refused(&bundle).says(&["/it", "not a directory"]);
    // Nor does it lead to /proc, whatever a link says.
    let bundle = scene.bundle().bind(&link, "/data/version", &["dest-nofollow"]);
    bundle.link("data", "/proc");
    scene.refused(&bundle).says(&["procfs cannot be covered"]);
    canary.assert_untouched();
}

#[test]
fn what_a_tmpfs_starts_with_lies_in_the_image() {
    let Some(scene) = Scene::begin() else { return };
    let canary = Canary::plant(scene.directory("canary"));
    let bundle = scene.bundle().mount("tmpfs", "tmpfs", "/data", &["tmpcopyup"]);
    bundle.file("data/dir/file", "x");
    bundle.link("data/out", canary.dir());
    bundle.link("data/dir/secret", canary.dir().join("secret"));
    bundle.link("data/up", "../../../..");
    let bundle =
        bundle.sh("cd /data; find . | sort; readlink out; readlink dir/secret; echo x >>dir/file");
    let (dir, secret) = (canary.dir().display(), canary.dir().join("secret"));
    let expected =
        format!(".\n./dir\n./dir/file\n./dir/secret\n./out\n./up\n{dir}\n{}\n", secret.display());
    assert_eq!(scene.output(&bundle), expected);
    canary.assert_untouched();
}

/// Makes directories of a bundle with a file each that has the directory's name.
fn layers(bundle: &Bundle, names: &[&str]) {
    for name in names {
        let dir = bundle.dir().join(name);
        fs::create_dir_all(&dir).expect("mkdir");
        let name = dir.file_name().expect("a name").to_owned();
        write(&dir.join(&name), b"x");
        write(&dir.join("top"), name.as_encoded_bytes());
    }
}

fn overlay(bundle: Bundle, options: &[&str]) -> Bundle {
    bundle.mount("overlay", "overlay", "/merged", options)
}

/// The path of a directory of a bundle.
fn below(bundle: &Bundle, name: &str) -> String {
    bundle.dir().join(name).display().to_string()
}

/// Layers by their paths on the host.
fn lower(bundle: &Bundle, names: &[&str]) -> String {
    let paths: Vec<String> = names.iter().map(|name| below(bundle, name)).collect();
    format!("lowerdir={}", paths.join(":"))
}

#[test]
fn layers_of_an_overlay_may_be_relative_to_the_bundle() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle();
    let absolute = format!("lowerdir=one:{}", bundle.dir().join("two").display());
    let options = [absolute.as_str(), "upperdir=upper", "workdir=work"];
    let bundle = overlay(bundle, &options).sh("cd /merged; cat top; echo; ls; echo new >new");
    layers(&bundle, &["one", "two", "upper"]);
    fs::create_dir(bundle.dir().join("work")).expect("mkdir");
    assert_eq!(scene.output(&bundle), "upper\none\ntop\ntwo\nupper\n");
    assert_eq!(fs::read(bundle.dir().join("upper/new")).expect("written"), b"new\n");
    // Once more read-only, without a layer to write to.
    let options = ["lowerdir=one:two", "ro"];
    let again = overlay(bundle.without_mount("/merged"), &options);
    let again = again.sh("cat /merged/top; touch /merged/x 2>/dev/null || echo; ls /merged");
    assert_eq!(scene.output(&again), "one\none\ntop\ntwo\n");
}

#[test]
fn an_overlay_may_have_many_layers_with_long_names() {
    let Some(scene) = Scene::begin() else { return };
    let names: Vec<String> = (0..40).map(|i| format!("layers/layer-{i:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let count = "ls /merged | wc -l; cat /merged/top";
    let bundle = scene.bundle();
    let list = lower(&bundle, &names);
    let bundle = overlay(bundle, &[&list]).sh(count);
    layers(&bundle, &names);
    assert_eq!(scene.output(&bundle), "41\nlayer-00");
}

#[test]
fn a_layer_may_have_a_colon_and_a_path_longer_than_a_value() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let long = format!("{0}/{0}/{0}/end", "long".repeat(25));
    let list = format!("lowerdir=a\\:b:{long}");
    let bundle = overlay(scene.bundle(), &[&list]).sh("ls /merged; cat /merged/top");
    layers(&bundle, &["a:b", &long]);
    assert_eq!(scene.output(&bundle), "a:b\nend\ntop\na:b");
}

#[test]
fn an_overlay_in_a_user_namespace_is_its_own() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().mapped(BASE);
    let [upper, work] = ["upper", "work"].map(|name| format!("{name}dir={}", below(&bundle, name)));
    let lower = lower(&bundle, &["lower"]);
    let bundle = overlay(bundle, &[&lower, &upper, &work]);
    layers(&bundle, &["lower", "upper"]);
    fs::create_dir(bundle.dir().join("work")).expect("mkdir");
    for name in ["lower", "lower/lower", "upper", "work"] {
        chown(bundle.dir().join(name), Some(BASE + 5), Some(BASE)).expect("chown");
    }
    // Only who owns the layers may be in them.
    chown(bundle.dir().join("upper"), Some(BASE), Some(BASE)).expect("chown");
    let bundle = bundle.sh("stat -c '%u %g' /merged/lower; touch /merged/new");
    assert_eq!(scene.output(&bundle), "5 0\n");
    let new = fs::metadata(bundle.dir().join("upper/new")).expect("made inside");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&new), BASE);
}

#[test]
fn layers_are_the_hosts_in_a_joined_pid_namespace_too() {
    let Some(scene) = Scene::begin() else { return };
    let first = scene.start(&scene.bundle().sleeping());
    let bundle = scene.bundle();
    let list = lower(&bundle, &["one", "two"]);
    let bundle = overlay(bundle, &[&list, "nosuid"])
        .namespace("pid", Some(&format!("/proc/{}/ns/pid", first.pid())))
        .sh("cat /merged/top; echo; cat /proc/self/mountinfo");
    layers(&bundle, &["one", "two"]);
    let inside = Inside(scene.output(&bundle));
    assert!(inside.0.starts_with("one\n"), "{}", inside.0);
    assert!(inside.mount("/merged").has("nosuid"), "{}", inside.0);
    first.end();
}

#[test]
fn a_descriptor_of_the_caller_may_serve_a_fuse_file_system() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Path("/dev/fuse")]) else { return };
    let device = server::open();
    let options = ["fd=3", "rootmode=40000", "user_id=0", "group_id=0", "nosuid"];
    let bundle = scene.bundle().mount("fuse", "it", "/new", &options);
    let bundle = bundle.sh("cat /proc/self/mountinfo; stat -c '%u %a' /new; ls -A /new | wc -l");
    let id = scene.id();
    let call = scene.verb("create", &["--preserve-fds=1"], &bundle, &id);
    let call = call.stdin(device.try_clone().expect("a duplicate"));
    let call = call.with_descriptors("3<&0 0</dev/null").spawn();
    let output = call.stdout_path().to_owned();
    call.wait().ok();
    let container = Container::new(&scene, id, output);
    let server = server::serve(device);
    container.start();
    container.until("stopped");
    let inside = Inside(container.output());
    let mount = inside.mount("/new");
    assert_eq!((mount.kind.as_str(), mount.source.as_str()), ("fuse", "it"));
    assert!(mount.has("nosuid"), "{mount:?}");
    assert!(inside.0.ends_with("7 755\n0\n"), "{}", inside.0);
    container.delete();
    server.join().expect("it ends with the file system");
    // Without such a descriptor there is nobody to ask.
    scene.refused(&bundle).says(&["\"fd=3\" is no descriptor", "/mounts/7/options"]);
}

#[test]
fn a_fuse_file_system_of_the_host_is_bound() {
    let Some(scene) = Scene::needing(&[Need::Path("/dev/fuse")]) else { return };
    let (device, dir) = (server::open(), scene.directory("fuse"));
    let data = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
    let flags = nix::mount::MsFlags::empty();
    nix::mount::mount(Some("it"), &dir, Some("fuse"), flags, Some(data.as_str())).expect("mount");
    let server = server::serve(device);
    let bundle = scene.bundle().bind(&dir, "/tmp", &["ro"]);
    let inside = Inside(scene.output(&bundle.sh("cat /proc/self/mountinfo; stat -c %u /tmp")));
    assert!(inside.mount("/tmp").has("ro") && inside.mount("/tmp").kind == "fuse", "{}", inside.0);
    assert!(inside.0.ends_with("\n7\n"), "{}", inside.0);
    nix::mount::umount2(&dir, nix::mount::MntFlags::MNT_DETACH).expect("unmount");
    server.join().expect("it ends with the file system");
}
