//! Time namespaces: clocks that differ from the host's, new and joined.

use std::fs;
use std::process::Command;

use integration::{Bundle, Container, Edit, Need, Outcome, Scene, User};
use serde_json::json;

const NEEDS: [Need; 2] =
    [Need::Path("/proc/self/ns/time"), Need::Path("/proc/self/timens_offsets")];

/// The first id of the user namespaces here, on the host.
const BASE: u32 = 100_000;

/// Seconds by which boot seems to be earlier, and the monotonic clock to be ahead.
const BOOT: i64 = 5_000_000;
const MONOTONIC: i64 = 9_000_000;

/// Tells the seconds since boot, and the namespace now and that of children.
const TELL: &str = "cut -d . -f 1 /proc/uptime; \
                    for n in time time_for_children; do readlink /proc/self/ns/$n; done";

fn offset(bundle: Bundle) -> Bundle {
    let offsets = json!({
        "boottime": { "secs": BOOT, "nanosecs": 250_000_000 },
        "monotonic": { "secs": MONOTONIC }
    });
    bundle.namespace("time", None).set("/linux/timeOffsets", offsets)
}

fn exec(scene: &Scene, container: &Container<'_>, script: &str) -> Outcome {
    scene.keel(["exec", container.id(), "sh", "-c", script]).run()
}

/// The host's seconds since boot.
fn uptime() -> i64 {
    let text = fs::read_to_string("/proc/uptime").expect("/proc/uptime");
    text.split('.').next().and_then(|text| text.parse().ok()).expect("seconds")
}

/// Demands what [`TELL`] must have told of clocks that are ahead by [`BOOT`]; gives the namespace.
#[track_caller]
fn ahead(told: &str, since: i64) -> String {
    let lines: Vec<&str> = told.lines().collect();
    let seconds: i64 = lines[0].parse().expect("seconds");
    assert!((since + BOOT..=uptime() + BOOT + 1).contains(&seconds), "{told}");
    assert_eq!(lines[1], lines[2], "children are in it, too");
    lines[1].to_owned()
}

fn own() -> String {
    fs::read_link("/proc/self/ns/time").expect("a link").to_string_lossy().into_owned()
}

#[test]
fn clocks_are_ahead_in_the_first_process_and_in_those_that_are_added() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    for edit in [
        (|bundle| bundle) as Edit,
        |bundle| bundle.mapped(BASE),
        |bundle| bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 })),
    ] {
        let since = uptime();
        let bundle = edit(offset(scene.bundle())).sh(format!("{TELL}; echo end; sleep 1000"));
        let container = scene.start(&bundle);
        container.expect("end");
        let namespace = ahead(&container.output(), since);
        assert_ne!(namespace, own());
        let added = exec(&scene, &container, TELL).ok().stdout;
        assert_eq!(ahead(&added, since), namespace);
        let offsets = fs::read_to_string(format!("/proc/{}/timens_offsets", container.pid()));
        let offsets = offsets.expect("offsets");
        let words: Vec<&str> = offsets.split_whitespace().collect();
        let (boot, monotonic) = (BOOT.to_string(), MONOTONIC.to_string());
        assert_eq!(words, ["monotonic", &monotonic, "0", "boottime", &boot, "250000000"]);
        container.end();
    }
}

#[test]
fn the_monotonic_clock_is_that_of_the_namespace() {
    let needs = [NEEDS.as_slice(), &[Need::Program("nsenter"), Need::Program("perl")]].concat();
    let Some(scene) = Scene::needing(&needs) else { return };
    let container = scene.start(&offset(scene.bundle()).sleeping());
    let seconds = |words: &[&str]| -> f64 {
        let script = "use Time::HiRes 'clock_gettime'; print clock_gettime(1)";
        let words = [words, &["perl", "-e", script]].concat();
        let output = Command::new(words[0]).args(&words[1..]).output().expect(words[0]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.parse().unwrap_or_else(|_| panic!("{output:?}"))
    };
    let pid = container.pid().to_string();
    let before = seconds(&["env"]);
    let inside = seconds(&["nsenter", "--time", "--target", &pid]);
    let after = seconds(&["env"]);
    let ahead = MONOTONIC as f64;
    assert!((before + ahead..=after + ahead).contains(&inside), "{before} {inside} {after}");
    container.end();
}

#[test]
fn without_offsets_the_namespace_is_new_and_its_clocks_are_the_hosts() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let script = format!("{TELL}; cat /proc/self/timens_offsets | tr -s ' '");
    let since = uptime();
    let told = scene.output(&scene.bundle().namespace("time", None).sh(script));
    let lines: Vec<&str> = told.lines().collect();
    let seconds: i64 = lines[0].parse().expect("seconds");
    assert!((since..=uptime()).contains(&seconds), "{told}");
    assert_eq!(lines[1], lines[2]);
    assert_ne!(lines[1], own());
    assert_eq!(lines[3..], ["monotonic 0 0", "boottime 0 0"]);
}

