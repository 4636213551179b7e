//! Golden plans: what a configuration is compiled into, as `keel explain` prints it.
//!
//! No root, no container, no machine: a plan depends on configuration, options and the given facts
//! alone. A change of behaviour shows as a change of a text below `tests/plans/`; when it is meant,
//! `BLESS=1 cargo test -p libcontainer --test plans` writes the texts anew.

#[path = "plans/intel_rdt.rs"]
mod intel_rdt;
#[path = "plans/mounts.rs"]
mod mounts;
#[path = "plans/net_devices.rs"]
mod net_devices;
#[path = "plans/scheduling.rs"]
mod scheduling;
#[path = "plans/user_namespaces.rs"]
mod user_namespaces;

use std::path::{Path, PathBuf};

use libcontainer::spec::{Hook, IdMapping, Mount, Namespace, Seccomp, Spec};
use libcontainer::{Bundle, CgroupManager, Cgroups, Host, Options, Plan, SecurityModules};
use user_namespaces::ordinary;

/// A configuration to compile, and for whom.
struct Case {
    name: String,
    spec: Spec,
    options: Options,
    host: Host,
    exec: bool,
}

impl Case {
    fn new(name: &str, edit: impl FnOnce(&mut Case)) -> Self {
        let mut case = Self {
            name: name.to_owned(),
            spec: Spec::example(),
            options: Options::default(),
            host: Host::example(),
            exec: false,
        };
        edit(&mut case);
        case
    }

    fn text(&self) -> String {
        let bundle = Bundle::from_spec("/", self.spec.clone()).unwrap();
        let id = "golden".parse().unwrap();
        let compile = if self.exec { Plan::exec } else { Plan::create };
        match compile(&bundle, &id, &self.options, &self.host) {
            Ok(plan) => plan.explain().to_string(),
            Err(error) => {
                let faults = error.faults().iter().map(|fault| format!("fault: {fault}\n"));
                faults.collect::<String>()
            }
        }
    }
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// Every configuration that a real engine wrote.
fn engines() -> Vec<Case> {
    let mut files: Vec<PathBuf> =
        data("spec/engines").read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let case = |path: PathBuf| {
        let name = format!("engine-{}", path.file_stem().unwrap().to_string_lossy());
        let text = std::fs::read(&path).unwrap();
        Case::new(&name, |case| {
            case.spec = Spec::parse(&text).unwrap();
            case.host.user_namespace = name.contains("rootless");
        })
    };
    files.into_iter().map(case).collect()
}

fn namespaces(case: &mut Case) -> &mut Vec<Namespace> {
    &mut case.spec.linux.as_mut().unwrap().namespaces
}

fn join(case: &mut Case, kind: &str, path: &str) {
    namespaces(case).retain(|namespace| namespace.kind != kind);
    namespaces(case).push(Namespace { kind: kind.into(), path: Some(path.into()) });
}

fn create(case: &mut Case, kind: &str) {
    namespaces(case).push(Namespace { kind: kind.into(), path: None });
}

fn bind(source: &str, destination: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.into(),
        kind: Some("bind".into()),
        source: Some(source.into()),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..Mount::default()
    }
}

fn hook(path: &str) -> Vec<Hook> {
    vec![Hook { path: path.into(), timeout: Some(5), ..Hook::default() }]
}

fn user_namespace(case: &mut Case) {
    create(case, "user");
    let mapping = vec![IdMapping { container_id: 0, host_id: 100_000, size: 65_536 }];
    let linux = case.spec.linux.as_mut().unwrap();
    (linux.uid_mappings, linux.gid_mappings) = (mapping.clone(), mapping);
}

fn made() -> Vec<Case> {
    let mut cases = machines();
    cases.extend(namespaces_cases());
    cases.extend(file_cases());
    cases.extend(mounts::mount_cases());
    cases.extend(process_cases());
    cases.extend(scheduling::scheduling_cases());
    cases.extend(scheduling::time_cases());
    cases.extend(net_devices::cases());
    cases.extend(intel_rdt::cases());
    cases.extend(user_namespaces::cases());
    cases
}

