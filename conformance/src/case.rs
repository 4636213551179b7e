//! A test's own place: a directory, a state root, a cgroup, ids, and the containers made there.
//!
//! All of it is removed when the [`Case`] is dropped, however the test ended. It must never know
//! what a clause says, and never remove what another than the test has made.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags};

use crate::bundle::Bundle;
use crate::clause::{Clause, Outcome, ensure};
use crate::container::Container;
use crate::machine::Machine;
use crate::mountinfo::{self, Mount};
use crate::process::{self, Exit};
use crate::runtime::{Answer, Call, Runtime};

/// What the tests of one runtime share.
pub(crate) struct Ground {
    /// The runtime.
    pub(crate) runtime: Runtime,
    /// The machine.
    pub(crate) machine: Machine,
    /// Where the tests make their directories.
    pub(crate) dir: PathBuf,
    /// How long one call, or one wait, may take.
    pub(crate) limit: Duration,
}

/// The place of one test.
pub(crate) struct Case<'g> {
    /// What it shares with the others.
    pub(crate) ground: &'g Ground,
    /// The test's own directory.
    pub(crate) dir: PathBuf,
    /// The cgroup all containers of the test are below, as a `cgroupsPath`.
    pub(crate) cgroup: String,
    /// The section the clause stands in.
    pub(crate) section: &'static str,
    /// The listed item the clause is about.
    pub(crate) topic: &'static str,
    name: String,
    global: [String; 2],
    serial: Cell<u32>,
    ids: RefCell<Vec<String>>,
    mounts: RefCell<Vec<PathBuf>>,
}

/// In what surroundings a container is created.
#[derive(Default)]
pub(crate) struct Around<'a> {
    /// Shell commands in the process that becomes the runtime.
    pub(crate) before: &'a str,
    /// More options of `create`.
    pub(crate) options: &'a [&'a str],
}

impl<'g> Case<'g> {
    /// Makes the place of a test.
    pub(crate) fn make(ground: &'g Ground, clause: &Clause, serial: usize) -> Outcome<Self> {
        let dir = ground.dir.join(serial.to_string());
        fs::create_dir(&dir)?;
        let name = format!("conformance-{}-{serial}", std::process::id());
        Ok(Self {
            ground,
            cgroup: format!("/{name}"),
            section: clause.section(),
            topic: clause.topic(),
            name,
            global: ["--root".to_owned(), dir.join("state").display().to_string()],
            dir,
            serial: Cell::new(0),
            ids: RefCell::default(),
            mounts: RefCell::default(),
        })
    }

    /// A number not used before in this test.
    pub(crate) fn next(&self) -> u32 {
        self.serial.replace(self.serial.get() + 1)
    }

    /// An id not used before.
    pub(crate) fn new_id(&self) -> String {
        let id = format!("{}-{}", self.name, self.next());
        self.ids.borrow_mut().push(id.clone());
        id
    }

    /// A fresh bundle.
    pub(crate) fn bundle(&self) -> Outcome<Bundle> {
        let n = self.next();
        let cgroup = format!("{}/{n}", self.cgroup);
        let dir = self.dir.join(format!("bundle-{n}"));
        Ok(Bundle::make(&dir, &self.ground.machine.busybox, &cgroup)?)
    }

    /// Makes a directory of the test's own.
    pub(crate) fn make_dir(&self, name: &str) -> Outcome<PathBuf> {
        let dir = self.dir.join(name);
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// Mounts on the host, below the test's directory, until the test is over.
    pub(crate) fn mount(
        &self,
        kind: &str,
        source: &Path,
        target: &Path,
        flags: MsFlags,
    ) -> Outcome {
        nix::mount::mount(Some(source), target, Some(kind), flags, None::<&str>)?;
        self.mounts.borrow_mut().push(target.to_owned());
        Ok(())
    }

    /// Makes all mounts of this program's namespace shared until the test is over, as they are on
    /// most hosts.
    pub(crate) fn share_mounts(&self) -> Outcome {
        Ok(propagate(MsFlags::MS_SHARED)?)
    }

    /// Calls the runtime in the test's directory.
    pub(crate) fn call(&self, args: &[&str]) -> Outcome<Answer> {
        self.call_in(None, "", args)
    }

    /// Calls the runtime in another directory, after some shell commands.
    pub(crate) fn call_in(
        &self,
        cwd: Option<&Path>,
        before: &str,
        args: &[&str],
    ) -> Outcome<Answer> {
        let call = Call { global: &self.global, args, cwd, before, limit: self.ground.limit };
        self.ground.runtime.call(&call, &self.dir, self.next())
    }

    /// Tries to create a container; whether it worked is the caller's question.
    pub(crate) fn attempt(&self, bundle: &Bundle, around: &Around<'_>) -> Outcome<Container<'_>> {
        bundle.save()?;
        self.attempt_as(&self.new_id(), bundle, around)
    }

    /// Tries to create a container with this id from a bundle as it stands on disk.
    pub(crate) fn attempt_as(
        &self,
        id: &str,
        bundle: &Bundle,
        around: &Around<'_>,
    ) -> Outcome<Container<'_>> {
        let pid_file = self.dir.join(format!("pid-{}", self.next()));
        let (dir, pid_path) = (bundle.dir.display().to_string(), pid_file.display().to_string());
        let mut args = vec!["create", "--bundle", &dir, "--pid-file", &pid_path];
        args.extend(around.options);
        args.push(id);
        let answer = self.call_in(None, around.before, &args)?;
        Ok(Container::new(self, id, answer, pid_file))
    }

    /// Creates a container.
    pub(crate) fn create(&self, bundle: &Bundle) -> Outcome<Container<'_>> {
        self.attempt(bundle, &Around::default())?.created()
    }

