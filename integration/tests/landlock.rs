//! Rules of Landlock, with the effects that a container sees.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use integration::{Bundle, Need, Scene};
use serde_json::{Value, json};

const NEEDS: [Need; 2] = [Need::Keel, Need::Landlock];
const ANNOTATION: &str = "/annotations/org.keel.landlock";

/// Rights over files, in the order of their bits, but for `refer`.
const RIGHTS: [&str; 15] = [
    "execute",
    "write_file",
    "read_file",
    "read_dir",
    "remove_dir",
    "remove_file",
    "make_char",
    "make_dir",
    "make_reg",
    "make_sock",
    "make_fifo",
    "make_block",
    "make_sym",
    "truncate",
    "ioctl_dev",
];

/// A bundle under these rules.
fn under(bundle: Bundle, handled: &[&str], rules: &[(&[&str], &[&str])]) -> Bundle {
    let rule =
        |(allowed, paths): &(&[&str], &[&str])| json!({ "allowedAccess": allowed, "paths": paths });
    let rules: Vec<Value> = rules.iter().map(rule).collect();
    let text = json!({
        "ruleset": { "handledAccessFS": handled }, "rules": { "pathBeneath": rules },
    });
    bundle.set(ANNOTATION, text.to_string())
}

/// Directories that everybody may write, if Landlock lets them.
fn open_to_all(bundle: &Bundle, paths: &[&str]) {
    for path in paths {
        let dir = bundle.directory(path);
        fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).expect("chmod");
    }
}

/// A shell function that tells when a command is denied, under a name.
const TRY: &str = "try() { name=$1; shift; said=$(\"$@\" 2>&1) && return; \
    case \"$said\" in *'ermission denied'*) echo \"$name\";; *) echo \"$name: $said\";; esac; }; ";

#[test]
fn every_right_is_about_what_its_name_says_and_nothing_else() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    for right in RIGHTS {
        let bundle = scene.bundle().writable().capabilities(&["CAP_MKNOD", "CAP_DAC_OVERRIDE"]);
        let mut bundle = under(bundle, &[right], &[(&[right], &["/open", "/bin"])]);
        let mut sockets = Vec::new();
        for dir in ["open", "closed"] {
            for (name, text) in [("file", "x"), ("old", "")] {
                bundle.file(&format!("{dir}/{name}"), text);
            }
            bundle.directory(&format!("{dir}/dir"));
            let rootfs = bundle.rootfs();
            fs::copy(rootfs.join("bin/busybox"), rootfs.join(dir).join("true")).expect("copy");
            sockets.push(UnixListener::bind(rootfs.join(dir).join("sock")).expect("a socket"));
            let zero =
                json!({ "type": "c", "path": format!("/{dir}/zero"), "major": 1, "minor": 5 });
            bundle = bundle.set("/linux/devices/-", zero);
        }
        let script = format!(
            "{TRY} for d in /open /closed; do cd $d; \
             try execute ./true; \
             try write_file sh -c 'echo x >>file'; \
             try read_file cat file; \
             try read_dir ls .; \
             try remove_dir rmdir dir; \
             try remove_file rm -f old; \
             try make_char mknod char c 1 3; \
             try make_dir mkdir new; \
             try make_reg ln file file2; \
             try make_sock ln sock sock2; \
             try make_fifo mkfifo fifo; \
             try make_block mknod block b 7 0; \
             try make_sym ln -s file sym; \
             try truncate truncate -s 0 file; \
             try ioctl_dev stty -F zero; \
             echo; done"
        );
        let said = scene.output(&bundle.sh(script));
        let (open, closed) = said.split_once("\n\n").expect("two parts");
        // It is no terminal, which who may ask is told.
        let told = "ioctl_dev: stty: zero: Inappropriate ioctl for device";
        let denied: &[&str] = match right {
            "write_file" => &["write_file", "truncate"],
            "read_file" => &["execute", "read_file", "ioctl_dev"],
            right => &[right],
        };
        assert_eq!(open, told, "{right}");
        let mut expected = denied.to_vec();
        if !denied.contains(&"ioctl_dev") {
            expected.push(told);
        }
        assert_eq!(closed.trim().lines().collect::<Vec<_>>(), expected, "{right}");
    }
}

/// Capabilities that otherwise open every file, and more.
const POWERS: [&str; 6] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_SYS_ADMIN",
];

