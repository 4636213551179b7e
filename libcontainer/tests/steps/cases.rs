//! The configurations. Each function runs one or more containers, demands what can be seen of them,
//! and gives back the steps that were performed.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use libcontainer::spec::{ConsoleSize, Hook, IdMapping, Spec};
use libcontainer::{Attachments, CgroupManager, Console, Options};
use libcontainer_init::sys::caps;

pub(crate) use crate::later::*;
use crate::scene::{HostMount, Scene, Steps, linux, mount, namespace, process};

/// The first id of the user namespaces here, on the host.
const FIRST_ID: u32 = 100_000;

fn host(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The fields of the line of a mount table that tells of a mount point.
pub(crate) fn mounted<'a>(table: &'a str, point: &str) -> Vec<&'a str> {
    let mut fields = table.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let found = fields.rfind(|fields| fields.get(4) == Some(&point));
    found.unwrap_or_else(|| panic!("nothing is mounted on {point}: {table}"))
}

fn with_user_namespace(spec: &mut Spec) {
    namespace(spec, "user", None);
    let mapping = vec![IdMapping { container_id: 0, host_id: FIRST_ID, size: 65_536 }];
    linux(spec).uid_mappings.clone_from(&mapping);
    linux(spec).gid_mappings = mapping;
}

pub(crate) fn a_usual_container_is_closed_in_on_all_sides(scene: &Scene) -> Steps {
    let mut spec = scene.spec(
        "hostname; cat /proc/sys/kernel/domainname; pwd; echo $HOME; ulimit -n; \
         grep -E '^(Umask|Groups|Cap|NoNewPrivs)' /proc/self/status | tr '\\t\\n' '  '; echo; \
         readlink /dev/fd; stat -c %t:%T:%a /dev/full; wc -c </marker; \
         ls -A /inside | wc -l; ip link show lo | grep -c LOOPBACK,UP; \
         touch /x 2>/dev/null || echo read-only root; \
         touch /proc/sys/kernel/domainname 2>/dev/null || echo read-only sysctl; \
         cat /proc/self/cgroup",
    );
    spec.domainname = Some("example.org".into());
    process(&mut spec).cwd = "/work/deep".into();
    scene.write("bundle/rootfs/inside/secret", "hidden");
    linux(&mut spec).masked_paths.extend(["/marker", "/inside"].map(str::to_owned));
    let cgroup = scene.next_id();
    let done = scene.run(&spec);
    let (cgroups, rest): (Vec<&str>, Vec<&str>) =
        done.output.lines().partition(|line| line.ends_with(&cgroup));
    let mask = host("/proc/self/status");
    let mask = mask.lines().find_map(|line| line.strip_prefix("Umask:\t")).unwrap();
    let (some, none) = ("0000000020000420", "0000000000000000");
    let status = format!(
        "Umask: {mask} Groups:   CapInh: {none} CapPrm: {some} CapEff: {some} CapBnd: {some} \
         CapAmb: {none} NoNewPrivs: 1 "
    );
    let expected = [
        "keel",
        "example.org",
        "/work/deep",
        "/root",
        "1024",
        &status,
        "/proc/self/fd",
        "1:7:666",
        "0",
        "0",
        "1",
        "read-only root",
        "read-only sysctl",
    ];
    assert_eq!(rest, expected);
    assert_eq!(cgroups.len(), host("/proc/self/cgroup").lines().count(), "{cgroups:?}");
    done.steps
}

