//! The names of the machine inside: host name and NIS domain.

use libcontainer_init::step::Step;
use libcontainer_init::sys::namespace::NEWUTS;

use super::Context;
use crate::config::{Config, Namespaces};
use crate::steps::Steps;

/// __NEW_UTS_LEN of the kernel, uname(2).
const MAX: usize = 64;

/// `/hostname` and `/domainname` need a UTS namespace: the host's names are not the container's.
pub fn check(cx: &mut Context<'_>, namespaces: &Namespaces) -> (Option<String>, Option<String>) {
    let spec = cx.spec;
    let named = [("/hostname", &spec.hostname), ("/domainname", &spec.domainname)];
    for (pointer, name) in named {
        let Some(name) = name else { continue };
        if !namespaces.has(NEWUTS) {
            cx.fault(pointer, "a name needs a uts namespace in /linux/namespaces");
        }
        if name.len() > MAX {
            cx.fault(pointer, format!("the name is longer than {MAX} bytes"));
        }
    }
    (spec.hostname.clone(), spec.domainname.clone())
}

/// Sets the names.
pub fn plan(config: &Config, steps: &mut Steps) {
    if let Some(name) = &config.hostname {
        let name = steps.text("/hostname", name);
        steps.init("/hostname", Step::Hostname { name });
    }
    if let Some(name) = &config.domainname {
        let name = steps.text("/domainname", name);
        steps.init("/domainname", Step::Domainname { name });
    }
}