/// Rights to look at everything and to execute it.
const LOOK: [&str; 3] = ["execute", "read_file", "read_dir"];
/// Rights to change files and directories.
const CHANGE: [&str; 6] =
    ["write_file", "make_reg", "make_dir", "remove_file", "remove_dir", "truncate"];

/// A bundle that may look at everything and change these paths alone.
fn changing(bundle: Bundle, paths: &[&str]) -> Bundle {
    let handled = [&LOOK[..], &CHANGE[..]].concat();
    under(bundle, &handled, &[(&LOOK, &["/"]), (&CHANGE, paths)])
}

#[test]
fn root_with_its_capabilities_is_bound_by_the_rules_too() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    for no_new_privileges in [true, false] {
        let bundle = scene.bundle().writable().capabilities(&POWERS);
        let bundle = bundle.set("/process/noNewPrivileges", no_new_privileges);
        bundle.file("etc/secret", "before\n");
        open_to_all(&bundle, &["work/deep/deeper"]);
        let script = format!(
            "{TRY} try write sh -c 'echo after >/etc/secret'; try make touch /etc/x; \
             try remove rm -f /etc/secret; try mount mount -t tmpfs none /mnt; \
             try unmount umount /proc; cat /etc/secret; ls /etc | wc -l; \
             cd /work/deep/deeper && mkdir a && echo hello >a/b && cat a/b && rm -r a; \
             ln -s /etc ../out; touch ../out/x 2>/dev/null || echo no way out"
        );
        let bundle = changing(bundle, &["/work"]).sh(script);
        bundle.directory("mnt");
        let said = scene.output(&bundle);
        let mount = "mount\n\
                     unmount: umount: can't unmount /proc: Operation not permitted\n";
        let expected = format!("write\nmake\nremove\n{mount}before\n3\nhello\nno way out\n");
        assert_eq!(said, expected, "{no_new_privileges}");
    }
}

#[test]
fn paths_are_those_inside_whatever_they_are() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let bundle = scene.bundle().writable();
    bundle.file("secret", "secret\n");
    bundle.file("data/one", "one\n");
    bundle.file("data/two", "two\n");
    // Out of the root file system, if anything.
    bundle.link("link", "../../../../data/../data/one");
    bundle.link("absolute", "/more");
    bundle.file("more/three", "three\n");
    let rules: &[(&[&str], &[&str])] =
        &[(&["read_file", "read_dir", "make_dir"], &["/bin/", "//link", "/absolute", "/tmp/.."])];
    // The last of these is the root, which everything lies below.
    let all = under(bundle.clone(), &["read_file", "read_dir", "make_dir"], rules);
    assert_eq!(scene.output(&all.sh("cat /secret /data/two")), "secret\ntwo\n");
    let rules = &[(rules[0].0, &rules[0].1[..3])];
    let some = under(bundle, &["read_file", "read_dir", "make_dir"], rules);
    let script = "cat /secret; cat /data/two; cat /data/one; cat /more/three; ls /data; ls /more; \
                  mkdir /more/new";
    let outcome = scene.run(&some.sh(script)).ok();
    assert_eq!(outcome.stdout, "one\nthree\nthree\n");
    assert_eq!(outcome.stderr.matches("Permission denied").count(), 3, "{outcome:?}");
}

#[test]
fn a_rule_belongs_to_a_directory_wherever_it_is_mounted() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let (volume, other) = (scene.directory("volume"), scene.directory("other"));
    let bundle = scene.bundle().bind(&volume, "/a", &[]).bind(&volume, "/b", &[]);
    let bundle = changing(bundle.bind(&other, "/c", &[]), &["/a"]);
    let script = format!("{TRY} try a touch /a/x; try b touch /b/y; try c touch /c/z; ls /a /c");
    assert_eq!(scene.output(&bundle.sh(script)), "c\n/a:\nx\ny\n\n/c:\n");
}

#[test]
fn paths_are_looked_up_by_the_user() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    for (uid, found) in [(0, true), (1000, false)] {
        let bundle = scene.bundle().set("/process/user/uid", uid).args(["true"]);
        bundle.file("private/x", "");
        let private = bundle.rootfs().join("private");
        fs::set_permissions(private, fs::Permissions::from_mode(0o700)).expect("chmod");
        let outcome = scene.run(&changing(bundle, &["/private/x"]));
        if found {
            outcome.ok();
        } else {
            outcome
                .refused()
                .says(&["cannot allow anything beneath /private/x by Landlock: permission denied"]);
        }
    }
}

