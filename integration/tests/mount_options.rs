//! Every mount option that `keel features` lists has an effect that a container sees, or is listed
//! here as one that has none.

use std::fs;
use std::path::{Path, PathBuf};

use integration::bundle::write;
use integration::inside::Mounted;
use integration::scene::HostMount;
use integration::{Bundle, Inside, Need, Scene};
use nix::mount::MsFlags;
use serde_json::{Value, json};

/// Mount flag of Linux 5.10 that nix does not know.
const NOSYMFOLLOW: MsFlags = MsFlags::from_bits_retain(256);

/// Attributes: the option, and what a mount without and one with all attributes is then like.
#[rustfmt::skip]
const ATTRIBUTES: [(&str, Start, &str, bool); 18] = [
    ("ro", Start::Plain, "ro", true),
    ("rw", Start::Closed, "ro", false),
    ("nosuid", Start::Plain, "nosuid", true),
    ("suid", Start::Closed, "nosuid", false),
    ("nodev", Start::Plain, "nodev", true),
    ("dev", Start::Closed, "nodev", false),
    ("noexec", Start::Plain, "noexec", true),
    ("exec", Start::Closed, "noexec", false),
    ("nodiratime", Start::Plain, "nodiratime", true),
    ("diratime", Start::Closed, "nodiratime", false),
    ("nosymfollow", Start::Plain, "nosymfollow", true),
    ("symfollow", Start::Closed, "nosymfollow", false),
    ("noatime", Start::Plain, "noatime", true),
    ("atime", Start::Closed, "noatime", false),
    ("relatime", Start::Closed, "relatime", true),
    ("norelatime", Start::Closed, "noatime", false),
    ("strictatime", Start::Plain, "relatime", false),
    ("nostrictatime", Start::Strict, "relatime", true),
];

/// What a mount of the host is like before.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Start {
    Plain,
    Closed,
    Strict,
}

/// Parameters of the file system: the options in order, the one that is seen, and whether it is.
#[rustfmt::skip]
const SUPERBLOCK: [(&str, &[&str], &str, bool); 7] = [
    ("sync", &["sync"], "sync", true),
    ("async", &["sync", "async"], "sync", false),
    ("dirsync", &["dirsync"], "dirsync", true),
    ("lazytime", &["lazytime"], "lazytime", true),
    ("nolazytime", &["lazytime", "nolazytime"], "lazytime", false),
    ("mand", &["mand"], "mand", true),
    ("nomand", &["mand", "nomand"], "mand", false),
];

/// Options that change nothing on a tmpfs that could be seen: `acl` and `defaults` are what is the
/// case, `noacl` can be had of a few file systems only, and the new mount API prints no warnings that
/// `silent` could forbid.
const NOTHING: [&str; 5] = ["acl", "defaults", "loud", "noacl", "silent"];

/// A tree of two mounts on the host, which both begin alike.
struct Tree {
    dir: PathBuf,
    _mounts: [HostMount; 2],
}

impl Tree {
    fn new(scene: &Scene, start: Start, name: &str) -> Self {
        let flags = match start {
            Start::Plain => MsFlags::MS_RELATIME,
            Start::Strict => MsFlags::MS_STRICTATIME,
            Start::Closed => {
                MsFlags::MS_NOSUID
                    | MsFlags::MS_NODEV
                    | MsFlags::MS_NOEXEC
                    | MsFlags::MS_NOATIME
                    | MsFlags::MS_NODIRATIME
                    | NOSYMFOLLOW
            }
        };
        let dir = scene.directory(name);
        let top = scene.mount(Some("tmpfs"), "top".as_ref(), &dir, flags);
        let below = dir.join("below");
        fs::create_dir(&below).expect("mkdir");
        let below = scene.mount(Some("tmpfs"), "below".as_ref(), &below, flags);
        if start == Start::Closed {
            for dir in [dir.as_path(), &dir.join("below")] {
                let readonly = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | flags;
                nix::mount::mount(None::<&str>, dir, None::<&str>, readonly, None::<&str>)
                    .expect("read-only");
            }
        }
        Self { dir, _mounts: [below, top] }
    }
}

