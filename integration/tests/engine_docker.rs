//! Docker with the runtime under test: a daemon with its own data, state and socket below the
//! scene. It makes network devices and rules of a firewall only in a network namespace of its own.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use integration::bundle::write;
use integration::docker::{Docker, FIREWALL, LAYERS, LIMITS, PROGRAMS};
use integration::docker_like::DockerLike;
use integration::engine::{EATER, IMAGE, NO_FILE, on_a_terminal, scene};
use integration::runtime::until;
use integration::{Inside, Need, Scene, debian, skip};

#[test]
fn containers_run_with_and_without_a_terminal_and_their_exit_codes_are_told() {
    let Some(scene) = scene(&PROGRAMS) else { return };
    let docker = Docker::start(&scene);
    let outcome = docker.run(&["--rm"], &["sh", "-c", "echo hi; id -u; exit 7"]).run().exits(7);
    assert_eq!(outcome.stdout, "hi\n0\n");
    docker.run(&["--rm"], &["/no/such/program"]).run().exits(127);
    docker.run(&["--rm"], &["/etc/passwd"]).run().exits(126);
    // Docker tells the size only when the container has been started.
    let script = "tty; until stty size 2>/dev/null | grep '24 80'; do :; done; echo terminal-end";
    let seen = on_a_terminal(docker.run(&["--rm", "-it"], &["sh", "-c", script]));
    assert!(seen.contains("/dev/pts/0") && seen.contains("24 80"), "{seen}");
    let input = scene.dir().join("input");
    write(&input, b"from outside");
    let input = fs::File::open(&input).expect("open");
    let outcome = docker.run(&["--rm", "--interactive"], &["cat"]).stdin(input).run();
    assert_eq!(outcome.ok().stdout, "from outside");
}

#[test]
fn a_service_is_entered_paused_stopped_restarted_and_killed() {
    let Some(scene) = scene(&PROGRAMS) else { return };
    let docker = Docker::start(&scene);
    docker.serve("one", &[]);
    let outcome = docker.exec(&["--user", "7", "one", "sh", "-c", "id -u; exit 3"]).run().exits(3);
    assert_eq!(outcome.stdout, "7\n");
    // Docker 20.10 says 126 here.
    let outcome = docker.exec(&["one", "/no/such/program"]).run().exits(126);
    assert!(NO_FILE.iter().any(|words| outcome.stdout.contains(words)), "{outcome:?}");
    let seen = on_a_terminal(docker.exec(&["-it", "one", "sh", "-c", "tty; echo terminal-end"]));
    assert!(seen.contains("/dev/pts/"), "{seen}");
    assert!(docker.call(&["top", "one"]).run().ok().stdout.contains("sleep 0.1"));

    docker.call(&["pause", "one"]).run().ok();
    assert_eq!(docker.inspect("one", "State.Status"), "paused");
    docker.exec(&["one", "true"]).run().refused();
    docker.call(&["unpause", "one"]).run().ok();
    assert_eq!(docker.inspect("one", "State.Status"), "running");

    docker.call(&["stop", "--time", "20", "one"]).run().ok();
    assert_eq!(docker.inspect("one", "State.ExitCode"), "9");
    docker.call(&["start", "one"]).run().ok();
    until("the second life's output", || docker.call(&["logs", "one"]).run().stdout == "up\nup\n");
    docker.call(&["restart", "--time", "20", "one"]).run().ok();
    until("the third life's output", || {
        docker.call(&["logs", "one"]).run().stdout == "up\nup\nup\n"
    });
    docker.call(&["kill", "one"]).run().ok();
    assert_eq!(docker.call(&["wait", "one"]).run().ok().stdout, "137\n");
    docker.call(&["rm", "one"]).run().ok();
}

#[test]
fn limits_are_set_measured_and_updated() {
    let Some(scene) = scene(&[&PROGRAMS[..], &LIMITS].concat()) else { return };
    let docker = Docker::start(&scene);
    let limits = ["--memory", "64m", "--memory-swap", "64m", "--cpus", "0.5", "--pids-limit", "50"];
    docker.serve("one", &limits);
    let seen = || docker.limits("one");
    assert_eq!(seen(), ["67108864", "50000", "50"]);
    let format = "{{.PIDs}} {{.MemUsage}}";
    let stats = docker.call(&["stats", "--no-stream", "--format", format, "one"]).run().ok().stdout;
    assert!(stats.starts_with(['1', '2']) && stats.ends_with("/ 64MiB\n"), "{stats}");
    let limits = ["--memory", "32m", "--memory-swap", "48m", "--cpus", "0.3", "--pids-limit", "40"];
    docker.call(&["update"]).args(limits).arg("one").run().ok();
    assert_eq!(seen(), ["33554432", "30000", "40"]);
    docker.call(&["update", "--memory", "24m", "one"]).run().ok();
    assert_eq!(seen(), ["25165824", "30000", "40"]);
    docker.exec(&["one", "true"]).run().ok();
    docker.call(&["rm", "--force", "one"]).run().ok();

    let limits = ["--detach", "--name", "two", "--memory", "16m", "--memory-swap", "16m"];
    docker.run(&limits, &["sh", "-c", EATER]).run().ok();
    docker.exec(&["two", "touch", "/go"]).run().ok();
    assert_eq!(docker.call(&["wait", "two"]).run().ok().stdout, "137\n");
    assert_eq!(docker.inspect("two", "State.OOMKilled"), "true");
    docker.call(&["rm", "two"]).run().ok();
    let script = "ulimit -n; cat /proc/sys/net/ipv4/ip_default_ttl";
    let options = ["--ulimit", "nofile=123:123", "--sysctl", "net.ipv4.ip_default_ttl=33"];
    assert_eq!(docker.output(&options, script), "123\n33\n");
}

