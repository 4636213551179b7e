//! Mounts: those of every default configuration, those of engines, and their options.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use integration::bundle::write;
use integration::{Bundle, Inside, Scene};
use nix::mount::{MsFlags, mount};

/// What a container with this configuration has mounted.
fn mounts(scene: &Scene, bundle: Bundle) -> Inside {
    Inside(scene.output(&bundle.args(["/bin/cat", "/proc/self/mountinfo"])))
}

#[test]
fn every_mount_of_the_default_configuration_is_there_with_its_options() {
    let Some(scene) = Scene::begin() else { return };
    let inside = mounts(&scene, scene.bundle());
    let expected: [(&str, &str, &[&str], &[&str]); 6] = [
        ("/proc", "proc", &["rw"], &[]),
        ("/dev", "tmpfs", &["rw", "nosuid"], &["size=65536k", "mode=755"]),
        ("/dev/pts", "devpts", &["nosuid", "noexec"], &["gid=5", "mode=620", "ptmxmode=666"]),
        ("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev"], &["size=65536k"]),
        ("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"], &[]),
        ("/sys", "sysfs", &["ro", "nosuid", "noexec", "nodev"], &[]),
    ];
    for (point, kind, options, super_options) in expected {
        let mount = inside.mount(point);
        assert_eq!(mount.kind, kind, "{mount:?}");
        assert!(options.iter().all(|option| mount.has(option)), "{options:?} of {mount:?}");
        assert!(super_options.iter().all(|option| mount.super_has(option)), "{mount:?}");
        assert!(!mount.shared() && !mount.slave(), "{mount:?}");
    }
    assert!(inside.mount("/").has("ro"));
    let first = inside.mounts().into_iter().next().expect("a mount");
    assert_eq!(first.point, "/", "nothing is mounted below the root file system's mount");
}

#[test]
fn the_cgroup_mount_shows_the_containers_own_cgroup_read_only() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle();
    let cgroup = bundle.cgroup().to_owned();
    let inside = mounts(&scene, bundle);
    let all = inside.mounts();
    let mut found = all.iter().filter(|m| m.point.starts_with("/sys/fs/cgroup")).peekable();
    assert!(found.peek().is_some(), "{}", inside.0);
    for mount in found.filter(|mount| mount.kind.starts_with("cgroup")) {
        assert!(mount.has("ro") && mount.has("nosuid") && mount.has("nodev"), "{mount:?}");
        assert!(mount.root.ends_with(&cgroup) || mount.root == "/", "{mount:?}");
    }
}

#[test]
fn a_directory_a_file_and_a_socket_are_bound() {
    let Some(scene) = Scene::begin() else { return };
    let dir = scene.directory("volume");
    write(&dir.join("inner"), b"from the volume\n");
    let file = scene.dir().join("file");
    write(&file, b"from the file\n");
    let socket = scene.dir().join("socket");
    let _listener = UnixListener::bind(&socket).expect("bind");
    let bundle = scene
        .bundle()
        .bind(&dir, "/tmp", &["rw"])
        .bind(&file, "/etc/group", &[])
        .bind(&socket, "/etc/passwd", &[])
        .sh("cat /tmp/inner /etc/group; [ -S /etc/passwd ] && echo socket; echo new >/tmp/new");
    assert_eq!(scene.output(&bundle), "from the volume\nfrom the file\nsocket\n");
    assert_eq!(fs::read(dir.join("new")).expect("written inside"), b"new\n");
}

#[test]
fn a_missing_destination_is_made_as_what_the_source_is() {
    let Some(scene) = Scene::begin() else { return };
    let dir = scene.directory("volume");
    let file = scene.dir().join("file");
    write(&file, b"content\n");
    let bundle = scene
        .bundle()
        .bind(&dir, "/a/b/dir", &[])
        .bind(&file, "/a/b/c/file", &[])
        .mount("tmpfs", "tmpfs", "/new/tmpfs", &[])
        .sh("[ -d /a/b/dir ] && cat /a/b/c/file && [ -d /new/tmpfs ] && stat -c %a /a /a/b/c");
    assert_eq!(scene.output(&bundle), "content\n755\n755\n");
    assert!(fs::metadata(bundle.rootfs().join("a/b/c/file")).expect("made").is_file());
}

#[test]
fn directories_on_the_way_do_not_depend_on_the_callers_umask() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().mount("tmpfs", "tmpfs", "/way/to/it", &[]);
    let bundle = bundle.set("/process/user/uid", 1000).sh("stat -c %a /way /way/to");
    let call = scene.verb("run", &[], &bundle, &scene.id());
    let outcome = call.under(["sh", "-c", "umask 077; exec \"$0\" \"$@\""]).run().ok();
    assert_eq!(outcome.stdout, "755\n755\n");
}

