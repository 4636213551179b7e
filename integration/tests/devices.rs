//! Device nodes: those every container has, and those of the configuration.

use integration::{Bundle, Need, Scene};
use serde_json::json;

/// Type, numbers, mode and owner of device nodes, as `stat` prints them, a line each.
fn nodes(scene: &Scene, bundle: Bundle, paths: &[&str]) -> Vec<String> {
    let script = format!("stat -c '%n %F %t:%T %a %u %g' {}", paths.join(" "));
    scene.output(&bundle.sh(script)).lines().map(str::to_owned).collect()
}

#[test]
fn the_default_devices_have_the_right_numbers_and_modes() {
    let Some(scene) = Scene::begin() else { return };
    let expected = [
        ("null", "1:3"),
        ("zero", "1:5"),
        ("full", "1:7"),
        ("random", "1:8"),
        ("urandom", "1:9"),
        ("tty", "5:0"),
    ];
    let paths: Vec<String> = expected.iter().map(|(name, _)| format!("/dev/{name}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let found = nodes(&scene, scene.bundle(), &paths);
    for (line, (name, numbers)) in found.iter().zip(expected) {
        assert_eq!(line, &format!("/dev/{name} character special file {numbers} 666 0 0"));
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn the_default_devices_do_what_they_should() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sh("echo x >/dev/null && cat /dev/null | wc -c
        head -c 3 /dev/zero | od -A n -t x1
        head -c 8 /dev/urandom | wc -c
        echo x 2>/dev/null >/dev/full || echo full");
    assert_eq!(scene.output(&bundle), "0\n 00 00 00\n8\nfull\n");
}

#[test]
fn the_default_links_point_where_they_should() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sh("cd /dev && for l in fd stdin stdout stderr ptmx; do
        echo $l $(readlink $l); done; [ -e /dev/core ] && readlink /dev/core || true");
    let output = scene.output(&bundle);
    let expected = "fd /proc/self/fd\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\n\
        stderr /proc/self/fd/2\nptmx pts/ptmx\n";
    assert!(output.starts_with(expected), "{output}");
}

#[test]
fn without_a_terminal_there_is_no_console() {
    let Some(scene) = Scene::begin() else { return };
    assert_eq!(scene.output(&scene.bundle().sh("[ -e /dev/console ] || echo none")), "none\n");
}

#[test]
fn devices_of_the_configuration_are_made_anywhere_with_mode_and_owner() {
    let Some(scene) = Scene::begin() else { return };
    let devices = json!([
        { "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640,
          "uid": 3, "gid": 4 },
        { "path": "/dev/sub/dir/disk", "type": "b", "major": 254, "minor": 0, "fileMode": 0o600 },
        { "path": "/opt/elsewhere", "type": "u", "major": 1, "minor": 3, "fileMode": 0o666 },
        { "path": "/opt/pipe", "type": "p", "fileMode": 0o622 },
    ]);
    let bundle = scene.bundle().writable().set("/linux/devices", devices);
    let paths = ["/dev/fuse", "/dev/sub/dir/disk", "/opt/elsewhere", "/opt/pipe"];
    let call = bundle.sh(format!("stat -c '%n %F %t:%T %a %u %g' {}", paths.join(" ")));
    let call = scene.verb("run", &[], &call, &scene.id());
    // Modes are exact, whatever the caller's umask.
    let outcome = call.under(["sh", "-c", "umask 022; exec \"$0\" \"$@\""]).run().ok();
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "/dev/fuse character special file a:e5 640 3 4",
            "/dev/sub/dir/disk block special file fe:0 600 0 0",
            "/opt/elsewhere character special file 1:3 666 0 0",
            "/opt/pipe fifo 0:0 622 0 0",
        ]
    );
}

#[test]
fn a_device_of_the_configuration_may_be_a_default_one() {
    let Some(scene) = Scene::begin() else { return };
    let devices = json!([
        { "path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666 },
        { "path": "/dev/tty", "type": "c", "major": 5, "minor": 0, "fileMode": 0o666 },
    ]);
    let bundle = scene.bundle().set("/linux/devices", devices);
    let found = nodes(&scene, bundle, &["/dev/null", "/dev/tty"]);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|line| line.contains("character special file")), "{found:?}");
}

#[test]
fn a_device_that_exists_in_the_image_as_something_else_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let devices = json!([{ "path": "/opt/device", "type": "c", "major": 1, "minor": 3 }]);
    let bundle = scene.bundle().writable().set("/linux/devices", devices);
    bundle.file("opt/device", "a file\n");
    scene.refused(&bundle);
    before.assert_same();
}

#[test]
fn an_allowed_device_can_be_opened_and_another_cannot() {
    let Some(scene) = Scene::needing(&[integration::Need::Controller("devices")]) else { return };
    let devices = json!([
        { "path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666 },
        { "path": "/dev/port", "type": "c", "major": 1, "minor": 4, "fileMode": 0o666 },
    ]);
    let rules = json!([
        { "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "w" },
    ]);
    let bundle = scene
        .bundle()
        .set("/linux/devices", devices)
        .set("/linux/resources/devices", rules)
        .sh("for a in '</dev/kmsg' '>/dev/kmsg' '</dev/port'; do
                 sh -c \": $a\" 2>/dev/null && echo \"$a\"; done; echo end");
    assert_eq!(scene.output(&bundle), ">/dev/kmsg\nend\n");
}

#[test]
fn rules_with_wildcards_allow_what_they_match() {
    let Some(scene) = Scene::needing(&[integration::Need::Controller("devices")]) else { return };
    let rules = json!([
        { "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 10, "minor": -1, "access": "rwm" },
        { "allow": true, "type": "b", "access": "m" },
    ]);
    let bundle = scene
        .bundle()
        .writable()
        .capabilities(&["CAP_MKNOD"])
        .set("/linux/resources/devices", rules)
        .sh("mknod /tmp/misc c 10 229 && echo made; mknod /tmp/disk b 254 0 && echo made
             head -c 1 /tmp/disk >/dev/null 2>&1 && echo read; echo end");
    assert_eq!(scene.output(&bundle), "made\nmade\nend\n");
}

#[test]
fn where_the_runtime_may_make_none_devices_are_those_of_the_host() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Program("setpriv")]) else { return };
    let script =
        "for d in null zero full random urandom tty kmsg; do stat -c '%n %t:%T' /dev/$d; done
        echo x >/dev/null && echo usable";
    let bundle = scene
        .bundle()
        .set(
            "/linux/devices/-",
            json!({ "path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11 }),
        )
        .sh(script);
    let without = ["setpriv", "--bounding-set", "-mknod", "--inh-caps", "-mknod"];
    let call = scene.verb("run", &[], &bundle, &scene.id()).under(without);
    assert_eq!(
        call.run().ok().stdout,
        "/dev/null 1:3\n/dev/zero 1:5\n/dev/full 1:7\n/dev/random 1:8\n/dev/urandom 1:9\n\
         /dev/tty 5:0\n/dev/kmsg 1:b\nusable\n"
    );
}
