//! Processes that enter a container, and what somebody inside can make of that.
//!
//! The looker is a program inside (`security/looker.c`) that looks into every process it can see as
//! fast as it can. That it would tell of something is shown by a process that really holds it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use integration::cgroups::Layout;
use integration::race::Canary;
use integration::runtime::until;
use integration::skip::program;
use integration::{Bundle, Container, Need, Outcome, Scene};
use nix::sys::stat::Mode;
use serde_json::json;

/// In the environment of whoever calls the runtime.
const SECRET: &str = "secret-of-the-host";
/// Who may look into processes of others.
const CURIOUS: [&str; 4] =
    ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_KILL"];

/// Has the bundle run the looker, which takes these root directories for allowed; or says why not.
fn looking(scene: &Scene, bundle: Bundle, roots: &[&Bundle]) -> Option<Bundle> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/security/looker.c");
    let looker = scene.dir().join("looker");
    let compiler = program("musl-gcc").or_else(|| program("gcc"));
    let Some(compiler) = compiler else {
        integration::skip("no C compiler");
        return None;
    };
    if fs::metadata(&looker).is_err() {
        let mut call = Command::new(compiler);
        let done = call.args(["-O2", "-static", "-o"]).arg(&looker).arg(source).output();
        let done = done.expect("the compiler");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    fs::copy(looker, bundle.rootfs().join("bin/looker")).expect("copy");
    let root = |bundle: &Bundle| {
        let root = fs::metadata(bundle.rootfs()).expect("the rootfs");
        format!("{}:{}", root.dev(), root.ino())
    };
    let mut args = vec!["/bin/looker".to_owned(), root(&bundle)];
    args.extend(roots.iter().map(|bundle| root(bundle)));
    args.extend(["--".to_owned(), SECRET.to_owned()]);
    Some(bundle.args(args).capabilities(&CURIOUS))
}

/// Lets the looker begin.
fn look(looker: &Container<'_>, bundle: &Bundle) {
    bundle.file("tmp/begin", "");
    looker.expect("ready");
}

/// What the looker has found, how often it saw an init that enters, and how often it could look
/// into one.
fn findings(container: &Container<'_>, bundle: &Bundle) -> (Vec<String>, u64, u64) {
    bundle.file("tmp/end", "");
    container.expect("done ");
    let output = container.output();
    let found = output.lines().filter(|line| line.starts_with("found ")).map(str::to_owned);
    let last = output.lines().find_map(|line| line.strip_prefix("done "));
    let numbers = last.and_then(|line| line.split_once(' ')).expect("two numbers");
    (found.collect(), numbers.0.parse().expect("digits"), numbers.1.parse().expect("digits"))
}

/// `exec` as called by somebody with much to hide.
fn exec(scene: &Scene, words: &[&str]) -> Outcome {
    let call = scene.keel([&["exec"], words].concat()).env("SECRET", SECRET);
    call.with_descriptors("3</ 4</etc 5</proc 6</sys/fs/cgroup 7</proc/self/ns/mnt").run()
}

fn with_user_namespace(bundle: Bundle) -> Bundle {
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    bundle
        .namespace("user", None)
        .set("/linux/uidMappings", mapping.clone())
        .set("/linux/gidMappings", mapping)
}

/// The control of all tests with the looker.
#[test]
fn the_looker_finds_what_there_is_to_find() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let Some(bundle) = looking(&scene, scene.bundle(), &[]) else { return };
    let container = scene.start(&bundle);
    look(&container, &bundle);
    let words = ["exec", "--detach", "--preserve-fds=2", "-e", "A=secret-of-the-host"];
    let call = scene.keel(words).args([container.id(), "/bin/sleep", "1000"]);
    let file = scene.dir().join("a-file-of-the-host");
    integration::bundle::write(&file, b"");
    call.with_descriptors(&format!("3</etc 4<{}", file.display())).run().ok();
    for told in ["found fd /etc\n", "a-file-of-the-host", "found environ"] {
        container.expect(told);
    }
    findings(&container, &bundle);
}

