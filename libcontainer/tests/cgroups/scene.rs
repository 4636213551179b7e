//! What the tests of cgroups share: a place of their own, processes in it, and reasons to skip.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use libcontainer::Cgroups;
use libcontainer::cgroup::Open;
use libcontainer::features::cgroup::{Caller, plan};
use libcontainer::host::cgroups::Hierarchy;
use libcontainer::spec::{Linux, Resources};
use libcontainer::task::cgroup::CgroupPlan;

/// A cgroup that a test makes its own below; removed in all hierarchies at the end.
pub(crate) struct Top {
    pub(crate) path: String,
    pub(crate) facts: Cgroups,
}

impl Top {
    pub(crate) fn new(name: &str) -> Self {
        let path = format!("/keel-test-{}-{name}", std::process::id());
        Self { path, facts: Cgroups::probe().unwrap() }
    }

    pub(crate) fn plan(&self, name: &str, resources: &str) -> CgroupPlan {
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        let linux = Linux {
            cgroups_path: Some(format!("{}/{name}", self.path)),
            resources: Some(Resources::parse(resources.as_bytes()).unwrap()),
            ..Linux::default()
        };
        let plan = plan(
            &linux,
            "id",
            &self.facts,
            Caller { rootless: false, limits_devices: true },
            &mut faults,
            &mut warnings,
        );
        assert_eq!(faults, []);
        plan.unwrap()
    }

    fn mounts(&self) -> Vec<PathBuf> {
        let legacy = self.facts.legacy.iter().map(|hierarchy| hierarchy.mount.clone());
        legacy.chain(self.facts.unified.iter().map(|unified| unified.mount.clone())).collect()
    }

    /// The directory of a cgroup in the hierarchy of a v1 controller, or in that of v2.
    pub(crate) fn dir(&self, controller: &str, name: &str) -> PathBuf {
        let has = |h: &&Hierarchy| h.controllers.iter().any(|c| c == controller);
        let v2 = self.facts.unified.as_ref().map(|unified| &unified.mount);
        let mount = self.facts.legacy.iter().find(has).map(|h| &h.mount).or(v2).unwrap();
        mount.join(self.path.trim_start_matches('/')).join(name)
    }

    pub(crate) fn read(&self, controller: &str, name: &str, file: &str) -> String {
        read(&self.dir(controller, name).join(file))
    }

    /// What is left below this in any hierarchy.
    pub(crate) fn left(&self) -> Vec<PathBuf> {
        let here = |mount: PathBuf| mount.join(self.path.trim_start_matches('/'));
        self.mounts().into_iter().map(here).filter(|dir| dir.is_dir()).collect()
    }
}

impl Drop for Top {
    fn drop(&mut self) {
        for dir in self.left() {
            let mut all = vec![dir];
            let mut i = 0;
            while i < all.len() {
                let below = fs::read_dir(&all[i]).into_iter().flatten().flatten();
                all.extend(below.map(|entry| entry.path()).filter(|path| path.is_dir()));
                i += 1;
            }
            for dir in all.iter().rev() {
                let _ = fs::remove_dir(dir);
            }
        }
    }
}

pub(crate) fn read(path: &Path) -> String {
    let text = fs::read_to_string(path);
    text.unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim_end().to_owned()
}

