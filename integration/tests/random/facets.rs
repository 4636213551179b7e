//! Fields of a configuration at random, and what is to be seen when they have these values.

use std::fs;
use std::path::Path;

use integration::bundle::KINDS;
use integration::cgroups::Layout;
use integration::dice::Dice;
use integration::inside::Inside;
use integration::{Bundle, Scene};
use serde_json::{Value, json};

/// The ids of a user namespace begin here on the host.
const BASE: u64 = 100_000;

/// A running container, as the host sees it.
pub(crate) struct Seen<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) id: &'a str,
    pub(crate) pid: i32,
    pub(crate) cgroup: String,
    /// Its mount table and its status.
    pub(crate) inside: Inside,
    pub(crate) status: Inside,
}

impl Seen<'_> {
    /// What a program inside says.
    fn said(&self, words: &[&str]) -> String {
        self.scene.keel([&["exec", "--user", "0", self.id], words].concat()).run().ok().stdout
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.pid)).unwrap_or_default()
    }

    /// Whether it is in the same namespace as this test.
    fn shares(&self, kind: &str) -> bool {
        let link =
            |who: &str| fs::read_link(format!("/proc/{who}/ns/{kind}")).expect("a namespace");
        link(&self.pid.to_string()) == link("self")
    }
}

pub(crate) type Check = Box<dyn Fn(&Seen<'_>)>;

/// A field, or some that belong together: changes a configuration, and says what is to be seen then.
pub(crate) type Facet = fn(&mut Dice, Bundle) -> (Bundle, Check);

pub(crate) const FACETS: [Facet; 22] = [
    user,
    capabilities,
    no_new_privileges,
    limits,
    score,
    environment,
    working_directory,
    tmpfs,
    bind,
    namespaces,
    paths,
    seccomp,
    scheduling,
    personality,
    root,
    device,
    resources,
    names,
    sysctl,
    clocks,
    propagation,
    hooks,
];

fn user(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    let (uid, gid, group) = (dice.of(&[0, 1, 1000, 65_534]), dice.below(3000), dice.below(3000));
    let umask = dice.of(&[0, 0o22, 0o77, 0o777]);
    let user = json!({ "uid": uid, "gid": gid, "additionalGids": [group], "umask": umask });
    let check = move |seen: &Seen<'_>| {
        let base = if seen.shares("user") { 0 } else { BASE };
        let all = |id: u64| [id + base; 4].map(|id| id.to_string()).join("\t");
        assert_eq!(seen.status.field("Uid"), all(uid));
        assert_eq!(seen.status.field("Gid"), all(gid));
        assert_eq!(seen.status.field("Groups"), (group + base).to_string());
        assert_eq!(seen.status.field("Umask"), format!("{umask:04o}"));
    };
    (bundle.set("/process/user", user), Box::new(check))
}

fn capabilities(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    const KNOWN: [(&str, u32); 6] = [
        ("CAP_CHOWN", 0),
        ("CAP_KILL", 5),
        ("CAP_SETUID", 7),
        ("CAP_NET_BIND_SERVICE", 10),
        ("CAP_NET_RAW", 13),
        ("CAP_SYS_CHROOT", 18),
    ];
    let bounding = dice.some(&KNOWN);
    let ambient = dice.some(&bounding);
    let names = |set: &[(&str, u32)]| json!(set.iter().map(|(name, _)| name).collect::<Vec<_>>());
    let bits = |set: &[(&str, u32)]| set.iter().fold(0_u64, |bits, (_, bit)| bits | 1 << bit);
    let sets = json!({
        "bounding": names(&bounding), "effective": names(&bounding),
        "permitted": names(&bounding), "inheritable": names(&ambient), "ambient": names(&ambient),
    });
    let (bounding, ambient) = (bits(&bounding), bits(&ambient));
    let check = move |seen: &Seen<'_>| {
        let field = |name| u64::from_str_radix(&seen.status.field(name), 16).expect("a set");
        assert_eq!(field("CapBnd"), bounding);
        assert_eq!((field("CapInh"), field("CapAmb")), (ambient, ambient));
        assert_eq!(field("CapPrm") & !bounding, 0);
    };
    (bundle.set("/process/capabilities", sets), Box::new(check))
}

