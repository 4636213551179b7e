//! Hostile root file systems: links and files where a runtime expects directories and devices.
//!
//! Each test plants a canary directory on the host; whatever the image holds, nothing in the canary
//! may change, and no protection of the container may be lost. A number in a comment is the
//! advisory of the runtime that once failed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use integration::bundle::write;
use integration::race::Canary;
use integration::{Bundle, Inside, Scene};

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Links that lead to `target`: by the host's path, and by as many steps up as it takes.
fn ways_to(target: &Path) -> [String; 2] {
    [path(target).to_owned(), format!("../../../../../../../../..{}", path(target))]
}

// CVE-2019-19921, CVE-2023-27561, CVE-2025-54867
#[test]
fn proc_and_sys_are_not_mounted_through_a_link_of_the_image() {
    let Some(scene) = Scene::begin() else { return };
    let canary = Canary::plant(scene.directory("canary"));
    let before = scene.snapshot();
    for name in ["proc", "sys"] {
        for target in ways_to(canary.dir()).into_iter().chain(["elsewhere".into(), "/etc".into()]) {
            let bundle = scene.bundle().sh("cat /proc/self/mountinfo");
            bundle.directory("elsewhere");
            bundle.link(name, &target);
            scene.refused(&bundle);
            canary.assert_untouched();
        }
    }
    before.assert_same();
}

// CVE-2019-16884
#[test]
fn only_a_proc_file_system_is_mounted_on_proc() {
    let Some(scene) = Scene::begin() else { return };
    let dir = scene.directory("fake");
    fs::create_dir_all(dir.join("self/attr")).expect("mkdir");
    let base = || scene.bundle().without_mount("/proc");
    scene.refused(&base().mount("tmpfs", "tmpfs", "/proc", &[]));
    scene.refused(&base().bind(&dir, "/proc", &["ro"]));
    scene.refused(&scene.bundle().bind(&dir, "/proc/self", &[]));
    scene.refused(&scene.bundle().bind(&dir, "/proc/sys/kernel", &[]));
    scene.refused(&scene.bundle().mount("tmpfs", "tmpfs", "/proc/1", &[]));
}

// CVE-2026-41579, CVE-2026-47766
#[test]
fn a_dev_that_is_a_link_leads_nowhere_outside_the_image() {
    let Some(scene) = Scene::begin() else { return };
    let canary = Canary::plant(scene.directory("canary"));
    for target in ways_to(canary.dir()) {
        let bundle = without_dev(scene.bundle()).writable();
        bundle.link("dev", &target);
        scene.run(&bundle);
        canary.assert_untouched();
    }
}

/// The bundle without anything mounted on `/dev` or below it.
fn without_dev(bundle: Bundle) -> Bundle {
    ["/dev/mqueue", "/dev/shm", "/dev/pts", "/dev"]
        .iter()
        .fold(bundle, |bundle, point| bundle.without_mount(point))
}

#[test]
fn mounts_below_a_dev_that_is_a_link_stay_in_the_image() {
    let Some(scene) = Scene::begin() else { return };
    let canary = Canary::plant(scene.directory("canary"));
    for target in ways_to(canary.dir()) {
        let bundle = scene.bundle().writable();
        bundle.link("dev", &target);
        scene.run(&bundle);
        canary.assert_untouched();
    }
}

#[test]
fn parts_of_dev_that_are_links_lead_nowhere_outside_the_image() {
    let Some(scene) = Scene::begin() else { return };
    let canary = Canary::plant(scene.directory("canary"));
    for name in ["pts", "shm", "mqueue", "null", "console", "ptmx", "fd", "stdin", "core"] {
        for target in ways_to(&canary.dir().join(name)) {
            let bundle = without_dev(scene.bundle()).writable();
            let bundle = bundle.mount("tmpfs", "shm", "/dev/shm", &[]);
            let bundle = bundle.mount("devpts", "devpts", "/dev/pts", &["newinstance"]);
            bundle.link(&format!("dev/{name}"), &target);
            scene.run(&bundle);
            canary.assert_untouched();
        }
    }
}

// CVE-2026-88264
#[test]
fn the_console_is_not_made_through_a_link() {
    let Some(scene) = Scene::begin() else { return };
    let canary = Canary::plant(scene.directory("canary"));
    for readonly in [false, true] {
        for name in ["new", "secret"] {
            let bundle = without_dev(scene.bundle()).set("/root/readonly", readonly);
            let bundle = bundle.mount("devpts", "devpts", "/dev/pts", &["newinstance"]);
            let bundle = bundle.set("/process/terminal", true);
            bundle.directory("dev/pts");
            bundle.link("dev/console", canary.dir().join(name));
            let socket = scene.dir().join(format!("{readonly}-{name}"));
            let listening = integration::console::ConsoleSocket::at(&socket);
            let options = ["--console-socket", path(&socket)];
            scene.verb("create", &options, &bundle, &scene.id()).run();
            drop(listening);
            canary.assert_untouched();
        }
    }
}