// CVE-2016-9962
#[test]
fn nothing_of_the_host_is_seen_in_a_process_that_enters_a_container() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let Some(bundle) = looking(&scene, scene.bundle(), &[]) else { return };
    let container = scene.start(&bundle);
    look(&container, &bundle);
    for _ in 0..500 {
        exec(&scene, &[container.id(), "/bin/true"]).ok();
    }
    let (found, seen, looked) = findings(&container, &bundle);
    assert_eq!(found, Vec::<String>::new());
    assert!(seen > 0 && looked > 0, "it was too slow to see one: {seen}, {looked}");
}

#[test]
fn a_user_namespaces_root_cannot_look_into_a_process_that_enters_it() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let Some(bundle) = looking(&scene, with_user_namespace(scene.bundle()), &[]) else { return };
    let container = scene.start(&bundle);
    look(&container, &bundle);
    for _ in 0..200 {
        exec(&scene, &[container.id(), "/bin/true"]).ok();
    }
    let (found, seen, looked) = findings(&container, &bundle);
    assert_eq!(found, Vec::<String>::new());
    assert!(seen > 0, "it was too slow to see one");
    assert_eq!(looked, 0, "of {seen}");
}

#[test]
fn a_user_namespaces_root_cannot_look_into_a_container_that_is_made_in_it() {
    let Some(scene) = Scene::needing(&[Need::Program("bash"), Need::Keel]) else { return };
    let first = with_user_namespace(scene.bundle());
    look_into_a_container_made_in(&scene, first, &["user", "pid"]);
}

/// Init is in sight from its first moment on, and not only when it has entered a PID namespace.
#[test]
fn a_user_namespaces_root_cannot_look_into_init_when_it_sees_it_come() {
    let Some(scene) = Scene::needing(&[Need::Program("bash"), Need::Keel]) else { return };
    let first = with_user_namespace(scene.bundle()).without_namespace("pid");
    let first = first.without_mount("/proc").bind("/proc", "/proc", &["rbind"]);
    look_into_a_container_made_in(&scene, first, &["user"]);
}

/// Makes containers in namespaces of one whose root looks at all that comes in sight.
fn look_into_a_container_made_in(scene: &Scene, first: Bundle, kinds: &[&str]) {
    let second = scene.bundle().args(["/bin/true"]);
    let Some(first) = looking(scene, first, &[&second]) else { return };
    let looker = scene.start(&first);
    let path = |file: &str| format!("/proc/{}/ns/{file}", looker.pid());
    let join = |bundle: Bundle, kind: &&str| bundle.namespace(kind, Some(&path(kind)));
    let second = kinds.iter().fold(second, join);
    look(&looker, &first);
    for _ in 0..100 {
        scene.output(&second);
    }
    let (found, seen, looked) = findings(&looker, &first);
    assert_eq!(found, Vec::<String>::new());
    assert!(seen > 0, "it was too slow to see one");
    assert_eq!(looked, 0, "of {seen}");
}

#[test]
fn nothing_of_the_host_is_seen_from_a_container_whose_pid_namespace_is_shared() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let second = scene.bundle().sleeping();
    let Some(first) = looking(&scene, scene.bundle(), &[&second]) else { return };
    let looker = scene.start(&first);
    let path = format!("/proc/{}/ns/pid", looker.pid());
    let container = scene.start(&second.namespace("pid", Some(&path)));
    look(&looker, &first);
    for _ in 0..200 {
        exec(&scene, &[container.id(), "/bin/true"]).ok();
    }
    let (found, seen, looked) = findings(&looker, &first);
    container.until("stopped");
    assert_eq!(found, Vec::<String>::new());
    assert!(seen > 0 && looked > 0, "it was too slow to see one: {seen}, {looked}");
}