#[test]
fn links_and_renames_between_directories_are_a_right_of_their_own() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let script = "cd /data; ln a/file b/new 2>&1; ln a/file a/new && echo within";
    let bundle = || {
        let bundle = scene.bundle().writable();
        bundle.file("data/a/file", "");
        bundle.directory("data/b");
        bundle.sh(script)
    };
    // Even where no rule is about it, it is denied.
    let allowed: &[(&[&str], &[&str])] = &[(&["refer"], &["/data"])];
    for (handled, rules) in [("refer", &[][..]), ("make_sock", &[])] {
        let said = scene.output(&under(bundle(), &[handled], rules));
        assert!(said.contains("nvalid cross-device link") && said.ends_with("within\n"), "{said}");
    }
    assert_eq!(scene.output(&under(bundle(), &["refer"], allowed)), "within\n");
}

#[test]
fn the_rules_are_there_in_every_combination_of_user_privileges_and_filters() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    // What loading the rules takes may be forbidden to the program.
    let calls =
        ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "openat2"];
    let filter = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": calls, "action": "SCMP_ACT_KILL_PROCESS" }],
    });
    let script = format!(
        "{TRY} try closed touch /closed/$$; try open touch /open/$$; \
         grep -E '^(NoNewPrivs|CapEff|CapPrm|CapBnd):' /proc/self/status"
    );
    for (no_new_privileges, uid, filtered) in [
        (true, 0, false),
        (true, 0, true),
        (true, 1000, false),
        (true, 1000, true),
        (false, 0, false),
        (false, 0, true),
        (false, 1000, false),
        (false, 1000, true),
    ] {
        for user_namespace in [false, true] {
            let bundle = scene.bundle().writable().capabilities(&["CAP_KILL"]);
            open_to_all(&bundle, &["closed", "open"]);
            let bundle = bundle
                .set("/process/noNewPrivileges", no_new_privileges)
                .set("/process/user/uid", uid);
            let bundle =
                if filtered { bundle.set("/linux/seccomp", filter.clone()) } else { bundle };
            let bundle = if user_namespace { bundle.mapped(100_000) } else { bundle };
            let bundle = changing(bundle, &["/open"]);
            let status = format!(
                "CapPrm:\t{0}\nCapEff:\t{0}\nCapBnd:\t{0}\nNoNewPrivs:\t{1}\n",
                "0000000000000020",
                u8::from(no_new_privileges)
            );
            let expected = format!("closed\n{status}");
            let case = format!("{no_new_privileges} {uid} {filtered} {user_namespace}");
            assert_eq!(scene.output(&bundle.clone().sh(&script)), expected, "{case}");
            let container = scene.start(&bundle.sleeping());
            let exec = scene.keel(["exec", container.id(), "sh", "-c", &script]).run().ok();
            assert_eq!(exec.stdout, expected, "{case}");
            container.end();
        }
    }
}

#[test]
fn a_further_process_is_bound_by_the_rules_and_cannot_look_into_the_first_one() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let bundle = scene.bundle().writable().capabilities(&["CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE"]);
    bundle.file("etc/secret", "secret\n");
    let bundle = bundle.set("/process/env/-", "WORD=of-the-first");
    let container = scene.start(&changing(bundle, &["/tmp"]).sleeping());
    let exec = |options: &[&str], script: &str| {
        let words = [&["exec"], options, &[container.id(), "sh", "-c", script]].concat();
        scene.keel(words).run()
    };
    let script = "cat /etc/secret; touch /tmp/x && echo made; touch /etc/x";
    for options in [&[][..], &["--user", "0"], &["--cap", "CAP_DAC_OVERRIDE"]] {
        let outcome = exec(options, script);
        assert_eq!(outcome.stdout, "secret\nmade\n");
        assert!(outcome.code() == Some(1) && outcome.stderr.contains("denied"), "{outcome:?}");
    }
    let outcome = exec(&[], "cat /proc/1/environ");
    assert!(outcome.stderr.contains("denied") && outcome.stdout.is_empty(), "{outcome:?}");
    container.end();
}

#[test]
fn hooks_come_before_the_rules_and_what_they_mount_counts() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let bundle = scene.bundle().writable().capabilities(&["CAP_SYS_ADMIN"]);
    bundle.directory("later");
    let hook = "mount -t tmpfs none /later && touch /later/by-the-hook /etc/by-the-hook";
    let bundle = changing(bundle, &["/later"]).hook("startContainer", hook);
    let script = format!(
        "{TRY} ls /later /etc/by-the-hook; touch /later/x && echo made; try etc touch /etc/x; \
         try unmount umount /later"
    );
    assert_eq!(
        scene.output(&bundle.sh(script)),
        "/etc/by-the-hook\n\n/later:\nby-the-hook\nmade\netc\n\
         unmount: umount: can't unmount /later: Operation not permitted\n"
    );
}