#[test]
fn a_read_only_bind_cannot_be_written() {
    let Some(scene) = Scene::begin() else { return };
    let dir = scene.directory("volume");
    let bundle = scene.bundle().bind(&dir, "/tmp", &["ro"]);
    let inside = mounts(&scene, bundle.clone());
    assert!(inside.mount("/tmp").has("ro"), "{}", inside.0);
    let outcome = scene.run(&bundle.sh("echo x >/tmp/new"));
    assert!(outcome.stderr.contains("Read-only file system"), "{outcome:?}");
    assert!(fs::metadata(dir.join("new")).is_err());
}

#[test]
fn options_of_a_bind_are_set() {
    let Some(scene) = Scene::begin() else { return };
    let dir = scene.directory("volume");
    let cases: [&[&str]; 4] =
        [&["nosuid", "nodev", "noexec"], &["ro", "nosuid"], &["noatime", "nodiratime"], &["rw"]];
    for options in cases {
        let mount = mounts(&scene, scene.bundle().bind(&dir, "/tmp", options)).mount("/tmp");
        for option in ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime"] {
            assert_eq!(mount.has(option), options.contains(&option), "{options:?}: {mount:?}");
        }
    }
}

#[test]
fn options_of_a_bind_are_cleared() {
    let Some(scene) = Scene::begin() else { return };
    let dir = scene.directory("volume");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_NOATIME;
    let _volume = scene.mount(Some("tmpfs"), "volume".as_ref(), &dir, flags);
    let cases: [(&[&str], &[&str], &[&str]); 3] = [
        (&["suid", "dev", "exec"], &["rw"], &["nosuid", "nodev", "noexec"]),
        (&["ro", "rw", "noexec", "exec"], &["rw"], &["ro", "noexec"]),
        (&["relatime", "nodiratime"], &["relatime", "nodiratime"], &["noatime"]),
    ];
    for (options, present, absent) in cases {
        let inside = mounts(&scene, scene.bundle().bind(&dir, "/tmp", options));
        let mount = inside.mount("/tmp");
        assert!(present.iter().all(|option| mount.has(option)), "{options:?}: {mount:?}");
        assert!(!absent.iter().any(|option| mount.has(option)), "{options:?}: {mount:?}");
    }
}

#[test]
fn a_bind_without_options_keeps_what_the_source_has() {
    let Some(scene) = Scene::begin() else { return };
    let dir = scene.directory("volume");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    let _volume = scene.mount(Some("tmpfs"), "volume".as_ref(), &dir, flags);
    let mount = mounts(&scene, scene.bundle().bind(&dir, "/tmp", &[])).mount("/tmp");
    assert!(["ro", "nosuid", "noexec"].iter().all(|option| mount.has(option)), "{mount:?}");
}

#[test]
fn a_recursive_bind_brings_what_is_mounted_below_and_a_plain_one_does_not() {
    let Some(scene) = Scene::begin() else { return };
    let dir = scene.directory("volume");
    fs::create_dir(dir.join("below")).expect("mkdir");
    let below = dir.join("below");
    let _below = scene.mount(Some("tmpfs"), "below".as_ref(), &below, MsFlags::empty());
    let inside = mounts(&scene, scene.bundle().bind(&dir, "/tmp", &[]));
    assert!(!inside.mounted("/tmp/below"), "{}", inside.0);
    let bundle = scene.bundle().mount("bind", dir.to_str().expect("UTF-8"), "/tmp", &["rbind"]);
    let inside = mounts(&scene, bundle);
    assert!(inside.mounted("/tmp/below"), "{}", inside.0);
}

#[test]
fn propagation_of_a_mount_is_what_the_configuration_says() {
    let Some(scene) = Scene::begin() else { return };
    let dir = scene.directory("volume");
    let _bind = scene.mount(None, &dir, &dir, MsFlags::MS_BIND);
    mount(None::<&str>, &dir, None::<&str>, MsFlags::MS_SHARED, None::<&str>).expect("shared");
    // Engines set the root's propagation to what the most open of the mounts needs.
    for (option, root, shared, slave) in [
        ("rprivate", "rprivate", false, false),
        ("private", "rslave", false, false),
        ("rslave", "rslave", false, true),
        ("slave", "rslave", false, true),
        ("rshared", "rshared", true, false),
        ("shared", "rshared", true, false),
        ("rprivate", "rshared", false, false),
        ("rslave", "rshared", false, true),
    ] {
        let mut bundle = scene.bundle().set("/linux/rootfsPropagation", root);
        bundle = bundle.bind(&dir, "/tmp", &[option]);
        let inside = mounts(&scene, bundle);
        let mount = inside.mount("/tmp");
        assert_eq!(mount.slave(), slave, "{option}: {mount:?}");
        assert_eq!(mount.shared(), shared, "{option}: {mount:?}");
        // A mount that says nothing has what the root has.
        assert_eq!(inside.mount("/proc").shared(), root == "rshared", "{root}");
    }
}