#[test]
fn a_clock_can_be_behind_the_hosts_but_not_before_its_beginning() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let behind = |secs: i64| {
        let offsets = json!({ "boottime": { "secs": secs, "nanosecs": 999_999_999 } });
        scene.bundle().namespace("time", None).set("/linux/timeOffsets", offsets)
    };
    let since = uptime();
    let told = scene.output(&behind(-since).sh("cut -d . -f 1 /proc/uptime"));
    let seconds: i64 = told.trim().parse().expect("seconds");
    assert!((0..=uptime() - since + 2).contains(&seconds), "{seconds}");
    let before = scene.snapshot();
    let outcome = scene.refused(&behind(-2 * since - 1_000_000));
    if scene.is_keel() {
        let offset = -2 * since - 1_000_000;
        let sentence = format!(
            "cannot set the time offsets \"boottime {offset} 999999999\" (a clock would be \
             negative, or near its end): "
        );
        outcome.says(&[&sentence]).says(&["(config.json /linux/timeOffsets)"]);
    }
    before.assert_same();
}

#[test]
fn a_time_namespace_is_joined_and_keeps_its_offsets() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let since = uptime();
    let (plain, mapped): (Edit, Edit) = (|bundle| bundle, |bundle| bundle.mapped(BASE));
    for (owner, first_is_mapped) in [(plain, false), (mapped, true)] {
        let first = scene.start(&owner(offset(scene.bundle())).sleeping());
        let namespace = |name: &str| format!("/proc/{}/ns/{name}", first.pid());
        let time = namespace("time");
        let target = fs::read_link(&time).expect("a link");
        let join = |bundle: Bundle| {
            let bundle = bundle.namespace("time", Some(&time)).sh(TELL);
            assert_eq!(ahead(&scene.output(&bundle), since), target.to_string_lossy());
        };
        for joiner in [plain, mapped] {
            join(joiner(scene.bundle()));
        }
        if first_is_mapped {
            let bundle = mapped(scene.bundle()).namespace("user", Some(&namespace("user")));
            join(bundle.unset("/linux/uidMappings").unset("/linux/gidMappings"));
        }
        first.end();
    }
}

#[test]
fn a_new_time_namespace_can_be_made_beside_joined_ones() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let since = uptime();
    let first = scene.start(&scene.bundle().mapped(BASE).sleeping());
    let user = format!("/proc/{}/ns/user", first.pid());
    let bundle = offset(scene.bundle().mapped(BASE))
        .namespace("user", Some(&user))
        .unset("/linux/uidMappings")
        .unset("/linux/gidMappings");
    ahead(&scene.output(&bundle.sh(TELL)), since);
    first.end();
    let first = scene.start(&scene.bundle().sleeping());
    let pid = format!("/proc/{}/ns/pid", first.pid());
    ahead(&scene.output(&offset(scene.bundle()).namespace("pid", Some(&pid)).sh(TELL)), since);
    first.end();
}

#[test]
fn offsets_that_cannot_be_are_refused_and_leave_nothing() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    scene.refused_each(&[
        ("no namespace", |b| b.set("/linux/timeOffsets/boottime", json!({ "secs": 1 }))),
        ("an unknown clock", |b| {
            b.namespace("time", None).set("/linux/timeOffsets/realtime", json!({ "secs": 1 }))
        }),
        ("nanoseconds", |b| {
            let offset = json!({ "nanosecs": 1_000_000_000 });
            b.namespace("time", None).set("/linux/timeOffsets/monotonic", offset)
        }),
        ("a namespace of another kind", |b| b.namespace("time", Some("/proc/self/ns/net"))),
    ]);
}

#[test]
fn offsets_of_a_joined_namespace_are_refused() {
    let Some(scene) = Scene::needing(&[NEEDS[0], NEEDS[1], Need::Keel]) else { return };
    let joined = |bundle: Bundle| bundle.namespace("time", Some("/proc/self/ns/time"));
    let bundle = joined(scene.bundle()).set("/linux/timeOffsets/boottime", json!({ "secs": 1 }));
    scene.refused(&bundle).says(&["a joined time namespace keeps its own offsets"]);
}

#[test]
fn a_user_without_privileges_has_clocks_of_its_own() {
    let needs = [NEEDS[0], NEEDS[1], Need::Keel, Need::Program("unshare")];
    let Some(scene) = Scene::needing(&needs) else { return };
    let Some(user) = User::anybody(&scene) else {
        return integration::skip("a user without privileges cannot make namespaces here");
    };
    let bundle = offset(user.bundle(&scene)).sh(format!("{TELL}; echo end; sleep 1000"));
    bundle.save();
    let (since, id) = (uptime(), scene.id());
    let words = ["--cgroup-manager", "disabled", "run", "--detach", "--bundle"];
    let call = user.call(scene.keel(words).arg(bundle.dir()).arg(&id)).spawn();
    let output = call.stdout_path().to_owned();
    call.wait().ok();
    let said = || fs::read_to_string(&output).unwrap_or_default();
    integration::runtime::until("the container's words", || said().contains("end"));
    let namespace = ahead(&said(), since);
    let added = user.call(scene.keel(["exec", &id, "sh", "-c", TELL])).run().ok().stdout;
    assert_eq!(ahead(&added, since), namespace);
    user.call(scene.keel(["delete", "--force", &id])).run().ok();
}
