//! Hooks: programs at six moments, each told the container's state.
//!
//! Those of the runtime's namespaces are run by the runtime; createContainer and startContainer run
//! in the container's and are run by init. poststart and poststop belong to `start` and `delete`.

use libcontainer_init::step::Step;
use libcontainer_init::sys::namespace::NEWPID;
use libcontainer_init::wire::Slot;

use super::Context;
use crate::config::Config;
use crate::spec::annotations::HOOK_STREAMS;
use crate::spec::{Hook, Hooks};
use crate::steps::Steps;
use crate::task::Task;

/// The six moments with their names.
pub fn moments(hooks: &Hooks) -> [(&'static str, &Vec<Hook>); 6] {
    [
        ("prestart", &hooks.prestart),
        ("createRuntime", &hooks.create_runtime),
        ("createContainer", &hooks.create_container),
        ("startContainer", &hooks.start_container),
        ("poststart", &hooks.poststart),
        ("poststop", &hooks.poststop),
    ]
}

/// `/hooks`: absolute paths, positive timeouts.
pub fn check(cx: &mut Context<'_>) -> Hooks {
    let hooks = cx.spec.hooks.clone().unwrap_or_default();
    for (moment, list) in moments(&hooks) {
        for (i, hook) in list.iter().enumerate() {
            let pointer = format!("/hooks/{moment}/{i}");
            if !hook.path.starts_with('/') {
                let message = format!("the hook's path \"{}\" is not absolute", hook.path);
                cx.fault(format!("{pointer}/path"), message);
            }
            if hook.timeout.is_some_and(|timeout| timeout <= 0) {
                cx.fault(format!("{pointer}/timeout"), "a timeout must be more than 0 seconds");
            }
        }
    }
    hooks
}

/// Whether a hook runs before the rootfs is entered.
pub fn before_entry(config: &Config) -> bool {
    let hooks = &config.hooks;
    !(hooks.prestart.is_empty()
        && hooks.create_runtime.is_empty()
        && hooks.create_container.is_empty())
}

/// The runtime runs its own hooks.
pub fn run(config: &Config, steps: &mut Steps) {
    for (moment, hooks) in &moments(&config.hooks)[..2] {
        for (i, hook) in hooks.iter().enumerate() {
            let task = Task::RunHook { moment, hook: hook.clone() };
            steps.runtime(format!("/hooks/{moment}/{i}"), task);
        }
    }
}

/// The runtime writes the state document that the hooks of a moment inside read.
pub fn document(config: &Config, steps: &mut Steps, moment: &'static str) -> Slot {
    if of_moment(&config.hooks, moment).is_empty() {
        return Slot::NONE;
    }
    let status = if moment == "startContainer" { "created" } else { "creating" };
    let into = steps.slot(format!("the state document for {moment} hooks"));
    let task = Task::StateDocument { status, inside: config.namespaces.has(NEWPID), into };
    steps.runtime(format!("/hooks/{moment}"), task);
    into
}

fn of_moment<'a>(hooks: &'a Hooks, moment: &str) -> &'a [Hook] {
    moments(hooks).into_iter().find(|(name, _)| *name == moment).map_or(&[], |(_, list)| list)
}

/// The runtime opens the files that take what the hooks inside print.
pub fn open(config: &Config, steps: &mut Steps) -> [Slot; 2] {
    let hooks = &config.hooks;
    let any = !(hooks.create_container.is_empty() && hooks.start_container.is_empty());
    HOOK_STREAMS.map(|name| match config.annotations.get(name) {
        Some(path) if any => {
            let into = steps.slot(format!("the file {path}"));
            let task = Task::OpenHookStream { path: path.into(), into };
            steps.runtime(format!("/annotations/{name}"), task);
            into
        }
        _ => Slot::NONE,
    })
}

/// Init runs the hooks of a moment inside.
pub fn inside(
    config: &Config,
    steps: &mut Steps,
    moment: &'static str,
    [state, stdout, stderr]: [Slot; 3],
) {
    for (i, hook) in of_moment(&config.hooks, moment).iter().enumerate() {
        let pointer = format!("/hooks/{moment}/{i}");
        let path = steps.text(&format!("{pointer}/path"), &hook.path);
        let args = if hook.args.is_empty() {
            steps.list(&pointer, [&hook.path])
        } else {
            steps.list(&pointer, &hook.args)
        };
        // Without an environment of its own a hook inside gets the container's.
        let env = if hook.env.is_empty() { &config.process.env } else { &hook.env };
        let env = steps.list(&pointer, env);
        let timeout = hook.timeout.map_or(0, |t| u32::try_from(t).unwrap_or(u32::MAX));
        let step = Step::Hook { path, args, env, timeout, state, stdout, stderr };
        steps.init(pointer, step);
    }
}