fn machines() -> Vec<Case> {
    vec![
        Case::new("v1", |_| {}),
        Case::new("v2", |case| {
            case.host.cgroups = Cgroups::example_v2();
            case.spec = Spec::example_for(true);
        }),
        Case::new("v2-hosts-cgroup-namespace", |case| {
            case.host.cgroups = Cgroups::example_v2();
        }),
        Case::new("v2-delegated", |case| {
            case.host.cgroups = Cgroups::example_v2();
            let mappings = vec![IdMapping { container_id: 0, host_id: 100_000, size: 65_536 }];
            create(case, "user");
            create(case, "cgroup");
            let linux = case.spec.linux.as_mut().unwrap();
            linux.uid_mappings.clone_from(&mappings);
            linux.gid_mappings = mappings;
            let cgroups = case.spec.mounts.iter_mut().find(|m| m.kind.as_deref() == Some("cgroup"));
            cgroups.unwrap().options.retain(|option| option != "ro");
        }),
        Case::new("hybrid", |case| case.host.cgroups = Cgroups::example_hybrid()),
        Case::new("v1-cgroup-namespace", |case| create(case, "cgroup")),
        Case::new("cgroups-disabled", |case| {
            case.options.cgroup_manager = CgroupManager::Disabled;
        }),
        Case::new("unprivileged-v2", |case| {
            ordinary(case);
            case.host.cgroups = Cgroups::example_v2();
        }),
    ]
}

fn namespaces_cases() -> Vec<Case> {
    vec![
        Case::new("user-namespace", user_namespace),
        Case::new("user-namespace-with-hosts-network", |case| {
            user_namespace(case);
            join(case, "network", "/run/netns/web");
        }),
        Case::new("joined-pid", |case| join(case, "pid", "/proc/7/ns/pid")),
        Case::new("joined-pid-in-a-user-namespace", |case| {
            join(case, "pid", "/proc/7/ns/pid");
            case.host.user_namespace = true;
        }),
        Case::new("in-a-user-namespace-and-not-rootless", |case| {
            case.host.cgroups = Cgroups::example_v2();
            case.host.user_namespace = true;
            case.options.rootless = Some(false);
        }),
        Case::new("joined-pid-with-hooks", |case| {
            join(case, "pid", "/proc/7/ns/pid");
            let hooks = case.spec.hooks.get_or_insert_default();
            hooks.create_container = hook("/hooks/create-container");
        }),
        Case::new("joined-user", |case| {
            join(case, "user", "/proc/7/ns/user");
            join(case, "network", "/proc/7/ns/net");
        }),
        Case::new("joined-all", |case| {
            for kind in ["pid", "network", "ipc", "uts", "cgroup"] {
                join(case, kind, &format!("/proc/7/ns/{kind}"));
            }
        }),
        Case::new("no-mount-namespace", |case| {
            namespaces(case).retain(|namespace| namespace.kind != "mount");
            case.spec.mounts.clear();
            case.spec.root.as_mut().unwrap().readonly = false;
            let linux = case.spec.linux.as_mut().unwrap();
            linux.masked_paths.clear();
            linux.readonly_paths.clear();
        }),
        Case::new("exec", |case| case.exec = true),
        Case::new("exec-user-namespace", |case| {
            user_namespace(case);
            case.exec = true;
        }),
    ]
}

fn file_cases() -> Vec<Case> {
    vec![
        Case::new("no-pivot", |case| case.options.no_pivot = true),
        Case::new("propagation", |case| {
            let linux = case.spec.linux.as_mut().unwrap();
            linux.rootfs_propagation = Some("rshared".into());
            case.spec.mounts.push(bind("/srv", "/srv", &["rbind", "rshared"]));
            case.spec.mounts.push(bind("/data", "/data", &["bind", "rro", "rslave", "noatime"]));
        }),
        Case::new("readonly-dev", |case| case.spec.mounts[1].options.push("ro".into())),
        Case::new("hosts-dev", |case| {
            case.spec.mounts[1] = bind("/dev", "/dev", &["rbind"]);
        }),
        Case::new("many-binds", |case| {
            for i in 0..250 {
                let (source, target) = (format!("/host/{i}"), format!("/inside/{i}"));
                case.spec.mounts.push(bind(&source, &target, &["bind"]));
            }
        }),
        Case::new("bad-mounts", |case| {
            case.spec.mounts = vec![
                bind("/srv", "/", &["bind"]),
                bind("/srv", "/proc/self", &["bind"]),
                bind("", "/x", &["bind", "size=1", "idmap"]),
                Mount { destination: "y".into(), ..Mount::default() },
                Mount { destination: String::new(), ..Mount::default() },
                Mount {
                    destination: "/proc".into(),
                    kind: Some("tmpfs".into()),
                    ..Mount::default()
                },
            ];
        }),
    ]
}

