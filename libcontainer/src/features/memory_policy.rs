//! `/linux/memoryPolicy`: from which NUMA nodes the process gets its memory, set_mempolicy(2).

use libcontainer_init::step::Step;
use libcontainer_init::sys::memory_policy::{
    BIND, DEFAULT, INTERLEAVE, LOCAL, NUMA_BALANCING, PREFERRED, PREFERRED_MANY, RELATIVE_NODES,
    STATIC_NODES, WEIGHTED_INTERLEAVE,
};

use super::{Context, affinity};
use crate::config::{Config, MemoryPolicy};
use crate::steps::Steps;

const POINTER: &str = "/linux/memoryPolicy";

/// Modes of the specification.
pub const MODES: [(&str, u32); 7] = [
    ("MPOL_DEFAULT", DEFAULT),
    ("MPOL_BIND", BIND),
    ("MPOL_INTERLEAVE", INTERLEAVE),
    ("MPOL_WEIGHTED_INTERLEAVE", WEIGHTED_INTERLEAVE),
    ("MPOL_PREFERRED", PREFERRED),
    ("MPOL_PREFERRED_MANY", PREFERRED_MANY),
    ("MPOL_LOCAL", LOCAL),
];

/// Its flags.
pub const FLAGS: [(&str, u32); 3] = [
    ("MPOL_F_NUMA_BALANCING", NUMA_BALANCING),
    ("MPOL_F_RELATIVE_NODES", RELATIVE_NODES),
    ("MPOL_F_STATIC_NODES", STATIC_NODES),
];

/// More nodes than any kernel has.
const MOST: u32 = 1024;

/// `/linux/memoryPolicy`: what the kernel would refuse on any machine is a fault.
pub fn check(cx: &mut Context<'_>) -> Option<MemoryPolicy> {
    let given = cx.linux.memory_policy.as_ref()?;
    let flags = flags(cx, &given.flags);
    let nodes = given.nodes.as_deref().filter(|list| !list.is_empty());
    let mask = nodes.map(|list| {
        let mask = affinity::mask_of(list, MOST);
        if mask.is_none() {
            let message = format!("\"{list}\" is not a list of memory nodes such as 0-3,7");
            cx.fault(format!("{POINTER}/nodes"), message);
        }
        mask.unwrap_or_default()
    });
    let mode = MODES.iter().find(|(name, _)| *name == given.mode).map(|(_, mode)| *mode);
    let Some(mode) = mode else {
        let message = match given.mode.as_str() {
            "" => "the mode is missing".to_owned(),
            mode => format!("unknown mode of memory policies \"{mode}\""),
        };
        cx.fault(format!("{POINTER}/mode"), message);
        return None;
    };
    check_nodes(cx, mode, mask.is_some());
    check_flags(cx, mode, flags, mask.is_some());
    Some(MemoryPolicy { mode: mode | flags, nodes: mask.unwrap_or_default() })
}

fn flags(cx: &mut Context<'_>, names: &[String]) -> u32 {
    let mut flags = 0;
    for (i, name) in names.iter().enumerate() {
        match FLAGS.iter().find(|(known, _)| known == name) {
            Some((_, flag)) => flags |= flag,
            None => {
                let message = format!("unknown flag of memory policies \"{name}\"");
                cx.fault(format!("{POINTER}/flags/{i}"), message);
            }
        }
    }
    flags
}

fn check_nodes(cx: &mut Context<'_>, mode: u32, given: bool) {
    let pointer = format!("{POINTER}/nodes");
    match mode {
        DEFAULT | LOCAL if given => cx.fault(pointer, format!("{} has no nodes", name(mode))),
        // Without a node, PREFERRED is LOCAL.
        DEFAULT | LOCAL | PREFERRED => {}
        _ if !given => cx.fault(pointer, format!("{} needs a node", name(mode))),
        _ => {}
    }
}

fn check_flags(cx: &mut Context<'_>, mode: u32, flags: u32, nodes: bool) {
    const WHICH: u32 = RELATIVE_NODES | STATIC_NODES;
    let pointer = format!("{POINTER}/flags");
    let mode_name = name(mode);
    if mode == DEFAULT && flags & WHICH != 0 {
        cx.warn(pointer.as_str(), format!("flags have no effect under {mode_name}"));
    } else if flags & WHICH != 0 && !nodes && [LOCAL, PREFERRED].contains(&mode) {
        cx.fault(pointer.as_str(), format!("{mode_name} without nodes has no flag for them"));
    }
    if flags & WHICH == WHICH {
        let message = "MPOL_F_RELATIVE_NODES and MPOL_F_STATIC_NODES exclude each other";
        cx.fault(pointer.as_str(), message);
    }
    if flags & NUMA_BALANCING != 0 && ![BIND, PREFERRED_MANY].contains(&mode) {
        let message = format!("MPOL_F_NUMA_BALANCING is not for {mode_name}");
        cx.fault(pointer, message);
    }
}

fn name(mode: u32) -> &'static str {
    MODES.iter().find(|(_, known)| *known == mode).map_or("", |(name, _)| *name)
}

/// Once init is in its cgroup: nodes that its cpuset does not have are none.
pub fn set(config: &Config, steps: &mut Steps) {
    if let Some(MemoryPolicy { mode, nodes }) = &config.memory_policy {
        let nodes = steps.numbers(nodes);
        steps.init(POINTER, Step::MemoryPolicy { mode: *mode, nodes });
    }
}

/// A policy, for people.
pub fn words(mode: u32, nodes: &[u32]) -> String {
    const ALL: u32 = NUMA_BALANCING | RELATIVE_NODES | STATIC_NODES;
    let mut text = name(mode & !ALL).to_owned();
    if !nodes.is_empty() {
        text += &format!(" of nodes {}", affinity::list(nodes));
    }
    for (name, _) in FLAGS.iter().filter(|(_, flag)| mode & flag != 0) {
        text += &format!(", {name}");
    }
    text
}
