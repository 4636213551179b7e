//! The user and groups of the process, and what belongs to them.

use libcontainer_init::step::Step;
use libcontainer_init::sys::namespace::NEWUSER;

use crate::config::Config;
use crate::host::Host;
use crate::steps::Steps;

/// The standard streams change owner while init still may.
pub fn own_stdio(config: &Config, steps: &mut Steps) {
    steps.init("/process/user/uid", Step::StdioOwner { uid: config.process.uid });
}

/// Groups are set, or the caller's would stay, unless an annotation wants these; an ordinary user's stay where the kernel lets
/// it have a user namespace only without setgroups(2).
pub fn switch(config: &Config, host: &Host, steps: &mut Steps) {
    let process = &config.process;
    let groups = steps.numbers(&process.groups);
    let deniable = config.namespaces.has(NEWUSER) || host.user_namespace;
    let keep = config.keeps_groups();
    let step = Step::User { uid: process.uid, gid: process.gid, groups, deniable, keep };
    steps.init("/process/user", step);
}
