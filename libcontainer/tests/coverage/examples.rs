//! Configurations that together have every property of the specification.

use libcontainer::spec::Spec;
use libcontainer::{Cgroups, Host};
use serde_json::{Value, json};

/// The least that is a configuration.
pub(crate) fn minimal() -> Value {
    json!({
        "ociVersion": "1.3.0",
        "root": { "path": "rootfs" },
        "process": { "cwd": "/", "args": ["true"], "user": { "uid": 0, "gid": 0 } },
        "linux": { "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "network" }] },
    })
}

/// Name, configuration, machine.
pub(crate) fn all() -> Vec<(&'static str, Value, Host)> {
    let v2 = Host { cgroups: Cgroups::example_v2(), ..Host::example() };
    vec![
        ("process", process(), Host::example()),
        ("deadline", deadline(), Host::example()),
        ("linux", linux(), Host::example()),
        ("limits of v1", limits(), Host::example()),
        ("unified", unified(), v2.clone()),
        ("namespaces", namespaces(), v2),
        ("listener", listener(), Host::example()),
    ]
}

/// The usual configuration with more.
fn with(more: Value) -> Value {
    let mut config = serde_json::to_value(Spec::example()).unwrap();
    merge(&mut config, more);
    config
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

fn hook() -> Value {
    json!([{ "path": "/hook", "args": ["hook"], "env": ["A=b"], "timeout": 5 }])
}

fn process() -> Value {
    with(json!({
        "annotations": { "org.example.key": "value" },
        "domainname": "example.org",
        "process": {
            "terminal": true,
            "consoleSize": { "height": 25, "width": 80 },
            "user": { "uid": 1000, "gid": 1000, "additionalGids": [5], "umask": 18 },
            "capabilities": {
                "bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"],
                "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"],
            },
            "apparmorProfile": "profile",
            "selinuxLabel": "u:r:t:s0",
            "oomScoreAdj": 5,
            "scheduler": {
                "policy": "SCHED_RR", "priority": 5, "nice": 0,
                "flags": ["SCHED_FLAG_RESET_ON_FORK"],
            },
            "ioPriority": { "class": "IOPRIO_CLASS_BE", "priority": 4 },
            "execCPUAffinity": { "initial": "0", "final": "0-1" },
        },
        "hooks": {
            "prestart": hook(), "createRuntime": hook(), "createContainer": hook(),
            "startContainer": hook(), "poststart": hook(), "poststop": hook(),
        },
    }))
}

fn deadline() -> Value {
    let times = json!({
        "policy": "SCHED_DEADLINE", "runtime": 2_000_000, "deadline": 5_000_000,
        "period": 10_000_000,
    });
    with(json!({ "process": { "scheduler": times } }))
}

fn linux() -> Value {
    let mut config = with(json!({
        "linux": {
            "cgroupsPath": "/covered",
            "rootfsPropagation": "slave",
            "mountLabel": "u:r:t:s0",
            "sysctl": { "net.ipv4.ip_forward": "1" },
            "personality": { "domain": "LINUX", "flags": [] },
            "memoryPolicy": {
                "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"],
            },
            "devices": [{
                "type": "c", "path": "/dev/fuse", "major": 10, "minor": 229, "fileMode": 438,
                "uid": 0, "gid": 0,
            }],
            "netDevices": { "eth0": { "name": "eth1" } },
            "intelRdt": {
                "closID": "class", "schemata": ["L3:0=f"], "l3CacheSchema": "L3:0=f",
                "memBwSchema": "MB:0=50", "enableMonitoring": true,
            },
            "timeOffsets": {
                "monotonic": { "secs": 5, "nanosecs": 5 }, "boottime": { "secs": 5, "nanosecs": 5 },
            },
        },
    }));
    let bind = json!({
        "type": "bind", "source": "/srv", "destination": "/srv", "options": ["rbind", "ro"],
    });
    config["mounts"].as_array_mut().unwrap().push(bind);
    config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "time" }));
    config
}

fn limits() -> Value {
    let device = json!([{ "major": 8, "minor": 0, "rate": 1000 }]);
    with(json!({ "linux": { "resources": {
        "devices": [
            { "allow": false, "access": "rwm" },
            { "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw" },
        ],
        "memory": {
            "limit": 1_000_000_000, "reservation": 1_000_000, "swap": 2_000_000_000,
            "kernel": 1_000_000, "kernelTCP": 1_000_000, "swappiness": 5,
            "disableOOMKiller": true, "useHierarchy": true, "checkBeforeUpdate": true,
        },
        "cpu": {
            "shares": 512, "quota": 10_000, "period": 100_000, "burst": 1000, "idle": 0,
            "realtimeRuntime": 1000, "realtimePeriod": 100_000, "cpus": "0", "mems": "0",
        },
        "pids": { "limit": 100 },
        "blockIO": {
            "weight": 100, "leafWeight": 100,
            "weightDevice": [{ "major": 8, "minor": 0, "weight": 100, "leafWeight": 100 }],
            "throttleReadBpsDevice": device, "throttleWriteBpsDevice": device,
            "throttleReadIOPSDevice": device, "throttleWriteIOPSDevice": device,
        },
        "hugepageLimits": [{ "pageSize": "2MB", "limit": 2_097_152 }],
        "network": { "classID": 1, "priorities": [{ "name": "lo", "priority": 5 }] },
        "rdma": { "mlx5_0": { "hcaHandles": 3, "hcaObjects": 100 } },
    } } }))
}

fn unified() -> Value {
    with(json!({ "linux": { "resources": { "unified": { "memory.high": "1000000" } } } }))
}

fn namespaces() -> Value {
    let ids = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    let mut config = with(json!({ "linux": { "uidMappings": ids, "gidMappings": ids } }));
    let list = config["linux"]["namespaces"].as_array_mut().unwrap();
    list.retain(|namespace| namespace["type"] != "ipc");
    list.push(json!({ "type": "ipc", "path": "/proc/1/ns/ipc" }));
    list.push(json!({ "type": "user" }));
    let mapped = json!({
        "type": "bind", "source": "/srv", "destination": "/srv", "options": ["bind", "idmap"],
        "uidMappings": ids, "gidMappings": ids,
    });
    let mounts = config["mounts"].as_array_mut().unwrap();
    // It belongs to the IPC namespace, over which a new user namespace has no power.
    mounts.retain(|mount| mount["type"] != "mqueue");
    mounts.push(mapped);
    config
}

fn listener() -> Value {
    with(json!({ "linux": { "seccomp": {
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64"], "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "listenerPath": "/run/agent", "listenerMetadata": "text",
        "syscalls": [
            { "names": ["read"], "action": "SCMP_ACT_NOTIFY" },
            { "names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": [
                { "index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": 1, "valueTwo": 1 },
            ] },
        ],
    } } }))
}
