//! The container's process: terminal, directory, environment, program, user, host name.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::case::{Around, Case};
use crate::clause::{Clause, Level, Outcome, about, ensure, equal};
use crate::process;
use crate::terminal::ConsoleSocket;

/// The rows.
pub(crate) const CLAUSES: &[Clause] = &[
    Clause::must("config.md#process/1", "a container can be created without `process`", no_process),
    Clause::must(
        "config.md#process/2",
        "`terminal: true` gives the program a pseudoterminal",
        terminal,
    ),
    Clause::must("config.md#process/3", "without `terminal` the program gets none", no_terminal),
    Clause::must("config.md#process/4", "`consoleSize` is the size of the terminal", console_size),
    Clause::must(
        "config.md#process/5",
        "`consoleSize` is ignored without a terminal",
        size_ignored,
    ),
    Clause::must("config.md#process/6", "`cwd` is the program's working directory", cwd),
    Clause::must("config.md#process/7", "`cwd` has to be absolute", cwd_absolute),
    Clause::must("config.md#process/8", "`env` is the program's environment", env),
    Clause::must("config.md#process/9", "`args` is the program's argv", args),
    Clause::must(
        "config.md#process/10",
        "a name without a slash is looked up in the PATH of `env`",
        path_lookup,
    ),
    Clause::must(
        "config.md#process/11",
        "the lookup passes over files that cannot be executed",
        path_skips,
    ),
    Clause::must(
        "config.md#process/12",
        "a relative path with a slash starts at `cwd`",
        relative_program,
    ),
    Clause::must("config.md#process/13", "at least one entry of `args` is required", no_args),
    Clause::must(
        "config.md#process/14",
        "a program that does not exist is an error",
        missing_program,
    ),
    Clause::must(
        "config.md#posix-platform-user/uid",
        "the user id is the one in the container",
        uid,
    ),
    Clause::must(
        "config.md#posix-platform-user/gid",
        "the group id is the one in the container",
        gid,
    ),
    Clause::must("config.md#posix-platform-user/umask", "the umask is the configured one", umask),
    Clause::should(
        "config.md#posix-platform-user/umask-unset",
        "without `umask` the caller's is kept",
        umask_unset,
    ),
    Clause::must(
        "config.md#posix-platform-user/additionalGids",
        "exactly these groups are added",
        groups,
    ),
    Clause::must(
        "config.md#posix-platform-user/no-additionalGids",
        "without `additionalGids` there is no other group",
        no_groups,
    ),
    Clause::must(
        "config.md#hostname/1",
        "`hostname` is the name of the container's host",
        hostname,
    ),
    Clause::must(
        "config.md#hostname/2",
        "the host's own name stays as it is",
        hostname_inside_only,
    ),
    Clause::must(
        "config.md#domainname/1",
        "`domainname` is the domain of the container's host",
        domainname,
    ),
    Clause::must(
        "runtime-linux.md#file-descriptors/1",
        "the program gets standard streams and no other descriptor",
        descriptors,
    ),
    Clause::untestable(
        "runtime-linux.md#file-descriptors/2",
        Level::May,
        "more descriptors may be passed on request",
        "a permission: how to ask is not specified",
    ),
    Clause::untestable(
        "runtime-linux.md#file-descriptors/3",
        Level::May,
        "standard streams may lead to /dev/null",
        "a permission: a runtime that passes its own streams follows it too",
    ),
];

fn no_process(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    if let Some(config) = bundle.config.as_object_mut() {
        config.remove("process");
    }
    equal("the status", case.create(&bundle)?.status()?, "created")
}

/// Runs a script on a terminal of this size; the files it wrote below `/tmp` are in the bundle.
fn on_terminal(case: &Case<'_>, bundle: &mut Bundle, script: &str) -> Outcome {
    bundle.config["process"]["terminal"] = json!(true);
    bundle.script(script);
    let socket = ConsoleSocket::listen(&case.dir)?;
    let path = socket.path.display().to_string();
    let around = Around { before: "", options: &["--console-socket", &path] };
    let container = case.attempt(bundle, &around)?.created()?;
    let master = socket.receive()?;
    let target = master.target()?;
    ensure!(target.ends_with("ptmx"), "the console socket was sent {target}");
    container.start()?;
    let exit = container.wait()?;
    equal("the end of the program", exit, process::Exit::Code(0))
}

