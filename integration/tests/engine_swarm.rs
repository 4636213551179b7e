//! Docker Swarm with the runtime under test: three daemons as three machines, and a service of nginx
//! on all of them.
//!
//! Each daemon has namespaces of its own for the network, mounts and the host's name; a bridge in a
//! fourth network is the cable between them. Nothing here needs IPVS, which not every kernel has:
//! names of services lead to the addresses of their containers, and ports are the hosts' own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use integration::docker::{Docker, FIREWALL, LAYERS, LIMITS, PROGRAMS};
use integration::docker_like::DockerLike;
use integration::engine::{Remains, lives};
use integration::holder::Holder;
use integration::runtime::until;
use integration::{Need, Scene, debian};

/// nginx with one page: a version, and the container's name.
const SERVER: &str =
    "echo $VERSION $(hostname) >/var/www/html/index.html; exec nginx -g 'daemon off;'";

/// The pages of all addresses of the service, in Python.
const CLIENT: &str = "\
import socket, urllib.request
addresses = {found[4][0] for found in socket.getaddrinfo('web', 80, socket.AF_INET)}
for address in addresses:
    page = urllib.request.urlopen('http://' + address, timeout=5).read()
    print(page.decode().strip())
";

/// A machine of the swarm.
struct Node<'a> {
    /// Nothing while it is down.
    docker: Option<Docker<'a>>,
    machine: Holder,
    name: String,
    address: String,
}

impl<'a> Node<'a> {
    /// A machine at a port of the bridge, with the image.
    fn connect(scene: &'a Scene, bridge: &Holder, number: usize, image: &Path) -> Self {
        let machine = Holder::with(&["--net", "--uts", "--mount"]);
        let (name, address) = (format!("node{number}"), format!("10.99.0.{number}"));
        let pid = machine.pid();
        bridge.sh(&format!(
            "ip link add port{number} type veth peer name eth0 netns {pid}
             ip link set port{number} master bridge0 up"
        ));
        machine.sh(&format!(
            "ip link set lo up; ip addr add {address}/24 dev eth0; ip link set eth0 up"
        ));
        // Docker keeps files of its balancers in /var/lib/docker, whatever it is told.
        let script = format!(
            "echo {name} >/proc/sys/kernel/hostname
             mount -t tmpfs none /run && mount -t tmpfs none /var/lib"
        );
        let call = scene.call("sh").args(["-c", &script]);
        call.under(machine.enter(&["--uts", "--mount"])).run().ok();
        let mut node = Self { docker: None, machine, name, address };
        node.start(scene);
        node.docker().load(image);
        node
    }

    /// Starts its daemon, for the first time or again.
    fn start(&mut self, scene: &'a Scene) {
        let machine = self.machine.enter(&["--net", "--uts", "--mount"]);
        let docker = Docker::one_of_many(scene, &self.name, |call| {
            call.under(machine).args(FIREWALL).arg(LAYERS)
        });
        self.docker = Some(docker);
    }

    fn docker(&self) -> &Docker<'a> {
        self.docker.as_ref().expect("the daemon is up")
    }

    /// What a command that must succeed writes.
    #[track_caller]
    fn told(&self, words: &[&str]) -> String {
        self.docker().call(words).run().ok().stdout.trim_end().to_owned()
    }

    /// The short ids of a service's containers here, which are also their names.
    #[track_caller]
    fn containers(&self, service: &str) -> BTreeSet<String> {
        let label = format!("label=com.docker.swarm.service.name={service}");
        let told = self.told(&["ps", "--quiet", "--filter", &label]);
        told.lines().map(str::to_owned).collect()
    }
}

/// Three nodes, the first of which is the manager, with a network for their containers.
struct Swarm<'a> {
    nodes: Vec<Node<'a>>,
    bridge: Holder,
    scene: &'a Scene,
    _remains: Remains<'a>,
}

impl<'a> Swarm<'a> {
    fn start(scene: &'a Scene, image: &Path) -> Self {
        let bridge = Holder::with(&["--net"]);
        bridge.sh("ip link set lo up; ip link add bridge0 type bridge
             ip addr add 10.99.0.254/24 dev bridge0; ip link set bridge0 up");
        let remains = Remains(scene);
        let nodes = std::thread::scope(|scope| {
            let begin = |number| {
                let bridge = &bridge;
                scope.spawn(move || Node::connect(scene, bridge, number, image))
            };
            let begun: Vec<_> = (1..=3).map(begin).collect();
            begun.into_iter().map(|node| node.join().expect("a node")).collect::<Vec<_>>()
        });
        let swarm = Self { nodes, bridge, scene, _remains: remains };
        let init = ["swarm", "init", "--default-addr-pool", "10.200.0.0/16"];
        // What has ended leaves no container, and a node that is gone is soon noticed.
        let prompt = ["--task-history-limit", "0", "--dispatcher-heartbeat", "1s"];
        let (manager, others) = swarm.nodes.split_first().expect("three nodes");
        manager.told(&[&init[..], &prompt, &["--advertise-addr", &manager.address]].concat());
        let token = manager.told(&["swarm", "join-token", "--quiet", "worker"]);
        for node in others {
            let join = ["swarm", "join", "--token", &token, "--advertise-addr", &node.address];
            node.told(&[&join[..], &[&manager.address]].concat());
        }
        manager.told(&["network", "create", "--driver", "overlay", "--attachable", "cluster"]);
        swarm
    }

    fn manager(&self) -> &Node<'a> {
        &self.nodes[0]
    }

