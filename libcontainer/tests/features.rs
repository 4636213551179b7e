//! The features document says no more and no less than what a configuration can have.
//!
//! For every statement a configuration is compiled; no root, no container, no machine.

use libcontainer::spec::{Features, Namespace, Seccomp, Spec};
use libcontainer::{Bundle, CgroupManager, Cgroups, Host, Options, Plan, features_document};
use serde_json::{Value, json};

/// What a configuration's check finds, or nothing. `change` has the configuration as JSON.
fn faults(host: &Host, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut config = serde_json::to_value(Spec::example()).unwrap();
    change(&mut config);
    let spec = Spec::parse(config.to_string().as_bytes()).unwrap();
    let bundle = Bundle::from_spec("/", spec).unwrap();
    let id = "features".parse().unwrap();
    match Plan::create(&bundle, &id, &Options::default(), host) {
        Ok(plan) => plan.warnings().iter().map(ToString::to_string).collect(),
        Err(error) => error.faults().iter().map(ToString::to_string).collect(),
    }
}

fn checked(change: impl FnOnce(&mut Value)) -> Vec<String> {
    faults(&Host::example(), change)
}

/// Whether a configuration with this member is refused for exactly this member.
fn is_refused(pointer: &str, value: Value) -> bool {
    let found = checked(|config| {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[name] = value;
    });
    assert!(found.iter().all(|fault| fault.contains(pointer)), "{pointer}: {found:?}");
    found.iter().any(|fault| fault.contains("not supported yet"))
}

/// What is found about a mount with these options; `bound` is a bind mount.
fn with_options(options: &[&str], bound: bool) -> Vec<String> {
    let mut mount = json!({
        "destination": "/mnt", "type": "tmpfs", "source": "/", "options": options,
    });
    if bound {
        mount["options"].as_array_mut().unwrap().insert(0, "bind".into());
    }
    if options.iter().any(|option| option.ends_with("idmap")) {
        let mapping = json!([{ "containerID": 0, "hostID": 1000, "size": 1 }]);
        mount["uidMappings"] = mapping.clone();
        mount["gidMappings"] = mapping;
    }
    checked(|config| config["mounts"].as_array_mut().unwrap().push(mount))
}

#[test]
fn every_version_between_the_two_is_accepted() {
    let document = features_document();
    for version in [&document.oci_version_min, &document.oci_version_max] {
        let found = checked(|config| config["ociVersion"] = version.as_str().into());
        assert_eq!(found, [""; 0], "{version}");
    }
    for version in ["0.9.9", "2.0.0"] {
        assert_eq!(checked(|config| config["ociVersion"] = version.into()).len(), 1, "{version}");
    }
}

#[test]
fn every_hook_is_run() {
    let hook = |path: &str| json!([{ "path": path }]);
    let document = features_document();
    assert_eq!(document.hooks.len(), 6);
    for moment in document.hooks {
        let found = checked(|config| config["hooks"] = json!({ &*moment: hook("/bin/true") }));
        assert_eq!(found, [""; 0], "{moment}");
        // An unknown moment would be skipped, and with it what is wrong.
        let found = checked(|config| config["hooks"] = json!({ &*moment: hook("true") }));
        assert_eq!(found.len(), 1, "{moment}");
    }
}

#[test]
fn every_mount_option_is_understood_and_none_is_taken_for_one_of_the_file_system() {
    const SUPERBLOCK: [&str; 10] = [
        "async",
        "dirsync",
        "iversion",
        "lazytime",
        "mand",
        "noacl",
        "noiversion",
        "nolazytime",
        "nomand",
        "sync",
    ];
    const FOR_BINDS: [&str; 3] = ["copy-symlink", "dest-nofollow", "src-nofollow"];
    let named = features_document().mount_options;
    for option in named.iter().map(String::as_str) {
        let new = with_options(&[option], false);
        let expected = usize::from(FOR_BINDS.contains(&option) || option == "noacl");
        assert_eq!(new.len(), expected, "{option}: {new:?}");
        // A bind mount takes no parameter of a file system, so what it takes is understood.
        let bound = with_options(&[option], true);
        let expected = usize::from(SUPERBLOCK.contains(&option) || option == "tmpcopyup");
        assert_eq!(bound.len(), expected, "{option}: {bound:?}");
        assert!(!bound.iter().any(|found| found.contains("is no option")), "{option}: {bound:?}");
    }
    assert!(named.is_sorted() && named.windows(2).all(|pair| pair[0] != pair[1]), "{named:?}");
}