    /// Creates and starts a container and waits until its program is executed.
    pub(crate) fn run(&self, bundle: &Bundle) -> Outcome<Container<'_>> {
        let container = self.create(bundle)?;
        container.begin(bundle)?;
        Ok(container)
    }

    /// A running container whose program only waits.
    pub(crate) fn idle(&self, bundle: &mut Bundle) -> Outcome<Container<'_>> {
        bundle.args(&["/bin/sleep", "1000"]);
        self.run(bundle)
    }

    /// Runs a script as the container's program to its end; what it has written.
    pub(crate) fn probe(&self, bundle: &mut Bundle, script: &str) -> Outcome<String> {
        bundle.script(script);
        self.output(bundle)
    }

    /// Runs the configured program to its end, which must be a good one; what it has written.
    pub(crate) fn output(&self, bundle: &Bundle) -> Outcome<String> {
        let container = self.create(bundle)?;
        container.start()?;
        let exit = container.wait()?;
        let text = container.answer.stdout();
        ensure!(
            exit == Exit::Code(0),
            "the program ended with {exit:?}: {} {text:?}",
            container.answer.complaint()
        );
        Ok(text)
    }

    /// Fails the test unless the runtime refuses the configuration and leaves nothing behind.
    pub(crate) fn refused(&self, bundle: &Bundle) -> Outcome {
        let container = self.attempt(bundle, &Around::default())?;
        container.answer.error()?;
        self.nothing_left(&container.id, bundle)
    }

    /// Fails the test if anything of a container is left: state, cgroup, process, mount.
    pub(crate) fn nothing_left(&self, id: &str, bundle: &Bundle) -> Outcome {
        ensure!(!self.call(&["state", id])?.ok, "the container still has a state");
        let path = bundle.config["linux"]["cgroupsPath"].as_str().unwrap_or_default();
        let gone = process::poll(Duration::from_secs(1), || {
            Ok(process::living().is_empty().then_some(()))
        })?;
        ensure!(gone.is_some(), "processes are left: {:?}", process::names());
        for hierarchy in &self.ground.machine.hierarchies {
            let dir = hierarchy.mount.join(path.trim_start_matches('/'));
            ensure!(!dir.is_dir(), "the cgroup {} is left", dir.display());
        }
        let own = self.mounts.borrow();
        let mounts = mountinfo::read(Path::new("/proc/self/mountinfo"))?;
        let left =
            mounts.iter().find(|m| m.point.starts_with(&self.dir) && !own.contains(&m.point));
        ensure!(
            left.is_none(),
            "a mount is left on {}",
            left.map(Mount::shown).unwrap_or_default()
        );
        Ok(())
    }

    /// Removes everything of the test that is still there.
    fn clean(&self) {
        process::sweep();
        for id in self.ids.borrow().iter() {
            let known = fs::read_dir(self.dir.join("state")).is_ok_and(|mut d| d.next().is_some());
            if known {
                let _ = self.call(&["delete", "--force", id]);
            }
        }
        process::sweep();
        for hierarchy in &self.ground.machine.hierarchies {
            let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
            let own = own.lines().filter_map(|line| line.splitn(3, ':').nth(2));
            for base in own.chain(["/"]) {
                let base = hierarchy.mount.join(base.trim_start_matches('/'));
                remove_cgroup(&base.join(&self.name));
            }
        }
        for target in self.mounts.borrow().iter().rev() {
            let _ = nix::mount::umount2(target, MntFlags::MNT_DETACH);
        }
        let _ = propagate(MsFlags::MS_PRIVATE);
        let mounted = |m: &Mount| m.point.starts_with(&self.dir);
        match mountinfo::read(Path::new("/proc/self/mountinfo")) {
            // What is mounted there may be the host's: removing it would remove the host's files.
            Ok(mounts) if !mounts.iter().any(mounted) => {
                let _ = fs::remove_dir_all(&self.dir);
            }
            _ => eprintln!("conformance: {} is still mounted on: not removed", self.dir.display()),
        }
    }
}

impl Drop for Case<'_> {
    fn drop(&mut self) {
        self.clean();
    }
}

/// Changes the propagation of every mount of this program's namespace.
fn propagate(how: MsFlags) -> nix::Result<()> {
    nix::mount::mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | how, None::<&str>)
}

/// Ends the processes of a cgroup and removes it with all cgroups below.
fn remove_cgroup(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path());
        }
    }
    let members = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    members.lines().filter_map(|pid| pid.parse().ok()).for_each(process::end);
    let _ = process::poll(Duration::from_secs(2), || {
        process::sweep();
        Ok(fs::remove_dir(dir).ok())
    });
}
