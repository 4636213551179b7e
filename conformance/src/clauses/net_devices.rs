//! Network devices that move into a container (`config-linux.md`).
//!
//! The devices are pairs of virtual Ethernet in a network namespace of the test's own, in which the
//! runtime is called: the host's network is never touched.

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::case::{Around, Case};
use crate::clause::{Clause, Level, Outcome, ensure, equal, skip};
use crate::container::Container;
use crate::namespace::HeldNamespace;

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must(
        "config-linux.md#network-devices/available",
        "a configured device is in the container, and no longer on the host",
        available,
    ),
    Clause::must(
        "config-linux.md#network-devices/name",
        "`name` is the device's name in the container",
        renamed,
    ),
    Clause::must(
        "config-linux.md#network-devices/possible",
        "a device that cannot be moved is an error",
        impossible,
    ),
    Clause::must(
        "config-linux.md#network-devices/exists",
        "a name that the container has already is an error",
        name_in_use,
    ),
    Clause::must(
        "config-linux.md#network-devices/template",
        "with `%d` in the name the kernel finds a free one",
        template,
    ),
    Clause::must(
        "config-linux.md#network-devices/attributes",
        "hardware address, MTU and permanent global addresses are kept",
        attributes,
    ),
    Clause::must("config-linux.md#network-devices/up", "the device is up", up),
    Clause::untestable(
        "config-linux.md#namespace-lifecycle-and-container-termination/unmanaged",
        Level::Must,
        "the runtime does not manage the device in the container",
        "that nothing is ever done later, by whatever cause, cannot be seen",
    ),
    Clause::must(
        "config-linux.md#namespace-lifecycle-and-container-termination/stays",
        "the device stays in its namespace when the container ends",
        stays,
    ),
];

/// A network namespace with the pair `cf0` and `cf1`.
fn network(case: &Case<'_>) -> Outcome<HeldNamespace> {
    let network = HeldNamespace::network()?;
    let machine = &case.ground.machine;
    if network.applet(machine, "ip link add cf0 type veth peer name cf1").is_err() {
        return skip("the kernel has no virtual Ethernet devices");
    }
    Ok(network)
}

/// What happens to a container that wants `cf0`, created by a runtime in this network.
fn attempt<'c>(
    case: &'c Case<'_>,
    network: &HeldNamespace,
    bundle: &mut Bundle,
    device: &Value,
) -> Outcome<Container<'c>> {
    bundle.config["linux"]["netDevices"] = json!({"cf0": device});
    let before = network.enter_network(&case.ground.machine);
    case.attempt(bundle, &Around { before: &before, options: &[] })
}

/// What a script in a container with `cf0` writes.
fn probe(
    case: &Case<'_>,
    network: &HeldNamespace,
    device: &Value,
    script: &str,
) -> Outcome<String> {
    let mut bundle = case.bundle()?;
    bundle.script(script);
    let container = attempt(case, network, &mut bundle, device)?.created()?;
    container.start()?;
    container.wait()?;
    Ok(container.answer.stdout())
}

fn available(case: &Case<'_>) -> Outcome {
    let network = network(case)?;
    let seen = probe(case, &network, &json!({}), "[ -e /sys/class/net/cf0 ] && echo there")?;
    equal("the device in the container", seen.as_str(), "there\n")?;
    let left = network.applet(&case.ground.machine, "ip link show")?;
    ensure!(!left.contains("cf0:") && !left.contains("cf0@"), "the host still has it: {left}");
    Ok(())
}

fn renamed(case: &Case<'_>) -> Outcome {
    let script = "cd /sys/class/net; for n in cf0 inner0; do [ -e $n ] && echo $n; done; true";
    let seen = probe(case, &network(case)?, &json!({"name": "inner0"}), script)?;
    equal("the device", seen.as_str(), "inner0\n")
}

/// Fails unless the runtime refuses the device and leaves it where it was.
fn refused(
    case: &Case<'_>,
    network: &HeldNamespace,
    bundle: &mut Bundle,
    device: &Value,
) -> Outcome {
    let container = attempt(case, network, bundle, device)?;
    container.answer.error()?;
    case.nothing_left(&container.id, bundle)?;
    let left = network.applet(&case.ground.machine, "ip link show")?;
    ensure!(left.contains("cf0@"), "the device is no longer on the host: {left}");
    Ok(())
}

fn impossible(case: &Case<'_>) -> Outcome {
    let network = network(case)?;
    let mut bundle = case.bundle()?;
    bundle.config["linux"]["netDevices"] = json!({"no-such-device": {}});
    let before = network.enter_network(&case.ground.machine);
    let container = case.attempt(&bundle, &Around { before: &before, options: &[] })?;
    container.answer.error()?;
    case.nothing_left(&container.id, &bundle)
}

fn name_in_use(case: &Case<'_>) -> Outcome {
    let network = network(case)?;
    refused(case, &network, &mut case.bundle()?, &json!({"name": "lo"}))
}

fn template(case: &Case<'_>) -> Outcome {
    let script = "ls -d /sys/class/net/fresh*";
    let seen = probe(case, &network(case)?, &json!({"name": "fresh%d"}), script)?;
    equal("the device", seen.as_str(), "/sys/class/net/fresh0\n")
}

fn attributes(case: &Case<'_>) -> Outcome {
    let network = network(case)?;
    let machine = &case.ground.machine;
    for words in [
        "ip link set cf0 address 02:00:00:12:34:56",
        "ip link set cf0 mtu 1321",
        "ip addr add 192.0.2.77/25 dev cf0",
        "ip addr add 2001:db8::77/64 dev cf0",
    ] {
        network.applet(machine, words)?;
    }
    let script = "cd /sys/class/net/cf0; cat address mtu; /bin/busybox ip addr show dev cf0";
    let seen = probe(case, &network, &json!({}), script)?;
    for wanted in ["02:00:00:12:34:56\n1321\n", "192.0.2.77/25", "2001:db8::77/64"] {
        ensure!(seen.contains(wanted), "{wanted:?} is missing: {seen:?}");
    }
    Ok(())
}

fn up(case: &Case<'_>) -> Outcome {
    let network = network(case)?;
    let seen = probe(case, &network, &json!({}), "cat /sys/class/net/cf0/flags")?;
    let flags = u32::from_str_radix(seen.trim().trim_start_matches("0x"), 16).unwrap_or(0);
    ensure!(flags & 1 == 1, "the device's flags are {seen:?}: it is not up");
    Ok(())
}

fn stays(case: &Case<'_>) -> Outcome {
    let (network, joined) = (network(case)?, HeldNamespace::network()?);
    let mut bundle = case.bundle()?;
    bundle.namespace("network", Some(json!({"type": "network", "path": joined.path})));
    let container = attempt(case, &network, &mut bundle, &json!({}))?.created()?;
    container.start()?;
    container.wait()?;
    container.delete()?;
    let there = joined.applet(&case.ground.machine, "ip link show")?;
    ensure!(there.contains("cf0@"), "the device is gone from the joined namespace: {there}");
    Ok(())
}