fn process_cases() -> Vec<Case> {
    vec![
        Case::new("hooks", |case| {
            let hooks = case.spec.hooks.get_or_insert_default();
            hooks.prestart = hook("/hooks/prestart");
            hooks.create_runtime = hook("/hooks/create-runtime");
            hooks.create_container = hook("/hooks/create-container");
            hooks.start_container = hook("/hooks/start-container");
            hooks.poststart = hook("/hooks/poststart");
            hooks.poststop = hook("/hooks/poststop");
        }),
        Case::new("terminal", |case| {
            let process = case.spec.process.as_mut().unwrap();
            process.terminal = true;
            let size = libcontainer::spec::ConsoleSize { height: 25, width: 80 };
            process.console_size = Some(size);
        }),
        Case::new("user-and-descriptors", |case| {
            (case.options.preserved_fds, case.options.listen_fds) = (3, 2);
            let process = case.spec.process.as_mut().unwrap();
            process.user.uid = 1000;
            process.user.additional_gids = vec![5, 6];
            process.user.umask = Some(0o077);
            process.oom_score_adj = Some(100);
            process.args = vec!["server".into(), "--listen".into()];
            process.env.push("HOME=/srv".into());
        }),
        Case::new("notify-socket", |case| case.options.notify_socket = true),
        Case::new("notify-socket-without-mount-namespace", |case| {
            case.options.notify_socket = true;
            namespaces(case).retain(|namespace| namespace.kind != "mount");
            case.spec.mounts.clear();
            case.spec.root.as_mut().unwrap().readonly = false;
            let linux = case.spec.linux.as_mut().unwrap();
            linux.masked_paths.clear();
            linux.readonly_paths.clear();
        }),
        Case::new("sysctl", |case| {
            let sysctl = &mut case.spec.linux.as_mut().unwrap().sysctl;
            sysctl.insert("net.ipv4.ip_forward".into(), "1".into());
            sysctl.insert("kernel.shm_rmid_forced".into(), "1".into());
        }),
        Case::new("labels", |case| {
            let process = case.spec.process.as_mut().unwrap();
            process.apparmor_profile = Some("strict".into());
            process.selinux_label = Some("system_u:system_r:container_t:s0:c1,c2".into());
        }),
        Case::new("landlock", landlock),
        Case::new("landlock-without-no-new-privileges", |case| {
            landlock(case);
            case.spec.process.as_mut().unwrap().no_new_privileges = false;
        }),
        Case::new("landlock-of-a-process-that-is-added", |case| {
            landlock(case);
            case.exec = true;
        }),
        Case::new("landlock-on-an-old-kernel", |case| {
            landlock(case);
            case.host.landlock = 1;
        }),
        Case::new("landlock-with-faults", |case| {
            landlock(case);
            let text = case.spec.annotations.values_mut().next().unwrap();
            *text = text.replace("\"truncate\"", "\"cut\"").replace("/usr", "usr");
        }),
        Case::new("labels-of-everything", |case| {
            label_everything(case);
            case.options.notify_socket = true;
            let own = Mount {
                destination: "/own".into(),
                kind: Some("tmpfs".into()),
                options: vec!["context=\"system_u:object_r:own_t:s0:c1,c2\"".into()],
                ..Mount::default()
            };
            case.spec.mounts.push(own);
        }),
        Case::new("labels-in-joined-pid-namespace", |case| {
            label_everything(case);
            case.options.notify_socket = true;
            join(case, "pid", "/proc/7/ns/pid");
        }),
        Case::new("labels-in-user-namespace", |case| {
            label_everything(case);
            user_namespace(case);
        }),
        Case::new("labels-of-exec", |case| {
            label_everything(case);
            case.exec = true;
        }),
        Case::new("labels-under-a-profile", |case| {
            case.spec.process.as_mut().unwrap().apparmor_profile = Some("strict".into());
            case.host.security.confined = true;
        }),
        Case::new("annotations-of-crun", annotations_of_crun),
        Case::new("annotations-about-cgroups", |case| {
            case.host.cgroups = Cgroups::example_v2();
            case.options.cgroup_manager = CgroupManager::Systemd;
            case.spec.linux.as_mut().unwrap().cgroups_path = Some("a.slice:keel:golden".into());
            create(case, "cgroup");
            for (name, value) in [("systemd.subgroup", "inner"), ("delegate-cgroup", "payload")] {
                case.spec.annotations.insert(format!("run.oci.{name}"), value.into());
            }
        }),
        Case::new("annotations-that-are-refused", |case| {
            let cgroups = ["delegate-cgroup", "systemd.subgroup", "systemd.force_cgroup_v1"];
            for name in [&["handler", "keep_original_groups", "hooks.stdout", "moon"][..], &cgroups]
                .concat()
            {
                case.spec.annotations.insert(format!("run.oci.{name}"), "moon".into());
            }
        }),
        Case::new("labels-without-modules", |case| {
            label_everything(case);
            case.spec.process.as_mut().unwrap().apparmor_profile = Some("strict".into());
            case.host.security = SecurityModules::default();
        }),
        Case::new("labels-that-are-none", |case| {
            label_everything(case);
            case.spec.process.as_mut().unwrap().selinux_label = Some("exec strict".into());
            case.spec.linux.as_mut().unwrap().mount_label = Some("container_file_t".into());
        }),
        Case::new("all-faults-at-once", all_faults),
    ]
}

