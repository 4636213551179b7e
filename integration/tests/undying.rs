//! Processes that do not end when they are killed: the runtime says so, and does not wait for ever.
//!
//! A process in an uninterruptible state is made with the freezer of cgroup v1, set above the
//! container's cgroup where the runtime has no business: what it stops takes no signal.

use std::fs;
use std::path::PathBuf;

use integration::cgroups::Layout;
use integration::{Bundle, Need, Scene};

/// The freezer of the cgroup above a container's.
struct Freezer(PathBuf);

impl Freezer {
    fn above(bundle: &Bundle) -> Self {
        let own = Layout::here().dir("freezer", bundle.cgroup());
        Self(own.parent().expect("a cgroup above").join("freezer.state"))
    }

    fn set(&self, state: &str) {
        integration::bundle::write(&self.0, state.as_bytes());
        integration::runtime::until(state, || {
            fs::read_to_string(&self.0).is_ok_and(|now| now.trim_end() == state)
        });
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.set("THAWED");
    }
}

#[test]
fn a_process_that_does_not_end_is_an_error_and_can_be_deleted_once_it_does() {
    let Some(scene) = Scene::needing(&[Need::CgroupV1, Need::Controller("freezer")]) else {
        return;
    };
    for init_ended in [false, true] {
        let bundle = scene.bundle().without_namespace("pid");
        // Without a PID namespace others outlive the first process.
        let bundle = bundle.sh("sleep 1000 & echo here; exec sleep 1000");
        let container = scene.start(&bundle);
        container.expect("here\n");
        if init_ended {
            container.kill("TERM").ok();
            container.until("stopped");
        }
        let freezer = Freezer::above(&bundle);
        freezer.set("FROZEN");
        container.call(&["delete", "--force"]).refused().says(&["does not end"]);
        drop(freezer);
        container.delete_force();
        assert_eq!(Layout::here().holding(container.id()).len(), 0);
    }
}
