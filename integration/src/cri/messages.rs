//! The messages of the Container Runtime Interface that the tests send and read, `runtime.v1`: of each
//! the fields that a test uses. A server ignores what is left out, and so does this client.

use std::collections::HashMap;

use prost::Message;

/// A request, and what answers it.
pub trait Request: Message + 'static {
    /// The service and the name of the call.
    const METHOD: &'static str;
    /// What comes back.
    type Answer: Message + Default + 'static;
}

macro_rules! calls {
    ($service:literal: $($request:ident => $answer:ident;)*) => {
        $(impl Request for $request {
            const METHOD: &'static str =
                concat!("/runtime.v1.", $service, "/", stringify!($request));
            type Answer = $answer;
        })*
    };
}

calls! { "ImageService": ImageStatus => ImageStatusResponse; }
calls! { "RuntimeService":
    Status => StatusResponse;
    RunPodSandbox => SandboxId;
    PodSandboxStatus => PodSandboxStatusResponse;
    StopPodSandbox => Nothing;
    RemovePodSandbox => Nothing;
    CreateContainer => ContainerId;
    StartContainer => Nothing;
    StopContainer => Nothing;
    RemoveContainer => Nothing;
    ContainerStatus => ContainerStatusResponse;
    ListContainers => ListContainersResponse;
    ContainerStats => ContainerStatsResponse;
    UpdateContainerResources => Nothing;
    ExecSync => ExecSyncResponse;
    Exec => Url;
    Attach => Url;
}

