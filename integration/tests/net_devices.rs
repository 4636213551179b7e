//! Network devices that move into a container: with what, under which names, and back when the
//! container does not come to be.
//!
//! The host's network is never touched: a test makes a network namespace with devices of its own,
//! and the runtime is called in it.

use integration::holder::Holder;
use integration::runtime::until;
use integration::{Bundle, Need, Outcome, Scene};
use serde_json::{Value, json};

const NEEDS: [Need; 3] = [Need::Program("ip"), Need::Program("nsenter"), Need::Program("unshare")];

/// The first id of the user namespaces here, on the host.
const BASE: u32 = 100_000;

/// A network namespace.
struct Network(Holder);

impl Network {
    /// A namespace in which a script of ip(8) made the devices.
    #[track_caller]
    fn with(script: &str) -> Self {
        let network = Self(Holder::with(&["--net"]));
        network.sh(script);
        network
    }

    /// A namespace with pairs of devices, `a0` and `b0`, `a1` and `b1`, …
    #[track_caller]
    fn pairs(count: u32) -> Self {
        let pair = |i| format!("ip link add a{i} type veth peer name b{i}\n");
        Self::with(&(0..count).map(pair).collect::<String>())
    }

    fn path(&self) -> String {
        self.0.path("net")
    }

    fn enter(&self) -> Vec<String> {
        self.0.enter(&["--net"])
    }

    #[track_caller]
    fn sh(&self, script: &str) -> String {
        self.0.sh(script)
    }

    /// The names of its devices, without lo and those that every namespace has.
    fn devices(&self) -> Vec<String> {
        let names = self.sh("ip -o link show | cut -d : -f 2");
        let mut names: Vec<String> =
            names.lines().map(|name| name.trim().split('@').next().unwrap().to_owned()).collect();
        names.retain(|name| name.starts_with(['a', 'b']));
        names.sort();
        names
    }

    /// The hardware address of a device.
    fn address(&self, device: &str) -> String {
        let told = self.sh(&format!("ip -o link show dev {device}"));
        let address = told.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next());
        address.expect("an address").to_owned()
    }

    /// Everything about a device that a failed creation must not change. Addresses whose uniqueness
    /// is being checked are like the others, and seconds pass.
    fn told(&self, device: &str) -> String {
        let text = self.sh(&format!("ip -d address show dev {device}"));
        let lines = text.lines().map(|line| line.replace("tentative ", ""));
        let lines = lines.filter(|line| !line.contains("valid_lft") || line.contains("forever"));
        lines.map(|line| line.trim().to_owned() + "\n").collect()
    }

    /// Runs a bundle, with this as the runtime's network.
    #[track_caller]
    fn run(&self, scene: &Scene, bundle: &Bundle) -> Outcome {
        scene.verb("run", &[], bundle, &scene.id()).under(self.enter()).run()
    }
}

/// A bundle with devices by their name in the runtime's network, and the one inside.
fn bundle(scene: &Scene, devices: &[(&str, &str)]) -> Bundle {
    let value = |name: &str| if name.is_empty() { json!({}) } else { json!({ "name": name }) };
    let devices = devices.iter().map(|(host, name)| ((*host).to_owned(), value(name)));
    scene.bundle().set("/linux/netDevices", Value::Object(devices.collect()))
}

/// A script that tells the names of all devices but lo, and the hardware address of each.
const NAMES: &str = "for d in /sys/class/net/*; do d=${d##*/}; \
                     case $d in [a-e]*) echo $d $(cat /sys/class/net/$d/address);; esac; done";

#[test]
fn a_device_keeps_its_properties_and_is_up() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let network = Network::with(
        "ip link add a0 address 02:00:00:00:00:0a mtu 1420 txqueuelen 77 type veth peer name b0
         ip link set a0 alias 'the uplink'",
    );
    let bundle = bundle(&scene, &[("a0", "")]).sh(
        "cd /sys/class/net/a0; cat address mtu tx_queue_len ifalias; echo $(($(cat flags) & 1))",
    );
    let told = network.run(&scene, &bundle).ok().stdout;
    assert_eq!(told, "02:00:00:00:00:0a\n1420\n77\nthe uplink\n1\n");
    // With the container's network namespace it vanishes, and its peer with it.
    until("no device", || network.devices().is_empty());
}

