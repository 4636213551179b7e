//! The clauses, one file per subject: the rows of the table first, then their tests.
//!
//! A test takes a [`Case`](crate::case::Case), changes what its clause is about in a fresh bundle,
//! and says what it saw. Tests never depend on each other.

use crate::clause::Clause;

mod cgroups;
mod configuration;
mod devices;
mod features;
mod features_linux;
mod hook_failures;
mod hooks;
mod intel_rdt;
mod lifecycle;
mod limits;
mod mount_options;
mod mounts;
mod namespaces;
mod net_devices;
mod operations;
mod paths;
mod privileges;
mod process;
mod recording;
mod root;
mod scheduling;
mod seccomp;
mod seccomp_listener;
mod state;
mod unified;

/// The rows of every file.
pub(crate) const ALL: [&[Clause]; 26] = [
    state::CLAUSES,
    lifecycle::CLAUSES,
    operations::CLAUSES,
    hooks::CLAUSES,
    hook_failures::CLAUSES,
    root::CLAUSES,
    mounts::CLAUSES,
    mount_options::CLAUSES,
    process::CLAUSES,
    privileges::CLAUSES,
    scheduling::CLAUSES,
    namespaces::CLAUSES,
    devices::CLAUSES,
    cgroups::CLAUSES,
    limits::CLAUSES,
    paths::CLAUSES,
    net_devices::CLAUSES,
    unified::CLAUSES,
    intel_rdt::CLAUSES,
    intel_rdt::UNTRIED,
    seccomp::CLAUSES,
    seccomp::LISTED,
    seccomp_listener::CLAUSES,
    configuration::CLAUSES,
    features::CLAUSES,
    features_linux::CLAUSES,
];