/// Rules of Landlock, hooks that come before them, and a filter that comes after.
fn landlock(case: &mut Case) {
    let rules = r#"{
        "ruleset": { "handledAccessFS": ["execute", "write_file", "read_file", "truncate"] },
        "rules": { "pathBeneath": [
            { "allowedAccess": ["execute", "read_file"], "paths": ["/bin", "/usr"] },
            { "allowedAccess": ["write_file", "read_file", "truncate"], "paths": ["/tmp"] },
            { "allowedAccess": ["truncate"], "paths": ["/var/log"] }
        ] }
    }"#;
    case.spec.annotations.insert("org.keel.landlock".into(), rules.into());
    case.spec.hooks.get_or_insert_default().start_container = hook("/hooks/start-container");
    case.spec.linux.as_mut().unwrap().seccomp =
        Some(Seccomp { default_action: "SCMP_ACT_ALLOW".into(), ..Seccomp::default() });
}

/// Annotations that change the plan, with hooks inside.
fn annotations_of_crun(case: &mut Case) {
    label_everything(case);
    create(case, "time");
    for (name, value) in [
        ("keep_original_groups", "1"),
        ("hooks.stderr", "/var/log/hooks"),
        ("timens_offset", "7 60 0"),
        ("mount_context_type", "rootcontext"),
    ] {
        case.spec.annotations.insert(format!("run.oci.{name}"), value.into());
    }
    let hooks = case.spec.hooks.get_or_insert_default();
    hooks.create_container = hook("/hooks/create-container");
    hooks.start_container = hook("/hooks/start-container");
}

/// A configuration with the labels of SELinux that engines give.
fn label_everything(case: &mut Case) {
    let process = case.spec.process.as_mut().unwrap();
    process.selinux_label = Some("system_u:system_r:container_t:s0:c1,c2".into());
    let linux = case.spec.linux.as_mut().unwrap();
    linux.mount_label = Some("system_u:object_r:container_file_t:s0:c1,c2".into());
}

fn all_faults(case: &mut Case) {
    case.spec.oci_version = "2".into();
    case.spec.root = None;
    create(case, "pid");
    create(case, "moon");
    let linux = case.spec.linux.as_mut().unwrap();
    linux.sysctl.insert("kernel.core_pattern".into(), "|/bin/sh".into());
    linux.sysctl.insert("net.ipv4/../../kernel/core_pattern".into(), "x".into());
    linux.masked_paths.push("relative".into());
    linux.cgroups_path = Some("/a/../../b".into());
    let process = case.spec.process.as_mut().unwrap();
    process.cwd = "relative".into();
    process.args.clear();
    process.env.push("novalue".into());
    process.rlimits.push(process.rlimits[0].clone());
    process.oom_score_adj = Some(5000);
    let capabilities = process.capabilities.as_mut().unwrap();
    capabilities.bounding.push("CAP_MOON".into());
}

#[test]
fn every_configuration_compiles_to_its_golden_plan() {
    let bless = std::env::var_os("BLESS").is_some();
    let cases: Vec<Case> = engines().into_iter().chain(made()).collect();
    assert!(cases.len() >= 25, "there are {} cases", cases.len());
    let mut different = Vec::new();
    for case in &cases {
        let (path, text) = (data(&format!("plans/{}.plan", case.name)), case.text());
        if bless {
            let mut options = std::fs::OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).open(&path);
            std::io::Write::write_all(&mut file.unwrap(), text.as_bytes()).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if text != expected {
            let changed = text.lines().zip(expected.lines()).find(|(a, b)| a != b);
            different.push(format!("{}: {changed:?}", case.name));
        }
    }
    assert!(different.is_empty(), "plans changed (BLESS=1 accepts them): {different:#?}");
}

#[test]
fn the_same_input_gives_the_same_plan() {
    for case in made() {
        assert_eq!(case.text(), case.text(), "{}", case.name);
    }
}

#[test]
fn a_plan_in_json_has_every_step_of_the_text() {
    let case = Case::new("v1", |_| {});
    let bundle = Bundle::from_spec("/", case.spec.clone()).unwrap();
    let plan =
        Plan::create(&bundle, &"golden".parse().unwrap(), &case.options, &case.host).unwrap();
    let json = plan.explain_json();
    let steps: usize = json["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| phase["steps"].as_array().unwrap().len())
        .sum();
    let numbered = |line: &&str| line.trim_start().starts_with(|c: char| c.is_ascii_digit());
    assert_eq!(steps, plan.explain().to_string().lines().filter(numbered).count());
    assert_eq!(json["phases"][0]["steps"][0]["actor"], "runtime");
}