fn table(scene: &Scene, bundle: Bundle) -> Inside {
    Inside(scene.output(&bundle.args(["/bin/cat", "/proc/self/mountinfo"])))
}

fn new_tmpfs(scene: &Scene, options: &[&str]) -> Mounted {
    table(scene, scene.bundle().mount("tmpfs", "tmpfs", "/new", options)).mount("/new")
}

/// An attribute changes in the topmost mount, and with a leading `r` in both.
fn attribute(scene: &Scene, trees: &[(Start, Tree)], option: &str) -> Option<()> {
    let known = |name: &str| ATTRIBUTES.iter().find(|(known, ..)| *known == name);
    let recursive = known(option).is_none();
    let name = if recursive { option.strip_prefix('r')? } else { option };
    let (_, start, seen, set) = known(name)?;
    let (_, tree) = trees.iter().find(|(known, _)| known == start)?;
    let source = tree.dir.to_str().expect("UTF-8");
    let inside = table(scene, scene.bundle().mount("", source, "/tmp", &["rbind", option]));
    for (point, changes) in [("/tmp", true), ("/tmp/below", recursive)] {
        let mount = inside.mount(point);
        assert_eq!(mount.has(seen), *set == changes, "{option}: {mount:?}");
    }
    if option.ends_with("strictatime") {
        assert!(!inside.mount("/tmp").has("noatime"), "{}", inside.0);
    }
    Some(())
}

/// A parameter of the file system is one of it.
fn superblock(scene: &Scene, option: &str) -> Option<()> {
    let (_, options, seen, set) = SUPERBLOCK.iter().find(|(known, ..)| *known == option)?;
    let mount = new_tmpfs(scene, options);
    assert_eq!(mount.super_has(seen), *set, "{option}: {mount:?}");
    Some(())
}

/// An option without effect changes nothing.
fn nothing(scene: &Scene, option: &str) -> Option<()> {
    NOTHING.iter().find(|known| **known == option)?;
    let (with, without) = (new_tmpfs(scene, &[option]), new_tmpfs(scene, &[]));
    assert_eq!(with, without, "{option}");
    Some(())
}

/// Propagation types, of a mount that is shared on the host.
fn propagation(scene: &Scene, option: &str) -> Option<()> {
    let types = ["private", "shared", "slave", "unbindable"];
    let recursive = !types.contains(&option);
    let name = if recursive { option.strip_prefix('r')? } else { option };
    types.iter().find(|known| **known == name)?;
    let tree = Tree::new(scene, Start::Plain, option);
    let shared = MsFlags::MS_SHARED | MsFlags::MS_REC;
    nix::mount::mount(None::<&str>, &tree.dir, None::<&str>, shared, None::<&str>).expect("shared");
    // The root lets pass what the most open of the mounts asks for, as engines have it.
    let root = if name == "shared" { "rshared" } else { "rslave" };
    let source = tree.dir.to_str().expect("UTF-8");
    let bundle = scene.bundle().set("/linux/rootfsPropagation", root);
    let inside = table(scene, bundle.mount("", source, "/tmp", &["rbind", option]));
    for (point, changes) in [("/tmp", true), ("/tmp/below", recursive)] {
        let mount = inside.mount(point);
        let unbindable = mount.propagation.iter().any(|word| word == "unbindable");
        let found = (mount.shared(), mount.slave(), unbindable);
        // Every mount is a slave of the host's, or its peer where the root is, before it changes.
        let expected = match (name, changes) {
            ("shared", _) => (true, false, false),
            ("private", true) => (false, false, false),
            ("unbindable", true) => (false, false, true),
            _ => (false, true, false),
        };
        assert_eq!(found, expected, "{option}: {mount:?}");
    }
    Some(())
}

