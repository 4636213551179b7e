//! A container's events, statistics, processes and pressure through the library, as a program with
//! an event loop of its own uses them.
//!
//! Needs root. Every test has containers of its own, and one that cannot run says why.

#[path = "steps/bundle.rs"]
mod bundle;

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use libcontainer::spec::{Resources, Spec};
use libcontainer::{
    Attachments, Bundle, CgroupManager, Cgroups, Container, ErrorKind, Event, EventOptions, Events,
    Options, PressureTrigger, Resource, Signal, Store,
};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// What one test has of its own.
struct Scene {
    tag: String,
    dir: PathBuf,
    store: Store,
}

impl Scene {
    fn begin(name: &str) -> Option<Self> {
        let busybox = match bundle::busybox() {
            Ok(busybox) => busybox,
            Err(reason) => {
                bundle::skip(&format!("events::{name}"), reason);
                return None;
            }
        };
        let tag = format!("keel-events-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(&tag);
        bundle::make(&dir, &busybox);
        Some(Self { store: Store::at(dir.join("state")), tag, dir })
    }

    /// A scene for containers with a memory controller.
    fn with_memory(name: &str) -> Option<Self> {
        let facts = Cgroups::probe().unwrap();
        let legacy = facts.legacy.iter().flat_map(|hierarchy| &hierarchy.controllers);
        let unified = facts.unified.iter().flat_map(|unified| &unified.controllers);
        if !legacy.chain(unified).any(|controller| controller == "memory") {
            bundle::skip(&format!("events::{name}"), "no memory controller here");
            return None;
        }
        Self::begin(name)
    }

    /// A container that waits to run a script, with at most so many bytes of memory.
    fn create(&self, script: &str, memory: Option<u64>, options: &Options) -> Container {
        let mut spec = Spec::example();
        let process = spec.process.get_or_insert_default();
        process.terminal = false;
        process.args = ["sh", "-c", script].map(str::to_owned).into();
        let linux = spec.linux.get_or_insert_default();
        if options.cgroup_manager != CgroupManager::Disabled {
            linux.cgroups_path = Some(format!("/{}/web", self.tag));
        }
        if let Some(limit) = memory {
            let text = format!(r#"{{"memory":{{"limit":{limit},"swap":{limit}}}}}"#);
            linux.resources = Some(Resources::parse(text.as_bytes()).unwrap());
        }
        let bundle = Bundle::from_spec(self.dir.join("bundle"), spec).unwrap();
        let stdio = [Some(null()), Some(null()), Some(null())];
        let attach = Attachments { stdio, ..Attachments::default() };
        let id = format!("{}-web", self.tag).parse().unwrap();
        self.store.create(&id, &bundle, options, attach).unwrap()
    }

    fn run(&self, script: &str) -> Container {
        let mut container = self.create(script, None, &Options::default());
        container.start().unwrap();
        container
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for container in self.store.list().unwrap_or_default() {
            let _ = self.store.delete_forced(container.id());
        }
        bundle::remove_cgroup(&format!("/{}", self.tag));
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn null() -> OwnedFd {
    File::options().read(true).write(true).open("/dev/null").unwrap().into()
}

/// Whether a descriptor becomes readable within a time.
fn readable(fd: &impl AsFd, time: Duration) -> bool {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::try_from(time).unwrap()).unwrap() > 0
}

/// The next event of a loop that polls the descriptor.
#[track_caller]
fn polled(events: &mut Events) -> Event {
    loop {
        assert!(readable(events, LONG), "nothing happens");
        if let Some(event) = events.ready().unwrap() {
            return event;
        }
    }
}

#[test]
fn an_event_loop_is_told_by_the_descriptor() {
    let Some(scene) = Scene::with_memory("loop") else { return };
    let container = scene.run("exec sleep 1000");
    let interval = Some(Duration::from_millis(30));
    let mut events = container.events(&EventOptions { interval, oom: true }).unwrap();
    for _ in 0..3 {
        let Event::Statistics(numbers) = polled(&mut events) else { panic!("not statistics") };
        assert!(numbers.memory.usage.usage > Some(0), "{numbers:?}");
        assert_eq!(numbers.pids.current.unwrap_or(1), 1);
    }
    container.kill(Signal::KILL, false).unwrap();
    while polled(&mut events) != Event::Ended {}
    assert_eq!(events.ready().unwrap(), None, "nothing comes after the end");
    assert!(events.next().is_none());
    assert!(readable(&events, Duration::ZERO), "so that a loop sees the end");
    assert_eq!(container.wait().unwrap().signal, Some(9), "it is left to be collected");
}

#[test]
fn nothing_is_told_and_nobody_waits_while_nothing_happens() {
    let Some(scene) = Scene::with_memory("quiet") else { return };
    let container = scene.run("exec sleep 1000");
    let mut events = container.events(&EventOptions::default()).unwrap();
    assert!(!readable(&events, Duration::ZERO));
    assert_eq!(events.ready().unwrap(), None);
    let flags = fcntl(&events, FcntlArg::F_GETFD).unwrap();
    assert!(FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC));
}

#[test]
fn whoever_waits_in_a_thread_is_told_of_memory_and_then_of_the_end() {
    let Some(scene) = Scene::with_memory("oom") else { return };
    let script = "x=a; while :; do x=$x$x; done";
    let mut container = scene.create(script, Some(16 << 20), &Options::default());
    // Two watchers, of which each is told everything.
    let watchers: Vec<_> = (0..2)
        .map(|_| {
            let events = container.events(&EventOptions::default()).unwrap();
            std::thread::spawn(move || events.map(|event| event.unwrap()).collect::<Vec<_>>())
        })
        .collect();
    container.start().unwrap();
    for watcher in watchers {
        let mut told = watcher.join().unwrap();
        assert_eq!(told.pop(), Some(Event::Ended));
        assert!(!told.is_empty() && told.iter().all(|event| *event == Event::Oom), "{told:?}");
    }
    assert_eq!(container.wait().unwrap().signal, Some(9));
}

#[test]
fn the_end_alone_needs_no_cgroup() {
    let Some(scene) = Scene::begin("bare") else { return };
    let options = Options { cgroup_manager: CgroupManager::Disabled, ..Options::default() };
    let mut container = scene.create("sleep 1000 & exec sleep 1000", None, &options);
    let bare = EventOptions { oom: false, interval: None };
    let events = container.events(&bare).unwrap();
    container.start().unwrap();
    for options in [EventOptions::default(), EventOptions { interval: Some(LONG), ..bare }] {
        let error = container.events(&options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.to_string().contains("has no cgroup"), "{error}");
    }
    assert_eq!(container.statistics().unwrap_err().kind(), ErrorKind::State);
    let mut count = 0;
    while count < 2 {
        count = container.processes().unwrap().len();
    }
    assert_eq!(count, 2, "those of its PID namespace");
    container.kill(Signal::KILL, false).unwrap();
    let told: Vec<_> = events.map(|event| event.unwrap()).collect();
    assert_eq!(told, [Event::Ended]);
    container.wait().unwrap();
    assert_eq!(container.processes().unwrap(), [0; 0]);
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let Some(scene) = Scene::with_memory("refused") else { return };
    let container = scene.run("exec sleep 1000");
    let zero = EventOptions { interval: Some(Duration::ZERO), ..EventOptions::default() };
    let error = container.events(&zero).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("greater than 0"), "{error}");
    // Longer than the kernel counts: it never comes.
    let never = EventOptions { interval: Some(Duration::MAX), ..EventOptions::default() };
    assert_eq!(container.events(&never).unwrap().ready().unwrap(), None);
    container.kill(Signal::KILL, false).unwrap();
    container.wait().unwrap();
    for error in [
        container.events(&EventOptions::default()).unwrap_err(),
        container.statistics().unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.to_string().ends_with("is not running: it is stopped"), "{error}");
    }
}

#[test]
fn pressure_above_a_trigger_is_told() {
    let Some(scene) = Scene::begin("pressure") else { return };
    let spin = "while :; do :; done";
    // More that want to run than there are processors.
    let count = std::thread::available_parallelism().unwrap().get() + 1;
    let mut script = format!("{spin} & ").repeat(count);
    script.push_str("wait");
    let container = scene.run(&script);
    let trigger = PressureTrigger {
        resource: Resource::Cpu,
        full: false,
        stall: Duration::from_millis(1),
        window: Duration::from_secs(2),
    };
    let watch = match container.watch_pressure(&trigger) {
        Ok(watch) => watch,
        Err(error) if error.kind() == ErrorKind::State => {
            return bundle::skip("events::pressure", error);
        }
        Err(error) => panic!("{error}"),
    };
    assert!(watch.wait(Some(LONG)).unwrap(), "processes wait for a processor");
    let pressure = container.statistics().unwrap().cpu.pressure;
    assert!(pressure.is_some_and(|pressure| pressure.some.total > 0), "{pressure:?}");
    let never = PressureTrigger { stall: Duration::from_secs(20), ..trigger };
    let error = container.watch_pressure(&never).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("\"some 20000000 2000000\": invalid argument"), "{error}");
}