    /// The containers of a service, by the names of their nodes.
    #[track_caller]
    fn containers(&self, service: &str) -> BTreeMap<&str, BTreeSet<String>> {
        let up = self.nodes.iter().filter(|node| node.docker.is_some());
        up.map(|node| (node.name.as_str(), node.containers(service))).collect()
    }

    /// Waits until the name of the service leads to this version in all its containers, and nowhere
    /// else.
    #[track_caller]
    fn expect_pages(&self, version: &str) {
        until("pages of all containers", || {
            let ask = ["exec", "client", "python3", "-c", CLIENT];
            let seen = self.manager().docker().call(&ask).run();
            let seen: BTreeSet<_> = seen.stdout.lines().map(str::to_owned).collect();
            let all = self.containers("web").into_values().flatten();
            seen == all.map(|id| format!("{version} {id}")).collect()
        });
    }

    /// Waits until so many containers of the service run on each node.
    #[track_caller]
    fn expect_replicas(&self, counts: &[(&str, usize)]) {
        until("the replicas", || {
            let seen = self.containers("web");
            counts.iter().all(|(node, count)| seen.get(node).is_some_and(|ids| ids.len() == *count))
        });
    }

    /// Waits until the manager has this to say of a node.
    #[track_caller]
    fn expect_status(&self, node: &str, status: &str) {
        let list = ["node", "ls", "--format", "{{.Hostname}} {{.Status}}"];
        let line = format!("{node} {status}");
        until(&line, || self.manager().told(&list).lines().any(|told| told == line));
    }

    /// Starts a service of [`SERVER`].
    fn serve(&self, name: &str, options: &[&str]) {
        let create = ["service", "create", "--detach", "--name", name, "--no-resolve-image"];
        let words = ["--network", "cluster", "--endpoint-mode", "dnsrr", "--env", "VERSION=1"];
        let command = [debian::DEBIAN, "sh", "-c", SERVER];
        self.manager().told(&[&create[..], &words, options, &command].concat());
    }

    /// What a node answers at a port of its own, asked from the bridge.
    fn ask(&self, node: &Node<'_>, port: &str) -> Option<String> {
        let busybox = self.scene.dir().with_file_name("busybox");
        let url = format!("http://{}:{port}/", node.address);
        let call = self.scene.call(busybox).args(["wget", "-q", "-O", "-", &url]);
        let outcome = call.under(self.bridge.enter(&["--net"])).run();
        outcome.status.success().then_some(outcome.stdout)
    }

    /// Everybody leaves, and with that no container runs any more. Docker keeps what had ended before.
    #[track_caller]
    fn leave(self) {
        self.manager().told(&["rm", "--force", "client"]);
        for node in self.nodes.iter().rev() {
            node.told(&["swarm", "leave", "--force"]);
            until("the end of the containers", || node.told(&["ps", "--quiet"]).is_empty());
        }
    }
}

#[test]
fn a_service_runs_on_three_nodes_is_updated_and_survives_the_loss_of_one() {
    let programs = ["unshare", "nsenter", "ip", "iptables"].map(Need::Program);
    let needs = [&PROGRAMS[..], &LIMITS, &programs].concat();
    let Some((scene, image)) = debian::scene(&needs) else { return };
    let mut swarm = Swarm::start(&scene, &image);
    let limits = ["--limit-memory", "64m", "--limit-cpu", "0.5", "--limit-pids", "20"];
    let update = ["--update-parallelism", "2", "--update-monitor", "100ms"];
    swarm.serve("web", &[&["--replicas", "6"], &limits[..], &update].concat());
    swarm.serve("edge", &["--mode", "global", "--publish", "mode=host,target=80,published=8090"]);
    let client = ["run", "--detach", "--init", "--name", "client", "--network", "cluster"];
    swarm.manager().told(&[&client[..], &[debian::DEBIAN, "sleep", "infinity"]].concat());

    swarm.expect_replicas(&[("node1", 2), ("node2", 2), ("node3", 2)]);
    for node in &swarm.nodes {
        for id in node.containers("web") {
            assert_eq!(node.docker().limits(&id), ["67108864", "50000", "20"]);
        }
        until("the published port", || {
            let edge = node.containers("edge").into_iter().next();
            edge.is_some_and(|id| swarm.ask(node, "8090") == Some(format!("1 {id}\n")))
        });
    }
    swarm.expect_pages("1");

    let before: BTreeSet<_> = swarm.containers("web").into_values().flatten().collect();
    swarm.manager().told(&["service", "update", "--detach", "--env-add", "VERSION=2", "web"]);
    let state = ["service", "inspect", "--format", "{{.UpdateStatus.State}}", "web"];
    until("the update", || swarm.manager().told(&state) == "completed");
    swarm.expect_replicas(&[("node1", 2), ("node2", 2), ("node3", 2)]);
    let after = swarm.containers("web").into_values().flatten().collect();
    assert!(before.is_disjoint(&after), "{before:?} {after:?}");
    swarm.expect_pages("2");

    let lost = &mut swarm.nodes[1];
    let orphans: Vec<i32> = lost
        .containers("web")
        .iter()
        .map(|id| lost.docker().inspect(id, "State.Pid").parse().expect("a pid"))
        .collect();
    lost.docker.take().expect("it is up").crash();
    assert!(orphans.iter().all(|pid| lives(*pid)), "{orphans:?}");
    swarm.expect_status("node2", "Down");
    swarm.expect_replicas(&[("node1", 3), ("node3", 3)]);
    swarm.expect_pages("2");

    swarm.nodes[1].start(&scene);
    swarm.expect_status("node2", "Ready");
    until("the end of the orphans", || !orphans.iter().any(|pid| lives(*pid)));
    until("the global service's return", || swarm.nodes[1].containers("edge").len() == 1);
    swarm.leave();
}