pub(crate) fn a_user_namespace_has_ids_of_its_own(scene: &Scene) -> Steps {
    let shared = scene.path("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
    let mut spec = scene.spec(
        "id -u; cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '; stat -c %u /marker; \
         echo x >/dev/null && echo null; touch /inside/file",
    );
    with_user_namespace(&mut spec);
    // Its root may not make directories in what belongs to the host's root.
    spec.mounts.push(mount("bind", &scene.text_path("shared"), "/inside", &["bind"]));
    let done = scene.run(&spec);
    let map = format!(" 0 {FIRST_ID} 65536");
    assert_eq!(done.output, format!("0\n{map}\n{map}\n65534\nnull\n"));
    let file = fs::metadata(shared.join("file")).unwrap();
    assert_eq!((file.uid(), file.gid()), (FIRST_ID, FIRST_ID));
    done.steps
}

pub(crate) fn a_joined_user_namespace_is_shared_and_the_others_are_made_inside(
    scene: &Scene,
) -> Steps {
    let mut first = scene.spec("sleep 1000");
    with_user_namespace(&mut first);
    let mut first = scene.create(&first, &Options::default(), Attachments::default());
    first.start();
    let path = format!("/proc/{}/ns/user", first.container.pid().unwrap());
    let mut spec = scene.spec("id -u; for n in user uts pid; do readlink /proc/self/ns/$n; done");
    namespace(&mut spec, "user", Some(path));
    let mut done = scene.run(&spec);
    let lines: Vec<&str> = done.output.lines().collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(lines[..2], ["0", first.link("ns/user").as_str()]);
    for (line, name) in [(lines[2], "uts"), (lines[3], "pid")] {
        assert_ne!(line, first.link(&format!("ns/{name}")));
        assert_ne!(line, fs::read_link(format!("/proc/self/ns/{name}")).unwrap().to_string_lossy());
    }
    done.steps.extend(first.end());
    done.steps
}

pub(crate) fn joined_pid_and_network_namespaces_are_shared(scene: &Scene) -> Steps {
    let first = scene.spec("exec sleep 1000");
    let mut first = scene.create(&first, &Options::default(), Attachments::default());
    first.start();
    let pid = first.container.pid().unwrap();
    let script = "tr '\\0' ' ' </proc/1/cmdline; echo; \
        for n in pid net ipc; do readlink /proc/self/ns/$n; done; [ $$ != 1 ] && echo guest";
    let mut spec = scene.spec(script);
    namespace(&mut spec, "pid", Some(format!("/proc/{pid}/ns/pid")));
    namespace(&mut spec, "network", Some(format!("/proc/{pid}/ns/net")));
    let mut done = scene.run(&spec);
    let lines: Vec<&str> = done.output.lines().collect();
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert_eq!((lines[0], lines[4]), ("sleep 1000 ", "guest"));
    assert_eq!(lines[1..3], [first.link("ns/pid"), first.link("ns/net")]);
    assert_ne!(lines[3], first.link("ns/ipc"));
    done.steps.extend(first.end());
    done.steps
}

/// CVE-2016-9962: init, not started yet, beside a process that has all its rights.
pub(crate) fn an_init_that_waits_holds_no_file_of_the_host_and_cannot_be_looked_into(
    scene: &Scene,
) -> Steps {
    fs::create_dir(scene.path("shared")).unwrap();
    let mut spec = scene.spec(
        "while [ ! -e /inside/go ]; do sleep 0.01; done; \
         for p in /proc/[0-9]*; do [ $p = /proc/1 ] || { cat $p/comm; \
         for n in exe cwd root fd/0; do readlink $p/$n || echo $n is hidden; done; }; done; \
         echo end; while [ -e /inside/go ]; do sleep 0.01; done",
    );
    spec.mounts.push(mount("bind", &scene.text_path("shared"), "/inside", &["bind"]));
    let mut first = scene.create(&spec, &Options::default(), Attachments::default());
    first.start();
    namespace(&mut spec, "pid", Some(format!("/proc/{}/ns/pid", first.container.pid().unwrap())));
    linux(&mut spec).sysctl.insert("net.ipv4.ip_forward".into(), "1".into());
    let second = scene.create(&spec, &Options::default(), Attachments::default());
    // The last of them is closed where it begins to wait.
    second.until(|| {
        let numbers = fs::read_dir(second.proc("fd")).unwrap().map(|entry| entry.unwrap().path());
        let held = numbers.filter_map(|path| fs::read_link(path).ok());
        let mut held = held.skip(3).map(|target| target.to_string_lossy().into_owned());
        held.all(|target| target.starts_with("socket:"))
    });
    let go = scene.write("shared/go", "");
    first.until(|| first.output().ends_with("end\n"));
    // The first process of a namespace can end only when all others are collected.
    let steps = second.end();
    fs::remove_file(go).unwrap();
    let mut done = first.finish();
    let hidden = ["exe", "cwd", "root", "fd/0"].map(|name| format!("{name} is hidden\n")).concat();
    assert_eq!(done.output, format!("keel-init\n{hidden}end\n"));
    done.steps.extend(steps);
    done.steps
}

pub(crate) fn no_mount_reaches_a_shared_mount_of_the_host(scene: &Scene) -> Steps {
    let shared = HostMount::shared(&scene.path("bundle"));
    let spec = scene.spec("sleep 1000");
    let mut made = scene.create(&spec, &Options::default(), Attachments::default());
    made.start();
    let table = host("/proc/self/mountinfo");
    let inside = |line: &&str| line.contains(&scene.text_path("bundle"));
    assert_eq!(table.lines().filter(inside).count(), 1, "{table}");
    let steps = made.end();
    drop(shared);
    steps
}

pub(crate) fn hooks_run_at_their_moments(scene: &Scene) -> Steps {
    fs::create_dir(scene.path("log")).unwrap();
    let log = scene.path("log/order");
    let hook = |moment: &str, path: &Path| {
        let script = format!("cat >/dev/null; echo {moment} >>{}", path.display());
        let args = ["sh", "-c", &script].map(str::to_owned).to_vec();
        let env = vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
        vec![Hook { path: "/bin/sh".into(), args, env, timeout: Some(20) }]
    };
    // The process waits for the poststart hook, which runs beside it.
    let mut spec = scene.spec(
        "i=0; while ! grep -q poststart /log/order && [ $i -lt 2000 ]; do sleep 0.01; \
         i=$((i + 1)); done; echo process >>/log/order",
    );
    let inside = Path::new("/log/order");
    let hooks = spec.hooks.get_or_insert_default();
    hooks.prestart = hook("prestart", &log);
    hooks.create_runtime = hook("createRuntime", &log);
    hooks.create_container = hook("createContainer", &log);
    hooks.start_container = hook("startContainer", inside);
    hooks.poststart = hook("poststart", &log);
    hooks.poststop = hook("poststop", &log);
    spec.mounts.push(mount("bind", &scene.text_path("log"), "/log", &["bind"]));
    let done = scene.run(&spec);
    let order = fs::read_to_string(&log).unwrap();
    let order: Vec<&str> = order.lines().collect();
    let expected =
        ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "process"];
    assert_eq!(order, [&expected[..], &["poststop"]].concat());
    done.steps
}

