//! Labels of SELinux: of processes, mounts, keys and sockets, where its policy is enforced.
//!
//! The policy is the machine's (`integration/machine/selinux.conf`): a container is `box_t`, its
//! files are `box_file_t`, and `host_t` is everything else. What a label allows and forbids is seen
//! from inside. A machine without SELinux runs the last tests alone.

use std::fs;
use std::os::unix::net::UnixDatagram;

use integration::{Bundle, Edit, Need, Scene, skip};
use serde_json::json;

const NEEDS: [Need; 1] = [Need::Path("/sys/fs/selinux/booleans/keel_tests")];
const PROCESS: &str = "system_u:system_r:box_t:s0:c1,c2";
const MOUNTS: &str = "system_u:object_r:box_file_t:s0:c1,c2";
const LABEL: &str = "tr -d '\\0\\n' </proc/self/attr/current; echo";

fn labelled(scene: &Scene) -> Bundle {
    let bundle = scene.bundle().set("/process/selinuxLabel", PROCESS);
    bundle.link("bin/tr", "busybox");
    bundle.set("/linux/mountLabel", MOUNTS)
}

/// The same, with the host's programs.
fn with_host_programs(scene: &Scene) -> Bundle {
    let bundle = labelled(scene).bind("/usr", "/usr", &["rbind", "ro"]);
    for dir in ["lib", "lib64"] {
        bundle.link(dir, format!("usr/{dir}"));
    }
    bundle
}

#[test]
fn a_program_and_what_is_added_have_the_label_or_one_of_their_own() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let other = "system_u:system_r:box_t:s0:c3";
    for privileges in [false, true] {
        let bundle = labelled(&scene).set("/process/noNewPrivileges", privileges);
        let container = scene.start(&bundle.sh(format!("{LABEL}; sleep 1000")));
        container.expect(PROCESS);
        let exec = |options: &[&str]| {
            let words = [&["exec"], options, &[container.id(), "sh", "-c", LABEL]].concat();
            scene.keel(words).run().ok().stdout
        };
        assert_eq!(exec(&[]), format!("{PROCESS}\n"), "{privileges}");
        assert_eq!(exec(&["--process-label", other]), format!("{other}\n"), "{privileges}");
        container.end();
    }
}

#[test]
fn without_a_label_a_container_keeps_the_runtimes() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let bundle = labelled(&scene).unset("/process/selinuxLabel").unset("/linux/mountLabel");
    let said = scene.output(&bundle.sh(format!("{LABEL}; cat /proc/self/mountinfo")));
    assert!(said.starts_with("system_u:system_r:host_t:"), "{said}");
    assert!(!said.contains("context="), "{said}");
}

// SELinux: a change that its policy does not allow under no_new_privs is none.
#[test]
fn a_label_that_no_new_privileges_forbid_is_not_left_out() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let bare = "system_u:system_r:bare_t:s0:c1,c2";
    let bundle = || labelled(&scene).set("/process/selinuxLabel", bare).sh(LABEL);
    let without = bundle().set("/process/noNewPrivileges", false);
    assert_eq!(scene.output(&without), format!("{bare}\n"));
    let outcome = scene.run(&bundle());
    assert!(!outcome.status.success() && outcome.stdout.is_empty(), "{outcome:#?}");
    let container = scene.start(&without.sleeping());
    let options = ["exec", "--no-new-privs", container.id(), "sh", "-c", LABEL];
    let outcome = scene.keel(options).run();
    assert!(!outcome.status.success() && outcome.stdout.is_empty(), "{outcome:#?}");
}

#[test]
fn new_file_systems_have_the_label_of_mounts_each_in_its_way() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let own = "context=\"system_u:object_r:other_file_t:s0:c1,c2\"";
    let bundle = with_host_programs(&scene).mount("tmpfs", "tmpfs", "/new", &[]);
    let bundle = bundle.mount("tmpfs", "tmpfs", "/own", &[own]);
    let places = [
        ("/new", MOUNTS),
        ("/dev", MOUNTS),
        ("/dev/null", MOUNTS),
        ("/dev/pts", MOUNTS),
        ("/dev/shm", MOUNTS),
        ("/dev/mqueue", MOUNTS),
        ("/sys/firmware", MOUNTS),
        ("/own", "system_u:object_r:other_file_t:s0:c1,c2"),
        ("/usr", "system_u:object_r:host_t:s0"),
        ("/sys", "system_u:object_r:host_t:s0"),
        ("/sys/fs/cgroup", "system_u:object_r:host_t:s0"),
        ("/proc/version", "system_u:object_r:host_t:s0"),
    ];
    let paths = places.map(|(path, _)| path).join(" ");
    let container =
        scene.start(&bundle.sh(format!("/usr/bin/stat -c '%n %C' {paths}; sleep 1000")));
    container.expect("/proc/version");
    let expected = places.map(|(path, label)| format!("{path} {label}\n")).concat();
    assert_eq!(container.output(), expected);
}