#[test]
fn what_the_host_mounts_later_appears_in_a_slave_and_not_in_a_private_mount() {
    let Some(scene) = Scene::begin() else { return };
    let dir = scene.directory("volume");
    fs::create_dir(dir.join("later")).expect("mkdir");
    let _bind = scene.mount(None, &dir, &dir, MsFlags::MS_BIND);
    mount(None::<&str>, &dir, None::<&str>, MsFlags::MS_SHARED, None::<&str>).expect("shared");
    let bundle = |option| {
        let bundle = scene.bundle().set("/linux/rootfsPropagation", "slave");
        bundle
            .bind(&dir, "/tmp", &[option])
            .sh("sleep 0.1; grep -c /tmp/later /proc/self/mountinfo")
    };
    let containers = ["rslave", "rprivate"].map(|option| scene.create(&bundle(option)));
    let later = dir.join("later");
    let _later = scene.mount(Some("tmpfs"), "later".as_ref(), &later, MsFlags::empty());
    for (container, expected) in containers.iter().zip(["1\n", "0\n"]) {
        container.start();
        container.until("stopped");
        assert_eq!(container.output(), expected);
        container.delete();
    }
}

#[test]
fn a_tmpfs_takes_its_options_and_is_empty() {
    let Some(scene) = Scene::begin() else { return };
    let options = ["nosuid", "size=1m", "uid=7", "gid=8", "nr_inodes=100"];
    let bundle = scene.bundle().mount("tmpfs", "tmpfs", "/new", &options);
    let inside = mounts(&scene, bundle.clone()).mount("/new");
    assert!(inside.has("nosuid") && inside.super_has("size=1024k"), "{inside:?}");
    assert_eq!(scene.output(&bundle.sh("stat -c '%u %g' /new; ls /new")), "7 8\n");
}

#[test]
fn a_tmpfs_without_a_mode_takes_that_of_the_directory_it_covers() {
    let Some(scene) = Scene::begin() else { return };
    let bundle =
        scene.bundle().mount("tmpfs", "tmpfs", "/data", &[]).sh("stat -c %a /data; ls /data");
    bundle.file("data/hidden", "hidden\n");
    let data = bundle.rootfs().join("data");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o1751)).expect("chmod");
    assert_eq!(scene.output(&bundle), "1751\n");
    let missing = scene.bundle().mount("tmpfs", "tmpfs", "/new", &[]).sh("stat -c %a /new");
    let mode = scene.output(&missing);
    assert!(matches!(mode.as_str(), "755\n" | "1777\n"), "{mode}");
}

#[test]
fn the_mode_of_a_tmpfs_wins_over_that_of_the_directory_it_covers() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().mount("tmpfs", "tmpfs", "/tmp", &["mode=750"]);
    assert_eq!(scene.output(&bundle.sh("stat -c %a /tmp")), "750\n");
}

#[test]
fn tmpcopyup_fills_the_tmpfs_with_what_was_there() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().mount("tmpfs", "tmpfs", "/data", &["tmpcopyup", "mode=755"]);
    bundle.file("data/sub/file", "content\n");
    let tool = bundle.rootfs().join("data/sub/file");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o745)).expect("chmod");
    nix::unistd::chown(&tool, Some(5.into()), Some(6.into())).expect("chown");
    let bundle =
        bundle.sh("cat /data/sub/file; stat -c '%a %u %g' /data/sub/file; echo x >/data/y");
    assert_eq!(scene.output(&bundle), "content\n745 5 6\n");
    assert!(fs::metadata(bundle.rootfs().join("data/y")).is_err(), "the copy is written, no more");
}

#[test]
fn a_tmpfs_that_is_filled_may_be_read_only() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().mount("tmpfs", "tmpfs", "/data", &["tmpcopyup", "ro"]);
    bundle.file("data/file", "content\n");
    let bundle = bundle.sh("cat /data/file; touch /data/new 2>/dev/null || echo read-only");
    assert_eq!(scene.output(&bundle), "content\nread-only\n");
}