pub(crate) fn a_terminal_is_kept_for_the_caller(scene: &Scene) -> Steps {
    let mut spec = scene.spec("tty; stty size; stat -c %t:%T /dev/console; echo end; sleep 0.1");
    process(&mut spec).terminal = true;
    process(&mut spec).console_size = Some(ConsoleSize { height: 33, width: 101 });
    let attach = Attachments { console: Console::Keep, ..Attachments::default() };
    let mut made = scene.create(&spec, &Options::default(), attach);
    let mut terminal = File::from(made.container.take_console().unwrap());
    assert!(made.container.take_console().is_none(), "there is one, once");
    made.start();
    let (mut seen, mut part) = (String::new(), [0; 512]);
    while !seen.contains("end") {
        let len = terminal.read(&mut part).unwrap_or_else(|error| panic!("{error}: {seen}"));
        seen.push_str(&String::from_utf8_lossy(&part[..len]));
    }
    assert_eq!(seen, "/dev/pts/0\r\n33 101\r\n88:0\r\nend\r\n");
    let done = made.finish();
    assert_eq!(done.output, "", "what the caller gave as streams is not used");
    done.steps
}

pub(crate) fn kernel_parameters_are_those_of_the_container_alone(scene: &Scene) -> Steps {
    let files = ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/shm_rmid_forced"];
    let before = files.map(host);
    let mut spec = scene.spec(&format!("cat {} {}", files[0], files[1]));
    let sysctl = &mut linux(&mut spec).sysctl;
    // Other values than the host's.
    let wanted = before.clone().map(|value| if value == "1\n" { "0" } else { "1" });
    sysctl.insert("net.ipv4.ip_forward".into(), wanted[0].into());
    sysctl.insert("kernel/shm_rmid_forced".into(), wanted[1].into());
    let done = scene.run(&spec);
    assert_eq!(done.output, wanted.map(|value| format!("{value}\n")).concat());
    assert_eq!(files.map(host), before);
    done.steps
}

