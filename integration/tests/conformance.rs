//! The command `conformance` itself: programs of other suites, its forms of report, and what it
//! takes for a loss. What it finds out about a runtime is a step of its own of `make test`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use integration::bundle::write;
use integration::runtime::Invocation;
use integration::{Need, Scene};
use serde_json::Value;

/// A program in shell that tests a runtime as those of the official suite do: it makes a bundle,
/// calls what `RUNTIME` names, and prints TAP.
const HOSTNAME: &str = r##"#!/bin/sh
# Only the directory that holds it has this file.
test -f runtimetest || exit 3
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/rootfs/bin" "$dir/rootfs/dev" "$dir/rootfs/proc"
cp "$BUSYBOX" "$dir/rootfs/bin/busybox"
cat >"$dir/config.json" <<END
{"ociVersion": "1.0.2", "hostname": "tested", "root": {"path": "rootfs"},
 "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["/bin/busybox", "hostname"]},
 "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
 "linux": {"cgroupsPath": "$CGROUP", "namespaces": [{"type": "pid"}, {"type": "mount"},
  {"type": "uts"}, {"type": "ipc"}, {"type": "network"}]}}
END
echo TAP version 13
seen=$("$RUNTIME" run --bundle "$dir" "tap-$$" 2>&1)
test "$seen" = tested && echo "ok 1 - the host's name" || echo "not ok 1 - the host's name"
echo "# $seen"
"$RUNTIME" state "tap-$$" >/dev/null 2>&1 && echo not ok 2 - nothing is left || echo ok 2 - nothing is left
# A container that the program leaves behind.
"$RUNTIME" create --bundle "$dir" "left-$$" </dev/null >/dev/null 2>&1 && echo ok 3 || echo not ok 3
echo 1..3
"##;

