//! The configurations whose steps come late: when the program is executed, and when the container is
//! there already.

use std::fs;

use libcontainer::spec::{CpuAffinity, IdMapping, Mount, Seccomp, Syscall};
use libcontainer::{Attachments, Options};

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
