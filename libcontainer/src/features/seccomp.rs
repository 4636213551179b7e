//! `/linux/seccomp`: a filter of system calls, compiled here and loaded by init as its last act.
//!
//! It is loaded when only the execution of the program is left to do, so that a profile may forbid
//! whatever init itself needs. The kernel wants no_new_privs for that, or CAP_SYS_ADMIN: without
//! the former init keeps the latter until the program is executed, and the program does not get it
//! (the kernel makes up its sets from the other ones, capabilities(7)).

use libcontainer_init::step::Step;

use super::Context;
use crate::config::{Config, SeccompFilter};
use crate::seccomp;
use crate::steps::Steps;

const POINTER: &str = "/linux/seccomp";

/// The actions that a profile may name. A listener cannot be asked yet.
pub fn supported_actions() -> impl Iterator<Item = &'static str> {
    seccomp::ACTIONS.iter().map(|(name, _)| *name).filter(|name| *name != "SCMP_ACT_NOTIFY")
}

/// Compiles the profile.
pub fn check(cx: &mut Context<'_>) -> Option<SeccompFilter> {
    let profile = cx.linux.seccomp.as_ref()?;
    let filter = seccomp::compile(profile, POINTER, &mut cx.faults)?;
    if filter.notifies {
        cx.fault(POINTER, "listeners (SCMP_ACT_NOTIFY) are not supported yet");
        return None;
    }
    if profile.listener_path.is_some() {
        let message = "the profile asks no listener (SCMP_ACT_NOTIFY), and so none is told";
        cx.warn(format!("{POINTER}/listenerPath"), message);
    }
    Some(SeccompFilter { program: filter.program, flags: filter.flags })
}

/// Init loads it.
pub fn load(config: &Config, steps: &mut Steps) {
    if let Some(SeccompFilter { program, flags }) = &config.seccomp {
        let program = steps.numbers(program);
        steps.init(POINTER, Step::Seccomp { program, flags: *flags });
    }
}
