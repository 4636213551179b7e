//! The configurations whose steps come late: when the program is executed, and when the container is
//! there already.

use std::fs;

use libcontainer::spec::{
    CpuAffinity, IdMapping, Landlock, LandlockRules, LandlockRuleset, MemoryPolicy, Mount,
    PathBeneath, Seccomp, Syscall, TimeOffset,
};
use libcontainer::{Attachments, Host, Options};

use crate::bundle;
use crate::cases::mounted;
use crate::scene::{Made, Scene, Steps, linux, mount, namespace};

/// A container that is there until it is killed.
fn sleeping(scene: &Scene) -> Made {
    let spec = scene.spec("while sleep 1; do :; done");
    let mut made = scene.create(&spec, &Options::default(), Attachments::default());
    made.start();
    made
}

pub(crate) fn a_process_that_is_added_ends_up_on_the_cpus_it_asks_for(scene: &Scene) -> Steps {
    let mut made = sleeping(scene);
    let mut process = scene.spec("grep Cpus_allowed_list /proc/self/status").process.unwrap();
    let cpus = Some("0".to_owned());
    process.exec_cpu_affinity = Some(CpuAffinity { initial: cpus.clone(), last: cpus });
    made.exec(scene, process);
    assert_eq!(made.output(), "Cpus_allowed_list:\t0\n");
    made.end()
}

pub(crate) fn memory_comes_from_the_node_of_the_policy(scene: &Scene) -> Steps {
    if !has_nodes() {
        return Steps::new();
    }
    let script = "awk 'NR == 1 { print $2 }' /proc/self/numa_maps";
    let mut spec = scene.spec(&format!("{script}; while sleep 1; do :; done"));
    let nodes = Some("0".to_owned());
    let policy = MemoryPolicy { mode: "MPOL_BIND".into(), nodes, ..MemoryPolicy::default() };
    linux(&mut spec).memory_policy = Some(policy);
    let mut made = scene.create(&spec, &Options::default(), Attachments::default());
    made.start();
    made.until(|| made.output() == "bind:0\n");
    made.exec(scene, scene.spec(script).process.unwrap());
    assert_eq!(made.output(), "bind:0\nbind:0\n");
    made.end()
}

/// Whether the kernel knows of memory nodes.
pub(crate) fn has_nodes() -> bool {
    fs::metadata("/proc/self/numa_maps").is_ok()
}

pub(crate) fn a_time_namespace_has_clocks_of_its_own(scene: &Scene) -> Steps {
    let mut spec = scene.spec("tr -s ' ' </proc/self/timens_offsets; readlink /proc/self/ns/time");
    namespace(&mut spec, "time", None);
    let offsets = &mut linux(&mut spec).time_offsets;
    offsets.insert("monotonic".into(), TimeOffset { secs: Some(1000), nanosecs: Some(7) });
    let done = scene.run(&spec);
    let lines: Vec<&str> = done.output.lines().collect();
    assert_eq!(lines[..2], ["monotonic 1000 7", "boottime 0 0"]);
    assert_ne!(lines[2], fs::read_link("/proc/self/ns/time").unwrap().to_string_lossy());
    done.steps
}

pub(crate) fn a_mount_that_is_added_can_be_removed(scene: &Scene) -> Steps {
    let mut made = sleeping(scene);
    let table = made.proc("mountinfo");
    let before = fs::read_to_string(&table).unwrap();
    let more = mount("tmpfs", "tmpfs", "/dev/more", &["noexec", "size=64k"]);
    made.add_mount(scene, &more);
    let during = fs::read_to_string(&table).unwrap();
    assert!(mounted(&during, "/dev/more")[5].contains("noexec"), "{during}");
    made.remove_mount(scene, &more);
    assert_eq!(fs::read_to_string(&table).unwrap(), before);
    made.end()
}

pub(crate) fn mounts_of_all_sorts_are_made_ready_on_the_host(scene: &Scene) -> Steps {
    let guest = sleeping(scene);
    let outside = scene.write("outside/file", "of the host\n");
    std::os::unix::fs::symlink("file", outside.with_file_name("link")).unwrap();
    let link = scene.text_path("outside/link");
    let mapping = vec![IdMapping { container_id: 0, host_id: 1000, size: 10 }];
    let mapped = |mount: Mount| Mount {
        uid_mappings: mapping.clone(),
        gid_mappings: mapping.clone(),
        ..mount
    };
    let mut spec = scene.spec(
        "stat -c %u /mapped/file /new; readlink /copied; readlink /bound; cat /merged/file; \
         grep -c ' /bound ' /proc/self/mountinfo",
    );
    scene.write("more/file", "covered\n");
    let layers = format!("lowerdir={}:{}", scene.text_path("outside"), scene.text_path("more"));
    spec.mounts.extend([
        mapped(mount("bind", &scene.text_path("outside"), "/mapped", &["bind", "idmap"])),
        mapped(mount("tmpfs", "tmpfs", "/new", &["idmap", "iversion"])),
        mount("bind", &link, "/copied", &["bind", "copy-symlink"]),
        mount("bind", &link, "/bound", &["bind", "src-nofollow", "dest-nofollow"]),
        mount("overlay", "overlay", "/merged", &[&layers]),
    ]);
    // What names the host is made before the root is entered, which happens early then.
    let pid = guest.container.pid().unwrap();
    namespace(&mut spec, "pid", Some(format!("/proc/{pid}/ns/pid")));
    let mut done = scene.run(&spec);
    assert_eq!(done.output, "1000\n1000\nfile\nfile\nof the host\n1\n");
    done.steps.extend(guest.end());
    done.steps
}

pub(crate) fn a_filter_of_system_calls_is_there(scene: &Scene) -> Steps {
    let mut spec = scene.spec("grep ^Seccomp: /proc/self/status; mkdir /dev/shm/x");
    let rule = Syscall {
        names: vec!["mkdir".into(), "mkdirat".into()],
        action: "SCMP_ACT_ERRNO".into(),
        errno_ret: Some(0), // done, and nothing is
        ..Syscall::default()
    };
    linux(&mut spec).seccomp = Some(Seccomp {
        default_action: "SCMP_ACT_ALLOW".into(),
        syscalls: vec![rule],
        ..Seccomp::default()
    });
    let done = scene.run(&spec);
    assert_eq!(done.output, "Seccomp:\t2\n");
    done.steps
}

pub(crate) fn files_are_forbidden_by_landlock(scene: &Scene) -> Steps {
    if Host::probe().unwrap().landlock == 0 {
        bundle::skip("steps::files_are_forbidden_by_landlock", "the kernel has no Landlock");
        return Steps::new();
    }
    let mut spec = scene.spec("cat /etc/passwd 2>&1; cat /marker");
    let rules = Landlock {
        ruleset: Some(LandlockRuleset { handled_access_fs: vec!["read_file".into()] }),
        rules: Some(LandlockRules {
            path_beneath: vec![PathBeneath {
                allowed_access: vec!["read_file".into()],
                paths: vec!["/bin".into(), "/marker".into()],
            }],
        }),
        disable_best_effort: true,
    };
    spec.annotations.insert("org.keel.landlock".into(), serde_json::to_string(&rules).unwrap());
    let done = scene.run(&spec);
    let refused = "cat: can't open '/etc/passwd': Permission denied\n";
    assert_eq!(done.output, format!("{refused}the rootfs of the bundle\n"));
    done.steps
}