pub(crate) fn write(path: &Path, value: &str) {
    let file = OpenOptions::new().write(true).open(path);
    let mut file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.write_all(value.as_bytes()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// A process that enters a cgroup as init does on v1, and by `cgroup.procs` on v2, says so, and
/// then runs a command.
pub(crate) struct Guest(pub(crate) Child);

impl Guest {
    pub(crate) fn enter(open: &Open, command: &str) -> Self {
        let own = std::process::id();
        let files = open.entry_files().unwrap();
        let mut paths: Vec<String> =
            files.iter().map(|fd| format!("/proc/{own}/fd/{}", fd.as_raw_fd())).collect();
        let dir = open.unified_dir().unwrap();
        paths
            .extend(dir.iter().map(|fd| format!("/proc/{own}/fd/{}/cgroup.procs", fd.as_raw_fd())));
        let script = format!("for f; do echo 0 > $f || exit 9; done; echo in; {command}");
        let mut child = Command::new("/bin/sh")
            .args(["-c", &script, "sh"])
            .args(paths)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Not a byte more: what the command says is for the test.
        let mut line = [0; 3];
        child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        assert_eq!(line, *b"in\n");
        Self(child)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.0.id().try_into().unwrap()
    }

    /// The signal that ended it; it must end soon.
    pub(crate) fn killed_by(&mut self) -> Option<i32> {
        let limit = Instant::now() + Duration::from_secs(10);
        while Instant::now() < limit {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.signal();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it lives on");
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Says that the running test is skipped, and why; also in the file that `KEEL_SKIPS` names. Once a
/// test: as often it is taken from those that passed.
pub(crate) fn skip(reason: &str) -> bool {
    let thread = std::thread::current();
    let line = format!("SKIP cgroups::{}: {reason}\n", thread.name().unwrap_or("main"));
    eprint!("{line}");
    if let Some(path) = std::env::var_os("KEEL_SKIPS") {
        let opened = OpenOptions::new().append(true).create(true).open(path);
        opened.and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
    }
    true
}

pub(crate) fn not_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() != 0) && skip("not root")
}

/// Whether a test of cgroup v1 cannot run here.
pub(crate) fn without_v1() -> bool {
    not_root()
        || (Cgroups::probe().unwrap().legacy.is_empty() && skip("no hierarchy of cgroup v1 here"))
}

/// Runs a test where cgroup v2 is all there is: `true` in there.
pub(crate) fn on_v2(test: &str) -> bool {
    if not_root() {
        return false;
    }
    Cgroups::probe().unwrap().legacy.is_empty()
        || with_mounts(test, "mount -t cgroup2 cgroup2 /sys/fs/cgroup")
}

/// Tests of cgroup v2 enable its controllers for the whole machine, so they run one after another,
/// and afterwards those are taken back that were not enabled before.
static ALONE: Mutex<()> = Mutex::new(());

struct Controllers(Option<(PathBuf, String)>);

impl Controllers {
    fn now() -> Self {
        let unified = Cgroups::probe().unwrap().unified;
        let file = unified.map(|unified| unified.mount.join("cgroup.subtree_control"));
        Self(file.map(|file| (file.clone(), read(&file))))
    }
}

impl Drop for Controllers {
    fn drop(&mut self) {
        let Some((path, before)) = &self.0 else { return };
        let now = fs::read_to_string(path).unwrap_or_default();
        for controller in now.split_whitespace().filter(|c| !before.contains(c)) {
            let file = OpenOptions::new().write(true).open(path);
            // Somebody else may need it by now.
            let _ = file.and_then(|mut file| file.write_all(format!("-{controller}").as_bytes()));
        }
    }
}

/// Runs a test in a mount namespace that a script has changed: `true` in there. Elsewhere it runs
/// this program again inside, which must succeed.
pub(crate) fn with_mounts(test: &str, script: &str) -> bool {
    const INSIDE: &str = "KEEL_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let script = format!("set -e; {script}; exec \"$@\"");
    let run = |command: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["-m", "sh", "-c", &script, "sh"]).args(command).env(INSIDE, "1");
        unshare.output().unwrap()
    };
    if !run(&["true"]).status.success() {
        skip("cannot prepare a mount namespace");
        return false;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let _before = Controllers::now();
    let program = std::env::current_exe().unwrap();
    let command = [program.to_str().unwrap(), "--exact", test, "--nocapture"];
    // Its own totals would be counted beside those of this run.
    let inside = run(&command);
    let said = String::from_utf8_lossy(&inside.stdout);
    assert!(inside.status.success(), "{test} failed inside: {said}");
    false
}
