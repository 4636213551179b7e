//! What each part of a configuration means: one file for each OCI feature.
//!
//! A feature has two functions. `check` reads its part of the [`Spec`] and returns its part of the
//! [`Config`], reporting every fault with its pointer. `plan` compiles that into steps. Both are
//! pure: they make no system call, look at no path and call no other feature; the order among
//! features is that of the choreographies in [`crate::plan`].
//!
//! | feature | in config.json | steps | kernel |
//! |---|---|---|---|
//! | `rootfs` | `/root`, `/linux/rootfsPropagation` | OpenRootfs, AttachRoot, PivotRoot, ReadonlyRoot | open_tree(2), pivot_root(2) |
//! | `namespaces` | `/linux/namespaces` | Spawn, JoinNamespace, Unshare, EnterPidNamespace, LoopbackUp | clone3(2), setns(2) |
//! | `user_namespace` | `/linux/uidMappings`, `/linux/gidMappings` | WriteMappings, CompareMappings, BecomeRoot | user_namespaces(7), newuidmap(1) |
//! | `time_offsets` | `/linux/timeOffsets` | TimeOffsets, JoinNamespace | time_namespaces(7) |
//! | `net_devices` | `/linux/netDevices` | MoveNetDevice | rtnetlink(7) |
//! | `hostname` | `/hostname`, `/domainname` | Hostname, Domainname | sethostname(2) |
//! | `mounts`, `mount_check`, `mount_options`, `mount_ids`, `mount_labels`, `overlay`, `cgroup_mounts` | `/mounts` | OpenTree, NewMount, MapIds, Mount, Bind, Remount | fsopen(2), open_tree(2), mount_setattr(2), move_mount(2) |
//! | `devices` | `/linux/devices` | Device, Link, Bind | mknod(2) |
//! | `masked_paths` | `/linux/maskedPaths`, `/linux/readonlyPaths` | Mask, ReadonlyPath | mount_setattr(2) |
//! | `sysctl` | `/linux/sysctl` | WriteProc | proc(5) |
//! | `labels` | `/process/apparmorProfile`, `/process/selinuxLabel`, `/linux/mountLabel` | WriteProc | proc_pid_attr(5) |
//! | `cgroup`, `cgroup_sheet`, `cgroup_entry`, `resources_both`, `resources_v1`, `resources_v2`, `resources_update`, `cgroup_devices`, `cgroup_device_program`, `cgroup_owner`, `cgroup_below`, `systemd` | `/linux/resources`, `/linux/cgroupsPath` | StartScope, MakeCgroups, LimitCgroups, MakeSubCgroup, GiveCgroup, EnterCgroups | cgroups(7) |
//! | `intel_rdt` | `/linux/intelRdt` | MakeResctrl, EnterResctrl | resctrl (kernel: `Documentation/filesystems/resctrl.rst`) |
//! | `process` | `/process` args, env, cwd, umask | WorkingDir, Home, FindProgram, Ready, Exec | execve(2) |
//! | `user` | `/process/user` | User, StdioOwner, Umask | setresuid(2) |
//! | `capabilities` | `/process/capabilities` | BoundingSet, Capabilities, NoNewPrivileges | capabilities(7) |
//! | `limits` | `/process/rlimits`, `/process/oomScoreAdj` | RaiseLimit, Limit, OomScore | prlimit(2) |
//! | `console` | `/process/terminal`, `/process/consoleSize` | Console, ControlTerminal, SendConsole | pty(7) |
//! | `descriptors` | (options) | HandOver, PlaceDescriptors | unix(7) |
//! | `notify` | (options) | Mount, NotifySocket, SendNotifySocket | unix(7) |
//! | `affinity` | `/process/execCPUAffinity` | Spawn, CpuAffinity | sched_setaffinity(2) |
//! | `scheduler` | `/process/scheduler` | Spawn, Schedule | sched_setattr(2) |
//! | `io_priority` | `/process/ioPriority` | Spawn | ioprio_set(2) |
//! | `memory_policy` | `/linux/memoryPolicy` | MemoryPolicy | set_mempolicy(2) |
//! | `personality` | `/linux/personality` | Spawn | personality(2) |
//! | `seccomp` | `/linux/seccomp` | Seccomp | seccomp(2) |
//! | `landlock` | `/annotations/org.keel.landlock` | Landlock | landlock(7) |
//! | `hooks` | `/hooks` | RunHook, StateDocument, OpenHookStream, Hook | execve(2) |
//! | `annotations` | `/annotations` | User, OpenHookStream, TimeOffsets | crun(1), "Extensions to OCI" |
//! | `keyring` | (options) | SessionKeyring | keyctl(2) |

pub mod affinity;
pub mod annotations;
pub mod capabilities;
pub mod cgroup;
pub mod cgroup_below;
pub mod cgroup_device_program;
pub mod cgroup_devices;
pub mod cgroup_entry;
pub mod cgroup_mounts;
pub mod cgroup_owner;
mod cgroup_sheet;
pub mod console;
pub mod descriptors;
pub mod devices;
pub mod hooks;
pub mod hostname;
pub mod intel_rdt;
pub mod io_priority;
pub mod keyring;
pub mod labels;
pub mod landlock;
pub mod limits;
pub mod masked_paths;
pub mod memory_policy;
pub mod mount_check;
pub mod mount_ids;
pub mod mount_labels;
pub mod mount_options;
pub mod mounts;
pub mod namespaces;
pub mod net_devices;
pub mod notify;
pub mod overlay;
pub mod personality;
pub mod process;
mod resources_both;
pub mod resources_update;
pub mod resources_v1;
pub mod resources_v2;
pub mod rootfs;
pub mod scheduler;
pub mod seccomp;
pub mod sysctl;
pub mod systemd;
pub mod time_offsets;
pub mod user;
pub mod user_namespace;

