//! Linux containers from OCI bundles: `config.json` is compiled into a plan, then the plan is
//! performed.
//!
//! ```text
//! bundle ──open──▶ Spec ──check──▶ Config ──compile (+ Host)──▶ Plan ──perform──▶ Created
//!        ──start──▶ Running ──▶ Stopped ──delete──▶ ()
//! ```
//!
//! ```no_run
//! use libcontainer::{Attachments, Bundle, Options, Store};
//!
//! # fn main() -> libcontainer::Result<()> {
//! let bundle = Bundle::open("/bundles/web")?;
//! let store = Store::at("/run/example");
//! let id = "web".parse()?;
//! let mut container = store.create(&id, &bundle, &Options::default(), Attachments::default())?;
//! container.start()?;
//! let exit = container.wait()?;
//! println!("ended with {}", exit.status());
//! container.delete()
//! # }
//! ```
//!
//! The library may be called from any thread of any program. It changes nothing of its host
//! process (no working directory, umask, environment, signal mask or handler, no flag of a
//! descriptor), never prints, never exits and never panics. What a container's first process does
//! after clone is another program, without libc or an allocator: see the crate `libcontainer-init`.
//!
//! Reading on: [`features`] for what each part of a configuration means, [`plan`] for the order of
//! things, [`container`] for the runtime's side of it, `ARCHITECTURE.md` for the whole.

#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod assessment;
mod bundle;
pub mod cgroup;
pub mod config;
pub mod container;
pub mod error;
pub mod features;
mod features_document;
pub mod host;
mod id;
mod netlink;
#[cfg(feature = "oci-spec")]
mod oci;
mod options;
pub mod plan;
mod resctrl;
pub mod seccomp;
mod seccomp_agent;
pub mod spec;
pub mod steps;
pub mod task;

pub use assessment::{Assessment, Fate, Part};
pub use bundle::Bundle;
pub use cgroup::{SubCgroup, Usage};
pub use container::{BandwidthInfo, CacheDomain, CacheInfo, IntelRdtStatistics};
pub use container::{
    BlockIoEntry, BlockIoStatistics, CpuStatistics, CpusetStatistics, Event, EventOptions, Events,
    HugetlbStatistics, MemoryCounter, MemoryStatistics, PidsStatistics, Pressure, PressureTrigger,
    PressureWatch, RdmaStatistics, Resource, Stall, Statistics,
};
pub use container::{
    Container, Ending, ExecOptions, Exit, Mark, NotifySocket, Process, ServiceManager, Shares,
    Signal, Status, Store, Timeline, receive_child_exits,
};
pub use error::{Error, ErrorKind, Fault, Result, errno_text};
pub use features::capabilities::CAPABILITIES;
pub use features_document::features_document;
pub use host::subordinate_ids::SubordinateIds;
pub use host::{Cgroups, Host, Resctrl, SecurityModules};
pub use id::ContainerId;
pub use options::{Attachments, CgroupManager, Console, IdMappers, Options};
pub use plan::Plan;
pub use seccomp_agent::{SeccompAgent, SeccompAnswer, SeccompQuestion};