fn terminal(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    let script = "for n in 0 1 2; do
            if [ -t $n ]; then m=$(stat -Lc %t /proc/$$/fd/$n); echo $m >> /tmp/seen; fi
        done
        if true < /dev/tty; then echo controlling >> /tmp/seen; fi";
    on_terminal(case, &mut bundle, script)?;
    let seen = fs::read_to_string(bundle.rootfs().join("tmp/seen"))?;
    let lines: Vec<_> = seen.lines().collect();
    // 0x88 is the first major of pseudoterminals.
    equal("the streams' devices", lines, ["88", "88", "88", "controlling"])
}

fn no_terminal(case: &Case<'_>) -> Outcome {
    let script = "exec 2> /tmp/errors; [ -t 0 ] || [ -t 1 ] || echo none
        if true < /dev/tty; then echo controlling; fi";
    equal("the terminals", case.probe(&mut case.bundle()?, script)?, "none\n")
}

fn console_size(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["process"]["consoleSize"] = json!({"height": 31, "width": 97});
    on_terminal(case, &mut bundle, "stty size > /tmp/seen")?;
    equal("the size", fs::read_to_string(bundle.rootfs().join("tmp/seen"))?.as_str(), "31 97\n")
}

fn size_ignored(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["process"]["consoleSize"] = json!({"height": 31, "width": 97});
    equal("the output", case.probe(&mut bundle, "[ -t 0 ] || echo none")?, "none\n")
}

fn cwd(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["process"]["cwd"] = json!("/opt");
    equal("the directory", case.probe(&mut bundle, "pwd; readlink /proc/self/cwd")?, "/opt\n/opt\n")
}

fn cwd_absolute(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["process"]["cwd"] = json!("opt");
    case.refused(&bundle)
}

fn env(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    let values = ["PATH=/bin", "Z=1", "A=two words", "EMPTY=", "EQUAL=a=b", "U=ü"];
    bundle.config["process"]["env"] = json!(values);
    bundle.args(&["/bin/sleep", "1000"]);
    let around = Around { before: "export LEAKED=yes", options: &[] };
    let container = case.attempt(&bundle, &around)?.created()?;
    container.begin(&bundle)?;
    let seen = container.proc("environ")?;
    let seen: Vec<_> = seen.split_terminator('\0').collect();
    let extra: Vec<_> =
        seen.iter().filter(|v| !values.contains(v) && !v.starts_with("HOME=")).collect();
    ensure!(extra.is_empty(), "the environment also has {extra:?}");
    let missing: Vec<_> = values.iter().filter(|value| !seen.contains(value)).collect();
    ensure!(missing.is_empty(), "the environment lacks {missing:?}");
    Ok(())
}

fn args(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.args(&["sh", "-c", "sleep 1000; exit", "", "two words", "ü", "$HOME"]);
    let container = case.run(&bundle)?;
    equal(
        "argv",
        container.proc("cmdline")?.as_str(),
        "sh\0-c\0sleep 1000; exit\0\0two words\0ü\0$HOME\0",
    )
}

fn path_lookup(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.program("opt/first/tool", "#!/bin/sh\necho first\n")?;
    bundle.program("opt/second/tool", "#!/bin/sh\necho second\n")?;
    bundle.args(&["tool"]);
    bundle.config["process"]["env"] = json!(["PATH=/opt/none:/opt/second:/opt/first:/bin"]);
    let around = Around { before: "export PATH=/opt/first:$PATH", options: &[] };
    let container = case.attempt(&bundle, &around)?.created()?;
    container.start()?;
    container.wait()?;
    equal("the program that ran", container.answer.stdout().as_str(), "second\n")
}

fn path_skips(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.file("opt/first/tool", "#!/bin/sh\necho first\n")?;
    fs::create_dir_all(bundle.rootfs().join("opt/second/tool"))?;
    bundle.program("opt/third/tool", "#!/bin/sh\necho third\n")?;
    bundle.args(&["tool"]);
    bundle.config["process"]["env"] = json!(["PATH=/opt/first:/opt/second:/opt/third:/bin"]);
    equal("the program that ran", case.output(&bundle)?, "third\n")
}

fn relative_program(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.program("opt/dir/tool", "#!/bin/sh\necho tool\n")?;
    bundle.config["process"]["cwd"] = json!("/opt");
    for path in ["dir/tool", "./dir/tool"] {
        bundle.args(&[path]);
        equal(path, case.output(&bundle)?, "tool\n")?;
    }
    Ok(())
}