fn no_new_privileges(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    let set = dice.chance(2);
    let check = move |seen: &Seen<'_>| {
        assert_eq!(seen.status.field("NoNewPrivs"), u32::from(set).to_string());
    };
    (bundle.set("/process/noNewPrivileges", set), Box::new(check))
}

fn limits(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    let (kind, name) = dice.of(&[
        ("RLIMIT_CORE", "Max core file size"),
        ("RLIMIT_NPROC", "Max processes"),
        ("RLIMIT_SIGPENDING", "Max pending signals"),
        ("RLIMIT_MSGQUEUE", "Max msgqueue size"),
    ]);
    let hard = dice.below(700);
    let soft = dice.below(hard + 1);
    let limits = json!([{ "type": kind, "hard": hard, "soft": soft }]);
    let check = move |seen: &Seen<'_>| {
        let limits = seen.file("limits");
        let line = limits.lines().find(|line| line.starts_with(name)).expect("a limit");
        let words: Vec<&str> = line[name.len()..].split_whitespace().collect();
        assert_eq!(words[..2], [soft.to_string(), hard.to_string()], "{line}");
    };
    (bundle.set("/process/rlimits", limits), Box::new(check))
}

fn score(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    let own = fs::read_to_string("/proc/self/oom_score_adj").expect("a score");
    let own: i64 = own.trim().parse().expect("a number");
    let score = own + dice.below((1001 - own) as u64) as i64;
    let check =
        move |seen: &Seen<'_>| assert_eq!(seen.file("oom_score_adj").trim(), score.to_string());
    (bundle.set("/process/oomScoreAdj", score), Box::new(check))
}

fn environment(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    let variable = format!("RANDOM={}", dice.number());
    let value = variable.clone();
    let check = move |seen: &Seen<'_>| {
        let all = seen.file("environ");
        assert_eq!(all.split('\0').filter(|variable| **variable == value).count(), 1, "{all}");
    };
    (bundle.set("/process/env/-", variable), Box::new(check))
}

fn working_directory(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    let cwd = dice.of(&["/", "/bin", "/tmp", "/proc", "/dev"]);
    let check = move |seen: &Seen<'_>| {
        let link = fs::read_link(format!("/proc/{}/cwd", seen.pid)).expect("a directory");
        assert_eq!(link, Path::new(cwd));
    };
    (bundle.set("/process/cwd", cwd), Box::new(check))
}

fn tmpfs(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    let at = format!("/mnt/tmpfs{}", dice.below(4));
    let options = dice.some(&["ro", "nosuid", "nodev", "noexec", "noatime"]);
    let check = {
        let (at, options) = (at.clone(), options.clone());
        move |seen: &Seen<'_>| {
            let mount = seen.inside.mount(&at);
            assert_eq!(mount.kind, "tmpfs");
            for option in ["ro", "nosuid", "nodev", "noexec", "noatime"] {
                assert_eq!(mount.has(option), options.contains(&option), "{option}: {mount:?}");
            }
            assert!(mount.super_options.iter().any(|option| option == "size=64k"), "{mount:?}");
        }
    };
    let mut all = options;
    all.extend(["size=64k", "mode=1777"]);
    (bundle.mount("tmpfs", "tmpfs", &at, &all), Box::new(check))
}

fn bind(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    let at = format!("/mnt/bind{}", dice.below(4));
    let options = dice.some(&["ro", "nosuid", "nodev", "noexec"]);
    let shared = dice.of(&["rprivate", "rslave", "unbindable"]);
    let check = {
        let (at, options) = (at.clone(), options.clone());
        move |seen: &Seen<'_>| {
            let mount = seen.inside.mount(&at);
            for option in &options {
                assert!(mount.has(option), "{option}: {mount:?}");
            }
            assert!(!mount.shared(), "{mount:?}");
            let unbindable = mount.propagation.iter().any(|kind| kind == "unbindable");
            assert_eq!(unbindable, shared == "unbindable", "{mount:?}");
        }
    };
    let mut all = options;
    all.extend([dice.of(&["bind", "rbind"]), shared]);
    let source = bundle.dir().to_owned();
    (bundle.bind(source, &at, &all), Box::new(check))
}

