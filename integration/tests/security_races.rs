//! A hostile neighbour that swaps names in a shared directory while the runtime works there.
//!
//! Each race is run for a bounded number of rounds. A container may come to be or be refused; in
//! neither case may the host change or a protection be lost.

use std::fs;
use std::os::unix::fs::symlink;

use integration::bundle::write;
use integration::race::{Canary, Exchanger};
use integration::{Inside, Scene};

/// How often each race is run.
const ROUNDS: usize = 40;

// CVE-2021-30465, CVE-2024-45310
#[test]
fn destinations_that_are_swapped_for_links_lead_nowhere_outside() {
    let Some(scene) = Scene::begin() else { return };
    let canary = Canary::plant(scene.directory("canary"));
    let before = scene.snapshot();
    let volume = scene.directory("volume");
    let source = scene.directory("source");
    for (number, target) in ["/", canary.dir().to_str().expect("UTF-8")].iter().enumerate() {
        let (dir, link) = (volume.join(format!("d{number}")), volume.join(format!("l{number}")));
        fs::create_dir_all(&dir).expect("mkdir");
        symlink(target, &link).expect("symlink");
        let racer = Exchanger::between(dir, link);
        for round in 0..ROUNDS {
            let mut bundle = scene.bundle().writable().sh("cat /proc/self/mountinfo");
            bundle = bundle.bind(&volume, "/volume", &[]);
            for mount in 0..10 {
                let new = format!("{}-{round}", scene.tag());
                let destination = format!("/volume/d{number}/{new}/x{mount}");
                bundle = bundle.bind(&source, &destination, &[]);
            }
            bundle = bundle.mount("tmpfs", "tmpfs", &format!("/volume/d{number}"), &[]);
            let inside = Inside(scene.run(&bundle).stdout);
            for mount in inside.mounts().iter().filter(|mount| mount.kind == "ext4") {
                assert!(mount.root != "/" && !mount.root.contains("canary"), "{mount:?}");
            }
            fs::remove_dir_all(bundle.dir()).expect("remove the bundle");
        }
        assert!(racer.swaps() > 1000, "the racer did run: {} swaps", racer.swaps());
        drop(racer);
    }
    canary.assert_untouched();
    let made: Vec<_> = (0..ROUNDS).map(|round| format!("/{}-{round}", scene.tag())).collect();
    let made: Vec<_> = made.iter().filter(|dir| fs::remove_dir_all(dir).is_ok()).collect();
    assert!(made.is_empty(), "made on the host: {made:?}");
    before.assert_same();
}

// CVE-2025-31133
#[test]
fn a_null_device_that_is_swapped_never_lifts_a_mask() {
    let Some(scene) = Scene::begin() else { return };
    let dev = scene.directory("dev");
    nix::sys::stat::mknod(
        &dev.join("null"),
        nix::sys::stat::SFlag::S_IFCHR,
        nix::sys::stat::Mode::from_bits_truncate(0o666),
        nix::sys::stat::makedev(1, 3),
    )
    .expect("mknod");
    symlink("/etc/secret", dev.join("evil")).expect("symlink");
    let _racer = Exchanger::between(dev.join("null"), dev.join("evil"));
    for round in 0..ROUNDS {
        let mut bundle = scene.bundle().writable();
        for point in ["/dev/mqueue", "/dev/shm", "/dev/pts", "/dev"] {
            bundle = bundle.without_mount(point);
        }
        bundle = bundle.bind(&dev, "/dev", &[]).set("/linux/maskedPaths/-", "/etc/secret");
        bundle.file("etc/secret", "top secret\n");
        let outcome = scene.run(&bundle.sh("cat /etc/secret; echo end"));
        assert!(!outcome.stdout.contains("secret"), "round {round}: {outcome:?}");
    }
}

// CVE-2023-28642, CVE-2025-52881
#[test]
fn a_proc_that_is_swapped_for_a_link_never_loses_its_protections() {
    let Some(scene) = Scene::begin() else { return };
    let canary = Canary::plant(scene.directory("canary"));
    for round in 0..ROUNDS {
        let bundle = scene.bundle().writable().sh(
            // The domain name belongs to the container's own UTS namespace.
            "echo evil >/proc/sys/kernel/domainname && echo wrote",
        );
        bundle.link("evil", if round % 2 == 0 { canary.dir() } else { "/elsewhere".as_ref() });
        bundle.directory("elsewhere");
        let _racer = Exchanger::between(bundle.rootfs().join("proc"), bundle.rootfs().join("evil"));
        let outcome = scene.run(&bundle);
        assert!(!outcome.stdout.contains("wrote"), "round {round}: {outcome:?}");
    }
    canary.assert_untouched();
}

// CVE-2025-52565
#[test]
fn a_console_that_is_swapped_for_a_link_leads_nowhere_outside() {
    let Some(scene) = Scene::begin() else { return };
    let canary = Canary::plant(scene.directory("canary"));
    let dev = scene.directory("dev");
    fs::create_dir(dev.join("pts")).expect("mkdir");
    write(&dev.join("console"), b"");
    symlink(canary.dir().join("secret"), dev.join("evil")).expect("symlink");
    let _racer = Exchanger::between(dev.join("console"), dev.join("evil"));
    for round in 0..ROUNDS / 2 {
        let mut bundle = scene.bundle().writable().set("/process/terminal", true);
        for point in ["/dev/mqueue", "/dev/shm", "/dev/pts", "/dev"] {
            bundle = bundle.without_mount(point);
        }
        bundle = bundle.bind(&dev, "/dev", &[]).sh("echo evil >/dev/console");
        let bundle = bundle.mount("devpts", "devpts", "/dev/pts", &["newinstance", "mode=0620"]);
        let path = scene.dir().join(format!("socket{round}"));
        let socket = integration::console::ConsoleSocket::at(&path);
        let id = scene.id();
        let options = ["--console-socket", path.to_str().expect("UTF-8")];
        let created = scene.verb("create", &options, &bundle, &id).run();
        if created.status.success() {
            scene.keel(["start", &id]).run();
        }
        scene.keel(["delete", "--force", &id]).run();
        drop(socket);
    }
    canary.assert_untouched();
}
