//! Both ends of a wire for tests: a client, a scripted server, and the messages between them.
//!
//! Every socket is on loopback and on a free port, every wait has a deadline.
// Each test file uses its own part of this, and a helper of tests may stop at a surprise.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Long enough for a loaded machine; no test waits for it unless it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// For clocks that must not run out before something else has happened: a machine that stands still
/// for half a second, more than once, does not use it up.
pub(crate) const UNHURRIED: Duration = Duration::from_millis(1_500);

/// Waits for `condition`, not longer than it takes to come true.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        // Leaves the processor to those who are waited for.
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// One message as it stood on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Message {
    pub(crate) fn status(&self) -> u16 {
        self.head[9..12].parse().expect("a status line")
    }

    /// The first line.
    pub(crate) fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap()
    }

    /// The field lines as they came.
    pub(crate) fn fields(&self) -> Vec<&str> {
        self.head
            .split("\r\n")
            .skip(1)
            .filter(|line| !line.is_empty())
            .collect()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields().into_iter().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

/// A socket that reads and writes whole messages.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pending: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).expect("the listener is open"))
    }

    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            pending: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("written");
    }

    /// Sends a GET and reads its answer.
    pub(crate) fn get(&mut self, path: &str) -> Message {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.response()
    }

    /// The next response; its request was not HEAD.
    pub(crate) fn response(&mut self) -> Message {
        let head = self.head().expect("a response");
        let message = Message {
            head,
            body: Vec::new(),
        };
        let bodiless = matches!(message.status(), 100..=199 | 204 | 304);
        let body = match (bodiless, message.field("content-length")) {
            (true, _) => Vec::new(),
            _ if message.field("transfer-encoding").is_some() => self.chunks(),
            (_, Some(len)) => self.exactly(len.parse().unwrap()),
            (_, None) => self.rest(),
        };
        Message { body, ..message }
    }

    /// The next request with its body; `None` when the connection has ended.
    pub(crate) fn request(&mut self) -> Option<Message> {
        let message = Message {
            head: self.head()?,
            body: Vec::new(),
        };
        let body = if message.field("transfer-encoding").is_some() {
            self.chunks()
        } else {
            self.exactly(
                message
                    .field("content-length")
                    .map_or(0, |len| len.parse().unwrap()),
            )
        };
        Some(Message { body, ..message })
    }

    /// The next head with its empty line; `None` when nothing comes any more.
    pub(crate) fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.pending, b"\r\n\r\n") {
                let head = self.take(end + 4);
                return Some(String::from_utf8(head).expect("a head is text"));
            }
            if self.more() == 0 {
                assert!(self.pending.is_empty(), "half a head: {:?}", self.pending);
                return None;
            }
        }
    }

    pub(crate) fn exactly(&mut self, len: usize) -> Vec<u8> {
        while self.pending.len() < len {
            assert!(self.more() > 0, "the body ended early");
        }
        self.take(len)
    }

    /// A chunked body, decoded.
    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.line();
            let size = usize::from_str_radix(line.split(';').next().unwrap(), 16).unwrap();
            if size == 0 {
                while !self.line().is_empty() {}
                return body;
            }
            body.extend(self.exactly(size));
            assert_eq!(self.line(), "");
        }
    }

    fn line(&mut self) -> String {
        loop {
            if let Some(end) = find(&self.pending, b"\r\n") {
                let line = self.take(end + 2);
                return String::from_utf8(line[..end].to_vec()).unwrap();
            }
            assert!(self.more() > 0, "a line ended early");
        }
    }

    /// Everything up to the end of the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.more() > 0 {}
        std::mem::take(&mut self.pending)
    }

    /// Asserts that the other side has closed without another byte.
    pub(crate) fn is_closed(&mut self) {
        assert_eq!(String::from_utf8_lossy(&self.rest()), "");
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        let rest = self.pending.split_off(len);
        std::mem::replace(&mut self.pending, rest)
    }

    fn more(&mut self) -> usize {
        let mut piece = [0; 16 * 1024];
        let read = loop {
            match self.stream.read(&mut piece) {
                Ok(read) => break read,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break 0,
                // A process that is stopped and goes on sees that in a read with a time limit.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("nothing came: {error}"),
            }
        };
        self.pending.extend_from_slice(&piece[..read]);
        read
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}

/// A scripted server: `serve` gets every connection with its number.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Message>>>,
}

impl Upstream {
    pub(crate) fn start(serve: impl Fn(Client, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (serve, stream) = (Arc::clone(&serve), stream.unwrap());
                std::thread::spawn(move || serve(Client::new(stream), number));
            }
        });
        Self {
            address,
            seen: Arc::default(),
        }
    }

    /// A server that notes each request and sends `answer` back.
    pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::replying(move |_| answer.clone())
    }

    /// A server that notes each request and sends what `reply` makes of it.
    pub(crate) fn replying(reply: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Message>>> = Arc::default();
        let notes = Arc::clone(&seen);
        let mut upstream = Self::start(move |mut conn, _| {
            conn.stream.set_read_timeout(None).unwrap();
            while let Some(request) = conn.request() {
                let answer = reply(&request);
                notes.lock().unwrap().push(request);
                conn.send(answer);
            }
        });
        upstream.seen = seen;
        upstream
    }

    pub(crate) fn ok() -> Self {
        Self::answering(OK)
    }

    pub(crate) fn seen(&self) -> Vec<Message> {
        self.seen.lock().unwrap().clone()
    }
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An address at which nobody listens and nobody can begin to.
pub(crate) fn nobody() -> SocketAddr {
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = taken.local_addr().unwrap();
    // Bound for the life of the process, never listening: every connection is refused.
    std::mem::forget(taken);
    address
}

/// Ends a connection with a reset instead of an orderly close.
pub(crate) fn reset(conn: Client) {
    // Closing with unread bytes makes the kernel send a reset.
    _ = conn.stream.shutdown(Shutdown::Read);
    drop(conn);
}
