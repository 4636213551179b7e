//! An ordinary user's containers with more ids than its own: who maps them, and whose files are.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use integration::runtime::Invocation;
use integration::{Bundle, Inside, Need, Outcome, SUBORDINATE, Scene, User};
use serde_json::{Value, json};

const FIRST: u32 = SUBORDINATE.0;

/// A scene with a user who has subordinate ids, where the system can map them.
fn begin() -> Option<(Scene, User)> {
    let needs = [Need::Program("unshare"), Need::Program("newuidmap"), Need::Program("newgidmap")];
    let scene = Scene::needing(&needs)?;
    let user = User::anybody(&scene);
    if user.is_none() {
        integration::skip("a user without privileges cannot make namespaces here");
    }
    user.map(|user| (scene, user))
}

/// The user as root, and all of its subordinate ids.
fn all(user: User) -> Value {
    json!([
        { "containerID": 0, "hostID": user.id, "size": 1 },
        { "containerID": 1, "hostID": FIRST, "size": SUBORDINATE.1 },
    ])
}

fn mapped(scene: &Scene, user: User, mapping: &Value) -> Bundle {
    let bundle = user.bundle(scene).unset("/linux/cgroupsPath").unset("/linux/resources");
    bundle.set("/linux/uidMappings", mapping.clone()).set("/linux/gidMappings", mapping.clone())
}

/// Demands all of these words of keel, and any of them of another runtime.
#[track_caller]
fn tells(scene: &Scene, refused: Outcome, words: &[&str]) {
    if scene.is_keel() {
        refused.says_all(words)
    } else {
        refused.says(words)
    };
}

/// `run` by the user.
fn run(scene: &Scene, user: User, bundle: &Bundle) -> Invocation {
    user.known(scene, scene.verb("run", &[], bundle, &scene.id()))
}

#[test]
fn newuidmap_and_newgidmap_map_what_the_user_was_given() {
    let Some((scene, user)) = begin() else { return };
    let script = "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; id -u; id -G";
    let bundle = mapped(&scene, user, &all(user))
        .set("/process/user", json!({ "uid": 7, "gid": 8, "additionalGids": [9, 10] }))
        .sh(script);
    let output = run(&scene, user, &bundle).run().ok().stdout;
    let words: Vec<&str> = output.split_whitespace().collect();
    let id = user.id.to_string();
    let map = ["0", &id, "1", "1", "700000", "65536"];
    let expected = [&map[..], &map, &["allow", "7", "8", "9", "10"]].concat();
    assert_eq!(words, expected);
}

#[test]
fn a_single_id_that_is_not_the_users_own_is_mapped_too() {
    let Some((scene, user)) = begin() else { return };
    let map = json!([{ "containerID": 0, "hostID": FIRST + 5, "size": 1 }]);
    let bundle = mapped(&scene, user, &map).sh("cat /proc/self/uid_map /proc/self/setgroups");
    let output = run(&scene, user, &bundle).run().ok().stdout;
    let words: Vec<&str> = output.split_whitespace().collect();
    assert_eq!(words, ["0", "700005", "1", "allow"]);
}

#[test]
fn files_that_are_made_inside_belong_to_subordinate_ids() {
    let Some((scene, user)) = begin() else { return };
    let bundle = mapped(&scene, user, &all(user))
        .writable()
        .set("/process/user", json!({ "uid": 7, "gid": 8 }))
        .sh("touch /tmp/new && stat -c '%u %g' /tmp/new");
    let tmp = bundle.directory("tmp");
    fs::set_permissions(tmp, fs::Permissions::from_mode(0o1777)).expect("chmod");
    assert_eq!(run(&scene, user, &bundle).run().ok().stdout, "7 8\n");
    let meta = fs::metadata(bundle.rootfs().join("tmp/new")).expect("made inside");
    assert_eq!((meta.uid(), meta.gid()), (FIRST + 6, FIRST + 7));
}