/// Fails the test if the runtime creates and starts a container without an error.
fn not_started(case: &Case<'_>, bundle: &Bundle) -> Outcome {
    let container = case.attempt(bundle, &Around::default())?;
    if container.answer.ok {
        container.operation("start")?.error()?;
    }
    Ok(())
}

fn no_args(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.args(&[]);
    about("empty args", not_started(case, &bundle))?;
    bundle.config["process"]["args"] = Value::Null;
    about("no args", not_started(case, &bundle))
}

fn missing_program(case: &Case<'_>) -> Outcome {
    for program in ["/no/such/program", "no-such-program", "/etc"] {
        let mut bundle = case.bundle()?;
        bundle.args(&[program]);
        about(program, not_started(case, &bundle))?;
    }
    Ok(())
}

fn uid(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["process"]["user"] = json!({"uid": 1234, "gid": 0});
    let container = case.idle(&mut bundle)?;
    equal("the user ids", container.status_field("Uid")?.as_str(), "1234\t1234\t1234\t1234")
}

fn gid(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["process"]["user"] = json!({"uid": 0, "gid": 4321});
    let container = case.idle(&mut bundle)?;
    equal("the group ids", container.status_field("Gid")?.as_str(), "4321\t4321\t4321\t4321")
}

fn umask(case: &Case<'_>) -> Outcome {
    for mask in [0o077, 0o027, 0] {
        let mut bundle = case.bundle()?;
        bundle.config["process"]["user"]["umask"] = json!(mask);
        let container = case.idle(&mut bundle)?;
        equal("the umask", container.status_field("Umask")?, format!("{mask:04o}"))?;
    }
    Ok(())
}

fn umask_unset(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.args(&["/bin/sleep", "1000"]);
    let around = Around { before: "umask 0037", options: &[] };
    let container = case.attempt(&bundle, &around)?.created()?;
    container.begin(&bundle)?;
    equal("the umask", container.status_field("Umask")?.as_str(), "0037")
}

fn groups(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["process"]["user"] = json!({"uid": 7, "gid": 8, "additionalGids": [5, 60000, 6]});
    let container = case.idle(&mut bundle)?;
    let seen = container.status_field("Groups")?;
    let mut seen: Vec<_> = seen.split_whitespace().filter(|gid| *gid != "8").collect();
    seen.sort_unstable();
    equal("the groups", seen, ["5", "6", "60000"])
}

fn no_groups(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["process"]["user"] = json!({"uid": 7, "gid": 8});
    let seen = case.idle(&mut bundle)?.status_field("Groups")?;
    ensure!(seen.is_empty() || seen == "8", "the groups are {seen}");
    Ok(())
}

fn hostname(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["hostname"] = json!("mrs-dalloway");
    let seen = case.probe(&mut bundle, "hostname; cat /proc/sys/kernel/hostname")?;
    equal("the name", seen.as_str(), "mrs-dalloway\nmrs-dalloway\n")
}

fn hostname_inside_only(case: &Case<'_>) -> Outcome {
    let own = fs::read_to_string("/proc/sys/kernel/hostname")?;
    case.idle(&mut case.bundle()?)?;
    equal("the host's name", fs::read_to_string("/proc/sys/kernel/hostname")?, own)
}

fn domainname(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.config["domainname"] = json!("example.test");
    let seen = case.probe(&mut bundle, "cat /proc/sys/kernel/domainname")?;
    equal("the domain", seen.as_str(), "example.test\n")
}

fn descriptors(case: &Case<'_>) -> Outcome {
    let mut bundle = case.bundle()?;
    bundle.args(&["/bin/sleep", "1000"]);
    let around = Around { before: "exec 3< /etc/passwd 7< /", options: &[] };
    let container = case.attempt(&bundle, &around)?.created()?;
    container.begin(&bundle)?;
    let list = || {
        let mut open: Vec<_> = fs::read_dir(format!("/proc/{}/fd", container.pid()?))?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        open.sort();
        Ok::<_, crate::clause::Verdict>(open)
    };
    let settled = process::poll(Duration::from_secs(1), || {
        let open = list()?;
        Ok((open == ["0", "1", "2"]).then_some(()))
    })?;
    ensure!(settled.is_some(), "the open descriptors are {:?}", list()?);
    Ok(())
}