/// The rest, each in its own way.
fn special(scene: &Scene, trees: &[(Start, Tree)], option: &str) -> Option<()> {
    let tree = trees[0].1.dir.to_str().expect("UTF-8");
    match option {
        "bind" | "rbind" => {
            let inside = table(scene, scene.bundle().mount("", tree, "/tmp", &[option]));
            assert_eq!(inside.mounted("/tmp/below"), option == "rbind", "{}", inside.0);
        }
        "remount" => {
            let bundle = scene.bundle().mount("tmpfs", "tmpfs", "/new", &[]);
            let bundle = bundle.mount("", "", "/new", &["remount", "noexec", "size=64k"]);
            let inside = table(scene, bundle);
            let found: Vec<_> =
                inside.mounts().into_iter().filter(|mount| mount.point == "/new").collect();
            assert!(found.len() == 1 && found[0].has("noexec"), "{found:?}");
            assert!(found[0].super_has("size=64k"), "{found:?}");
        }
        "tmpcopyup" => {
            let bundle = scene.bundle().mount("tmpfs", "tmpfs", "/data", &["tmpcopyup"]);
            bundle.file("data/file", "content\n");
            assert_eq!(scene.output(&bundle.sh("cat /data/file")), "content\n");
        }
        "idmap" | "ridmap" => {
            let own = json!([{ "containerID": 0, "hostID": 1000, "size": 10 }]);
            let mount = json!({
                "destination": "/tmp", "source": tree, "options": ["rbind", option],
                "uidMappings": own, "gidMappings": own
            });
            let inside = table(scene, scene.bundle().set("/mounts/-", mount));
            assert!(inside.mount("/tmp").has("idmapped"), "{}", inside.0);
            let below = inside.mount("/tmp/below").has("idmapped");
            assert_eq!(below, option == "ridmap", "{}", inside.0);
        }
        "copy-symlink" | "src-nofollow" | "dest-nofollow" => links(scene, option),
        "iversion" | "noiversion" => counting(scene, option),
        _ => return None,
    }
    Some(())
}

/// A link as source, and a link at the destination.
fn links(scene: &Scene, option: &str) {
    let dir = scene.directory(option);
    write(&dir.join("file"), b"of the host\n");
    std::os::unix::fs::symlink("file", dir.join("link")).expect("symlink");
    let source = dir.join(if option == "dest-nofollow" { "file" } else { "link" });
    let bundle = scene.bundle().bind(&source, "/data/it", &[option]);
    bundle.file("data/file", "of the image\n");
    bundle.file("data/other", "of another\n");
    if option == "dest-nofollow" {
        bundle.link("data/it", "other");
    }
    let script = "readlink /data/it; cat /data/it /data/other; grep -c /data/ /proc/self/mountinfo";
    let expected = match option {
        "copy-symlink" => "file\nof the image\nof another\n0\n",
        "src-nofollow" => "file\nof the image\nof another\n1\n",
        _ => "of the host\nof another\n1\n",
    };
    assert_eq!(scene.run(&bundle.sh(script)).stdout, expected, "{option}");
}

/// Nothing but the kernel sees whether it counts changes: the call that says so is looked at.
fn counting(scene: &Scene, option: &str) {
    let last = ["remount", "noexec", option];
    let bundle = scene.bundle().mount("tmpfs", "tmpfs", "/new", &["iversion", "lazytime", "sync"]);
    let bundle = bundle.mount("", "", "/new", &last).args(["/bin/cat", "/proc/self/mountinfo"]);
    let log = scene.dir().join("strace");
    let trace = ["strace", "--follow-forks", "--trace=mount", "--output", log.to_str().expect("x")];
    let outcome = scene.verb("run", &[], &bundle, &scene.id()).under(trace).run().ok();
    let log = fs::read_to_string(log).expect("a trace");
    let calls: Vec<&str> = log.lines().filter(|line| line.contains(" mount(")).collect();
    assert_eq!(calls.len(), 2, "{log}");
    assert!(calls.iter().all(|call| call.contains("MS_REMOUNT") && call.ends_with("= 0")), "{log}");
    let counts: Vec<bool> = calls.iter().map(|call| call.contains("MS_I_VERSION")).collect();
    assert_eq!(counts, [true, option == "iversion"], "{log}");
    // The call replaces what is said of the file system; nothing else may change.
    let mount = Inside(outcome.stdout).mount("/new");
    assert!(mount.has("noexec") && mount.super_has("sync"), "{mount:?}");
}