#[test]
fn the_label_of_mounts_may_be_another_parameter() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    for kind in ["context", "rootcontext"] {
        let bundle = with_host_programs(&scene).mount("tmpfs", "tmpfs", "/new", &[]);
        let bundle = bundle.set("/annotations/run.oci.mount_context_type", kind);
        let said = scene
            .output(&bundle.sh("/usr/bin/stat -c %C /new; grep ' /new ' /proc/self/mountinfo"));
        assert!(said.starts_with(&format!("{MOUNTS}\n")), "{said}");
        assert_eq!(said.contains(",rootcontext="), kind == "rootcontext", "{said}");
    }
}

#[test]
fn message_queues_can_be_read_only_and_have_their_label() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let bundle = with_host_programs(&scene).without_mount("/dev/mqueue");
    let bundle = bundle.mount("mqueue", "mqueue", "/dev/mqueue", &["ro"]);
    let script = "/usr/bin/stat -c %C /dev/mqueue; touch /dev/mqueue/x 2>&1";
    let said = scene.run(&bundle.sh(script)).stdout;
    assert!(said.starts_with(&format!("{MOUNTS}\n")), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
}

// The others give the host's the container's label.
#[test]
fn the_hosts_message_queues_keep_their_label() {
    let Some(scene) = Scene::needing(&[NEEDS[0], Need::Keel]) else { return };
    let bundle = with_host_programs(&scene).without_namespace("ipc");
    let said = scene.output(&bundle.sh("/usr/bin/stat -c %C /dev/mqueue /dev/shm"));
    assert_eq!(said, format!("system_u:object_r:host_t:s0\n{MOUNTS}\n"));
}

#[test]
fn in_a_user_namespace_new_file_systems_have_the_label_of_mounts() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let bundle = with_host_programs(&scene).mapped(100_000);
    let script = format!("/usr/bin/stat -c %C /dev /dev/mqueue /dev/shm; {LABEL}");
    let expected = format!("{MOUNTS}\n{MOUNTS}\n{MOUNTS}\n{PROCESS}\n");
    assert_eq!(scene.output(&bundle.sh(script)), expected);
}

#[test]
fn a_container_can_use_files_of_its_label_and_no_others() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let context = |label: &str| format!("context=system_u:object_r:{label}");
    let types = context("other_file_t:s0:c1,c2");
    let levels = context("box_file_t:s0:c3");
    let bundle = labelled(&scene).mount("tmpfs", "tmpfs", "/new", &[]);
    let bundle = bundle.mount("tmpfs", "tmpfs", "/type", &[&types]);
    let bundle = bundle.mount("tmpfs", "tmpfs", "/level", &[&levels]);
    // A hook is no part of the container.
    let files = ["type", "level"].map(|dir| bundle.rootfs().join(dir).join("x"));
    let [one, other] = files.map(|file| file.display().to_string());
    let bundle = bundle.hook("createContainer", &format!("echo x >{one}; echo x >{other}"));
    let script = "echo a >/new/a && cat /new/a; ls /type 2>/dev/null || echo no type; \
                  cat /level/x 2>/dev/null || echo no level; ls /sys/firmware";
    assert_eq!(scene.output(&bundle.sh(script)), "a\nno type\nno level\n");
}

#[test]
fn mounts_that_are_added_have_the_label() {
    let Some(scene) = Scene::needing(&[NEEDS[0], Need::Keel]) else { return };
    let bundle = with_host_programs(&scene).writable().sleeping();
    let container = scene.start(&bundle);
    let added = scene.dir().join("added.json");
    let mounts = json!({ "mounts": [{ "destination": "/added", "type": "tmpfs" }] });
    integration::bundle::write(&added, mounts.to_string().as_bytes());
    scene.keel(["mounts", "add", container.id()]).arg(&added).run().ok();
    let stat = ["exec", container.id(), "/usr/bin/stat", "-c", "%C", "/added"];
    assert_eq!(scene.keel(stat).run().ok().stdout, format!("{MOUNTS}\n"));
}

#[test]
fn the_session_keyring_has_the_label_and_no_other_container_sees_it() {
    let Some(scene) = Scene::needing(&[NEEDS[0], Need::Program("keyctl")]) else { return };
    let show = "keyctl id @s; keyctl security @s";
    let bundle = with_host_programs(&scene).sh(format!("{show}; echo shown; sleep 1000"));
    let container = scene.start(&bundle);
    container.expect("shown");
    let shown = container.output();
    let number = shown.lines().next().expect("the keyring's number");
    assert_eq!(shown, format!("{number}\n{PROCESS}\nshown\n"));
    let exec = ["exec", container.id(), "sh", "-c", show];
    assert_eq!(scene.keel(exec).run().ok().stdout, format!("{number}\n{PROCESS}\n"));
    let other = with_host_programs(&scene);
    let other = other.set("/process/selinuxLabel", "system_u:system_r:box_t:s0:c3");
    let outcome = scene.run(&other.sh(format!("keyctl list {number}")));
    assert!(!outcome.status.success(), "{outcome:#?}");
}

