//! Containers of a user without privileges: without cgroups, and in cgroups that are delegated.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use integration::{Delegated, Need, Scene, User};
use serde_json::json;

#[test]
fn a_user_without_privileges_has_containers_without_cgroups() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Program("unshare")]) else { return };
    let Some(user) = User::anybody(&scene) else {
        return integration::skip("a user without privileges cannot make namespaces here");
    };
    let script = "id -u; cat /proc/self/uid_map; echo here >/dev/null && echo usable; sleep 1000";
    let bundle = user.bundle(&scene).unset("/linux/cgroupsPath").unset("/linux/resources");
    let (bundle, id) = (bundle.sh(script), scene.id());
    bundle.save();
    let keel = |words: &[&str]| user.call(scene.keel(words)).run();
    let dir = bundle.dir().to_str().expect("UTF-8");
    // Because none can be made, and because none is wanted.
    for (flags, warned) in [(&[][..], true), (&["--cgroup-manager", "disabled"][..], false)] {
        let words = [flags, &["run", "--detach", "--bundle", dir, &id]].concat();
        let call = user.call(scene.keel(words)).spawn();
        let output = call.stdout_path().to_owned();
        let warnings = call.wait().ok().stderr;
        assert_eq!(warnings.contains("this user may not make a cgroup"), warned, "{warnings}");
        let said = || fs::read_to_string(&output).unwrap_or_default();
        integration::runtime::until("the container's words", || said().contains("usable"));
        let words: Vec<String> = said().split_whitespace().map(str::to_owned).collect();
        assert_eq!(words, ["0", "0", &user.id.to_string(), "1", "usable"]);
        assert!(keel(&["state", &id]).ok().stdout.contains("running"));
        assert_eq!(keel(&["exec", &id, "id", "-u"]).ok().stdout, "0\n");
        keel(&["pause", &id]).refused().says(&["no cgroup of its own"]);
        keel(&["kill", &id, "KILL"]).ok();
        keel(&["delete", "--force", &id]).ok();
        keel(&["state", &id]).refused().says(&["does not exist"]);
    }
}

#[test]
fn without_a_cgroup_nothing_of_the_hosts_cgroups_can_be_written() {
    let Some(scene) = Scene::needing(&[Need::Program("unshare")]) else { return };
    let Some(user) = User::anybody(&scene) else {
        return integration::skip("a user without privileges cannot make namespaces here");
    };
    // CVE-2023-25809: a read-only bind of /sys leaves what is mounted below it writable.
    let options = ["rbind", "nosuid", "noexec", "nodev", "ro"];
    let bundle = user
        .bundle(&scene)
        .unset("/linux/cgroupsPath")
        .unset("/linux/resources")
        .without_mount("/sys")
        .without_mount("/sys/fs/cgroup")
        .bind("/sys", "/sys", &options)
        .mount("cgroup", "cgroup", "/sys/fs/cgroup", &options[1..])
        .sh("cd /sys/fs/cgroup && for d in . $(ls); do
                mkdir $d/x 2>&1 | grep -v 'Read-only file system\\|Not a directory\\|No such file'
            done; echo end");
    let outcome = user.call(scene.verb("run", &[], &bundle, &scene.id())).run().ok();
    assert_eq!(outcome.stdout, "end\n");
}

#[test]
fn the_state_of_a_users_containers_lies_in_its_runtime_directory() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Program("unshare")]) else { return };
    let Some(user) = User::anybody(&scene) else {
        return integration::skip("a user without privileges cannot make namespaces here");
    };
    let (runtime, id) = (scene.directory("runtime"), scene.id());
    std::os::unix::fs::chown(&runtime, Some(user.id), Some(user.id)).expect("chown");
    let bundle = user.bundle(&scene).unset("/linux/cgroupsPath").unset("/linux/resources");
    bundle.clone().sleeping().save();
    let call = |words: &[&str]| {
        let call = scene.call(scene.runtime().program()).args(words);
        user.call(call).env("XDG_RUNTIME_DIR", &runtime).run().ok()
    };
    let dir = bundle.dir().to_str().expect("UTF-8");
    call(&["--rootless", "true", "create", "--bundle", dir, &id]);
    let root = fs::metadata(runtime.join("keel")).expect("the state root");
    // The sticky bit keeps clean-up programs away (XDG Base Directory Specification).
    assert_eq!((root.permissions().mode() & 0o7777, root.uid()), (0o1700, user.id));
    assert!(fs::metadata(runtime.join("keel").join(&id)).is_ok());
    call(&["--rootless", "false", "delete", "--force", &id]);
    assert!(fs::metadata(runtime.join("keel").join(&id)).is_err());
}