#[test]
fn every_option_that_is_announced_has_an_effect_or_is_known_to_have_none() {
    let needs = [Need::Keel, Need::Program("strace")];
    let Some(scene) = Scene::needing(&needs) else { return };
    let features = scene.call(scene.runtime().program()).arg("features").run().ok().stdout;
    let features: Value = serde_json::from_str(&features).expect("JSON");
    let named = features["mountOptions"].as_array().expect("a list");
    assert!(named.len() > 60, "{named:?}");
    let starts = [Start::Plain, Start::Closed, Start::Strict];
    let trees = starts.map(|start| (start, Tree::new(&scene, start, &format!("{start:?}"))));
    for option in named.iter().map(|name| name.as_str().expect("text")) {
        let proof = attribute(&scene, &trees, option)
            .or_else(|| superblock(&scene, option))
            .or_else(|| nothing(&scene, option))
            .or_else(|| special(&scene, &trees, option))
            .or_else(|| propagation(&scene, option));
        assert!(proof.is_some(), "nothing shows what {option} does");
    }
}

/// A file with a new ext4, on a loop device.
struct Disk {
    device: PathBuf,
}

impl Disk {
    fn new(scene: &Scene) -> Self {
        let image = scene.dir().join("image");
        let file = fs::File::create_new(&image).expect("an image");
        file.set_len(8 << 20).expect("a size");
        scene.call("mkfs.ext4").arg("-q").arg(&image).run().ok();
        let device = scene.call("losetup").args(["--find", "--show"]).arg(&image).run().ok().stdout;
        Self { device: device.trim().into() }
    }

    fn path(&self) -> &str {
        self.device.to_str().expect("UTF-8")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("losetup").arg("--detach").arg(&self.device).status();
    }
}

#[test]
fn a_disk_is_mounted_with_the_options_of_its_file_system() {
    let needs =
        [Need::Program("mkfs.ext4"), Need::Program("losetup"), Need::Path("/dev/loop-control")];
    let Some(scene) = Scene::needing(&needs) else { return };
    let disk = Disk::new(&scene);
    let options = ["acl", "nodelalloc", "errors=remount-ro", "nosuid", "sync"];
    // Where init is in its cgroup already, its device rules hold for the mount.
    let allowed = json!({ "allow": true, "type": "b", "major": 7, "access": "rwm" });
    let bundle = scene.bundle().set("/linux/resources/devices/-", allowed);
    let bundle = bundle.mount("ext4", disk.path(), "/new", &options);
    let inside = table(&scene, bundle.clone());
    let mount = inside.mount("/new");
    assert_eq!((mount.kind.as_str(), mount.source.as_str()), ("ext4", disk.path()));
    assert!(mount.has("nosuid") && mount.super_has("sync"), "{mount:?}");
    assert!(mount.super_has("nodelalloc") && mount.super_has("errors=remount-ro"), "{mount:?}");
    // The device is one of the host, whichever namespaces are joined.
    let first = scene.start(&scene.bundle().sleeping());
    let bundle = bundle.namespace("pid", Some(&format!("/proc/{}/ns/pid", first.pid())));
    assert_eq!(table(&scene, bundle).mount("/new").kind, "ext4");
    first.end();
}

