//! `/linux/personality`: the execution domain, personality(2).
//!
//! Init is born with it ([`Task::Spawn`](crate::task::Task::Spawn)), and execve(2) keeps it.

use libcontainer_init::sys::process::{LINUX, LINUX32};

use super::Context;

/// The domains of the specification.
const DOMAINS: [(&str, u32); 2] = [("LINUX", LINUX), ("LINUX32", LINUX32)];

/// `/linux/personality`. The specification has no flag yet.
pub fn check(cx: &mut Context<'_>) -> Option<u32> {
    let given = cx.linux.personality.as_ref()?;
    for (i, flag) in given.flags.iter().enumerate() {
        let message = format!("unknown flag \"{flag}\" of execution domains");
        cx.fault(format!("/linux/personality/flags/{i}"), message);
    }
    let domain = DOMAINS.iter().find(|(name, _)| *name == given.domain).map(|(_, domain)| *domain);
    if domain.is_none() {
        let message = match given.domain.as_str() {
            "" => "the domain is missing".to_owned(),
            domain => format!("unknown execution domain \"{domain}\""),
        };
        cx.fault("/linux/personality/domain", message);
    }
    domain
}

/// The name of a domain.
pub fn name(domain: u32) -> &'static str {
    DOMAINS.iter().find(|(_, known)| *known == domain).map_or("", |(name, _)| *name)
}