/// Messages as the interface's definition has them: a type, a name and a number for each field.
macro_rules! messages {
    ($($(#[$about:meta])* $name:ident { $($field:ident: $kind:ty = $($tag:meta),+;)* })*) => {
        $($(#[$about])*
        #[derive(Clone, PartialEq, Message)]
        #[allow(missing_docs)] // named as in the interface's definition, which tells
        pub struct $name { $(#[prost($($tag),+)] pub $field: $kind,)* })*
    };
}

messages! {
    /// No answer but that it is done.
    Nothing {}
    /// Whether the engine can make containers, and connect them.
    Status {}
    StatusResponse { status: Option<RuntimeStatus> = message, optional, tag = "1"; }
    RuntimeStatus { conditions: Vec<RuntimeCondition> = message, repeated, tag = "1"; }
    RuntimeCondition {
        kind: String = string, tag = "1";
        status: bool = bool, tag = "2";
        message: String = string, tag = "4";
    }

    /// Whether the engine has an image.
    ImageStatus { image: Option<ImageSpec> = message, optional, tag = "1"; }
    ImageStatusResponse { image: Option<Image> = message, optional, tag = "1"; }
    Image { id: String = string, tag = "1"; }

    /// Makes a pod's sandbox: what its containers share.
    RunPodSandbox {
        config: Option<PodSandboxConfig> = message, optional, tag = "1";
        runtime_handler: String = string, tag = "2";
    }
    SandboxId { pod_sandbox_id: String = string, tag = "1"; }
    PodSandboxConfig {
        metadata: Option<PodSandboxMetadata> = message, optional, tag = "1";
        hostname: String = string, tag = "2";
        log_directory: String = string, tag = "3";
        port_mappings: Vec<PortMapping> = message, repeated, tag = "5";
        linux: Option<LinuxPodSandboxConfig> = message, optional, tag = "8";
    }
    PodSandboxMetadata {
        name: String = string, tag = "1";
        uid: String = string, tag = "2";
        namespace: String = string, tag = "3";
    }
    PortMapping {
        container_port: i32 = int32, tag = "2";
        host_port: i32 = int32, tag = "3";
    }
    LinuxPodSandboxConfig {
        cgroup_parent: String = string, tag = "1";
        security_context: Option<LinuxSandboxSecurityContext> = message, optional, tag = "2";
        sysctls: HashMap<String, String> = map = "string, string", tag = "3";
    }
    LinuxSandboxSecurityContext {
        namespace_options: Option<NamespaceOption> = message, optional, tag = "1";
        privileged: bool = bool, tag = "6";
    }
    /// Whose each namespace is: [`super::POD`], [`super::CONTAINER`] or [`super::NODE`].
    NamespaceOption {
        network: i32 = int32, tag = "1";
        pid: i32 = int32, tag = "2";
        ipc: i32 = int32, tag = "3";
    }
    PodSandboxStatus { pod_sandbox_id: String = string, tag = "1"; }
    PodSandboxStatusResponse { status: Option<SandboxStatus> = message, optional, tag = "1"; }
    SandboxStatus {
        state: i32 = int32, tag = "3";
        network: Option<SandboxNetwork> = message, optional, tag = "5";
    }
    SandboxNetwork { ip: String = string, tag = "1"; }
    StopPodSandbox { pod_sandbox_id: String = string, tag = "1"; }
    RemovePodSandbox { pod_sandbox_id: String = string, tag = "1"; }

    /// Makes a container in a sandbox.
    CreateContainer {
        pod_sandbox_id: String = string, tag = "1";
        config: Option<ContainerConfig> = message, optional, tag = "2";
        sandbox_config: Option<PodSandboxConfig> = message, optional, tag = "3";
    }
    ContainerId { container_id: String = string, tag = "1"; }
    ContainerConfig {
        metadata: Option<ContainerMetadata> = message, optional, tag = "1";
        image: Option<ImageSpec> = message, optional, tag = "2";
        command: Vec<String> = string, repeated, tag = "3";
        working_dir: String = string, tag = "5";
        envs: Vec<KeyValue> = message, repeated, tag = "6";
        mounts: Vec<Mount> = message, repeated, tag = "7";
        devices: Vec<Device> = message, repeated, tag = "8";
        log_path: String = string, tag = "11";
        stdin: bool = bool, tag = "12";
        stdin_once: bool = bool, tag = "13";
        tty: bool = bool, tag = "14";
        linux: Option<LinuxContainerConfig> = message, optional, tag = "15";
    }
    ContainerMetadata { name: String = string, tag = "1"; }
    ImageSpec { image: String = string, tag = "1"; }
    KeyValue { key: String = string, tag = "1"; value: String = string, tag = "2"; }
    Mount {
        container_path: String = string, tag = "1";
        host_path: String = string, tag = "2";
        readonly: bool = bool, tag = "3";
        propagation: i32 = int32, tag = "5";
    }
    Device {
        container_path: String = string, tag = "1";
        host_path: String = string, tag = "2";
        permissions: String = string, tag = "3";
    }
    LinuxContainerConfig {
        resources: Option<LinuxContainerResources> = message, optional, tag = "1";
        security_context: Option<LinuxContainerSecurityContext> = message, optional, tag = "2";
    }
    LinuxContainerResources {
        cpu_period: i64 = int64, tag = "1";
        cpu_quota: i64 = int64, tag = "2";
        memory_limit_in_bytes: i64 = int64, tag = "4";
        oom_score_adj: i64 = int64, tag = "5";
    }
    LinuxContainerSecurityContext {
        capabilities: Option<Capability> = message, optional, tag = "1";
        privileged: bool = bool, tag = "2";
        namespace_options: Option<NamespaceOption> = message, optional, tag = "3";
        run_as_user: Option<Int64Value> = message, optional, tag = "5";
        readonly_rootfs: bool = bool, tag = "7";
        supplemental_groups: Vec<i64> = int64, repeated, tag = "8";
        no_new_privs: bool = bool, tag = "11";
        run_as_group: Option<Int64Value> = message, optional, tag = "12";
        masked_paths: Vec<String> = string, repeated, tag = "13";
        readonly_paths: Vec<String> = string, repeated, tag = "14";
        seccomp: Option<SecurityProfile> = message, optional, tag = "15";
    }
    Capability {
        add_capabilities: Vec<String> = string, repeated, tag = "1";
        drop_capabilities: Vec<String> = string, repeated, tag = "2";
    }
    Int64Value { value: i64 = int64, tag = "1"; }
    SecurityProfile {
        profile_type: i32 = int32, tag = "1";
        localhost_ref: String = string, tag = "2";
    }

    StartContainer { container_id: String = string, tag = "1"; }
    /// Ends a container, by force after so many seconds.
    StopContainer { container_id: String = string, tag = "1"; timeout: i64 = int64, tag = "2"; }
    RemoveContainer { container_id: String = string, tag = "1"; }
    ContainerStatus { container_id: String = string, tag = "1"; verbose: bool = bool, tag = "2"; }
    ContainerStatusResponse {
        status: Option<OneStatus> = message, optional, tag = "1";
        info: HashMap<String, String> = map = "string, string", tag = "2";
    }
    OneStatus {
        state: i32 = int32, tag = "3";
        exit_code: i32 = int32, tag = "7";
        reason: String = string, tag = "10";
    }
    ListContainers {}
    ListContainersResponse { containers: Vec<Listed> = message, repeated, tag = "1"; }
    Listed {
        id: String = string, tag = "1";
        pod_sandbox_id: String = string, tag = "2";
        state: i32 = int32, tag = "6";
    }
    ContainerStats { container_id: String = string, tag = "1"; }
    ContainerStatsResponse { stats: Option<Statistics> = message, optional, tag = "1"; }
    Statistics {
        cpu: Option<CpuUsage> = message, optional, tag = "2";
        memory: Option<MemoryUsage> = message, optional, tag = "3";
    }
    CpuUsage { usage_core_nano_seconds: Option<UInt64Value> = message, optional, tag = "2"; }
    MemoryUsage { working_set_bytes: Option<UInt64Value> = message, optional, tag = "2"; }
    UInt64Value { value: u64 = uint64, tag = "1"; }
    UpdateContainerResources {
        container_id: String = string, tag = "1";
        linux: Option<LinuxContainerResources> = message, optional, tag = "2";
    }

    /// Executes a command and waits for it, for so many seconds.
    ExecSync {
        container_id: String = string, tag = "1";
        cmd: Vec<String> = string, repeated, tag = "2";
        timeout: i64 = int64, tag = "3";
    }
    ExecSyncResponse {
        stdout: Vec<u8> = bytes = "vec", tag = "1";
        stderr: Vec<u8> = bytes = "vec", tag = "2";
        exit_code: i32 = int32, tag = "3";
    }
    /// Where a command can be executed with its streams.
    Exec {
        container_id: String = string, tag = "1";
        cmd: Vec<String> = string, repeated, tag = "2";
        tty: bool = bool, tag = "3";
        stdin: bool = bool, tag = "4";
        stdout: bool = bool, tag = "5";
        stderr: bool = bool, tag = "6";
    }
    /// Where a container's own streams are.
    Attach {
        container_id: String = string, tag = "1";
        stdin: bool = bool, tag = "2";
        tty: bool = bool, tag = "3";
        stdout: bool = bool, tag = "4";
        stderr: bool = bool, tag = "5";
    }
    Url { url: String = string, tag = "1"; }
}
