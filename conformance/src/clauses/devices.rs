//! Devices, default file systems and the links below `/dev`.

use serde_json::json;

use crate::bundle::Bundle;
use crate::case::{Around, Case};
use crate::clause::{Clause, Level, Outcome, about, ensure, equal};
use crate::process::Exit;
use crate::terminal::ConsoleSocket;

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must("runtime-linux.md#dev-symbolic-links/fd", "/dev/fd leads to /proc/self/fd", link),
    Clause::must(
        "runtime-linux.md#dev-symbolic-links/stdin",
        "/dev/stdin leads to /proc/self/fd/0",
        link,
    ),
    Clause::must(
        "runtime-linux.md#dev-symbolic-links/stdout",
        "/dev/stdout leads to /proc/self/fd/1",
        link,
    ),
    Clause::must(
        "runtime-linux.md#dev-symbolic-links/stderr",
        "/dev/stderr leads to /proc/self/fd/2",
        link,
    ),
    Clause::should(
        "config-linux.md#default-filesystems/proc",
        "/proc is a proc file system",
        file_system,
    ),
    Clause::should("config-linux.md#default-filesystems/sys", "/sys is a sysfs", file_system),
    Clause::should("config-linux.md#default-filesystems/pts", "/dev/pts is a devpts", file_system),
    Clause::should("config-linux.md#default-filesystems/shm", "/dev/shm is a tmpfs", file_system),
    Clause::must(
        "config-linux.md#devices/c",
        "a configured character device is there",
        char_device,
    ),
    Clause::must("config-linux.md#devices/b", "a configured block device is there", block_device),
    Clause::must("config-linux.md#devices/u", "type `u` is a character device", unbuffered_device),
    Clause::must("config-linux.md#devices/p", "a configured fifo is there", fifo),
    Clause::must("config-linux.md#devices/fileMode", "a device has the configured mode", file_mode),
    Clause::must("config-linux.md#devices/uid", "a device has the configured owner", owner),
    Clause::must("config-linux.md#devices/gid", "a device has the configured group", group),
    Clause::may(
        "config-linux.md#devices/path",
        "a device may be anywhere in the file system",
        anywhere,
    ),
    Clause::must(
        "config-linux.md#devices/matching",
        "a file that is the requested device stays",
        matching,
    ),
    Clause::must(
        "config-linux.md#devices/mismatch",
        "another file at the path is an error",
        mismatch,
    ),
    Clause::must(
        "config-linux.md#devices/mismatched-numbers",
        "another device at the path is an error",
        mismatched_numbers,
    ),
    Clause::untestable(
        "config-linux.md#devices/supply",
        Level::May,
        "how a device is supplied is left to the runtime",
        "a permission: each way that works is as good",
    ),
    Clause::untestable(
        "config-linux.md#devices/same-numbers",
        Level::Should,
        "no two devices have the same type and numbers",
        "binds who writes the configuration",
    ),
    Clause::untestable(
        "config-linux.md#devices/others",
        Level::May,
        "devices that are neither configured nor default may be out of reach",
        "a permission; config-linux.md#allowed-device-list tests what is denied on request",
    ),
    Clause::must("config-linux.md#default-devices/null", "/dev/null is supplied", default_device),
    Clause::must("config-linux.md#default-devices/zero", "/dev/zero is supplied", default_device),
    Clause::must("config-linux.md#default-devices/full", "/dev/full is supplied", default_device),
    Clause::must(
        "config-linux.md#default-devices/random",
        "/dev/random is supplied",
        default_device,
    ),
    Clause::must(
        "config-linux.md#default-devices/urandom",
        "/dev/urandom is supplied",
        default_device,
    ),
    Clause::must("config-linux.md#default-devices/tty", "/dev/tty is supplied", default_device),
    Clause::must(
        "config-linux.md#default-devices/console",
        "/dev/console is the terminal if there is one",
        console,
    ),
    Clause::must(
        "config-linux.md#default-devices/ptmx",
        "/dev/ptmx is that of the container's /dev/pts",
        ptmx,
    ),
];

