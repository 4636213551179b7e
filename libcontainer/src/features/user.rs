//! The user and groups of the process, and what belongs to them.

use libcontainer_init::step::Step;

use crate::config::Config;
use crate::steps::Steps;

/// The standard streams change owner while init still may.
pub fn own_stdio(config: &Config, steps: &mut Steps) {
    steps.init("/process/user/uid", Step::StdioOwner { uid: config.process.uid });
}

/// Groups are always set, or the caller's would stay.
pub fn switch(config: &Config, steps: &mut Steps) {
    let process = &config.process;
    let groups = steps.numbers(&process.groups);
    let groups_denied = config.mappings.as_ref().is_some_and(|mappings| mappings.deny_setgroups);
    let step = Step::User { uid: process.uid, gid: process.gid, groups, groups_denied };
    steps.init("/process/user", step);
}