#[test]
fn every_mount_option_of_the_specification_is_named() {
    // config.md, "Linux mount options"; the last lines are what runc and crun have besides.
    let table = "async atime bind defaults dev diratime dirsync exec idmap iversion lazytime loud \
        mand noatime nodev nodiratime noexec noiversion nolazytime nomand norelatime \
        nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime relatime remount \
        rexec ridmap rnoatime rnodev rnodiratime rnoexec rnorelatime rnostrictatime rnosuid \
        rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow \
        runbindable rw shared silent slave strictatime suid symfollow sync tmpcopyup unbindable \
        acl noacl copy-symlink dest-nofollow src-nofollow";
    let named = features_document().mount_options;
    let mut table: Vec<&str> = table.split_whitespace().collect();
    table.sort_unstable();
    assert_eq!(named, table);
}

#[test]
fn every_namespace_can_be_had_and_no_other() {
    let named = features_document().linux.namespaces;
    let have = |kind: &str| {
        let namespace = Namespace { kind: kind.to_owned(), path: None };
        let namespace = serde_json::to_value(namespace).unwrap();
        checked(|config| {
            let list = config["linux"]["namespaces"].as_array_mut().unwrap();
            list.retain(|other| other["type"] != kind);
            list.push(namespace);
            if kind == "user" {
                let mapping = json!([{ "containerID": 0, "hostID": 1000, "size": 65536 }]);
                config["linux"]["uidMappings"] = mapping.clone();
                config["linux"]["gidMappings"] = mapping;
            }
        })
    };
    for kind in ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"] {
        let found = have(kind);
        assert_eq!(named.iter().any(|known| known == kind), found.is_empty(), "{kind}: {found:?}");
    }
    assert_eq!(have("moon").len(), 1);
}

#[test]
fn every_mode_and_flag_of_memory_policies_is_taken() {
    let document = features_document().linux.memory_policy;
    assert_eq!((document.modes.len(), document.flags.len()), (7, 3));
    let policy = |mode: &str, flags: &[&str]| {
        let nodes = if ["MPOL_DEFAULT", "MPOL_LOCAL"].contains(&mode) { "" } else { "0" };
        let policy = json!({ "mode": mode, "nodes": nodes, "flags": flags });
        checked(|config| config["linux"]["memoryPolicy"] = policy)
    };
    for mode in &document.modes {
        assert_eq!(policy(mode, &[]), [""; 0], "{mode}");
    }
    for flag in &document.flags {
        assert_eq!(policy("MPOL_BIND", &[flag]), [""; 0], "{flag}");
    }
    assert_eq!((policy("MPOL_MOON", &[]).len(), policy("MPOL_BIND", &["MPOL_F_X"]).len()), (1, 1));
}

#[test]
fn every_capability_can_be_given_and_no_other() {
    let give = |name: &str| {
        checked(|config| {
            let process = &mut config["process"];
            process["capabilities"] = json!({ "bounding": [name], "permitted": [name] });
        })
    };
    let named = features_document().linux.capabilities;
    assert_eq!(named.len(), 41);
    for name in named {
        assert_eq!(give(&name), [""; 0], "{name}");
    }
    assert_ne!(give("CAP_MOON"), [""; 0]);
}

#[test]
fn cgroups_of_both_versions_are_made_and_rdma_is_limited() {
    let document = features_document().linux.cgroup;
    let (v1, v2) = (Host::example(), Host { cgroups: Cgroups::example_v2(), ..Host::example() });
    for (promised, host) in [(document.v1, v1), (document.v2, v2)] {
        let found = faults(&host, |config| {
            let resources = &mut config["linux"]["resources"];
            resources["memory"] = json!({ "limit": 64 << 20 });
            resources["rdma"] = json!({ "mlx5": { "hcaHandles": 3 } });
        });
        assert_eq!((promised, document.rdma, found), (true, true, Vec::new()));
    }
}