pub(crate) fn without_pivot_root_the_rootfs_is_the_root_all_the_same(scene: &Scene) -> Steps {
    let spec = scene.spec("cat /marker; ls -di /; ls -di /..; grep -c sysfs /proc/self/mountinfo");
    let options = Options { no_pivot: true, ..Options::default() };
    let done = scene.run_with(&spec, &options, Attachments::default());
    let lines: Vec<&str> = done.output.lines().collect();
    assert_eq!(lines[0], "the rootfs of the bundle");
    let inode = fs::metadata(scene.path("bundle/rootfs")).unwrap().ino();
    assert_eq!(lines[1].trim(), format!("{inode} /"));
    assert_eq!(lines[2].trim(), format!("{inode} /.."));
    assert_eq!(lines[3], "1", "the host's sysfs is gone");
    done.steps
}

pub(crate) fn without_a_mount_namespace_the_root_is_changed_and_nothing_is_mounted(
    scene: &Scene,
) -> Steps {
    let table = || {
        let table = host("/proc/self/mountinfo");
        table.lines().filter(|line| line.contains("keel-steps-")).count()
    };
    let mut spec = scene.spec("cat /marker; ls -A /proc | wc -l; hostname");
    spec.mounts.clear();
    spec.root.as_mut().unwrap().readonly = false;
    let part = linux(&mut spec);
    part.namespaces.retain(|namespace| namespace.kind != "mount");
    (part.masked_paths, part.readonly_paths) = (Vec::new(), Vec::new());
    let done = scene.run(&spec);
    assert_eq!(done.output, "the rootfs of the bundle\n0\nkeel\n");
    assert_eq!(table(), 0);
    done.steps
}

pub(crate) fn preserved_descriptors_get_the_numbers_from_three_on(scene: &Scene) -> Steps {
    let files = ["three", "four", "five"].map(|name| scene.write(name, &format!("{name}\n")));
    let preserved = files.map(|path| File::open(path).unwrap().into()).into();
    // The last one is what ls reads.
    let script = "cat <&3; cat <&4; cat <&5; echo $LISTEN_FDS $LISTEN_PID; ls /proc/self/fd";
    let options = Options { preserved_fds: 3, listen_fds: 2, ..Options::default() };
    let attach = Attachments { preserved, ..Attachments::default() };
    let done = scene.run_with(&scene.spec(script), &options, attach);
    assert_eq!(done.output, "three\nfour\nfive\n2 1\n0\n1\n2\n3\n4\n5\n6\n");
    done.steps
}

pub(crate) fn more_binds_than_fit_into_a_message_are_all_made(scene: &Scene) -> Steps {
    const COUNT: usize = 250;
    let mut spec =
        scene.spec("cd /inside; ls | wc -l; cat 0 199 200 249; cat /proc/self/mountinfo");
    for i in 0..COUNT {
        let source = scene.write(&format!("outside/{i}"), &format!("file {i}\n"));
        let target = format!("/inside/{i}");
        spec.mounts.push(mount("bind", source.to_str().unwrap(), &target, &["bind", "ro"]));
    }
    let done = scene.run(&spec);
    let expected = format!("{COUNT}\nfile 0\nfile 199\nfile 200\nfile 249\n");
    assert!(done.output.starts_with(&expected), "{}", done.output);
    for i in 0..COUNT {
        let options = mounted(&done.output, &format!("/inside/{i}"))[5];
        assert!(options.split(',').any(|option| option == "ro"), "{i}: {options}");
    }
    done.steps
}