// CVE-2024-21626
#[test]
fn a_process_cannot_begin_in_a_directory_behind_a_descriptor() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let bundle = scene.bundle();
    for number in [3, 7] {
        bundle.link(&format!("work{number}"), format!("/proc/self/fd/{number}"));
    }
    let container = scene.start(&bundle.sleeping());
    let mut directories: Vec<String> = vec!["/work3".to_owned(), "/work7".to_owned()];
    for number in 0..=24 {
        let dir = format!("/proc/self/fd/{number}");
        directories.extend([format!("{dir}/.."), format!("{dir}/"), dir]);
    }
    for cwd in &directories {
        let words = ["--cwd", cwd, container.id(), "sh", "-c", "echo escaped; ls; pwd"];
        let outcome = exec(&scene, &words).refused();
        assert_eq!(outcome.stdout, "", "{cwd}");
    }
    for number in 3..=24 {
        let program = format!("/proc/self/fd/{number}/../../../../bin/bash");
        let outcome = exec(&scene, &[container.id(), &program, "-c", "echo escaped"]);
        assert!(!outcome.stdout.contains("escaped"), "{outcome:?}");
    }
    container.end();
}

// CVE-2019-5736
#[test]
fn the_runtimes_own_program_cannot_be_reached_through_a_process_that_enters() {
    let Some(scene) = Scene::needing(&[Need::Program("bash")]) else { return };
    let runtime = scene.runtime().program().to_owned();
    let before = fs::read(&runtime).expect("read the runtime");
    // Somebody inside opens whatever is executed, and writes to it once it may be written.
    let hunter = "while :; do for p in /proc/[0-9]*; do [ $p = /proc/1 ] || \
        (exec 9<$p/exe && for i in 1 2 3 4 5 6 7 8 9; do echo evil >/proc/self/fd/9; done); \
        done 2>/dev/null; done";
    let bundle = scene.bundle().writable().capabilities(&CURIOUS);
    bundle.link("bin/entry", "/proc/self/exe");
    bundle.file("bin/script", "#!/proc/self/exe\n");
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(bundle.rootfs().join("bin/script"), executable).expect("chmod");
    let [busybox, victim] =
        ["bin/busybox", "bin/busybox-victim"].map(|name| bundle.rootfs().join(name));
    fs::copy(&busybox, &victim).expect("copy");
    let container = scene.start(&bundle.sh(hunter));
    for _ in 0..20 {
        for program in ["/proc/self/exe", "/bin/entry", "/bin/script"] {
            exec(&scene, &[container.id(), program, "-c", "echo >/proc/self/exe"]);
        }
        assert!(fs::read(&runtime).expect("read") == before, "the runtime's program has changed");
    }
    // It does catch a program of the image that is executed in the same way.
    let whole = fs::metadata(&busybox).expect("busybox").len();
    until("a victim", || {
        exec(&scene, &[container.id(), "/bin/busybox-victim", "usleep", "20000"]);
        fs::metadata(&victim).expect("the victim").len() != whole
    });
    assert!(fs::read(&runtime).expect("read") == before, "the runtime's program has changed");
    container.end();
}

#[test]
fn a_hostile_list_of_users_neither_leads_outside_nor_keeps_anybody_waiting() {
    let Some(scene) = Scene::begin() else { return };
    let canary = Canary::plant(scene.directory("canary"));
    let outside = canary.dir().join("etc/passwd").display().to_string();
    let bundle = scene.bundle();
    let (users, rootfs) = (bundle.rootfs().join("etc/passwd"), bundle.rootfs());
    let container = scene.start(&bundle.clone().sleeping());
    let home = || {
        let words = ["exec", container.id(), "sh", "-c", "echo home=$HOME"];
        let outcome = scene.keel(words).run();
        assert!(!outcome.stdout.contains("canary"), "{outcome:?}");
        outcome
    };
    let replace = |make: &dyn Fn()| {
        let _ = fs::remove_file(&users).or_else(|_| fs::remove_dir(&users));
        make();
    };
    replace(&|| std::os::unix::fs::symlink(&outside, &users).expect("symlink"));
    home();
    replace(&|| std::os::unix::fs::symlink("/proc/self/fd/3", &users).expect("symlink"));
    home();
    replace(&|| nix::unistd::mkfifo(&users, Mode::from_bits_truncate(0o644)).expect("mkfifo"));
    home();
    replace(&|| fs::create_dir(&users).expect("mkdir"));
    home();
    replace(&|| integration::bundle::write(&users, &vec![b'x'; 1 << 20]));
    assert_eq!(home().ok().stdout, "home=/\n");
    let lines = "root:x:0:0::/a:/b\nroot:x:4294967296:0::/big:\n:::::::\nroot:x:-0:0::/minus:\n";
    replace(&|| integration::bundle::write(&users, lines.as_bytes()));
    assert_eq!(home().ok().stdout, "home=/a\n");
    // The image may even be gone, but for what is executed.
    fs::remove_dir_all(rootfs.join("etc")).expect("remove");
    assert_eq!(home().ok().stdout, "home=/\n");
    canary.assert_untouched();
    container.end();
}

