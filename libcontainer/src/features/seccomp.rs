//! `/linux/seccomp`: a filter of system calls, compiled here and loaded by init as its last act.
//!
//! It is loaded when only the execution of the program is left to do, so that a profile may forbid
//! whatever init itself needs. The kernel wants no_new_privs for that, or CAP_SYS_ADMIN: without
//! the former init keeps the latter until the program is executed, and the program does not get it
//! (the kernel makes up its sets from the other ones, capabilities(7)).

use libcontainer_init::step::Step;

use super::Context;
use crate::config::{Config, Listener, SeccompFilter};
use crate::seccomp::{self, Arch, Filter};
use crate::steps::Steps;

const POINTER: &str = "/linux/seccomp";

/// Annotations that crun knows, with its meaning.
pub const ANNOTATIONS: [&str; 4] = [RAW, RECEIVER, STRICT, PLUGINS];
/// A compiled filter, in place of the profile.
const RAW: &str = "run.oci.seccomp_bpf_data";
/// Where the listener is, if the profile does not say.
const RECEIVER: &str = "run.oci.seccomp.receiver";
/// Whether a name of no system call is an error; without it such a name is left out.
const STRICT: &str = "run.oci.seccomp_fail_unknown_syscall";
/// Programs to be loaded into the runtime.
const PLUGINS: &str = "run.oci.seccomp.plugins";

/// Compiles the profile.
pub fn check(cx: &mut Context<'_>) -> Option<SeccompFilter> {
    let filter = filter(cx)?;
    let (listener, metadata, at) = listener(cx);
    if listener.as_ref().is_some_and(|path| !path.is_empty() && !path.starts_with('/')) {
        cx.fault(at, "the path of the listener must be absolute");
        return None;
    }
    let listener = match listener.filter(|path| !path.is_empty()) {
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

/// The filter that the annotation has, or that of the profile.
fn filter(cx: &mut Context<'_>) -> Option<Filter> {
    if cx.spec.annotations.contains_key(PLUGINS) {
        let message = "keel loads no programs into itself: give the listener's socket";
        cx.fault(annotation(PLUGINS), message);
    }
    if let Some(text) = cx.spec.annotations.get(RAW) {
        let filter = seccomp::raw(text);
        return filter.map_err(|message| cx.fault(annotation(RAW), message)).ok();
    }
    let profile = cx.linux.seccomp.as_ref()?;
    if cx.spec.annotations.get(STRICT).is_some_and(|value| value != "0") {
        for (i, entry) in profile.syscalls.iter().enumerate() {
            for (j, name) in entry.names.iter().enumerate() {
                if Arch::all().all(|arch| arch.number(name).is_none()) {
                    let name = name.escape_default();
                    let message = format!("\"{name}\" is no system call ({STRICT} is set)");
                    cx.fault(format!("{POINTER}/syscalls/{i}/names/{j}"), message);
                }
            }
        }
    }
    seccomp::compile(profile, POINTER, &mut cx.faults)
}

/// Where the listener is, what is said to it, and which part of the configuration says where.
fn listener(cx: &Context<'_>) -> (Option<String>, Option<String>, String) {
    let profile = cx.linux.seccomp.as_ref();
    let path = profile.and_then(|profile| profile.listener_path.clone());
    let metadata = profile.and_then(|profile| profile.listener_metadata.clone());
    match (path, cx.spec.annotations.get(RECEIVER)) {
        (None, Some(path)) => (Some(path.clone()), metadata, annotation(RECEIVER)),
        (path, _) => (path, metadata, format!("{POINTER}/listenerPath")),
    }
}

/// The pointer to an annotation; none of these names needs an escape.
fn annotation(name: &str) -> String {
    format!("/annotations/{name}")
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