#[test]
fn mounts_are_made_in_order_and_a_later_one_covers_an_earlier() {
    let Some(scene) = Scene::begin() else { return };
    let (one, other) = (scene.directory("one"), scene.directory("other"));
    write(&one.join("file"), b"one\n");
    write(&other.join("file"), b"other\n");
    let bundle = scene.bundle().bind(&one, "/tmp", &[]).bind(&other, "/tmp", &[]);
    let bundle =
        bundle.mount("tmpfs", "tmpfs", "/tmp/sub", &[]).sh("cat /tmp/file; ls -d /tmp/sub");
    fs::create_dir(other.join("sub")).expect("mkdir");
    assert_eq!(scene.output(&bundle), "other\n/tmp/sub\n");
}

#[test]
fn destinations_go_through_links_but_stay_inside() {
    let Some(scene) = Scene::begin() else { return };
    let dir = scene.directory("volume");
    write(&dir.join("file"), b"here\n");
    for (link, seen) in [("/target", "/target"), ("target", "/target"), ("../../target", "/target")]
    {
        let bundle = scene.bundle().bind(&dir, "/link/sub", &[]);
        bundle.directory("target");
        bundle.link("link", link);
        let bundle = bundle.sh(format!("cat {seen}/sub/file"));
        assert_eq!(scene.output(&bundle), "here\n", "{link}");
    }
}

#[test]
fn what_a_dangling_link_points_to_is_made() {
    let Some(scene) = Scene::begin() else { return };
    let dir = scene.directory("volume");
    write(&dir.join("file"), b"here\n");
    let bundle = scene.bundle().bind(&dir, "/link/sub", &[]).sh("cat /not/yet/there/sub/file");
    bundle.link("link", "/not/yet/there");
    assert_eq!(scene.output(&bundle), "here\n");
}

#[test]
fn a_source_that_is_a_link_is_followed() {
    let Some(scene) = Scene::begin() else { return };
    let dir = scene.directory("volume");
    write(&dir.join("file"), b"here\n");
    let link = scene.dir().join("link");
    symlink(&dir, &link).expect("symlink");
    let output = scene.output(&scene.bundle().bind(&link, "/tmp", &[]).sh("cat /tmp/file"));
    assert_eq!(output, "here\n");
}

#[test]
fn a_relative_source_lies_in_the_bundle() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().bind("volume", "/tmp", &[]).sh("cat /tmp/file");
    fs::create_dir(bundle.dir().join("volume")).expect("mkdir");
    write(&bundle.dir().join("volume/file"), b"here\n");
    assert_eq!(scene.output(&bundle), "here\n");
}

#[test]
fn remount_changes_what_is_mounted_already() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().mount("tmpfs", "tmpfs", "/tmp", &["rw", "size=1m"]).mount(
        "tmpfs",
        "tmpfs",
        "/tmp",
        &["remount", "ro", "nosuid"],
    );
    let inside = mounts(&scene, bundle);
    assert_eq!(inside.mounts().iter().filter(|m| m.point == "/tmp").count(), 1, "{}", inside.0);
    let mount = inside.mount("/tmp");
    assert!(mount.has("nosuid"), "{mount:?}");
    assert!(mount.has("ro") || mount.super_has("ro"), "{mount:?}");
}

#[test]
fn files_of_proc_that_lxcfs_replaces_may_be_covered() {
    let Some(scene) = Scene::begin() else { return };
    let file = scene.dir().join("meminfo");
    write(&file, b"fake\n");
    for name in ["/proc/meminfo", "/proc/cpuinfo", "/proc/uptime", "/proc/stat", "/proc/loadavg"] {
        let bundle = scene.bundle().bind(&file, name, &["ro"]).args(["/bin/cat", name]);
        assert_eq!(scene.output(&bundle), "fake\n", "{name}");
    }
}

#[test]
fn the_mounts_that_engines_use_for_files_of_their_own_work() {
    let Some(scene) = Scene::begin() else { return };
    let names = ["resolv.conf", "hostname", "hosts"];
    let mut bundle = scene.bundle().unset("/root/readonly");
    for name in names {
        let path = scene.dir().join(name);
        write(&path, format!("{name}\n").as_bytes());
        bundle = bundle.bind(&path, &format!("/etc/{name}"), &["rprivate", "rw", "nosuid"]);
    }
    let run = scene.directory("containerenv");
    bundle = bundle.bind(&run, "/run/.containerenv", &["rprivate"]);
    let bundle = bundle.sh("cat /etc/resolv.conf /etc/hostname /etc/hosts");
    assert_eq!(scene.output(&bundle), "resolv.conf\nhostname\nhosts\n");
}

#[test]
fn no_mount_of_a_container_appears_on_the_host() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let bundle = scene.bundle().mount("tmpfs", "tmpfs", "/tmp", &["shared"]).sleeping();
    let container = scene.start(&bundle);
    let table = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    assert!(!table.contains(scene.tag()), "{table}");
    container.end();
    before.assert_same();
}