#[test]
fn permanent_addresses_of_global_scope_go_along_and_no_others() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let network = Network::with(
        "ip link add a0 type veth peer name b0
         ip address add 10.1.0.1/24 dev a0 label a0:one
         ip address add 10.1.0.2/24 dev a0
         ip address add 10.2.0.1/24 scope link dev a0
         ip address add 10.3.0.1/24 valid_lft 9000 preferred_lft 8000 dev a0
         ip address add 10.4.0.1 peer 10.4.0.2 dev a0
         ip address add fd12::1/64 nodad dev a0
         ip address add fd12::2/64 preferred_lft 0 dev a0
         ip address add fd13::1/64 valid_lft 9000 preferred_lft 8000 dev a0
         ip link set b0 up
         ip link set a0 up
         ip address add fe80::7/64 dev a0",
    );
    let bundle = bundle(&scene, &[("a0", "wan")]).sh("ip -o address show dev wan");
    let told = network.run(&scene, &bundle).ok().stdout;
    // Number, name, family, address; the flags behind it.
    let address = |line: &str| line.split_whitespace().skip(3).collect::<Vec<_>>().join(" ");
    let told: Vec<String> = told.lines().map(address).collect();
    let one = |start: &str| {
        let found: Vec<&String> = told.iter().filter(|line| line.starts_with(start)).collect();
        assert_eq!(found.len(), 1, "{start}: {told:#?}");
        found[0].clone()
    };
    assert!(one("10.1.0.1/24").contains("scope global wan:one"), "{told:#?}");
    assert!(one("10.1.0.2/24").contains("secondary wan"), "{told:#?}");
    assert!(one("10.4.0.1 peer 10.4.0.2/32").contains("scope global wan"), "{told:#?}");
    assert!(one("fd12::1/64").contains("scope global"), "{told:#?}");
    assert!(one("fd12::2/64").contains("deprecated"), "{told:#?}");
    for gone in ["10.2.", "10.3.", "fd13::", "fe80::7/"] {
        assert!(!told.iter().any(|line| line.starts_with(gone)), "{gone}: {told:#?}");
    }
}

#[test]
fn devices_are_renamed_in_the_container() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let network = Network::pairs(4);
    // Two change their names with each other, and two get numbers that are free.
    let names = [("a0", "a1"), ("a1", "a0"), ("a2", "e%d"), ("a3", "e%d")];
    let expected = [("a0", "a1"), ("a1", "a0"), ("e0", "a2"), ("e1", "a3")];
    let expected = expected.map(|(name, host)| format!("{name} {}\n", network.address(host)));
    let told = network.run(&scene, &bundle(&scene, &names).sh(NAMES)).ok().stdout;
    assert_eq!(told, expected.concat());
}

#[test]
fn many_devices_move() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let network = Network::pairs(40);
    let names: Vec<String> = (0..40).map(|i| format!("a{i}")).collect();
    let names: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let told = network.run(&scene, &bundle(&scene, &names).sh(NAMES)).ok().stdout;
    assert_eq!(told.lines().count(), 40, "{told}");
}

#[test]
fn hooks_and_kernel_parameters_find_the_devices() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let network = Network::pairs(1);
    let seen = scene.dir().join("seen");
    let look = format!(
        "pid=$(sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p'); \
         nsenter --net=/proc/$pid/ns/net ip -o link show wan >{}",
        seen.display()
    );
    let bundle = bundle(&scene, &[("a0", "wan")])
        .set("/linux/sysctl/net.ipv4.conf.wan.forwarding", "1")
        .hook("createRuntime", &look)
        .sh("cat /proc/sys/net/ipv4/conf/wan/forwarding");
    assert_eq!(network.run(&scene, &bundle).ok().stdout, "1\n");
    let seen = std::fs::read_to_string(seen).expect("the hook has looked");
    assert!(seen.contains("wan") && seen.contains("UP"), "{seen}");
}

#[test]
fn a_container_with_a_user_namespace_gets_devices_too() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let network = Network::pairs(1);
    network.sh("ip address add 10.1.0.1/24 dev a0");
    let bundle = bundle(&scene, &[("a0", "wan")]).mapped(BASE).sh("ip -o address show dev wan");
    let told = network.run(&scene, &bundle).ok().stdout;
    assert!(told.contains("10.1.0.1/24"), "{told}");
    // In a user namespace of others, too: there init makes the network namespace itself.
    let network = Network::pairs(1);
    let first = scene.start(&scene.bundle().mapped(BASE).sleeping());
    let user = format!("/proc/{}/ns/user", first.pid());
    let bundle = self::bundle(&scene, &[("a0", "wan")]).mapped(BASE);
    let bundle = bundle.namespace("user", Some(&user));
    let bundle = bundle.unset("/linux/uidMappings").unset("/linux/gidMappings");
    let told = network.run(&scene, &bundle.sh("ip -o link show dev wan")).ok().stdout;
    assert!(told.contains("UP"), "{told}");
    first.end();
}

#[test]
fn devices_stay_in_a_namespace_that_others_have() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let (network, joined) = (Network::pairs(2), Network::with("ip link add b7 type veth"));
    let path = joined.path();
    let bundle = bundle(&scene, &[("a0", "a5")]).namespace("network", Some(&path));
    network.run(&scene, &bundle).ok();
    assert_eq!(network.devices(), ["a1", "b0", "b1"]);
    assert!(joined.devices().contains(&"a5".to_owned()));
    // A name that somebody has there already.
    for (name, ok) in [("b7", false), ("b%d", true)] {
        let bundle = self::bundle(&scene, &[("a1", name)]).namespace("network", Some(&path));
        let outcome = network.run(&scene, &bundle);
        if ok {
            outcome.ok();
            assert!(joined.devices().contains(&"b0".to_owned()), "{:?}", joined.devices());
        } else {
            outcome.refused().says(&["a1", "b7", "file exists", "/linux/netDevices/a1"]);
            assert_eq!(network.devices(), ["a1", "b0", "b1"]);
        }
    }
}

