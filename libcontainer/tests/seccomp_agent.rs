//! An agent in the program that makes the containers: the example's, which makes device nodes and
//! mounts for a container that may not make any. Needs root.

#[path = "../examples/seccomp_agent.rs"]
#[allow(dead_code, reason = "its own command line")]
mod agent;
#[path = "steps/bundle.rs"]
#[allow(dead_code, reason = "another test needs more of it")]
mod bundle;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, chown};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread;

use libcontainer::spec::{IdMapping, Namespace, Seccomp, Spec};
use libcontainer::{Attachments, Bundle, Options, Store};
use serde_json::json;

/// Whom the container's root is outside.
const ROOT: u32 = 100_000;

/// Where a container is made, and removed again.
struct Place {
    tag: String,
    dir: PathBuf,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Store::at(self.dir.join("state")).delete_forced(&self.tag.parse().unwrap());
        bundle::remove_cgroup(&format!("/{}", self.tag));
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Place {
    /// A container with a user namespace, whose profile asks about calls that its root may not make.
    fn bundle(&self, script: &str, extra: &str) -> Bundle {
        let mut spec = Spec::example();
        let process = spec.process.get_or_insert_default();
        process.terminal = false;
        process.args = ["sh", "-c", script].map(str::to_owned).to_vec();
        let linux = spec.linux.get_or_insert_default();
        linux.cgroups_path = Some(format!("/{}/it", self.tag));
        linux.namespaces.push(Namespace { kind: "user".into(), path: None });
        let all = IdMapping { container_id: 0, host_id: ROOT, size: 65_536 };
        (linux.uid_mappings, linux.gid_mappings) = (vec![all.clone()], vec![all]);
        let profile: Seccomp = serde_json::from_value(json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": self.dir.join("agent"),
            "syscalls": [{
                "names": ["mknod", "mknodat", "mount", extra], "action": "SCMP_ACT_NOTIFY",
            }],
        }))
        .unwrap();
        linux.seccomp = Some(profile);
        if let Some(root) = &mut spec.root {
            root.readonly = false;
        }
        Bundle::from_spec(self.dir.join("bundle"), spec).unwrap()
    }

    /// What the container says while the agent answers.
    fn output(&self, bundle: &Bundle) -> String {
        let (mut output, input) = std::io::pipe().unwrap();
        let stdio = [None, Some(input.try_clone().unwrap().into()), Some(input.into())];
        let attach = Attachments { stdio, ..Attachments::default() };
        let socket = UnixListener::bind(self.dir.join("agent")).unwrap();
        let agent = thread::spawn(move || agent::serve(&socket.accept().unwrap().0));
        let store = Store::at(self.dir.join("state"));
        let id = self.tag.parse().unwrap();
        let mut container = store.create(&id, bundle, &Options::default(), attach).unwrap();
        container.start().unwrap();
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        container.wait().unwrap();
        container.delete().unwrap();
        // It ends as nobody can ask any more.
        agent.join().unwrap().unwrap();
        fs::remove_file(self.dir.join("agent")).unwrap();
        text
    }
}

fn place(test: &str) -> Option<Place> {
    let busybox = bundle::busybox()
        .map_err(|reason| bundle::skip(&format!("seccomp_agent::{test}"), reason))
        .ok()?;
    let tag = format!("keel-agent-{test}-{}", std::process::id());
    let dir = std::env::temp_dir().join(&tag);
    bundle::make(&dir, &busybox);
    Some(Place { tag, dir })
}

#[test]
fn an_agent_makes_harmless_device_nodes_for_a_container_and_no_others() {
    let Some(place) = place("nodes") else { return };
    let inside = place.dir.join("bundle/rootfs/inside");
    chown(&inside, Some(ROOT), Some(ROOT)).unwrap();
    let script = "cd /inside; for d in 'null c 1 3' 'kmsg c 1 11' '/zero c 1 5' 'pipe p'; do \
                  /bin/busybox mknod $d 2>&1 && echo made; done; \
                  echo text >null && ls -ln null";
    let said = place.output(&place.bundle(script, "sethostname"));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "made", "{said}");
    assert!(lines[1].contains("kmsg") && lines[1].contains("not permitted"), "{said}");
    // The root directory is not the container's.
    assert!(lines[2].contains("zero") && lines[2].contains("denied"), "{said}");
    assert_eq!(lines[3], "made", "{said}");
    assert!(lines[4].starts_with("crw") && lines[4].contains(" 0        0 "), "{said}");
    let node = inside.join("null").symlink_metadata().unwrap();
    assert!(node.file_type().is_char_device() && (node.uid(), node.rdev()) == (ROOT, 0x103));
    assert!(inside.join("kmsg").symlink_metadata().is_err());
}

#[test]
fn an_agent_mounts_a_tmpfs_for_a_container_and_nothing_else() {
    let Some(place) = place("mounts") else { return };
    chown(place.dir.join("bundle/rootfs/inside"), Some(ROOT), Some(ROOT)).unwrap();
    // By default the container has no CAP_SYS_ADMIN in its user namespace either.
    let script = "/bin/busybox mount -t tmpfs none /inside 2>&1 && grep ' /inside ' /proc/mounts; \
                  touch /inside/x && echo writable; \
                  /bin/busybox mount -t proc none /inside 2>&1; \
                  /bin/busybox mount -t tmpfs none /etc 2>&1; hostname other 2>&1";
    let said = place.output(&place.bundle(script, "sethostname"));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("tmpfs /inside tmpfs rw,nosuid,nodev"), "{said}");
    assert_eq!(lines[1], "writable", "{said}");
    assert_eq!(lines.len(), 5, "{said}");
    assert!(lines[2..].iter().all(|l| l.contains("denied") || l.contains("permitted")), "{said}");
    let host = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!host.contains(&place.tag), "it is mounted in the container alone");
}

#[test]
fn what_is_no_listener_is_refused() {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    for text in ["", "moon", r#"{"ociVersion":"1.3.0","fds":["seccompFd"],"pid":1,"state":{}}"#] {
        let (mut runtime, stream) = UnixStream::pair().unwrap();
        runtime.write_all(text.as_bytes()).unwrap();
        drop(runtime);
        let error = libcontainer::SeccompAgent::receive(&stream).unwrap_err();
        assert_eq!(error.kind(), libcontainer::ErrorKind::Input, "{error}");
    }
    let null = File::open("/dev/null").unwrap();
    let agent = libcontainer::SeccompAgent::from(std::os::fd::OwnedFd::from(null));
    assert!(agent.next_question().is_err());
}