fn namespaces(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    let wanted = dice.some(&["pid", "network", "ipc", "uts", "cgroup", "time"]);
    let user = dice.chance(3);
    let mut bundle = bundle;
    for kind in ["pid", "network", "ipc", "uts", "cgroup", "time"] {
        bundle = bundle.without_namespace(kind);
        if user || wanted.contains(&kind) {
            bundle = bundle.namespace(kind, None);
        }
    }
    if user {
        bundle = bundle.mapped(100_000).namespace("user", None);
    }
    if !user && !wanted.contains(&"uts") {
        bundle = bundle.unset("/hostname");
    }
    if !user && !wanted.contains(&"network") {
        bundle = bundle.without_mount("/sys");
    }
    let check = move |seen: &Seen<'_>| {
        for (kind, file) in KINDS.iter().filter(|(kind, _)| *kind != "user") {
            assert_eq!(seen.shares(file), !(user || wanted.contains(kind)), "{kind}");
        }
        assert_eq!(seen.shares("user"), !user);
        assert!(!seen.shares("mnt"));
        let map: Vec<String> = seen.file("uid_map").split_whitespace().map(str::to_owned).collect();
        assert_eq!(map[1] == "100000", user, "{map:?}");
    };
    (bundle, Box::new(check))
}

fn paths(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    let masked = dice.some(&["/proc/kcore", "/proc/timer_list", "/proc/keys", "/nonexistent"]);
    let readonly = dice.some(&["/proc/sys", "/proc/irq", "/proc/bus"]);
    let check = {
        let (masked, readonly) = (masked.clone(), readonly.clone());
        move |seen: &Seen<'_>| {
            for path in ["/proc/kcore", "/proc/timer_list", "/proc/keys"] {
                let there = fs::metadata(format!("/proc/{}/root{path}", seen.pid)).is_ok();
                let covered = masked.contains(&path) && there;
                assert_eq!(seen.inside.mounted(path), covered, "{path}");
            }
            for path in &readonly {
                assert!(seen.inside.mount(path).has("ro"), "{path}");
            }
        }
    };
    let bundle = bundle.set("/linux/maskedPaths", masked).set("/linux/readonlyPaths", readonly);
    (bundle, Box::new(check))
}

fn seccomp(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    let action = dice.of(&["SCMP_ACT_ERRNO", "SCMP_ACT_LOG", "SCMP_ACT_KILL_PROCESS"]);
    let call = dice.of(&["vhangup", "swapon", "reboot", "acct"]);
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": [call], "action": action }],
    });
    let check = |seen: &Seen<'_>| assert_eq!(seen.status.field("Seccomp"), "2");
    (bundle.set("/linux/seccomp", profile), Box::new(check))
}

fn scheduling(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    let (nice, batch) = (dice.below(19), dice.chance(2));
    let policy = if batch { "SCHED_BATCH" } else { "SCHED_OTHER" };
    let check = move |seen: &Seen<'_>| {
        let stat = seen.file("stat");
        let fields: Vec<&str> = stat.rsplit_once(") ").expect("stat").1.split(' ').collect();
        assert_eq!(fields[16], nice.to_string(), "nice");
        assert_eq!(fields[38], if batch { "3" } else { "0" }, "policy");
    };
    let scheduler = json!({ "policy": policy, "nice": nice });
    (bundle.set("/process/scheduler", scheduler), Box::new(check))
}

fn personality(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    let narrow = dice.chance(2);
    let domain = if narrow { "LINUX32" } else { "LINUX" };
    let check = move |seen: &Seen<'_>| {
        assert_eq!(seen.file("personality").trim(), if narrow { "00000008" } else { "00000000" });
    };
    (bundle.set("/linux/personality", json!({ "domain": domain })), Box::new(check))
}

fn root(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    let readonly = dice.chance(2);
    let check = move |seen: &Seen<'_>| assert_eq!(seen.inside.mount("/").has("ro"), readonly);
    (bundle.set("/root/readonly", readonly), Box::new(check))
}

