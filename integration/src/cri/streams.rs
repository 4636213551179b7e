//! The streams of a process in a container, over a WebSocket to the engine's streaming server, with the
//! subprotocol `v4.channel.k8s.io`: the first byte of each message is the number of a channel.

use std::net::TcpStream;

use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};

/// The channels of the subprotocol.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
/// What came of it, as a JSON document.
const OUTCOME: u8 = 3;
/// The size of the terminal.
const SIZE: u8 = 4;

/// Streams that are open.
pub struct Streams {
    socket: WebSocket<TcpStream>,
    /// What came on standard output so far.
    pub stdout: String,
    /// What came on standard error so far.
    pub stderr: String,
}

impl Streams {
    /// Opens those of a URL which the engine gave. It is of use once, and only from the engine's own
    /// network namespace.
    #[track_caller]
    pub fn open(url: &str) -> Self {
        let mut request = url.replacen("http", "ws", 1).into_client_request().expect("a URL");
        let protocol = HeaderValue::from_static("v4.channel.k8s.io");
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let address = request.uri().authority().expect("an address").to_string();
        let stream = TcpStream::connect(address).expect("the streaming server");
        stream.set_read_timeout(Some(crate::runtime::patience())).expect("SO_RCVTIMEO");
        let (socket, _) = tungstenite::client(request, stream).expect("a WebSocket");
        Self { socket, stdout: String::new(), stderr: String::new() }
    }

    /// Writes to standard input.
    #[track_caller]
    pub fn write(&mut self, text: &str) {
        self.send(STDIN, text.as_bytes());
    }

    /// Sets the size of the terminal.
    #[track_caller]
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let size = format!("{{\"Width\":{columns},\"Height\":{rows}}}");
        self.send(SIZE, size.as_bytes());
    }

    /// Reads until standard output holds this text.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        while !self.stdout.contains(text) {
            let end = self.next();
            assert!(end.is_none(), "{end:?} before {text:?}, after {:?}", self.stdout);
        }
    }

    /// Reads to the end, and gives the outcome: a status of Kubernetes, as JSON.
    #[track_caller]
    pub fn end(mut self) -> (String, String, serde_json::Value) {
        loop {
            if let Some(outcome) = self.next() {
                let outcome = serde_json::from_str(&outcome).expect("a status");
                return (self.stdout, self.stderr, outcome);
            }
        }
    }

    #[track_caller]
    fn send(&mut self, channel: u8, bytes: &[u8]) {
        let message = [&[channel], bytes].concat();
        self.socket.send(Message::binary(message)).expect("send");
    }

    /// Takes one message in; gives the outcome if it is that.
    #[track_caller]
    fn next(&mut self) -> Option<String> {
        let message = self.socket.read().expect("a message");
        let message = message.into_data();
        let (channel, bytes) = message.split_first()?;
        let text = String::from_utf8_lossy(bytes);
        match *channel {
            STDOUT => self.stdout.push_str(&text),
            STDERR => self.stderr.push_str(&text),
            OUTCOME => return Some(text.into_owned()),
            other => panic!("channel {other} says {text}"),
        }
        None
    }
}