#[test]
fn what_cannot_be_moved_is_refused() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let network = Network::pairs(1);
    network.sh("ip link add bridge7 type bridge");
    let before = network.sh("ip -o link show | cut -d ' ' -f 1,2");
    let refused = |bundle: &Bundle, words: &[&str]| {
        network.run(&scene, bundle).refused().says(words);
        assert_eq!(network.sh("ip -o link show | cut -d ' ' -f 1,2"), before);
    };
    let with = |names: &[(&str, &str)]| bundle(&scene, names);
    refused(&with(&[("a0", ""), ("a9", "")]), &["a9", "no such device", "/linux/netDevices/a9"]);
    refused(&with(&[("bridge7", "")]), &["bridge7", "/linux/netDevices/bridge7"]);
    refused(&with(&[("a0", "lo")]), &["/linux/netDevices/a0/name"]);
    refused(&with(&[("a0", "with space")]), &["/linux/netDevices/a0/name"]);
    refused(&with(&[("a0", "sixteen-letters-")]), &["/linux/netDevices/a0/name"]);
    refused(&with(&[("a0", "x"), ("b0", "x")]), &["/linux/netDevices/b0/name"]);
    refused(&with(&[("a0", "x")]).without_namespace("network"), &["/linux/netDevices"]);
    let own = network.path();
    refused(
        &with(&[("a0", "x")]).namespace("network", Some(&own)),
        &["the container's network namespace is the runtime's"],
    );
}

#[test]
fn a_creation_that_fails_gives_the_devices_back_as_they_were() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let network = Network::pairs(2);
    network.sh("ip link set a0 mtu 1400 up; ip link set b0 up
                ip address add 10.1.0.1/24 dev a0 label a0:x
                ip address add 10.2.0.1/24 scope link dev a0
                ip address add fd12::1/64 nodad dev a0
                ip address add 10.3.0.1/24 dev a1");
    // Until the kernel has given it the address of its own, too.
    until("fe80", || network.told("a0").contains("fe80"));
    let before = [network.told("a0"), network.told("a1")];
    let devices = || bundle(&scene, &[("a0", "eth0"), ("a1", "eth%d")]);
    let bad_mount = devices().mount("tmpfs", "tmpfs", "/mnt", &["nr_inodes=moon"]);
    let bad_parameter = devices().set("/linux/sysctl/net.ipv4.conf.eth7.forwarding", "1");
    let bad_program = devices().args(["/nothing/such"]);
    for bundle in [
        &bad_mount,
        &bad_parameter,
        &bad_program,
        &devices().hook("createRuntime", "exit 3"),
        &devices().hook("createContainer", "exit 3"),
        &bundle(&scene, &[("a0", "eth0"), ("a1", ""), ("a7", "")]),
    ] {
        network.run(&scene, bundle).refused();
        until("all addresses", || network.told("a0").contains("fe80"));
        assert_eq!([network.told("a0"), network.told("a1")], before);
    }
}

/// The kernel moves a device first and names it then: it is there already when that fails.
#[test]
fn a_device_that_cannot_get_its_name_or_its_addresses_is_given_back() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let network = Network::pairs(1);
    network.sh("ip link property add dev a0 altname another-name; ip link set a0 up");
    let before = network.told("a0");
    // No two names are the same, also of one device.
    let outcome = network.run(&scene, &bundle(&scene, &[("a0", "another-name")]));
    outcome.refused().says(&["a0", "file exists", "/linux/netDevices/a0"]);
    assert_eq!(network.told("a0"), before);

    let joined = Network::with("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
    network.sh("ip address add fd12::1/64 nodad dev a0");
    let before = network.told("a0");
    let bundle = bundle(&scene, &[("a0", "wan")]).namespace("network", Some(&joined.path()));
    let outcome = network.run(&scene, &bundle);
    outcome.refused().says(&["cannot keep the addresses", "a0", "/linux/netDevices/a0"]);
    assert_eq!(network.told("a0"), before);
}

#[test]
fn a_runtime_that_is_killed_leaves_nothing_that_cannot_be_deleted() {
    let Some(scene) = Scene::needing(&NEEDS) else { return };
    let network = Network::pairs(1);
    let (bundle, id) = (bundle(&scene, &[("a0", "wan")]), scene.id());
    let bundle = bundle.hook("createRuntime", "kill -9 $PPID");
    let killed = scene.verb("create", &[], &bundle, &id).under(network.enter()).run();
    assert!(!killed.status.success(), "{killed:#?}");
    scene.keel(["delete", "--force", &id]).under(network.enter()).run().ok();
    // As at the end of any container, the kernel destroys what is virtual.
    until("no device", || network.devices().is_empty());
}