#[test]
fn a_program_that_the_rules_do_not_let_run_is_told_with_the_reason() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let before = scene.snapshot();
    for right in ["execute", "read_file"] {
        let bundle = under(scene.bundle().args(["true"]), &[right], &[]);
        let outcome = scene.run(&bundle).refused();
        outcome.says(&["exec true: permission denied (do the rules of Landlock allow execute"]);
        before.assert_same();
    }
    // And without rules the reason is another.
    let bundle = scene.bundle().args(["/etc/passwd"]);
    assert!(!scene.run(&bundle).refused().stderr.contains("Landlock"));
}

#[test]
fn a_path_that_is_not_there_is_an_error_of_the_start() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let before = scene.snapshot();
    let bundle = scene.bundle();
    bundle.link("dangling", "/nothing");
    for (path, why) in [
        ("/nothing/at/all", "no such file or directory"),
        ("/dangling", "no such file or directory"),
        ("/etc/passwd/x", "not a directory"),
        // A file that is open already, and perhaps one of the host.
        ("/proc/self/fd/1", "too many levels of symbolic links"),
    ] {
        let bundle = under(bundle.clone(), &["write_file"], &[(&["write_file"], &["/tmp", path])]);
        let outcome = scene.run(&bundle).refused();
        let text = format!(
            "cannot allow anything beneath {path} by Landlock: {why} (config.json {ANNOTATION})"
        );
        outcome.says(&[&text]);
        before.assert_same();
    }
}

#[test]
fn rules_that_are_none_are_refused_and_nothing_is_made() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let before = scene.snapshot();
    let rule = |rule: &str| {
        format!(
            "{{\"ruleset\": {{\"handledAccessFS\": [\"read_file\"]}}, \
             \"rules\": {{\"pathBeneath\": [{rule}]}}}}"
        )
    };
    let handled = |name: &str| format!("{{\"ruleset\": {{\"handledAccessFS\": [{name}]}}}}");
    for (text, says) in [
        (String::new(), "not valid JSON"),
        ("{} x".to_owned(), "not valid JSON"),
        ("{}".to_owned(), "/ruleset/handledAccessFS: no right is named"),
        ("[]".to_owned(), "expected an object"),
        (handled(""), "/ruleset/handledAccessFS: no right is named"),
        (handled("\"moon\""), "/ruleset/handledAccessFS/0: \"moon\" is no right over files"),
        (handled("\"READ_FILE\""), "\"READ_FILE\" is no right over files"),
        (handled("4"), "/ruleset/handledAccessFS/0: invalid type"),
        ("{\"abi\": \"v1\"}".to_owned(), "/abi: there is no member of this name"),
        (
            "{\"ruleset\": {\"handledAccessNet\": [\"bind_tcp\"]}}".to_owned(),
            "/ruleset/handledAccessNet: there is no member of this name",
        ),
        ("{\"ruleset\": {}, \"ruleset\": {}}".to_owned(), "/ruleset: this member is there twice"),
        (rule("{\"paths\": [\"/\"]}"), "/rules/pathBeneath/0/allowedAccess: no right is named"),
        (rule("{\"allowedAccess\": [\"read_file\"]}"), "/rules/pathBeneath/0/paths: no path"),
        (
            rule("{\"allowedAccess\": [\"execute\"], \"paths\": [\"/\"]}"),
            "must be in handledAccessFS, and execute is not",
        ),
        (
            rule("{\"allowedAccess\": [\"read_file\"], \"paths\": [\"tmp\"]}"),
            "/rules/pathBeneath/0/paths/0: path \"tmp\" is not absolute",
        ),
        (
            rule("{\"allowedAccess\": [\"read_file\"], \"paths\": [\"/tmp\\u0000x\"]}"),
            "a NUL character is not allowed",
        ),
    ] {
        let bundle = scene.bundle().set(ANNOTATION, text.clone());
        for verb in ["create", "run"] {
            let outcome = scene.verb(verb, &[], &bundle, &scene.id()).run().refused();
            outcome.says(&[says]).says(&["(config.json /annotations/org.keel.landlock)"]);
            before.assert_same();
        }
    }
}