#[test]
fn a_user_joins_the_user_namespace_of_its_container_and_what_belongs_to_it() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Program("unshare")]) else { return };
    let Some(user) = User::anybody(&scene) else {
        return integration::skip("a user without privileges cannot make namespaces here");
    };
    let bundle = || user.bundle(&scene).unset("/linux/cgroupsPath").unset("/linux/resources");
    let keel = |words: &[&str]| user.call(scene.keel(words)).run();
    let (first, second) = (scene.id(), scene.id());
    let verb = |verb: &str, options: &[&str], bundle, id: &str| {
        user.call(scene.verb(verb, options, &bundle, id)).run().ok()
    };
    verb("run", &["--detach"], bundle().sleeping(), &first);
    let state = keel(&["state", &first]).ok().stdout;
    let state: serde_json::Value = serde_json::from_str(&state).expect("JSON");
    let path = |file: &str| format!("/proc/{}/ns/{file}", state["pid"]);
    let kinds = [("user", "user"), ("network", "net"), ("ipc", "ipc"), ("pid", "pid")];
    for count in 1..=kinds.len() {
        let bundle = bundle().unset("/linux/uidMappings").unset("/linux/gidMappings");
        let bundle = kinds[..count].iter().fold(bundle.sleeping(), |bundle, (kind, file)| {
            bundle.namespace(kind, Some(&path(file)))
        });
        verb("create", &[], bundle, &second);
        assert!(keel(&["state", &second]).ok().stdout.contains("\"created\""));
        keel(&["start", &second]).ok();
        assert!(keel(&["state", &second]).ok().stdout.contains("\"running\""));
        for (_, file) in &kinds[..count] {
            let link = format!("/proc/self/ns/{file}");
            let told = keel(&["exec", &second, "readlink", &link]).ok().stdout;
            let expected = scene.call("readlink").arg(path(file)).run().ok().stdout;
            assert_eq!(told, expected);
        }
        keel(&["delete", "--force", &second]).ok();
    }
    keel(&["delete", "--force", &first]).ok();
}

#[test]
fn rules_of_landlock_bind_the_containers_of_a_user_too() {
    let needs = [Need::Keel, Need::Program("unshare"), Need::Landlock];
    let Some(scene) = Scene::needing(&needs) else { return };
    let Some(user) = User::anybody(&scene) else {
        return integration::skip("a user without privileges cannot make namespaces here");
    };
    let rules = r#"{
        "ruleset": { "handledAccessFS": ["make_dir"] },
        "rules": { "pathBeneath": [{ "allowedAccess": ["make_dir"], "paths": ["/dev"] }] }
    }"#;
    for no_new_privileges in [true, false] {
        let bundle = user
            .bundle(&scene)
            .writable()
            .sh("mkdir /dev/shm/x && echo made; mkdir /x")
            .set("/process/noNewPrivileges", no_new_privileges)
            .set("/annotations/org.keel.landlock", rules);
        bundle.save();
        let dir = bundle.dir().to_str().expect("UTF-8");
        let words = ["--cgroup-manager", "disabled", "run", "--bundle", dir, &scene.id()];
        let outcome = user.call(scene.keel(words)).run().exits(1);
        assert_eq!(outcome.stdout, "made\n");
        assert!(outcome.stderr.contains("'/x': Permission denied"), "{outcome:?}");
    }
}

#[test]
fn limits_that_nobody_can_set_for_the_user_are_refused() {
    let needs = [Need::Keel, Need::Program("unshare"), Need::Controller("pids")];
    let Some(scene) = Scene::needing(&needs) else { return };
    let Some(user) = User::anybody(&scene) else {
        return integration::skip("a user without privileges cannot make namespaces here");
    };
    let bundle = user.bundle(&scene).set("/linux/resources", json!({ "pids": { "limit": 9 } }));
    let before = scene.snapshot();
    for bundle in [bundle.clone(), bundle.unset("/linux/cgroupsPath")] {
        let outcome = user.call(scene.verb("run", &[], &bundle, &scene.id())).run();
        outcome.refused().says(&["permission denied", "may not make a cgroup"]);
        before.assert_same();
    }
}

