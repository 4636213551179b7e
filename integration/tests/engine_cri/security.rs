//! Security contexts: what a container may do is what its request says.

use integration::Inside;
use integration::bundle::write;

use crate::messages::{
    Capabilities, Int64, LOCALHOST, PodSecurity, Profile, RUNTIME_DEFAULT, UNCONFINED,
};
use crate::node::{self, Node};

/// The numbers of capabilities in the sets that `/proc/self/status` tells.
const CHOWN: u64 = 1 << 0;
const NET_ADMIN: u64 = 1 << 12;

/// Prints what the kernel says of a process.
const STATUS: &str = "cat /proc/self/status";

fn set(inside: &Inside, name: &str) -> u64 {
    u64::from_str_radix(&inside.field(name), 16).expect("a set of capabilities")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn users_groups_and_the_root_file_system_are_as_asked() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    let pod = node.run_pod("pod", |_| {});
    let id = node.start_container(&pod, "one", &["sleep", "1000"], |container| {
        let security = container.security();
        security.user = Some(Int64 { value: 1000 });
        security.group = Some(Int64 { value: 2000 });
        security.groups = vec![3000, 4000];
        security.readonly_rootfs = true;
    });
    assert_eq!(node.output(&id, "id -u; id -g; id -G"), "1000\n2000\n2000 3000 4000\n");
    let executed = node.exec(&id, "echo x >/tmp/file");
    let said = String::from_utf8_lossy(&executed.stderr).into_owned();
    assert!(executed.exit_code != 0 && said.contains("Read-only file system"), "{said}");
    let table = Inside(node.output(&id, "cat /proc/self/mountinfo"));
    assert!(table.mount("/").has("ro"));
    node.end_pod(&pod);
}

#[test]
fn capabilities_are_added_and_dropped() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    let pod = node.run_pod("pod", |_| {});
    for (name, add, drop, has, lacks) in [
        ("usual", &[][..], &[][..], CHOWN, NET_ADMIN),
        ("changed", &["NET_ADMIN"], &["CHOWN"], NET_ADMIN, CHOWN),
        ("one", &["NET_ADMIN"], &["ALL"], NET_ADMIN, !NET_ADMIN),
        ("none", &[], &["ALL"], 0, !0),
    ] {
        let id = node.start_container(
            &pod,
            name,
            &["sh", "-c", "cat /proc/self/status; exec sleep 1000"],
            |container| {
                let capabilities = Capabilities { add: words(add), drop: words(drop) };
                container.security().capabilities = Some(capabilities);
            },
        );
        // A process that is added has what the first one has.
        integration::runtime::until("the log", || node.log(name).contains("nonvoluntary"));
        for inside in [Inside(node.log(name)), Inside(node.output(&id, STATUS))] {
            for field in ["CapEff", "CapPrm", "CapBnd"] {
                let set = set(&inside, field);
                assert_eq!((set & has, set & lacks), (has, 0), "{name}: {field}");
            }
        }
        node.end(&id);
    }
    node.end_pod(&pod);
}

#[test]
fn a_privileged_container_has_what_its_node_has() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    let pod = node.run_pod("pod", |pod| {
        pod.security = Some(PodSecurity { privileged: true, ..PodSecurity::default() });
    });
    let script = "cat /proc/self/status /proc/self/mountinfo; test -c /dev/kmsg; echo kmsg $?";
    let inside = Inside(node.script(&pod, "one", script, |container| {
        let security = container.security();
        security.privileged = true;
        security.masked = words(&["/proc/kcore"]);
    }));
    let host = Inside(std::fs::read_to_string("/proc/self/status").expect("status"));
    for field in ["CapEff", "CapBnd"] {
        assert_eq!(inside.field(field), host.field(field), "{field}");
    }
    assert_eq!((inside.field("Seccomp"), inside.field("NoNewPrivs")), ("0".into(), "0".into()));
    assert!(inside.mount("/sys").has("rw") && !inside.mounted("/proc/kcore"));
    let missing = i32::from(std::fs::metadata("/dev/kmsg").is_err());
    assert!(inside.0.ends_with(&format!("kmsg {missing}\n")), "{inside:?}");
    node.end_pod(&pod);
}

#[test]
fn system_calls_are_filtered_as_asked() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    let pod = node.run_pod("pod", |_| {});
    let file = node.path("profile.json");
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
        {"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28}]}"#;
    write(file.as_ref(), profile.as_bytes());
    let full = "No space left on device";
    for (name, kind, localhost, mode, forbidden) in [
        ("default", RUNTIME_DEFAULT, String::new(), "2", false),
        ("localhost", LOCALHOST, file, "2", true),
        ("unconfined", UNCONFINED, String::new(), "0", false),
    ] {
        let script = format!("{STATUS}; mkdir /dir");
        let inside = Inside(node.script(&pod, name, &script, |container| {
            container.security().seccomp = Some(Profile { kind, localhost });
        }));
        assert_eq!(inside.field("Seccomp"), mode, "{name}");
        assert_eq!(inside.0.contains(full), forbidden, "{name}: {inside:?}");
    }
    node.end_pod(&pod);
}

#[test]
fn paths_are_masked_and_read_only_and_privileges_are_not_gained() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    let pod = node.run_pod("pod", |_| {});
    let script = format!(
        "{STATUS}; wc -c </proc/cmdline; ls /sys/kernel | wc -l; echo x >/proc/sys/kernel/hostname"
    );
    let inside = Inside(node.script(&pod, "one", &script, |container| {
        let security = container.security();
        security.masked = words(&["/proc/cmdline", "/sys/kernel", "/proc/not-there"]);
        security.readonly = words(&["/proc/sys", "/proc/not-there"]);
        security.no_new_privs = true;
    }));
    assert_eq!(inside.field("NoNewPrivs"), "1");
    assert!(inside.0.contains("\n0\n0\n"), "{inside:?}");
    assert!(inside.0.contains("Read-only file system"), "{inside:?}");
    let inside = Inside(node.script(&pod, "two", &script, |_| {}));
    assert_eq!(inside.field("NoNewPrivs"), "0");
    assert!(!inside.0.contains("\n0\n0\n"), "{inside:?}");
    node.end_pod(&pod);
}
