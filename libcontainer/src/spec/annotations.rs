//! Names of annotations that a runtime acts on, and what engines may be told of them.
//!
//! Those below `run.oci.` are crun's (crun(1), "Extensions to OCI"), and mean the same here. COVERAGE.md
//! has the table of all annotations with what becomes of each; `features/annotations.rs` reports those
//! that nothing here acts on. A name that a single feature reads stands in that feature.

/// Whether the process keeps the supplementary groups of the runtime's caller.
pub const KEEP_GROUPS: &str = "run.oci.keep_original_groups";
/// A Unix stream socket that gets the pidfd of the first process.
pub const PIDFD_RECEIVER: &str = "run.oci.pidfd_receiver";
/// What new clocks are ahead, as the lines of `timens_offsets` (time_namespaces(7)).
pub const CLOCKS: &str = "run.oci.timens_offset";
/// Which parameter of a new file system the label of mounts is.
pub const CONTEXT_TYPE: &str = "run.oci.mount_context_type";
/// Files of the host to which hooks write what they print.
pub const HOOK_STREAMS: [&str; 2] = ["run.oci.hooks.stdout", "run.oci.hooks.stderr"];
/// The cgroup below systemd's scope in which processes are.
pub const SUBGROUP: &str = "run.oci.systemd.subgroup";
/// The cgroup below that again which the container manages.
pub const DELEGATED: &str = "run.oci.delegate-cgroup";
/// The destination of a mount that becomes systemd's hierarchy of cgroup v1.
pub const FORCE_V1: &str = "run.oci.systemd.force_cgroup_v1";
/// The signal that asks the program to end, of the image (config.md, "Annotations").
pub const STOP_SIGNAL: &str = "org.opencontainers.image.stopSignal";

/// Those of crun's names that change what is done, but for those of system calls.
pub const HONOURED: [&str; 9] = [
    KEEP_GROUPS,
    PIDFD_RECEIVER,
    CLOCKS,
    CONTEXT_TYPE,
    HOOK_STREAMS[0],
    HOOK_STREAMS[1],
    SUBGROUP,
    DELEGATED,
    FORCE_V1,
];