#[test]
fn what_is_called_disabled_is_refused_and_what_is_enabled_is_not() {
    let linux = features_document().linux;
    let mapping = json!([{ "containerID": 0, "hostID": 1000, "size": 1 }]);
    let idmapped = json!({
        "destination": "/mnt", "source": "/", "options": ["bind"], "uidMappings": mapping,
        "gidMappings": mapping,
    });
    let memory_policy = !linux.memory_policy.modes.is_empty();
    for (enabled, pointer, value) in [
        (linux.seccomp.enabled, "/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_ALLOW" })),
        (
            true,
            "/linux/seccomp",
            json!({ "defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/a" }),
        ),
        (linux.apparmor.enabled, "/process/apparmorProfile", json!("unconfined")),
        (true, "/process/selinuxLabel", json!("system_u:system_r:a_t:s0")),
        (linux.selinux.enabled, "/linux/mountLabel", json!("system_u:object_r:a_t:s0")),
        (linux.intel_rdt.enabled, "/linux/intelRdt", json!({ "closID": "one" })),
        (linux.intel_rdt.schemata, "/linux/intelRdt", json!({ "schemata": ["L3:0=f"] })),
        (linux.intel_rdt.monitoring, "/linux/intelRdt", json!({ "enableMonitoring": true })),
        (linux.net_devices.enabled, "/linux/netDevices", json!({ "eth9": {} })),
        (memory_policy, "/linux/memoryPolicy", json!({ "mode": "MPOL_LOCAL" })),
        (linux.mount_extensions.idmap.enabled, "/mounts", json!([idmapped])),
    ] {
        assert_eq!(enabled, !is_refused(pointer, value), "{pointer}");
    }
    assert_eq!(linux.seccomp.enabled, !linux.seccomp.actions.is_empty());
    assert!(linux.cgroup.systemd && linux.cgroup.systemd_user);
}

#[test]
fn every_annotation_that_is_announced_is_looked_at_and_no_other() {
    let named = features_document().potentially_unsafe_config_annotations;
    assert_eq!(named.len(), 16);
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["nothing_such"], "action": "SCMP_ACT_LOG" }],
    });
    let profile: Option<Seccomp> = serde_json::from_value(profile).unwrap();
    let options = Options { cgroup_manager: CgroupManager::Systemd, ..Options::default() };
    let faults = |name: &str| -> Vec<String> {
        let mut spec = Spec::example();
        spec.annotations.insert(name.to_owned(), "moon".to_owned());
        spec.linux.get_or_insert_default().seccomp.clone_from(&profile);
        let (bundle, id) = (Bundle::from_spec("/", spec).unwrap(), "features".parse().unwrap());
        let plan = Plan::create(&bundle, &id, &options, &Host::example());
        plan.err().map_or_else(Vec::new, |e| e.faults().iter().map(ToString::to_string).collect())
    };
    // A value that is none shows that somebody looks.
    for name in named {
        let name = if name.ends_with('.') { format!("{name}Moon") } else { name };
        let found = faults(&name);
        assert!(found.len() == 1 && found[0].contains(&name), "{name}: {found:?}");
    }
    for name in ["org.keel.landlock.x", "org.systemd.property", "org.example.key", "bundle"] {
        assert_eq!(faults(name), [""; 0], "{name}");
    }
}

#[test]
#[cfg(feature = "oci-spec")]
fn the_document_has_the_shape_of_the_specification() {
    let document = serde_json::to_value(features_document()).unwrap();
    let theirs: oci_spec::runtime::Features = serde_json::from_value(document.clone()).unwrap();
    let back = serde_json::to_value(theirs).unwrap();
    assert_eq!(without_null(back), document);
    let read: Features = serde_json::from_value(document).unwrap();
    assert_eq!(read, features_document());
}

/// The document without absent members, which oci-spec writes as null.
#[cfg(feature = "oci-spec")]
fn without_null(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, member)| !member.is_null())
            .map(|(name, member)| (name, without_null(member)))
            .collect(),
        other => other,
    }
}