fn link(case: &Case<'_>) -> Outcome {
    let target = match case.topic {
        "stdin" => "/proc/self/fd/0\n",
        "stdout" => "/proc/self/fd/1\n",
        "stderr" => "/proc/self/fd/2\n",
        _ => "/proc/self/fd\n",
    };
    let seen = case.probe(&mut case.bundle()?, &format!("readlink /dev/{}", case.topic))?;
    equal("the link", seen.as_str(), target)
}

fn file_system(case: &Case<'_>) -> Outcome {
    let (path, kind) = match case.topic {
        "proc" => ("/proc", "proc"),
        "sys" => ("/sys", "sysfs"),
        "pts" => ("/dev/pts", "devpts"),
        _ => ("/dev/shm", "tmpfs"),
    };
    let container = case.idle(&mut case.bundle()?)?;
    equal("the type", container.mount_on(path)?.kind.as_str(), kind)
}

/// What stat(1) says about a path of a container with one device: type, numbers.
fn with_device(case: &Case<'_>, device: serde_json::Value, format: &str) -> Outcome<String> {
    let mut bundle = case.bundle()?;
    let path = device["path"].as_str().unwrap_or_default().to_owned();
    bundle.push("linux", "devices", device);
    case.probe(&mut bundle, &format!("stat -c '{format}' {path}"))
}

fn char_device(case: &Case<'_>) -> Outcome {
    let device = json!({"path": "/dev/extra", "type": "c", "major": 1, "minor": 5});
    equal(
        "the device",
        with_device(case, device, "%F %t:%T")?.as_str(),
        "character special file 1:5\n",
    )
}

fn block_device(case: &Case<'_>) -> Outcome {
    let device = json!({"path": "/dev/extra", "type": "b", "major": 7, "minor": 300});
    equal(
        "the device",
        with_device(case, device, "%F %t:%T")?.as_str(),
        "block special file 7:12c\n",
    )
}

fn unbuffered_device(case: &Case<'_>) -> Outcome {
    let device = json!({"path": "/dev/extra", "type": "u", "major": 1, "minor": 5});
    equal(
        "the device",
        with_device(case, device, "%F %t:%T")?.as_str(),
        "character special file 1:5\n",
    )
}

fn fifo(case: &Case<'_>) -> Outcome {
    let device = json!({"path": "/dev/extra", "type": "p"});
    equal("the device", with_device(case, device, "%F")?.as_str(), "fifo\n")
}

fn file_mode(case: &Case<'_>) -> Outcome {
    for mode in [0o640, 0o666, 0o602] {
        let device =
            json!({"path": "/dev/extra", "type": "c", "major": 1, "minor": 5, "fileMode": mode});
        equal("the mode", with_device(case, device, "%a")?, format!("{mode:o}\n"))?;
    }
    Ok(())
}

fn owner(case: &Case<'_>) -> Outcome {
    let device = json!({"path": "/dev/extra", "type": "c", "major": 1, "minor": 5, "uid": 1234});
    equal("the owner", with_device(case, device, "%u")?.as_str(), "1234\n")
}

fn group(case: &Case<'_>) -> Outcome {
    let device = json!({"path": "/dev/extra", "type": "c", "major": 1, "minor": 5, "gid": 4321});
    equal("the group", with_device(case, device, "%g")?.as_str(), "4321\n")
}

fn anywhere(case: &Case<'_>) -> Outcome {
    let device = json!({"path": "/opt/new/dir/null", "type": "c", "major": 1, "minor": 3});
    equal(
        "the device",
        with_device(case, device, "%F %t:%T")?.as_str(),
        "character special file 1:3\n",
    )
}