#[test]
fn an_option_that_a_file_system_does_not_know_is_named() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let before = scene.snapshot();
    for (kind, options, says) in [
        ("tmpfs", ["size=1m", "moon"], ["\"moon\"", "Unknown parameter"]),
        ("tmpfs", ["size=1m", "mode=no"], ["\"mode=no\"", "Bad value for 'mode'"]),
        ("devpts", ["newinstance", "ptmxmode=9"], ["\"ptmxmode=9\"", "with newinstance"]),
        ("nothing-such", ["size=1m", "x=y"], ["no such device", "nothing-such"]),
    ] {
        let bundle = scene.bundle().mount(kind, kind, "/new", &options);
        scene.refused(&bundle).says(&says).says(&["(config.json /mounts/7)"]);
    }
    let bundle = scene.bundle().mount("tmpfs", "tmpfs", "/new", &["size=1m"]);
    let bundle = bundle.mount("", "", "/new", &["remount", "huge=moon"]);
    scene.refused(&bundle).says(&["remount /new", "\"huge=moon\"", "(config.json /mounts/8)"]);
    let long = "x".repeat(256);
    let bundle = scene.bundle().mount("tmpfs", "tmpfs", "/new", &[&format!("mpol={long}")]);
    scene.refused(&bundle).says(&["255 bytes", "/mounts/7/options"]);
    before.assert_same();
}

#[test]
fn a_flag_that_is_locked_is_named() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Program("setpriv")]) else { return };
    let dir = scene.directory("volume");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOATIME;
    let _volume = scene.mount(Some("tmpfs"), "volume".as_ref(), &dir, flags);
    // Without the right to copy mounts, the user namespace's root copies them, as they are.
    let mapping = json!([{ "containerID": 0, "hostID": 0, "size": 65_536 }]);
    let bundle = || {
        scene
            .bundle()
            .namespace("user", None)
            .set("/linux/uidMappings", mapping.clone())
            .set("/linux/gidMappings", mapping.clone())
    };
    let run = |bundle: &Bundle| {
        let bounded = ["setpriv", "--bounding-set", "-sys_admin"];
        bundle.save();
        let words = ["--cgroup-manager", "disabled", "run", "--bundle"];
        scene.keel(words).arg(bundle.dir()).arg(scene.id()).under(bounded).run()
    };
    let before = scene.snapshot();
    for (options, locked) in [
        (["bind", "suid"], "locked it with nosuid"),
        (["bind", "strictatime"], "locked it with noatime"),
        (["rbind", "rdev"], "locked it with nodev"),
    ] {
        let bundle = bundle().mount("", dir.to_str().expect("UTF-8"), "/tmp", &options);
        run(&bundle).refused().says(&[locked, "(config.json /mounts/7)"]);
    }
    let bundle = bundle().bind(&dir, "/tmp", &[]).mount("", "", "/tmp", &["remount", "dev"]);
    run(&bundle).refused().says(&["remount /tmp", "locked it with nodev"]);
    before.assert_same();
}

#[test]
fn options_of_the_cgroup_mount_hold_for_every_hierarchy() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let hierarchies = |options: &[&str]| {
        let bundle = scene.bundle().without_mount("/sys/fs/cgroup");
        let inside = table(&scene, bundle.mount("cgroup", "cgroup", "/sys/fs/cgroup", options));
        let mut found = inside.mounts();
        found.retain(|mount| mount.point.starts_with("/sys/fs/cgroup"));
        assert!(!found.is_empty(), "{}", inside.0);
        found
    };
    for mount in hierarchies(&["rprivate", "rnosuid", "noexec", "rro"]) {
        assert!(["nosuid", "noexec", "ro"].iter().all(|option| mount.has(option)), "{mount:?}");
        assert!(!mount.shared(), "{mount:?}");
    }
    for mount in hierarchies(&["rshared"]) {
        assert!(mount.shared(), "{mount:?}");
    }
}

#[test]
fn a_relative_destination_counts_from_the_root() {
    let Some(scene) = Scene::begin() else { return };
    let dir = scene.directory("volume");
    write(&dir.join("file"), b"here\n");
    for destination in ["data", "./data/", "../../data"] {
        let bundle = scene.bundle().bind(&dir, destination, &[]).sh("cat /data/file");
        let outcome = scene.run(&bundle).ok();
        assert_eq!(outcome.stdout, "here\n", "{destination}");
        assert!(!scene.is_keel() || outcome.stderr.contains("relative"), "{outcome:?}");
    }
    assert!(fs::metadata(Path::new("/data")).is_err());
}
