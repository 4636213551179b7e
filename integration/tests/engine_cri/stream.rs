//! A stream of `exec` or `attach`: a WebSocket of Kubernetes' remote command protocol, in which the
//! first byte of each message is the number of a channel.

use std::fs::File;
use std::net::TcpStream;

use integration::runtime::patience;
use nix::sched::{CloneFlags, setns};
use serde_json::Value;
use tungstenite::client::ClientRequestBuilder;
use tungstenite::{Message, WebSocket};

use crate::node::Node;

/// The channels, as they are numbered.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;

/// An open stream.
pub(crate) struct Stream {
    socket: WebSocket<TcpStream>,
    stdout: String,
    stderr: String,
    status: String,
}

impl Stream {
    /// Opens the stream at an address that containerd gave, which is one in the node's network.
    #[track_caller]
    pub(crate) fn open(node: &Node<'_>, url: &str) -> Self {
        let address = url.trim_start_matches("http://").split('/').next().expect("an address");
        let (netns, address) = (File::open(node.netns()).expect("netns"), address.to_owned());
        // Only the thread that connects goes there; a socket stays in the network it was made in.
        let connecting = std::thread::spawn(move || {
            setns(netns, CloneFlags::CLONE_NEWNET).expect("setns");
            TcpStream::connect(address).expect("connect")
        });
        let connection = connecting.join().expect("a connection");
        connection.set_read_timeout(Some(patience())).expect("a time limit");
        let uri = url.replacen("http", "ws", 1).parse().expect("an address");
        let request = ClientRequestBuilder::new(uri).with_sub_protocol("v4.channel.k8s.io");
        let (socket, _) = tungstenite::client(request, connection).expect("a stream");
        Self { socket, stdout: String::new(), stderr: String::new(), status: String::new() }
    }

    /// Writes to the process's standard input.
    #[track_caller]
    pub(crate) fn write(&mut self, text: &str) {
        self.send(STDIN, text);
    }

    /// Tells the size of the terminal.
    #[track_caller]
    pub(crate) fn resize(&mut self, rows: u16, columns: u16) {
        self.send(RESIZE, &format!(r#"{{"Width":{columns},"Height":{rows}}}"#));
    }

    #[track_caller]
    fn send(&mut self, channel: u8, text: &str) {
        let message = [&[channel], text.as_bytes()].concat();
        self.socket.send(Message::binary(message)).expect("send");
    }

    /// Waits until the process has written something, and gives all it wrote so far.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) -> &str {
        while !self.stdout.contains(text) {
            assert!(self.receive(), "{text:?} is not in {:?}", self.stdout);
        }
        &self.stdout
    }

    /// Waits for the end; gives the output, the error output and the exit code.
    #[track_caller]
    pub(crate) fn end(mut self) -> (String, String, i64) {
        while self.receive() {}
        let status: Value = serde_json::from_str(&self.status).expect("a status");
        let code = match status["status"].as_str() {
            Some("Success") => 0,
            _ => status["details"]["causes"][0]["message"]
                .as_str()
                .and_then(|code| code.parse().ok())
                .unwrap_or_else(|| panic!("no exit code: {status}")),
        };
        (self.stdout, self.stderr, code)
    }

    /// Receives one message, unless the stream has ended.
    #[track_caller]
    fn receive(&mut self) -> bool {
        let message = match self.socket.read() {
            Ok(Message::Binary(message)) => message,
            Ok(Message::Close(_)) | Err(tungstenite::Error::ConnectionClosed) => return false,
            Ok(_) => return true,
            Err(error) => panic!("the stream is broken: {error}; so far: {:?}", self.stdout),
        };
        let Some((channel, text)) = message.split_first() else { return true };
        let text = String::from_utf8_lossy(text);
        match *channel {
            STDOUT => self.stdout += &text,
            STDERR => self.stderr += &text,
            STATUS => self.status += &text,
            other => panic!("a message on channel {other}"),
        }
        true
    }
}