fn device(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    use std::os::unix::fs::MetadataExt;
    // There it is the host's that is bound, which has none.
    if bundle.config().pointer("/linux/uidMappings").is_some() {
        return (bundle, Box::new(|_| {}));
    }
    let (minor, mode) = (dice.of(&[3, 5, 7]), dice.of(&[0o600, 0o666, 0o440]));
    let device = json!([{
        "type": "c", "path": "/dev/random-device", "major": 1, "minor": minor, "fileMode": mode,
    }]);
    let check = move |seen: &Seen<'_>| {
        let path = format!("/proc/{}/root/dev/random-device", seen.pid);
        let node = fs::symlink_metadata(path).expect("the device");
        assert_eq!(node.rdev(), 0x100 + minor);
        assert_eq!(node.mode() & 0o777, mode, "{:o}", node.mode());
    };
    (bundle.set("/linux/devices", device), Box::new(check))
}

fn resources(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    let layout = Layout::here();
    if !layout.has("pids") {
        return (bundle, Box::new(|_| {}));
    }
    let limit = 5 + dice.below(1000);
    let check = move |seen: &Seen<'_>| {
        let found = layout.read("pids", &seen.cgroup, "pids.max");
        assert_eq!(found, limit.to_string());
    };
    (bundle.set("/linux/resources/pids", json!({ "limit": limit })), Box::new(check))
}

/// Whether a configuration asks for a new namespace of a kind.
fn creates(bundle: &Bundle, kind: &str) -> bool {
    let list = bundle.config()["linux"]["namespaces"].as_array().expect("namespaces");
    list.iter().any(|namespace| namespace["type"] == kind)
}

fn names(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    if !creates(&bundle, "uts") {
        return (bundle, Box::new(|_| {}));
    }
    let (host, domain) = (format!("host{}", dice.below(1000)), format!("dom{}", dice.below(1000)));
    let bundle = bundle.set("/hostname", host.clone()).set("/domainname", domain.clone());
    let check = move |seen: &Seen<'_>| {
        let said = seen.said(&["cat", "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname"]);
        assert_eq!(said, format!("{host}\n{domain}\n"));
    };
    (bundle, Box::new(check))
}

fn sysctl(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    if !creates(&bundle, "network") {
        return (bundle, Box::new(|_| {}));
    }
    let value = (1 + dice.below(200)).to_string();
    let bundle = bundle.set("/linux/sysctl", json!({ "net.ipv4.ip_default_ttl": value }));
    let check = move |seen: &Seen<'_>| {
        let said = seen.said(&["cat", "/proc/sys/net/ipv4/ip_default_ttl"]);
        assert_eq!(said.trim(), value);
    };
    (bundle, Box::new(check))
}

fn clocks(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    if !creates(&bundle, "time") {
        return (bundle, Box::new(|_| {}));
    }
    let (ahead, further) = (dice.below(100_000), dice.below(1_000_000_000));
    let offsets = json!({ "monotonic": { "secs": ahead, "nanosecs": further } });
    let check = move |seen: &Seen<'_>| {
        let offsets = seen.file("timens_offsets");
        let line = offsets.lines().find(|line| line.starts_with("monotonic")).expect("a clock");
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[1..], [ahead.to_string(), further.to_string()]);
    };
    (bundle.set("/linux/timeOffsets", offsets), Box::new(check))
}

fn propagation(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    let kind = dice.of(&["private", "shared", "unbindable"]);
    let check = move |seen: &Seen<'_>| {
        let root = seen.inside.mount("/");
        assert_eq!(root.shared(), kind == "shared", "{root:?}");
        let unbindable = root.propagation.iter().any(|known| known == "unbindable");
        assert_eq!(unbindable, kind == "unbindable", "{root:?}");
    };
    (bundle.set("/linux/rootfsPropagation", kind), Box::new(check))
}

fn hooks(dice: &mut Dice, bundle: Bundle) -> (Bundle, Check) {
    let kind = dice.of(&["createRuntime", "createContainer", "startContainer", "poststart"]);
    let value = dice.number().to_string();
    let bundle = bundle.set("/annotations/org.example.random", value.clone());
    let check = move |seen: &Seen<'_>| {
        let state = seen.scene.keel(["state", seen.id]).run().ok().stdout;
        let state: Value = serde_json::from_str(&state).expect("JSON");
        assert_eq!(state["annotations"]["org.example.random"], value.as_str());
    };
    (bundle.hook(kind, "cat >/dev/null"), Box::new(check))
}
