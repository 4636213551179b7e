//! Cgroups that are the container's to divide: who owns them, and what lives in them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use integration::cgroups::Layout;
use integration::runtime::until;
use integration::{Bundle, Need, Scene};
use nix::mount::MsFlags;

/// The first id on the host of a container's users.
const BASE: u32 = 300_000;

/// A bundle whose container sees its cgroup as the root of a namespace, writable.
fn dividing(bundle: Bundle) -> Bundle {
    let options = ["nosuid", "noexec", "nodev", "relatime"];
    bundle.namespace("cgroup", None).without_mount("/sys/fs/cgroup").mount(
        "cgroup",
        "cgroup",
        "/sys/fs/cgroup",
        &options,
    )
}

/// The files of a cgroup's directory, and itself as `.`, that do not belong to root, with their owner.
fn given_away(cgroup: &Path) -> BTreeSet<(String, u32)> {
    let entries = cgroup.read_dir().expect("a cgroup").map(|entry| entry.expect("an entry"));
    let names = entries.map(|entry| entry.file_name().into_string().expect("UTF-8"));
    names
        .chain([".".to_owned()])
        .map(|name| {
            let uid = fs::metadata(cgroup.join(&name)).expect("metadata").uid();
            (name, uid)
        })
        .filter(|(_, uid)| *uid != 0)
        .collect()
}

/// What the kernel lets a user have of a cgroup, as far as it is there, and the directory.
fn delegated(cgroup: &Path, uid: u32) -> BTreeSet<(String, u32)> {
    let list = fs::read_to_string("/sys/kernel/cgroup/delegate").expect("the kernel's list");
    let there = list.lines().filter(|file| fs::metadata(cgroup.join(file)).is_ok()).chain(["."]);
    there.map(|file| (file.to_owned(), uid)).collect()
}

#[test]
fn a_cgroup_that_is_the_containers_to_divide_belongs_to_its_user() {
    let Some(scene) = Scene::begin() else { return };
    if !Layout::here().is_v2() {
        return integration::skip("no pure cgroup v2 here");
    }
    let mapped = || dividing(scene.bundle().mapped(BASE));
    let options = ["ro", "nosuid", "noexec", "nodev", "relatime"];
    let readonly = |bundle: Bundle| {
        bundle.without_mount("/sys/fs/cgroup").mount("cgroup", "cgroup", "/sys/fs/cgroup", &options)
    };
    for (what, bundle, owner) in [
        ("root inside", mapped(), Some(BASE)),
        ("a user inside", mapped().set("/process/user/uid", 7), Some(BASE + 7)),
        ("a user", dividing(scene.bundle()).set("/process/user/uid", 7), Some(7)),
        ("root", dividing(scene.bundle()), None),
        ("a mount that is read-only", readonly(mapped()), None),
        ("no cgroup namespace", mapped().without_namespace("cgroup"), None),
        ("no mount", mapped().without_mount("/sys/fs/cgroup"), None),
    ] {
        let container = scene.start(&bundle.clone().sleeping());
        let dir = Layout::here().dir("pids", bundle.cgroup());
        let expected = owner.map_or(BTreeSet::new(), |uid| delegated(&dir, uid));
        assert_eq!(given_away(&dir), expected, "{what}");
        container.end();
    }
}

#[test]
fn root_of_a_user_namespace_divides_its_cgroup_and_lifts_no_limit() {
    let Some(scene) = Scene::needing(&[Need::Controller("pids")]) else { return };
    if !Layout::here().is_v2() {
        return integration::skip("no pure cgroup v2 here");
    }
    let script = "cd /sys/fs/cgroup && mkdir one two && echo 1 >one/cgroup.procs &&
        echo +pids >cgroup.subtree_control && echo 9 >one/pids.max && cat one/pids.max &&
        cat /proc/self/cgroup; (echo max >pids.max) 2>/dev/null || echo kept; cat pids.max; sleep 1000";
    let bundle = dividing(scene.bundle().mapped(BASE)).sh(script);
    let bundle = bundle.set("/linux/resources/pids/limit", 33);
    let container = scene.start(&bundle);
    container.expect("9\n0::/one\nkept\n33\n");
    container.end();
}

/// A service manager in a container, as engines run one: with a root file system of its own that is
/// a copy of this machine's, its cgroup to divide, and no right to more than that.
#[test]
fn systemd_runs_inside_a_container() {
    let Some(scene) = Scene::needing(&[Need::Systemd]) else { return };
    let (layers, root) = (scene.directory("layers"), scene.directory("systemd"));
    let _layers = scene.mount(Some("tmpfs"), Path::new("tmpfs"), &layers, MsFlags::empty());
    for name in ["upper", "work"] {
        fs::create_dir(layers.join(name)).expect("mkdir");
    }
    let options = format!("lowerdir=/,upperdir={0}/upper,workdir={0}/work", layers.display());
    scene.call("mount").args(["-t", "overlay", "-o", &options, "overlay"]).arg(&root).run().ok();
    let unit = "[Service]\nExecStart=/bin/sleep 1000\n";
    integration::bundle::write(&root.join("etc/systemd/system/inside.service"), unit.as_bytes());
    // What talks to the machine's host is not for a container.
    fs::remove_file(root.join("etc/systemd/system/default.target.wants/agent.service"))
        .expect("rm");
    let capabilities = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_SETFCAP",
        "CAP_AUDIT_WRITE",
    ];
    let id = scene.id();
    let tmpfs = ["nosuid", "nodev", "mode=755"];
    let bundle = dividing(scene.bundle())
        .set("/root", serde_json::json!({ "path": root.to_str(), "readonly": false }))
        .set("/process/env", serde_json::json!(["PATH=/usr/sbin:/usr/bin", "container=oci"]))
        .set("/linux/cgroupsPath", format!("system.slice:keel:{id}"))
        .mount("tmpfs", "tmpfs", "/run", &tmpfs)
        .mount("tmpfs", "tmpfs", "/run/lock", &tmpfs)
        .mount("tmpfs", "tmpfs", "/tmp", &tmpfs)
        .capabilities(&capabilities)
        .args(["/lib/systemd/systemd", "--unit=basic.target"]);
    bundle.save();
    let keel = |words: &[&str]| scene.keel(["--systemd-cgroup"]).args(words).run();
    keel(&["run", "--detach", "--bundle", bundle.dir().to_str().expect("UTF-8"), &id]).ok();
    let inside = |words: &[&str]| keel(&[&["exec", &id], words].concat());
    let status = || keel(&["state", &id]).ok().stdout;
    until("that systemd is up inside", || {
        assert!(!status().contains("\"stopped\""), "systemd has given up");
        inside(&["systemctl", "is-active", "basic.target"]).stdout == "active\n"
    });
    inside(&["systemctl", "start", "inside.service"]).ok();
    let procs = "/sys/fs/cgroup/system.slice/inside.service/cgroup.procs";
    assert_eq!(inside(&["cat", procs]).ok().stdout.lines().count(), 1, "a cgroup of its own");
    // SIGRTMIN+4, systemd's word for "power off", systemd(1).
    keel(&["kill", &id, "38"]).ok();
    until("that systemd has ended", || status().contains("\"stopped\""));
    keel(&["delete", &id]).ok();
    scene.call("umount").arg(&root).run().ok();
}