// CVE-2019-18837, CVE-2015-3629, CVE-2024-45310
#[test]
fn a_destination_that_is_a_link_stays_in_the_image() {
    let Some(scene) = Scene::begin() else { return };
    let canary = Canary::plant(scene.directory("canary"));
    let (dir, file) = (scene.directory("dir"), scene.dir().join("file"));
    write(&file, b"volume\n");
    for name in ["new", "secret", "etc", "new/below"] {
        for target in ways_to(&canary.dir().join(name)) {
            for source in [&dir, &file] {
                for destination in ["/link", "/link/x", "/a/../link/y"] {
                    let bundle = scene.bundle().writable().bind(source, destination, &[]);
                    bundle.link("link", &target);
                    scene.run(&bundle);
                    canary.assert_untouched();
                }
            }
        }
    }
}

#[test]
fn a_working_directory_is_made_inside_the_image_only() {
    let Some(scene) = Scene::begin() else { return };
    let canary = Canary::plant(scene.directory("canary"));
    for target in ways_to(canary.dir()) {
        let bundle = scene.bundle().writable().set("/process/cwd", "/link/new/dir");
        bundle.link("link", &target);
        scene.run(&bundle);
        canary.assert_untouched();
    }
}

#[test]
fn devices_are_made_inside_the_image_only() {
    let Some(scene) = Scene::begin() else { return };
    let canary = Canary::plant(scene.directory("canary"));
    for target in ways_to(canary.dir()) {
        let device = serde_json::json!([
            { "path": "/link/moon", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666 },
            { "path": "/link/secret", "type": "p" }
        ]);
        let bundle = scene.bundle().writable().set("/linux/devices", device);
        bundle.link("link", &target);
        scene.run(&bundle);
        canary.assert_untouched();
    }
}

