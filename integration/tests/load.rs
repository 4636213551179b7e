//! Many containers, one after the other and at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use integration::runtime::until;
use integration::{Scene, Witness};

#[test]
fn five_hundred_containers_leave_everything_as_it_was() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle();
    let before = scene.snapshot();
    for _ in 0..500 {
        let id = scene.id();
        scene.verb("create", &[], &bundle, &id).run().ok();
        scene.keel(["start", &id]).run().ok();
        scene.keel(["delete", "--force", &id]).run().ok();
    }
    before.assert_same();
}

#[test]
fn fifty_runs_at_once_all_succeed() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let bundles: Vec<_> =
        (0..50).map(|n| scene.bundle().sh(format!("echo {n}; exit {n}"))).collect();
    let calls: Vec<_> = bundles
        .iter()
        .map(|bundle| {
            let call = scene.verb("run", &[], bundle, &scene.id());
            call.patience(Duration::from_secs(120)).spawn()
        })
        .collect();
    for (number, call) in calls.into_iter().enumerate() {
        let outcome = call.wait().exits(i32::try_from(number).expect("fits"));
        assert_eq!(outcome.stdout, format!("{number}\n"), "{outcome:?}");
    }
    before.assert_same();
}

#[test]
fn two_hundred_containers_live_at_once() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    let bundle = scene.bundle().sleeping();
    let witness = Witness::new(&scene, scene.state_root());
    let ids: Vec<_> = (0..200).map(|_| scene.id()).collect();
    for id in &ids {
        let cgroup = format!("{}/{id}", scene.cgroup());
        let bundle = bundle.clone().set("/linux/cgroupsPath", cgroup);
        scene.verb("create", &[], &bundle, id).run().ok();
        scene.keel(["start", id]).run().ok();
    }
    let all = |status: &str| ids.iter().map(|id| (id.clone(), status.to_owned())).collect();
    assert_eq!(witness.check(), all("running"));
    for id in &ids {
        assert_eq!(witness.check_one(id).as_deref(), Some("running"));
        scene.keel(["kill", id, "KILL"]).run().ok();
    }
    until("the end of all", || witness.check() == all("stopped"));
    for id in &ids {
        scene.keel(["delete", id]).run().ok();
    }
    assert_eq!(witness.check(), BTreeMap::new());
    before.assert_same();
}

#[test]
fn short_runs_never_hang() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle();
    for _ in 0..100 {
        scene.run(&bundle).exits(0);
    }
}

#[test]
fn of_many_creates_with_one_id_exactly_one_succeeds() {
    let Some(scene) = Scene::begin() else { return };
    for _ in 0..5 {
        let id = scene.id();
        let bundles: Vec<_> = (0..8).map(|_| scene.bundle()).collect();
        let calls: Vec<_> =
            bundles.iter().map(|b| scene.verb("create", &[], b, &id).spawn()).collect();
        let outcomes: Vec<_> = calls.into_iter().map(|call| call.wait()).collect();
        let good = outcomes.iter().filter(|outcome| outcome.status.success()).count();
        assert_eq!(good, 1, "{outcomes:#?}");
        let state = scene.keel(["state", &id]).run().ok();
        assert!(state.stdout.contains("created"), "{state:?}");
        scene.keel(["start", &id]).run().ok();
        scene.keel(["delete", "--force", &id]).run().ok();
    }
}

#[test]
fn list_never_fails_while_containers_come_and_go() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle();
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for _ in 0..40 {
                let id = scene.id();
                scene.verb("create", &[], &bundle, &id).run().ok();
                scene.keel(["start", &id]).run().ok();
                scene.keel(["delete", "--force", &id]).run().ok();
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let outcome = scene.keel(["list", "--quiet"]).run().ok();
            let ids: BTreeSet<&str> = outcome.stdout.lines().collect();
            assert!(ids.len() <= 1, "{ids:?}");
        }
    });
}

#[test]
fn commands_on_one_container_at_once_leave_it_in_order() {
    let Some(scene) = Scene::begin() else { return };
    for _ in 0..10 {
        let container = scene.create(&scene.bundle().sleeping());
        let start = scene.keel(["start", container.id()]).spawn();
        let state = scene.keel(["state", container.id()]).spawn();
        let kill = scene.keel(["kill", container.id(), "KILL"]).spawn();
        start.wait();
        state.wait().ok();
        kill.wait();
        let twice = [(), ()].map(|()| scene.keel(["delete", "--force", container.id()]).spawn());
        for call in twice {
            call.wait().ok();
        }
        container.call(&["state"]).refused().says(&["does not exist"]);
    }
}

#[test]
fn eight_times_a_hundred_processes_at_once_all_join_a_container() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().sleeping();
    let container = scene.start(&bundle);
    let before = scene.snapshot();
    let join = |row: usize| {
        for number in 0..100 {
            let words = format!("echo {row} {number}; exit {row}");
            let call = scene.keel(["exec", container.id(), "sh", "-c", &words]);
            let outcome = call.patience(Duration::from_secs(120)).run();
            let outcome = outcome.exits(i32::try_from(row).expect("fits"));
            assert_eq!(outcome.stdout, format!("{row} {number}\n"), "{outcome:?}");
        }
    };
    std::thread::scope(|threads| {
        for row in 0..8 {
            threads.spawn(move || join(row));
        }
    });
    before.assert_same();
    container.end();
}