// To the kernel the largest number says "as before", which is root.
#[test]
fn an_id_that_is_none_is_refused_in_documents() {
    let Some(scene) = Scene::begin() else { return };
    const NONE: u32 = u32::MAX;
    let container = scene.start(&scene.bundle().sleeping());
    let users = [
        (json!({"uid": NONE, "gid": 0}), "/process/user/uid"),
        (json!({"uid": 0, "gid": NONE}), "/process/user/gid"),
        (json!({"uid": 0, "gid": 0, "additionalGids": [5, NONE]}), "additionalGids/1"),
    ];
    for (user, pointer) in users {
        let process = json!({"user": user, "args": ["id"], "env": ["PATH=/bin"], "cwd": "/"});
        let path = scene.dir().join("process.json");
        integration::bundle::write(&path, process.to_string().as_bytes());
        let document = path.display().to_string();
        let outcome = scene.keel(["exec", "--process", &document, container.id()]).run();
        assert_eq!(outcome.clone().refused().stdout, "", "{outcome:?}");
        let bundle = scene.bundle().set("/process/user", user.clone()).args(["id"]);
        let outcome = scene.refused(&bundle);
        if scene.is_keel() {
            outcome.says(&[pointer]);
        }
    }
    container.end();
}

// CVE-2022-29162
#[test]
fn a_user_gains_nothing_by_capabilities_that_are_added() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().set("/process/capabilities", json!({})).sleeping();
    let container = scene.start(&bundle);
    let words = ["exec", "--cap", "CAP_NET_RAW", "--cap", "CAP_SYS_ADMIN", "--user", "1000"];
    let call = scene.keel(words).args([container.id(), "cat", "/proc/self/status"]);
    let inside = integration::Inside(call.run().ok().stdout);
    for field in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(inside.field(field), "0000000000000000", "{field}");
    }
    container.end();
}

#[test]
fn a_process_joins_a_container_whose_first_process_has_moved_to_a_sub_cgroup() {
    let Some(scene) = Scene::begin() else { return };
    let layout = Layout::here();
    let bundle = scene.bundle().without_namespace("cgroup").sleeping();
    let container = scene.start(&bundle);
    let pid = container.pid().to_string();
    let controller = if layout.is_v2() { "" } else { "pids" };
    if !layout.is_v2() && !layout.has("pids") {
        return integration::skip("no cgroup controller pids here");
    }
    let moved = layout.dir(controller, bundle.cgroup()).join("moved");
    fs::create_dir(&moved).expect("a sub-cgroup");
    integration::bundle::write(&moved.join("cgroup.procs"), pid.as_bytes());
    until("the move", || {
        fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroup").contains("/moved")
    });
    let words = ["exec", container.id(), "cat", "/proc/self/cgroup"];
    let own = scene.keel(words).run().ok().stdout;
    let lines: Vec<&str> = own.lines().filter(|line| line.contains(bundle.cgroup())).collect();
    assert!(!lines.is_empty(), "it is in the container's cgroups: {own}");
    container.end();
}