/// Makes a device node in the root file system before the container is created.
fn node(bundle: &Bundle, minor: u64) -> Outcome {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    let path = bundle.rootfs().join("opt/node");
    Ok(mknod(&path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, minor))?)
}

fn matching(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    node(&bundle, 5)?;
    bundle.push(
        "linux",
        "devices",
        json!({"path": "/opt/node", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666}),
    );
    equal("the device", case.probe(&mut bundle, "stat -c %t:%T /opt/node")?.as_str(), "1:5\n")
}

fn mismatch(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.file("opt/node", "a file\n")?;
    bundle.push(
        "linux",
        "devices",
        json!({"path": "/opt/node", "type": "c", "major": 1, "minor": 5}),
    );
    about("a regular file", case.refused(&bundle))?;
    let mut bundle = case.bundle()?;
    std::fs::create_dir(bundle.rootfs().join("opt/node"))?;
    bundle.push(
        "linux",
        "devices",
        json!({"path": "/opt/node", "type": "c", "major": 1, "minor": 5}),
    );
    about("a directory", case.refused(&bundle))
}

fn mismatched_numbers(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    node(&bundle, 3)?;
    bundle.push(
        "linux",
        "devices",
        json!({"path": "/opt/node", "type": "c", "major": 1, "minor": 5}),
    );
    case.refused(&bundle)
}

fn default_device(case: &Case<'_>) -> Outcome {
    let (numbers, use_it) = match case.topic {
        "null" => ("1:3", "echo x > /dev/null && [ -z \"$(cat /dev/null)\" ] && echo works"),
        "zero" => (
            "1:5",
            "[ $(dd if=/dev/zero bs=7 count=1 2>/dev/null | tr '\\0' x) = xxxxxxx ] && echo works",
        ),
        "full" => ("1:7", "(echo x > /dev/full) 2>/dev/null || echo works"),
        "random" => ("1:8", "[ -c /dev/random ] && [ -r /dev/random ] && echo works"),
        "urandom" => {
            ("1:9", "dd if=/dev/urandom of=/dev/null bs=64 count=1 2>/dev/null && echo works")
        }
        _ => ("5:0", "[ -c /dev/tty ] && echo works"),
    };
    let script = format!("stat -Lc '%F %t:%T' /dev/{}; {use_it}", case.topic);
    let seen = case.probe(&mut case.bundle()?, &script)?;
    equal("the device", seen, format!("character special file {numbers}\nworks\n"))
}

fn console(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["process"]["terminal"] = json!(true);
    bundle.script("stat -Lc %t:%T /dev/console /proc/$$/fd/0 > /tmp/seen");
    let socket = ConsoleSocket::listen(&case.dir)?;
    let path = socket.path.display().to_string();
    let around = Around { before: "", options: &["--console-socket", &path] };
    let container = case.attempt(&bundle, &around)?.created()?;
    let _master = socket.receive()?;
    let mounts = container.mounts()?;
    container.start()?;
    equal("the end of the program", container.wait()?, Exit::Code(0))?;
    let seen = std::fs::read_to_string(bundle.rootfs().join("tmp/seen"))?;
    let devices: Vec<_> = seen.lines().collect();
    ensure!(
        devices.len() == 2 && devices[0] == devices[1],
        "console and standard input are {devices:?}"
    );
    let mounted = mounts.iter().any(|m| m.point == std::path::Path::new("/dev/console"));
    ensure!(mounted, "nothing is mounted on /dev/console");
    Ok(())
}

fn ptmx(case: &Case<'_>) -> Outcome {
    let script =
        "stat -Lc '%t:%T' /dev/ptmx; ls /dev/pts | sort; exec 9<> /dev/ptmx; ls /dev/pts | sort";
    let seen = case.probe(&mut case.bundle()?, script)?;
    equal(
        "the device, and /dev/pts before and after it is opened",
        seen.as_str(),
        "5:2\nptmx\n0\nptmx\n",
    )
}