/// The id of a row, its result, and what was seen.
type Expected = (&'static str, &'static str, &'static str);

/// Other programs, each with what has to be told of it: its id, its result, and what was seen.
const OTHERS: &[(&str, &str, &[Expected])] = &[
    (
        "marks.t",
        "echo ok 1 - a '#' SKIP no such controller; echo not ok 2 - b '#' TODO some day\n\
         echo not ok 3 - c; echo '  ---'; echo '  error: c was d'; echo '  ...'; echo 1..3; exit 1",
        &[
            ("marks.t", "pass", ""),
            ("marks.t#1", "skip", "no such controller"),
            ("marks.t#2", "fail", ""),
            ("marks.t#3", "fail", "error: c was d"),
        ],
    ),
    ("none.t", "echo 1..0 '#' SKIP needs a TPM", &[("none.t", "skip", "needs a TPM")]),
    (
        "short.t",
        "echo 1..2; echo ok 1",
        &[("short.t", "fail", "1 tests of 2"), ("short.t#1", "pass", "")],
    ),
    ("bail.t", "echo 1..2; echo Bail out! no disk", &[("bail.t", "fail", "gave up: no disk")]),
    (
        "status.t",
        "echo ok 1; echo 1..1; echo lost >&2; exit 7",
        &[("status.t", "fail", "status 7; its last word was: lost")],
    ),
    ("signal.t", "kill -9 $$", &[("signal.t", "fail", "signal 9")]),
    ("hang.t", "echo ok 1; sleep 1000", &[("hang.t", "fail", "did not end within 6s")]),
];

/// The command, built beside the tests.
fn conformance(scene: &Scene) -> Invocation {
    let exe = std::env::current_exe().expect("this program");
    let built = exe.ancestors().skip(1).take(2).map(|dir| dir.join("conformance"));
    let program = built.into_iter().find(|path| path.is_file());
    let program = program.expect("no conformance beside the tests: build it");
    let busybox = scene.dir().with_file_name("busybox");
    let call = scene.call(program.display().to_string()).arg("--runtime");
    call.arg(scene.runtime().program()).arg("--busybox").arg(busybox)
}

fn program(path: &Path, script: &str) {
    write(path, script.as_bytes());
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
}

/// A directory of programs like the official suite's: the programs in `validation/`, what they need
/// beside that.
fn suite(scene: &Scene) -> PathBuf {
    let dir = scene.directory("suite");
    write(&dir.join("runtimetest"), b"");
    fs::create_dir_all(dir.join("validation/hostname")).expect("mkdir");
    program(&dir.join("validation/hostname/hostname.t"), HOSTNAME);
    for (name, script, _) in OTHERS {
        program(&dir.join("validation").join(name), &format!("#!/bin/sh\n{script}\n"));
    }
    // Neither of these is a program of the suite.
    write(&dir.join("validation/not-executable.t"), b"exit 1");
    program(&dir.join("validation/helper"), "#!/bin/sh\nexit 1\n");
    dir.join("validation")
}

fn official(scene: &Scene, format: &str) -> Invocation {
    let call = conformance(scene).arg("--official").arg(suite(scene));
    let call = call.args(["--filter", "official/", "--timeout", "1", "--format", format]);
    let cgroup = format!("{}/official", scene.cgroup());
    call.env("BUSYBOX", scene.dir().with_file_name("busybox")).env("CGROUP", cgroup)
}

#[test]
fn programs_of_another_suite_are_run_and_summarised() {
    let Some(scene) = Scene::needing(&[Need::Program("mktemp")]) else { return };
    let outcome = official(&scene, "json").run().exits(1);
    let report: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    let results = report["results"].as_array().expect("results");
    let find = |id: &str| {
        let id = format!("official/{id}");
        let found = results.iter().find(|result| result["id"] == id.as_str());
        found.unwrap_or_else(|| panic!("no {id}: {}", outcome.stdout))
    };
    let name = "hostname/hostname.t";
    for id in [name.to_owned(), format!("{name}#1"), format!("{name}#2"), format!("{name}#3")] {
        assert_eq!(find(&id)["result"], "pass", "{id}: {}", outcome.stdout);
    }
    let others = OTHERS.iter().flat_map(|(_, _, expected)| *expected);
    for (id, result, note) in others {
        let found = find(id);
        assert_eq!(found["result"], *result, "{found}");
        assert!(found["note"].as_str().unwrap_or_default().contains(note), "{found}");
    }
    assert_eq!(find("marks.t#2")["known"], "to do: some day");
    assert!(!outcome.stdout.contains("helper") && !outcome.stdout.contains("not-executable"));
    let failed =
        results.iter().filter(|result| result["result"] == "fail" && result["known"].is_null());
    assert_eq!(report["summary"]["unexpected"], failed.count());
}

#[test]
fn every_form_of_report_has_the_same_results() {
    let Some(scene) = Scene::needing(&[Need::Program("mktemp")]) else { return };
    // Time limits are for the test above.
    let official = |scene: &Scene, format| {
        let call = official(scene, format);
        fs::remove_file(scene.dir().join("suite/validation/hang.t")).expect("rm");
        call
    };
    let line = "7 passed, 5 failed, 3 skipped";
    let table = official(&scene, "table").run().exits(1);
    assert_eq!(table.stdout.lines().last(), Some(line), "{table:?}");
    let tap = official(&scene, "tap").run().exits(1);
    assert!(tap.stdout.starts_with("TAP version 13\n") && tap.stdout.contains("\n1..15\n"));
    let not_ok = tap.stdout.lines().filter(|line| line.starts_with("not ok "));
    assert_eq!(not_ok.filter(|line| !line.contains("# TODO")).count(), 5, "{tap:?}");
    let junit = official(&scene, "junit").run().exits(1);
    assert!(
        junit.stdout.contains(r#" tests="15" failures="5" errors="0" skipped="3" "#),
        "{junit:?}"
    );
    let markdown = official(&scene, "markdown").run().exits(1);
    assert!(markdown.stdout.contains("| 7 passed, 6 failed, 2 skipped |"), "{markdown:?}");
}

#[test]
fn a_directory_without_programs_is_an_error() {
    let Some(scene) = Scene::begin() else { return };
    let empty = scene.directory("empty");
    let outcome = conformance(&scene).arg("--official").arg(&empty).run().exits(2);
    outcome.says(&["no executable file named *.t"]);
}

#[test]
fn a_clause_that_is_skipped_where_it_passed_before_has_failed() {
    let Some(scene) = Scene::begin() else { return };
    let filter = ["--filter", "config-linux.md#rdma/"];
    let call = conformance(&scene).args(filter).args(["--format", "markdown"]);
    let table = call.run().ok().stdout;
    if !table.contains("| config-linux.md#rdma/hcaHandles | MUST | skip |") {
        return integration::skip("the machine has an RDMA device");
    }
    // A whole table of before, in which the clause has passed on such a machine.
    let whole = conformance(&scene).arg("--list").run().ok().stdout;
    let rows = whole.lines().filter(|line| !line.starts_with(' ') && line.contains(".md#"));
    let id = |line: &str| line.split_whitespace().nth(1).expect("an id").to_owned();
    let rows: String =
        rows.map(|line| format!("| {} | MUST | pass | text |\n", id(line))).collect();
    let machine = table.lines().find(|line| line.starts_with("Machine: ")).expect("the machine");
    let name = scene.runtime().program().file_name().expect("a name").to_string_lossy();
    let text =
        format!("{machine}\n\n| clause | level | {name} | what |\n|---|---|---|---|\n{rows}");
    let results = scene.dir().join("results.md");
    write(&results, text.as_bytes());
    let with = |text: &str| {
        write(&results, text.as_bytes());
        conformance(&scene).args(filter).arg("--results").arg(&results).run()
    };
    with(&text).exits(1);
    // On another kind of machine it may be missing; a clause that the table lacks may not.
    with(&text.replace("Machine: Linux", "Machine: another Linux")).ok();
    with(&text.replace("| config-linux.md#rdma/hcaHandles |", "| gone |")).exits(2);
}