#[test]
fn a_container_in_a_delegated_cgroup_has_its_limits_through_every_verb() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let Some(user) = User::with_session() else {
        return integration::skip("no user here whose systemd is up");
    };
    let delegated = Delegated::start(&scene, user);
    let id = scene.id();
    let resources = json!({
        "pids": { "limit": 33 }, "memory": { "limit": 67_108_864 },
        "cpu": { "quota": 50_000, "cpus": "0" }
    });
    let bundle = user
        .bundle(&scene)
        .namespace("cgroup", None)
        .set("/linux/cgroupsPath", format!("{}/{id}", delegated.cgroup))
        .set("/linux/resources", resources)
        .sleeping();
    let service = |what: &str, call| user.service(&format!("{id}-{what}"), call).run();
    let keel = |words: &[&str]| service(words[0], scene.keel(words));
    service("run", scene.verb("run", &["--detach"], &bundle, &id)).ok();
    let files = ["pids.max", "memory.max", "cpu.max", "cpuset.cpus"];
    let paths = files.map(|file| format!("/sys/fs/cgroup/{file}"));
    let tell = [["exec", &id, "cat"].as_slice(), &paths.each_ref().map(String::as_str)].concat();
    assert_eq!(keel(&tell).ok().stdout, "33\n67108864\n50000 100000\n0\n");
    keel(&["pause", &id]).ok();
    assert!(keel(&["state", &id]).ok().stdout.contains("\"paused\""));
    keel(&["resume", &id]).ok();
    keel(&["update", "--pids-limit", "44", "--memory", "128m", &id]).ok();
    assert_eq!(keel(&tell).ok().stdout, "44\n134217728\n50000 100000\n0\n");
    keel(&["kill", &id, "KILL"]).ok();
    keel(&["delete", "--force", &id]).ok();
    keel(&["state", &id]).refused().says(&["does not exist"]);
}

#[test]
fn a_users_own_systemd_makes_the_cgroup_and_takes_it_away() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let Some(user) = User::with_session() else {
        return integration::skip("no user here whose systemd is up");
    };
    let (id, unit) = (scene.id(), |id: &str| format!("keel-{id}.scope"));
    let resources = json!({
        "pids": { "limit": 33 }, "memory": { "limit": 67_108_864 }, "cpu": { "quota": 50_000 }
    });
    let bundle = user
        .bundle(&scene)
        .namespace("cgroup", None)
        .set("/linux/cgroupsPath", format!("app.slice:keel:{id}"))
        .set("/linux/resources", resources)
        .sleeping();
    bundle.save();
    let service = |what: &str, call| user.service(&format!("{id}-{what}"), call).run();
    let keel = |words: &[&str]| service(words[0], scene.keel(["--systemd-cgroup"]).args(words));
    let systemctl = |verb: &str, words: &[&str]| {
        service(verb, scene.call("systemctl").args(["--user", verb]).args(words)).ok().stdout
    };
    let dir = bundle.dir().display().to_string();
    keel(&["run", "--detach", "--bundle", &dir, &id]).ok();
    let shown = systemctl("show", &["--property=MemoryMax,TasksMax,Slice", &unit(&id)]);
    for line in ["MemoryMax=67108864", "TasksMax=33", "Slice=app.slice"] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    let files = ["pids.max", "memory.max", "cpu.max"].map(|f| format!("/sys/fs/cgroup/{f}"));
    let tell = [["exec", &id, "cat"].as_slice(), &files.each_ref().map(String::as_str)].concat();
    assert_eq!(keel(&tell).ok().stdout, "33\n67108864\n50000 100000\n");
    keel(&["update", "--pids-limit", "44", &id]).ok();
    systemctl("daemon-reload", &[]);
    assert_eq!(keel(&tell).ok().stdout, "44\n67108864\n50000 100000\n");
    keel(&["kill", &id, "KILL"]).ok();
    keel(&["delete", "--force", &id]).ok();
    assert_eq!(systemctl("list-units", &["--all", "--plain", "--no-legend", &unit(&id)]), "");
}

#[test]
fn without_a_session_the_error_says_what_is_missing() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Program("unshare")]) else { return };
    let Some(user) = User::anybody(&scene) else {
        return integration::skip("a user without privileges cannot make namespaces here");
    };
    let bundle = user.bundle(&scene).unset("/linux/cgroupsPath");
    bundle.save();
    let call = scene.keel(["--systemd-cgroup", "create", "--bundle"]).arg(bundle.dir());
    let call = user.call(call.arg(scene.id())).under(["env", "-u", "XDG_RUNTIME_DIR"]);
    call.under(["env", "-u", "DBUS_SESSION_BUS_ADDRESS"])
        .run()
        .refused()
        .says(&["XDG_RUNTIME_DIR"]);
}

#[test]
fn a_container_without_a_cgroup_namespace_sees_the_cgroups_of_the_host() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let Some(user) = User::with_session() else {
        return integration::skip("no user here whose systemd is up");
    };
    let id = scene.id();
    let script = "cat /proc/self/cgroup; mkdir /sys/fs/cgroup/x || ls -d /sys/fs/cgroup/user.slice";
    let bundle = user.bundle(&scene).unset("/linux/cgroupsPath").sh(script);
    let outcome = user.service(&format!("{id}-run"), scene.verb("run", &[], &bundle, &id)).run();
    let (own, seen) = outcome.stdout.split_once('\n').expect("two lines");
    assert!(own.ends_with(&format!("/app.slice/{id}")), "{outcome:?}");
    assert_eq!(seen, "/sys/fs/cgroup/user.slice\n", "{outcome:?}");
}