use std::path::Path;

use crate::config::Config;
use crate::error::{Error, Fault, Result};
use crate::host::Host;
use crate::id::ContainerId;
use crate::options::Options;
use crate::spec::{Linux, Process, Spec};

/// What a feature checks against, and where it reports.
#[derive(Debug)]
pub struct Context<'a> {
    /// The configuration.
    pub spec: &'a Spec,
    /// Its Linux part; empty when there is none.
    pub linux: &'a Linux,
    /// Its process; empty when there is none.
    pub process: &'a Process,
    /// The bundle's directory.
    pub bundle: &'a Path,
    /// The container's id.
    pub id: &'a ContainerId,
    /// The caller's choices.
    pub options: &'a Options,
    /// The machine.
    pub host: &'a Host,
    /// What makes the configuration unusable.
    pub faults: Vec<Fault>,
    /// What is tolerated.
    pub warnings: Vec<Fault>,
}

impl Context<'_> {
    /// Reports what makes the configuration unusable.
    pub fn fault(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Fault { pointer: pointer.into(), message: message.into() });
    }

    /// Reports what is tolerated.
    pub fn warn(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.warnings.push(Fault { pointer: pointer.into(), message: message.into() });
    }
}

/// A configuration that was checked.
#[derive(Debug)]
pub struct Checked {
    /// The configuration; with faults, what of it has none.
    config: Config,
    /// What makes it unusable.
    pub faults: Vec<Fault>,
    /// What is tolerated.
    pub warnings: Vec<Fault>,
}

impl Checked {
    /// The configuration with what is tolerated.
    ///
    /// # Errors
    /// All faults together.
    pub fn valid(self) -> Result<(Config, Vec<Fault>)> {
        match self.faults.is_empty() {
            true => Ok((self.config, self.warnings)),
            false => Err(Error::config(self.faults)),
        }
    }

    /// What of the configuration has no faults, to tell more about it; never to make a container.
    pub fn sound_parts(&self) -> &Config {
        &self.config
    }
}

/// Checks a whole configuration.
pub fn check(
    spec: &Spec,
    bundle: &Path,
    id: &ContainerId,
    options: &Options,
    host: &Host,
) -> Checked {
    let (no_linux, no_process) = (Linux::default(), Process::default());
    let mut cx = Context {
        spec,
        linux: spec.linux.as_ref().unwrap_or(&no_linux),
        process: spec.process.as_ref().unwrap_or(&no_process),
        bundle,
        id,
        options,
        host,
        faults: Vec::new(),
        warnings: Vec::new(),
    };
    check_version(&mut cx);
    annotations::check(&mut cx);
    let namespaces = namespaces::check(&mut cx);
    let mappings = user_namespace::check(&mut cx, &namespaces);
    let (hostname, domainname) = hostname::check(&mut cx, &namespaces);
    let cgroup = cgroup_entry::check(&mut cx, &namespaces);
    let cgroup = cgroup_below::check(&mut cx, cgroup);
    let config = Config {
        id: id.to_string(),
        bundle: bundle.to_owned(),
        rootfs: rootfs::check(&mut cx, &namespaces),
        mappings,
        joined_mappings: user_namespace::check_joined(&mut cx, &namespaces),
        hostname,
        domainname,
        mounts: mount_check::check(&mut cx, &namespaces),
        mount_label: labels::check_mounts(&mut cx),
        devices: devices::check(&mut cx, &namespaces),
        masked_paths: masked_paths::check(&mut cx, &namespaces, "maskedPaths"),
        readonly_paths: masked_paths::check(&mut cx, &namespaces, "readonlyPaths"),
        sysctl: sysctl::check(&mut cx, &namespaces),
        net_devices: net_devices::check(&mut cx, &namespaces),
        personality: personality::check(&mut cx),
        memory_policy: memory_policy::check(&mut cx),
        time_offsets: time_offsets::check(&mut cx, &namespaces),
        process: process::check(&mut cx, &namespaces),
        has_process: spec.process.is_some(),
        console: console::check(&mut cx),
        seccomp: seccomp::check(&mut cx),
        landlock: landlock::check(&mut cx),
        notify_socket: notify::check(&mut cx, &namespaces),
        hooks: hooks::check(&mut cx),
        cgroup,
        intel_rdt: intel_rdt::check(&mut cx),
        annotations: spec.annotations.clone(),
        version: spec.oci_version.clone(),
        namespaces,
    };
    let Context { faults, warnings, .. } = cx;
    Checked { config, faults, warnings }
}

/// runtime-spec config.md, "Specification version": any 1.x is compatible; SemVer 2.
fn check_version(cx: &mut Context<'_>) {
    let version = &cx.spec.oci_version;
    let numbers: Vec<_> = version.splitn(3, '.').collect();
    let valid = numbers.len() == 3
        && numbers[..2].iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        && numbers[2].starts_with(|c: char| c.is_ascii_digit());
    if !valid {
        cx.fault("/ociVersion", format!("\"{version}\" is not a version such as 1.3.0"));
    } else if numbers[0] != "1" {
        cx.fault("/ociVersion", format!("version {version} is not supported, only 1.x is"));
    }
}