#[test]
fn the_notify_socket_has_the_label_so_that_the_container_may_send() {
    let Some(scene) = Scene::needing(&[NEEDS[0], Need::Keel]) else { return };
    let path = scene.dir().join("manager");
    let manager = UnixDatagram::bind(&path).expect("bind");
    manager.set_read_timeout(Some(integration::runtime::patience())).expect("a timeout");
    // Busybox has no sd_notify, but its logger sends a datagram to /dev/log.
    let bundle = labelled(&scene).sh("ln -s $NOTIFY_SOCKET /dev/log; logger 'x\nREADY=1'");
    bundle.link("bin/logger", "busybox");
    let call = scene.verb("run", &[], &bundle, &scene.id()).env("NOTIFY_SOCKET", &path);
    let call = call.spawn();
    let mut heard = String::new();
    while !heard.contains("READY=1") {
        let mut buffer = [0; 4096];
        let length = manager.recv(&mut buffer).expect("that the container is ready");
        heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    call.wait().ok();
}

#[test]
fn hooks_of_the_image_run_under_the_label_whatever_it_has_at_proc() {
    let Some(scene) = Scene::needing(&[NEEDS[0], Need::Keel]) else { return };
    let bundle = labelled(&scene).without_mount("/proc");
    for decoy in ["attr/exec", "attr/keycreate"] {
        bundle.file(&format!("proc/self/{decoy}"), "");
        bundle.file(&format!("proc/thread-self/{decoy}"), "");
    }
    let real = "tr -d '\\0\\n' </real/self/attr/current";
    let bundle = bundle.mount("proc", "proc", "/real", &[]);
    let bundle = bundle.mount("tmpfs", "tmpfs", "/new", &[]);
    let bundle = bundle.hook("startContainer", &format!("{real} >/new/seen"));
    let said = scene.output(&bundle.sh(format!("cat /new/seen; echo; {real}")));
    assert_eq!(said, format!("{PROCESS}\n{PROCESS}"));
}

#[test]
fn there_is_no_container_without_its_label() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let unknown: [(&str, Edit); 2] = [
        ("a process", |bundle| bundle.set("/process/selinuxLabel", "system_u:system_r:no_t:s0")),
        ("mounts", |bundle| bundle.set("/linux/mountLabel", "system_u:object_r:no_file_t:s0")),
    ];
    scene.refused_each(&unknown);
    let container = scene.start(&labelled(&scene).sleeping());
    let words = ["exec", "--process-label", "system_u:system_r:no_t:s0", container.id(), "true"];
    let outcome = scene.keel(words).run();
    assert!(!outcome.status.success(), "{outcome:#?}");
}

/// Whether SELinux is there after all.
fn is_there(needs: &str) -> bool {
    let there = fs::metadata(needs).is_ok();
    if there {
        skip(format!("{needs} is there"));
    }
    there
}

#[test]
fn labels_of_selinux_are_refused_where_it_is_not() {
    let Some(scene) = Scene::begin() else { return };
    if is_there("/sys/fs/selinux/enforce") {
        return;
    }
    scene.refused_each(&[
        ("a process", |bundle| bundle.set("/process/selinuxLabel", PROCESS)),
        ("mounts", |bundle| bundle.set("/linux/mountLabel", MOUNTS)),
    ]);
    if scene.is_keel() {
        let bundle = scene.bundle().set("/process/selinuxLabel", PROCESS);
        let outcome = scene.refused(&bundle.set("/linux/mountLabel", MOUNTS));
        outcome.says(&["there is no SELinux", "/process/selinuxLabel", "/linux/mountLabel"]);
        let container = scene.start(&scene.bundle().sleeping());
        let words = ["exec", "--process-label", PROCESS, container.id(), "true"];
        scene.keel(words).run().refused().says(&["there is no SELinux"]);
    }
}

#[test]
fn a_profile_of_apparmor_is_refused_where_there_is_none() {
    let Some(scene) = Scene::begin() else { return };
    if is_there("/sys/kernel/security/apparmor") {
        return;
    }
    scene.refused_each(&[("a profile", |bundle| bundle.set("/process/apparmorProfile", "strict"))]);
    if scene.is_keel() {
        let bundle = scene.bundle().set("/process/apparmorProfile", "strict");
        scene.refused(&bundle).says(&["there is no AppArmor", "/process/apparmorProfile"]);
    }
}