pub(crate) fn a_remount_changes_the_mount_that_is_there(scene: &Scene) -> Steps {
    let mut spec =
        scene.spec("cat /proc/self/mountinfo; touch /data/x 2>/dev/null || echo refused");
    spec.mounts.push(mount("tmpfs", "tmpfs", "/data", &["nosuid", "size=64k"]));
    spec.mounts.push(mount("tmpfs", "tmpfs", "/other", &["size=64k"]));
    spec.mounts.push(mount("", "", "/data", &["remount", "ro", "noexec", "suid"]));
    spec.mounts.push(mount("", "", "/other", &["remount", "size=128k"]));
    let done = scene.run(&spec);
    assert!(done.output.ends_with("refused\n"), "{}", done.output);
    let options = mounted(&done.output, "/data")[5];
    assert_eq!(options, "ro,noexec,relatime");
    let line = done.output.lines().find(|line| line.contains(" /other ")).unwrap();
    assert!(line.contains("size=128k"), "{line}");
    done.steps
}

pub(crate) fn a_tmpfs_starts_with_what_it_covers(scene: &Scene) -> Steps {
    let original = scene.write("bundle/rootfs/data/sub/file", "original\n");
    let mut spec = scene.spec(
        "cat /data/sub/file; echo changed >/data/sub/file; cat /data/sub/file; \
         stat -f -c %T /data",
    );
    spec.mounts.push(mount("tmpfs", "tmpfs", "/data", &["tmpcopyup"]));
    let done = scene.run(&spec);
    assert_eq!(done.output, "original\nchanged\ntmpfs\n");
    assert_eq!(fs::read_to_string(original).unwrap(), "original\n");
    done.steps
}

pub(crate) fn a_cgroup_namespace_is_rooted_in_the_containers_cgroup(scene: &Scene) -> Steps {
    let mut spec = scene.spec("cat /proc/self/cgroup; ls /sys/fs/cgroup >/dev/null && echo seen");
    namespace(&mut spec, "cgroup", None);
    let done = scene.run(&spec);
    let (lines, last) = done.output.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(last, "seen");
    assert!(lines.lines().all(|line| line.ends_with(":/")), "{lines}");
    done.steps
}

pub(crate) fn another_user_owns_the_streams_and_has_a_home_and_a_mask(scene: &Scene) -> Steps {
    let mut spec = scene.spec(
        "id -u; id -g; grep -E '^(Groups|CapEff|CapAmb)' /proc/self/status; echo $HOME; umask; \
         cat /proc/self/oom_score_adj; echo reopened >>/dev/stdout",
    );
    let part = process(&mut spec);
    (part.user.uid, part.user.gid) = (1000, 1000);
    part.user.additional_gids = vec![5, 6];
    part.user.umask = Some(0o027);
    part.oom_score_adj = Some(100);
    part.rlimits.clear();
    let bind = vec!["CAP_NET_BIND_SERVICE".to_owned()];
    let sets = part.capabilities.get_or_insert_default();
    (sets.inheritable, sets.ambient) = (bind.clone(), bind);
    let done = scene.run(&spec);
    let capability = "0000000000000400";
    let expected = format!(
        "1000\n1000\nGroups:\t5 6 \nCapEff:\t{capability}\nCapAmb:\t{capability}\n/home\n0027\n\
         100\nreopened\n"
    );
    assert_eq!(done.output, expected);
    assert_eq!(fs::metadata(scene.path("output-0")).unwrap().uid(), 1000);
    done.steps
}

pub(crate) fn a_read_only_dev_has_its_nodes(scene: &Scene) -> Steps {
    let mut spec = scene.spec(
        "touch /dev/x 2>/dev/null || echo read-only; echo x >/dev/null && echo null; \
         touch /dev/shm/x && echo shm; head -c 3 /dev/zero | wc -c",
    );
    let dev = spec.mounts.iter_mut().find(|mount| mount.destination == "/dev").unwrap();
    dev.options.push("ro".into());
    let done = scene.run(&spec);
    assert_eq!(done.output, "read-only\nnull\nshm\n3\n");
    done.steps
}