#[test]
fn a_source_that_only_the_user_can_reach_is_mounted_whoever_is_root_inside() {
    let Some((scene, user)) = begin() else { return };
    let private = scene.directory("private");
    let dir = private.join("dir");
    fs::create_dir(&dir).expect("mkdir");
    integration::bundle::write(&dir.join("file"), b"reached\n");
    for path in [&private, &dir, &dir.join("file")] {
        chown(path, Some(user.id), Some(user.id)).expect("chown");
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("chmod");
    }
    let keep_id = json!([
        { "containerID": 0, "hostID": FIRST, "size": 1000 },
        { "containerID": 1000, "hostID": user.id, "size": 1 },
    ]);
    for (map, uid) in [(all(user), 0), (keep_id, 1000)] {
        let bundle = mapped(&scene, user, &map)
            .set("/process/user", json!({ "uid": uid, "gid": uid }))
            .bind(&dir, "/tmp", &["ro"])
            .sh("cat /tmp/file; stat -c %u /tmp/file");
        let output = run(&scene, user, &bundle).run().ok().stdout;
        assert_eq!(output, format!("reached\n{uid}\n"));
    }
}

#[test]
fn what_the_user_was_not_given_is_refused_with_what_it_has() {
    let Some((scene, user)) = begin() else { return };
    let before = scene.snapshot();
    let mut beyond = all(user);
    beyond[1]["size"] = json!(SUBORDINATE.1 + 1);
    let own = json!([{ "containerID": 0, "hostID": user.id, "size": 1 }]);
    for (kind, file) in [("uid", "/etc/subuid"), ("gid", "/etc/subgid")] {
        let bundle =
            mapped(&scene, user, &own).set(&format!("/linux/{kind}Mappings"), beyond.clone());
        let pointer = format!("config.json /linux/{kind}Mappings");
        let given = format!("{file} gives user {} 700000:65536", user.id);
        let refused = run(&scene, user, &bundle).run().refused();
        tells(&scene, refused, &[&format!("new{kind}map"), "not allowed", &given, &pointer]);
        // Nobody knows this user without a name and ids.
        let stranger = user.call(scene.verb("run", &[], &bundle, &scene.id()));
        tells(&scene, stranger.run().refused(), &[&format!("new{kind}map"), &pointer]);
        before.assert_same();
    }
}

#[test]
fn without_the_programs_other_ids_than_ones_own_are_refused() {
    let Some((scene, user)) = begin() else { return };
    let before = scene.snapshot();
    let own = json!([{ "containerID": 0, "hostID": user.id, "size": 1 }]);
    let call = |bundle: &Bundle| {
        let call = scene.verb("run", &[], bundle, &scene.id());
        user.known(&scene, call.under(["env", "PATH=/nowhere"])).run()
    };
    for kind in ["uid", "gid"] {
        let bundle = mapped(&scene, user, &own).set(&format!("/linux/{kind}Mappings"), all(user));
        let pointer = format!("config.json /linux/{kind}Mappings");
        let refused = call(&bundle).refused();
        tells(&scene, refused, &[&format!("the program new{kind}map"), &pointer]);
        before.assert_same();
    }
    let alone = mapped(&scene, user, &own).sh("cat /proc/self/setgroups");
    assert_eq!(call(&alone).ok().stdout, "deny\n");
}

#[test]
fn mappings_left_open_are_all_that_the_user_can_map() {
    let Some((scene, user)) = begin() else { return };
    if !scene.is_keel() {
        return integration::skip("other runtimes refuse this, or need a newer version");
    }
    let bundle = mapped(&scene, user, &json!([]))
        .unset("/linux/uidMappings")
        .unset("/linux/gidMappings")
        .sh("cat /proc/self/uid_map");
    let map = |call: Invocation| {
        let outcome = call.run().ok();
        let words: Vec<String> = outcome.stdout.split_whitespace().map(str::to_owned).collect();
        (words.join(" "), outcome.stderr)
    };
    let verb = || scene.verb("run", &[], &bundle, &scene.id());
    let (known, said) = map(user.known(&scene, verb()));
    assert_eq!(known, format!("0 {} 1 1 700000 65536", user.id));
    assert!(!said.contains("no other user"), "{said}");
    let alone = format!("0 {} 1", user.id);
    let (stranger, said) = map(user.call(verb()));
    assert!(stranger == alone && said.contains("an entry for this user in /etc/subuid"), "{said}");
    let (poor, said) = map(user.known(&scene, verb().under(["env", "PATH=/nowhere"])));
    assert!(poor == alone && said.contains("without the program newuidmap"), "{said}");
}