#[test]
fn volumes_and_read_only_roots_hold_what_they_should() {
    let Some(scene) = scene(&PROGRAMS) else { return };
    Docker::start(&scene).check_volumes();
}

#[test]
fn a_web_server_and_a_database_do_their_work() {
    let needs = [&PROGRAMS[..], &[Need::Program("unshare")]].concat();
    let Some((scene, image)) = debian::scene(&needs) else { return };
    let docker = Docker::started(&scene, |call| call.under(["unshare", "--mount"]).arg(LAYERS));
    docker.load(&image);
    docker.check_web_server();
    docker.check_database();
}

#[test]
fn privileges_are_those_that_docker_is_told() {
    let Some(scene) = scene(&PROGRAMS) else { return };
    let docker = Docker::start(&scene);
    let inside = |options: &[&str]| Inside(docker.output(options, "cat /proc/self/status"));
    assert_eq!(inside(&[]).field("CapEff"), "00000000a80425fb");
    docker.check_privileges();
    let options = ["--cap-drop", "ALL", "--cap-add", "CHOWN"];
    assert_eq!(inside(&options).field("CapEff"), "0000000000000001");
}

#[test]
fn an_init_collects_the_dead_and_health_is_checked() {
    let Some(scene) = scene(&[&PROGRAMS[..], &[Need::Program("docker-init")]].concat()) else {
        return;
    };
    let docker = Docker::start(&scene);
    assert_eq!(docker.output(&["--init"], "cat /proc/1/comm"), "docker-init\n");
    let check = ["--health-cmd", "test -e /tmp/well", "--health-interval", "200ms"];
    docker.serve("one", &[&check[..], &["--health-retries", "1", "--init"]].concat());
    until("a failed check", || docker.inspect("one", "State.Health.Status") == "unhealthy");
    docker.exec(&["one", "touch", "/tmp/well"]).run().ok();
    until("a good check", || docker.inspect("one", "State.Health.Status") == "healthy");
    docker.call(&["stop", "--time", "20", "one"]).run().ok();
    assert_eq!(docker.inspect("one", "State.ExitCode"), "9");
    docker.call(&["rm", "one"]).run().ok();
}

/// A directory from which an image is built: one step that must run in a container.
fn context(scene: &Scene) -> PathBuf {
    let dir = scene.directory("context");
    let recipe = format!(
        "FROM {IMAGE}\nCOPY file /file\nRUN id -u >/made && cat /file >>/made\n\
         USER 1000\nCMD cat /made\n"
    );
    write(&dir.join("Dockerfile"), recipe.as_bytes());
    write(&dir.join("file"), b"of the context\n");
    dir
}

/// Builds an image and runs it.
#[track_caller]
fn build(docker: &Docker<'_>, context: &Path, buildkit: &str) {
    let call = docker.call(&["build", "--network", "none", "--tag", "built"]).arg(context);
    call.env("DOCKER_BUILDKIT", buildkit).run().ok();
    let call = docker.call(&["run", "--rm", "--network", "none", "built"]);
    assert_eq!(call.run().ok().stdout, "0\nof the context\n");
    let call = docker.call(&["build", "--network", "none", "-"]);
    let recipe = docker.scene().dir().join("failing");
    write(&recipe, format!("FROM {IMAGE}\nRUN exit 42\n").as_bytes());
    let call = call.stdin(fs::File::open(&recipe).expect("open")).env("DOCKER_BUILDKIT", buildkit);
    let outcome = call.run().refused();
    assert!(outcome.stderr.contains("42"), "{outcome:?}");
}

#[test]
fn images_are_built() {
    let Some(scene) = scene(&PROGRAMS) else { return };
    let docker = Docker::start(&scene);
    build(&docker, &context(&scene), "0");
}