pub(crate) fn a_shared_root_is_shared(scene: &Scene) -> Steps {
    let mut spec = scene.spec("cat /proc/self/mountinfo");
    linux(&mut spec).rootfs_propagation = Some("shared".into());
    let done = scene.run(&spec);
    let root = mounted(&done.output, "/");
    assert!(root[6].starts_with("shared:"), "{root:?}");
    done.steps
}

pub(crate) fn the_session_keyring_is_the_containers_own(scene: &Scene) -> Steps {
    let mut spec = scene.spec("cat /proc/keys");
    linux(&mut spec).masked_paths.retain(|path| path != "/proc/keys");
    let name = format!("_ses.{}.", scene.next_id());
    let mut own = scene.run(&spec);
    // A kernel without keyrings has none to make.
    if fs::metadata("/proc/keys").is_ok() {
        assert!(own.output.contains(&name), "{name} is not in {}", own.output);
    }
    let name = format!("_ses.{}.", scene.next_id());
    let options = Options { no_new_keyring: true, ..Options::default() };
    let inherited = scene.run_with(&spec, &options, Attachments::default());
    assert!(!inherited.output.contains(&name), "{name} is in {}", inherited.output);
    own.steps.extend(inherited.steps);
    own.steps
}

pub(crate) fn a_container_says_that_it_is_ready(scene: &Scene) -> Steps {
    let mut spec = scene.spec(
        "echo $NOTIFY_SOCKET; ln -s $NOTIFY_SOCKET /dev/log; logger 'x\nREADY=1'; \
         stat -c %a:%F $NOTIFY_SOCKET; ls -A /run/notify; \
         touch /run/notify/x 2>/dev/null || echo read-only; grep -c CapEff /proc/self/status",
    );
    with_user_namespace(&mut spec);
    process(&mut spec).env.push("NOTIFY_SOCKET=/elsewhere".into());
    // Its root may not make the directory in what belongs to the host's root.
    scene.write("bundle/rootfs/run/notify/covered", "");
    let options = Options { notify_socket: true, ..Options::default() };
    let mut made = scene.create(&spec, &options, Attachments::default());
    assert!(made.container.take_notify_socket().is_none(), "it is there after the start");
    made.start();
    let socket = made.container.take_notify_socket().unwrap();
    assert!(socket.await_ready(&made.container).unwrap(), "{}", made.output());
    let done = made.finish();
    let path = "/run/notify/notify.sock";
    assert_eq!(done.output, format!("{path}\n777:socket\nnotify.sock\nread-only\n1\n"));
    done.steps
}

pub(crate) fn a_caller_without_privileges_leaves_the_copying_of_mounts_to_init(
    scene: &Scene,
) -> Steps {
    const SYS_ADMIN: u64 = 1 << 21;
    scene.write("outside/file", "of the host\n");
    let mut spec = scene.spec("cat /outside/file; id -u; echo x >/dev/null && echo null");
    spec.mounts.push(mount("bind", &scene.text_path("outside"), "/outside", &["bind", "ro"]));
    let mut spec = spec.into_rootless(0, 0);
    // Which cgroups there are to see is not what this is about.
    spec.mounts.retain(|mount| mount.destination != "/sys/fs/cgroup");
    // Capabilities are a thread's own.
    let run = || {
        let sets = caps::get().unwrap();
        let (effective, permitted) = (sets.effective & !SYS_ADMIN, sets.permitted & !SYS_ADMIN);
        caps::set(&caps::Sets { effective, permitted, ..sets }).unwrap();
        let options = Options { cgroup_manager: CgroupManager::Disabled, ..Options::default() };
        scene.run_with(&spec, &options, Attachments::default())
    };
    let done = std::thread::scope(|threads| threads.spawn(run).join());
    let done = done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    assert_eq!(done.output, "of the host\n0\nnull\n");
    assert!(done.steps.contains("OpenTree"), "the runtime copied the mounts itself");
    done.steps
}