#[test]
fn the_programs_get_a_pid_and_numbers_and_nothing_else_of_the_caller() {
    let needs = [Need::Keel, Need::Program("unshare"), Need::Program("bash")];
    let Some(scene) = Scene::needing(&needs) else { return };
    let Some(user) = User::anybody(&scene) else {
        return integration::skip("a user without privileges cannot make namespaces here");
    };
    let (bin, told) = (scene.directory("bin"), scene.directory("told"));
    chown(&told, Some(user.id), Some(user.id)).expect("chown");
    for kind in ["uid", "gid"] {
        let script = format!(
            "#!/bin/sh\necho \"$@\" >{0}/{kind}.args; cat /proc/$$/environ >{0}/{kind}.env\n\
             ls /proc/$$/fd >{0}/{kind}.fd; grep SigBlk /proc/self/status >{0}/{kind}.signals\n\
             echo no {kind} today; exit 3\n",
            told.display()
        );
        let program = bin.join(format!("new{kind}map"));
        integration::bundle::write(&program, script.as_bytes());
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    let before = scene.snapshot();
    let bundle = mapped(&scene, user, &all(user));
    let path = format!("PATH={}:/usr/bin:/bin", bin.display());
    let call = scene.verb("run", &[], &bundle, &scene.id()).with_descriptors("7</etc 9</proc");
    let call = user.call(call.under(["env", &path, "SECRET=of-the-caller"]));
    let refused = call.run().refused();
    refused.says_all(&["newuidmap", "no uid today", "has no entry for user"]);
    before.assert_same();
    for kind in ["uid", "gid"] {
        let read =
            |what: &str| fs::read_to_string(told.join(format!("{kind}.{what}"))).expect("a file");
        let args = read("args");
        let (pid, rest) = args.trim().split_once(' ').expect("a pid, and numbers");
        assert!(pid.parse::<u32>().is_ok(), "{args}");
        assert_eq!(rest, format!("0 {} 1 1 700000 65536", user.id));
        assert!(!read("env").contains("SECRET") && !read("env").contains("bin"), "{}", read("env"));
        // From 10 on they are the shell's own.
        let low: Vec<String> =
            read("fd").split_whitespace().filter(|fd| fd.len() == 1).map(str::to_owned).collect();
        assert_eq!(low, ["0", "1", "2"]);
        assert_eq!(Inside(read("signals")).field("SigBlk"), "0000000000000000");
    }
}

#[test]
fn the_callers_groups_stay_outside_of_a_container_that_forbids_setgroups() {
    let Some((scene, user)) = begin() else { return };
    let own = json!([{ "containerID": 0, "hostID": user.id, "size": 1 }]);
    let (bundle, id) = (mapped(&scene, user, &own).sleeping(), scene.id());
    user.known(&scene, scene.verb("run", &["--detach"], &bundle, &id)).run().ok();
    // The host's root, with groups of its own.
    let exec = scene.keel(["exec", &id, "grep", "Groups", "/proc/self/status"]);
    let outcome = exec.under(["setpriv", "--groups", "4,5,6"]).run().ok();
    assert_eq!(Inside(outcome.stdout).field("Groups").trim(), "");
    let refused = scene.keel(["exec", "--additional-gids", "0", &id, "true"]).run();
    assert!(!refused.status.success(), "{refused:?}");
    scene.keel(["delete", "--force", &id]).run().ok();
    let bundle = bundle.set("/process/user/additionalGids", json!([0]));
    run(&scene, user, &bundle).run().refused();
}
