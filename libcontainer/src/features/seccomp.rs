//! `/linux/seccomp`: a filter of system calls, compiled here and loaded by init as its last act.
//!
//! It is loaded when only the execution of the program is left to do, so that a profile may forbid
//! whatever init itself needs. The kernel wants no_new_privs for that, or CAP_SYS_ADMIN: without
//! the former init keeps the latter until the program is executed, and the program does not get it
//! (the kernel makes up its sets from the other ones, capabilities(7)).

use libcontainer_init::step::Step;

use super::Context;
use crate::config::{Config, Listener, SeccompFilter};
use crate::seccomp;
use crate::steps::Steps;

const POINTER: &str = "/linux/seccomp";

/// Compiles the profile.
pub fn check(cx: &mut Context<'_>) -> Option<SeccompFilter> {
    let profile = cx.linux.seccomp.as_ref()?;
    let filter = seccomp::compile(profile, POINTER, &mut cx.faults)?;
    let (path, metadata) = (profile.listener_path.clone(), profile.listener_metadata.clone());
    let at = format!("{POINTER}/listenerPath");
    let listener = match path.filter(|path| !path.is_empty()) {
        Some(path) if filter.notifies => Some(Listener { path: path.into(), metadata }),
        None if filter.notifies => {
            cx.fault(at, "a profile that asks a listener (SCMP_ACT_NOTIFY) must say where it is");
            return None;
        }
        Some(_) => {
            cx.warn(at, "the profile asks no listener (SCMP_ACT_NOTIFY), and so none is told");
            None
        }
        None => None,
    };
    let flags = flags(filter.flags, listener.is_some());
    Some(SeccompFilter { program: filter.program, flags, listener })
}

/// The flags as the kernel takes them with a listener and without. Init has one thread, for which
/// TSYNC means nothing, and the kernel refuses it beside NEW_LISTENER.
fn flags(flags: u32, listener: bool) -> u32 {
    const TSYNC: u32 = 1;
    const NEW_LISTENER: u32 = 8;
    const WAIT_KILLABLE_RECV: u32 = 32;
    if listener { flags & !TSYNC | NEW_LISTENER } else { flags & !WAIT_KILLABLE_RECV }
}

/// Init loads it.
pub fn load(config: &Config, steps: &mut Steps) {
    if let Some(SeccompFilter { program, flags, listener }) = &config.seccomp {
        let (program, listener) = (steps.numbers(program), listener.is_some());
        steps.init(POINTER, Step::Seccomp { program, flags: *flags, listener });
    }
}
