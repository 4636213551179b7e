//! Streams of `exec` and `attach`.

use integration::runtime::until;

use crate::messages::{Attach, Exec, Url};
use crate::node::{self, Node};
use crate::stream::Stream;

/// Opens a stream of a new process.
#[track_caller]
fn exec(node: &Node<'_>, id: &str, script: &str, tty: bool) -> Stream {
    let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
    let request = Exec { id: id.to_owned(), cmd, tty, stdin: true, stdout: true, stderr: !tty };
    let Url { url } = node.ask("Exec", &request);
    Stream::open(node, &url)
}

/// Opens a stream of a container's first process.
#[track_caller]
fn attach(node: &Node<'_>, id: &str, tty: bool) -> Stream {
    let request = Attach { id: id.to_owned(), stdin: true, tty, stdout: true, stderr: !tty };
    let Url { url } = node.ask("Attach", &request);
    Stream::open(node, &url)
}

#[test]
fn an_added_process_is_streamed_with_and_without_a_terminal() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    let pod = node.run_pod("pod", |_| {});
    let id = node.start_container(&pod, "one", &["sleep", "1000"], |_| {});

    let mut stream = exec(&node, &id, "read line; echo got $line; echo err >&2; exit 5", false);
    stream.write("one line\n");
    assert_eq!(stream.end(), ("got one line\n".into(), "err\n".into(), 5));

    let script = "tty; until stty size | grep '31 101'; do :; done; read line; echo got $line";
    let mut stream = exec(&node, &id, script, true);
    stream.resize(31, 101);
    assert!(stream.expect("31 101").contains("/dev/pts/"));
    stream.write("one line\n");
    // A terminal echoes what is typed.
    let (seen, errors, code) = stream.end();
    assert!(seen.ends_with("one line\r\ngot one line\r\n"), "{seen:?}");
    assert_eq!((&*errors, code), ("", 0));
    node.end_pod(&pod);
}

#[test]
fn a_containers_own_process_is_attached_to() {
    let Some(scene) = node::scene() else { return };
    let node = Node::start(&scene);
    let pod = node.run_pod("pod", |_| {});
    let script = "tty; while read line; do echo got $line; done";
    for (name, tty) in [("pipes", false), ("terminal", true)] {
        let id = node.start_container(&pod, name, &["sh", "-c", script], |container| {
            (container.stdin, container.tty) = (true, tty);
        });
        // Whoever comes later attaches as well.
        for line in ["first", "second"] {
            let mut stream = attach(&node, &id, tty);
            stream.write(&format!("{line}\n"));
            stream.expect(&format!("got {line}"));
        }
        until("the log", || node.log(name).contains("got second"));
        let log = node.log(name);
        assert!(log.contains("got first"), "{log}");
        assert_eq!(log.contains("/dev/pts/0"), tty, "{log}");
        node.end(&id);
    }
    node.end_pod(&pod);
}
