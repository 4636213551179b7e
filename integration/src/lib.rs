//! Tests of a container runtime's command, with real containers.
//!
//! The tests in `tests/` drive a runtime the way an engine does: as a program. Which one is decided
//! by the environment variable `KEEL_RUNTIME` (a path, or a name looked up in `PATH`); without it
//! the command built beside the tests is taken. Every test opens a [`Scene`]: a directory, a state
//! root, a parent cgroup and container ids of its own, so tests run in parallel, and at its end the
//! scene checks that the host is what it was before.
//!
//! One file is run with `cargo test -p integration --test lifecycle`, under another runtime with
//! `KEEL_RUNTIME=runc` in front, and on other cgroups with `integration/with-cgroups v2` in front.
//! Everything and a summary is `make test`.
//!
//! A test that cannot run here says why through [`skip()`]; the ways in which another runtime
//! rightly differs stand in [`differences`]. Nothing here may call the runtime's own code: a test
//! that shares its code with what it tests proves nothing.
#![deny(unsafe_code)]

pub mod agent;
pub mod bundle;
pub mod cgroups;
pub mod config;
pub mod console;
pub mod container;
pub mod ctr;
pub mod debian;
pub mod dice;
pub mod differences;
pub mod docker;
pub mod docker_like;
pub mod engine;
pub mod holder;
pub mod inside;
pub mod machine_code;
pub mod podman;
pub mod race;
pub mod readme;
pub mod recorded;
pub mod runtime;
pub mod scene;
pub mod skip;
pub mod snapshot;
pub mod user;
pub mod witness;

pub use bundle::Bundle;
pub use container::Container;
pub use inside::Inside;
pub use runtime::{Kind, Outcome, Runtime};
pub use scene::{Edit, Scene};
pub use skip::{Need, skip};
pub use snapshot::HostSnapshot;
pub use user::{Delegated, SUBORDINATE, User};
pub use witness::Witness;