#[test]
fn images_are_built_with_buildkit() {
    let Some(scene) = scene(&PROGRAMS) else { return };
    // It takes no other runtime than the program of this name. This one writes down how it is
    // called.
    let bin = scene.directory("bin");
    let (calls, runc) = (scene.dir().join("calls"), bin.join("runc"));
    let program = scene.runtime().program().display();
    let script = format!("#!/bin/sh\necho \"$@\" >>{}\nexec {program} \"$@\"\n", calls.display());
    write(&runc, script.as_bytes());
    fs::set_permissions(&runc, fs::Permissions::from_mode(0o755)).expect("chmod");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    // Newer commands need a plug-in for it, which Debian's does not.
    let knows = |client: &&'static str| {
        let ask = || scene.call(client).args(["build", "--help"]).env("DOCKER_BUILDKIT", "1").run();
        Need::Program(client).met() && ask().status.success()
    };
    let Some(client) = ["docker", "/usr/bin/docker"].into_iter().find(knows) else {
        return skip("no docker command here can use BuildKit");
    };
    let mut docker = Docker::started(&scene, |call| call.env("PATH", path));
    docker.set_client(client);
    build(&docker, &context(&scene), "1");
    let calls = fs::read_to_string(&calls).expect("the calls");
    assert_eq!(calls.matches(" run --bundle ").count(), 2, "{calls}");
}

#[test]
fn root_of_a_container_can_be_nobody_outside() {
    let Some(scene) = scene(&[&PROGRAMS[..], &[Need::Program("unshare")]].concat()) else {
        return;
    };
    // The ids are taken from /etc/subuid; the daemon sees another one than the machine.
    let ids = scene.dir().join("ids");
    write(&ids, b"daemon:200000:65536\n");
    let script =
        "mount --bind \"$0\" /etc/subuid && mount --bind \"$0\" /etc/subgid && exec \"$@\"";
    let ids = ids.display().to_string();
    let docker = Docker::started(&scene, |call| {
        let under = ["unshare", "--mount", "sh", "-c", script, &ids];
        call.under(under).args(["--userns-remap", "daemon"])
    });
    let seen = docker.output(&[], "id -u; cat /proc/self/uid_map");
    let words: Vec<&str> = seen.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "200000", "65536"]);
    docker.serve("one", &["--volume", "named:/data"]);
    docker.exec(&["one", "touch", "/data/file"]).run().ok();
    let pid = docker.inspect("one", "State.Pid");
    assert_eq!(fs::metadata(format!("/proc/{pid}")).expect("the process").uid(), 200_000);
    let file = docker.call(&["volume", "inspect", "--format", "{{.Mountpoint}}", "named"]).run();
    let file = Path::new(file.ok().stdout.trim_end()).join("file");
    assert_eq!(fs::metadata(&file).expect("the file").uid(), 200_000);
    docker.call(&["stop", "--time", "20", "one"]).run().ok();
    assert_eq!(docker.inspect("one", "State.ExitCode"), "9");
    docker.call(&["rm", "--volumes", "one"]).run().ok();
}

#[test]
fn containers_on_a_bridge_reach_each_other_and_a_published_port_is_reached() {
    let needs = ["unshare", "nsenter", "ip", "iptables"].map(Need::Program);
    let Some(scene) = scene(&[&PROGRAMS[..], &needs].concat()) else { return };
    // The bridge, and the firewall that the daemon fills, are in a network namespace of its own.
    let script = "ip link set lo up && ip link add bridge0 type bridge && \
                  ip addr add 10.123.0.1/24 dev bridge0 && ip link set bridge0 up && exec \"$@\"";
    let docker = Docker::started(&scene, |call| {
        let call = call.under(["unshare", "--net", "sh", "-c", script, "sh"]);
        call.args(["--bridge", "bridge0"]).args(FIREWALL)
    });
    let serve = "mkdir /www; hostname >/www/index.html; exec httpd -f -p 80 -h /www";
    let options = ["run", "--detach", "--name", "server", "--hostname", "server", "--publish"];
    let words = ["127.0.0.1:8080:80", IMAGE, "sh", "-c", serve];
    docker.call(&options).args(words).run().ok();
    let address = docker.inspect("server", "NetworkSettings.IPAddress");
    let wget = "until wget -q -O - http://$0/; do sleep 0.1; done";
    let client = ["run", "--rm", IMAGE, "sh", "-c", wget, &address];
    assert_eq!(docker.call(&client).run().ok().stdout, "server\n");

    let busybox = scene.dir().with_file_name("busybox").display().to_string();
    let page = docker.near(&[&busybox, "wget", "-q", "-O", "-", "http://127.0.0.1:8080/"]);
    assert_eq!(page.run().ok().stdout, "server\n");
    docker.call(&["rm", "--force", "server"]).run().ok();
}
