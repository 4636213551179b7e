//! `/annotations` that no other feature reads: which are refused, and which are told to be unknown.
//!
//! An annotation may be anything, and most are another program's. But one that runc or crun acts on is
//! never passed over in silence: keel acts on it (each in its feature), refuses it, or warns.

use super::{Context, seccomp};
use crate::spec::annotations::{
    CLOCKS, CONTEXT_TYPE, DELEGATED, FORCE_V1, HONOURED, KEEP_GROUPS, SUBGROUP,
};

/// The annotation of crun that asks for what keel does not do, and why.
pub const REFUSED: [(&str, &str); 1] =
    [("run.oci.handler", "keel runs programs of Linux, without a handler such as krun or wasm")];

/// What begins the names of annotations that are meant for a runtime.
const FOR_RUNTIMES: [&str; 3] = ["run.oci.", "krun.", "module.wasm."];

/// Whether an annotation matters to a process or mount that is added later. Of the others everything
/// was said and done when the container was created.
pub fn lasts(name: &str) -> bool {
    let for_runtimes = FOR_RUNTIMES.iter().any(|start| name.starts_with(start));
    !for_runtimes
        || [KEEP_GROUPS, CONTEXT_TYPE].contains(&name)
        || seccomp::ANNOTATIONS.contains(&name)
}

/// Reports what is not acted on, and values that are none.
pub fn check(cx: &mut Context<'_>) {
    for (name, value) in &cx.spec.annotations {
        let pointer = || format!("/annotations/{}", name.replace('~', "~0").replace('/', "~1"));
        if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| refused == name) {
            // An empty name asks for no handler.
            if !value.is_empty() {
                cx.fault(pointer(), *why);
            }
        } else if HONOURED.contains(&name.as_str()) {
            if let Some(fault) = fault(name, value) {
                cx.fault(pointer(), fault);
            }
        } else if !seccomp::ANNOTATIONS.contains(&name.as_str())
            && FOR_RUNTIMES.iter().any(|start| name.starts_with(start))
        {
            cx.warn(pointer(), "keel does not know this annotation, and does nothing for it");
        }
    }
    let replaced = cx.spec.annotations.get(FORCE_V1).filter(|path| path.starts_with('/'));
    if replaced.is_some_and(|path| cx.spec.mounts.iter().all(|mount| mount.destination != *path)) {
        cx.warn(format!("/annotations/{FORCE_V1}"), "no mount has this destination");
    }
    let groups = &cx.process.user.additional_gids;
    if cx.spec.annotations.get(KEEP_GROUPS).is_some_and(|value| value != "0") && !groups.is_empty()
    {
        let why = format!("not added: the caller's groups are kept ({KEEP_GROUPS})");
        cx.warn("/process/user/additionalGids", why);
    }
}

/// What is wrong with the value of an annotation.
fn fault(name: &str, value: &str) -> Option<&'static str> {
    match name {
        KEEP_GROUPS => {
            (!["0", "1", "true"].contains(&value)).then_some("this is neither 1, true nor 0")
        }
        CONTEXT_TYPE => (!["context", "fscontext", "defcontext", "rootcontext"].contains(&value))
            .then_some("this is neither context, fscontext, defcontext nor rootcontext"),
        // `time_offsets` and `cgroup_below` read them.
        CLOCKS | SUBGROUP | DELEGATED => None,
        _ => (!value.starts_with('/')).then_some("the path must be absolute"),
    }
}
