//! Many containers of containerd at once.

use std::collections::BTreeMap;
use std::time::Duration;

use integration::Witness;
use integration::cgroups::Layout;
use integration::ctr::{Containerd, NEEDS};
use integration::engine::{image, scene};
use integration::runtime::until;

/// How long a command may take while many others run.
const PATIENCE: Duration = Duration::from_secs(120);

/// Demands that all are gone: for containerd, for the runtime, and for the kernel.
fn assert_nothing_left(containerd: &Containerd<'_>, witness: &Witness<'_>) {
    assert_eq!(containerd.tasks(), BTreeMap::new());
    assert_eq!(witness.check(), BTreeMap::new());
    let left = Layout::here().holding(containerd.cgroup("").trim_start_matches('/'));
    assert!(left.is_empty(), "{left:?} are left");
}

#[test]
fn two_hundred_containers_of_containerd_live_at_once() {
    let Some(scene) = scene(&NEEDS) else { return };
    image(&scene);
    let containerd = Containerd::start(&scene);
    let witness = Witness::new(&scene, containerd.runtime_root());
    let options = ["--detach", "--null-io", "--snapshotter", containerd.snapshotter()];
    let ids: Vec<_> = (0..200).map(|_| scene.id()).collect();
    for id in &ids {
        containerd.run(&options, id, &["sleep", "1000"]).run().ok();
    }
    let all = |status: &str| -> BTreeMap<String, String> {
        ids.iter().map(|id| (id.clone(), status.to_owned())).collect()
    };
    assert_eq!(witness.check(), all("running"));
    assert_eq!(containerd.tasks(), all("RUNNING"));
    for id in &ids {
        assert_eq!(witness.check_one(id).as_deref(), Some("running"));
    }
    for id in &ids {
        containerd.ctr(&["tasks", "kill", "--signal", "SIGKILL", id]).run().ok();
    }
    until("the end of all", || containerd.tasks() == all("STOPPED"));
    assert_eq!(witness.check(), all("stopped"));
    for id in &ids {
        containerd.ctr(&["tasks", "rm", id]).run().ok();
        containerd.ctr(&["containers", "rm", id]).run().ok();
    }
    assert_nothing_left(&containerd, &witness);
}

#[test]
fn fifty_containers_of_containerd_run_at_once() {
    let Some(scene) = scene(&NEEDS) else { return };
    image(&scene);
    let containerd = Containerd::start(&scene);
    let options = ["--rm", "--snapshotter", containerd.snapshotter()];
    let calls: Vec<_> = (0..50)
        .map(|number| {
            let (id, script) = (scene.id(), format!("echo {number}; exit {number}"));
            let call = containerd.run(&options, &id, &["sh", "-c", &script]);
            (number, call.patience(PATIENCE).spawn())
        })
        .collect();
    for (number, call) in calls {
        let outcome = call.wait().exits(number);
        assert_eq!(outcome.stdout, format!("{number}\n"), "{outcome:?}");
    }
    assert_nothing_left(&containerd, &Witness::new(&scene, containerd.runtime_root()));
}
