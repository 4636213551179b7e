//! Buildah with the runtime under test: storage of its own below the scene, no network.
//!
//! It starts the runtime by itself, without a monitor between them.

use std::fs;

use integration::bundle::write;
use integration::engine::{IMAGE, NO_FILE, Remains, image, on_a_terminal, scene};
use integration::runtime::Invocation;
use integration::{Inside, Need, Scene};

/// A buildah with its own storage, which has the image.
struct Buildah<'a> {
    scene: &'a Scene,
    _remains: Remains<'a>,
}

impl<'a> Buildah<'a> {
    fn new(scene: &'a Scene) -> Self {
        let policy = br#"{"default":[{"type":"insecureAcceptAnything"}]}"#;
        write(&scene.dir().join("policy.json"), policy);
        // No limit is raised by default: not every machine lets root do that.
        let limits =
            "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n";
        write(&scene.dir().join("containers.conf"), limits.as_bytes());
        Self { scene, _remains: Remains(scene) }
    }

    fn call(&self, words: &[&str]) -> Invocation {
        let dir = self.scene.dir();
        let path = |name: &str| dir.join(name).display().to_string();
        let call = self.scene.call("buildah").env("CONTAINERS_CONF", path("containers.conf"));
        let call = call.env("HOME", dir).env("XDG_RUNTIME_DIR", dir).env("TMPDIR", dir);
        let roots = ["--root", &path("root"), "--runroot", &path("runroot")];
        call.args(roots).args(["--storage-driver", "vfs"]).args(words)
    }

    /// A container from the image.
    #[track_caller]
    fn container(&self) -> String {
        let archive = format!("docker-archive:{}", image(self.scene).display());
        let policy = self.scene.dir().join("policy.json");
        let call = self.call(&["from", "--quiet", "--signature-policy"]).arg(policy).arg(archive);
        call.run().ok().stdout.trim_end().to_owned()
    }

    /// `buildah run` with the runtime under test.
    fn run(&self, options: &[&str], container: &str, words: &[&str]) -> Invocation {
        let call = self.call(&["run", "--isolation", "oci", "--network", "none", "--runtime"]);
        let call = call.arg(self.scene.runtime().program());
        call.args(options).args([container, "--"]).args(words)
    }
}

#[test]
fn commands_run_in_a_working_container() {
    let Some(scene) = scene(&[Need::Program("buildah")]) else { return };
    let buildah = Buildah::new(&scene);
    let container = buildah.container();
    let run = |options: &[&str], words: &[&str]| buildah.run(options, &container, words);
    let outcome = run(&[], &["sh", "-c", "echo hi; echo new >/file; exit 7"]).run();
    assert!(outcome.stdout.contains("hi\n") && outcome.code() == Some(7), "{outcome:?}");
    // What one has left, the next finds.
    assert_eq!(run(&[], &["cat", "/file"]).run().ok().stdout, "new\n");
    let host = scene.directory("shared");
    write(&host.join("file"), b"of the host\n");
    let bind = format!("{}:/mnt:ro", host.display());
    let options = ["--user", "7:8", "--volume", &bind, "--cap-drop", "ALL", "--env", "A=b"];
    let script = "cat /proc/self/status /mnt/file; echo $A";
    let outcome = run(&options, &["sh", "-c", script]).run().ok();
    assert!(outcome.stdout.ends_with("of the host\nb\n"), "{outcome:?}");
    let inside = Inside(outcome.stdout);
    assert_eq!(
        (inside.field("Uid"), inside.field("Gid")),
        ("7\t7\t7\t7".into(), "8\t8\t8\t8".into())
    );
    assert_eq!((inside.field("CapBnd"), inside.field("Seccomp")), ("0".repeat(16), "2".into()));
    let seen = on_a_terminal(run(&["--terminal"], &["sh", "-c", "tty; echo terminal-end"]));
    assert!(seen.contains("/dev/"), "{seen}");
    run(&[], &["/no/such/program"]).run().refused().says(&NO_FILE);
    buildah.call(&["rm", &container]).run().ok();
}

#[test]
fn an_image_is_built_from_a_recipe() {
    let Some(scene) = scene(&[Need::Program("buildah")]) else { return };
    let buildah = Buildah::new(&scene);
    let container = buildah.container();
    let policy = scene.dir().join("policy.json").display().to_string();
    let options = ["commit", "--quiet", "--signature-policy", &policy, &container, IMAGE];
    buildah.call(&options).run().ok();
    buildah.call(&["rm", &container]).run().ok();

    let context = scene.directory("context");
    write(&context.join("file"), b"of the context\n");
    let recipe = format!(
        "FROM {IMAGE}\nCOPY file /file\nRUN id -u >/made && cat /file >>/made\n\
         RUN mkdir /own && chown 1000 /own\nUSER 1000\nRUN id -u >/own/made && test ! -w /made\n"
    );
    write(&context.join("Dockerfile"), recipe.as_bytes());
    let build = |tag: &str, context: &std::path::Path| {
        let call = buildah.call(&["build", "--isolation", "oci", "--network", "none"]);
        let call = call.args(["--signature-policy", &policy, "--tag", tag, "--runtime"]);
        call.arg(scene.runtime().program()).arg(context).run()
    };
    build("built", &context).ok();
    let from = ["from", "--quiet", "--pull-never", "--signature-policy", &policy, "built"];
    let container = buildah.call(&from).run().ok().stdout.trim_end().to_owned();
    let outcome = buildah.run(&[], &container, &["cat", "/made", "/own/made"]).run().ok();
    assert_eq!(outcome.stdout, "0\nof the context\n1000\n");

    write(&context.join("Dockerfile"), format!("FROM {IMAGE}\nRUN exit 42\n").as_bytes());
    assert!(build("failed", &context).refused().stderr.contains("42"));
    buildah.call(&["rm", "--all"]).run().ok();
    let left = fs::read_dir(scene.dir()).expect("the scene").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name().into_string().expect("a name")).collect();
    assert!(!left.iter().any(|name| name.starts_with("buildah")), "{left:?}");
}

#[test]
fn an_image_is_made_from_nothing() {
    let Some(scene) = scene(&[Need::Program("buildah")]) else { return };
    let buildah = Buildah::new(&scene);
    let container = buildah.call(&["from", "--quiet", "scratch"]).run().ok().stdout;
    let container = container.trim_end();
    let busybox = scene.dir().with_file_name("busybox").display().to_string();
    buildah.call(&["copy", "--quiet", container, &busybox, "/busybox"]).run().ok();
    let outcome = buildah.run(&[], container, &["/busybox", "ls", "/"]).run().ok();
    assert!(outcome.stdout.contains("busybox\n"), "{outcome:?}");
    buildah.call(&["rm", container]).run().ok();
}