// CVE-2025-31133, CVE-2025-62161
#[test]
fn a_masked_path_is_masked_whatever_the_image_calls_dev_null() {
    let Some(scene) = Scene::begin() else { return };
    let cases: [fn(&Path); 5] = [
        |dir| symlink("/proc/sys/kernel/core_pattern", dir.join("null")).expect("symlink"),
        |dir| symlink("/etc/secret", dir.join("null")).expect("symlink"),
        |dir| write(&dir.join("null"), b"not a device\n"),
        |dir| fs::create_dir(dir.join("null")).expect("mkdir"),
        |_absent| (),
    ];
    for (number, make) in cases.iter().enumerate() {
        let dev = scene.directory(&format!("dev{number}"));
        make(&dev);
        let masked = ["/etc/secret", "/proc/keys", "/proc/sys/kernel/core_pattern"];
        let bundle = without_dev(scene.bundle())
            .writable()
            .bind(&dev, "/dev", &["rw"])
            .set("/linux/maskedPaths", masked.as_slice())
            .sh("{ echo evil >/etc/secret; cat /etc/secret /proc/keys; } 2>&-
                 cat /proc/sys/kernel/core_pattern 2>&-; echo end");
        bundle.file("etc/secret", "top secret\n");
        let outcome = scene.run(&bundle);
        // Refused, or masked: nothing of what is behind the mask may be read.
        assert!(matches!(outcome.stdout.as_str(), "" | "end\n"), "case {number}: {outcome:?}");
        assert!(!outcome.status.success() || outcome.stdout == "end\n", "{outcome:?}");
    }
}

// CVE-2026-88265
#[test]
fn the_callers_null_device_keeps_its_owner() {
    let Some(scene) = Scene::begin() else { return };
    let host = |path: &str| {
        use std::os::unix::fs::MetadataExt;
        let meta = fs::metadata(path).expect("metadata");
        (meta.uid(), meta.gid(), meta.mode(), meta.rdev())
    };
    let before = host("/dev/null");
    let file = scene.dir().join("null");
    write(&file, b"untouched\n");
    let owner = host(path(&file));
    let bundle = scene.bundle().set("/process/user/uid", 1000).bind(&file, "/dev/null", &[]);
    scene.run(&bundle.sh("echo evil >/dev/stdin; echo evil"));
    assert_eq!(host("/dev/null"), before);
    assert_eq!(host(path(&file)), owner);
    assert_eq!(fs::read(&file).expect("read"), b"untouched\n");
}

// CVE-2026-115521
#[test]
fn a_read_only_root_is_read_only_whatever_the_image_has_as_proc() {
    let Some(scene) = Scene::begin() else { return };
    for fake in [true, false] {
        let bundle = scene.bundle().without_mount("/proc").sh("touch /new && echo written");
        let bundle = bundle.set("/linux/maskedPaths", serde_json::json!([]));
        let bundle = bundle.set("/linux/readonlyPaths", serde_json::json!([]));
        if fake {
            bundle.directory("proc/self/fd/5");
            bundle.directory("proc/thread-self/fd");
        }
        let outcome = scene.run(&bundle);
        assert!(!outcome.stdout.contains("written"), "{outcome:?}");
        assert!(fs::symlink_metadata(bundle.rootfs().join("new")).is_err());
    }
}

#[test]
fn tmpcopyup_copies_links_as_links() {
    let Some(scene) = Scene::begin() else { return };
    let canary = Canary::plant(scene.directory("canary"));
    let script =
        "readlink /data/link; readlink /data/dir; cat /data/file; cat /data/link || echo no";
    let bundle = scene.bundle().sh(script);
    let bundle = bundle.mount("tmpfs", "tmpfs", "/data", &["tmpcopyup"]);
    let secret = canary.dir().join("secret");
    bundle.file("data/file", "content\n");
    bundle.link("data/link", &secret);
    bundle.link("data/dir", canary.dir());
    let output = scene.output(&bundle);
    let expected = format!("{}\n{}\ncontent\nno\n", path(&secret), path(canary.dir()));
    assert_eq!(output, expected);
    canary.assert_untouched();
}

#[test]
fn the_home_directory_is_looked_up_in_the_image_only() {
    let Some(scene) = Scene::begin() else { return };
    let canary = Canary::plant(scene.directory("canary"));
    let passwd = scene.dir().join("passwd");
    write(&passwd, b"root:x:0:0::/home-of-the-host:/bin/sh\n");
    for target in ways_to(&passwd) {
        let bundle = scene.bundle().sh("echo home=$HOME");
        bundle.link("etc/passwd", &target);
        let outcome = scene.run(&bundle);
        assert!(!outcome.stdout.contains("home-of-the-host"), "{outcome:?}");
    }
    canary.assert_untouched();
}

// CVE-2019-5736
#[test]
fn the_runtimes_own_program_cannot_be_reached_through_its_init() {
    let Some(scene) = Scene::begin() else { return };
    let program = scene.runtime().program().to_owned();
    let before = fs::read(&program).expect("read the runtime");
    let overwrite = "exec 9</proc/self/exe; for i in 1 2 3; do echo evil >/proc/self/fd/9; done";
    let bundle = scene.bundle().writable();
    bundle.link("bin/entry", "/proc/self/exe");
    bundle.file("bin/script", &format!("#!/proc/self/exe\n{overwrite}\n"));
    let script = bundle.rootfs().join("bin/script");
    fs::set_permissions(script, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("chmod");
    for args in [["/proc/self/exe", "-c"], ["/bin/entry", "-c"], ["/bin/script", "-c"]] {
        scene.run(&bundle.clone().args(args.iter().copied().chain([overwrite])));
        assert!(fs::read(&program).expect("read") == before, "the runtime's program has changed");
    }
}

#[test]
fn a_pid_file_replaces_a_link_and_does_not_follow_it() {
    let Some(scene) = Scene::begin() else { return };
    let canary = Canary::plant(scene.directory("canary"));
    let pid_file = scene.dir().join("pid");
    symlink(canary.dir().join("secret"), &pid_file).expect("symlink");
    let id = scene.id();
    scene.verb("create", &["--pid-file", path(&pid_file)], &scene.bundle(), &id).run();
    canary.assert_untouched();
}

#[test]
fn nothing_of_the_host_is_mounted_in_a_container() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sh("cat /proc/self/mountinfo; ls -a / /proc/1/root/");
    let inside = Inside(scene.output(&bundle));
    let allowed = ["proc", "tmpfs", "devpts", "mqueue", "sysfs", "cgroup", "cgroup2"];
    for mount in inside.mounts() {
        // A masked file is covered by the null device, which is not the image's but the host's:
        // read-only, so that its owner and mode cannot be changed.
        let null = mount.root == "/null" && mount.options.iter().any(|option| option == "ro");
        let own = mount.point == "/" && mount.root.ends_with("/rootfs") || null;
        assert!(own || allowed.contains(&mount.kind.as_str()), "{mount:?}");
    }
    assert!(!inside.0.contains("lost+found"), "{}", inside.0);
}
