//! The host name and the domain name.

use std::fs;

use integration::Scene;

#[test]
fn the_host_name_is_set_inside_and_unchanged_outside() {
    let Some(scene) = Scene::begin() else { return };
    let outside = fs::read("/proc/sys/kernel/hostname").expect("a host name");
    let bundle = scene.bundle().set("/hostname", "a-name.of.its-own").sh("hostname; uname -n");
    assert_eq!(scene.output(&bundle), "a-name.of.its-own\na-name.of.its-own\n");
    assert_eq!(fs::read("/proc/sys/kernel/hostname").expect("a host name"), outside);
}

#[test]
fn without_a_host_name_the_new_namespace_keeps_the_hosts() {
    let Some(scene) = Scene::begin() else { return };
    let outside = fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
    assert_eq!(scene.output(&scene.bundle().unset("/hostname").sh("hostname")), outside);
}

#[test]
fn a_name_of_64_bytes_is_the_longest() {
    let Some(scene) = Scene::begin() else { return };
    let name = "n".repeat(64);
    let bundle = scene.bundle().set("/hostname", name.as_str()).sh("hostname");
    assert_eq!(scene.output(&bundle).trim_end(), name);
}

#[test]
fn the_domain_name_is_set_inside() {
    let Some(scene) = Scene::begin() else { return };
    let bundle = scene.bundle().set("/domainname", "example.org");
    let output = scene.output(&bundle.sh("cat /proc/sys/kernel/domainname"));
    assert_eq!(output, "example.org\n");
}

#[test]
fn a_host_name_in_the_hosts_own_namespace_is_refused() {
    let Some(scene) = Scene::begin() else { return };
    let before = scene.snapshot();
    scene.refused(&scene.bundle().without_namespace("uts"));
    before.assert_same();
}
